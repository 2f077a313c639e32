"""The two passes over the rows of a slice, as source that is made once: `scan` looks at the facts one by one,
`test` at what reads several, and answers if nothing is left open. Which row is which bit is said in
`carnet.engine.rows`, what one fact does in `carnet.engine.tables`."""

from collections.abc import Iterator
from math import prod
from typing import Any

from carnet.engine.codegen import HUMAN, Code
from carnet.engine.program import combinations
from carnet.engine.rows import Conjunct, Rows, bits, ways_of
from carnet.engine.tables import Part, Table, path_of, path_of_term
from carnet.model.determination import Answer
from carnet.rules import tree

OFTEN = 0.8
"""A fact that matters so often is looked at without asking first whether it does."""


class Passes:
    """What the facts leave of the rows. `made` has the functions; for what is rarely needed they ask the
    `engine` (`carnet.engine.compiled`):

    - `scan(get, pending)`: the rows that no single fact closes; adds what single facts leave undecided;
    - `test(values, at, readings, live, pending, walks)`: the answer from there on, under one reading of every
      axis; `walks` are those on these facts, if there are any;
    - `decided(values, at)`: both, where no row that is left depends on a reading;
    - `lifted(able)`: the questions that exceptions lift.
    """

    def __init__(self, rows: Rows, engine: object) -> None:
        self.rows, self.program, self.start = rows, rows.program, rows.all
        source = self.program.source
        several: list[Conjunct] = []
        of_path: dict[str, list[tuple[Conjunct, str, bool]]] = {}
        for conjunct in rows.conjuncts:
            path = None if self.program.presumes([conjunct.node]) else path_of(conjunct.node)
            if conjunct.node == tree.FALSE:
                self.start &= ~conjunct.rows
            elif path is not None:
                of_path.setdefault(path, []).append((conjunct, source.function(conjunct.node), True))
            else:
                several.append(conjunct)
                closing = self.closing(conjunct.node)
                name = source.function(conjunct.node) if closing else ""
                for each in closing:
                    of_path.setdefault(each, []).append((conjunct, name, False))
        test = [*self.tests(several), *self.sorting()]
        self.codes: dict[str, Code] = source.made()
        names: dict[str, Any] = {**self.codes, "engine": engine, "Answer": Answer, "keys": rows.keys}
        names |= {f"lifts{number}": column for number, column in enumerate(rows.lift_columns)}
        scan = [*self.scanning([self.table(path, parts) for path, parts in of_path.items()], names)]
        texts = {
            "scan(g, pending)": [*scan, "return live"],
            "test(V, at, R, live, pending, walks=None)": test,
            "decided(V, at)": [
                "pending = []",
                "live = scan(V.get, pending)",
                f"if live & {rows.reading}: return engine.over_readings(V, at, live, pending)",
                "return test(V, at, {}, live, pending)",
            ],
            "lifted(able)": [f"return {self.lifting()}"],
        }
        for name, lines in texts.items():  # one by one: all together take twice the memory on the way
            text = "\n    ".join([f"def {name}:", *lines])
            exec(compile(text, "<rows>", "exec"), names)  # noqa: S102 -- made from checked trees only
        self.made = names

    def closing(self, node: tree.Tree) -> list[str]:
        """The facts of which one may make a condition false whatever the others are."""
        bare = node.part if isinstance(node, tree.Not) else node
        if isinstance(bare, tree.Same | tree.Elapsed):
            return []
        if any(isinstance(part, tree.Resolved) for part in tree.parts_of(node)):
            return []
        terms = [[term for part in way for term in tree.terms_of(part)] for way in ways_of(node)]
        paths = set.intersection(*({path_of_term(term) for term in each} for each in terms))
        return sorted(path for path in paths if path is not None)

    def table(self, path: str, parts: list[tuple[Conjunct, str, bool]]) -> Table:
        """What the values of a fact do. A condition that reads others too counts if it is false under every
        reading."""
        table = Table(path, self.rows.all, [None] * len(self.program.presumed))
        for (node, rows, _), name, alone in parts:
            readings = None if alone else combinations(self.program.slice, self.program.axes_of([node]))
            table.parts.append(Part(node, self.codes[name], rows, readings))
        table.fill(self.program.sets)
        return table

    def lifting(self) -> str:
        """Source of the questions that the exceptions `able` lift."""
        last = len(self.rows.lift_columns) - 1
        parts = []
        for number in range(last + 1):
            rest = f"able >> {8 * number}" if number else "able"
            parts.append(f"lifts{number}[{rest if number == last else f'{rest} & 255'}]")
        return " | ".join(parts) or "0"

    def tests(self, conjuncts: list[Conjunct]) -> Iterator[str]:
        """Source that closes the rows of conditions on several facts. Those that have ways are false if none
        is left; the others, and those of which a way is undecided, are evaluated if they still matter.
        Exceptions come last, and only where there is something to lift. What can't be evaluated is left to
        a human."""
        exceptions = self.rows.exceptions
        yield "P, soft = None, 0"
        yield "if pending:"
        yield "    for rows, _ in pending: soft |= rows"
        for node, rows, ways in sorted(conjuncts, key=lambda each: not each.rows & ~exceptions):
            matters = f"live & {rows}"
            if rows & exceptions:
                matters += f" and live & {self.rows.served(rows)}"
            if ways:
                yield f"if not live & {ways}: live &= {self.rows.all & ~rows}"
                yield f"elif soft and live & soft & {ways} and {matters}:"
            else:
                yield f"if {matters}:"
            if self.program.presumes([node]):
                yield "    if P is None: P = engine.presumptions(V, at, R)"
            yield f"    try: x = {self.program.source.expression(node)}"
            yield f"    except Exception: x = {HUMAN}"
            yield f"    if x < 0: live &= {self.rows.all & ~rows}"
            yield "    elif x:"
            yield f"        pending.append(({rows}, x))"
            yield f"        soft |= {rows}"

    def sorting(self) -> Iterator[str]:
        """Source that sorts the questions that are left, and answers. Where no requirement is left, there is
        nothing to lift."""
        rows = self.rows
        yield f"rest, lifted = live & {rows.questions}, 0"
        yield f"certain = rest & {rows.closing}"
        yield f"if rest & {rows.requirements}:"
        yield f"    able = (live & ~soft if soft else live) & {rows.exceptions}"
        yield f"    lifted = {self.lifting()}"
        yield "    rest &= ~lifted"
        yield "    certain &= ~lifted"
        yield "if soft:"
        yield f"    able = live & {rows.exceptions} & soft"
        yield f"    certain &= ~(soft | {self.lifting()})"
        yield f"    rest &= ~(soft & {rows.flags})"
        yield "rest ^= certain"
        yield "if rest:"
        yield "    if walks is None: walks = engine.walks(V, at)"
        yield "    return engine.unsettled(R, walks, pending, live, soft, lifted, certain, rest)"
        yield f"if certain: outcome = 'prohibited' if certain & {rows.prohibitions} else 'license_required'"
        yield "else: outcome = engine.permitted(live, lifted, soft)"
        yield "return Answer("
        yield "    outcome=outcome, basis='assured', may_still_be=(), by_reading={}, asks=(),"
        yield "    certain=keys(certain) if certain else (), undecided=())"

    def scanning(self, tables: list[Table], names: dict[str, object]) -> Iterator[str]:
        """Source that takes the facts into account one by one, those that close most first."""
        yield f"live = {self.start}"
        left = dict.fromkeys(bits(self.rows.wanted), 1.0)
        for number, table in enumerate(sorted(tables, key=lambda each: -each.power(self.rows.questions))):
            served = self.rows.served(table.rows())
            lines = [f"v = g({table.path!r})", *table.source(str(number), names)]
            if 1 - prod(1 - left[bit] for bit in bits(served)) < OFTEN:
                yield f"if live & {served}:"
                lines = [f"    {line}" for line in lines]
            yield from lines
            effects = table.effects()
            for bit in bits(table.rows() & self.rows.wanted):
                left[bit] *= sum(bool(live & bit) for live in effects) / len(effects)
