"""Connections to PostgreSQL: how they are set, and a few that are kept. What is asked over them is not here.

A server that does not sync what it commits is refused: then an acknowledgement would mean nothing.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from carnet.model.errors import InputError, StoreError, Unavailable
from carnet.model.plain import printable, short
from carnet.store.postgres.trouble import meant, translated

Connection = psycopg.Connection[TupleRow]
Values = Sequence[Any] | Mapping[str, Any]  # of a query, by place or by name
Row = tuple[Any, ...]  # what PostgreSQL takes and gives: int, str, bytes or None, by the schema

OLDEST = 14
"""The oldest version of PostgreSQL that ends a session which says nothing, by `idle_session_timeout`."""

STATEMENT_SECONDS = 60
LOCK_SECONDS = 10
_POOLED = 4
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_USUAL: dict[str, Any] = {
    "application_name": "carnet",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""So that a host that is gone is noticed within seconds. What the address says itself goes before."""


class Database:
    """Where the shared tables are: an address as PostgreSQL writes it (`postgresql://...` or `host=...`), and
    the one schema that everything is in. It is never printed: an address may have a password."""

    def __init__(self, address: str, schema: str = "carnet") -> None:
        """Raises `InputError` for an address or a name that can't be one."""
        if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
            shown = short(printable(schema))
            raise InputError(f"`{shown}` is no name of a schema: take a to z, 0 to 9 and `_`, at most 63")
        try:
            given = conninfo_to_dict(address)
        except psycopg.Error:
            raise InputError("the address of PostgreSQL can't be read: write `postgresql://...`") from None
        self.schema = schema
        self._given = {**_USUAL, **given}

    def connected(self, lease: float | None = None) -> Connection:
        """A connection. With `lease` the server ends it after so many seconds in which it was told nothing:
        so who is paused loses what it holds, by the server's clock alone.

        Raises `Unavailable` if there is none, `StoreError` if the server is too old or does not sync.
        """
        with translated():
            db = psycopg.connect(autocommit=True, **self._given)
        try:
            with translated():
                self._set(db, lease)
        except BaseException:
            db.close()
            raise
        return db

    def _set(self, db: Connection, lease: float | None) -> None:
        if db.info.server_version < OLDEST * 10_000:
            raise StoreError(f"PostgreSQL is older than version `{OLDEST}`: install a newer one")
        idle = 0 if lease is None else int(lease * 1000)
        held = idle or STATEMENT_SECONDS * 1000
        wanted = {
            "search_path": f"{self.schema}, pg_temp",
            "client_encoding": "UTF8",
            "statement_timeout": f"{STATEMENT_SECONDS}s",
            "lock_timeout": f"{LOCK_SECONDS}s",
            "idle_in_transaction_session_timeout": str(held),
            "idle_session_timeout": str(idle),
        }
        for name, value in wanted.items():
            db.execute("SELECT set_config(%s, %s, false)", (name, value))
        if one(db, "SELECT current_setting('synchronous_commit')") in {"off", "local"}:
            db.execute("SET synchronous_commit = on")
        if one(db, "SELECT current_setting('fsync')") != "on":
            raise StoreError("PostgreSQL runs with `fsync` off, so it loses what it has: set it to `on`")
        if one(db, "SHOW server_encoding") != "UTF8":
            raise StoreError("the database is not in UTF-8: make one with `ENCODING 'UTF8'`")


class Pool:
    """Connections that are kept when they come back. Any number of threads may take one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state and writes nothing."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end, unless something is raised."""
        with self._transaction("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE") as db:
            yield db
            db.execute("COMMIT")

    def close(self) -> None:
        """Close what is idle; what is out is closed when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        db = self._begun(begin)
        try:
            with translated():
                yield db
        finally:
            self._back(db)

    def _begun(self, begin: str) -> Connection:
        """An idle connection if one still works, else a new one."""
        while (db := self._taken()) is not None:
            try:
                db.execute(begin.encode())
            except psycopg.Error:
                db.close()
                continue
            return db
        db = self.database.connected()
        try:
            db.execute(begin.encode())
        except psycopg.Error as error:
            db.close()
            raise meant(error) from error
        return db

    def _taken(self) -> Connection | None:
        with self._lock:
            if self._closed:
                raise Unavailable("the database is closed here: open it again")
            return self._idle.pop() if self._idle else None

    def _back(self, db: Connection) -> None:
        with suppress(psycopg.Error):
            if db.info.transaction_status is not pq.TransactionStatus.IDLE:
                db.execute("ROLLBACK")
        if not db.closed and db.info.transaction_status is pq.TransactionStatus.IDLE:
            with self._lock:
                if not self._closed and len(self._idle) < _POOLED:
                    self._idle.append(db)
                    return
        db.close()


def fetched(db: Connection, text: str, values: Values = (), *, anew: bool = False) -> list[Row]:
    """All that a query gives. With `anew` it is planned for these values: which term of a search is rare,
    only the term tells."""
    return db.execute(text.encode(), values, prepare=False if anew else None, binary=True).fetchall()


def one(db: Connection, text: str, values: Values = ()) -> Any:  # noqa: ANN401 -- a column, by the schema
    """The first column of the first row; None if there is no row."""
    row = db.execute(text.encode(), values, binary=True).fetchone()
    return None if row is None else row[0]


def insert(db: Connection, table: str, columns: str, rows: Iterable[Row]) -> None:
    """Add rows with one statement; `columns` are names and types, `number bigint, leaf bytea`. Only constants
    are given as `table` and `columns`."""
    wide = list(zip(*rows, strict=True))
    if not wide:
        return
    named = [column.split() for column in columns.split(", ")]
    names = ", ".join(name for name, _ in named)
    arrays = ", ".join(f"%b::{kind}[]" for _, kind in named)
    # only the constants above are put into the text
    text = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608 -- names that are constants
    db.execute(text.encode(), [list(column) for column in wide])
