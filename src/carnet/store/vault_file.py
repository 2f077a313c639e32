"""The file of a vault: how it is opened, and how what is deleted is gone from it. What is kept in it is in
`carnet.store.vault`.

A rollback journal holds what a page was before, so also a wrapped key that is being destroyed. Its end is the
commit: with DELETE there is no journal once a shred is done, with a write-ahead log the key would stay in it
until some checkpoint. Before a journal is removed it is overwritten, its header first: from then on it counts
for nothing, so a crash between leaves no half of it to be rolled back.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from carnet.model.errors import Damaged, StoreError, Taken, Unavailable
from carnet.model.plain import printable

APPLICATION = 0x43415256
"""`CARV`: what the header of the file says that it is."""

VERSION = 1

PRAGMAS = (
    ("secure_delete", "ON"),
    ("journal_mode", "DELETE"),
    ("synchronous", "EXTRA"),  # FULL, and the removal of the journal is synced too
    ("temp_store", "MEMORY"),
    ("mmap_size", "0"),
    ("cell_size_check", "ON"),
    ("trusted_schema", "OFF"),
)

SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    retention TEXT NOT NULL,
    shredded INTEGER NOT NULL DEFAULT 0,
    wrapped BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX living ON keys (subject, retention) WHERE shredded = 0;
"""

BUSY_MILLISECONDS = 10_000

_HEADER = 4096
_CHUNK = 1 << 20
_NAME = "carnet-scrubbing"
_PASSING = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.ConnectionClosedError,
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
)
"""What may be otherwise the next time."""


class _Scrubbing(apsw.VFS):
    """The system's own way to files; but what is deleted is overwritten first."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "", maxpathname=0)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 -- SQLite calls it so
        scrub(Path(filename))
        super().xDelete(filename, syncdir)


_SCRUBBING = _Scrubbing(_NAME)
"""Registered with SQLite for as long as the process runs; it keeps no reference of its own."""


def scrub(file: Path) -> None:
    """Overwrite a file with zeros, its first bytes before the others, each durable. Nothing if there is no
    such file. A disk that writes elsewhere than it is told (flash, copy on write) may keep the old blocks."""
    try:
        descriptor = os.open(file, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(descriptor).st_size
        for start, stop in ((0, min(_HEADER, size)), (_HEADER, size)):
            for at in range(start, stop, _CHUNK):
                _write(descriptor, min(_CHUNK, stop - at), at)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, length: int, at: int) -> None:
    while length:
        done = os.pwrite(descriptor, bytes(length), at)
        length, at = length - done, at + done


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Errors of SQLite as ours, with nothing of the content in them."""
    shown = printable(str(path))
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError):
        raise Damaged(f"`{shown}` is not a sound vault: restore it from a backup") from None
    except _PASSING as error:
        what = type(error).__name__.removesuffix("Error").lower()
        raise Unavailable(
            f"`{shown}` can't be read or written now (`{what}`): free the disk or the file, then ask again"
        ) from None


def create(path: Path, about: Iterable[tuple[str, bytes]]) -> apsw.Connection:
    """A new vault, 0600. Raises `Taken` if there is a file already, `Unavailable` if it can't be written."""
    with _new(path), told(path):
        connection = _connected(path)
        try:
            with transaction(connection):
                connection.execute(SCHEMA)
                connection.executemany("INSERT INTO about VALUES (?, ?)", about)
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
        except BaseException:
            connection.close()
            raise
    return connection


def copied(source: apsw.Connection, to: Path) -> None:
    """A consistent copy at a new place, 0600. Raises as `create`."""
    with _new(to), told(to):
        target = _connected(to)
        try:
            with target.backup("main", source, "main") as copy:
                copy.step()
        finally:
            target.close()


@contextmanager
def _new(path: Path) -> Iterator[None]:
    """A file that is not there yet, durable in its directory; removed if what is done with it fails."""
    shown = printable(str(path))
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise Taken(f"`{shown}` is there already: open it, or give another place") from None
    except OSError as error:
        why = (error.strerror or "no such place").lower()
        raise Unavailable(f"`{shown}` can't be made: {why}") from None
    try:
        yield
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except BaseException:
        scrub(path)
        path.unlink(missing_ok=True)
        raise


def opened(path: Path) -> apsw.Connection:
    """The vault at a path. Raises `Unavailable` if there is none that can be read, `StoreError` if the file
    is of something else or of a newer version, `Damaged` if it is no database."""
    shown = printable(str(path))
    if not path.is_file():
        raise Unavailable(f"`{shown}` is not there: restore it from a backup, or make a new vault")
    with told(path):
        connection = _connected(path)
        try:
            _check_header(connection, shown)
            if Path(f"{path}-journal").exists():
                _ended(connection)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of it, durable at the end, or nothing. It begins with the lock: no other process writes then."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
        raise


def holds(connection: apsw.Connection, pieces: Iterable[bytes]) -> bool:
    """Whether any of these bytes is anywhere in the database as it is now: in a row, in the slack of a page,
    in a free page."""
    data = connection.serialize("main")
    return any(piece in data for piece in pieces)


def _connected(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=_NAME)
    try:
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        for name, value in PRAGMAS:
            connection.execute(f"PRAGMA {name} = {value}")
        _check_journal(connection, printable(str(path)))
    except BaseException:
        connection.close()
        raise
    return connection


def _check_header(connection: apsw.Connection, shown: str) -> None:
    version = connection.execute("PRAGMA user_version").get
    if connection.execute("PRAGMA application_id").get != APPLICATION:
        raise StoreError(f"`{shown}` is not a vault: give the file `vault.db` of the installation")
    if version != VERSION:
        raise StoreError(f"`{shown}` is of version `{version}`: open it with a newer Carnet")


def _check_journal(connection: apsw.Connection, shown: str) -> None:
    if connection.execute("PRAGMA journal_mode").get != "delete":
        raise Unavailable(f"`{shown}` is kept in a write-ahead log by another program: close that one")


def _ended(connection: apsw.Connection) -> None:
    """A journal that a crash left after its commit is taken over by one transaction, and scrubbed. It writes
    the version, since a row that stays equal would not be written at all."""
    with transaction(connection):
        connection.execute(f"PRAGMA user_version = {VERSION}")
