"""What ships a node's records to the query store, on a thread of its own: it catches up by itself after the
database was away, and nothing in the node ever waits for it. What is taken is decided in `copies`.
"""

import datetime as dt
import threading
from collections.abc import Callable
from itertools import pairwise

from msgspec import Struct

from carnet.ledger import checkpoint, note, tree
from carnet.model.errors import CarnetError, Damaged
from carnet.model.time import in_utc
from carnet.store.postgres.copies import Batch, Continued, Position, QueryStore
from carnet.store.postgres.trouble import said
from carnet.store.protocols import Entry
from carnet.store.sqlite import rows
from carnet.store.sqlite.log import SqliteLog
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.sqlite.trouble import FAILURES, meant

_CHUNK = 16


class Pace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch has up to `batch` records, and no more once it has `weight` bytes. With nothing to ship the log
    is looked at every `pause` seconds; after a failure it is tried again in `pause`, then twice as long, up
    to `longest`."""

    batch: int = 512
    weight: int = 8 << 20
    pause: float = 0.2
    longest: float = 30.0


class Shipper:
    """Ships one node's log until it is stopped."""

    def __init__(
        self,
        log: SqliteLog,
        store: Callable[[], QueryStore],
        now: Callable[[], dt.datetime],
        pace: Pace | None = None,
    ) -> None:
        """`store` opens the query store: it is asked again while the database is away."""
        self._log = log
        self._open = store
        self._now = now
        self._pace = pace or Pace()
        self._store: QueryStore | None = None
        self._position: Position | None = None
        self._trouble: str | None = None
        self._behind: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carnet-shipper", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why nothing is shipped now; None if all goes well. For who looks after the node."""
        return self._trouble

    @property
    def behind(self) -> int | None:
        """How many records were not shipped when it was looked last; None before that is known."""
        return self._behind

    def stop(self, within: float = 10.0) -> None:
        """End after the batch that is on its way; what was not shipped is shipped after the next start."""
        self._stop.set()
        self._thread.join(within)

    def _run(self) -> None:
        failed = 0
        while not self._stop.is_set():
            try:
                moved = self._step()
            except Exception as error:  # noqa: BLE001 -- the thread has to live on; what it is can be seen in `trouble`
                self._trouble = str(error) if isinstance(error, CarnetError) else f"`{said(error)}`"
                self._position = None
                self._stop.wait(min(self._pace.longest, self._pace.pause * 2.0 ** min(failed, 30)))
                failed += 1
                continue
            self._trouble, failed = None, 0
            if not moved:
                self._stop.wait(self._pace.pause)
        if self._store is not None:
            self._store.close()

    def _step(self) -> bool:
        """Ship one batch; False if there is nothing to ship."""
        if self._store is None:
            self._store = self._open()
        with self._log.reading() as reading:
            origins = [*reading.origins(), (reading.size, "")]
            batch, last = self._next(self._store, reading, origins)
        if batch is None:
            return False
        after = self._store.receive(batch)
        self._position = after if last else None
        self._behind = reading.size - after.size
        return True

    def _next(
        self, store: QueryStore, reading: SqliteReading, origins: list[tuple[int, str]]
    ) -> tuple[Batch | None, bool]:
        """The next batch, and whether it is of the origin that the log has now. What a log had under
        an earlier name goes first, unless it was put back since: then all goes anew under its name of now."""
        before: Continued | None = None
        for (since, origin), (end, following) in pairwise(origins):
            if following and end == since:
                continue  # it was continued before it had a record
            position = None if following else self._position
            if position is None:
                begins = before.since if before else 0
                position = store.position(origin) or Position(begins, begins)
            if following and position.size >= end:
                before = Continued(origin, end)
            elif not following or position.noted <= end:
                batch = self._batch(reading, origin, before, position, end, last=not following)
                return batch, not following
        return None, True

    def _batch(
        self,
        reading: SqliteReading,
        origin: str,
        before: Continued | None,
        position: Position,
        end: int,
        *,
        last: bool,
    ) -> Batch | None:
        signed = reading.checkpoint() if last else reading.checkpoints(end)[0]
        about = checkpoint.parsed(note.parsed(signed).text)
        self._behind = max(end - position.size, 0)
        if about.size < max(position.noted, position.size):
            raise Damaged(
                f"the log has `{about.size}` records and has shipped a checkpoint of `{position.noted}`: "
                "it was put back, continue it under a new origin"
            )
        entries = _entries(reading, position.size, min(end, position.size + self._pace.batch), self._pace)
        if not entries and about.size == position.noted and (about.size == 0 or self._position is not None):
            return None  # else it is sent all the same after a start: so a log that was forked is noticed
        return Batch(
            origin=origin,
            first=position.size,
            entries=tuple(entries),
            note=signed,
            covers=tree.consistency_proof(reading, position.size + len(entries), about.size),
            noted=position.noted,
            follows=tree.consistency_proof(reading, position.noted, about.size),
            at=in_utc(self._now()).isoformat().replace("+00:00", "Z"),
            continued=before,
        )


def _entries(reading: SqliteReading, start: int, stop: int, pace: Pace) -> list[Entry]:
    """Records with all that is shipped of them. Raises `Damaged` if they are not stored as they were."""
    found: list[Entry] = []
    weight = 0
    # only names of columns that are constants are put into the text
    text = f"SELECT {rows.RECORD} FROM records WHERE number BETWEEN ? AND ? ORDER BY number"  # noqa: S608 -- names that are constants
    for first in range(start, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        try:
            listed = rows.fetched(reading.db, text, (first, last - 1))
        except FAILURES as error:
            raise meant(error, "the log") from error
        for row, leaf in zip(listed, reading.leaves(first, last), strict=False):
            if leaf is None or row[0] != start + len(found):
                raise Damaged(f"record `{start + len(found)}` is not stored as it was: run an audit")
            record = rows.as_record(row, leaf)
            entry = Entry(
                id=record.id,
                leaf=leaf,
                tenant=record.tenant,
                subject=record.subject,
                retention=record.retention,
                sealed=record.sealed,
                terms=tuple(rows.terms(row[6])),
            )
            found.append(entry)
            weight += rows.weighed(entry)
        if start + len(found) < last:
            raise Damaged(f"record `{start + len(found)}` is not stored as it was: run an audit")
        if weight >= pace.weight:
            break
    return found
