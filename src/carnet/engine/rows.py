"""The questions of a slice, and the exceptions that may lift them, as rows: one bit of a whole number each. A
row is a conjunction. Here is which known fact makes a row false by itself, and which parts have to be
evaluated; how an answer is put together is in `carnet.engine.compiled`."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from carnet.engine.codegen import HUMAN, Code
from carnet.engine.ground import PARTY
from carnet.engine.program import BURDEN, Instance, Lifting, Program
from carnet.model.facts import Known, Values
from carnet.model.time import Days
from carnet.rules import tree

OTHER = "\0any other"
MOST_KEPT = 4096
"""Values of one path whose effect is kept."""

Pending = tuple[int, int]
"""Rows that a part leaves undecided, and what that part hangs on."""

ONE_FACT = (tree.Holds, tree.Equals, tree.In, tree.Compare, tree.Quantified, tree.Not, tree.And, tree.Or)


class Row(NamedTuple):
    """A question with the place of its bit; `able` are the exceptions that may lift it."""

    key: str
    kind: str
    bit: int
    able: int
    instance: Instance
    reason: str | None


class Test(NamedTuple):
    """A part that reads several facts, the rows that have it, and all others."""

    rows: int
    others: int
    code: Code


def conjuncts(node: tree.Tree, *, denied: bool = False) -> Iterator[tree.Tree]:
    """What must all be true for the condition (for its denial) to be true. Kleene's logic lets it be cut
    so: neither a truth nor an ask changes."""
    match node:
        case tree.Not(part):
            yield from conjuncts(part, denied=not denied)
        case tree.And(parts) if not denied:
            for part in parts:
                yield from conjuncts(part)
        case tree.Or(parts) if denied:
            for part in parts:
                yield from conjuncts(part, denied=True)
        case tree.Const(value):
            if value == denied:
                yield tree.FALSE
        case _:
            yield tree.Not(node) if denied else node


class Rows:
    """All rows of a program: questions in the order of their keys, then exceptions."""

    def __init__(self, program: Program) -> None:
        questions = sorted(
            (
                (instance.question(reason), reason, able, instance)
                for instance in program.instances
                for reason, able in instance.reasons or ((None, ()),)
            ),
            key=lambda question: question[0],
        )
        places: dict[Lifting, int] = {}
        self.rows: list[Row] = []
        parts: dict[tree.Tree, int] = {}
        for number, (key, reason, able, instance) in enumerate(questions):
            mask = 0
            for lifting in able:
                mask |= 1 << places.setdefault(lifting, len(questions) + len(places))
            self.rows.append(Row(key, instance.kind, 1 << number, mask, instance, reason))
            written = [program.gates[gate] for gate in instance.gates]
            if instance.kind != "walked_flag":
                written.append(instance.when)
            for part in conjuncts(tree.And(tuple(written))):
                parts[part] = parts.get(part, 0) | 1 << number
        for lifting, number in places.items():
            for part in conjuncts(lifting.whole):
                parts[part] = parts.get(part, 0) | 1 << number
        self.all = (1 << len(questions) + len(places)) - 1
        self.questions = (1 << len(questions)) - 1
        self.ranks = [
            (name, sum(1 << number for lifting, number in places.items() if lifting.exception.class_ == name))
            for name in BURDEN
        ]
        self.reading = self.where(lambda instance: bool(program.axes_of(list(instance.trees(program.gates)))))
        self.presuming = self.where(lambda instance: program.presumes(list(instance.trees(program.gates))))
        names = {part: program.source.function(part) for part in parts}
        self.codes = codes = program.source.made()
        self.tables: dict[str, Table] = {}
        self.tests: list[Test] = []
        self.later: list[Test] = []
        start = self.all
        for part, rows in sorted(parts.items(), key=lambda entry: -entry[1].bit_count()):
            code = codes[names[part]]
            path = None if program.presumes([part]) else path_of(part)
            if part == tree.FALSE:
                start &= ~rows
            elif path is not None:
                table = self.tables.setdefault(path, Table(path, self.all))
                table.parts.append((code, rows))
                table.nodes.append(part)
            else:
                test = Test(rows, self.all & ~rows, code)
                (self.tests if rows & self.questions else self.later).append(test)
        for table in self.tables.values():
            table.fill(program.sets)
        self.scan = self.scanner(start)

    def where(self, test: Callable[[Instance], bool]) -> int:
        """The questions of the instances for which the test holds."""
        kept = {
            instance.key: test(instance)
            for instance in {r.instance.key: r.instance for r in self.rows}.values()
        }
        return sum(row.bit for row in self.rows if kept[row.instance.key])

    def of_other_acts(self, act: int) -> int:
        """The questions that are read for another act only."""
        return sum(row.bit for row in self.rows if row.instance.act not in (None, act))

    def live(self, values: Values) -> tuple[int, list[Pending]]:
        """The rows that no single fact closes, and what single facts leave undecided."""
        pending: list[Pending] = []
        try:
            return self.scan(values.get, pending), pending
        except TypeError:
            live, pending = self.all, []
            for path, table in self.tables.items():
                live &= table.other(values.get(path), pending)
            return live, pending

    def scanner(self, start: int) -> Callable[[Callable[[str], Known | None], list[Pending]], int]:
        """A function of facts that gives the rows which no single fact closes, and adds to a list what
        single facts leave undecided. Written out fact by fact: this is where a decision's time goes."""
        names: dict[str, object] = {"bisect": bisect_right}
        lines = [f"    live = {start}"]
        for number, table in enumerate(self.tables.values()):
            lines.append(f"    v = g({table.path!r})")
            lines += table.source(str(number), names)
        text = "\n".join(["def scan(g, pending):", *lines, "    return live"])
        exec(compile(text, "<rows>", "exec"), names)  # noqa: S102 -- made of numbers and quoted paths only
        return names["scan"]  # type: ignore[return-value]  # the function that the text defines


