"""The test profile that a mutant must survive, a few seconds at most: stored questions with the answers of
the unchanged engine, and stored shelves with what the unchanged loader makes of them. It stops at the first
difference; the questions that told mutants apart before come first."""

import datetime as dt
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from types import ModuleType

import msgspec
import pytest
from msgspec import Struct
from tests.mutation.loading import changed
from tests.mutation.mutate import Mutant
from tests.property.changes import base, exception, prohibition, requirement
from tests.property.differential import ask, drawn
from tests.property.views import Question
from tests.property.words import BASE, EARLY, TERMS

from carnet.engine import decide, reference
from carnet.model.determination import Choices
from carnet.model.errors import RulesError
from carnet.model.facts import Known, Unknown
from carnet.model.time import Days, Span
from carnet.rules import blocks, check, slices, tree
from carnet.rules.rulebook import Rulebook
from carnet.service.story import read_story
from carnet.store.examples import shipped_examples
from carnet.store.shelves import shipped

SECONDS = 30
MOMENTS = 4
"""Slices of each rulebook: the fast engine compiles every one anew for every mutant."""
Call = Callable[[ModuleType], object]
Asked = tuple[tuple[check.Shelf, ...], dict[str, Sequence[str]]]
"""Shelves with the names of their folders, as a test gives them to the loader."""
Test = Callable[[ModuleType], bool]
"""Whether a loaded entry module still does as the unchanged one."""


class Target(Struct, frozen=True):
    """A module to be changed, and the module through which it is tested."""

    module: str
    entry: str


class TooSlow(Exception):
    """A mutant that runs on and on."""


def engine_tests(seeds: range, each: int) -> list[Test]:
    """One test for each question."""
    tests: list[Test] = []
    special = [(book, [question]) for book, question in edges()]
    for book, questions in (*special, *(drawn(seed, each, MOMENTS) for seed in seeds)):
        for question in questions:
            expected = ask(reference.answer, book, question)
            tests.append(
                lambda entry, b=book, q=question, e=expected: ask(entry.answer, b, q) == e  # type: ignore[misc]
            )
    return tests


def edges() -> list[tuple[Rulebook, Question]]:
    """Questions at an edge that generated ones rarely hit."""

    def asked(*found: blocks.AnyBlock, at: dt.datetime = BASE, **values: Known) -> tuple[Rulebook, Question]:
        book = Rulebook(blocks=tuple(sorted(found, key=lambda block: block.id)), terms=TERMS)
        facts = {path.replace("__", "."): value for path, value in values.items()}
        return book, Question(facts, at, BASE, Choices(), {})

    hired, place, knows = (
        tree.Term("recipient", "hired"),
        tree.Term("recipient", "location"),
        tree.Term("exporter", "knowledge"),
    )
    forbidden = prohibition("inv.p", tree.Elapsed(hired, 1))
    member = blocks.Member("FR", Span(EARLY), BASE)
    listed = blocks.List(
        **base("inv.l"), type="country", members=(member,), domain=None, content=Span(EARLY), prevails=None
    )
    insider = tree.IsUnknown(tree.Holds(tree.Term("recipient", "insider")))
    flag = blocks.RedFlag(**base("inv.f"), defeats=frozenset({"exporter.knowledge"}), when=insider)
    carved = msgspec.structs.replace(
        exception("inv.e", blocks.Lift("inv.r", None)), class_="carve_out", path="carve_out"
    )
    strict = msgspec.structs.replace(requirement("inv.r"), lifted_by=frozenset({"authorization"}))
    last = dt.datetime(2025, 1, 15, 5, tzinfo=dt.UTC)
    day = dt.date(2024, 1, 15).toordinal()
    return [
        asked(forbidden, at=last, recipient__hired=Days(day, day + 5)),
        asked(forbidden, at=last, recipient__hired=Days(day, day)),
        asked(prohibition("inv.p", tree.In(place, tree.ListRef("inv.l"))), listed, recipient__location="FR"),
        asked(
            prohibition("inv.p", tree.Equals(knows, "actual")), flag, exporter__knowledge=Unknown("conflict")
        ),
        asked(strict, carved),
    ]


def resolved(
    entry: ModuleType, book: Rulebook, at: dt.datetime, known: dt.datetime, choices: Choices
) -> object:
    """A slice without the identity of its classes, or what is wrong."""
    try:
        found = entry.slice_at(book, at, known, choices)
    except RulesError as error:
        return str(error)
    assert found is entry.slice_at(book, at, known, choices)
    fields = {name: plain(getattr(found, name)) for name in found.__struct_fields__ if name != "rulebook"}
    return (fields, entry.change_instants(book, known, choices), entry.change_instants(book, known))


def plain(value: object) -> object:
    """Structs of the slices as tuples."""
    if type(value).__name__ in ("ResolvedList", "Resolved", "Stage"):
        return tuple(plain(getattr(value, name)) for name in value.__struct_fields__)  # type: ignore[attr-defined]
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value


