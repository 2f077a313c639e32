"""The test profile that a mutant must survive, a few seconds at most: stored questions with the answers of
the unchanged engine, and stored shelves with what the unchanged loader makes of them. It stops at the first
difference; the questions that told mutants apart before come first. What an engine keeps on a rulebook is
taken off before each mutant, so that none is asked what another has compiled."""

import datetime as dt
import signal
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from types import ModuleType

import msgspec
import pytest
from msgspec import Struct
from tests.mutation.edges import circular, edges
from tests.mutation.loading import changed, path_of
from tests.mutation.mutate import Mutant
from tests.property.changes import requirement
from tests.property.differential import ask, drawn
from tests.property.views import Question
from tests.property.words import BASE, EARLY, TERMS

from carnet.engine import decide, reference
from carnet.model.determination import Choices, Determination
from carnet.model.errors import InputError, RulesError
from carnet.model.transaction import Transaction
from carnet.model.view import View
from carnet.rules import blocks, check, slices, tree
from carnet.rules.rulebook import Rulebook
from carnet.service.story import read_story
from carnet.store.examples import shipped_examples
from carnet.store.shelves import shipped

TIMES, LEAST = 5, 10
"""A mutant runs on and on if it takes so many times as long as the unchanged code, and this many seconds."""
MOMENTS = 4
"""Slices of each rulebook: the fast engine compiles every one anew for every mutant."""
Call = Callable[[ModuleType], object]
Asked = tuple[tuple[check.Shelf, ...], dict[str, Sequence[str]]]
"""Shelves with the names of their folders, as a test gives them to the loader."""
Test = Callable[[ModuleType], bool]
"""Whether a loaded entry module still does as the unchanged one."""


class Profile(Struct):
    """Tests, the rulebooks that they ask, and the seconds that they take on the unchanged code."""

    tests: list[Test]
    books: list[Rulebook]
    seconds: float = 0.0

    def forget(self) -> None:
        """Take off what was kept on the rulebooks."""
        for book in self.books:
            book.kept.clear()


class Target(Struct, frozen=True):
    """A module to be changed, and the module through which it is tested."""

    module: str
    entry: str


class TooSlow(Exception):
    """A mutant that runs on and on."""


def engine_tests(seeds: Sequence[int], each: int) -> Profile:
    """One test for each question."""
    tests: list[Test] = []
    books = []
    for book, questions in (*edges(), *(drawn(seed, each, MOMENTS) for seed in seeds)):
        books.append(book)
        for question in questions:
            expected = ask(reference.answer, book, question)
            tests.append(
                lambda entry, b=book, q=question, e=expected: ask(entry.answer, b, q) == e  # type: ignore[misc]
            )
    return Profile(tests, books)


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
    """How many of many slices a new rulebook keeps, and which of those that nobody holds: not the one that
    was asked for the longest ago, however long ago it was made."""
    book = msgspec.structs.replace(book)
    asked = [Choices(stale_after_days=day) for day in range(40)]
    made = [weakref.ref(entry.slice_at(book, at, at, choices)) for choices in asked]
    entry.slice_at(book, at, at, asked[40 - slices.MOST_KEPT])
    made.append(weakref.ref(entry.slice_at(book, at, at, Choices(stale_after_days=40))))
    found = book.kept[entry.Found]
    left = [number for number, slice_ in enumerate(made) if slice_() is not None]
    return len(found.slices), len(found.instants), left  # type: ignore[attr-defined] # of the loaded module


def with_axes(count: int) -> Rulebook:
    """A rulebook with that many axes."""
    readings = tuple(
        tree.Reading(f"axis{n}", (("broad", tree.TRUE), ("narrow", tree.FALSE))) for n in range(count)
    )
    return Rulebook(blocks=(requirement("inv.r", tree.Or(readings)),), terms=TERMS)


def determined(entry: ModuleType, book: Rulebook, q: Question) -> Determination:
    """The whole determination of a question, through the parts of the entry."""
    engine = entry.compiled(entry.slice_at(book, q.at, q.known, q.choices))
    edges = {path: q.at + dt.timedelta(days=900) for path in q.values}
    seen = View(values=q.values, stated=q.stated, held={}, until=None, edges=edges)
    found: Determination = entry.Report(engine, seen, q.at, q.known, q.choices).determination()
    return found


