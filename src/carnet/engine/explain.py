"""From a determination to what people read: why, why not, what would change it. It decides nothing; every
word comes from `carnet.words`."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from carnet.model.determination import (
    PERMITTED,
    ActOutcome,
    Ask,
    Determination,
    Finding,
    Outcome,
)
from carnet.rules import blocks
from carnet.rules.rulebook import Rulebook
from carnet.words.catalogue import ENGLISH, Catalogue, stamp

RULES = ("requirement", "prohibition")
MOST = 12
"""Lines of one section; the rest is counted."""


class Change(Struct, frozen=True):
    """If the fact had this value and all else stayed, the outcome would be that
    (`carnet.engine.what_if` finds them)."""

    fact: str
    value: str
    outcome: Outcome


class Section(Struct, frozen=True):
    """One part of an explanation: its key (`why`), its title and its lines."""

    key: str
    title: str
    lines: tuple[str, ...]


class Explanation(Struct, frozen=True, kw_only=True):
    """What is said about a determination. `cites` are the places that decide it; `notes` qualify the
    headline; sections without lines are left out."""

    headline: str
    meaning: str
    cites: tuple[str, ...]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    as_of: str
    good_until: str
    advice: str


def explain(
    determination: Determination,
    rulebook: Rulebook,
    *,
    changes: Sequence[Change] = (),
    words: Catalogue = ENGLISH,
) -> str:
    """The whole explanation as text."""
    return text_of(explanation(determination, rulebook, changes=changes, words=words))


def explanation(
    determination: Determination,
    rulebook: Rulebook,
    *,
    changes: Sequence[Change] = (),
    words: Catalogue = ENGLISH,
) -> Explanation:
    """The whole explanation, as structure. `changes` are single facts that would change the answer."""
    told = _Told(determination, rulebook, words)
    sections = (
        told.section("why", told.why()),
        told.section("why_not", told.why_not()),
        told.section("change", [*told.asks(), *told.changes(changes)]),
        told.section("readings", told.readings()),
        told.section("humans", told.humans()),
        told.section("acts", [told.act(act) for act in determination.acts if act.truth != "false"]),
        told.section("tasks", told.tasks()),
        told.section("review", determination.review),
        told.section("marks", told.marks()),
    )
    return told.whole(tuple(section for section in sections if section.lines))


def summary(determination: Determination, rulebook: Rulebook, *, words: Catalogue = ENGLISH) -> Explanation:
    """The short form: the answer with its citations, and what is missing or to be done."""
    told = _Told(determination, rulebook, words)
    sections = (
        told.section("change", told.asks()),
        told.section("readings", told.readings()),
        told.section("humans", told.humans()),
        told.section("tasks", told.tasks()),
        told.section("marks", told.marks()),
    )
    return told.whole(tuple(section for section in sections if section.lines))


def text_of(said: Explanation, *also: str) -> str:
    """An explanation as lines of text, the last without a line break; `also` goes before the dates."""
    lines = [f"{said.headline}: {said.meaning}"]
    lines += [f"  {cite}" for cite in said.cites]
    lines += [f"  {note}" for note in said.notes]
    for section in said.sections:
        lines += ["", section.title, *(f"  {line}" for line in section.lines)]
    return "\n".join([*lines, "", *also, said.as_of, said.good_until, said.advice])


class _Told:
    def __init__(self, determination: Determination, rulebook: Rulebook, words: Catalogue) -> None:
        self.of, self.book, self.words = determination, rulebook, words
        self.blocks = {block.id: block for block in rulebook.blocks}

    def section(self, key: str, lines: Iterable[str]) -> Section:
        every = tuple(dict.fromkeys(lines))
        if len(every) > MOST + 1:
            every = (*every[:MOST], self.words.say("more", count=len(every) - MOST))
        return Section(key, self.words.say(f"section.{key}"), every)

    def whole(self, sections: tuple[Section, ...]) -> Explanation:
        of, say = self.of, self.words.say
        notes = [say("basis.stated")] if of.basis == "stated" else []
        if of.may_still_be:
            classes = ", ".join(say(f"class.{name}") for name in of.may_still_be)
            notes.append(say("may_still_be", classes=classes))
        same = of.at == of.known
        as_of = say(
            "as_of.same" if same else "as_of",
            at=stamp(of.at),
            known=stamp(of.known),
            rulebook=of.rulebook[:12],
        )
        until = (
            say("good_until.ever")
            if of.good_until is None
            else say("good_until", instant=stamp(of.good_until))
        )
        return Explanation(
            headline=say(f"outcome.{of.outcome}"),
            meaning=say(f"meaning.{of.outcome}"),
            cites=tuple(dict.fromkeys(finding.cite for finding in self.deciding() if finding.cite))[:4],
            notes=tuple(notes),
            sections=sections,
            as_of=as_of,
            good_until=until,
            advice=say("advice"),
        )

    def deciding(self) -> list[Finding]:
        """The findings on which the outcome rests."""
        found = self.of.findings
        closed = [
            finding
            for finding in found
            if finding.kind in RULES and finding.truth == "true" and not finding.lifted_by
        ]
        if self.of.outcome == "prohibited":
            return [finding for finding in closed if finding.kind == "prohibition"]
        if self.of.outcome == "license_required" and closed:
            return closed
        if self.of.outcome in PERMITTED:
            applying = [one for one in found if one.kind in RULES and one.lifted_by and one.truth != "false"]
            used = {name for finding in applying for name in finding.lifted_by}
            lifted = [finding for finding in found if finding.kind == "exception" and finding.id in used]
            lifted += applying
            grounds = ("subject",) if self.of.outcome == "not_subject" else ("subject", "act", "coverage")
            truth = "false" if self.of.outcome in ("not_subject", "not_an_event") else "true"
            return lifted or [
                finding for finding in found if finding.kind in grounds and finding.truth == truth
            ]
        raised = [finding for finding in found if finding.kind == "red_flag" and finding.truth == "true"]
        return raised + [
            finding
            for finding in found
            if finding.truth == "unknown" and finding.kind in (*RULES, "coverage", "red_flag")
        ]

    def why(self) -> list[str]:
        presumed = [finding for finding in self.of.findings if finding.kind == "presumption"]
        return [self.line(finding) for finding in [*self.deciding(), *presumed]]

    def why_not(self) -> list[str]:
        """What did not apply: exceptions that would help first, then rules, the newest first."""
        deciding = {finding.id for finding in self.deciding()}
        away = [
            finding
            for finding in self.of.findings
            if finding.truth == "false"
            and finding.kind in (*RULES, "exception")
            and finding.id not in deciding
        ]
        away.sort(key=self.newest)
        return [self.line(finding) for finding in sorted(away, key=lambda one: not self.helps(one, deciding))]

    def newest(self, finding: Finding) -> float:
        block = self.blocks.get(finding.id)
        return 0.0 if block is None else -block.span.start.earliest.timestamp()

    def helps(self, finding: Finding, deciding: set[str]) -> bool:
        block = self.blocks.get(finding.id)
        return isinstance(block, blocks.Exception_) and any(
            lift.requirement in deciding for lift in block.lifts
        )

    def line(self, finding: Finding) -> str:
        lifted = finding.kind == "requirement" and finding.lifted_by and finding.truth == "true"
        key = f"finding.{finding.kind}.{'lifted' if lifted else finding.truth}"
        text = self.words.say(
            key,
            id=finding.id,
            reason=finding.reason or "",
            lifted=", ".join(finding.lifted_by),
        )
        causes = [self.cause(cause) for cause in finding.causes] if finding.truth == "unknown" else []
        facts = (
            [self.words.say("decided_by", facts=", ".join(f"`{f}`" for f in finding.facts))]
            if finding.facts
            else []
        )
        more = "; ".join([*causes, *facts])
        cite = f" [{finding.cite}]" if finding.cite else ""
        return f"{text}{cite}" + (f": {more}" if more else "")

    def cause(self, cause: str) -> str:
        return self.words.say(f"cause.{cause}") if self.words.has(f"cause.{cause}") else cause

    def asks(self) -> list[str]:
        return [ask_line(ask, self.words) for ask in self.of.asks]

    def changes(self, changes: Sequence[Change]) -> list[str]:
        """Single facts that would change the answer, the values with the same effect together."""
        values: dict[tuple[str, str], list[str]] = {}
        for change in changes:
            values.setdefault((change.fact, change.outcome), []).append(f"`{change.value}`")
        return [
            self.words.say(
                "if",
                fact=fact,
                values=", ".join(named),
                outcome=self.words.say(f"outcome.{outcome}").lower(),
            )
            for (fact, outcome), named in values.items()
        ]

    def readings(self) -> list[str]:
        return [
            self.words.say(
                "reading",
                reading=key.replace(",", ", "),
                outcome=self.words.say(f"outcome.{outcome}").lower(),
            )
            for key, outcome in sorted(self.of.by_reading.items())
        ]

    def humans(self) -> list[str]:
        return [
            self.words.say("human", id=human.id, cause=self.cause(human.cause)) for human in self.of.humans
        ]

    def act(self, act: ActOutcome) -> str:
        say = self.words.say
        key = "act.deemed" if act.deemed else "act" if act.destination is not None else "act.nowhere"
        line = say(
            key,
            kind=say(f"act_kind.{act.kind}"),
            destination=act.destination or say("destination.unknown"),
            regime=act.regime,
            outcome=say(f"outcome.{act.outcome}").lower(),
        )
        return say("act.open", line=line) if act.truth == "unknown" else line

    def tasks(self) -> list[str]:
        order = {"before": 0, "with": 1, "after": 2}
        return [
            self.words.say(f"task.{task.due}", task=self.words.task(task.key), cite=task.cite)
            for task in sorted(self.of.tasks, key=lambda task: order.get(task.due, 3))
        ]

    def marks(self) -> list[str]:
        lines = []
        for mark in self.of.marks:
            name, _, target = mark.partition(":")
            known = self.words.has(f"mark.{name}")
            lines.append(
                self.words.say(f"mark.{name}", id=target.strip() or self.of.outcome) if known else mark
            )
        return lines


def ask_line(ask: Ask, words: Catalogue = ENGLISH) -> str:
    """One ask as a sentence: whom, for what, why, and how well it must be proved."""
    kind, _, name = ask.fact.partition(":")
    if name and kind in ("provision", "list"):
        return words.say(f"ask.{kind}", id=name)
    who = words.say(f"who.{ask.who}") if words.has(f"who.{ask.who}") else ask.who
    cause = words.say(f"cause.{ask.cause}") if words.has(f"cause.{ask.cause}") else ask.cause
    fact = words.fact(ask.fact)
    if ask.needed in (None, "S0"):
        return words.say("ask", who=who, fact=fact, cause=cause)
    held = ask.held or words.say("held.none")
    return words.say("ask.level", who=who, fact=fact, cause=cause, needed=ask.needed, held=held)
