"""The conditions of a slice as shared ones: equal conditions are one object, so that what was found of one is
kept by its identity and counts wherever it stands. Nothing is evaluated here."""

from collections.abc import Callable
from typing import TypeVar, cast

from carnet.rules import tree

V = TypeVar("V", bound=tree.Tree)


def inside(node: tree.Tree) -> tuple[tree.Tree, ...]:
    """The parts that a condition is made of, without what is below them."""
    match node:
        case tree.And(parts) | tree.Or(parts):
            return parts
        case tree.Not(part) | tree.IsUnknown(part):
            return (part,)
        case tree.Reading(_, values):
            return tuple(part for _, part in values)
    return ()


class Shared:
    """Every condition of a slice once, with all its parts. They live as long as this does."""

    def __init__(self) -> None:
        self._kept: dict[object, tree.Tree] = {}
        self._own: set[int] = set()

    def __call__(self, node: V) -> V:
        """The one object that stands for the condition."""
        if id(node) in self._own:
            return node
        key, whole = self._on_shared_parts(node)
        found = self._kept.setdefault(key, whole)
        self._own.add(id(found))
        return cast(V, found)

    def _on_shared_parts(self, node: tree.Tree) -> tuple[object, tree.Tree]:
        """What a condition is known by, its parts or itself if it has none, and the same on shared parts."""
        match node:
            case tree.And(parts) | tree.Or(parts):
                inside = tuple(map(self, parts))
                return (type(node), *map(id, inside)), type(node)(inside)
            case tree.Not(part) | tree.IsUnknown(part):
                own = self(part)
                return (type(node), id(own)), type(node)(own)
            case tree.Reading(axis, values):
                read = tuple((name, self(part)) for name, part in values)
                return (axis, *((name, id(part)) for name, part in read)), tree.Reading(axis, read)
            case _:
                return node, node

    def axes(self, of: Callable[[tree.Tree], frozenset[str]]) -> dict[int, frozenset[str]]:
        """By its identity, the axes of every condition that has some: of a whole its own and those of its
        parts, of one without parts what `of` gives."""
        found: dict[int, frozenset[str]] = {}
        for node in self.all():
            parts = inside(node)
            axes = frozenset[str]().union(*(found.get(id(part), ()) for part in parts))
            if isinstance(node, tree.Reading):
                axes |= {node.axis}
            if axes := axes if parts else of(node):
                found[id(node)] = axes
        return found

    def all(self) -> list[tree.Tree]:
        """Every condition, each after its parts."""
        return list(self._kept.values())
