"""The tables of a log, their versions, and how a connection to them is opened. What rows hold is in `rows`.

Nothing rewrites a leaf or a checkpoint: triggers refuse it, and a migration that did it would fail its audit.
"""

from pathlib import Path

import apsw

from carnet.model.errors import StoreError, Unavailable
from carnet.model.plain import short
from carnet.store.sqlite.trouble import told, translated

APPLICATION = 0x4361726E
"""What the file's header says it is for."""

PAGE_BYTES = 4096
"""Small, since the index of terms is written at random places: a page for each."""

SYNCHRONOUS = "FULL"
BUSY_SECONDS = 5

_FIRST = """
CREATE TABLE version (number INTEGER PRIMARY KEY) STRICT;
CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1), token BLOB NOT NULL, taken INTEGER NOT NULL
) STRICT;
CREATE TABLE origins (since INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE nodes (run INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE records (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, subject TEXT NOT NULL,
    retention TEXT NOT NULL, sealed BLOB, terms BLOB NOT NULL, mark BLOB NOT NULL, leaf BLOB NOT NULL
) STRICT;
CREATE TABLE terms (
    term BLOB NOT NULL, number INTEGER NOT NULL REFERENCES records, PRIMARY KEY (term, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
    tenant TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL REFERENCES records,
    subject TEXT NOT NULL, item TEXT NOT NULL, epoch INTEGER NOT NULL, until TEXT, mark BLOB NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE answered (
    tenant TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL REFERENCES records,
    request BLOB NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, mark BLOB NOT NULL,
    UNIQUE (tenant, key)
) STRICT;
CREATE TRIGGER leaf_rewritten BEFORE UPDATE OF number, leaf ON records
    BEGIN SELECT RAISE(ABORT, 'a leaf is never rewritten'); END;
CREATE TRIGGER leaf_removed BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'a leaf is never removed'); END;
CREATE TRIGGER checkpoint_rewritten BEFORE UPDATE ON checkpoints
    BEGIN SELECT RAISE(ABORT, 'a checkpoint is never rewritten'); END;
CREATE TRIGGER checkpoint_removed BEFORE DELETE ON checkpoints
    BEGIN SELECT RAISE(ABORT, 'a checkpoint is never removed'); END;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)
"""The script that leads to version 1, to version 2, and so on. A released one never changes."""


def made(path: Path, vfs: str | None) -> apsw.Connection:
    """A new file with the tables of the newest version, in a transaction that is still open. It has no
    write-ahead log yet."""
    with translated(path):
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        db = apsw.Connection(str(path), flags=flags, vfs=vfs)
        _settings(db)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("BEGIN IMMEDIATE")
        for number, script in enumerate(MIGRATIONS, start=1):
            db.execute(script).fetchall()
            db.execute("INSERT INTO version VALUES (?)", (number,))
        return db


def connected(path: Path, vfs: str | None, *, writes: bool, plain: bool = False) -> apsw.Connection:
    """A connection to a log that is there. `plain` is one without a write-ahead log, read only: a backup.

    Raises `StoreError` if the file is something else or of another version than `migrate` left it in,
    `Unavailable` or `Damaged` if it can't be read.
    """
    flags = apsw.SQLITE_OPEN_READONLY if plain else apsw.SQLITE_OPEN_READWRITE
    with translated(path):
        db = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=400)
        try:
            _settings(db)
            _expected(db, path, plain=plain)
            if not writes:
                db.pragma("query_only", 1)
        except BaseException:
            db.close(True)
            raise
        return db


def version(db: apsw.Connection, path: Path) -> int:
    """The version of the tables. Raises `StoreError` if it is newer than this program."""
    number = db.execute("SELECT max(number) FROM version").get
    if not isinstance(number, int) or number < 1:
        raise StoreError(f"{told(path)} does not say its version: restore it from a backup")
    if number > len(MIGRATIONS):
        raise StoreError(
            f"{told(path)} has version `{number}` and this program reads up to `{len(MIGRATIONS)}`: "
            "install a newer one"
        )
    return number


def migrate(db: apsw.Connection, path: Path) -> bool:
    """Bring the tables to the newest version, in a transaction that is left open for the caller to look
    at and commit; False, and no transaction, if they are there already."""
    with translated(path):
        before = version(db, path)
        if before == len(MIGRATIONS):
            return False
        db.execute("BEGIN IMMEDIATE")
        for number, script in enumerate(MIGRATIONS[before:], start=before + 1):
            try:
                db.execute(script).fetchall()
            except apsw.Error as error:
                db.execute("ROLLBACK")
                raise StoreError(
                    f"{told(path)} could not be brought to version `{number}` and is as it was: "
                    f"`{short(str(error), 200)}`; report it and keep to the program before"
                ) from error
            db.execute("INSERT INTO version VALUES (?)", (number,))
        return True


def _expected(db: apsw.Connection, path: Path, *, plain: bool) -> None:
    if db.pragma("application_id") != APPLICATION:
        raise StoreError(f"{told(path)} is not a log: give the `log.db` of a data directory")
    if not plain and db.pragma("journal_mode", "wal") != "wal":
        raise Unavailable(f"{told(path)} can't have a write-ahead log: put it on a local disk")
    version(db, path)


def _settings(db: apsw.Connection) -> None:
    db.set_busy_timeout(BUSY_SECONDS * 1000)
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    db.execute(
        f"PRAGMA synchronous = {SYNCHRONOUS}; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON; "
        "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; "
        "PRAGMA secure_delete = ON; PRAGMA mmap_size = 0"
    ).fetchall()
    db.wal_autocheckpoint(0)
