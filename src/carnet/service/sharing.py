"""What a node shares with the others in PostgreSQL while it runs: copies of its records are shipped there and
forgotten there, its checkpoints go into the log of logs. No decision waits for any of it; what is kept there
is in `carnet.store.postgres`.
"""

import contextlib
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from carnet.ledger.note import Verifier
from carnet.model.errors import CarnetError, Unavailable
from carnet.service.node import Node
from carnet.service.shredding import forget_copies
from carnet.store import keyfiles
from carnet.store.keys import DIRECTORY, Keyring
from carnet.store.origins import called, homes, named
from carnet.store.postgres import schema
from carnet.store.postgres.connection import Database
from carnet.store.postgres.copies import Batch, Position, QueryStore
from carnet.store.postgres.sequencer import Sequencer
from carnet.store.postgres.shipper import Shipper
from carnet.store.sqlite.log import SqliteLog

FILE = "postgresql"
"""Below the data directory: a keyed digest of the address that was reached, so that a start without
PostgreSQL is told from a first one, and from one with a wrong address."""

ALL = "all"
"""The log of logs is called as its installation, with this behind a slash."""

PERIOD = 1.0
"""Seconds between two looks at how it goes, and between two attempts to forget."""

PATIENCE = 3.0
"""Seconds that an end waits for what is on its way."""

_FRESH = 5.0
_LOG = logging.getLogger("carnet.postgresql")


def prepare(data: Path, address: str) -> bool:
    """Make the tables, or bring them to the newest version; whether PostgreSQL was there. If it was before,
    under this address, it may be away: the nodes go on and catch up.

    Raises `InputError` for an address that can't be one, `StoreError` for a server that does not sync or is
    too old, `Unavailable` if it never was reached.
    """
    database = Database(address)
    try:
        schema.prepare(database)
    except Unavailable as error:
        if not _was_reached(data, address):
            raise Unavailable(
                f"{error}; the first start with an address needs it, later it may be away"
            ) from None
        _LOG.warning("%s: the nodes go on, and catch up", error)
        return False
    return True


def remember(data: Path, address: str) -> None:
    """Note that PostgreSQL was reached. Raises `Unavailable` if it can't be noted."""
    keyfiles.write(data / FILE, _digest(data, address))


class LogKeys:
    """The keys that the logs of an installation have had, by origin; none for a log that is none of them.
    They are looked up again every few seconds: another node may have begun or got a new key."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._keys: dict[str, tuple[Verifier, ...]] = {}

    def __call__(self, origin: str) -> Sequence[Verifier]:
        with self._lock:
            if time.monotonic() - self._at > _FRESH:
                self._keys = self._read()
                self._at = time.monotonic()
            return self._keys.get(origin, ())

    def _read(self) -> dict[str, tuple[Verifier, ...]]:
        found: dict[str, tuple[Verifier, ...]] = {}
        for home in homes(self._data):
            keys = named(home, Keyring.open(home)).verifiers
            for name in {key.name for key in keys}:
                found[name] = tuple(key for key in keys if key.name == name)
        return found


class Shared:
    """A node's shipper, its turn at the log of logs, and what has to be forgotten; started here, ended by
    `close`."""

    def __init__(self, node: Node, address: str) -> None:
        """Raises `InputError` for an address that can't be one; nothing if PostgreSQL is away."""
        self._log: SqliteLog = node.log
        self._database, self._keys = Database(address), LogKeys(node.data)
        self._shipped = 0
        self._forgot = False
        self._trouble: str | None = None
        self._told: dict[str, str | None] = {}
        self._stop = threading.Event()
        name = called(node.keyring, [f"{node.keyring.name}/{ALL}"])
        self._shipper = Shipper(self._log, self._store, lambda: node.clock.read().wall)
        self._sequencer = Sequencer(self._database, name.origin, name.signers, name.verifiers, self._keys)
        self._thread = threading.Thread(target=self._run, name="carnet-sharing", daemon=True)
        self._thread.start()

    def figures(self) -> Mapping[str, float]:
        """How it goes, by the names of the gauges. What is not known to be there is behind."""
        with self._log.reading() as reading:
            behind = max(reading.size - self._shipped, 0)
        return {
            "copies_behind": behind,
            "copies_trouble": self._shipper.trouble is not None or self._trouble is not None,
            "log_of_logs_leads": self._sequencer.leads,
            "log_of_logs_trouble": self._sequencer.trouble is not None,
        }

    def close(self) -> None:
        """End the batch on its way; what was not shipped is shipped after the next start. A PostgreSQL
        that says nothing is not waited for long: the node has its own log to close."""
        self._stop.set()
        end = time.monotonic() + PATIENCE
        stops = (self._shipper.stop, self._sequencer.stop, self._thread.join)
        for stop in stops:
            stop(0.0)  # all are told before any is waited for
        for stop in stops:
            stop(max(end - time.monotonic(), 0.0))

    def _store(self) -> QueryStore:
        return _Noting(self._database, self._keys, self._note)

    def _note(self, size: int) -> None:
        self._shipped = size

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            if not self._forgot:
                self._forget()
            self._tell("the copies", self._shipper.trouble or self._trouble)
            self._tell("the log of logs", self._sequencer.trouble)

    def _forget(self) -> None:
        """Forget in the copies what the log has forgotten: a shred is done while no node runs, so once after
        each start is enough. Tried again until it is done."""
        try:
            _forgotten(self._database, self._keys, self._log)
        except Exception as error:  # noqa: BLE001 -- the thread has to live on; what it is can be seen in the figures
            self._trouble = str(error) if isinstance(error, CarnetError) else f"`{type(error).__name__}`"
        else:
            self._trouble, self._forgot = None, True

    def _tell(self, what: str, trouble: str | None) -> None:
        if self._told.get(what) != trouble:
            self._told[what] = trouble
            if trouble is None:
                _LOG.warning("%s: all goes well again", what)
            else:
                _LOG.warning("%s: %s", what, trouble)


class _Noting(QueryStore):
    """A query store that says how far what is shipped has come."""

    def __init__(
        self, database: Database, keys: Callable[[str], Sequence[Verifier]], note: Callable[[int], None]
    ) -> None:
        super().__init__(database, keys)
        self._note = note

    def position(self, origin: str) -> Position | None:
        found = super().position(origin)
        if found is not None:
            self._note(found.size)
        return found

    def receive(self, batch: Batch) -> Position:
        after = super().receive(batch)
        self._note(after.size)
        return after


def forget_now(data: Path, address: str, log: SqliteLog) -> int:
    """Forget in the copies what a log of this installation has forgotten; of how many records something was
    there. Raises `StoreError` if it can't be done now: a node does it after its next start."""
    return _forgotten(Database(address), LogKeys(data), log)


def _forgotten(database: Database, keys: LogKeys, log: SqliteLog) -> int:
    with contextlib.closing(QueryStore(database, keys)) as store:
        return forget_copies(log, store)


def _was_reached(data: Path, address: str) -> bool:
    file = data / FILE
    if not (data / DIRECTORY).exists() or not file.exists():
        return False
    return hmac.compare_digest(keyfiles.read(file), _digest(data, address))


def _digest(data: Path, address: str) -> bytes:
    """Keyed, since an address may have a password in it."""
    index = Keyring.open(data).secret("index")
    return hmac.digest(index, f"carnet postgresql 1\n{address}".encode(), hashlib.sha256)
