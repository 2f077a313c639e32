"""The questions of a slice, compiled: what is asked, behind which act, by which function. How they are
evaluated is in `carnet.engine.rows` and `carnet.engine.compiled`.

Every question is an *instance*: a rule, or what no rule covers, or a red flag, for an act.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product

from msgspec import Struct

from carnet.engine.codegen import Bits, Source
from carnet.engine.ground import declared, ground, inner
from carnet.engine.shared import Shared
from carnet.model.determination import Outcome
from carnet.model.errors import Problem, RulesError
from carnet.rules import blocks, tree
from carnet.rules.slices import Resolved, Slice, Stage

LIFTED: Mapping[str, Outcome] = {
    "carve_out": "no_license_required",
    "authorization": "authorized",
    "license_exception": "license_exception",
}
"""What lifts a requirement, the least burdensome first, and the permission that it gives."""


class Lifting(Struct, frozen=True):
    """An exception that may lift a reason: its own condition, every bar against it, and both as one."""

    exception: blocks.Exception_
    condition: tree.Tree
    bars: tuple[tuple[blocks.Bar, tree.Tree], ...]
    whole: tree.Tree


class Instance(Struct, frozen=True):
    """One question. `gates` are numbers in `Program.gates`, `applies` is `when` behind them; `reasons` say
    what may lift a requirement, `review` which policy an application is reviewed under, and when."""

    key: str
    kind: str
    block: blocks.Block | None
    act: int | None
    gates: tuple[int, ...]
    when: tree.Tree
    applies: tree.Tree
    reasons: tuple[tuple[str, tuple[Lifting, ...]], ...] = ()
    review: tuple[tuple[str, tree.Tree], ...] = ()

    def question(self, reason: str | None) -> str:
        """The key of the answer for a reason, or for the whole."""
        if reason is None:
            return self.key
        assert self.block is not None
        return f"{self.block.id}#{reason}{self.key[len(self.block.id) :]}"

    @property
    def waits(self) -> bool:
        """Whether it holds an answer open while it is unknown, though it is a flag."""
        match self.block:
            case blocks.RedFlag(open_when_unknown=True):
                return True
        return False

    def trees(self, gates: list[tree.Tree]) -> Iterator[tree.Tree]:
        """Every condition that the question rests on."""
        yield self.when
        yield from (gates[number] for number in self.gates)
        yield from (lifting.whole for _, found in self.reasons for lifting in found)


class Question(Struct, frozen=True):
    """An instance for one of its reasons, or for the whole. `stands` is the condition of its being open."""

    key: str
    instance: Instance
    reason: str | None
    able: tuple[Lifting, ...]
    stands: tree.Tree


class Presumed(Struct, frozen=True):
    """A term with a presumption, and the conditions of the flags that defeat it."""

    path: str
    value: str | bool
    flags: tuple[tree.Tree, ...]


class Program:
    """A slice, compiled."""

    def __init__(self, slice_: Slice) -> None:
        self.slice = slice_
        self.bits = Bits()
        self.shared = Shared()
        self.read: dict[int, tuple[tree.Tree, frozenset[str]]] = {}
        self.axes: dict[int, tuple[tree.Tree, frozenset[str]]] = {}
        self.grounds: dict[tuple[int, int | None], tree.Tree] = {}
        self.liftings: dict[tuple[str, int], Lifting] = {}
        self.inner: dict[str, tree.Tree] = {
            name: self.shared(inner(name, slice_)) for name in slice_.definitions
        }
        self.presumed = self.presumptions()
        numbers = {entry.path: number for number, entry in enumerate(self.presumed)}
        self.source = Source(slice_.lists, numbers, self.bits, self.inner)
        self.gates: list[tree.Tree] = []
        self.gate_of: dict[int, tuple[int, int]] = {}
        for stage in slice_.acts:
            self.gate_of[stage.number] = (len(self.gates), len(self.gates) + 1)
            self.gates += map(self.shared, (ground(stage.subject, slice_), ground(stage.happens, slice_)))
        self.acts = [
            self.shared(tree.And((self.gates[subject], self.gates[happens])))
            for subject, happens in self.gate_of.values()
        ]
        """By act: its gates as one."""
        self.instances = [*self.rules(), *self.gaps(), *self.flags()]
        self.questions = [*self.asked()]
        self.gate_axes = self.axes_of(self.gates)
        self.depends = self.shared.axes(lambda node: self.axes_of([node]))
        """By the identity of a shared condition: the axes that it depends on, if there are any."""

    @cached_property
    def durations(self) -> list[tree.Elapsed]:
        """Every `elapsed` that is read."""
        whole = [part for instance in self.instances for part in instance.trees(self.gates)]
        whole += [flag for entry in self.presumed for flag in entry.flags]
        whole += self.inner.values()
        found = {
            id(part): part for node in {id(w): w for w in whole}.values() for part in tree.parts_of(node)
        }
        return [part for part in found.values() if isinstance(part, tree.Elapsed)]

    def presumptions(self) -> list[Presumed]:
        """Presumed terms, each after those that its flags read."""
        specs = self.slice.rulebook.terms.specs.values()
        found = {
            spec.path: Presumed(
                spec.path,
                spec.presumption.value,
                tuple(
                    self.shared(ground(flag.when, self.slice))
                    for flag in self.slice.flags
                    if spec.path in flag.block.defeats
                ),
            )
            for spec in specs
            if spec.presumption is not None
        }
        ordered: list[Presumed] = []
        while found:
            ready = [
                entry
                for entry in found.values()
                if not any(path in found for flag in entry.flags for path in self.paths(flag))
            ]
            if not ready:
                names = ", ".join(f"`{path}`" for path in sorted(found))
                raise RulesError(
                    [Problem("terms.toml", 1, f"a cycle: red flags on {names} read each other's terms")]
                )
            ordered += ready
            for entry in ready:
                del found[entry.path]
        return ordered

    def paths(self, node: tree.Tree) -> frozenset[str]:
        """Declared paths of the terms that a grounded condition reads, those of parties included."""
        kept = self.read.get(id(node))
        if kept is not None:
            return kept[1]
        found: set[str] = set()
        for part in tree.parts_of(node):
            if isinstance(part, tree.Parties) and part.definition in self.inner:
                found |= self.paths(self.inner[part.definition])
        for term in tree.terms_of(node):
            found.update(declared(term))
        self.read[id(node)] = (node, frozenset(found))
        return self.read[id(node)][1]

    def presumes(self, trees: list[tree.Tree]) -> bool:
        presumed = {entry.path for entry in self.presumed}
        return any(presumed & self.paths(node) for node in trees)

    def axes_of(self, trees: list[tree.Tree]) -> frozenset[str]:
        """The axes that an instance reads, also in definitions and in the flags on its presumptions."""
        found = frozenset[str]().union(*(self.axes_in(node) for node in trees))
        if self.presumes(trees):
            found |= frozenset().union(*(self.axes_in(f) for entry in self.presumed for f in entry.flags))
        return found

    def axes_in(self, node: tree.Tree) -> frozenset[str]:
        """The axes of one condition, and of the definitions that it asks of parties."""
        kept = self.axes.get(id(node))
        if kept is not None:
            return kept[1]
        found: set[str] = set()
        for part in tree.parts_of(node):
            if isinstance(part, tree.Reading):
                found.add(part.axis)
            elif isinstance(part, tree.Parties) and part.definition in self.inner:
                found |= self.axes_in(self.inner[part.definition])
        self.axes[id(node)] = (node, frozenset(found))
        return self.axes[id(node)][1]

    def placed(
        self, block: blocks.Rule | blocks.RedFlag, reads_act: bool
    ) -> Iterator[tuple[str, Stage | None, tuple[int, ...]]]:
        """Where a rule or flag is read: the suffix of its key, the act, and the gates."""
        behind_scope = isinstance(block, blocks.Rule) and block.gate == "scope"
        if not behind_scope and not reads_act:
            yield "", None, ()
            return
        for stage in self.slice.acts:
            if stage.scope.regime == block.regime:
                subject, happens = self.gate_of[stage.number]
                yield f"@{stage.number}", stage, (subject, happens) if behind_scope else (happens,)

    def rules(self) -> Iterator[Instance]:
        for resolved in self.slice.rules:
            rule = resolved.block
            able = [
                e for e in self.slice.exceptions if any(lift.requirement == rule.id for lift in e.block.lifts)
            ]
            barring = {e.block.id: [bar for bar in self.slice.bars if bars(bar.block, e.block)] for e in able}
            against_any = (bar.block for group in barring.values() for bar in group)
            written = [block.when for block in (rule, *(e.block for e in able), *against_any)]
            reads_act = any(tree.speaks_of(when, "act") for when in written)
            for suffix, stage, gates in self.placed(rule, reads_act):
                act = stage.act if stage else None
                reasons = tuple(
                    (
                        reason,
                        tuple(
                            self.lifting(e, barring[e.block.id], act)
                            for e in able
                            if agrees(rule, reason, e.block)
                        ),
                    )
                    for reason in (rule.reasons if isinstance(rule, blocks.Requirement) else ())
                )
                node = self.grounded(resolved.when, act)
                if node == tree.FALSE:
                    continue
                yield Instance(
                    key=f"{rule.id}{suffix}",
                    kind="open" if isinstance(rule, blocks.Requirement) else "prohibition",
                    block=rule,
                    act=stage.number if stage else None,
                    gates=gates,
                    when=node,
                    applies=self.applies(gates, node),
                    reasons=reasons,
                    review=tuple(
                        (policy.policy, self.grounded(policy.when, act))
                        for policy in (rule.review if isinstance(rule, blocks.Requirement) else ())
                    ),
                )

    def applies(self, gates: tuple[int, ...], when: tree.Tree) -> tree.Tree:
        """A condition behind its gates."""
        return self.shared(tree.And((*(self.gates[number] for number in gates), when)))

    def asked(self) -> Iterator[Question]:
        """Every instance for each of its reasons."""
        for instance in self.instances:
            for reason, able in instance.reasons or ((None, ()),):
                lifted = tree.Or(tuple(lifting.whole for lifting in able))
                stands = self.shared(tree.And((instance.applies, tree.Not(lifted))))
                yield Question(instance.question(reason), instance, reason, able, stands)

    def grounded(self, node: tree.Tree, act: blocks.Act | None) -> tree.Tree:
        """A condition of the slice for an act; one that does not speak of the act is the same for all."""
        key = (id(node), id(act) if tree.speaks_of(node, "act") else None)
        found = self.grounds.get(key)
        if found is None:
            found = self.grounds[key] = self.shared(ground(node, self.slice, act))
        return found

    def lifting(
        self,
        exception: Resolved[blocks.Exception_],
        barring: list[Resolved[blocks.Bar]],
        act: blocks.Act | None,
    ) -> Lifting:
        """An exception with the bars against it, for an act."""
        key = (exception.block.id, id(act))
        found = self.liftings.get(key)
        if found is None:
            condition = self.grounded(exception.when, act)
            against = tuple((bar.block, self.grounded(bar.when, act)) for bar in barring)
            both = self.shared(tree.And((condition, *(tree.Not(part) for _, part in against))))
            found = self.liftings[key] = Lifting(exception.block, condition, against, both)
        return found

    def gaps(self) -> Iterator[Instance]:
        for stage in self.slice.acts:
            if not stage.covered:
                gates = self.gate_of[stage.number]
                unclear = self.shared(tree.Open("unclear"))
                applies = self.applies(gates, unclear)
                yield Instance(f"gap@{stage.number}", "gap", None, stage.number, gates, unclear, applies)

    def flags(self) -> Iterator[Instance]:
        for resolved in self.slice.flags:
            flag = resolved.block
            if flag.defeats:
                continue
            for suffix, stage, gates in self.placed(flag, tree.speaks_of(flag.when, "act")):
                node = self.shared(ground(resolved.when, self.slice, stage.act if stage else None))
                slow = of_unknowns(node)
                kind = "walked_flag" if slow else "open_flag" if flag.open_when_unknown else "flag"
                number = stage.number if stage else None
                applies = self.applies(gates, node)
                yield Instance(f"flag:{flag.id}{suffix}", kind, flag, number, gates, node, applies)

    def sets(self, members: tree.Members) -> list[frozenset[str]]:
        if isinstance(members, tree.Literals):
            return [members.members]
        found = self.slice.lists[members.id]
        return [found.members, found.maybe, *([found.domain] if found.domain is not None else [])]


def of_unknowns(node: tree.Tree) -> bool:
    """Whether the condition asks what is unknown; that can only be walked."""
    return any(isinstance(part, tree.IsUnknown) for part in tree.parts_of(node))


def combinations(slice_: Slice, axes: frozenset[str]) -> list[dict[str, str]]:
    """Every way to read the axes."""
    names = sorted(axes)
    return [
        dict(zip(names, values, strict=True)) for values in product(*(slice_.axes[name] for name in names))
    ]


def bars(bar: blocks.Bar, exception: blocks.Exception_) -> bool:
    """Whether a bar is about an exception, by class or by path."""
    return exception.path not in bar.except_ and bool({exception.class_, exception.path} & bar.blocks)


def agrees(rule: blocks.Rule, reason: str, exception: blocks.Exception_) -> bool:
    """Whether rule and exception agree that this one may lift that reason."""
    assert isinstance(rule, blocks.Requirement)
    if (
        exception.path if exception.class_ == "license_exception" else exception.class_
    ) not in rule.lifted_by:
        return False
    return any(
        lift.requirement == rule.id and (lift.reasons is None or reason in lift.reasons)
        for lift in exception.lifts
    )
