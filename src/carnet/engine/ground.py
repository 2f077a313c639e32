"""Grounding: a condition of a slice with its definitions written out and its act filled in. Nothing is
evaluated here but constants."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec import structs

from carnet.rules import blocks, tree
from carnet.rules.slices import Slice

PARTY = "@"
"""The entity that stands for the party at hand inside `any_party` / `all_party`."""

ACT = tree.Term("act", "destination")
"""Stands for the destination of an act that has none."""

V = TypeVar("V", bound=tree.Tree)


def declared(term: tree.Term) -> tuple[str, ...]:
    """The paths under which the word of a term may be declared: a recipient and an exporter are parties."""
    own = f"{term.entity}.{term.name}"
    return (own, f"party.{term.name}") if term.entity in (PARTY, "recipient", "exporter") else (own,)


def ground(
    node: tree.Tree, slice_: Slice, act: blocks.Act | None = None, bound: Mapping[str, str] | None = None
) -> tree.Tree:
    """The condition without calls and without `act`. `bound` maps a parameter to an entity."""
    return _Grounding(slice_, act, bound or {}).node(node)


def inner(definition: str, slice_: Slice) -> tree.Tree:
    """A definition as read for the party at hand."""
    found = slice_.definitions.get(definition)
    if found is None:
        return tree.Open("untranslatable")
    return ground(found.when, slice_, None, {found.parameter: PARTY})


class _Grounding:
    def __init__(self, slice_: Slice, act: blocks.Act | None, bound: Mapping[str, str]) -> None:
        self.slice, self.act, self.bound = slice_, act, bound

    def term(self, term: tree.Term) -> tree.Term:
        return tree.Term(self.bound.get(term.entity, term.entity), term.name)

    def value(self, value: tree.Value) -> tree.Value | str | bool:
        if isinstance(value, tree.MostRecent):
            return tree.MostRecent(self.term(value.statuses))
        if value.entity != "act" or self.act is None:
            return self.term(value)
        if value.name == "destination":
            return self.act.destination if self.act.destination is not None else ACT
        return self.act.kind if value.name == "kind" else self.act.deemed

    def node(self, node: tree.Tree) -> tree.Tree:
        match node:
            case tree.Not(part):
                return negated(self.node(part))
            case tree.And(parts):
                return joined(tree.And, [self.node(part) for part in parts])
            case tree.Or(parts):
                return joined(tree.Or, [self.node(part) for part in parts])
            case tree.IsUnknown(part):
                return tree.IsUnknown(self.node(part))
            case tree.Reading(axis, values):
                return tree.Reading(axis, tuple((name, self.node(part)) for name, part in values))
            case tree.Call(name, entity):
                found = self.slice.definitions.get(name)
                if found is None:
                    return tree.Open("untranslatable")
                bound = {found.parameter: self.bound.get(entity, entity)}
                return ground(found.when, self.slice, self.act, bound)
            case tree.Quantified() | tree.Elapsed() | tree.Compare() | tree.Holds():
                return self.plain(node)
            case tree.Equals() | tree.In() | tree.Same():
                return self.on_value(node)
            case _:
                return node

    def plain(self, node: tree.Quantified | tree.Elapsed | tree.Compare | tree.Holds) -> tree.Tree:
        if isinstance(node, tree.Elapsed):
            return structs.replace(node, since=self.term(node.since))
        if isinstance(node, tree.Holds):
            value = self.value(node.term)
            return tree.Const(value) if isinstance(value, bool) else tree.Holds(self.term(node.term))
        return structs.replace(node, term=self.term(node.term))

    def on_value(self, node: tree.Equals | tree.In | tree.Same) -> tree.Tree:
        if isinstance(node, tree.Same):
            left, right = self.value(node.left), self.value(node.right)
            if isinstance(left, str) and isinstance(right, str):
                return tree.Const(left == right)
            if isinstance(left, str | bool) or isinstance(right, str | bool):
                word, other = (left, right) if isinstance(left, str | bool) else (right, left)
                assert not isinstance(other, str | bool)
                return tree.Equals(other, str(word))
            return tree.Same(left, right)
        value = self.value(node.value)
        if not isinstance(value, str | bool):
            return structs.replace(node, value=value)
        if isinstance(node, tree.Equals):
            return tree.Const(value == node.literal)
        if isinstance(node.members, tree.Literals):
            return tree.Const(value in node.members.members)
        return tree.In(tree.Term("act", str(value)), node.members)


def negated(part: tree.Tree) -> tree.Tree:
    match part:
        case tree.Const(value):
            return tree.Const(not value)
        case tree.Not(inside):
            return inside
        case _:
            return tree.Not(part)


def joined(kind: type[tree.And] | type[tree.Or], parts: list[tree.Tree]) -> tree.Tree:
    """The parts as one, constants and nesting taken out; none of it changes a truth or an ask."""
    absorbing = tree.FALSE if kind is tree.And else tree.TRUE
    flat: list[tree.Tree] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    if absorbing in flat:
        return absorbing
    kept = [part for part in flat if not isinstance(part, tree.Const)]
    if not kept:
        return tree.TRUE if kind is tree.And else tree.FALSE
    return kept[0] if len(kept) == 1 else kind(tuple(kept))
