"""The use case of a replay: decide every case of a story, ask the policy what follows, compare with what is
expected, and count. What it looks like on a screen is in `carnet.cli.replay`."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from carnet.engine.controlled import is_controlled
from carnet.engine.decide import decide
from carnet.model.determination import PERMITTED, Choices, Determination, Finding
from carnet.model.view import view
from carnet.policy.enforcement import Policy, act_on
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook
from carnet.service.story import Case, Provider, Scene, Story

CLOSED = ("prohibited", "license_required")
RULES = ("requirement", "prohibition")

Decide = Callable[[Case, Choices], tuple[Determination, str]]
"""A case's legal answer and the operational action that follows."""


class Row(Struct, frozen=True, kw_only=True):
    """One case, decided. `got` holds everything that a case may expect; `ok` says that it has what this one
    does. `cites` are the citations that the answer rests on, `binding` and `deadline` when the open
    requirements began and were to be enforced, `did` what the provider did."""

    case: Case
    determination: Determination
    action: str
    got: Mapping[str, object]
    ok: bool
    cites: tuple[str, ...]
    binding: dt.datetime | None
    deadline: dt.datetime | None
    did: Provider | None

    @property
    def permitted(self) -> bool:
        """Whether no license is needed, or one is at hand."""
        return self.determination.outcome in PERMITTED

    @property
    def carved_out(self) -> bool:
        """Whether something lifts a requirement that applies."""
        return any(finding.lifted_by and finding.truth == "true" for finding in self.determination.findings)

    @property
    def needless(self) -> bool:
        """Whether the provider refused what needed no license."""
        what = self.did.did if self.did is not None else ""
        return self.permitted and (what == "off" or (what == "annex only" and not self.carved_out))


class Totals(Struct, frozen=True, kw_only=True):
    """What came of all cases. `asked` counts by fact, `human` by cause; `switched_off` are the cases that a
    worldwide switch-off refuses while the models are controlled: `needless` of them needed no license
    and `undecided` hung on a fact or a human."""

    cases: int
    refused: int
    served: int
    asked: int
    asked_for: Mapping[str, int]
    human: int
    human_why: Mapping[str, int]
    switched_off: int
    needed: int
    undecided: int
    needless: tuple[str, ...]


class Report(Struct, frozen=True, kw_only=True):
    """A story, decided under one rulebook."""

    story: Story
    scenes: tuple[tuple[Scene, tuple[Row, ...]], ...]
    totals: Totals
    rulebook: str

    @property
    def rows(self) -> list[Row]:
        return [row for _, rows in self.scenes for row in rows]

    @property
    def mismatches(self) -> int:
        return sum(not row.ok for row in self.rows)

    def document(self) -> dict[str, object]:
        """The report as one JSON document: ids, instants, and what was expected and came out."""
        cases = [
            {
                "id": row.case.id,
                "at": _instant(row.case.at),
                "expected": expected_of(row.case),
                "got": {key: row.got[key] for key in expected_of(row.case)},
                "ok": row.ok,
            }
            for row in self.rows
        ]
        return {"cases": cases, "mismatches": self.mismatches, "rulebook": self.rulebook}


def replay(story: Story, rulebook: Rulebook, decide: Decide) -> Report:
    """Decide every case of the story, in its order."""
    scenes = tuple(
        (scene, tuple(_row(story, case, rulebook, decide) for case in scene.cases)) for scene in story.scenes
    )
    rows = [row for _, found in scenes for row in found]
    return Report(story=story, scenes=scenes, totals=totals(story, rows), rulebook=rulebook.digest)


def decider(rulebook: Rulebook, policy: Policy) -> Decide:
    """Decide with the engine, and act by the policy."""
    levels = {path: spec.level for path, spec in rulebook.terms.specs.items()}

    def decided(case: Case, choices: Choices) -> tuple[Determination, str]:
        found = decide(
            case.transaction, rulebook, at=case.at, known=case.known, choices=choices
        ).determination
        seen = view(case.transaction, at=case.at, known=case.known, levels=levels)
        controlled = is_controlled(rulebook, seen.values, case.at, case.known, choices)
        act = act_on(found, policy, controlled=controlled, surface="interactive", product=case.product)
        return found, act.kind

    return decided


