"""The whole determination of one set of facts: every finding with its truth, causes and citations, who can be
asked, what has to be done. Slow beside the bare answer, and made from the same compiled slice."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping

from carnet.engine.compiled import Compiled
from carnet.engine.ground import PARTY, ground
from carnet.engine.program import LIFTED, Instance, Lifting, combinations
from carnet.engine.readings import CLOSED, joined_outcomes
from carnet.engine.trace import Rails, conjunction, disjunction, human, negated
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


def truth_of(rails: Iterable[Rails]) -> Truth:
    """One truth over all readings."""
    given = list(rails)
    if all(each.true for each in given):
        return "true"
    return "false" if all(each.false for each in given) else "unknown"


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
        self.readings = combinations(self.slice, engine.axes(self.live))
        every = combinations(self.slice, frozenset(self.slice.axes))
        self.walks = [engine.walk(self.values, at, readings) for readings in every]
        self.used: dict[str, blocks.Exception_] = {}
        self.kept: dict[int, tuple[tree.Tree, list[Rails]]] = {}

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

    def read(self, node: tree.Tree) -> list[Rails]:
        """A condition under every reading; read once, and once for all readings if it depends on none."""
        kept = self.kept.get(id(node))
        if kept is None:
            walks = self.walks if self.program.axes_of([node]) else self.walks[:1]
            rails = [walk.read(node) for walk in walks]
            kept = self.kept[id(node)] = (node, rails * (len(self.walks) // len(walks)))
        return kept[1]

    def whole(self, lifting: Lifting) -> list[Rails]:
        """An exception with every bar against it."""
        parts = [self.read(lifting.condition)]
        parts += [[negated(each) for each in self.read(bar)] for _, bar in lifting.bars]
        return [conjunction(list(each)) for each in zip(*parts, strict=True)]

    def finding(self, name: str, kind: FindingKind, cite: str, rails: list[Rails], **more: object) -> Finding:
        truth = truth_of(rails)
        causes = {cause for each in rails for cause in (*each.humans, *each.asks.values())}
        if truth == "unknown" and len({(each.true, each.false) for each in rails}) > 1:
            causes.add("reading")
        facts = sorted({fact for each in rails for fact in each.facts if fact})
        told = tuple(sorted(causes)) if truth == "unknown" else ()
        return Finding(name, kind, truth, cite, causes=told, facts=tuple(facts), **more)  # type: ignore[arg-type] # act, reason, lifted_by

    def findings(self) -> Iterator[Finding]:
        """Everything that was looked at; what stands behind an act that is not there is left out."""
        gates = [self.read(gate) for gate in self.program.gates]
        dead: set[int] = set()
        for place, stage in enumerate(self.slice.acts):
            subject, happens = gates[2 * place], gates[2 * place + 1]
            yield self.finding(stage.scope.id, "subject", stage.scope.cite, subject, act=place)
            yield self.finding(stage.scope.id, "act", stage.scope.cite, happens, act=place)
            if "false" in (truth_of(subject), truth_of(happens)):
                dead.add(stage.number)
        yield from self.presumptions()
        places = {stage.number: place for place, stage in enumerate(self.slice.acts)}
        told: set[tuple[str, int | None]] = set()
        for instance in self.program.instances:
            if instance.act in dead:
                continue
            act = places[instance.act] if instance.act is not None else None
            rails = self.read(instance.when)
            if instance.block is None:
                yield self.finding(f"gap@{instance.act}", "coverage", "", rails, act=act)
            elif not instance.reasons:
                yield self.finding(
                    instance.block.id, KINDS[instance.kind], instance.block.cite, rails, act=act
                )
            for reason, able in instance.reasons:
                lifted = self.lifting(rails, able)
                assert instance.block is not None
                name, cite = instance.block.id, instance.block.cite
                yield self.finding(name, "requirement", cite, rails, act=act, reason=reason, lifted_by=lifted)
                if truth_of(rails) != "false":
                    for each in able:
                        if (each.exception.id, act) not in told:
                            told.add((each.exception.id, act))
                            yield from self.exception(each, act)

    def exception(self, lifting: Lifting, act: int | None) -> Iterator[Finding]:
        block = lifting.exception
        yield self.finding(block.id, "exception", block.cite, self.read(lifting.condition), act=act)
        for bar, condition in lifting.bars:
            yield self.finding(bar.id, "bar", bar.cite, self.read(condition), act=act)

    def lifting(self, rails: list[Rails], able: tuple[Lifting, ...]) -> tuple[str, ...]:
        """Which exceptions surely lift; the least burdensome is the one that is used."""
        surely = [each for each in able if truth_of(self.whole(each)) == "true"]
        if surely and truth_of(rails) != "false":
            best = min(surely, key=lambda each: list(LIFTED).index(each.exception.class_)).exception
            self.used[best.id] = best
        return tuple(sorted(each.exception.id for each in surely))

    def presumptions(self) -> Iterator[Finding]:
        """Presumed values that stood in for a missing fact which a live question reads."""
        if not self.live & self.engine.rows.presuming:
            return
        specs = self.slice.rulebook.terms.specs
        for path, (_, asks) in self.walks[0].presumed.items():
            value = self.values.get(path)
            missing = value is None or (isinstance(value, Unknown) and value.cause in ASKABLE)
            presumption = specs[path].presumption
            if missing and presumption is not None and not path.startswith("party."):
                truth: Truth = "true" if asks is None else "unknown"
                causes = () if asks is None else ("red_flag",)
                yield Finding(path, "presumption", truth, presumption.cite, causes=causes, facts=(path,))

    def open_rails(self, instance: Instance, able: tuple[Lifting, ...]) -> list[Rails]:
        """A question as it stands in the way, under every reading."""
        parts = [self.read(self.program.gates[number]) for number in instance.gates]
        lifts = [self.whole(each) for each in able]
        found = []
        for number, own in enumerate(self.read(instance.when)):
            applies = conjunction([*(part[number] for part in parts), own])
            if lifts:
                lifted = disjunction([lift[number] for lift in lifts])
                applies = conjunction([applies, negated(lifted)])
            if instance.kind.endswith("flag") and applies.true:
                applies = human("red_flag")
            found.append(applies)
        return found

    def undecided(self) -> Iterator[tuple[Instance, list[Rails]]]:
        """Every question that is left open, walked."""
        names = set(self.answer.undecided)
        for instance in self.program.instances:
            for reason, able in instance.reasons or ((None, ()),):
                if instance.question(reason) in names:
                    yield instance, self.open_rails(instance, able)

    def humans(self) -> Iterator[HumanReason]:
        """What no fact can settle."""
        if self.answer.outcome in PERMITTED or self.answer.outcome in CLOSED:
            return
        for instance, rails in self.undecided():
            name = instance.block.id if instance.block is not None else instance.key
            for cause in {cause for each in rails for cause in each.humans}:
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
        names = set(self.answer.certain) or set(self.answer.undecided)
        found: dict[str, None] = {}
        for instance in self.program.instances:
            if not isinstance(instance.block, blocks.Requirement):
                continue
            if not any(instance.question(reason) in names for reason, _ in instance.reasons):
                continue
            act = next((stage.act for stage in self.slice.acts if stage.number == instance.act), None)
            for policy in instance.block.review:
                if truth_of(self.read(ground(policy.when, self.slice, act))) != "false":
                    found[policy.policy] = None
        return tuple(found)

    def marks(self) -> tuple[str, ...]:
        """Announcements of non-enforcement on what is open or undecided."""
        names = set(self.answer.certain) | set(self.answer.undecided)
        ids = {
            instance.block.id
            for instance in self.program.instances
            if instance.block is not None
            and any(instance.question(reason) in names for reason, _ in instance.reasons or ((None, ()),))
        }
        return tuple(f"announced_not_enforced:{name}" for name in sorted(ids & self.slice.not_enforced))

    def acts(self) -> Iterator[ActOutcome]:
        """Every act that is not surely absent, with its own answer."""
        for place, stage in enumerate(self.slice.acts):
            gates = self.program.gates[2 * place : 2 * place + 2]
            rails = [conjunction(list(each)) for each in zip(*map(self.read, gates), strict=True)]
            truth = truth_of(rails)
            live = self.live & ~self.engine.rows.of_other_acts(stage.number)
            soles = [
                self.engine.test(self.values, self.at, readings, live, self.pending.copy())
                for readings in self.readings
            ]
            outcome = joined_outcomes([sole.outcome for sole in soles])
            if truth == "false":
                subject = truth_of(self.read(gates[0])) != "false"
                outcome = "not_an_event" if subject else "not_subject"
            destination = None
            if stage.act.destination is not None:
                value = self.walks[0].fact(stage.act.destination)[1]
                destination = value if isinstance(value, str) else None
            yield ActOutcome(
                stage.scope.regime, stage.act.kind, stage.act.deemed, destination, truth, outcome
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
