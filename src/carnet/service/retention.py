"""What may be destroyed, what has to be kept and until when, worked out from the log alone; holds. The law of
it is in `carnet.model.retention`; the destruction is in `carnet.service.shredding`.

What a grant ran until is taken from the log: its own `until`, its revocation, or the first record after it
that all are over, whichever came first. An answer that gave no grant is over at once.
"""

import datetime as dt
import secrets
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

from msgspec import Struct, structs

from carnet.model import leaf as leaves
from carnet.model.errors import Damaged, InputError, Unavailable
from carnet.model.leaf import (
    AllEnded,
    Determined,
    Held,
    HoldReleased,
    Leaf,
    Manner,
    Retention,
    Revoked,
    Uses,
)
from carnet.model.retention import Course, Standing, course, holds, is_held, standing
from carnet.model.time import instant
from carnet.service.clock import Clock, Instants
from carnet.service.grants import left_behind
from carnet.service.witnessing import proved
from carnet.store.keys import Keyring
from carnet.store.origins import LOG, named
from carnet.store.protocols import Entry, Receipt
from carnet.store.sqlite.log import SqliteLog, open_log
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.vault import Vault
from carnet.store.vault_keys import ID_BYTES

WITHIN = 30.0
"""Seconds that one record may take to be durable."""

_CHUNK = 1024


class Due(Struct, frozen=True, kw_only=True):
    """The records under one key of the vault, by their numbers in the log, and what may be done to them."""

    tenant: str
    subject: str
    retention: Retention
    key: str
    records: tuple[int, ...]
    standing: Standing


class _Kept(Struct, frozen=True):
    """What the time of one determination runs from, as far as its own leaf says."""

    tenant: str
    number: int
    id: str
    course: Course


def surveyed(reading: SqliteReading, vault: Vault, now: dt.datetime) -> list[Due]:
    """Every key under which records lie, in the order in which the keys were made. Nothing is changed.

    Raises `Damaged` if a record is not stored as it was: of a damaged log nothing is destroyed.
    """
    under: dict[tuple[str, Retention, str], list[_Kept]] = defaultdict(list)
    ended, used = dict[str, dt.datetime](), dict[str, dt.datetime]()
    all_ended: list[tuple[int, dt.datetime]] = []
    about: list[Leaf] = []
    for number, leaf in every(reading):
        if isinstance(leaf, Determined):
            record = reading.record(number)
            if record is None:
                raise Damaged(f"record `{number}` is not stored: run `carnet log audit`")
            if record.sealed is not None:
                key = record.sealed[1 : 1 + ID_BYTES].hex()
                kept = _Kept(leaf.tenant, number, leaf.id, course(leaf, ()))
                under[leaf.subject, leaf.retention, key].append(kept)
        elif isinstance(leaf, AllEnded):
            all_ended.append((number, instant(leaf.at)))
        elif isinstance(leaf, Revoked):
            for grant in leaf.grants:
                ended.setdefault(grant, instant(leaf.at))
        elif isinstance(leaf, Uses):
            for use in leaf.uses:
                _latest(used, use.grant, use.last)
        elif isinstance(leaf, Held | HoldReleased):
            about.append(leaf)
    held = holds(about)
    found = []
    for entry in vault.entries():
        records = under.get((entry.subject, entry.retention, entry.key))
        if entry.shredded or not records:
            continue
        courses = [
            structs.replace(
                each.course,
                ended=_ended(each, ended, all_ended),
                last_use=used.get(each.id),
            )
            for each in records
        ]
        tenant = records[0].tenant
        found.append(
            Due(
                tenant=tenant,
                subject=entry.subject,
                retention=entry.retention,
                key=entry.key,
                records=tuple(each.number for each in records),
                standing=standing(courses, held=is_held(tenant, entry.subject, held), now=now),
            )
        )
    return found


def standing_holds(reading: SqliteReading) -> tuple[Held, ...]:
    """The holds that are not released."""
    return holds(leaf for _, leaf in every(reading) if isinstance(leaf, Held | HoldReleased))


