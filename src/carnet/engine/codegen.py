"""Python source from grounded conditions. Each condition becomes a function that returns one whole number:
0 is known true, -1 known false, and anything above is undecided, a mask of what it hangs on (bit 0: a human).

Only checked trees get here; every text in the source is a `repr`, every name one of a closed set.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from itertools import count
from threading import Lock
from typing import Any

from carnet.engine.ground import ACT, PARTY, declared
from carnet.model.facts import ASKABLE, Group, Known, Partial, Unknown, Values, most_recent
from carnet.model.time import Days, days, kept_turns
from carnet.rules import tree
from carnet.rules.slices import ResolvedList

RESOLVED = "exporter.resolved_red_flags"

HUMAN, NOTHING = 1, 0
"""Masks: what only a human can settle, and what hangs on nothing."""
Code = Callable[..., int]


class Tainted(Unknown, frozen=True, kw_only=True):
    """A presumed value that a red flag defeats; `mask` is what the flag itself hangs on."""

    mask: int


class Somebody(str):
    """The path of a member that nobody has named: nothing can be asked of it."""

    __slots__ = ()

    def __add__(self, name: str) -> str:
        return ""


class Bits:
    """Which bit of a mask stands for which askable path, the empty one for a human. Grows, in one thread at a
    time; a bit is never given twice."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {"": HUMAN}
        self.paths: list[str] = [""]
        self.lock = Lock()

    def __call__(self, path: str) -> int:
        found = self.of.get(path)
        if found is None:
            with self.lock:
                self.paths = [*dict.fromkeys([*self.of, path])]
                found = self.of.setdefault(path, 1 << self.paths.index(path))
        return found

    def asks(self, mask: int) -> tuple[str, ...]:
        """The paths of a mask, sorted."""
        found, mask = [], mask & ~HUMAN
        while mask:
            number = mask.bit_length() - 1
            found.append(self.paths[number])
            mask ^= 1 << number
        return tuple(sorted(found))


def unknown(value: Known | None, bit: int) -> int:
    """A value that decides nothing."""
    match value:
        case None:
            return bit
        case Tainted(mask=mask):
            return HUMAN | mask
        case Unknown(cause=cause):
            return bit if cause in ASKABLE else HUMAN
    raise TypeError(f"not a value of the term: {value!r}")


def among(value: Known | None, bit: int, test: Callable[[str], int]) -> int:
    """An unknown value whose candidates may all agree."""
    if isinstance(value, Unknown) and value.candidates:
        codes = {test(candidate) for candidate in value.candidates}
        if codes in ({0}, {-1}):
            return codes.pop()
    return unknown(value, bit)


def same(one: Known | None, other: Known | None, bit: int, other_bit: int) -> int:
    """Whether two values are the same."""
    first, second = options(one), options(other)
    if first is not None and second is not None and not first & second:
        return -1
    open_ = [
        (value, its) for value, its in ((one, bit), (other, other_bit)) if isinstance(value, Unknown | None)
    ]
    return all_codes([unknown(value, its) for value, its in open_])


def options(value: Known | None) -> frozenset[Known] | None:
    """What a value may be; None if it may be anything."""
    if isinstance(value, Unknown):
        return value.candidates
    return None if value is None else frozenset({value})


def ordered(value: Known | None, op: str, first: int, last: int, bit: int) -> int:
    """A date against one that may be any of `first` to `last`."""
    if not isinstance(value, Days):
        return unknown(value, bit)
    low, high = value.first, value.last
    if op == "<":
        return 0 if high < first else -1 if low >= last else bit
    if op == "<=":
        return 0 if high <= first else -1 if low > last else bit
    if op == ">":
        return 0 if low > last else -1 if high <= first else bit
    return 0 if low >= last else -1 if high < first else bit


def all_codes(codes: list[int]) -> int:
    mask = NOTHING
    for code in codes:
        mask |= code  # -1 has every bit
    return mask


def any_code(codes: list[int]) -> int:
    if 0 in codes:
        return 0
    return all_codes([code for code in codes if code != -1]) or -1


def quantified(value: Known | None, test: Callable[[str], int], every: bool, if_empty: int, bit: int) -> int:
    if isinstance(value, frozenset):
        codes = [test(name) for name in value]
    elif isinstance(value, Partial):
        codes = [*(test(name) for name in value.members), bit]
    else:
        return unknown(value, bit)
    if not codes:
        return if_empty
    return all_codes(codes) if every else any_code(codes)


