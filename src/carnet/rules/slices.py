"""A rulebook resolved for one instant: what is in force, what lists hold, which readings are open. The
unit that is compiled and cached. How it is evaluated is in `carnet.engine`."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from msgspec import Struct, structs

from carnet.model.determination import Choices
from carnet.model.errors import Problem, RulesError
from carnet.model.time import Force
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

SUSPENDING = frozenset({"stay", "saving_clause", "compliance_date", "supersession", "end"})
MAX_AXES = 6
MAYBE = tree.Open("unclear")
PRODUCT = tree.Term("item", "product")

Conditional = blocks.Requirement | blocks.Prohibition | blocks.Exception_ | blocks.Bar | blocks.RedFlag

MOST_KEPT = 16
"""Slices that a rulebook keeps. With its engine, one of the shipped law takes some 11 MB."""

FIRST, LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)

Between = tuple[dt.datetime, dt.datetime]

B = TypeVar("B", bound=blocks.Block)
C = TypeVar("C", bound=Conditional)
K = TypeVar("K")
V = TypeVar("V")


class ResolvedList(Struct, frozen=True):
    """A list at an instant. `id` is the list that prevails. `known` is "no" outside the content of the
    list, and "maybe" inside a window of it."""

    id: str
    members: frozenset[str]
    maybe: frozenset[str]
    domain: frozenset[str] | None
    known: Force


class Resolved(Struct, Generic[C], frozen=True):
    """A block whose condition holds its force, its suspensions and its staleness."""

    block: C
    when: tree.Tree


class Stage(Struct, frozen=True):
    """An act of a scope in the slice: its number over all scopes of the rulebook."""

    number: int
    scope: blocks.Scope
    act: blocks.Act
    subject: tree.Tree
    happens: tree.Tree
    covered: bool


class Slice(Struct, frozen=True, kw_only=True, eq=False, dict=True, weakref=True):
    """Everything that an engine needs between two change instants. `start` and `end` are None beyond the
    first and the last."""

    rulebook: Rulebook
    start: dt.datetime | None
    end: dt.datetime | None
    acts: tuple[Stage, ...]
    rules: tuple[Resolved[blocks.Requirement] | Resolved[blocks.Prohibition], ...]
    exceptions: tuple[Resolved[blocks.Exception_], ...]
    bars: tuple[Resolved[blocks.Bar], ...]
    flags: tuple[Resolved[blocks.RedFlag], ...]
    definitions: Mapping[str, blocks.Definition]
    lists: Mapping[str, ResolvedList]
    axes: Mapping[str, tuple[str, ...]]
    not_enforced: frozenset[str]
    own_gate: bool

    @cached_property
    def kept(self) -> dict[type, Any]:
        """What others have worked out from it and may want again. It goes when the slice goes."""
        return {}


def change_instants(
    rulebook: Rulebook, known: dt.datetime, choices: Choices | None = None
) -> list[dt.datetime]:
    """Every instant at which the law known at `known` may change, in order."""
    limit = choices.stale_after_days if choices is not None else None
    found: set[dt.datetime] = set()
    for block in rulebook.blocks:
        if block.known > known:
            continue
        found.update(block.span.edges())
        if isinstance(block, blocks.List):
            found.update(block.content.edges())
            found.update(edge for row in block.members for edge in row.span.edges())
        if limit is not None and block.verified is not None:
            found.add(block.verified + dt.timedelta(days=limit))
    return sorted(found)


def known_instants(rulebook: Rulebook) -> list[dt.datetime]:
    """Every instant at which something became known, in order."""
    rows = (row.known for block in rulebook.of(blocks.List) for row in block.members)
    return sorted({block.known for block in rulebook.blocks} | set(rows))


class Found:
    """What was worked out of a rulebook. `slices` has those that were asked for last, the latest at its end;
    `living` has these too, and whatever else somebody holds. `last` is the slice that was asked for last: the
    instants of law and of knowledge between which it holds, the choices for which it does, and itself."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.knowns = known_instants(rulebook)
        self.instants: dict[tuple[int, int | None], list[dt.datetime]] = {}
        self.slices: dict[tuple[object, ...], Slice] = {}
        self.living: WeakValueDictionary[tuple[object, ...], Slice] = WeakValueDictionary()
        self.making = Lock()
        self.last: tuple[Between, Between, int | None, Mapping[str, str], Slice] | None = None


def keep(cache: dict[K, V], key: K, value: V) -> V:
    """What a cache has for the key: this value, if it had none. Full, it forgets what it had first."""
    value = cache.setdefault(key, value)
    while len(cache) > MOST_KEPT:
        cache.pop(next(iter(list(cache))), None)
    return value


def between(instants: list[dt.datetime], position: int) -> Between:
    """The instants before and after a place among them."""
    before = instants[position - 1] if position else FIRST
    return before, instants[position] if position < len(instants) else LAST


