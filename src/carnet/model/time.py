"""Instants, windows, spans and partial dates. It never reads a clock."""

import calendar
import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from carnet.model.errors import InputError

ZONES = {"us": ZoneInfo("America/New_York"), "world": ZoneInfo("UTC")}
"""A bare date is 00:00 in the zone of the authority whose law it is, by the first part of its path."""

_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")

Force = Literal["yes", "no", "maybe"]


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """An instant as far as it is known: `earliest` and `latest` are equal for an exact one."""

    earliest: dt.datetime
    latest: dt.datetime


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """A half-open interval of force; `end` is None while no end is known."""

    start: Window
    end: Window | None = None

    def holds(self, at: dt.datetime) -> Force:
        """Whether `at` lies inside: "maybe" while a window of the start or the end is running."""
        if at < self.start.earliest or (self.end is not None and at >= self.end.latest):
            return "no"
        if at < self.start.latest or (self.end is not None and at >= self.end.earliest):
            return "maybe"
        return "yes"

    def edges(self) -> list[dt.datetime]:
        """Every instant at which `holds` may change."""
        bounds = [self.start] if self.end is None else [self.start, self.end]
        return [edge for bound in bounds for edge in (bound.earliest, bound.latest)]


class Days(Struct, frozen=True, forbid_unknown_fields=True):
    """A date as far as it is known: the proleptic ordinals `first` to `last`, both included."""

    first: int
    last: int


ANY_DAY = Days(1, dt.date.max.toordinal())
"""A date of which nothing is known."""


def days(text: str) -> Days:
    """`2025`, `2025-05` or `2025-05-15` as the days it may be.

    Raises InputError for anything else.
    """
    try:
        parts = [int(part) for part in text.split("-")] if _DATE.fullmatch(text) else []
        if len(parts) == 1:
            return Days(dt.date(parts[0], 1, 1).toordinal(), dt.date(parts[0], 12, 31).toordinal())
        if len(parts) == 2:
            last = calendar.monthrange(parts[0], parts[1])[1]
            return Days(
                dt.date(parts[0], parts[1], 1).toordinal(),
                dt.date(parts[0], parts[1], last).toordinal(),
            )
        if len(parts) == 3:
            day = dt.date(parts[0], parts[1], parts[2]).toordinal()
            return Days(day, day)
    except ValueError:
        pass
    raise InputError(f"`{text}` is not a date: write `2025`, `2025-05` or `2025-05-15`")


def midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """00:00 of the day in the authority's zone, as an aware instant in UTC. Raises InputError for a day that
    begins beyond the calendar."""
    return in_utc(dt.datetime(day.year, day.month, day.day, tzinfo=zone))


def in_utc(value: dt.datetime) -> dt.datetime:
    """An aware instant in UTC. Raises InputError for one that no calendar has there."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise InputError(
            f"`{value.isoformat()}` lies beyond the calendar: write a year from 2 to 9998"
        ) from None


def instant(text: str | dt.datetime | dt.date, zone: ZoneInfo | None = None) -> dt.datetime:
    """An aware instant in UTC from ISO text, a datetime or a date; a bare date needs `zone`.

    Raises InputError for a naive datetime, a bare date without a zone, text that is neither, and an instant
    beyond the calendar.
    """
    value: dt.datetime | dt.date
    if isinstance(text, str):
        try:
            value = dt.date.fromisoformat(text) if len(text) == 10 else dt.datetime.fromisoformat(text)
        except ValueError:
            raise InputError(
                f"`{text}` is not an instant: write it like `2026-06-12T17:21:00-04:00`"
            ) from None
    else:
        value = text
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise InputError(f"`{value.isoformat()}` has no zone: add `Z` or an offset like `-04:00`")
        return in_utc(value)
    if zone is None:
        raise InputError(f"`{value.isoformat()}` is a bare date: write an instant with its zone")
    return midnight(value, zone)


def kept_turns() -> Callable[[int, int], dt.datetime]:
    """`years_after` in New York, in UTC since comparing is fastest there; the last 4096 results are kept."""
    return lru_cache(4096)(lambda day, years: years_after(day, years, ZONES["us"]).astimezone(dt.UTC))


def years_after(ordinal: int, years: int, zone: ZoneInfo) -> dt.datetime:
    """The instant `years` after the start of the day; 29 February goes to 1 March. A date of which
    nothing is known may lie so late that no calendar has that instant: then it is the last there is."""
    day = dt.date.fromordinal(ordinal)
    if day.year + years > dt.MAXYEAR:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
    try:
        later = day.replace(year=day.year + years)
    except ValueError:
        later = dt.date(day.year + years, 3, 1)
    return midnight(later, zone)
