"""How a long write-ahead log gets into the file while batches go on: on a connection and a thread of its own,
and what came meanwhile between two batches. Nothing is lost if it fails: what was not moved stays durable
where it is, and the next batch tries again.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import apsw

from carnet.model.errors import CarnetError
from carnet.store.sqlite import schema

TIDY_PAGES = 8192
"""Pages of the write-ahead log after which it is moved into the file: 32 MB."""

MOST_PAGES = 4
"""So many times as many, and batches wait until it is moved."""


class Mover:
    """Told by the writer how long the write-ahead log is; asked by it after each batch."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path = path
        self._vfs = vfs
        self._pages = 0
        self._moved = 0
        self._db: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="carnet-log-move")
        self._moving: Future[None] | None = None

    def grew(self, db: apsw.Connection, schema_name: str, pages: int) -> int:
        """The hook of the connection that writes."""
        del db, schema_name
        if pages < self._moved:  # it was moved as a whole, and begun again
            self._moved = 0
        self._pages = pages
        return apsw.SQLITE_OK

    def tidy(self, db: apsw.Connection) -> None:
        """Begin to move what is there, or move the rest once that is done; `db` is in no transaction."""
        long = self._pages - self._moved
        if self._moving is not None and (self._moving.done() or long >= MOST_PAGES * TIDY_PAGES):
            self.wait()
            with suppress(apsw.Error):
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._moved = self._pages
        elif self._moving is None and long >= TIDY_PAGES:
            self._moving = self._thread.submit(self._move)

    def wait(self) -> None:
        """Return once nothing is being moved."""
        if self._moving is not None:
            moving, self._moving = self._moving, None
            moving.result()

    def leave(self) -> None:
        """Close the connection; the file may be another's, or another, afterwards."""
        self.wait()
        self._pages = self._moved = 0
        if self._db is not None:
            db, self._db = self._db, None
            with suppress(apsw.Error):
                db.close(True)

    def close(self) -> None:
        self.leave()
        self._thread.shutdown()

    def _move(self) -> None:
        with suppress(apsw.Error, CarnetError):
            if self._db is None:
                self._db = schema.connected(self._path, self._vfs, writes=True)
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
