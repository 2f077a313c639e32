"""What one known fact does by itself to the questions and exceptions of a slice: which it closes, and which
it leaves undecided. How facts are put together is in `carnet.engine.rows`."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from carnet.engine.codegen import HUMAN, Code
from carnet.engine.ground import PARTY
from carnet.model.facts import Known
from carnet.rules import tree

OTHER = "\0any other"
MOST_KEPT = 4096
"""Values of one path whose effect is kept."""

Readings = list[dict[str, str]]
Pending = tuple[int, int]
"""Rows that a part leaves undecided, and what that part hangs on."""

ONE_FACT = (tree.Holds, tree.Equals, tree.In, tree.Compare, tree.Quantified, tree.Not, tree.And, tree.Or)


def path_of(part: tree.Tree) -> str | None:
    """The one fact that a part reads; None if there are several, or something else counts."""
    for node in tree.parts_of(part):
        if not isinstance(node, ONE_FACT):
            return None
        if isinstance(node, tree.Equals | tree.In) and not isinstance(node.value, tree.Term):
            return None
    terms = set(tree.terms_of(part))
    if len(terms) != 1:
        return None
    term = terms.pop()
    return path_of_term(term)


def path_of_term(term: tree.Term) -> str | None:
    """The path of a fact of the transaction; None for what is read of an act or of the party at hand."""
    return None if term.entity in ("act", PARTY) else f"{term.entity}.{term.name}"


class Part(NamedTuple):
    """A part that reads a fact. With `readings` it reads more than that fact, and the fact can only close it:
    under every one of them."""

    node: tree.Tree
    code: Code
    rows: int
    readings: Readings | None


class Table:
    """What the values of one fact do to the parts that read it. `sure` has the values that leave nothing
    undecided; values of the class `kind` are looked up."""

    def __init__(self, path: str, rows: int, nothing: list[None]) -> None:
        self.path, self.all, self.nothing = path, rows, nothing
        self.parts: list[Part] = []
        self.sure: dict[Known, int] = {}
        self.kept: dict[tuple[type, Known | None], tuple[int, list[Pending]]] = {}
        self.atoms: list[tree.Tree] = []
        self.kind = "str"

    def nodes(self) -> Iterator[tree.Tree]:
        """Every atom that reads the fact."""
        for node in dict.fromkeys(atom for part in self.parts for atom in tree.parts_of(part.node)):
            value = getattr(node, "term", getattr(node, "value", None))
            if isinstance(value, tree.Term) and path_of_term(value) == self.path:
                yield node

    def rows(self) -> int:
        """The rows that have one of the parts."""
        found = 0
        for part in self.parts:
            found |= part.rows
        return found

    def power(self, questions: int) -> float:
        """How many of the questions a value closes, on average over those that do different things."""
        effects = self.effects()
        return sum((questions & ~live).bit_count() for live in effects) / len(effects)

    def effects(self) -> set[int]:
        """What values that do different things leave of the rows."""
        numbers = sorted(self.numbers())
        if numbers:
            return {self.effect(n)[0] for n in (numbers[0] - 1, *numbers, numbers[-1] + 1)}
        if self.kind == "bool":
            return {self.effect(True)[0], self.effect(False)[0]}
        return {live for live, _ in self.kept.values()} | set(self.sure.values())

    def effect(self, value: Known | None) -> tuple[int, list[Pending]]:
        """The rows that the value does not close, and what it leaves undecided."""
        live = self.all
        pending: dict[int, int] = {}
        facts = {} if value is None else {self.path: value}
        for _, code, rows, readings in self.parts:
            try:
                found = max(code(facts, None, each, self.nothing) for each in readings or ({},))
            except Exception:  # noqa: BLE001 -- a part that can't be evaluated never lets anything through
                found = HUMAN
            if found < 0:
                live &= ~rows
            elif found and readings is None:
                pending[found] = pending.get(found, 0) | rows
        return live, [(rows, found) for found, rows in pending.items()]

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
                if value.__class__ is frozenset and not found[1]:
                    self.sure[value] = found[0]
        return found

    def fill(self, sets: Callable[[tree.Members], list[frozenset[str]]]) -> None:
        """Tables the texts that the parts name, and sets of one of them, alike ones together; and what any
        other text does."""
        self.atoms = list(self.nodes())
        kinds = {type(node) for node in self.atoms}
        self.kind = "bool" if tree.Holds in kinds else "frozenset" if tree.Quantified in kinds else "str"
        self.kept[str, OTHER] = self.effect(OTHER)
        groups: set[frozenset[str]] = set()
        for node in self.atoms:
            if isinstance(node, tree.Equals) and isinstance(node.literal, str):
                groups.add(frozenset({node.literal}))
            elif isinstance(node, tree.In | tree.Quantified):
                groups.update(sets(node.members))
        alike: dict[tuple[bool, ...], tuple[int, list[Pending]]] = {}
        for text in frozenset[str]().union(*groups):
            value: Known = frozenset({text}) if self.kind == "frozenset" else text
            signature = tuple(text in group for group in groups)
            if signature not in alike:
                alike[signature] = self.effect(value)
            live, pending = alike[signature]
            if pending:
                self.kept[value.__class__, value] = live, pending
            else:
                self.sure[value] = live

    def source(self, number: str, names: dict[str, object]) -> list[str]:
        """The lines that take the fact `v` into account."""
        lines = self.known(number, names)
        word = "elif" if lines else "if"
        closes, asked = self.effect(None)
        if closes == self.all and asked:
            names[f"asked{number}"] = asked
            lines.append(f"{word} v is None: pending += asked{number}")
            word = "elif"
        names[f"other{number}"] = self.other
        other = f"live &= other{number}(v, pending)"
        return [*lines, f"else: {other}"] if word == "elif" else [other]

    def known(self, number: str, names: dict[str, object]) -> list[str]:
        """The lines for values that leave nothing undecided; the first begins with `if`."""
        kind = self.kind
        if kind == "bool":
            (true, some), (false, more) = self.effect(True), self.effect(False)
            if some or more:
                return []
            return [f"if v is True: {self.closing(true)}", f"elif v is False: {self.closing(false)}"]
        numbers = sorted(self.numbers())
        if numbers:
            return self.stepped(number, numbers, names)
        names[f"sure{number}"] = self.sure.get
        if kind == "str" and not any(pending for _, pending in self.kept.values()):
            return [f"if v.__class__ is str: live &= sure{number}(v, {self.kept[str, OTHER][0]})"]
        return [f"if v.__class__ is {kind} and (m := sure{number}(v)) is not None: live &= m"]

    def stepped(self, number: str, numbers: list[int], names: dict[str, object]) -> list[str]:
        """The lines for a number: what it closes changes where one of the literals is passed."""
        cuts: list[int] = []
        first, undecided = self.effect(numbers[0] - 1)
        lives = [first]
        for cut in sorted({cut for literal in numbers for cut in (literal, literal + 1)}):
            live, pending = self.effect(cut)
            undecided = undecided or pending
            if live != lives[-1]:
                cuts.append(cut)
                lives.append(live)
        if undecided:
            return []
        if len(cuts) > 2:
            names |= {f"cuts{number}": cuts, f"live{number}": lives, "bisect": bisect_right}
            return [f"if v.__class__ is int: live &= live{number}[bisect(cuts{number}, v)]"]
        steps = "".join(f"{live} if v < {cut} else " for cut, live in zip(cuts, lives, strict=False))
        return [f"if v.__class__ is int: live &= {steps}{lives[-1]}"]

    def closing(self, live: int) -> str:
        """What is done for a value that leaves these rows."""
        return "pass" if live == self.all else f"live &= {live}"

    def numbers(self) -> Iterator[int]:
        """The whole numbers that the fact is held against."""
        for node in self.atoms:
            literal = getattr(node, "literal", None)
            if isinstance(literal, int):
                yield literal
