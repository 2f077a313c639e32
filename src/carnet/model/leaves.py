"""The leaves of a transaction's entities: which attributes are facts, how each is read, and what of it is
wrong by itself. How facts are weighed against each other is in `carnet.model.view`."""

import datetime as dt
import typing
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from functools import cache

from msgspec import Struct, structs

from carnet.model.contradictions import contradictions
from carnet.model.errors import InputError
from carnet.model.facts import Known, Partial, Status, Statuses
from carnet.model.plain import odd_name
from carnet.model.time import ANY_DAY, days, in_utc
from carnet.model.written import Country, Day, Evidence, Fact, SetFact, StatusSince, number

Kind = typing.Literal["value", "country", "number", "day", "set", "countries", "statuses"]

Path = tuple[str | int, ...]

SHARES = frozenset({"us_content", "added_share_of_total", "synthetic_share"})
"""Words that are a share of a whole, in basis points."""

WHOLE = 10_000

INSTANTS = ("observed", "recorded", "valid_from", "valid_until", "expires")


@cache
def facts_of(entity: type[Struct]) -> tuple[tuple[str, Kind], ...]:
    """The attributes of an entity that are facts, and how each is read; others, such as a transaction's
    `format`, are left out."""
    hints = typing.get_type_hints(entity, include_extras=True)
    found: list[tuple[str, Kind]] = []
    for field in structs.fields(entity):
        parts = typing.get_args(hints[field.name])
        if SetFact[StatusSince] in parts:
            found.append((field.name, "statuses"))
        elif SetFact[Country] in parts:
            found.append((field.name, "countries"))
        elif any(typing.get_origin(part) is SetFact for part in parts):
            found.append((field.name, "set"))
        elif Fact[Day] in parts:
            found.append((field.name, "day"))
        elif Fact[Decimal] in parts:
            found.append((field.name, "number"))
        elif Fact[Country] in parts:
            found.append((field.name, "country"))
        elif any(typing.get_origin(part) is Fact for part in parts):
            found.append((field.name, "value"))
    return tuple(found)


def convert(kind: Kind, raw: object, unit: str = "1") -> Known:
    """A written value as a value of a view. Raises InputError for a number or a date that is none."""
    if kind in ("value", "country"):
        return typing.cast(Known, raw)
    if kind in ("set", "countries"):
        return frozenset(typing.cast(tuple[str, ...], raw))
    if kind == "number":
        return number(typing.cast(Decimal, raw), unit)
    if kind == "day":
        return days(typing.cast(str, raw))
    entries = typing.cast(tuple[StatusSince, ...], raw)
    since = [ANY_DAY if entry.since is None else days(entry.since) for entry in entries]
    return Statuses(
        tuple(Status(entry.country, day) for entry, day in zip(entries, since, strict=True)), complete=True
    )


def first_problem(
    entities: Iterable[tuple[Path, Struct]],
    units: typing.Mapping[str, str],
    countries: Collection[str] | None = None,
) -> tuple[Path, str] | None:
    """The first thing that is wrong with what is written, and where: a number, a date or a name that is
    none, an instant beyond the calendar, an unknown country, two plain facts of one party that can't both
    be true."""
    for path, entity in entities:
        plain: dict[str, Known] = {}
        for name in ("at", "id", "tenant"):
            own = getattr(entity, name, None)
            problem = _odd_instant(own) if isinstance(own, dt.datetime) else _odd_text("value", own)
            if problem is not None:
                return (*path, name), problem
        for name, kind in facts_of(type(entity)):
            leaf = getattr(entity, name)
            unit = units.get(f"{path[0] if path else 'transaction'}.{name}", "1")
            for steps, raw in written(kind, leaf):
                where = (*path, name, *steps)
                problem = _odd_text(kind, raw)
                if problem is not None:
                    return where, problem
                try:
                    value = convert(kind, raw, unit)
                except InputError as error:
                    return where, str(error)
                if (
                    kind == "number"
                    and (problem := _odd_number(name, raw, typing.cast(int, value))) is not None
                ):
                    return where, problem
                for country in _countries(kind, raw):
                    if len(country) != 2 or (countries is not None and country not in countries):
                        return where, f"unknown country `{country}`: write its two-letter id, such as `FR`"
            if isinstance(leaf, Evidence) and (found := _odd_evidence(leaf)) is not None:
                return (*path, name, *found[0]), found[1]
            claimed = _plain(kind, leaf, unit)
            if claimed is not None:
                plain[name] = claimed
        if "us_status" in type(entity).__struct_fields__:
            for clash in contradictions(plain):
                return (*path, clash.left), f"{clash.why}: correct one of them"
    return None