def _row(story: Story, case: Case, rulebook: Rulebook, decide: Decide) -> Row:
    determination, action = decide(case, Choices(readings=case.choices))
    opened = [
        rule for rule in rulebook.of(blocks.Requirement) if rule.id in _ids(_open(determination.findings))
    ]
    binding = min((rule.span.start.earliest for rule in opened), default=None)
    deadline = min((rule.deadline.latest for rule in opened if rule.deadline), default=None)
    got: dict[str, object] = {
        "outcome": determination.outcome,
        "action": action,
        "asks": sorted(ask.fact for ask in determination.asks),
        "basis": determination.basis,
        "by_reading": dict(determination.by_reading),
        "may_still_be": sorted(determination.may_still_be),
        "humans": sorted(_causes(determination)),
        "open": sorted(_ids(_open(determination.findings))),
        "binding": _instant(binding),
        "deadline": _instant(deadline),
        "good_until": _instant(determination.good_until),
    }
    return Row(
        case=case,
        determination=determination,
        action=action,
        got=got,
        ok=all(got[key] == value for key, value in expected_of(case).items()),
        cites=citations(determination, rulebook),
        binding=binding,
        deadline=deadline,
        did=story.did(case.product, case.at),
    )


def expected_of(case: Case) -> dict[str, object]:
    """What a case expects, as it is compared: instants as text, lists sorted."""
    found: dict[str, object] = {}
    for key in case.expected.__struct_fields__:
        value = getattr(case.expected, key)
        if isinstance(value, tuple):
            found[key] = sorted(value)
        elif value is not None:
            found[key] = _instant(value) if isinstance(value, dt.datetime) else value
    return found


def citations(determination: Determination, rulebook: Rulebook) -> tuple[str, ...]:
    """The citations that an answer rests on: of what is open; of what is not settled; of what lifted a
    requirement, or defines whom a notice reaches and does not hold; else of what was looked at."""
    findings = determination.findings
    tiers: list[Iterable[str]] = []
    if determination.outcome in CLOSED:
        tiers.append(finding.cite for finding in _open(findings))
    elif determination.outcome not in PERMITTED:
        unsettled = [f for f in findings if f.kind in RULES and f.truth != "false" and not f.lifted_by]
        raised = [f for f in findings if f.kind == "red_flag" and f.truth == "true"]
        tiers.append(finding.cite for finding in raised or unsettled)
    else:
        used = {name for finding in findings if finding.truth == "true" for name in finding.lifted_by}
        tiers.append(
            finding.cite for finding in findings if finding.kind == "exception" and finding.id in used
        )
        away = {
            finding.id for finding in findings if finding.kind == "requirement" and finding.truth == "false"
        }
        tiers.append(_reached_by(rulebook, away, determination))
        tiers.append(finding.cite for finding in findings if finding.kind == "coverage")
    return next((found for tier in tiers if (found := tuple(dict.fromkeys(tier)))), ())


def _reached_by(rulebook: Rulebook, away: set[str], determination: Determination) -> Iterator[str]:
    """The citations of the definitions by which notices that do not apply say whom they reach."""
    called = {
        part.definition
        for rule in rulebook.of(blocks.Requirement)
        if rule.id in away and rule.binds
        for part in tree.parts_of(rule.when)
        if isinstance(part, tree.Call) and part.entity == "recipient"
    }
    for block in rulebook.of(blocks.Definition):
        if block.name in called and block.span.holds(determination.at) == "yes":
            yield block.cite


def totals(story: Story, rows: list[Row]) -> Totals:
    """What came of all rows."""
    asked = [row for row in rows if row.determination.outcome == "needs_facts"]
    human = [row for row in rows if row.determination.outcome == "needs_human"]
    begin, end = story.controls
    controlled = {one.product for one in story.provider if one.did == "off"}
    off = [row for row in rows if row.case.product in controlled and begin <= row.case.at < end]
    return Totals(
        cases=len(rows),
        refused=sum(row.determination.outcome in CLOSED and row.action == "refuse" for row in rows),
        served=sum(row.permitted and row.action == "serve" for row in rows),
        asked=len(asked),
        asked_for=Counter(ask.fact for row in asked for ask in row.determination.asks),
        human=len(human),
        human_why=Counter(cause for row in human for cause in _causes(row.determination)),
        switched_off=len(off),
        needed=sum(row.determination.outcome in CLOSED for row in off),
        undecided=sum(not row.permitted and row.determination.outcome not in CLOSED for row in off),
        needless=tuple(row.case.id for row in off if row.permitted),
    )


def _open(findings: Iterable[Finding]) -> list[Finding]:
    return [
        finding
        for finding in findings
        if finding.kind in RULES and finding.truth == "true" and not finding.lifted_by
    ]


def _ids(findings: Iterable[Finding]) -> set[str]:
    return {finding.id for finding in findings}


def _causes(determination: Determination) -> set[str]:
    return {human.cause for human in determination.humans}


def _instant(value: dt.datetime | None) -> str | None:
    return None if value is None else value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def encode(report: Report) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(report.document())