def slice_at(rulebook: Rulebook, at: dt.datetime, known: dt.datetime, choices: Choices) -> Slice:
    """The slice for an instant of law and of knowledge. Kept on the rulebook: the same slice is the same
    object while somebody holds it, and else until 16 others were asked for.

    Raises RulesError if more than six axes are left open.
    """
    found: Found | None = rulebook.kept.get(Found)
    if found is None:
        found = rulebook.kept[Found] = Found(rulebook)
    limit, readings = choices.stale_after_days, choices.readings
    if found.last is not None:
        (first, after), (since, until), same, chosen, last = found.last
        if first <= at < after and since <= known < until and limit == same and readings == chosen:
            return last
    knew = bisect_right(found.knowns, known)
    instants = found.instants.get((knew, limit))
    if instants is None:
        instants = keep(found.instants, (knew, limit), change_instants(rulebook, known, choices))
    position = bisect_right(instants, at)
    span = between(instants, position)
    key = (knew, position, limit, tuple(sorted(readings.items())))
    with found.making:
        slice_ = found.living.get(key)
        if slice_ is None:
            start = span[0] if position else None
            end = span[1] if position < len(instants) else None
            slice_ = found.living[key] = _Resolver(rulebook, at, known, choices).slice(start, end)
        found.slices.pop(key, None)
        keep(found.slices, key, slice_)
    found.last = (span, between(found.knowns, knew), limit, dict(readings), slice_)
    return slice_


def axes_of(trees: Iterable[tree.Tree]) -> dict[str, set[str]]:
    """The axes that conditions read, with all their values."""
    axes: dict[str, set[str]] = {}
    for node in (part for whole in trees for part in tree.parts_of(whole)):
        if isinstance(node, tree.Reading):
            axes.setdefault(node.axis, set()).update(value for value, _ in node.values)
    return axes


