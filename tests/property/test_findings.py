"""What is read once for many places, readings and questions is the same as if it were read for each anew."""

from collections.abc import Iterator
from random import Random

from msgspec import structs
from tests.property.books import Size, rulebook
from tests.property.differential import drawn
from tests.property.real import RealViews
from tests.property.views import Question

from carnet.engine.compiled import Compiled, Walks, compiled
from carnet.engine.findings import Report, told
from carnet.engine.program import combinations
from carnet.engine.trace import Rails, Walk
from carnet.model.determination import Choices, Determination
from carnet.model.view import View
from carnet.rules import tree
from carnet.rules.check import load
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import slice_at
from carnet.store.shelves import shipped

SEEDS = range(7_100, 7_130)


class Forgetful(Walk):
    """Reads every condition anew."""

    def read(self, node: tree.Tree) -> Rails:
        return self.evaluated(node)


def report(book: Rulebook, q: Question) -> Report:
    seen = View(values=q.values, stated=q.stated, held={}, until=None, edges={})
    return Report(compiled(slice_at(book, q.at, q.known, q.choices)), seen, q.at, q.known, q.choices)


def determined(book: Rulebook, q: Question) -> Determination:
    return report(book, q).determination()


def forgetful(of: Report, engine: Compiled) -> list[Walk]:
    """A walk under every reading of all axes, each of which shares nothing with another."""
    return [
        Forgetful(
            of.values,
            of.at,
            readings,
            engine.slice.lists,
            engine.program.inner,
            Walks(engine, of.values, of.at).under(readings).presumed,
            (),
        )
        for readings in combinations(engine.slice, frozenset(engine.slice.axes))
    ]


def conditions(engine: Compiled) -> Iterator[tree.Tree]:
    """Every condition that a determination reads."""
    program = engine.program
    yield from (*program.gates, *program.acts)
    for question in program.questions:
        instance = question.instance
        yield from (instance.when, instance.applies, question.stands, *(when for _, when in instance.review))
        for lifting in question.able:
            yield from (lifting.condition, lifting.whole, *(bar for _, bar in lifting.bars))


def differing(book: Rulebook, questions: list[Question]) -> int:
    """Conditions of which something else is told if each is read anew under every reading."""
    found = 0
    for question in questions:
        of = report(book, question)
        of.determination()
        walks = forgetful(of, of.engine)
        for node in {id(node): node for node in conditions(of.engine)}.values():
            anew = told([walk.read(node) for walk in walks])
            found += of.read(node)[1:] != anew[1:]
    return found


def test_a_condition_that_is_read_once_is_told_as_if_it_were_read_under_every_reading() -> None:
    depending = 0
    for seed in SEEDS:
        book, questions = drawn(seed, 6, 3)
        assert differing(book, questions) == 0, seed
        for q in questions:
            depending += len(compiled(slice_at(book, q.at, q.known, q.choices)).program.depends)
    assert depending > 0


def test_so_it_is_under_the_shipped_law() -> None:
    views = RealViews(Random(5), load(shipped()))
    instant = views.question().at
    questions = [
        structs.replace(views.question(), at=instant, known=instant, choices=Choices()) for _ in range(6)
    ]
    assert differing(views.book, questions) == 0


def test_a_determination_does_not_hang_on_what_was_asked_before() -> None:
    """On one program, forwards and backwards, and each on a program of its own."""
    for seed in SEEDS:
        book, questions = drawn(seed, 10, 2)
        together = [determined(book, question) for question in questions]
        backwards = [determined(book, question) for question in reversed(questions)]
        assert together == backwards[::-1], seed
        for question, found in zip(questions[:4], together, strict=False):
            alone = rulebook(Random(seed), Size(lawful=seed % 6 != 0))
            assert alone is not book
            assert determined(alone, question) == found, seed