def path_of(part: tree.Tree) -> str | None:
    """The one fact that a part reads; None if there are several, or something else counts."""
    terms: set[tree.Term] = set()
    for node in tree.parts_of(part):
        if not isinstance(node, ONE_FACT):
            return None
        if isinstance(node, tree.Equals | tree.In) and not isinstance(node.value, tree.Term):
            return None
        terms |= set(tree.terms_of(node))
    if len(terms) != 1:
        return None
    term = terms.pop()
    return None if term.entity in ("act", PARTY) else f"{term.entity}.{term.name}"


class Table:
    """What the values of one fact do to the parts that read nothing else. `sure` has the values that leave
    nothing undecided."""

    def __init__(self, path: str, rows: int) -> None:
        self.path, self.all = path, rows
        self.parts: list[tuple[Code, int]] = []
        self.nodes: list[tree.Tree] = []
        self.sure: dict[Known, int] = {}
        self.kept: dict[tuple[type, Known | None], tuple[int, list[Pending]]] = {}

    def effect(self, value: Known | None) -> tuple[int, list[Pending]]:
        """The rows that the value does not close, and what it leaves undecided."""
        live, pending = self.all, []
        facts = {} if value is None else {self.path: value}
        for code, rows in self.parts:
            try:
                found = code(facts, None, {}, ())
            except Exception:  # noqa: BLE001 -- a part that can't be evaluated never lets anything through
                found = HUMAN
            if found < 0:
                live &= ~rows
            elif found:
                pending.append((rows, found))
        return live, pending

    def other(self, value: Known | None, pending: list[Pending]) -> int:
        """The effect of a value that is not among the sure ones."""
        live, more = self.found(value)
        pending += more
        return live

    def found(self, value: Known | None) -> tuple[int, list[Pending]]:
        """The effect of any value; kept, as far as there is room."""
        key = (value.__class__, value)
        try:
            found = self.kept.get(key)
        except TypeError:
            return self.effect(value)
        if found is None and value.__class__ is str:
            return self.kept[str, OTHER]
        if found is None:
            found = self.effect(value)
            if len(self.kept) < MOST_KEPT:
                self.kept[key] = found
                if isinstance(value, frozenset | Days) and not found[1]:
                    self.sure[value] = found[0]
        return found

    def fill(self, sets: Callable[[tree.Members], list[frozenset[str]]]) -> None:
        """Tables the texts that the parts name, alike ones together, and what any other text does."""
        self.kept[str, OTHER] = self.effect(OTHER)
        groups: set[frozenset[str]] = set()
        for node in (each for part in self.nodes for each in tree.parts_of(part)):
            if isinstance(node, tree.Equals) and isinstance(node.literal, str):
                groups.add(frozenset({node.literal}))
            elif isinstance(node, tree.In):
                groups.update(sets(node.members))
        alike: dict[tuple[bool, ...], tuple[int, list[Pending]]] = {}
        for value in frozenset[str]().union(*groups):
            signature = tuple(value in group for group in groups)
            if signature not in alike:
                alike[signature] = self.effect(value)
            live, pending = alike[signature]
            if pending:
                self.kept[str, value] = live, pending
            else:
                self.sure[value] = live

    def source(self, number: str, names: dict[str, object]) -> list[str]:
        """The lines that take the fact `v` into account."""
        names |= {f"other{number}": self.other, f"sure{number}": self.sure.get}
        other = f"other{number}(v, pending)"
        kinds = {type(node) for part in self.nodes for node in tree.parts_of(part)}
        numbers = sorted(self.numbers())
        if tree.Holds in kinds:
            (true, some), (false, more) = self.effect(True), self.effect(False)
            if not some and not more:
                return [
                    f"    if v is True: live &= {true}",
                    f"    elif v is False: live &= {false}",
                    f"    else: live &= {other}",
                ]
        if numbers:
            cuts = sorted({cut for number in numbers for cut in (number, number + 1)})
            effects = [self.effect(cut) for cut in (cuts[0] - 1, *cuts)]
            if not any(pending for _, pending in effects):
                names |= {f"cuts{number}": cuts, f"live{number}": [live for live, _ in effects]}
                known = f"live{number}[bisect(cuts{number}, v)]"
                return [f"    live &= {known} if v.__class__ is int else {other}"]
        live, _ = self.kept[str, OTHER]
        unsure = any(pending for _, pending in self.kept.values())
        ordinary = "" if unsure else f"{live} if v.__class__ is str else "
        return [
            f"    m = sure{number}(v)",
            f"    live &= m if m is not None else {ordinary}{other}",
        ]

    def numbers(self) -> Iterator[int]:
        """The whole numbers that the parts name."""
        for node in (each for part in self.nodes for each in tree.parts_of(part)):
            literal = getattr(node, "literal", None)
            if isinstance(literal, int):
                yield literal