class _Resolver:
    def __init__(self, rulebook: Rulebook, at: dt.datetime, known: dt.datetime, choices: Choices) -> None:
        self.rulebook, self.at, self.known, self.choices = rulebook, at, known, choices
        self.overlays: dict[str, list[blocks.Overlay]] = {}
        for overlay in self.visible(blocks.Overlay):
            self.overlays.setdefault(overlay.target, []).append(overlay)

    def visible(self, kind: type[B]) -> Iterator[B]:
        return (block for block in self.rulebook.of(kind) if block.known <= self.known)

    def slice(self, start: dt.datetime | None, end: dt.datetime | None) -> Slice:
        definitions = {
            block.name: structs.replace(block, when=self.picked(block.when))
            for block in self.visible(blocks.Definition)
            if block.span.holds(self.at) == "yes"
        }
        rules: tuple[Resolved[blocks.Requirement] | Resolved[blocks.Prohibition], ...] = (
            *self.resolved(blocks.Requirement, opens=False),
            *self.resolved(blocks.Prohibition, opens=False),
        )
        exceptions = tuple(self.resolved(blocks.Exception_, opens=True))
        bars = tuple(self.resolved(blocks.Bar, opens=False))
        flags = tuple(self.resolved(blocks.RedFlag, opens=None))
        acts = tuple(self.acts())
        trees = [block.when for block in definitions.values()]
        trees += [resolved.when for resolved in rules]
        trees += [resolved.when for resolved in exceptions]
        trees += [resolved.when for resolved in bars]
        trees += [resolved.when for resolved in flags]
        trees += [part for stage in acts for part in (stage.subject, stage.happens)]
        axes = axes_of(trees)
        if len(axes) > MAX_AXES:
            names = ", ".join(f"`{name}`" for name in sorted(axes))
            raise RulesError(
                [
                    Problem(
                        "choices",
                        1,
                        f"{len(axes)} axes are open ({names}): choose readings for all but {MAX_AXES}",
                    )
                ]
            )
        marks = (
            o
            for o in self.visible(blocks.Overlay)
            if o.kind == "not_enforced" and o.span.holds(self.at) == "yes"
        )
        return Slice(
            rulebook=self.rulebook,
            start=start,
            end=end,
            acts=acts,
            rules=rules,
            exceptions=exceptions,
            bars=bars,
            flags=flags,
            definitions=definitions,
            lists=self.lists(),
            axes={
                name: tuple(sorted(values))
                for name, values in axes_of(self.rulebook.trees()).items()
                if name in axes
            },
            not_enforced=frozenset(overlay.target for overlay in marks),
            own_gate=any(
                rule.gate == "own" and rule.span.holds(self.at) != "no" for rule in self.visible(blocks.Rule)
            ),
        )

    def picked(self, node: tree.Tree) -> tree.Tree:
        """The condition with the readings that were chosen."""
        match node:
            case tree.Reading(axis, values):
                choice = self.choices.readings.get(axis)
                if choice is None:
                    return tree.Reading(axis, tuple((value, self.picked(part)) for value, part in values))
                chosen = dict(values).get(choice)
                return tree.Open("unclear") if chosen is None else self.picked(chosen)
            case tree.Not(part):
                return tree.Not(self.picked(part))
            case tree.IsUnknown(part):
                return tree.IsUnknown(self.picked(part))
            case tree.And(parts):
                return tree.And(tuple(self.picked(part) for part in parts))
            case tree.Or(parts):
                return tree.Or(tuple(self.picked(part) for part in parts))
            case _:
                return node

    def stale(self, block: blocks.Block) -> list[tree.Tree]:
        limit = self.choices.stale_after_days
        if limit is None or (block.verified and self.at < block.verified + dt.timedelta(days=limit)):
            return []
        return [tree.Open("stale", f"provision:{block.id}")]

    def resolved(self, kind: type[C], *, opens: bool | None) -> Iterator[Resolved[C]]:
        """Blocks in force or perhaps so. `opens`: true lets something through, false holds it back."""
        for block in self.visible(kind):
            force = block.span.holds(self.at)
            if force == "no":
                continue
            parts = [self.picked(block.when)]
            parts += [MAYBE] if force == "maybe" else []
            over = self.suspended(block.id)
            parts += [tree.Not(over)] if over is not None else []
            node: tree.Tree = tree.And(tuple(parts)) if len(parts) > 1 else parts[0]
            stale = self.stale(block) if opens is not None else []
            if stale:
                node = (tree.And if opens else tree.Or)((node, *stale))
            yield Resolved(block, node)

    def suspended(self, target: str) -> tree.Tree | None:
        parts: list[tree.Tree] = []
        for overlay in self.overlays.get(target, ()):
            force = overlay.span.holds(self.at)
            if overlay.kind not in SUSPENDING or force == "no":
                continue
            whole: list[tree.Tree] = [MAYBE] if force == "maybe" else []
            whole += [tree.In(PRODUCT, tree.Literals(overlay.products))] if overlay.products else []
            parts.append(tree.And(tuple(whole)) if whole else tree.TRUE)
        return tree.Or(tuple(parts)) if parts else None

    def acts(self) -> Iterator[Stage]:
        number = 0
        ruled = {
            (rule.regime, rule.stage)
            for rule in self.visible(blocks.Rule)
            if rule.span.holds(self.at) != "no"
        }
        coverage = [block for block in self.visible(blocks.Coverage) if block.span.holds(self.at) == "yes"]
        for scope in self.rulebook.of(blocks.Scope):
            force = scope.span.holds(self.at) if scope.known <= self.known else "no"
            stale = self.stale(scope)
            for act in scope.acts:
                number += 1
                if force == "no":
                    continue
                subject, happens = self.picked(scope.subject), self.picked(act.when)
                if stale:
                    subject, happens = tree.Or((subject, *stale)), tree.Or((happens, *stale))
                if force == "maybe":
                    subject = tree.And((subject, MAYBE))
                found = [b for b in coverage if b.regime == scope.regime and act.kind in b.kinds]
                stages = [stage for block in found for stage in block.stages]
                covered = bool(found) and all(s.no_rule or (scope.regime, s.name) in ruled for s in stages)
                yield Stage(number - 1, scope, act, subject, happens, covered)

    def lists(self) -> Mapping[str, ResolvedList]:
        own = {block.id: block for block in self.visible(blocks.List)}
        above = {
            block.prevails: block.id
            for block in reversed(own.values())
            if block.prevails is not None and block.content.holds(self.at) == "yes"
        }
        found: dict[str, ResolvedList] = {}
        for name in {block.id for block in self.rulebook.of(blocks.List)}:
            final = name
            while final in above:
                final = above[final]
            found[name] = self.list(final, own.get(final))
        return found

    def list(self, name: str, block: blocks.List | None) -> ResolvedList:
        if block is None:
            return ResolvedList(name, frozenset(), frozenset(), None, "no")
        surely, maybe = set(), set()
        for row in block.members:
            force = self.standing(row, f"{name}#{row.id}")
            if force == "yes":
                surely.add(row.id)
            elif force == "maybe":
                maybe.add(row.id)
        known = block.content.holds(self.at)
        return ResolvedList(name, frozenset(surely), frozenset(maybe - surely), block.domain, known)

    def standing(self, row: blocks.Member, target: str) -> Force:
        if row.known > self.known:
            return "no"
        force = row.span.holds(self.at)
        for overlay in self.overlays.get(target, ()):
            over = overlay.span.holds(self.at) if overlay.kind in SUSPENDING else "no"
            if over == "yes":
                return "no"
            if over == "maybe" and force == "yes":
                force = "maybe"
        return force
