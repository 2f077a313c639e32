"""The desk: one SQLite database for what people enter, API keys, facts of subjects and reviews, for epochs
and the list of backups; its schema. How rows are hashed and encrypted is in `carnet.store.api_keys` and
`carnet.store.subjects`, what a review is in `carnet.service.review`.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from carnet.model.errors import StoreError, Unavailable
from carnet.model.plain import printable, short
from carnet.store.keyfiles import sync_directory, why

FILE = "desk.db"
"""The name of the file below the data directory."""

VERSION = 1
_APPLICATION = 0x43444B31
_BUSY_MS = 5_000

_SCHEMA = """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    roles TEXT NOT NULL,
    pepper TEXT NOT NULL,
    hash BLOB NOT NULL,
    created INTEGER NOT NULL,
    seen INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE facts (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    recorded INTEGER NOT NULL,
    key TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT;
CREATE TABLE reviews (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    texts TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    need INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    until INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE approvals (
    review TEXT NOT NULL,
    key TEXT NOT NULL,
    brought_by TEXT NOT NULL,
    signatures TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (review, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE backups (
    path TEXT PRIMARY KEY,
    begun TEXT NOT NULL,
    vault TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    gone INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX facts_of_subject ON facts (tenant, subject, recorded);
CREATE INDEX facts_by_time ON facts (recorded);
CREATE TRIGGER facts_are_not_taken_back BEFORE DELETE ON facts
BEGIN SELECT raise(ABORT, 'a fact is corrected by a new one'); END;
CREATE TRIGGER facts_stay_as_recorded BEFORE UPDATE OF number, tenant, subject, recorded ON facts
BEGIN SELECT raise(ABORT, 'a fact is corrected by a new one'); END;
"""

Value = str | int | bytes | None


class Desk:
    """The open database. Any thread may use it, one at a time; other processes may have it open too."""

    def __init__(self, file: Path) -> None:
        """Open the database, made with mode 0600 if it is not there.

        Raises `StoreError` for a file that is another's or of a newer Carnet, `Unavailable` if it can't be
        opened now.
        """
        self._shown = printable(str(file))
        self._lock = threading.RLock()
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            sync_directory(file.parent)
        except OSError as error:
            raise Unavailable(f"`{self._shown}` can't be opened: {why(error)}") from None
        with self._told():
            self._connection = apsw.Connection(str(file))
        try:
            with self._told():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def open(cls, data: Path) -> "Desk":
        """The desk of a data directory."""
        return cls(data / FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._lock, self._told():
            self._connection.close()

    def rows(self, sql: str, values: Iterable[Value] = ()) -> list[tuple[Any, ...]]:
        """What a query gives; the tables are strict. Raises `Unavailable` if it can't be read now,
        `StoreError` if it is damaged."""
        with self._lock, self._told():
            return self._connection.execute(sql, tuple(values)).fetchall()

    def version(self) -> tuple[object, int]:
        """Another value once anything on the desk is another, whichever process changed it. Raises as
        `rows`."""
        with self._lock, self._told():
            ((seen,),) = self._connection.execute("PRAGMA data_version").fetchall()
            return seen, self._connection.total_changes()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that is durable at the end, or, if anything is raised, has not happened. Raises
        `Unavailable` if it can't be made durable."""
        with self._lock, self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def write(self, sql: str, values: Iterable[Value] = ()) -> int:
        """Run one statement within `writing`; how many rows it changed."""
        with self._told():
            self._connection.execute(sql, tuple(values))
            return self._connection.changes()

    def _prepare(self) -> None:
        connection = self._connection
        connection.set_busy_timeout(_BUSY_MS)
        if connection.pragma("application_id") not in (0, _APPLICATION):
            raise StoreError(f"`{self._shown}` is a database of another program: name another directory")
        connection.pragma("secure_delete", 1)
        connection.pragma("synchronous", 2)
        self._to_wal()
        with self.writing():
            version = connection.pragma("user_version")
            if version > VERSION:
                raise StoreError(f"`{self._shown}` has version `{version}`: install a newer Carnet")
            if version == 0:
                if connection.execute("SELECT 1 FROM sqlite_schema").fetchall():
                    raise StoreError(f"`{self._shown}` is no desk of Carnet: name another directory")
                connection.execute(_SCHEMA)
                connection.pragma("application_id", _APPLICATION)
                connection.pragma("user_version", VERSION)

    def _to_wal(self) -> None:
        """Two that open a new file at once are in each other's way for an instant: SQLite does not wait."""
        for _ in range(50):
            try:
                if self._connection.pragma("journal_mode", "wal") == "wal":
                    return
            except apsw.BusyError:
                pass
            threading.Event().wait(0.02)
        raise Unavailable(f"`{self._shown}` is in use: try again")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Our own errors for those of the database. What was to be stored is in none of them."""
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError):
            raise StoreError(f"`{self._shown}` is damaged: restore it from a backup") from None
        except apsw.Error as error:
            what = short(printable(str(error)), 100).lower()
            raise Unavailable(f"`{self._shown}` can't be used now, nothing was stored: {what}") from None
