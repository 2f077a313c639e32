"""Generated questions for a rulebook: facts known, missing and unknown in every way, instants at and beside
its edges, choices, stated facts."""

import datetime as dt
from collections.abc import Iterator
from random import Random

from msgspec import Struct
from tests.property.words import BASE, DAY, NUMBERS, PARTY_WORDS, PATHS, RESOLVED, ROLES, STEPS, domain

from carnet.model.determination import Choices
from carnet.model.facts import Group, Known, Partial, Status, Statuses, Unknown
from carnet.model.time import ANY_DAY, ZONES, Days, days
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook
from carnet.rules.terms import TermSpec

HOURS = (0, 0, 4, 5, 5, 12)
ASKED = ("missing", "below_assurance", "expired", "stale")
HUMAN = ("conflict", "unclear", "untranslatable", "red_flag")
DATES = ("2025", "2025-03", "2024", "2024-03", "2024-02")


class Question(Struct, frozen=True):
    """What is asked of a rulebook: the arguments of `answer` after it."""

    values: dict[str, Known]
    at: dt.datetime
    known: dt.datetime
    choices: Choices
    stated: dict[str, Known]


def date(r: Random, at: dt.datetime | None = None) -> Days:
    """A day near the thresholds, or a part of a date; often whole years before `at`."""
    if at is not None and r.random() < 0.35:
        local = at.astimezone(ZONES["us"]).date()
        day = dt.date(local.year - r.choice((1, 1, 2)), local.month, min(local.day, 28)).toordinal()
        day += max(local.day - 28, 0) + r.choice((0, 0, 0, -1, 1))
        return Days(day, day) if r.random() < 0.8 else Days(day, day + r.randrange(3))
    if r.random() < 0.3:
        return ANY_DAY if r.random() < 0.1 else days(r.choice(DATES))
    day = (BASE + DAY * r.randrange(-2, STEPS)).toordinal() - r.choice((0, 365, 366, 365, 731))
    return Days(day, day + (r.randrange(6) if r.random() < 0.2 else 0))


def value(r: Random, one: TermSpec, at: dt.datetime | None = None) -> Known:
    """A known value."""
    match one.type:
        case "bool":
            return r.random() < 0.5
        case "number":
            return r.choice(NUMBERS) + r.choice((0, 0, 1))
        case "date":
            return date(r, at)
        case "set":
            return frozenset(r.sample(domain(one), r.randrange(3)))
        case "statuses":
            return statuses(r, True)
        case _:
            return r.choice(domain(one))


def statuses(r: Random, complete: bool) -> Statuses:
    return Statuses(
        tuple(Status(country, date(r)) for country in r.sample(("CN", "DE", "FR"), r.choice((0, 1, 1, 2)))),
        complete,
    )


def unknown(r: Random, one: TermSpec, human: float) -> Known:
    """Not known, in one of the ways there are."""
    roll = r.random()
    cause = r.choice(HUMAN) if r.random() < human else r.choice(ASKED)
    if one.type == "set" and roll < 0.5:
        return Partial(frozenset(r.sample(domain(one), r.randrange(3))))
    if one.type == "statuses" and roll < 0.4:
        return statuses(r, False)
    if one.type in ("enum", "id", "country") and roll < 0.35:
        return Unknown(cause, frozenset(r.sample(domain(one), 2)))
    return Unknown(cause)


class Views:
    """Questions for one rulebook."""

    def __init__(self, r: Random, book: Rulebook, *, plain: bool = False) -> None:
        self.r, self.book, self.plain = r, book, plain
        edges = [edge for block in book.blocks for edge in block.span.edges()]
        edges += [block.known for block in book.blocks]
        for block in book.of(blocks.List):
            edges += block.content.edges()
            edges += [edge for row in block.members for edge in (*row.span.edges(), row.known)]
        self.edges = sorted({edge for edge in edges if BASE <= edge <= BASE + DAY * STEPS * 2}) or [BASE]
        self.flags = tuple(flag.id for flag in book.of(blocks.RedFlag))
        self.axes: dict[str, set[str]] = {}
        for block in book.blocks:
            for node in tree.parts_of(getattr(block, "when", tree.TRUE)):
                if isinstance(node, tree.Reading):
                    self.axes.setdefault(node.axis, set()).update(name for name, _ in node.values)

    def instant(self) -> dt.datetime:
        r = self.r
        if r.random() < 0.55:
            return r.choice(self.edges) + dt.timedelta(seconds=r.choice((0, 0, -1, 1)))
        return BASE + DAY * r.randrange(STEPS) + dt.timedelta(hours=r.choice(HOURS))

    def facts(
        self,
        words: tuple[tuple[str, TermSpec], ...],
        known: float,
        human: float,
        at: dt.datetime | None = None,
    ) -> dict[str, Known]:
        """A value by name for most words; what is left out is missing."""
        r = self.r
        found: dict[str, Known] = {}
        for name, one in words:
            if r.random() < known:
                found[name] = value(r, one, at)
            elif r.random() < 0.5:
                found[name] = unknown(r, one, human)
        return found

    def group(self, known: float, human: float) -> Known:
        r = self.r
        if r.random() > known and r.random() < 0.4:
            return Unknown(r.choice(HUMAN) if r.random() < human else r.choice(ASKED))
        members = tuple(self.facts(PARTY_WORDS, known, human) for _ in range(r.choice((0, 1, 1, 2))))
        return Group(members, r.random() < max(known, 0.5))

    def moment(self) -> tuple[dt.datetime, dt.datetime, Choices]:
        """When a question is asked, what is known of the law by then, and the choices."""
        at = self.instant()
        if self.plain:
            return at, at, Choices()
        return at, at if self.r.random() < 0.7 else self.instant(), self.choices()

    def question(self, moment: tuple[dt.datetime, dt.datetime, Choices] | None = None) -> Question:
        r = self.r
        known = r.choice((1.0, 0.97, 0.9, 0.9, 0.7, 0.4))
        human = r.choice((0.0, 0.0, 0.1, 0.5))
        at, known_at, choices = moment or self.moment()
        values = self.facts(PATHS, known, human, at)
        for role in ROLES:
            if r.random() < max(known, 0.5):
                values[f"parties.{role}"] = self.group(known, human)
        if self.flags and r.random() < 0.5:
            named = frozenset(r.sample(self.flags, r.randint(0, len(self.flags))))
            roll = r.random()
            values[RESOLVED] = named if roll < 0.7 else Partial(named) if roll < 0.9 else Unknown("missing")
        if self.plain:
            return Question(values, at, known_at, choices, {})
        stated: dict[str, Known] = {}
        if r.random() < 0.35:
            for name, one in PATHS:
                if isinstance(values.get(name), Unknown | None) and r.random() < 0.8:
                    stated[name] = value(r, one)
            if r.random() < 0.3:
                stated["parties.end_user"] = self.group(1.0, 0.0)
        return Question(values, at, known_at, choices, stated)

    def choices(self) -> Choices:
        r = self.r
        readings = {
            axis: r.choice(sorted(names)) for axis, names in sorted(self.axes.items()) if r.random() < 0.3
        }
        if readings and r.random() < 0.03:
            readings[min(readings)] = "neither"
        return Choices(readings=readings, stale_after_days=r.choice((20, 30)) if r.random() < 0.15 else None)

    def questions(self, count: int, moments: int = 12) -> Iterator[Question]:
        """Questions at not more than so many moments, as an engine that resolves a rulebook for a moment
        has it in practice."""
        chosen = [self.moment() for _ in range(min(count, moments))]
        return (self.question(chosen[number % len(chosen)]) for number in range(count))
