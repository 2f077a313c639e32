"""Copies of a log: made while it serves, and put in place once every record was hashed again. Which copies
are kept, and for how long, is not here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from carnet.ledger import checkpoint, log
from carnet.ledger.audit import audit
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Verifier
from carnet.model.errors import Damaged, StoreError
from carnet.store.sqlite import check, schema
from carnet.store.sqlite.creation import beside, own_file, put
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.sqlite.trouble import told, translated

Progress = Callable[[int, int], None]
"""Told the pages that are done, and how many there are."""

_PAGES = 256
"""Pages copied at once: 2 MB."""


def copied(
    db: apsw.Connection,
    to: Path,
    origin: str,
    keys: Sequence[Verifier],
    progress: Progress | None = None,
) -> Checkpoint:
    """Copy what a connection in a transaction sees into one plain file at `to`; its checkpoint, verified.

    The transaction is held all the while: so the copy is one state, and no writer makes it begin again.
    """
    with translated(to):
        signed = SqliteReading(db).checkpoint()
    with _partial(db, to, progress) as (partial, reading):
        if reading.checkpoint() != signed:
            raise Damaged(f"{told(partial)} is not what was copied: look at its disk, then copy again")
        about = checkpoint.opened(signed, origin, keys).checkpoint
        log.resume(reading, about)
    return about


def restored(
    copy: Path,
    to: Path,
    origin: str,
    keys: Sequence[Verifier],
    witnesses: Iterable[Verifier] = (),
    *,
    older: bytes | None = None,
    progress: Progress | None = None,
) -> Checkpoint:
    """Put a copy in place as the log at `to`, where nothing may be; its checkpoint.

    Every record is hashed again and everything beside the records checked before the file gets its name.
    `older` is a checkpoint that was kept elsewhere: the copy has to begin with it. Whether the copy is behind
    what the log was last is for its witness to say, and for `open_log`.

    Raises `StoreError` if something is there already or the copy is of another log, `Damaged` with the first
    finding if it is not whole.
    """
    for there in (to, beside(to, "wal"), beside(to, "journal")):
        if there.exists():
            raise StoreError(f"{told(there)} is there already: move it away first, nothing is overwritten")
    if beside(copy, "wal").exists():
        raise StoreError(f"{told(copy)} is a log that was open, not a copy: make one with `carnet backup`")
    with _opened(copy) as source:
        source.execute("BEGIN")
        with _partial(source, to, progress) as (_, reading):
            signed = reading.checkpoint()
            report = audit(reading, signed, origin, keys, witnesses, older=older)
            found = [finding.message for finding in report.findings] + check.problems(reading, keys)
            if found:
                raise Damaged(
                    f"{told(copy)} is not whole, `{found[0]}` ({len(found)} findings): take another copy"
                )
            about = checkpoint.opened(signed, origin, keys, witnesses).checkpoint
    return about


@contextmanager
def _partial(
    db: apsw.Connection, to: Path, progress: Progress | None
) -> Iterator[tuple[Path, SqliteReading]]:
    """A copy under a name of its own, and a reading of it; it gets its right name if nothing is raised."""
    if to.exists():
        raise StoreError(f"{told(to)} is there already: choose a path where nothing is")
    partial = beside(to, "partial")
    own_file(partial)
    try:
        with translated(partial):
            _copy(db, partial, progress)
        with _opened(partial) as other:
            other.execute("BEGIN")
            with translated(partial):
                reading = SqliteReading(other)
            yield partial, reading
        put(partial, to)
    finally:
        for left in (partial, beside(partial, "journal"), beside(partial, "wal"), beside(partial, "shm")):
            left.unlink(missing_ok=True)


def _copy(db: apsw.Connection, to: Path, progress: Progress | None) -> None:
    with closing(apsw.Connection(str(to), flags=apsw.SQLITE_OPEN_READWRITE)) as other:
        other.execute("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON").fetchall()
        with other.backup("main", db, "main") as running:
            while not running.done:
                running.step(_PAGES)
                if progress is not None:
                    progress(running.page_count - running.remaining, running.page_count)
        other.pragma("journal_mode", "delete")


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    if not path.exists():
        raise StoreError(f"{told(path)} is not there: give the path of a copy")
    db = schema.connected(path, None, writes=False, plain=True)
    try:
        yield db
    finally:
        db.close(True)
