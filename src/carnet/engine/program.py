"""The questions of a slice, compiled: what is asked, behind which act, by which function. How they are
evaluated is in `carnet.engine.decide`.

Every question is an *instance*. An index says, for each fact that has few values of interest, which
instances can still be open when only that fact is known; three-valued logic being monotone, the others
are known false whatever else is known.
"""

from collections.abc import Iterator, Mapping
from itertools import product

from msgspec import Struct

from carnet.engine.codegen import INDEXING, Bits, Code, Source
from carnet.engine.ground import PARTY, ground, inner
from carnet.model.errors import Problem, RulesError
from carnet.model.facts import Known
from carnet.rules import blocks, tree
from carnet.rules.slices import Slice, Stage

OTHER = "\0any other"
MOST_LEARNT = 4096
"""Values of one path for which the index is kept."""


class Lifting(Struct, frozen=True):
    """An exception that may lift a reason: its own condition, every bar against it, and both as one."""

    exception: blocks.Exception_
    condition: tree.Tree
    bars: tuple[tuple[blocks.Bar, tree.Tree], ...]
    whole: tree.Tree
    name: str


class Instance(Struct, frozen=True):
    """One question. `gates` are numbers in `Program.gates`; `name` is the function that answers the rest;
    `reasons` say what may lift a requirement."""

    key: str
    kind: str
    block: blocks.Block | None
    act: int | None
    gates: tuple[int, ...]
    when: tree.Tree
    name: str
    reasons: tuple[tuple[str, tuple[Lifting, ...]], ...] = ()

    def question(self, reason: str | None) -> str:
        """The key of the answer for a reason, or for the whole."""
        if reason is None or self.block is None:
            return self.key
        return f"{self.block.id}#{reason}{self.key[len(self.block.id) :]}"

    def trees(self, gates: list[tree.Tree]) -> Iterator[tree.Tree]:
        """Every condition that the question rests on."""
        yield self.when
        yield from (gates[number] for number in self.gates)
        yield from (lifting.whole for _, found in self.reasons for lifting in found)


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
        self.inner: dict[str, tree.Tree] = {name: inner(name, slice_) for name in slice_.definitions}
        self.presumed = self.presumptions()
        numbers = {entry.path: number for number, entry in enumerate(self.presumed)}
        self.source = Source(slice_.lists, numbers, self.bits, self.inner)
        self.gates: list[tree.Tree] = []
        self.gate_of: dict[int, tuple[int, int]] = {}
        for stage in slice_.acts:
            self.gate_of[stage.number] = (len(self.gates), len(self.gates) + 1)
            self.gates += [ground(stage.subject, slice_), ground(stage.happens, slice_)]
        gate_names = [self.source.function(gate) for gate in self.gates]
        self.instances = [*self.rules(), *self.gaps(), *self.flags()]
        self.codes: Mapping[str, Code] = self.source.made()
        self.gate_codes = [self.codes[name] for name in gate_names]
        trees = [list(instance.trees(self.gates)) for instance in self.instances]
        self.axes = [self.axes_of(group) for group in trees]
        self.gate_axes = self.axes_of(self.gates)
        self.presuming = sum(1 << n for n, group in enumerate(trees) if self.presumes(group))
        self.all = (1 << len(self.instances)) - 1
        self.index = list(self.indexed(trees))
        self.learners = self.read_by(trees, (tree.Quantified, tree.Compare, tree.Equals))
        indexed = {path for path, _, _ in self.index}
        self.learnt: list[tuple[str, dict[Known, int]]] = [
            (path, {}) for path in sorted(self.learners) if path not in indexed
        ]
        self._learnt = dict(self.learnt)

    def presumptions(self) -> list[Presumed]:
        """Presumed terms, each after those that its flags read."""
        specs = self.slice.rulebook.terms.specs.values()
        found = {
            spec.path: Presumed(
                spec.path,
                spec.presumption.value,
                tuple(
                    ground(flag.when, self.slice)
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
                if not any(
                    path in found for flag in entry.flags for path in self.paths(flag) if path != entry.path
                )
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

    def paths(self, node: tree.Tree) -> set[str]:
        """Declared paths of the terms that a grounded condition reads, those of parties included."""
        found: set[str] = set()
        for part in tree.parts_of(node):
            if isinstance(part, tree.Parties) and part.definition in self.inner:
                found |= self.paths(self.inner[part.definition])
        for term in tree.terms_of(node):
            found.add(f"{term.entity}.{term.name}")
            if term.entity in (PARTY, "recipient", "exporter"):
                found.add(f"party.{term.name}")
        return found

    def presumes(self, trees: list[tree.Tree]) -> bool:
        presumed = {entry.path for entry in self.presumed}
        return any(presumed & self.paths(node) for node in trees)

    def axes_of(self, trees: list[tree.Tree]) -> frozenset[str]:
        """The axes that an instance reads, also in definitions and in the flags on its presumptions."""
        found: set[str] = set()
        todo = list(trees)
        if self.presumes(trees):
            todo += [flag for entry in self.presumed for flag in entry.flags]
        while todo:
            for part in tree.parts_of(todo.pop()):
                if isinstance(part, tree.Reading):
                    found.add(part.axis)
                elif isinstance(part, tree.Parties) and part.definition in self.inner:
                    todo.append(self.inner[part.definition])
        return frozenset(found)

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
                reasons: list[tuple[str, tuple[Lifting, ...]]] = []
                made: dict[str, Lifting] = {}
                for reason in rule.reasons if isinstance(rule, blocks.Requirement) else ():
                    found = []
                    for exception in able:
                        block = exception.block
                        if not agrees(rule, reason, block):
                            continue
                        if block.id not in made:
                            condition = ground(exception.when, self.slice, act)
                            against = [
                                (bar.block, ground(bar.when, self.slice, act)) for bar in barring[block.id]
                            ]
                            both = tree.And((condition, *(tree.Not(part) for _, part in against)))
                            name = self.source.function(both)
                            made[block.id] = Lifting(block, condition, tuple(against), both, name)
                        found.append(made[block.id])
                    reasons.append((reason, tuple(found)))
                node = ground(resolved.when, self.slice, act)
                kind = "open" if isinstance(rule, blocks.Requirement) else "prohibition"
                number = stage.number if stage else None
                yield Instance(
                    f"{rule.id}{suffix}",
                    kind,
                    rule,
                    number,
                    gates,
                    node,
                    self.source.function(node),
                    tuple(reasons),
                )

    def gaps(self) -> Iterator[Instance]:
        for stage in self.slice.acts:
            if not stage.covered:
                node = tree.Open("unclear")
                name = self.source.function(node)
                yield Instance(
                    f"gap@{stage.number}", "gap", None, stage.number, self.gate_of[stage.number], node, name
                )

    def flags(self) -> Iterator[Instance]:
        for resolved in self.slice.flags:
            flag = resolved.block
            if flag.defeats:
                continue
            for suffix, stage, gates in self.placed(flag, tree.speaks_of(flag.when, "act")):
                node = ground(resolved.when, self.slice, stage.act if stage else None)
                slow = any(isinstance(part, tree.IsUnknown) for part in tree.parts_of(node))
                kind = "walked_flag" if slow else "open_flag" if flag.open_when_unknown else "flag"
                name = self.source.function(node)
                yield Instance(
                    f"flag:{flag.id}{suffix}", kind, flag, stage.number if stage else None, gates, node, name
                )

    def indexed(self, trees: list[list[tree.Tree]]) -> Iterator[tuple[str, dict[str | bool, int], int]]:
        """For each path: the instances that may still be open, by value; and for any other value."""
        readers: dict[str, set[int]] = {}
        values: dict[str, set[str]] = {}
        groups: dict[str, set[frozenset[str]]] = {}
        for number, group in enumerate(trees):
            if self.instances[number].kind == "walked_flag":
                continue
            for node in (part for whole in group for part in tree.parts_of(whole)):
                term = node.term if isinstance(node, tree.Holds) else getattr(node, "value", None)
                if not isinstance(term, tree.Term) or term.entity in ("act", PARTY):
                    continue
                path = f"{term.entity}.{term.name}"
                readers.setdefault(path, set()).add(number)
                if isinstance(node, tree.Equals) and isinstance(node.literal, str):
                    values.setdefault(path, set()).add(node.literal)
                    groups.setdefault(path, set()).add(frozenset({node.literal}))
                elif isinstance(node, tree.In):
                    for members in self.sets(node.members):
                        values.setdefault(path, set()).update(members)
                        groups.setdefault(path, set()).add(members)
                elif isinstance(node, tree.Holds):
                    values.setdefault(path, set())
        for path in sorted(readers):
            if path not in values:
                continue
            masks: dict[tuple[bool, ...], int] = {}
            sets = sorted(groups.get(path, ()), key=sorted)
            table: dict[str | bool, int] = {}
            for value in values[path]:
                signature = tuple(value in members for members in sets)
                if signature not in masks:
                    masks[signature] = self.open_with(path, value, readers[path])
                table[value] = masks[signature]
            default = self.open_with(path, OTHER, readers[path])
            for truth in (True, False):
                table[truth] = self.open_with(path, truth, readers[path])
            if any(mask != self.all for mask in (*table.values(), default)):
                yield path, table, default

    def read_by(self, trees: list[list[tree.Tree]], kinds: tuple[type, ...]) -> dict[str, set[int]]:
        """The instances that read each path in a condition of those kinds."""
        found: dict[str, set[int]] = {}
        for number, group in enumerate(trees):
            for node in (part for whole in group for part in tree.parts_of(whole)):
                if isinstance(node, kinds) and self.instances[number].kind != "walked_flag":
                    for term in tree.terms_of(node):
                        if term.entity not in ("act", PARTY):
                            found.setdefault(f"{term.entity}.{term.name}", set()).add(number)
        return found

    def learn(self, path: str, value: Known) -> int:
        """The instances that may be open with a value never met before; kept, as far as there is room."""
        learnt = self._learnt[path]
        if len(learnt) >= MOST_LEARNT:
            return self.all
        mask = learnt[value] = self.open_with(path, value, self.learners[path])
        return mask

    def sets(self, members: tree.Members) -> list[frozenset[str]]:
        if isinstance(members, tree.Literals):
            return [members.members]
        found = self.slice.lists.get(members.id)
        return (
            [found.members, found.maybe, *([found.domain] if found.domain is not None else [])]
            if found
            else []
        )

    def open_with(self, path: str, value: Known, readers: set[int]) -> int:
        """The instances that are not known false when only this fact is known."""
        mask = self.all
        facts: dict[str, Known] = {path: value, INDEXING: True}
        presumptions = [None] * len(self.presumed)
        for number in readers:
            instance = self.instances[number]
            parts = [self.codes[instance.name], *(self.gate_codes[gate] for gate in instance.gates)]
            try:
                dead = all(
                    any(part(facts, None, readings, presumptions) < 0 for part in parts)
                    for readings in combinations(self.slice, self.axes[number])
                )
            except (TypeError, AttributeError):
                dead = False
            if dead:
                mask &= ~(1 << number)
        return mask


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
