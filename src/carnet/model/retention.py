"""How long records are kept, worked out from what their leaves say: hold, then retention, then erasure.
Nothing is destroyed here, and nothing is looked up; the time is told.

15 CFR 762.6(a): five years from the latest of the export, any known reexport, transshipment or diversion,
and any other termination of the transaction. So the time runs from when access ended, not from the decision.
31 CFR 501.601 (89 FR 74832, 90 FR 13286): ten years where sanctions were looked at, since 12 March 2025.
15 CFR 762.6(b): what an agency has asked for stays until the agency has agreed in writing.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from carnet.model.errors import Malformed
from carnet.model.leaf import AllEnded, Determined, Held, HoldReleased, Leaf, Retention, Revoked, Uses
from carnet.model.time import ZONES, instant, midnight, years_after

EAR_YEARS = 5
OFAC_YEARS = 10

OFAC_SINCE = midnight(dt.date(2025, 3, 12), ZONES["us"])
"""From here on 31 CFR 501.601 says ten years; before, it said five."""

State = Literal["held", "running", "kept", "over"]


class Course(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the time of one record runs from. `good_until`, `ended` and `last_use` are those of the grant that
    the record gave, None where there is none; `reported` is the last reexport, transshipment or diversion
    that the operator knows of (15 CFR 762.6(a)(2))."""

    retention: Retention
    decided: dt.datetime
    granted: bool
    good_until: dt.datetime | None = None
    ended: dt.datetime | None = None
    last_use: dt.datetime | None = None
    reported: dt.datetime | None = None


class Standing(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be done to records: nothing while they are `held`, while a transaction is `running`, or while
    they are `kept`, until an instant; destroyed once that is `over`."""

    state: State
    until: dt.datetime | None = None


def course(record: Determined, later: Iterable[Leaf], *, reported: dt.datetime | None = None) -> Course:
    """The course of a record. `later` are the leaves of its log after it; those about others pass."""
    ended: list[dt.datetime] = []
    used: list[dt.datetime] = []
    for leaf in later:
        if isinstance(leaf, AllEnded) or (isinstance(leaf, Revoked) and record.id in leaf.grants):
            ended.append(instant(leaf.at))
        elif isinstance(leaf, Uses):
            used += [instant(use.last) for use in leaf.uses if use.grant == record.id]
    until = None if record.grant is None else record.grant.until
    return Course(
        retention=record.retention,
        decided=instant(record.at),
        granted=record.grant is not None,
        good_until=None if until is None else instant(until),
        ended=min(ended, default=None),
        last_use=max(used, default=None),
        reported=reported,
    )


def terminated(of: Course, now: dt.datetime) -> dt.datetime | None:
    """The latest event that the time of a record runs from; None while its transaction goes on.

    No grant outlives its `good_until`, whatever else is recorded of its end.
    """
    events = [of.decided, of.last_use, of.reported]
    if of.granted:
        end = min((each for each in (of.ended, of.good_until) if each is not None), default=None)
        if end is None or end > now:
            return None
        events.append(end)
    return max(event for event in events if event is not None)


def kept_until(of: Course, now: dt.datetime) -> dt.datetime | None:
    """The first instant at which a record may be destroyed, holds aside; None while its transaction goes on.

    Years are those of the calendar in New York. The day of the event does not count and the last day is kept
    to its end; what began on 29 February is kept through 1 March.
    """
    event = terminated(of, now)
    if event is None:
        return None
    five = _after(event, EAR_YEARS)
    if of.retention == "ear" or five <= OFAC_SINCE:
        return five
    return _after(event, OFAC_YEARS)


def standing(courses: Iterable[Course], *, held: bool, now: dt.datetime) -> Standing:
    """What may be done to all records that lie under one key. Raises `Malformed` for none at all: nobody
    knows then how long they are kept."""
    untils = [kept_until(each, now) for each in courses]
    if held:
        return Standing("held")
    if not untils:
        raise Malformed("no record is given: find the records of the subject before its key is destroyed")
    known = [until for until in untils if until is not None]
    if len(known) < len(untils):
        return Standing("running")
    last = max(known)
    return Standing("over" if last <= now else "kept", last)


def holds(leaves: Iterable[Leaf]) -> tuple[Held, ...]:
    """The holds that are not released, in their order. A release counts in its own tenant only."""
    found: dict[tuple[str, str], Held] = {}
    for leaf in leaves:
        if isinstance(leaf, Held):
            found[leaf.tenant, leaf.id] = leaf
        elif isinstance(leaf, HoldReleased):
            found.pop((leaf.tenant, leaf.hold), None)
    return tuple(found.values())


def is_held(tenant: str, subject: str, standing_holds: Iterable[Held]) -> bool:
    """Whether a hold covers a subject: its own, or one on the whole tenant."""
    return any(hold.tenant == tenant and hold.subject in (None, subject) for hold in standing_holds)


def _after(event: dt.datetime, years: int) -> dt.datetime:
    """00:00 in New York of the day after the anniversary."""
    zone = ZONES["us"]
    anniversary = years_after(event.astimezone(zone).toordinal(), years, zone)
    if anniversary.year >= dt.MAXYEAR:
        return anniversary
    return midnight(anniversary.astimezone(zone).date() + dt.timedelta(days=1), zone)
