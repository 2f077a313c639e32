"""Readings of a log: one consistent state each, on a connection of its own. Nothing is written here."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from carnet.ledger import checkpoint, note
from carnet.ledger.tree import Place, leaf_hash
from carnet.model.errors import Damaged, Malformed, StoreError, Unavailable
from carnet.store.protocols import Answered, GrantRow, Record
from carnet.store.sqlite import nodes, rows, schema
from carnet.store.sqlite.trouble import reads, translated

MOST_TERMS = 32
"""So many terms may be searched for at once."""

_POOLED = 8
_ASTRAY = "an index leads to another record: run an audit, then restore from a backup"
_LEAVES = "SELECT number, leaf FROM records WHERE number BETWEEN ? AND ? ORDER BY number"
_OF_ID = "SELECT number FROM records WHERE id = ? AND tenant = ?"
_LAST = "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1"


class Stored:
    """Leaves and nodes as they are in the file, without a look at what covers them."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db

    @reads
    def nodes(self, places: Sequence[Place]) -> Sequence[bytes | None]:
        return nodes.read(self.db, places)

    @reads
    def row(self, level: int, start: int, stop: int) -> Sequence[bytes | None]:
        return nodes.read_row(self.db, level, start, stop)

    @reads
    def completed(self, start: int, stop: int) -> bytes:
        return nodes.completed(self.db, start, stop)

    @reads
    def leaves(self, start: int, stop: int) -> Sequence[bytes | None]:
        found = rows.fetched(self.db, _LEAVES, (start, stop - 1))
        if len(found) == stop - start and all(type(leaf) is bytes for _, leaf in found):
            return [leaf for _, leaf in found]
        kept = {number: leaf for number, leaf in found if isinstance(leaf, bytes)}
        return [kept.get(number) for number in range(start, stop)]

    def write(self, first: int, leaves: Sequence[bytes], complete: Sequence[bytes]) -> None:
        """Raises `StoreError`: whoever reads does not write."""
        del first, leaves, complete
        raise StoreError("a reading writes nothing: submit an entry to the log")


class SqliteReading(Stored):
    """A `Reading`. Every row is compared with its mark, and a leaf with its hash, before it is given."""

    def __init__(self, db: apsw.Connection) -> None:
        super().__init__(db)
        self.size, self._note = last_checkpoint(db)

    def checkpoint(self) -> bytes:
        return self._note

    @reads
    def record(self, index: int) -> Record | None:
        """Raises `Damaged` if the log has it and it is not stored as it was."""
        return self._whole(index)[0] if 0 <= index < self.size else None

    @reads
    def of_id(self, tenant: str, id_: str) -> Record | None:
        for (number,) in rows.fetched(self.db, _OF_ID, (id_, tenant)):
            found, _ = self._whole(number)
            if (found.id, found.tenant) != (id_, tenant):
                raise Damaged(_ASTRAY)
            return found
        return None

    @reads
    def found(
        self, tenant: str, terms: Sequence[bytes], *, after: int = -1, limit: int = 100
    ) -> list[Record]:
        """Raises `Malformed` for more than 32 terms."""
        wanted = sorted(set(terms))
        if len(wanted) > MOST_TERMS:
            raise Malformed(f"a search for `{len(wanted)}` terms is over {MOST_TERMS}: search for fewer")
        found = []
        for (number,) in rows.fetched(self.db, _search(len(wanted)), (tenant, after, max(limit, 0), *wanted)):
            record, packed = self._whole(number)
            if record.tenant != tenant or not {*wanted} <= {*rows.terms(packed)}:
                raise Damaged(_ASTRAY)
            found.append(record)
        return found

    @reads
    def grant(self, tenant: str, key: str) -> tuple[GrantRow, int] | None:
        row = self.db.execute(_GRANT, (tenant, key)).fetchone()
        return None if row is None else rows.as_grant(row)

    @reads
    def answered(self, tenant: str, key: str) -> Answered | None:
        row = self.db.execute(_ANSWERED, (tenant, key)).fetchone()
        return None if row is None else rows.as_answered(row)

    @reads
    def checkpoints(self, since: int = 0) -> list[bytes]:
        """Every checkpoint that was signed from a size on, the smallest first; all are kept."""
        text = "SELECT note FROM checkpoints WHERE size >= ? ORDER BY size"
        return [signed for (signed,) in rows.fetched(self.db, text, (since,))]

    @reads
    def origins(self) -> list[tuple[int, str]]:
        """The names that the log has had, each with the size from which on."""
        found = rows.fetched(self.db, "SELECT since, origin FROM origins ORDER BY since")
        return [(since, origin) for since, origin in found]

    def _whole(self, number: int) -> tuple[Record, bytes]:
        """A record that the log has, and its terms."""
        row = self.db.execute(SELECT_RECORD, (number,)).fetchone()
        (leaf,) = self.leaves(number, number + 1)
        (kept,) = nodes.read(self.db, [(0, number)])
        if row is None or leaf is None or kept != leaf_hash(leaf):
            raise Damaged(
                f"record `{number}` is not stored as it was: run an audit, then restore from a backup"
            )
        return rows.as_record(row, leaf), row[6]


