"""Facts as the engines see them: a *view* from paths to values. The reading of a transaction into
a view (validity, assurance, conflict) is in `carnet.model.view`.

A view holds, by path (`recipient.us_status`):

- a known value: `str`, `bool`, `int`, `Days`, a `frozenset[str]` that is complete;
- `Partial`: a set of which only some members are known;
- `Statuses`: citizenships and permanent residencies with their dates;
- `Group`, under `parties.ROLE`: the parties in a role;
- `Unknown`, with its cause; a path that is not there is `Unknown("missing")`.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from carnet.model.time import Days

Cause = Literal[
    "missing", "below_assurance", "expired", "stale", "conflict", "unclear", "untranslatable", "red_flag"
]

ASKABLE: frozenset[str] = frozenset({"missing", "below_assurance", "expired", "stale"})
"""Causes of unknown that an answer cures; the others need a human."""


class Unknown(Struct, frozen=True):
    """A value that is not known, and why. `candidates` are the values it may still have."""

    cause: Cause
    candidates: frozenset[str] | None = None


class Partial(Struct, frozen=True):
    """Members known so far of a set that is not known to be complete."""

    members: frozenset[str]


class Status(Struct, frozen=True):
    """One citizenship or permanent residency: the country, and the days on which it may have begun."""

    country: str
    since: Days


class Statuses(Struct, frozen=True):
    """Citizenships and permanent residencies. `complete`: there are no others."""

    entries: tuple[Status, ...]
    complete: bool


class Group(Struct, frozen=True):
    """The parties in one role, each with its own facts by attribute. `complete`: there are no others;
    an empty complete group says that there is no such party."""

    members: tuple[Mapping[str, "Known"], ...]
    complete: bool


Known = str | bool | int | Days | frozenset[str] | Partial | Statuses | Group | Unknown
Values = Mapping[str, Known]

MISSING = Unknown("missing")


def most_recent(value: Known) -> Known:
    """The country of the most recent citizenship or permanent residency.

    15 CFR 734.13(b), 734.14(b): the most recent one counts, not birth and not the riskiest. Unknown
    with candidates while dates overlap; for a human when there is none at all (the text is silent
    on stateless persons).
    """
    if isinstance(value, Unknown):
        return value
    if not isinstance(value, Statuses):
        raise TypeError(f"not statuses: {value!r}")
    if not value.complete:
        return MISSING
    if not value.entries:
        return Unknown("unclear")
    floor = max(entry.since.first for entry in value.entries)
    latest = frozenset(entry.country for entry in value.entries if entry.since.last >= floor)
    return next(iter(latest)) if len(latest) == 1 else Unknown("missing", latest)
