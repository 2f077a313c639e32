"""What a witness remembers: the last checkpoint it cosigned for each log, durable before the cosignature
leaves, and the requests that contradict it. What is cosigned is decided in `carnet.ledger.witness`.

It is one SQLite file. A size in it never goes down and no log is ever forgotten: the file itself refuses.
Whoever puts back an old copy of it, or deletes it, makes the witness blind to what came after.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import apsw
from msgspec import Struct

from carnet.ledger import checkpoint, note, witness
from carnet.ledger.note import Note, Signature
from carnet.ledger.witness import Admitted, Cosigner, Refused, Remembered
from carnet.model.errors import Damaged, InputError, LedgerError, Unavailable
from carnet.model.plain import printable, short
from carnet.store.keyfiles import sync_directory, why

FILE = "witness.db"

MOST_KEPT = 100
"""Contradicting requests that are kept for one log; the first ones say most."""

_APPLICATION = 0x43_57_49_54
_VERSION = 1
_BUSY_MS = 5_000
_SCHEMA = """
CREATE TABLE remembered (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER never_smaller BEFORE UPDATE ON remembered
WHEN NEW.size < OLD.size OR NEW.origin != OLD.origin OR (NEW.size = OLD.size AND NEW.root != OLD.root)
BEGIN SELECT raise(ABORT, 'a log never shrinks and never changes'); END;
CREATE TRIGGER never_forgotten BEFORE DELETE ON remembered
BEGIN SELECT raise(ABORT, 'a log is never forgotten'); END;
CREATE TABLE contradicting (
    origin TEXT NOT NULL, digest BLOB NOT NULL, at INTEGER NOT NULL, request BLOB NOT NULL,
    PRIMARY KEY (origin, digest)
) STRICT;
"""
_REMEMBER = """
INSERT INTO remembered (origin, size, root, note) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (origin) DO UPDATE SET size = ?2, root = ?3, note = ?4
"""
_CONTRADICT = """
INSERT OR IGNORE INTO contradicting (origin, digest, at, request)
SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM contradicting WHERE origin = ?1) < ?5
"""


class Contradiction(Struct, frozen=True):
    """A request that the log signed and that contradicts what was cosigned before; `at` is when it came, in
    seconds since 1970. With the checkpoint cosigned before it is what proves a fork."""

    origin: str
    at: int
    request: bytes


class Memory:
    """The memory of one witness. It may be used from several threads, and by several processes at once."""

    def __init__(self, db: apsw.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._lock = Lock()

    @classmethod
    def create(cls, directory: Path, *, vfs: str | None = None) -> "Memory":
        """A memory in this directory, empty unless there is one already. Raises `Unavailable`."""
        path = directory / FILE
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            sync_directory(directory)
        except OSError as error:
            raise Unavailable(f"`{_name(path)}` can't be made: {why(error)}") from None
        db = _opened(path, vfs)
        try:
            with _told(path):
                if not db.pragma("application_id"):
                    _migrated(db)
        finally:
            db.close()
        return cls.open(directory, vfs=vfs)

    @classmethod
    def open(cls, directory: Path, *, vfs: str | None = None) -> "Memory":
        """The memory in this directory; `vfs` is a file system of SQLite's.

        Raises InputError if there is none: an empty one in its place would cosign whatever comes first.
        """
        path = directory / FILE
        if not path.is_file():
            raise InputError(f"`{_name(path)}` is not there: make it with `carnet witness init`")
        db = _opened(path, vfs)
        with _told(path):
            application, version = db.pragma("application_id"), db.pragma("user_version")
        if application != _APPLICATION or version != _VERSION:
            db.close()
            if application == _APPLICATION:
                raise InputError(f"`{_name(path)}` is of format `{version}`: use the Carnet that wrote it")
            raise InputError(f"`{_name(path)}` is not the memory of a witness: name its directory")
        return cls(db, path)

    def add(
        self, request: Admitted, body: bytes, keys: Sequence[Cosigner], now: Callable[[], int]
    ) -> tuple[Signature, ...] | Refused:
        """Cosign a request and remember its checkpoint, in one transaction, or say why not.

        The signatures are given once the memory is on the disk. A request that contradicts it is kept as
        `body`. `now` is asked, in seconds since 1970, when no other request can come between. Raises
        `Unavailable` with nothing remembered, `Damaged` if what is remembered is not what was written.
        """
        with self._lock, _told(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                refused = witness.decided(self._remembered(request.origin), request)
                seconds = now()
                if refused is None:
                    signed, made = self._cosigned(request, keys, seconds)
                    row = (request.origin, request.size, request.root, signed.data)
                    self._db.execute(_REMEMBER, row)
                    if self._row(request.origin) != row:
                        raise Damaged(
                            f"`{_name(self._path)}` does not keep what is written: look at the disk"
                        )
                    self._db.execute("COMMIT")
                    return made
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            if refused.kind == "inconsistent":
                self._contradicted(request.origin, body, seconds)
            return refused

    def remembered(self, origin: str) -> Remembered | None:
        """What was cosigned last for an origin. Raises `Unavailable` or `Damaged`."""
        with self._lock, _told(self._path):
            return self._remembered(origin)

    def origins(self) -> tuple[str, ...]:
        """The logs that there is something of, in order."""
        with self._lock, _told(self._path):
            rows = self._db.execute("SELECT origin FROM remembered ORDER BY origin").fetchall()
        return tuple(str(row[0]) for row in rows)

    def contradictions(self) -> tuple[Contradiction, ...]:
        """The requests that were kept because they contradict what was cosigned, the oldest first."""
        with self._lock, _told(self._path):
            rows = self._db.execute("SELECT origin, at, request FROM contradicting ORDER BY at, rowid")
            return tuple(Contradiction(str(origin), int(at), bytes(body)) for origin, at, body in rows)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _cosigned(
        self, request: Admitted, keys: Sequence[Cosigner], seconds: int
    ) -> tuple[Note, tuple[Signature, ...]]:
        try:
            return witness.cosigned(request, keys, seconds)
        except LedgerError as error:
            raise Unavailable(f"nothing can be cosigned now: {error}") from None

    def _row(self, origin: str) -> tuple[str, int, bytes, bytes] | None:
        found = self._db.execute(
            "SELECT size, root, note FROM remembered WHERE origin = ?", (origin,)
        ).fetchone()
        if found is None:
            return None
        size, root, data = found
        if not isinstance(size, int) or not isinstance(root, bytes) or not isinstance(data, bytes):
            raise self._damaged()
        return origin, size, root, data

    def _remembered(self, origin: str) -> Remembered | None:
        row = self._row(origin)
        if row is None:
            self._check()
            return None
        return self._read(row)

    def _check(self) -> None:
        """Nothing of a log may mean that its name was damaged: a new log is rare, so all is looked at."""
        for (origin,) in self._db.execute("SELECT origin FROM remembered").fetchall():
            row = self._row(str(origin))
            if row is not None:
                self._read(row)
        if self._db.pragma("integrity_check") != "ok":
            raise self._damaged()

    def _read(self, row: tuple[str, int, bytes, bytes]) -> Remembered:
        try:
            about = checkpoint.parsed(note.parsed(row[3]).text)
        except LedgerError:
            about = None
        if about is None or (about.origin, about.size, about.root) != row[:3]:
            raise self._damaged()
        return Remembered(*row)

    def _damaged(self) -> Damaged:
        return Damaged(f"`{_name(self._path)}` is not what was written: cosign nothing more with this key")

    def _contradicted(self, origin: str, body: bytes, seconds: int) -> None:
        """Keep a request as evidence. It is refused in any case, so a full disk does not matter here."""
        row = (origin, hashlib.sha256(body).digest(), seconds, body, MOST_KEPT)
        try:
            self._db.execute(_CONTRADICT, row)
        except apsw.Error:
            return


def _opened(path: Path, vfs: str | None) -> apsw.Connection:
    with _told(path):
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        try:
            db.set_busy_timeout(_BUSY_MS)
            db.pragma("journal_mode", "wal")
            db.pragma("synchronous", "full")
            db.pragma("fullfsync", True)
        except apsw.Error:
            db.close()
            raise
        return db


def _migrated(db: apsw.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute(_SCHEMA)
    db.pragma("application_id", _APPLICATION)
    db.pragma("user_version", _VERSION)
    db.execute("COMMIT")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says, as one of our errors."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError):
        raise Damaged(f"`{_name(path)}` is damaged: cosign nothing more with this key") from None
    except apsw.Error as error:
        raise Unavailable(f"`{_name(path)}` can't be used now: {short(str(error))}") from None


def _name(path: Path) -> str:
    return printable(str(path))