class Readers:
    """Connections for readings: kept when they come back, so that a reading opens no file."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path = path
        self._vfs = vfs
        self._lock = threading.Lock()
        self._idle: list[apsw.Connection] = []
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[SqliteReading]:
        """Raises `Unavailable` if the log is closed or can't be read, `Damaged` if it is."""
        with self.connection() as db:
            with translated(self._path):
                reading = SqliteReading(db)
            yield reading

    @contextmanager
    def connection(self) -> Iterator[apsw.Connection]:
        """A connection in a transaction that only reads."""
        db = self._taken()
        try:
            with translated(self._path):
                db.execute("BEGIN")
            yield db
        finally:
            self._back(db)

    def close(self) -> None:
        """Close what is idle; what is out is closed when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close(True)

    def _taken(self) -> apsw.Connection:
        with self._lock:
            if self._closed:
                raise Unavailable("the log is closed: open it again")
            if self._idle:
                return self._idle.pop()
        return schema.connected(self._path, self._vfs, writes=False)

    def _back(self, db: apsw.Connection) -> None:
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except apsw.Error:
            db.close(True)
            return
        with self._lock:
            if not self._closed and len(self._idle) < _POOLED:
                self._idle.append(db)
                return
        db.close(True)


def last_checkpoint(db: apsw.Connection) -> tuple[int, bytes]:
    """The size and the note of the last checkpoint, unverified. Raises `Damaged` if there is none, or it is
    of another size than its row says."""
    found = rows.fetched(db, _LAST)
    if not found:
        raise Damaged("the log has no checkpoint: restore it from a backup")
    ((size, signed),) = found
    try:
        said = checkpoint.parsed(note.parsed(bytes(signed)).text).size
    except (Malformed, TypeError) as error:
        raise Damaged(
            "the last checkpoint can't be read: run an audit, then restore from a backup"
        ) from error
    if said != size:
        raise Damaged(
            f"the last checkpoint is of `{said}` records and kept as that of `{size}`: restore from a backup"
        )
    return size, signed


# only names of columns that are constants here are put into the texts
SELECT_RECORD = f"SELECT {rows.RECORD} FROM records WHERE number = ?"  # noqa: S608 -- names that are constants
_GRANT = f"SELECT {rows.GRANT} FROM grants WHERE tenant = ? AND key = ?"  # noqa: S608 -- names that are constants
_ANSWERED = f"SELECT {rows.ANSWERED} FROM answered WHERE tenant = ? AND key = ?"  # noqa: S608 -- names that are constants


def _search(count: int) -> str:
    """By number; the first term leads, and no other order of the tables is tried."""
    first = "terms AS t0" if count else "records"
    more = "".join(
        f" CROSS JOIN terms AS t{n} ON t{n}.number = t0.number AND t{n}.term = ?{n + 4}"
        for n in range(1, count)
    )
    owner = " CROSS JOIN records ON records.number = t0.number" if count else ""
    key = "t0.number" if count else "records.number"
    term = "t0.term = ?4 AND " if count else ""
    # only numbers and the names above are put into the text
    return (
        f"SELECT {key} FROM {first}{more}{owner} "  # noqa: S608 -- names that are constants
        f"WHERE {term}{key} > ?2 AND records.tenant = ?1 ORDER BY {key} LIMIT ?3"
    )
