"""The whole determination of one set of facts: every finding with its truth, causes and citations, who can be
asked, what has to be done. Slow beside the bare answer, and made from the same compiled slice."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from carnet.engine.compiled import Compiled, Walks
from carnet.engine.ground import PARTY
from carnet.engine.program import LIFTED, Lifting, Question, combinations
from carnet.engine.readings import CLOSED, joined_outcomes
from carnet.engine.trace import Rails
from carnet.model.determination import (
    PERMITTED,
    ActOutcome,
    Answer,
    Ask,
    Choices,
    Determination,
    Finding,
    FindingKind,
    HumanReason,
    Outcome,
    TaskDue,
    Truth,
)
from carnet.model.facts import ASKABLE, Group, Known, Unknown, Values
from carnet.model.time import ZONES, Days, years_after
from carnet.model.view import View
from carnet.rules import blocks, tree

ENGINE = "carnet.engine.decide/1"
KINDS: Mapping[str, FindingKind] = {
    "open": "requirement",
    "prohibition": "prohibition",
    "gap": "coverage",
    "flag": "red_flag",
    "open_flag": "red_flag",
    "walked_flag": "red_flag",
}


class Told(NamedTuple):
    """A condition as found under every reading on which it depends, and what is told of it: one truth over
    all readings, why it is unknown, and the facts that decided it."""

    rails: list[Rails]
    truth: Truth
    causes: tuple[str, ...]
    facts: tuple[str, ...]


def told(rails: list[Rails]) -> Told:
    """What is told of a condition."""
    facts = tuple(sorted({fact for each in rails for fact in each.facts if fact}))
    if all(each.true for each in rails):
        return Told(rails, "true", (), facts)
    if all(each.false for each in rails):
        return Told(rails, "false", (), facts)
    causes = {cause for each in rails for cause in (*each.humans, *each.asks.values())}
    if len({(each.true, each.false) for each in rails}) > 1:
        causes.add("reading")
    return Told(rails, "unknown", tuple(sorted(causes)), facts)


class Report:
    """One determination in the making."""

    def __init__(
        self,
        engine: Compiled,
        seen: View,
        at: dt.datetime,
        known: dt.datetime,
        choices: Choices,
        answer: Answer | None = None,
    ) -> None:
        self.engine, self.seen, self.at, self.known, self.choices = engine, seen, at, known, choices
        self.program, self.slice = engine.program, engine.slice
        self.answer: Answer = answer or engine.answer(seen.values, at, seen.stated)
        stated = self.answer.basis == "stated"
        self.values: Values = {**seen.values, **seen.stated} if stated else seen.values
        self.live, self.pending = engine.live(self.values)
        self.walks = Walks(engine, self.values, at)
        self.first = self.walks.under({axis: names[0] for axis, names in self.slice.axes.items()})
        self.used: dict[str, blocks.Exception_] = {}
        self.kept: dict[int, Told] = {}

    def determination(self) -> Determination:
        """All of it."""
        answer, rulebook = self.answer, self.slice.rulebook
        findings = tuple(self.findings())
        tasks = {
            TaskDue(exception.id, task.due, task.key, task.cite)
            for exception in self.used.values()
            for task in exception.tasks
        }
        return Determination(
            outcome=answer.outcome,
            basis=answer.basis,
            may_still_be=answer.may_still_be,
            by_reading=answer.by_reading,
            acts=tuple(self.acts()),
            findings=findings,
            asks=tuple(self.ask(path) for path in answer.asks),
            humans=tuple(sorted(set(self.humans()))),
            tasks=tuple(sorted(tasks)) if answer.outcome in PERMITTED else (),
            review=self.review(),
            marks=self.marks(),
            good_until=self.good_until(),
            at=self.at,
            known=self.known,
            choices=self.choices,
            rulebook=rulebook.digest,
            engine=ENGINE,
        )

    def read(self, node: tree.Tree) -> Told:
        """A condition of the program under every reading, read once."""
        key = id(node)
        found = self.kept.get(key)
        if found is None:
            axes = self.program.depends.get(key)
            walks = [self.walks.under(each) for each in self.readings(axes)] if axes else [self.first]
            found = self.kept[key] = told([walk.read(node) for walk in walks])
        return found

    def readings(self, axes: frozenset[str]) -> list[dict[str, str]]:
        """Every way to read the axes, as far as they are not chosen."""
        return combinations(self.slice, axes & self.slice.axes.keys())

    def finding(
        self,
        name: str,
        kind: FindingKind,
        cite: str,
        condition: tree.Tree,
        act: int | None = None,
        reason: str | None = None,
        lifted_by: tuple[str, ...] = (),
    ) -> Finding:
        _, truth, causes, facts = self.read(condition)
        return Finding(name, kind, truth, cite, act, reason, causes, facts, lifted_by)

    def findings(self) -> Iterator[Finding]:
        """Everything that was looked at; what stands behind an act that is not there is left out."""
        dead: set[int] = set()
        for place, stage in enumerate(self.slice.acts):
            subject, happens = self.program.gates[2 * place : 2 * place + 2]
            yield self.finding(stage.scope.id, "subject", stage.scope.cite, subject, place)
            yield self.finding(stage.scope.id, "act", stage.scope.cite, happens, place)
            if "false" in (self.read(subject).truth, self.read(happens).truth):
                dead.add(stage.number)
        yield from self.presumptions()
        places = {stage.number: place for place, stage in enumerate(self.slice.acts)}
        seen: set[tuple[str, int | None]] = set()
        for instance in self.program.instances:
            if instance.act in dead:
                continue
            act = places[instance.act] if instance.act is not None else None
            if instance.block is None:
                yield self.finding(f"gap@{instance.act}", "coverage", "", instance.when, act)
                continue
            name, kind, cite = instance.block.id, KINDS[instance.kind], instance.block.cite
            if not instance.reasons:
                yield self.finding(name, kind, cite, instance.when, act)
            for reason, able in instance.reasons:
                may_apply = self.read(instance.when).truth != "false"
                lifted = self.lifting(able, may_apply=may_apply)
                yield self.finding(name, kind, cite, instance.when, act, reason, lifted)
                if may_apply:
                    for each in able:
                        if (each.exception.id, act) not in seen:
                            seen.add((each.exception.id, act))
                            yield from self.exception(each, act)

    def exception(self, lifting: Lifting, act: int | None) -> Iterator[Finding]:
        block = lifting.exception
        yield self.finding(block.id, "exception", block.cite, lifting.condition, act)
        for bar, condition in lifting.bars:
            yield self.finding(bar.id, "bar", bar.cite, condition, act)

    def lifting(self, able: tuple[Lifting, ...], *, may_apply: bool) -> tuple[str, ...]:
        """Which exceptions surely lift; the least burdensome is used where there may be something to lift."""
        surely = [each for each in able if self.read(each.whole).truth == "true"]
        if surely and may_apply:
            best = min(surely, key=lambda each: list(LIFTED).index(each.exception.class_)).exception
            self.used[best.id] = best
        return tuple(sorted(each.exception.id for each in surely))

    def presumptions(self) -> Iterator[Finding]:
        """Presumed values that stood in for a missing fact which a live question reads."""
        if not self.live & self.engine.rows.presuming:
            return
        specs = self.slice.rulebook.terms.specs
        for path, (_, asks) in self.first.presumed.items():
            value = self.values.get(path)
            missing = value is None or (isinstance(value, Unknown) and value.cause in ASKABLE)
            presumption = specs[path].presumption
            if missing and presumption is not None and not path.startswith("party."):
                truth: Truth = "true" if asks is None else "unknown"
                causes = () if asks is None else ("red_flag",)
                yield Finding(path, "presumption", truth, presumption.cite, causes=causes, facts=(path,))

    def named(self, *keys: tuple[str, ...]) -> list[Question]:
        """The questions of these keys."""
        names = set().union(*keys)
        return [question for question in self.program.questions if question.key in names]

    def humans(self) -> Iterator[HumanReason]:
        """What no fact can settle."""
        if self.answer.outcome in PERMITTED or self.answer.outcome in CLOSED:
            return
        for question in self.named(self.answer.undecided):
            instance = question.instance
            name = instance.block.id if instance.block is not None else instance.key
            for each in self.read(question.stands).rails:
                raised = instance.kind.endswith("flag") and each.true
                for cause in ("red_flag",) if raised else each.humans:
                    yield HumanReason(name, cause)
        axes = {pair.partition("=")[0] for key in self.answer.by_reading for pair in key.split(",")}
        yield from (HumanReason(axis, "reading") for axis in axes)

    def ask(self, path: str) -> Ask:
        """Who can answer, and how well it has to be assured."""
        terms = self.slice.rulebook.terms
        spec = terms.of_path(path)
        value = self.values.get(path)
        if path.startswith(("provision:", "list:")):
            return Ask(path, "stale", "operator")
        if value is None and path.startswith("parties.") and "]." in path:
            value = self.in_group(path)
        cause = value.cause if isinstance(value, Unknown) else "missing"
        if spec is None:
            return Ask(path, cause, "operator")
        levels = self.choices.assurance
        needed = levels.get(path, levels.get(spec.path, spec.level))
        return Ask(path, cause, spec.who, needed, self.seen.held.get(path))

    def in_group(self, path: str) -> Known | None:
        where, _, name = path.partition("].")
        role, _, number = where.partition("[")
        group = self.values.get(role)
        return group.members[int(number)].get(name) if isinstance(group, Group) else None

    def review(self) -> tuple[str, ...]:
        """The policies under which an application would be reviewed: of every requirement that is open or,
        if none surely is, of those that may be."""
        found: dict[str, None] = {}
        for question in self.named(self.answer.certain or self.answer.undecided):
            for policy, when in question.instance.review:
                if self.read(when).truth != "false":
                    found[policy] = None
        return tuple(found)

    def marks(self) -> tuple[str, ...]:
        """Announcements of non-enforcement on what is open or undecided."""
        named = self.named(self.answer.certain, self.answer.undecided)
        ids = {question.instance.block.id for question in named if question.instance.block is not None}
        return tuple(f"announced_not_enforced:{name}" for name in sorted(ids & self.slice.not_enforced))

    def acts(self) -> Iterator[ActOutcome]:
        """Every act that is not surely absent, with its own answer."""
        for place, stage in enumerate(self.slice.acts):
            truth = self.read(self.program.acts[place]).truth
            if truth == "false":
                subject = self.read(self.program.gates[2 * place]).truth != "false"
                outcome: Outcome = "not_an_event" if subject else "not_subject"
            else:
                outcome = self.sole(stage.number)
            destination = None
            if stage.act.destination is not None:
                value = self.first.fact(stage.act.destination)[1]
                destination = value if isinstance(value, str) else None
            yield ActOutcome(
                stage.scope.regime, stage.act.kind, stage.act.deemed, destination, truth, outcome
            )

    def sole(self, act: int) -> Outcome:
        """The outcome of an act by itself, under all readings on which it depends."""
        engine, live = self.engine, self.live & self.engine.rows.of_act[act]
        return joined_outcomes(
            [
                engine.test(self.values, self.at, readings, live, self.pending.copy(), self.walks).outcome
                for readings in self.readings(engine.axes(live))
            ]
        )

    def good_until(self) -> dt.datetime | None:
        """The earliest instant at which anything that was read may be another."""
        edges = [
            edge
            for path, edge in self.seen.edges.items()
            if path in self.program.bits.of or path.startswith("parties.")
        ]
        edges += [turn for turn in self.turns() if turn > self.at]
        edges += [self.slice.end] if self.slice.end is not None else []
        return min(edges, default=None)

    def turns(self) -> Iterator[dt.datetime]:
        """The instants at which an `elapsed` turns true."""
        for node in self.program.durations:
            for value in self.dates(node.since):
                yield years_after(value.first, node.years, ZONES["us"])
                yield years_after(value.last, node.years, ZONES["us"])

    def dates(self, term: tree.Term) -> Iterator[Days]:
        values = [self.values.get(f"{term.entity}.{term.name}")]
        if term.entity == PARTY:
            groups = [value for value in self.values.values() if isinstance(value, Group)]
            values = [facts.get(term.name) for group in groups for facts in group.members]
        return (value for value in values if isinstance(value, Days))
