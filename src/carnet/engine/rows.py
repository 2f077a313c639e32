"""What is asked of a slice as rows, one bit of a whole number each: the exceptions that may lift a question,
the subjects of acts, the acts, the questions, and the ways in which a condition of one can hold. A row is a
conjunction. Which rows the facts leave is found in `carnet.engine.passes`, and how an answer is put together
in `carnet.engine.compiled`."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import NamedTuple, TypeVar

from carnet.engine.program import LIFTED, Instance, Program
from carnet.engine.tables import path_of
from carnet.model.determination import Outcome
from carnet.rules import tree

V = TypeVar("V")


class Row(NamedTuple):
    """A question with the place of its bit. `stands` is the condition of its being open."""

    key: str
    kind: str
    bit: int
    instance: Instance
    stands: tree.Tree


class Conjunct(NamedTuple):
    """A condition, and the rows that have it. `ways` are the rows of the ways in which it can hold: it is
    false if none of them is left. 0 if it has to be evaluated."""

    node: tree.Tree
    rows: int
    ways: int


class Column(dict[int, int]):
    """Eight exceptions: by a byte, the questions that those of its bits may lift. Made as it is asked for."""

    def __init__(self, lifts: list[int]) -> None:
        super().__init__()
        self.lifts = lifts

    def __missing__(self, byte: int) -> int:
        found = 0
        for number, questions in enumerate(self.lifts):
            if byte >> number & 1:
                found |= questions
        self[byte] = found
        return found


def bits(rows: int) -> Iterator[int]:
    """The bits of a mask, one by one."""
    while rows:
        yield rows & -rows
        rows &= rows - 1


def numbered(names: Iterable[V], first: int) -> dict[V, int]:
    """A bit for each name, from that place on."""
    return {name: 1 << number for number, name in enumerate(dict.fromkeys(names), first)}


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


def ways_of(node: tree.Tree) -> list[tuple[tree.Tree, ...]]:
    """The conditions of which one must be true, each as its conjuncts."""
    return [tuple(dict.fromkeys(conjuncts(tree.Not(denial)))) for denial in conjuncts(node, denied=True)]


class Rows:
    """All rows of a program: exceptions, those of one class and one condition as one; subjects, alike ones as
    one; acts; questions, against the order of their keys; ways."""

    def __init__(self, program: Program) -> None:
        self.program = program
        asked = sorted(program.questions, key=lambda question: question.key, reverse=True)
        named = [[(each.exception.class_, each.whole) for each in question.able] for question in asked]
        able = numbered(chain.from_iterable(named), 0)
        subjects = numbered(program.gates[::2], len(able))
        acts = range(len(able) + len(subjects), len(able) + len(subjects) + len(program.slice.acts))
        self.rows = [
            Row(question.key, question.instance.kind, 1 << number, question.instance, question.stands)
            for number, question in enumerate(asked, acts.stop)
        ]
        self.exceptions, self.subjects = sum(able.values()), sum(subjects.values())
        self.acts = sum(1 << number for number in acts)
        self.questions = sum(row.bit for row in self.rows)
        self.wanted = self.subjects | self.acts | self.questions
        """The rows that matter by themselves."""
        self.prohibitions, self.requirements = self.of_kind("prohibition"), self.of_kind("open")
        self.closing = self.prohibitions | self.requirements
        self.flags, self.walked = self.of_kind("flag"), self.of_kind("walked_flag")
        self.reading = self.where(lambda instance: bool(program.axes_of(list(instance.trees(program.gates)))))
        self.presuming = self.where(lambda instance: program.presumes(list(instance.trees(program.gates))))
        self.presuming |= self.acts if program.presumes(program.gates) else 0
        self.serves = dict.fromkeys(able.values(), 0)
        """The rows for whose sake each of the others matters."""
        for row, names in zip(self.rows, named, strict=True):
            for name in names:
                self.serves[able[name]] |= row.bit
        self.ranks: list[tuple[Outcome, int]] = []
        """The permissions of what lifts a question, the most burdensome first, and the exceptions of those
        that are milder."""
        milder = 0
        for class_, outcome in LIFTED.items():
            self.ranks.insert(0, (outcome, milder))
            milder |= sum(bit for (name, _), bit in able.items() if name == class_)
        lifts = [self.serves[bit] for bit in able.values()]
        self.lift_columns = [Column(lifts[n : n + 8]) for n in range(0, len(lifts), 8)]
        self.places = {row.bit.bit_length(): row for row in self.rows}
        """By the length of a number, the question that is its highest bit."""
        self.all = self.exceptions | self.wanted
        written = [(whole, bit) for (_, whole), bit in able.items()]
        written += subjects.items()
        for number, bit in enumerate(acts):
            written.append((tree.And(tuple(program.gates[2 * number : 2 * number + 2])), 1 << bit))
        self.conjuncts = self.joined(self.written(written))

    def of_kind(self, kind: str) -> int:
        return sum(row.bit for row in self.rows if row.kind == kind)

    def where(self, test: Callable[[Instance], bool]) -> int:
        """The questions of the instances for which the test holds."""
        kept = {
            instance.key: test(instance)
            for instance in {r.instance.key: r.instance for r in self.rows}.values()
        }
        return sum(row.bit for row in self.rows if kept[row.instance.key])

    def written(self, others: list[tuple[tree.Tree, int]]) -> dict[tree.Tree, int]:
        """Every condition that the rows are made of, with those that have it."""
        wholes = list(others)
        for row in self.rows:
            gates = tuple(self.program.gates[gate] for gate in row.instance.gates)
            own = () if row.kind == "walked_flag" else (row.instance.when,)
            wholes.append((tree.And((*gates, *own)), row.bit))
        found: dict[tree.Tree, int] = {}
        for whole, bit in wholes:
            for node in dict.fromkeys(conjuncts(whole)):
                found[node] = found.get(node, 0) | bit
        return found

    def joined(self, written: dict[tree.Tree, int]) -> list[Conjunct]:
        """The same, those of many rows first. Where a condition on several facts can hold in several ways,
        each of which reads one fact at a time, these become rows."""
        bit_of: dict[tuple[tree.Tree, ...], int] = {}
        ways: dict[tree.Tree, int] = {}
        for node, rows in list(written.items()):
            each = ways_of(node) if self.entangled(node) else []
            if len(each) < 2 or any(self.entangled(part) for way in each for part in way):
                continue
            ways[node] = 0
            for way in each:
                if way not in bit_of:
                    bit_of[way] = self.all + 1
                    self.all |= self.all + 1
                bit = bit_of[way]
                ways[node] |= bit
                self.serves[bit] = self.serves.get(bit, 0) | self.served(rows)
                for part in way:
                    written[part] = written.get(part, 0) | bit
        found = [Conjunct(node, rows, ways.get(node, 0)) for node, rows in written.items()]
        return sorted(found, key=lambda conjunct: -conjunct.rows.bit_count())

    def entangled(self, node: tree.Tree) -> bool:
        """Whether a condition reads more than one fact of the transaction."""
        return path_of(node) is None or self.program.presumes([node])

    def served(self, rows: int) -> int:
        """The rows for whose sake these matter."""
        found = rows & self.wanted
        for bit, of in self.serves.items():
            if rows & bit:
                found |= of
        return found

    @cached_property
    def of_act(self) -> dict[int, int]:
        """By act: all rows but the questions that are read for another act only."""
        own = dict.fromkeys((stage.number for stage in self.program.slice.acts), 0)
        for row in self.rows:
            if row.instance.act is not None:
                own[row.instance.act] |= row.bit
        every = sum(own.values())
        return {act: self.all & ~(every ^ questions) for act, questions in own.items()}

    def keys(self, questions: int) -> tuple[str, ...]:
        """Their keys, in order."""
        return tuple([row.key for row in self.of(questions)])

    def of(self, questions: int) -> list[Row]:
        """Their rows, in order of their keys."""
        found = []
        while questions:
            row = self.places[questions.bit_length()]
            found.append(row)
            questions ^= row.bit
        return found
