"""What several facts about one path come to together. Which facts count is in `carnet.model.view`."""

from collections.abc import Sequence
from functools import reduce

from carnet.model.facts import Known, Partial, Status, Statuses, Unknown
from carnet.model.time import Days

CONFLICT = Unknown("conflict")

HUMAN = frozenset({"conflict", "unclear"})


def merged(facts: Sequence[Known]) -> Known:
    """The value on which all facts agree, as narrow as they make it together; `Unknown("conflict")` if
    they cannot all be true. A fact that is itself in conflict or unclear stays so. Raises ValueError
    for no facts at all."""
    if not facts:
        raise ValueError("no facts to merge")
    return reduce(_both, facts)


def either(options: Sequence[Known]) -> Known:
    """One of these, not known which: candidates for text, the days from the first to the last for dates,
    nothing for what has no candidates in a view (numbers and booleans)."""
    if all(isinstance(option, str) for option in options):
        return _candidates(frozenset(str(option) for option in options))
    dates = [option for option in options if isinstance(option, Days)]
    if len(dates) == len(options):
        return Days(min(date.first for date in dates), max(date.last for date in dates))
    return options[0] if len(set(map(repr, options))) == 1 else Unknown("missing")


def _both(left: Known, right: Known) -> Known:
    for one in (left, right):
        if isinstance(one, Unknown) and one.cause in HUMAN:
            return one
    if isinstance(left, Unknown) and left.candidates is None:
        return right
    if isinstance(right, Unknown) and right.candidates is None:
        return left
    if isinstance(left, Days) and isinstance(right, Days):
        first, last = max(left.first, right.first), min(left.last, right.last)
        return Days(first, last) if first <= last else CONFLICT
    if isinstance(left, frozenset | Partial) and isinstance(right, frozenset | Partial):
        return _sets(left, right)
    if isinstance(left, Statuses) and isinstance(right, Statuses):
        return _statuses(left, right)
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        common = _options(left) & _options(right)
        return _candidates(common) if common else CONFLICT
    return left if left == right and type(left) is type(right) else CONFLICT


def _options(value: Known) -> frozenset[str]:
    if isinstance(value, Unknown):
        return value.candidates or frozenset()
    return frozenset({value}) if isinstance(value, str) else frozenset()


def _candidates(options: frozenset[str]) -> Known:
    return next(iter(options)) if len(options) == 1 else Unknown("missing", options)


def _sets(left: frozenset[str] | Partial, right: frozenset[str] | Partial) -> Known:
    if isinstance(left, Partial) and isinstance(right, Partial):
        return Partial(left.members | right.members)
    if isinstance(left, Partial) or isinstance(right, Partial):
        part, whole = _members(left), _members(right)
        if isinstance(right, Partial):
            part, whole = whole, part
        return whole if part <= whole else CONFLICT
    return left if left == right else CONFLICT


def _members(value: frozenset[str] | Partial) -> frozenset[str]:
    return value.members if isinstance(value, Partial) else value


def _statuses(left: Statuses, right: Statuses) -> Known:
    if left == right:
        return left
    mine, yours = _by_country(left), _by_country(right)
    if mine is None or yours is None:
        return CONFLICT
    if (left.complete and not yours.keys() <= mine.keys()) or (
        right.complete and not mine.keys() <= yours.keys()
    ):
        return CONFLICT
    entries = []
    for country in {**mine, **yours}:
        days = [side[country] for side in (mine, yours) if country in side]
        first, last = max(day.first for day in days), min(day.last for day in days)
        if first > last:
            return CONFLICT
        entries.append(Status(country, Days(first, last)))
    return Statuses(tuple(entries), left.complete or right.complete)


def _by_country(statuses: Statuses) -> dict[str, Days] | None:
    """None when a country stands twice: then only equal statements agree."""
    found = {entry.country: entry.since for entry in statuses.entries}
    return found if len(found) == len(statuses.entries) else None