def kept(entry: ModuleType, book: Rulebook, at: dt.datetime) -> object:
    """How many of many slices a new rulebook keeps, and whether these are the last that were made."""
    book = msgspec.structs.replace(book)
    asked = [Choices(stale_after_days=day) for day in range(150)]
    made = [entry.slice_at(book, at, at, choices) for choices in asked]
    found = book.kept["slices"]
    same = [entry.slice_at(book, at, at, asked[day]) is made[day] for day in (149, 22, 21)]
    return len(found.slices), len(found.instants), same  # type: ignore[attr-defined] # of the loaded module


def with_axes(count: int) -> Rulebook:
    """A rulebook with that many axes."""
    readings = tuple(
        tree.Reading(f"axis{n}", (("broad", tree.TRUE), ("narrow", tree.FALSE))) for n in range(count)
    )
    return Rulebook(blocks=(requirement("inv.r", tree.Or(readings)),), terms=TERMS)


def slice_tests(seeds: range, each: int) -> list[Test]:
    """One test for each moment of a rulebook, and some of the cache."""
    tests: list[Test] = []
    books = []
    for seed in seeds:
        book, questions = drawn(seed, each, each)
        books.append(book)
        for q in questions:
            given = (book, q.at, q.known, q.choices)
            expected = resolved(slices, *given)
            tests.append(lambda entry, g=given, e=expected: resolved(entry, *g) == e)  # type: ignore[misc]
    moment = (BASE, BASE, Choices())
    before = (EARLY.earliest - dt.timedelta(days=1), BASE, Choices())
    empty = Rulebook(blocks=(), terms=TERMS)
    for given in ((with_axes(6), *moment), (with_axes(7), *moment), (books[0], *before), (empty, *moment)):
        expected = resolved(slices, *given)
        tests.append(lambda entry, g=given, e=expected: resolved(entry, *g) == e)  # type: ignore[misc]
    tests.append(lambda entry: kept(entry, books[0], BASE) == (128, 128, [True, True, False]))
    return tests


def transaction_tests() -> list[Test]:
    """The cases of June 2026 through whole determinations and timelines."""
    book = check.load(shipped())
    found = read_story(shipped_examples("june-2026"))
    stated = [case for scene in found.scenes for case in scene.cases]
    tests: list[Test] = []
    for number, case in enumerate(stated):
        asked: list[Call] = [
            lambda entry, c=case: (
                entry.decide(
                    c.transaction, book, at=c.at, known=c.known, choices=Choices(readings=c.choices)
                ).determination
            )
        ]
        if number % 6 == 0:
            careful = Choices(assurance={"party.us_status": "S4"}, stale_after_days=1)
            asked += [
                lambda entry, c=case: entry.decide(c.transaction, book).determination,
                lambda entry, c=case: entry.decide(c.transaction, book, at=c.at).determination,
                lambda entry, c=case, choices=careful: (
                    entry.decide(c.transaction, book, choices=choices).determination
                ),
                lambda entry, c=case: entry.timeline(c.transaction, book, known=c.at),
            ]
        for call in asked:
            expected = call(decide)
            tests.append(lambda entry, f=call, e=expected: f(entry) == e)  # type: ignore[misc]
    return tests


class Recorder:
    """A pytest plugin that notes every shelf the tests of the loader load."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            module = getattr(item, "module", None)
            if module is not None and getattr(module, "load", None) is check.load:
                module.load = self.load

    def load(self, *shelves: check.Shelf, **names: Sequence[str]) -> object:
        self.asked.append((shelves, names))
        return check.load(*shelves, **names)


def loaded(entry: ModuleType, asked: Asked) -> object:
    """What the loader makes of shelves: blocks and cases, or its problems."""
    try:
        book = entry.load(*asked[0], **asked[1])
    except RulesError as error:
        return str(error)
    return (book.blocks, book.cases, book.pages, book.digest)


def loader_tests() -> list[Test]:
    """One test for each shelf that the tests of the loader load."""
    recorder = Recorder()
    with redirect_stdout(StringIO()) as said:
        found = pytest.main(["-q", "-p", "no:cacheprovider", "tests/rules"], plugins=[recorder])
    assert found == 0, said.getvalue()
    unique = {
        repr(([sorted(shelf.items()) for shelf in asked[0]], asked[1])): asked for asked in recorder.asked
    }
    tests: list[Test] = []
    for asked in unique.values():
        expected = loaded(check, asked)
        tests.append(lambda entry, a=asked, e=expected: loaded(entry, a) == e)  # type: ignore[misc]
    return tests


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(mutant: Mutant, entry: str, tests: list[Test]) -> bool:
    """Whether every test passes on the mutant. The test that fails moves to the front."""
    try:
        with limit(SECONDS), changed(mutant.module, mutant.source, entry) as module:
            for place, test in enumerate(tests):
                if not passes(test, module):
                    tests.insert(0, tests.pop(place))
                    return False
    except (Exception, TooSlow):  # noqa: BLE001 -- a mutant that cannot be loaded or never ends is noticed
        return False
    return True


def passes(test: Test, module: ModuleType) -> bool:
    try:
        return test(module)
    except TooSlow:
        raise
    except Exception:  # noqa: BLE001 -- whatever a mutant raises gives it away
        return False
