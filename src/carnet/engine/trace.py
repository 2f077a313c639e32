"""A grounded condition, walked: its truth, what answers could make of it, the causes, and the facts that
decided it. Slow beside the generated code; used where that leaves something open, and for findings."""

import datetime as dt
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from carnet.engine.ground import ACT, PARTY, declared
from carnet.model.facts import ASKABLE, MISSING, Cause, Group, Known, Partial, Unknown, Values, most_recent
from carnet.model.time import ZONES, Days, days, years_after
from carnet.rules import tree
from carnet.rules.slices import ResolvedList

RESOLVED = "exporter.resolved_red_flags"
UNTRANSLATABLE = tree.Open("untranslatable")
"""Stands for a definition that is not in force."""


class Rails(NamedTuple):
    """Known true, known false, could be made true, could be made false; what it hangs on, and why; and the
    facts that were read to decide it."""

    true: bool
    false: bool
    may_true: bool
    may_false: bool
    asks: Mapping[str, str]
    humans: frozenset[str]
    facts: frozenset[str]


Presumption = tuple[str | bool, Mapping[str, str] | None]
"""A presumed value and, if red flags defeat it, what these hang on."""

NOTHING: Mapping[str, str] = {}
NONE: frozenset[str] = frozenset()


def sure(value: bool, *facts: str) -> Rails:
    return Rails(value, not value, value, not value, NOTHING, NONE, frozenset(facts))


def asked(path: str, cause: str) -> Rails:
    return Rails(False, False, True, True, {path: cause}, NONE, frozenset({path}))


def human(cause: str, *facts: str) -> Rails:
    return Rails(False, False, False, False, NOTHING, frozenset({cause}), frozenset(facts))


def negated(part: Rails) -> Rails:
    return part._replace(true=part.false, false=part.true, may_true=part.may_false, may_false=part.may_true)


def _union(parts: Iterable[Rails]) -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    asks: dict[str, str] = {}
    humans, facts = set(NONE), set(NONE)
    for part in parts:
        asks.update(part.asks)
        humans |= part.humans
        facts |= part.facts
    return asks, frozenset(humans), frozenset(facts)


def conjunction(given: Iterable[Rails]) -> Rails:
    """All of them, read up to the first that is false."""
    parts: list[Rails] = []
    for part in given:
        if part.false:
            return sure(False, *part.facts)
        parts.append(part)
    asks, humans, facts = _union(parts)
    true = all(part.true for part in parts)
    may_true, may_false = all(p.may_true for p in parts), any(p.may_false for p in parts)
    return Rails(true, False, may_true, may_false, asks, NONE if true else humans, facts)


def disjunction(given: Iterable[Rails]) -> Rails:
    """One of them, read up to the first that is true and hangs on nothing."""
    parts: list[Rails] = []
    for part in given:
        if part.true and not part.asks:
            return sure(True, *part.facts)
        parts.append(part)
    asks, humans, facts = _union(parts)
    true, false = any(part.true for part in parts), all(part.false for part in parts)
    may_true, may_false = any(p.may_true for p in parts), all(p.may_false for p in parts)
    return Rails(true, false, may_true, may_false, asks, NONE if true or false else humans, facts)


