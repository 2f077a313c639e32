"""Two engines on the same generated questions: how often, on what, and where they differ."""

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from msgspec import Struct, field
from tests.property.books import Size, rulebook
from tests.property.coverage import kinds_of
from tests.property.views import Question, Views

from carnet.model.determination import Answer
from carnet.rules.rulebook import Rulebook

Engine = Callable[..., Answer]
PAIRS = 100
"""Questions for each rulebook."""


class Difference(Struct, frozen=True):
    """Where two engines differ: enough to make it again. `other` is a text if the engine raised."""

    seed: int
    number: int
    expected: Answer
    other: Answer | str


class Tally(Struct):
    """What a run came to."""

    books: int = 0
    pairs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.books += other.books
        self.pairs += other.pairs
        self.counts.update(other.counts)
        self.differences += other.differences


def drawn(seed: int, pairs: int = PAIRS, moments: int = 12) -> tuple[Rulebook, list[Question]]:
    """The rulebook of a seed, and its questions."""
    r = Random(seed)
    book = rulebook(r, Size(lawful=seed % 6 != 0))
    return book, list(Views(r, book).questions(pairs, moments))


def ask(engine: Engine, book: Rulebook, q: Question) -> Answer:
    return engine(book, q.values, q.at, q.known, q.choices, q.stated)


def heard(engine: Engine, book: Rulebook, q: Question) -> Answer | str:
    """An engine's answer, or what it raised."""
    try:
        return ask(engine, book, q)
    except Exception as error:  # noqa: BLE001 -- whatever an engine raises is a difference
        return f"{type(error).__name__}: {error}"


def run(expected: Engine, other: Engine, seeds: Iterable[int], pairs: int = PAIRS, most: int = 5) -> Tally:
    """Both engines on every seed; it stops at `most` differences."""
    tally = Tally()
    for seed in seeds:
        book, questions = drawn(seed, pairs)
        tally.books += 1
        tally.pairs += len(questions)
        for kind in kinds_of(book):
            tally.counts[kind] += len(questions)
        for number, question in enumerate(questions):
            answer = ask(expected, book, question)
            tally.counts[answer.outcome] += 1
            tally.counts["stated"] += answer.basis == "stated"
            tally.counts["by_reading"] += bool(answer.by_reading)
            found = heard(other, book, question)
            if found != answer:
                tally.differences.append(Difference(seed, number, answer, found))
                if len(tally.differences) >= most:
                    return tally
    return tally