def _odd_text(kind: Kind, raw: object) -> str | None:
    """What is wrong with a name: nobody could see that it is not the one it looks like."""
    texts = raw if kind == "set" else (raw,) if kind == "value" else ()
    for text in typing.cast(Iterable[object], texts):
        problem = odd_name(text) if isinstance(text, str) else None
        if problem is not None:
            return f"`{text}` {problem}"
    return None


def _odd_number(name: str, raw: object, value: int) -> str | None:
    """What is wrong with a number of whole units: none of the words has values below zero, and a share of a
    whole is at most all of it."""
    if value < 0:
        return f"`{raw}` is below zero: write what there is, or leave the fact out if it is not known"
    if name in SHARES and value > WHOLE:
        return f"`{raw}` is more than {WHOLE} basis points, the whole: write basis points, 2500 for a quarter"
    return None


def _odd_instant(value: dt.datetime | None) -> str | None:
    try:
        if value is not None:
            in_utc(value)
    except InputError as error:
        return str(error)
    return None


def _odd_evidence(leaf: Evidence) -> tuple[Path, str] | None:
    """What is wrong beside the value: a source that is no name, an instant beyond the calendar."""
    several: tuple[Evidence, ...] = getattr(leaf, "facts", None) or ()
    for steps, fact in (((), leaf), *((("facts", index), fact) for index, fact in enumerate(several))):
        problem = _odd_text("value", fact.source)
        if problem is not None:
            return (*steps, "source"), problem
        for name in INSTANTS:
            problem = _odd_instant(getattr(fact, name))
            if problem is not None:
                return (*steps, name), problem
    return None


def written(kind: Kind, leaf: object) -> Iterator[tuple[Path, object]]:
    """Every value that a leaf writes, and where below it."""
    if leaf is None:
        return
    if not isinstance(leaf, Evidence):
        yield (), leaf
        return
    for name in ("value", "some"):
        if getattr(leaf, name, None) is not None:
            yield (name,), getattr(leaf, name)
    for index, option in enumerate(getattr(leaf, "candidates", None) or ()):
        yield ("candidates", index), option
    for index, fact in enumerate(getattr(leaf, "facts", None) or ()):
        for steps, raw in written(kind, fact):
            yield ("facts", index, *steps), raw


def _countries(kind: Kind, raw: object) -> tuple[str, ...]:
    if kind == "country":
        return (typing.cast(str, raw),)
    if kind == "countries":
        return typing.cast(tuple[str, ...], raw)
    if kind == "statuses":
        return tuple(entry.country for entry in typing.cast(tuple[StatusSince, ...], raw))
    return ()


def _plain(kind: Kind, leaf: object, unit: str) -> Known | None:
    """A value that is claimed without a date, a source's level or doubt; None for any other."""
    if isinstance(leaf, SetFact) and leaf.some is not None and leaf.plain():
        members = convert(kind, leaf.some, unit)
        if isinstance(members, Statuses):
            return Statuses(members.entries, complete=False)
        return Partial(typing.cast(frozenset[str], members))
    if isinstance(leaf, Evidence):
        value = getattr(leaf, "value", None)
        return convert(kind, value, unit) if value is not None and leaf.plain() else None
    return None if leaf is None else convert(kind, leaf, unit)