def presumed(value: Known | None, presumption: Known) -> Known | None:
    """The value, or what stands in for it while it is missing."""
    if value is None or (isinstance(value, Unknown) and value.cause in ASKABLE):
        return presumption
    if isinstance(value, Unknown) and value.cause == "red_flag" and isinstance(presumption, Tainted):
        return presumption
    return value


def recent(value: Known | None) -> Known | None:
    return None if value is None else most_recent(value)


def unresolved(values: Values, flag: str) -> int:
    """`Resolved`: 0 if it is, -1 if not."""
    names = values.get(RESOLVED)
    names = names.members if isinstance(names, Partial) else names
    return 0 if isinstance(names, frozenset) and flag in names else -1


class Source:
    """Collects functions of one slice and makes them. A function takes the facts, the instant, the readings,
    the presumptions; inside a group also the party at hand and its path."""

    def __init__(
        self,
        lists: Mapping[str, ResolvedList],
        presumptions: Mapping[str, int],
        bits: Bits,
        definitions: Mapping[str, tree.Tree],
    ) -> None:
        self.lists, self.presumptions, self.bits, self.definitions = lists, presumptions, bits, definitions
        self.names: dict[str, object] = {
            "among": among, "unknown": unknown, "same": same, "ordered": ordered, "elapsed": self.elapsed,
            "quantified": quantified, "presumed": presumed, "recent": recent, "unresolved": unresolved,
            "all_codes": all_codes, "any_code": any_code, "Unknown": Unknown, "Group": Group, "bits": bits,
            "NOWHERE": Unknown("unclear"), "grouped": self.grouped,
        }  # fmt: skip
        self.turn = kept_turns()
        self.text: list[str] = []
        self.numbers = count()
        self.sets: dict[object, str] = {}
        self.inner: dict[str, str] = {}

    def function(self, node: tree.Tree) -> str:
        """The name of a function that answers the condition."""
        name = f"f{next(self.numbers)}"
        self.add(f"{name}(V, at, R, P, M=None, B='')", [f"return {self.expression(node)}"])
        return name

    def add(self, head: str, lines: list[str]) -> None:
        """A function of its own."""
        self.text += [f"def {head}:", *(f"    {line}" for line in lines)]

    def made(self) -> dict[str, Any]:
        """All functions, by name."""
        space = dict(self.names)
        exec(compile("\n".join(self.text), "<slice>", "exec"), space)  # noqa: S102 -- made from checked trees only
        return space

    def constant(self, value: object, made: object) -> str:
        """A name for an object that the functions read."""
        name = self.sets.get(value)
        if name is None:
            name = self.sets[value] = f"c{len(self.sets)}"
            self.names[name] = made
        return name

    def fetch(self, value: tree.Value) -> tuple[str, str]:
        """Source of a fact's value, and of its bit."""
        if isinstance(value, tree.MostRecent):
            source, bit = self.fetch(value.statuses)
            return f"recent({source})", bit
        if value == ACT:
            return "NOWHERE", str(HUMAN)
        if value.entity == PARTY:
            source, bit = f"M.get({value.name!r})", f"bits(B + {'.' + value.name!r})"
        else:
            path = f"{value.entity}.{value.name}"
            source, bit = f"V.get({path!r})", str(self.bits(path))
        for path in declared(value):
            if path in self.presumptions:
                return f"presumed({source}, P[{self.presumptions[path]}])", bit
        return source, bit

    def test(self, members: tree.Members) -> str:
        """The name of a function that tests `v in members`."""
        if isinstance(members, tree.Literals):
            made = _tester(members.members, None, frozenset(), 0)
        else:
            found = self.lists[members.id]
            code = (
                self.bits(f"list:{found.id}") if found.known == "no" else 0 if found.known == "yes" else HUMAN
            )
            made = _tester(found.members, found.domain, found.maybe, code)
        return self.constant(members, made)

    def expression(self, node: tree.Tree) -> str:
        match node:
            case tree.Const(value):
                return "0" if value else "-1"
            case tree.Open(_, path):
                return str(HUMAN if path is None else self.bits(path))
            case tree.Not(part):
                return f"(~x if (x := {self.expression(part)}) <= 0 else x)"
            case tree.And(parts):
                return self.junction([self.expression(part) for part in parts], "and")
            case tree.Or(parts):
                return self.junction([self.expression(part) for part in parts], "or")
            case tree.Reading(axis, values):
                cases = "".join(
                    f"{self.expression(part)} if R.get({axis!r}) == {value!r} else " for value, part in values
                )
                return f"({cases}{HUMAN})"
            case tree.Resolved(flag):
                return f"unresolved(V, {flag!r})"
            case tree.Parties():
                return self.parties(node)
            case _:
                return self.atom(node)

    def junction(self, parts: list[str], word: str) -> str:
        """Parts in a row: the first that settles it ends it."""
        own = next(self.numbers)
        names = [f"t{own}_{number}" for number in range(len(parts))]
        if word == "and":
            tests = "".join(
                f"-1 if ({name} := {part}) < 0 else " for name, part in zip(names, parts, strict=True)
            )
            return f"({tests}{' | '.join(names)})"
        tests = "".join(
            f"0 if ({name} := {part}) == 0 else " for name, part in zip(names, parts, strict=True)
        )
        return f"({tests}any_code([{', '.join(names)}]))"

    def atom(self, node: tree.Tree) -> str:
        match node:
            case tree.Holds(term):
                source, bit = self.fetch(term)
                return f"((0 if v else -1) if (v := {source}).__class__ is bool else unknown(v, {bit}))"
            case tree.Equals(value, literal):
                source, bit = self.fetch(value)
                kind = "str" if isinstance(literal, str) else "int"
                test = self.test(tree.Literals(frozenset({str(literal)})))
                known = f"(0 if v == {literal!r} else -1)"
                return f"({known} if (v := {source}).__class__ is {kind} else among(v, {bit}, {test}))"
            case tree.In(value, members):
                source, bit = self.fetch(value)
                test = self.test(members)
                return f"({test}(v) if (v := {source}).__class__ is str else among(v, {bit}, {test}))"
            case tree.Same(left, right):
                one, bit = self.fetch(left)
                other, other_bit = self.fetch(right)
                known = "(0 if v == w else -1)"
                texts = f"(v := {one}).__class__ is (w := {other}).__class__ is str"
                return f"({known} if {texts} else same(v, w, {bit}, {other_bit}))"
            case tree.Compare(term, op, literal):
                source, bit = self.fetch(term)
                if isinstance(literal, int):
                    known = f"(0 if v {op} {literal} else -1)"
                    return f"({known} if (v := {source}).__class__ is int else unknown(v, {bit}))"
                span = days(literal)
                return f"ordered({source}, {op!r}, {span.first}, {span.last}, {bit})"
            case tree.Elapsed(since, years):
                source, bit = self.fetch(since)
                return f"elapsed({source}, {years}, at, {bit})"
            case tree.Quantified(quantifier, term, members, if_empty):
                (source, bit), test = self.fetch(term), self.test(members)
                return f"quantified({source}, {test}, {quantifier == 'all'}, {0 if if_empty else -1}, {bit})"
            case _:
                return str(HUMAN)

    def parties(self, node: tree.Parties) -> str:
        roles = tuple(f"parties.{role}" for role in node.roles)
        test = self.inner.get(node.definition)
        if test is None:
            definition = self.definitions.get(node.definition, tree.Open("untranslatable"))
            test = self.inner[node.definition] = self.function(definition)
        every, empty = node.quantifier == "all", 0 if node.if_empty else -1
        return f"grouped(V, at, R, P, {roles!r}, {test}, {every}, {empty})"

    def elapsed(self, value: Known | None, years: int, at: dt.datetime, bit: int) -> int:
        if not isinstance(value, Days):
            return unknown(value, bit)
        if at >= self.turn(value.last, years):
            return 0
        return -1 if at < self.turn(value.first, years) else bit

    def grouped(
        self,
        values: Values,
        at: object,
        readings: object,
        presumptions: object,
        paths: tuple[str, ...],
        test: Code,
        every: bool,
        if_empty: int,
    ) -> int:
        codes: list[int] = []
        for path in paths:
            group = values.get(path)
            if isinstance(group, Group):
                codes += [
                    test(values, at, readings, presumptions, facts, f"{path}[{number}]")
                    for number, facts in enumerate(group.members)
                ]
            if not (isinstance(group, Group) and group.complete):
                open_ = self.bits(path) if isinstance(group, Group) else unknown(group, self.bits(path))
                further = max(NOTHING, test(values, at, readings, presumptions, {}, Somebody()))
                codes.append(open_ | further & ~HUMAN)
        if not codes:
            return if_empty
        return all_codes(codes) if every else any_code(codes)


def _tester(
    members: frozenset[str], domain: frozenset[str] | None, maybe: frozenset[str], code: int
) -> Callable[[str], int]:
    def test(value: str) -> int:
        if code:
            return code
        if (domain is not None and value not in domain) or value in maybe:
            return HUMAN
        return 0 if value in members else -1

    return test
