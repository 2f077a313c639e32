"""Conditions, read naively: the sections "Values" and "Force" of docs/explanation/decision.md, in their
order. Slow on purpose: it works out force, overlays and lists itself, every time. What is asked of
the conditions is in `carnet.engine.reference`."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from carnet.model.determination import Choices
from carnet.model.facts import ASKABLE, MISSING, Group, Known, Partial, Unknown, Values, most_recent
from carnet.model.time import ZONES, Days, Span, days, years_after
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

B = TypeVar("B", bound=blocks.Block)
SUSPENDING = frozenset({"stay", "saving_clause", "compliance_date", "supersession", "end"})
RESOLVED = "exporter.resolved_red_flags"


class Kleene(NamedTuple):
    """Known true, known false; what answers could make it; and the facts it hangs on."""

    true: bool
    false: bool
    may_true: bool
    may_false: bool
    asks: frozenset[str] = frozenset()


TRUE, FALSE = Kleene(True, False, True, False), Kleene(False, True, False, True)
HUMAN = Kleene(False, False, False, False)


def ask(path: str) -> Kleene:
    return Kleene(False, False, True, True, frozenset({path}))


def known(value: bool) -> Kleene:
    return TRUE if value else FALSE


def no(part: Kleene) -> Kleene:
    return Kleene(part.false, part.true, part.may_false, part.may_true, part.asks)


def asks_of(parts: Iterable[Kleene]) -> frozenset[str]:
    return frozenset[str]().union(*(part.asks for part in parts))


def every(given: Iterable[Kleene]) -> Kleene:
    parts: list[Kleene] = []
    for part in given:
        if part.false:
            return FALSE
        parts.append(part)
    may_true, may_false = all(p.may_true for p in parts), any(p.may_false for p in parts)
    return Kleene(all(p.true for p in parts), False, may_true, may_false, asks_of(parts))


def some(given: Iterable[Kleene]) -> Kleene:
    parts: list[Kleene] = []
    for part in given:
        if part.true and not part.asks:
            return TRUE
        parts.append(part)
    true, false = any(p.true for p in parts), all(p.false for p in parts)
    may_true, may_false = any(p.may_true for p in parts), all(p.may_false for p in parts)
    return Kleene(true, false, may_true, may_false, asks_of(parts))


def compare(path: str, value: Known, op: tree.Op, literal: int | str) -> Kleene:
    """A number, or a date as the interval of days it may be, against a literal."""
    if isinstance(value, Days):
        other = days(str(literal))
        first, last, low, high = value.first, value.last, other.first, other.last
    else:
        assert isinstance(value, int)
        assert isinstance(literal, int)
        first, last, low, high = value, value, literal, literal
    if op in (">", ">="):
        first, last, low, high = low, high, first, last
    if op in ("<", ">"):
        return TRUE if last < low else FALSE if first >= high else ask(path)
    return TRUE if last <= low else FALSE if first > high else ask(path)


def options(value: Known) -> frozenset[Known] | None:
    """What a value may be, as far as that is a finite set."""
    if not isinstance(value, Unknown):
        return frozenset({value})
    return frozenset(value.candidates) if value.candidates is not None else None


class World(msgspec.Struct, frozen=True):
    """What a determination is a function of, under one reading of every axis. `act` is the one at hand;
    `bound` gives a parameter its path and, inside a group, its facts."""

    book: Rulebook
    values: Values
    at: dt.datetime
    known: dt.datetime
    choices: Choices
    readings: Mapping[str, str]
    act: blocks.Act | None = None
    bound: Mapping[str, tuple[str, Mapping[str, Known] | None]] = {}

    # Values
    def fact(self, value: tree.Value) -> tuple[str, Known]:
        """The path of a fact and its value, with the presumption that the law supplies."""
        if isinstance(value, tree.MostRecent):
            path, statuses = self.fact(value.statuses)
            return path, most_recent(statuses)
        if value.entity == "act":
            assert self.act is not None
            if value.name == "destination":
                return self.fact(self.act.destination) if self.act.destination else ("", Unknown("unclear"))
            return "", self.act.kind if value.name == "kind" else self.act.deemed
        prefix, facts = self.bound.get(value.entity, (value.entity, None))
        path = f"{prefix}.{value.name}"
        found = self.values.get(path, MISSING) if facts is None else facts.get(value.name, MISSING)
        spec = self.book.terms.of_path(path)
        assert spec is not None
        if spec.presumption and isinstance(found, Unknown) and found.cause in ASKABLE:
            return path, Unknown("red_flag") if self.defeating(path) else spec.presumption.value
        return path, found

    def defeating(self, path: str) -> list[Kleene]:
        """The red flags, true and unresolved, that defeat the presumption on a fact."""
        spec = self.book.terms.of_path(path)
        flags = (flag for flag in self.present(blocks.RedFlag) if spec and spec.path in flag.defeats)
        found = (
            msgspec.structs.replace(self, act=None, bound={}).effective(flag, flag.when) for flag in flags
        )
        return [flag for flag in found if flag.true]

    def unknown(self, path: str, value: Unknown) -> Kleene:
        if value.cause in ASKABLE:
            return ask(path)
        return HUMAN._replace(
            asks=asks_of(self.defeating(path)) if value.cause == "red_flag" else frozenset()
        )

    def among(self, path: str, value: Known, tests: Mapping[str, Kleene]) -> Kleene:
        """An unknown value: decided if every candidate is decided alike."""
        assert isinstance(value, Unknown)
        results = [tests[name] for name in sorted(value.candidates or ())]
        if results and (all(r.true for r in results) or all(r.false for r in results)):
            return results[0]
        return self.unknown(path, value)

    def member(self, value: str, members: tree.Members) -> Kleene:
        if isinstance(members, tree.Literals):
            return known(value in members.members)
        lists, name = {block.id: block for block in self.visible(blocks.List)}, members.id
        while over := [
            b.id for b in lists.values() if b.prevails == name and b.content.holds(self.at) == "yes"
        ]:
            name = over[0]
        found = lists.get(name)
        if found is None or found.content.holds(self.at) == "no":
            return ask(f"list:{name}")
        if found.content.holds(self.at) == "maybe" or (
            found.domain is not None and value not in found.domain
        ):
            return HUMAN
        rows = (row for row in found.members if row.id == value and row.known <= self.known)
        return some(every((self.force(row.span), no(self.suspended(f"{name}#{value}")))) for row in rows)

    # Conditions
    def read(self, node: tree.Tree) -> Kleene:
        """The truth of a condition."""
        match node:
            case tree.Const(value):
                return known(value)
            case tree.Open(_, path):
                return HUMAN if path is None else ask(path)
            case tree.Not(part):
                return no(self.read(part))
            case tree.And(parts):
                return every(self.read(part) for part in parts)
            case tree.Or(parts):
                return some(self.read(part) for part in parts)
            case tree.Reading(axis, values):
                chosen = dict(values).get(self.readings.get(axis, ""))
                return HUMAN if chosen is None else self.read(chosen)
            case tree.IsUnknown(part):
                inner = self.read(part)
                return FALSE if inner.true or inner.false else TRUE._replace(asks=inner.asks)
            case tree.Resolved(flag):
                resolved = self.values.get(RESOLVED, frozenset())
                names = resolved.members if isinstance(resolved, Partial) else resolved
                return known(isinstance(names, frozenset) and flag in names)
            case tree.Call(name, entity):
                return self.call(name, self.bound.get(entity, (entity, None)))
            case tree.Parties():
                return self.parties(node)
            case tree.Quantified():
                return self.quantified(node)
            case tree.Elapsed():
                return self.elapsed(node)
            case _:
                return self.atom(node)

    def atom(self, node: tree.Holds | tree.Equals | tree.In | tree.Same | tree.Compare) -> Kleene:
        """A condition on one value, or two."""
        of = (
            node.left
            if isinstance(node, tree.Same)
            else node.value
            if isinstance(node, tree.Equals | tree.In)
            else node.term
        )
        path, value = self.fact(of)
        if isinstance(node, tree.Same):
            return self.same((path, value), self.fact(node.right))
        if isinstance(value, Unknown):
            options = value.candidates or ()
            if isinstance(node, tree.Equals):
                return self.among(path, value, {name: known(name == node.literal) for name in options})
            if isinstance(node, tree.In):
                return self.among(path, value, {name: self.member(name, node.members) for name in options})
            return self.unknown(path, value)
        if isinstance(node, tree.In):
            return self.member(str(value), node.members)
        if isinstance(node, tree.Compare):
            return compare(path, value, node.op, node.literal)
        return known(value == node.literal if isinstance(node, tree.Equals) else value is True)

    def elapsed(self, node: tree.Elapsed) -> Kleene:
        path, since = self.fact(node.since)
        if isinstance(since, Unknown):
            return self.unknown(path, since)
        assert isinstance(since, Days)
        if self.at >= years_after(since.last, node.years, ZONES["us"]):
            return TRUE
        return FALSE if self.at < years_after(since.first, node.years, ZONES["us"]) else ask(path)

    def same(self, left: tuple[str, Known], right: tuple[str, Known]) -> Kleene:
        """Two values: decided when each has one option, or when their options have nothing in common."""
        unknowns = [self.unknown(path, value) for path, value in (left, right) if isinstance(value, Unknown)]
        one, other = options(left[1]), options(right[1])
        return FALSE if one is not None and other is not None and not one & other else every(unknowns)

    def quantified(self, node: tree.Quantified) -> Kleene:
        path, value = self.fact(node.term)
        if isinstance(value, Unknown):
            return self.unknown(path, value)
        assert isinstance(value, frozenset | Partial)
        names, more = (value.members, [ask(path)]) if isinstance(value, Partial) else (value, [])
        if not names and not more:
            return known(node.if_empty)
        results = [self.member(name, node.members) for name in sorted(names)] + more
        return some(results) if node.quantifier == "any" else every(results)

    def parties(self, node: tree.Parties) -> Kleene:
        results: list[Kleene] = []
        for path in (f"parties.{role}" for role in node.roles):
            group = self.values.get(path, MISSING)
            match group:
                case Group(members, complete):
                    found = [(f"{path}[{n}]", facts) for n, facts in enumerate(members)]
                    results += (self.call(node.definition, entity) for entity in found)
                    results += [] if complete else [self.others(node.definition, path)]
                case Unknown():
                    results.append(self.others(node.definition, path))
        if not results:
            return known(node.if_empty)
        return some(results) if node.quantifier == "any" else every(results)

    def others(self, definition: str, path: str) -> Kleene:
        """Members that nobody has named: the group is open, and what the definition reads beside it."""
        group, member = self.values.get(path, MISSING), f"{path}[+]"
        open_ = self.unknown(path, group) if isinstance(group, Unknown) else ask(path)
        asks = {
            fact for fact in self.call(definition, (member, {})).asks if not fact.startswith(f"{member}.")
        }
        return open_._replace(asks=open_.asks | asks)

    def call(self, name: str, entity: tuple[str, Mapping[str, Known] | None]) -> Kleene:
        named = (block for block in self.visible(blocks.Definition) if block.name == name)
        for block in (block for block in named if block.span.holds(self.at) == "yes"):
            return msgspec.structs.replace(self, bound={block.parameter: entity}).read(block.when)
        return HUMAN

    # Force
    def visible(self, kind: type[B]) -> Iterator[B]:
        return (block for block in self.book.of(kind) if block.known <= self.known)

    def present(self, kind: type[B]) -> Iterator[B]:
        """Blocks in force, or perhaps so: the others are not there."""
        return (block for block in self.visible(kind) if block.span.holds(self.at) != "no")

    def force(self, span: Span) -> Kleene:
        return {"yes": TRUE, "no": FALSE, "maybe": HUMAN}[span.holds(self.at)]

    def suspended(self, target: str) -> Kleene:
        over = (o for o in self.visible(blocks.Overlay) if o.target == target and o.kind in SUSPENDING)
        item = tree.Term("item", "product")
        return some(
            every(
                (
                    self.force(o.span),
                    self.read(tree.In(item, tree.Literals(o.products))) if o.products else TRUE,
                )
            )
            for o in over
        )

    def effective(self, block: blocks.Block, when: tree.Tree) -> Kleene:
        """A condition, with the force of its block and whatever suspends it."""
        return every(self.all_of(block, when))

    def all_of(self, block: blocks.Block, when: tree.Tree) -> Iterator[Kleene]:
        yield self.read(when)
        yield self.force(block.span)
        yield no(self.suspended(block.id))

    def staleness(self, block: blocks.Block) -> list[Kleene]:
        """An ask to the operator where the provision was last looked at too long ago."""
        limit = self.choices.stale_after_days
        if limit is None or (block.verified and self.at < block.verified + dt.timedelta(days=limit)):
            return []
        return [ask(f"provision:{block.id}")]
