"""What keeps the log of logs: one process leads and appends the nodes' checkpoints, the others wait for its
place. How a batch is written is in `writing`.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from carnet.ledger import checkpoint, tree
from carnet.ledger.note import Note, Signer, Verifier
from carnet.model.errors import CarnetError, Damaged, Malformed, StoreError, Taken, Unavailable
from carnet.model.plain import printable, short
from carnet.store.postgres.connection import Database, Pool
from carnet.store.postgres.copies import Pending, QueryStore
from carnet.store.postgres.log import EMPTY, LEASE, PostgresLog, open_log
from carnet.store.postgres.reading import reading
from carnet.store.postgres.trouble import said
from carnet.store.postgres.writing import ELSEWHERE, Lease
from carnet.store.protocols import Entry

PERIOD = 1.0
"""Seconds between two looks for new checkpoints, and between two attempts to lead."""

_PATIENCE = 60.0


class NodeCheckpoint(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="node_checkpoint"
):
    """A leaf of the log of logs: the origin, size and root (hex) of a node's checkpoint, the note as the node
    signed it, without what witnesses added, and the node's time when it shipped it."""

    format: Literal[1] = 1
    origin: str
    size: Annotated[int, Meta(ge=0, le=checkpoint.MOST_SIZE)]
    root: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    note: str
    at: str

    @property
    def data(self) -> bytes:
        """The leaf: canonical JSON, with sorted keys and no space."""
        return msgspec.json.encode(self, order="sorted")


def read(leaf: bytes) -> NodeCheckpoint:
    """The checkpoint that a leaf is about. Raises `Malformed`."""
    try:
        found = msgspec.json.decode(leaf, type=NodeCheckpoint)
    except msgspec.ValidationError as error:
        raise Malformed(f"the leaf is no checkpoint of a node, `{short(str(error))}`") from None
    except msgspec.DecodeError:
        raise Malformed("the leaf is no JSON: it is not one of a log of logs") from None
    if found.data != leaf:
        raise Malformed("the leaf is not written canonically: it is not one of a log of logs")
    return found


def term(origin: str) -> bytes:
    """What all checkpoints of an origin are found by, with the tenant ``."""
    return hashlib.sha256(f"node {origin}".encode()).digest()[:16]


def entry(pending: Pending, keys: Sequence[Verifier]) -> Entry:
    """What is appended for a checkpoint, once its signature was verified. An origin has one entry for a size.

    Raises `Unverified` or `Malformed` if it is not the node's.
    """
    opened = checkpoint.opened(pending.note, pending.origin, keys)
    about = opened.checkpoint
    if about.size != pending.size:
        raise Damaged("a checkpoint is kept as one of another size: verify the copies of its node")
    leaf = NodeCheckpoint(
        origin=about.origin,
        size=about.size,
        root=about.root.hex(),
        note=Note(about.text, opened.signatures).data.decode(),
        at=pending.at,
    )
    return Entry(id=f"{about.size} {about.origin}", leaf=leaf.data, terms=(term(about.origin),))


class Sequencer:
    """Leads the log of logs whenever nobody else does, on a thread of its own, until it is stopped."""

    def __init__(
        self,
        database: Database,
        origin: str,
        signers: Sequence[Signer],
        verifiers: Sequence[Verifier],
        keys: Callable[[str], Sequence[Verifier]],
        *,
        lease: Lease = LEASE,
        period: float = PERIOD,
    ) -> None:
        """`keys` gives the keys of a node's log, by its origin."""
        self._database = database
        self._origin, self._signers, self._verifiers = origin, signers, verifiers
        self._lease = lease
        self._keys = keys
        self._period = period
        self._log: PostgresLog | None = None
        self._pool = Pool(database)
        self._seen = EMPTY
        self._store: QueryStore | None = None
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carnet-sequencer", daemon=True)
        self._thread.start()

    @property
    def leads(self) -> bool:
        """Whether this process appends, as far as it knows."""
        return self._log is not None and not self._log.fenced

    @property
    def trouble(self) -> str | None:
        """Why nothing is appended here now; None if all goes well. That another leads is none."""
        return self._trouble

    def stop(self, within: float = 10.0) -> None:
        """Finish the batch, and let another lead."""
        self._stop.set()
        self._thread.join(within)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 -- the thread has to live on; what it is can be seen in `trouble`
                self._trouble = str(error) if isinstance(error, CarnetError) else f"`{said(error)}`"
            self._stop.wait(self._period)
        if self._log is not None:
            self._log.close()
        if self._store is not None:
            self._store.close()
        self._pool.close()

    def _step(self) -> None:
        """Lead if nobody does; append what arrived. One that is fenced begins again as one that waits."""
        if self._log is not None and self._log.fenced:
            self._seen = self._log.tree
            self._log.close()
            self._log = None
        if self._log is None:
            self._log = self._led()
        if self._log is None:
            self._trouble = None
            return
        if self._store is None:
            self._store = QueryStore(self._database, self._keys)
        problems = []
        for pending in self._store.pending():
            try:
                self._append(self._log, self._store, pending)
            except Unavailable:
                raise
            except CarnetError as error:  # one node's fault holds up no other
                problems.append(f"`{short(printable(pending.origin))}`: {error}")
        self._trouble = problems[0] if problems else None

    def _led(self) -> PostgresLog | None:
        """The log, if nobody else leads; else what it has is looked at, so that it is known here too. Nobody
        of those who have seen more goes on from a database that was put back."""
        try:
            return open_log(
                self._database,
                self._origin,
                self._signers,
                self._verifiers,
                lease=self._lease,
                seen=self._seen,
            )
        except Unavailable as error:
            if str(error) != ELSEWHERE:
                raise
        with reading(self._pool) as found:
            checkpoint.opened(found.checkpoint(), self._origin, self._verifiers)
            at = tree.tree_at(found, found.size)
            if at.size < self._seen.size or tree.tree_at(found, self._seen.size) != self._seen:
                raise Damaged(
                    "the database was put back: restore what is missing, or begin a new log of logs"
                )
        self._seen = at
        return None

    def _append(self, log: PostgresLog, store: QueryStore, pending: Pending) -> None:
        keys = self._keys(pending.origin)
        if not keys:
            raise StoreError("it is no node's log that is known: add its key")
        wanted = entry(pending, keys)
        try:
            log.submit(wanted).result(_PATIENCE)
        except TimeoutError:
            raise Unavailable("PostgreSQL is too slow: look at its disk") from None
        except Taken:
            with log.reading() as reading:
                kept = reading.of_id("", wanted.id)
            if kept is None or read(kept.leaf).root != read(wanted.leaf).root:
                raise Damaged("it signed two roots for one size: the log was forked, keep both") from None
        store.logged(pending.origin, pending.size)
