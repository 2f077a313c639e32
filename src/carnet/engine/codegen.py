"""Python source from grounded conditions. Each condition becomes a function that returns one whole number:
0 is known true, -1 known false, and anything above is undecided, a mask of what it hangs on (bit 0: a human).

Only checked trees get here; every text in the source is a `repr`, every name one of a closed set.
"""

from collections.abc import Callable, Mapping
from typing import Any

from carnet.engine.ground import PARTY
from carnet.model.facts import ASKABLE, Group, Known, Partial, Unknown, Values, most_recent
from carnet.model.time import ZONES, Days, days, years_after
from carnet.rules import tree
from carnet.rules.slices import ResolvedList

RESOLVED = "exporter.resolved_red_flags"

HUMAN = 1
Code = Callable[..., int]


class Tainted(Unknown, frozen=True):
    """A presumed value that a red flag defeats; `mask` is what the flag itself hangs on."""

    mask: int = 0


class Bits:
    """Which bit of a mask stands for which askable path. Grows; a bit is never given twice."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.paths: list[str] = [""]

    def __call__(self, path: str) -> int:
        found = self.of.get(path)
        if found is None:
            found = self.of.setdefault(path, 1 << len(self.paths))
            if found == 1 << len(self.paths):
                self.paths.append(path)
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
    if value is None:
        return bit
    if isinstance(value, Unknown):
        return bit if value.cause in ASKABLE else HUMAN | getattr(value, "mask", 0)
    raise TypeError(f"not a value of the term: {value!r}")


def among(value: Known | None, bit: int, test: Callable[[str], int]) -> int:
    """An unknown value whose candidates may all agree."""
    if isinstance(value, Unknown) and value.candidates:
        codes = {test(candidate) for candidate in value.candidates}
        if codes in ({0}, {-1}):
            return codes.pop()
    return unknown(value, bit)


def same(one: Known | None, other: Known | None, bit: int, other_bit: int) -> int:
    firm, other_firm = not isinstance(one, Unknown | None), not isinstance(other, Unknown | None)
    if firm and other_firm:
        return 0 if one == other else -1
    first = frozenset({one}) if firm else one.candidates if isinstance(one, Unknown) else None
    second = frozenset({other}) if other_firm else other.candidates if isinstance(other, Unknown) else None
    if first is not None and second is not None and not first & second:
        return -1
    return (0 if firm else unknown(one, bit)) | (0 if other_firm else unknown(other, other_bit))


def ordered(value: Known | None, op: str, first: int, last: int, bit: int) -> int:
    """A number or a date against a literal that may be any of `first` to `last`."""
    if isinstance(value, Days):
        low, high = value.first, value.last
    elif isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    else:
        return unknown(value, bit)
    if op == "<":
        return 0 if high < first else -1 if low >= last else bit
    if op == "<=":
        return 0 if high <= first else -1 if low > last else bit
    if op == ">":
        return 0 if low > last else -1 if high <= first else bit
    return 0 if low >= last else -1 if high < first else bit


def elapsed(value: Known | None, years: int, at: Any, bit: int) -> int:  # noqa: ANN401 -- as the generated code passes it
    if not isinstance(value, Days):
        return unknown(value, bit)
    day = at.toordinal()  # in whatever zone: the day in New York is less than two days away
    if day < value.first + 365 * years - 2:
        return -1
    if day > value.last + 366 * years + 2:
        return 0
    if at >= years_after(value.last, years, ZONES["us"]):
        return 0
    return -1 if at < years_after(value.first, years, ZONES["us"]) else bit


def all_codes(codes: list[int]) -> int:
    mask = 0
    for code in codes:
        if code < 0:
            return -1
        mask |= code
    return mask


def any_code(codes: list[int]) -> int:
    mask = 0
    for code in codes:
        if code == 0:
            return 0
        if code > 0:
            mask |= code
    return mask or -1


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
            "among": among, "unknown": unknown, "same": same, "ordered": ordered, "elapsed": elapsed,
            "quantified": quantified, "presumed": presumed, "recent": recent, "unresolved": unresolved,
            "all_codes": all_codes, "any_code": any_code, "Unknown": Unknown, "Group": Group, "bits": bits,
            "NOWHERE": Unknown("unclear"), "grouped": self.grouped,
        }  # fmt: skip
        self.text: list[str] = []
        self.count = 0
        self.sets: dict[object, str] = {}
        self.inner: dict[str, str] = {}

    def function(self, node: tree.Tree) -> str:
        """The name of a function that answers the condition."""
        self.count += 1
        name = f"f{self.count}"
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
        if value.entity == "act":
            return ("NOWHERE", "1") if value.name == "destination" else (repr(value.name), "1")
        if value.entity == PARTY:
            source, bit = f"M.get({value.name!r})", f"bits(B + {'.' + value.name!r})"
        else:
            path = f"{value.entity}.{value.name}"
            source, bit = f"V.get({path!r})", str(self.bits(path))
        for path in (f"{value.entity}.{value.name}", f"party.{value.name}"):
            number = self.presumptions.get(path)
            if number is not None and (
                not path.startswith("party.") or value.entity in (PARTY, "recipient", "exporter")
            ):
                return f"presumed({source}, P[{number}])", bit
        return source, bit

    def test(self, members: tree.Members) -> tuple[str, str]:
        """Source of a test `v in members`, and the name of a function that does it."""
        if isinstance(members, tree.Literals):
            name = self.constant(members, members.members)
            function = self.constant(("test", members), _tester(members.members, None, frozenset(), 0))
            return f"(0 if v in {name} else -1)", function
        found = self.lists.get(members.id)
        if found is None or found.known == "no":
            code = self.bits(f"list:{found.id if found else members.id}")
        else:
            code = 0 if found.known == "yes" else HUMAN
        listed = found.members if found else frozenset()
        domain, maybe = (found.domain, found.maybe) if found else (None, frozenset[str]())
        function = self.constant(("test", members), _tester(listed, domain, maybe, code))
        if code == 0 and domain is None and not maybe:
            return f"(0 if v in {self.constant(members, listed)} else -1)", function
        return f"{function}(v)", function

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
        self.count += 1
        names = [f"t{self.count}_{number}" for number in range(len(parts))]
        if word == "and":
            tests = "".join(
                f"-1 if ({name} := {part}) < 0 else " for name, part in zip(names, parts, strict=True)
            )
            return f"({tests}{' | '.join(names)})"
        tests = "".join(
            f"0 if ({name} := {part}) == 0 else " for name, part in zip(names, parts, strict=True)
        )
        if len(names) == 2:
            one, two = names
            return f"({tests}{one} if {two} < 0 else {two} if {one} < 0 else {one} | {two})"
        return f"({tests}any_code([{', '.join(names)}]))"

    def atom(self, node: tree.Tree) -> str:
        match node:
            case tree.Holds(term):
                source, bit = self.fetch(term)
                return f"((0 if v else -1) if (v := {source}).__class__ is bool else unknown(v, {bit}))"
            case tree.Equals(value, literal):
                source, bit = self.fetch(value)
                kind = "str" if isinstance(literal, str) else "int"
                test = self.constant(
                    ("equals", literal), lambda name, literal=literal: 0 if name == literal else -1
                )
                known = f"(0 if v == {literal!r} else -1)"
                return f"({known} if (v := {source}).__class__ is {kind} else among(v, {bit}, {test}))"
            case tree.In(value, members):
                source, bit = self.fetch(value)
                code, test = self.test(members)
                return f"({code} if (v := {source}).__class__ is str else among(v, {bit}, {test}))"
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
                    other = f"ordered(v, {op!r}, {literal}, {literal}, {bit})"
                    return f"({known} if (v := {source}).__class__ is int else {other})"
                span = days(literal)
                return f"ordered({source}, {op!r}, {span.first}, {span.last}, {bit})"
            case tree.Elapsed(since, years):
                source, bit = self.fetch(since)
                return f"elapsed({source}, {years}, at, {bit})"
            case tree.Quantified(quantifier, term, members, if_empty):
                source, bit = self.fetch(term)
                _, test = self.test(members)
                return f"quantified({source}, {test}, {quantifier == 'all'}, {0 if if_empty else -1}, {bit})"
            case _:
                return str(HUMAN)

    def parties(self, node: tree.Parties) -> str:
        roles = tuple(f"parties.{role}" for role in node.roles)
        for path in roles:
            self.bits(path)
        if node.definition not in self.inner:
            definition = self.definitions.get(node.definition, tree.Open("untranslatable"))
            self.inner[node.definition] = self.function(definition)
        test, every, empty = self.inner[node.definition], node.quantifier == "all", 0 if node.if_empty else -1
        return f"grouped(V, at, R, P, {roles!r}, {test}, {every}, {empty})"

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
                if not group.complete:
                    codes.append(self.bits(path))
            else:
                codes.append(unknown(group, self.bits(path)))
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