def held(
    log: SqliteLog, now: Instants, *, tenant: str, subject: str | None, manner: Manner, request: str
) -> tuple[Held, Receipt]:
    """Hold everything of a subject (a pseudonym), or of the whole tenant; durable when this returns."""
    leaf = Held(
        id=f"h_{secrets.token_hex(16)}",
        at=leaves.instant_text(now.wall),
        boot=now.boot,
        tenant=tenant,
        subject=subject,
        manner=manner,
        request=request,
    )
    return leaf, recorded(log, leaf, tenant)


def released(
    log: SqliteLog, now: Instants, *, tenant: str, hold: str, authorization: str
) -> tuple[HoldReleased, Receipt]:
    """Release a hold. Raises `InputError` if the tenant has no such hold that stands."""
    with log.reading() as reading:
        known = {each.id for each in standing_holds(reading) if each.tenant == tenant}
    if hold not in known:
        raise InputError("there is no such hold that stands: see `carnet records due`")
    leaf = HoldReleased(
        id=f"r_{secrets.token_hex(16)}",
        at=leaves.instant_text(now.wall),
        boot=now.boot,
        tenant=tenant,
        hold=hold,
        authorization=authorization,
    )
    return leaf, recorded(log, leaf, tenant)


def recorded(log: SqliteLog, leaf: Leaf, tenant: str) -> Receipt:
    """Append one leaf; durable when this returns. Raises `Unavailable`."""
    return log.append(Entry.of(leaf, tenant), WITHIN)


@contextmanager
def writing(home: Path) -> Iterator[tuple[Keyring, SqliteLog]]:
    """The log of a home, to append to. Raises `Unavailable` while a node has it open and once a witness has
    proved something against it, and as `open_log`."""
    if not (home / LOG).exists():
        raise InputError(f"there is no `{LOG}` here: name the data directory with `--data`")
    keyring = Keyring.open(home)
    name = named(home, keyring)
    contradiction = proved(home, name.origin)
    if contradiction is not None:
        raise Unavailable(contradiction.why)
    with open_log(home / LOG, name.origin, name.signers, name.verifiers) as log:
        with log.reading() as reading:
            clock = clock_of(reading)
        left = left_behind(log, clock.read())
        if left is not None:
            left.result(WITHIN)
        yield keyring, log


def clock_of(reading: SqliteReading) -> Clock:
    """A clock that knows when the last record was made. Raises `Unavailable` if it is before that: who
    destroys by the calendar has to know the date."""
    last = None
    if reading.size:
        record = reading.record(reading.size - 1)
        last = None if record is None else instant(leaves.read(record.leaf).at)
    clock = Clock(last=last)
    if clock.read().suspect:
        raise Unavailable("the clock is before the last record: set it, nothing is done until it is right")
    return clock


def every(reading: SqliteReading) -> Iterator[tuple[int, Leaf]]:
    """All leaves with their numbers. Raises `Damaged` if one is not stored."""
    for start in range(0, reading.size, _CHUNK):
        stop = min(start + _CHUNK, reading.size)
        for number, data in enumerate(reading.leaves(start, stop), start):
            if data is None:
                raise Damaged(f"record `{number}` is not stored: run `carnet log audit`")
            yield number, leaves.read(data)


def _ended(
    of: _Kept, revoked: Mapping[str, dt.datetime], all_ended: Sequence[tuple[int, dt.datetime]]
) -> dt.datetime | None:
    """When a grant was over by what was recorded after it."""
    if not of.course.granted:
        return None
    after = bisect_right(all_ended, of.number, key=itemgetter(0))
    ends = [revoked.get(of.id), *(at for _, at in all_ended[after : after + 1])]
    return min((end for end in ends if end is not None), default=None)


def _latest(kept: dict[str, dt.datetime], grant: str, at: str) -> None:
    kept[grant] = max(instant(at), kept.get(grant, instant(at)))


def total(dues: Iterable[Due], state: str) -> int:
    """How many records are in a state."""
    return sum(len(due.records) for due in dues if due.standing.state == state)
