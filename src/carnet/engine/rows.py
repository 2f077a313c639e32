"""The questions of a slice, its acts, and the exceptions that may lift a question, as rows: one bit of a
whole number each. A row is a conjunction. Here is which known fact makes a row false by itself, and which
parts have to be evaluated; how an answer is put together is in `carnet.engine.compiled`."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from carnet.engine.codegen import HUMAN
from carnet.engine.program import LIFTED, Instance, Lifting, Program, combinations
from carnet.engine.tables import Part, Pending, Readings, Table, path_of, path_of_term
from carnet.model.determination import Outcome
from carnet.model.facts import Known, Values
from carnet.rules import tree


class Row(NamedTuple):
    """A question with the place of its bit; `able` are the exceptions that may lift it."""

    key: str
    kind: str
    bit: int
    able: int
    instance: Instance
    reason: str | None


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


class Column(dict[int, tuple[Row, ...]]):
    """Eight rows: by a byte, those of its bits. Made as they are asked for."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__()
        self.rows = rows

    def __missing__(self, byte: int) -> tuple[Row, ...]:
        found = self[byte] = tuple(row for number, row in enumerate(self.rows) if byte >> number & 1)
        return found


class Rows:
    """All rows of a program: exceptions, acts, then questions in the order of their keys. `scan` looks at the
    facts one by one, `test` evaluates the parts that read several."""

    def __init__(self, program: Program) -> None:
        self.program = program
        asked = sorted(
            (
                (instance.question(reason), instance, reason, able)
                for instance in program.instances
                for reason, able in instance.reasons or ((None, ()),)
            ),
            key=lambda question: question[0],
        )
        liftings = list(dict.fromkeys(lifting for _, _, _, able in asked for lifting in able))
        bits = {lifting: 1 << number for number, lifting in enumerate(liftings)}
        self.first = len(liftings) + len(program.slice.acts)
        self.exceptions = (1 << len(liftings)) - 1
        self.acts = (1 << self.first) - 1 & ~self.exceptions
        self.rows = [
            Row(key, instance.kind, 1 << number, sum(bits[each] for each in able), instance, reason)
            for number, (key, instance, reason, able) in enumerate(asked, self.first)
        ]
        self.all = (1 << self.first + len(asked)) - 1
        self.ranks: list[tuple[Outcome, int, int]] = []
        milder = 0
        for name, outcome in LIFTED.items():
            of = sum(bit for lifting, bit in bits.items() if lifting.exception.class_ == name)
            self.ranks.insert(0, (outcome, of, milder))
            milder |= of
        self.reading = self.where(lambda instance: bool(program.axes_of(list(instance.trees(program.gates)))))
        self.presuming = self.where(lambda instance: program.presumes(list(instance.trees(program.gates))))
        self.presuming |= self.acts if program.presumes(program.gates) else 0
        self.tables: dict[str, Table] = {}
        self.size = len(self.rows) + 7 >> 3
        self.columns = [Column(self.rows[n : n + 8]) for n in range(0, len(self.rows), 8)]
        self.fill(self.parts(bits))

    def parts(self, bits: Mapping[Lifting, int]) -> dict[tree.Tree, int]:
        """Every part of a row, with the rows that have it."""
        found: dict[tree.Tree, int] = {}
        for row in self.rows:
            written = [self.program.gates[gate] for gate in row.instance.gates]
            if row.kind != "walked_flag":
                written.append(row.instance.when)
            for part in set(conjuncts(tree.And(tuple(written)))):
                found[part] = found.get(part, 0) | row.bit
        others = [(lifting.whole, bit) for lifting, bit in bits.items()]
        for number in range(len(self.program.slice.acts)):
            gates = tuple(self.program.gates[2 * number : 2 * number + 2])
            others.append((tree.And(gates), self.exceptions + 1 << number))
        for whole, bit in others:
            for part in set(conjuncts(whole)):
                found[part] = found.get(part, 0) | bit
        return found

    def fill(self, parts: Mapping[tree.Tree, int]) -> None:
        """Sorts the parts by what they read, and makes `scan` and `test`."""
        source, start = self.program.source, self.all
        several: list[tuple[tree.Tree, int]] = []
        found: list[tuple[str, tree.Tree, int, str, Readings | None]] = []
        for part, rows in sorted(parts.items(), key=lambda entry: -entry[1].bit_count()):
            path = None if self.program.presumes([part]) else path_of(part)
            if part == tree.FALSE:
                start &= ~rows
            elif path is not None:
                found.append((path, part, rows, source.function(part), None))
            else:
                several.append((part, rows))
                if not any(isinstance(node, tree.Resolved) for node in tree.parts_of(part)):
                    name = source.function(part)
                    readings = combinations(self.program.slice, self.program.axes_of([part]))
                    paths = filter(None, {path_of_term(term) for term in tree.terms_of(part)})
                    found += [(path, part, rows, name, readings) for path in sorted(paths)]
        source.add("test(V, at, R, engine, live, pending)", list(self.tests(several)))
        self.codes = source.made()
        self.test: Callable[..., int] = self.codes["test"]
        nothing = [None] * len(self.program.presumed)
        for path, part, rows, name, ways in found:
            table = self.tables.setdefault(path, Table(path, self.all, nothing))
            table.parts.append(Part(part, self.codes[name], rows, ways))
        for table in self.tables.values():
            table.fill(self.program.sets)
        self.scan = self.scanner(start)

    def tests(self, parts: list[tuple[tree.Tree, int]]) -> Iterator[str]:
        """Source that evaluates each part if it still matters; exceptions come last, and only where there
        is something to lift. What can't be evaluated is left to a human."""
        yield "g, P = V.get, None"
        for part, rows in sorted(parts, key=lambda entry: not entry[1] & ~self.exceptions):
            yield (
                f"if live & {rows} and live & {self.served(rows)}:"
                if rows & self.exceptions
                else f"if live & {rows}:"
            )
            if self.program.presumes([part]):
                yield "    if P is None: P = engine.presumptions(V, at, R)"
            yield f"    try: x = {self.program.source.expression(part)}"
            yield f"    except Exception: x = {HUMAN}"
            yield f"    if x < 0: live &= {self.all & ~rows}"
            yield f"    elif x: pending.append(({rows}, x))"
        yield "return live"

    def where(self, test: Callable[[Instance], bool]) -> int:
        """The questions of the instances for which the test holds."""
        kept = {
            instance.key: test(instance)
            for instance in {r.instance.key: r.instance for r in self.rows}.values()
        }
        return sum(row.bit for row in self.rows if kept[row.instance.key])

    def served(self, rows: int) -> int:
        """The rows for whose sake these rows matter: themselves, or the questions that they may lift."""
        able = rows & self.exceptions
        return rows & ~able | sum(row.bit for row in self.rows if row.able & able)

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
        questions = self.all & ~self.exceptions & ~self.acts
        ordered = sorted(self.tables.values(), key=lambda table: -table.power(questions))
        for number, table in enumerate(ordered):
            lines.append(f"    if live & {self.served(table.rows())}:")
            lines += [
                f"        {line}" for line in (f"v = g({table.path!r})", *table.source(str(number), names))
            ]
        text = "\n".join(["def scan(g, pending):", *lines, "    return live"])
        exec(compile(text, "<rows>", "exec"), names)  # noqa: S102 -- made of numbers and quoted paths only
        return names["scan"]  # type: ignore[return-value]  # the function that the text defines