def determination_tests(seeds: Sequence[int], each: int) -> Profile:
    """One test for each question: its findings, dates and people to ask."""
    tests: list[Test] = []
    books = []
    for book, questions in (*edges(), *(drawn(seed, each, 1) for seed in seeds)):
        books.append(book)
        for question in questions:
            with suppress(Exception):  # a value that is not of its term is told by the answer alone
                expected = determined(decide, book, question)
                tests.append(
                    lambda entry, b=book, q=question, e=expected: determined(entry, b, q) == e  # type: ignore[misc]
                )
    book, (question,) = circular()
    told = outcome_of(decide, book, question)
    tests.append(lambda entry: outcome_of(entry, book, question) == told)
    return Profile(tests, [*books, book])


def outcome_of(entry: ModuleType, book: Rulebook, q: Question) -> str:
    """The outcome, or what is wrong with the rules."""
    try:
        return ask(entry.answer, book, q).outcome
    except RulesError as error:
        return str(error)


def slice_tests(seeds: Sequence[int], each: int) -> Profile:
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
    edge = ((with_axes(6), *moment), (with_axes(7), *moment), (books[0], *before), (empty, *moment))
    for given in edge:
        books.append(given[0])
        expected = resolved(slices, *given)
        tests.append(lambda entry, g=given, e=expected: resolved(entry, *g) == e)  # type: ignore[misc]
    last = [number for number in range(40 - slices.MOST_KEPT, 41) if number != 41 - slices.MOST_KEPT]
    tests.append(lambda entry: kept(entry, books[0], BASE) == (slices.MOST_KEPT, slices.MOST_KEPT, last))
    return Profile(tests, books)


def of_the_letters() -> Rulebook:
    """The shipped law without what the letters of June 2026 do not read: its slices compile in a moment."""
    book = check.load(shipped())
    near = ("us/directives/", "us/ear/744/744.22", "us/ear/734", "us/ear/772")
    kinds = (blocks.List, blocks.Definition, blocks.Scope, blocks.Coverage)
    found = [block for block in book.blocks if isinstance(block, kinds) or block.file.startswith(near)]
    ids = {block.id for block in found}
    found = [
        block
        for block in found
        if not isinstance(block, blocks.Overlay) or block.target.partition("#")[0] in ids
    ]
    return Rulebook(blocks=tuple(found), terms=book.terms)


def transaction_tests() -> Profile:
    """The cases of June 2026 through whole determinations and timelines."""
    book = of_the_letters()
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
            ]
        if number % 40 == 0:
            asked.append(lambda entry, c=case: entry.timeline(c.transaction, book, known=c.at))
        for call in asked:
            expected = call(decide)
            tests.append(lambda entry, f=call, e=expected: f(entry) == e)  # type: ignore[misc]
    tests.append(lambda entry: refuses(entry, book, Transaction(at=dt.datetime(2026, 6, 12))))  # noqa: DTZ001 -- that
    return Profile(tests, [book])


def refuses(entry: ModuleType, book: Rulebook, transaction: Transaction) -> bool:
    """Whether a transaction made in Python that can't be true gets no answer but an error."""
    try:
        entry.decide(transaction, book, at=BASE)
    except InputError:
        return True
    return False


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


def loader_tests() -> Profile:
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
    return Profile(tests, [])


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def timed(profile: Profile, target: Target) -> Profile:
    """The profile with the seconds it takes on the module as it is. Every test of it must pass there."""
    source = path_of(target.module).read_text("utf-8")
    profile.forget()
    start = time.monotonic()
    with changed(target.module, source, target.entry) as module:
        failed = sum(not test(module) for test in profile.tests)
    assert not failed, f"{failed} tests of the profile fail on the unchanged `{target.module}`"
    profile.seconds = time.monotonic() - start
    return profile


def survives(mutant: Mutant, entry: str, profile: Profile) -> bool:
    """Whether every test passes on the mutant. The test that fails moves to the front."""
    profile.forget()
    tests = profile.tests
    try:
        with (
            limit(max(TIMES * profile.seconds, LEAST)),
            changed(mutant.module, mutant.source, entry) as module,
        ):
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