class Walk:
    """What a condition is read against. `presumed` gives a declared path its presumed value and, if a red
    flag defeats it, the asks of that flag; `party` is the one at hand inside a group.

    A condition is read once: what was found is kept by its identity, in `free` if the condition is not among
    those that `depend` on readings. `free` may be shared by walks that differ in nothing but readings.
    """

    def __init__(
        self,
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
        lists: Mapping[str, ResolvedList],
        inner: Mapping[str, tree.Tree],
        presumed: Mapping[str, Presumption],
        depends: Container[int],
        free: dict[int, Rails] | None = None,
        party: tuple[str, Mapping[str, Known]] | None = None,
    ) -> None:
        self.values, self.at, self.readings = values, at, readings
        self.lists, self.inner, self.presumed, self.party = lists, inner, presumed, party
        self.depends = depends
        self.free: dict[int, Rails] = {} if free is None else free
        self.bound: dict[int, Rails] = {}

    def fact(self, value: tree.Value) -> tuple[str, Known]:
        if isinstance(value, tree.MostRecent):
            path, statuses = self.fact(value.statuses)
            return path, most_recent(statuses)
        if value == ACT:
            return "", Unknown("unclear")
        if value.entity == PARTY and self.party is not None:
            path, found = f"{self.party[0]}.{value.name}", self.party[1].get(value.name, MISSING)
        else:
            path = f"{value.entity}.{value.name}"
            found = self.values.get(path, MISSING)
        presumption = self.presumption(value)
        if presumption is not None and isinstance(found, Unknown) and found.cause in ASKABLE:
            return path, presumption[0] if presumption[1] is None else Unknown("red_flag")
        return path, found

    def presumption(self, term: tree.Term) -> Presumption | None:
        return next((self.presumed[path] for path in declared(term) if path in self.presumed), None)

    def unknown(self, of: tree.Value, path: str, value: Unknown) -> Rails:
        if value.cause in ASKABLE:
            return asked(path, value.cause)
        result = human(value.cause, path)
        if value.cause == "red_flag" and isinstance(of, tree.Term):
            presumption = self.presumption(of)
            if presumption is not None and presumption[1]:
                return result._replace(asks=presumption[1])
        return result

    def member(self, value: str, members: tree.Members) -> Rails:
        if isinstance(members, tree.Literals):
            return sure(value in members.members)
        found = self.lists[members.id]
        if found.known == "no":
            return asked(f"list:{found.id}", "stale")
        if found.known == "maybe" or (found.domain is not None and value not in found.domain):
            return human("unclear")
        return human("unclear") if value in found.maybe else sure(value in found.members)

    def read(self, node: tree.Tree) -> Rails:
        """The truth of a grounded condition of the slice."""
        key = id(node)
        kept = self.bound if key in self.depends else self.free
        found = kept.get(key)
        if found is None:
            found = kept[key] = self.evaluated(node)
        return found

    def evaluated(self, node: tree.Tree) -> Rails:
        """The truth of a condition that was not read before."""
        match node:
            case tree.Const(value):
                return sure(value)
            case tree.Open(cause, path):
                return human(cause) if path is None else asked(path, cause)
            case tree.Not(part):
                return negated(self.read(part))
            case tree.And(parts):
                return conjunction(map(self.read, parts))
            case tree.Or(parts):
                return disjunction(map(self.read, parts))
            case tree.Reading(axis, values):
                chosen = dict(values).get(self.readings.get(axis, ""))
                return human("unclear") if chosen is None else self.read(chosen)
            case tree.IsUnknown(part):
                inside = self.read(part)
                if inside.true or inside.false:
                    return sure(False, *inside.facts)
                return sure(True, *inside.facts)._replace(asks=inside.asks)
            case tree.Resolved(flag):
                names = self.values.get(RESOLVED)
                names = names.members if isinstance(names, Partial) else names
                return sure(isinstance(names, frozenset) and flag in names)
            case tree.Parties():
                return self.parties(node)
            case tree.Quantified():
                return self.quantified(node)
            case tree.Call():
                return human("untranslatable")
            case _:
                return self.atom(node)

    def atom(
        self, node: tree.Holds | tree.Equals | tree.In | tree.Same | tree.Compare | tree.Elapsed
    ) -> Rails:
        match node:
            case tree.Same(left, right):
                return self.same(left, right)
            case tree.Equals(of) | tree.In(of):
                path, value = self.fact(of)
            case tree.Elapsed(of):
                path, value = self.fact(of)
            case tree.Holds(of) | tree.Compare(of):
                path, value = self.fact(of)
        if isinstance(value, Unknown):
            tests = [self.on(node, path, name) for name in sorted(value.candidates or ())]
            alike = all(test.true for test in tests) or all(test.false for test in tests)
            if tests and alike and isinstance(node, tree.Equals | tree.In):
                return sure(tests[0].true, path)
            return self.unknown(of, path, value)
        return self.on(node, path, value)

    def on(self, node: tree.Tree, path: str, value: Known) -> Rails:
        """An atom on a known value."""
        match node:
            case tree.Holds():
                return sure(value is True, path)
            case tree.Equals(_, literal):
                return sure(value == literal, path)
            case tree.In(_, members):
                found = self.member(str(value), members)
                return found._replace(facts=found.facts | {path} if path else found.facts)
            case tree.Compare(_, op, literal):
                return compared(path, value, op, literal)
            case tree.Elapsed(_, years):
                assert isinstance(value, Days)
                if self.at >= years_after(value.last, years, ZONES["us"]):
                    return sure(True, path)
                if self.at < years_after(value.first, years, ZONES["us"]):
                    return sure(False, path)
                return asked(path, "missing")
            case _:
                raise TypeError(f"not an atom: {node!r}")

    def same(self, left: tree.Value, right: tree.Value) -> Rails:
        (path, one), (other_path, other) = self.fact(left), self.fact(right)
        unknowns = [
            self.unknown(of, where, value)
            for of, where, value in ((left, path, one), (right, other_path, other))
            if isinstance(value, Unknown)
        ]
        if not unknowns:
            return sure(one == other, path, other_path)
        first = one.candidates if isinstance(one, Unknown) else frozenset({one})
        second = other.candidates if isinstance(other, Unknown) else frozenset({other})
        if first is not None and second is not None and not first & second:
            return sure(False, path, other_path)
        return conjunction(unknowns)

    def quantified(self, node: tree.Quantified) -> Rails:
        path, value = self.fact(node.term)
        if isinstance(value, Unknown):
            return self.unknown(node.term, path, value)
        names = value.members if isinstance(value, Partial) else value
        assert isinstance(names, frozenset)
        parts = [self.member(name, node.members) for name in sorted(names)]
        if isinstance(value, Partial):
            parts.append(asked(path, "missing"))
        if not parts:
            return sure(node.if_empty, path)
        found = disjunction(parts) if node.quantifier == "any" else conjunction(parts)
        return found._replace(facts=found.facts | {path})

    def parties(self, node: tree.Parties) -> Rails:
        parts: list[Rails] = []
        paths = [f"parties.{role}" for role in node.roles]
        for path in paths:
            group = self.values.get(path, MISSING)
            if isinstance(group, Group):
                for number, facts in enumerate(group.members):
                    parts.append(self.party_at(node, f"{path}[{number}]", facts))
                if not group.complete:
                    parts.append(self.others(node, path, "missing"))
            elif isinstance(group, Unknown):
                parts.append(self.others(node, path, group.cause))
        if not parts:
            return sure(node.if_empty, *paths)
        return disjunction(parts) if node.quantifier == "any" else conjunction(parts)

    def party_at(self, node: tree.Parties, path: str, facts: Mapping[str, Known]) -> Rails:
        inside = self.inner.get(node.definition, UNTRANSLATABLE)
        own = Walk(
            self.values,
            self.at,
            self.readings,
            self.lists,
            self.inner,
            self.presumed,
            self.depends,
            party=(path, facts),
        )
        return own.read(inside)

    def others(self, node: tree.Parties, path: str, cause: Cause) -> Rails:
        """Members that nobody has named: the group is open, and what the definition reads beside it."""
        open_, member = asked(path, cause) if cause in ASKABLE else human(cause, path), f"{path}[+]"
        inside = self.party_at(node, member, {}).asks.items()
        asks = {fact: why for fact, why in inside if not fact.startswith(f"{member}.")}
        return open_._replace(asks={**asks, **open_.asks}, facts=open_.facts | set(asks))


def compared(path: str, value: Known, op: tree.Op, literal: int | str) -> Rails:
    """A number, or a date as the days it may be, against a literal."""
    if isinstance(value, Days):
        other = days(str(literal))
        low, high, first, last = value.first, value.last, other.first, other.last
    else:
        assert isinstance(value, int)
        assert isinstance(literal, int)
        low, high, first, last = value, value, literal, literal
    match op:
        case "<":
            true, false = high < first, low >= last
        case "<=":
            true, false = high <= first, low > last
        case ">":
            true, false = low > last, high <= first
        case ">=":
            true, false = low >= last, high < first
    return sure(true, path) if true or false else asked(path, "missing")
