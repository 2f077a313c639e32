"""The one who writes a log: a batch is one transaction, read back before it is signed and signed before it
commits. Who waits for it, and for how long, is not here.
"""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import apsw
from msgspec import Struct

from carnet.ledger import checkpoint, log
from carnet.ledger.audit import audit
from carnet.ledger.note import Signer, Verifier
from carnet.ledger.tree import Tree
from carnet.model.errors import Damaged, StoreError, Taken, Unavailable
from carnet.store.protocols import Entry, Receipt
from carnet.store.sqlite import nodes, rows, schema
from carnet.store.sqlite.batches import Appended, Batch, free, new
from carnet.store.sqlite.moving import Mover
from carnet.store.sqlite.reading import SELECT_RECORD, Stored, last_checkpoint
from carnet.store.sqlite.trouble import refused, translated

WAIT_SECONDS = 1
"""How long removing something for good waits for readings to end."""


class Name(Struct, frozen=True):
    """Who a log is: its origin, the keys that sign for it, and those that its signatures are checked with,
    the retired ones too."""

    origin: str
    signers: tuple[Signer, ...]
    verifiers: tuple[Verifier, ...]

    def check(self) -> None:
        """Raises `StoreError` if the log could not verify what it signs."""
        known = {(key.name, key.key_id) for key in self.verifiers}
        if not self.signers:
            raise StoreError(f"`{self.origin}` has no key to sign with: give a signer")
        for signer in self.signers:
            if (signer.name, signer.key_id) not in known:
                raise StoreError(
                    f"the key `{signer.name}+{signer.key_id.hex()}` signs and is no verifier: add it"
                )


class Writer:
    """The connection that appends, and the tree of what it has signed. After a failure both are made anew
    from the file before anything else is written."""

    def __init__(self, path: Path, vfs: str | None, name: Name) -> None:
        self.name = name
        self.fenced = False
        self._path = path
        self._vfs = vfs
        self._token = secrets.token_bytes(16)
        self._started = False
        self._ready: Batch | None = None
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="carnet-log-ahead")
        self._db: apsw.Connection | None = None
        self._tree = Tree()
        self._mover = Mover(path, vfs)

    @property
    def tree(self) -> Tree:
        """What was signed last."""
        return self._tree

    def start(self) -> None:
        """Open the log, verify its last checkpoint, and take the writing over from whoever had it.

        Raises `Unverified`, `Damaged`, `Unavailable` or `StoreError`: it is left as it is.
        """
        db = schema.connected(self._path, self._vfs, writes=True)
        try:
            with translated(self._path):
                if schema.migrate(db, self._path):
                    self._audited(db)
                    db.execute("COMMIT")
                db.execute("BEGIN IMMEDIATE")
                if self._started:
                    self._own(db)
                tree = resumed(db, self.name)
                db.execute("UPDATE owner SET token = ?, taken = taken + 1", (self._token,))
                db.execute("COMMIT")
                db.set_wal_hook(self._mover.grew)
        except BaseException:
            _closed(db)
            raise
        self._db, self._tree, self._started = db, tree, True

    def batch(
        self, entries: Sequence[Entry], ahead: Callable[[], Sequence[Entry]] = tuple
    ) -> list[Receipt | Taken]:
        """Append entries as one; for each what became of it. They are durable and signed for when this
        returns. Raises `Unavailable` if nothing of it was recorded.

        `ahead` is called once, just before the commit, and gives the next batch if there is one by then: it
        is made ready while the disk works.
        """
        return self._attempted(entries, self.name, ahead, renamed=False)

    def renamed(self, name: Name, entry: Entry) -> Receipt:
        """Go on under another name; `entry` is the first record under it. Raises as `batch`, and `Taken`."""
        (outcome,) = self._attempted([entry], name, tuple, renamed=True)
        if isinstance(outcome, Taken):
            raise outcome
        self.name = name
        return outcome

    def forget(self, numbers: Sequence[int]) -> int:
        """Remove the private parts and the terms of records; how many had some. Raises `Unavailable`, also if
        they are removed and a reading keeps them in the write-ahead log."""
        try:
            db = self._begun()
            done = sum(_forgotten(db, number) for number in numbers)
            self.commit(db)
        except Exception as error:
            self._dropped()
            raise refused(error) from error
        try:
            self._mover.wait()
            db.set_busy_timeout(WAIT_SECONDS * 1000)
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            raise Unavailable(
                "the parts are removed and still in the write-ahead log: end long readings, then ask again"
            ) from error
        finally:
            db.set_busy_timeout(schema.BUSY_SECONDS * 1000)
        return done

    def tidy(self) -> None:
        """Move a long write-ahead log into the file, as far as it can be moved now."""
        if self._db is not None:
            self._mover.tidy(self._db)

    def close(self) -> None:
        self._leave()
        self._ahead.shutdown()
        self._mover.close()

    def commit(self, db: apsw.Connection) -> None:
        """The moment in which a batch becomes durable."""
        db.execute("COMMIT")

    def _attempted(
        self,
        entries: Sequence[Entry],
        name: Name,
        ahead: Callable[[], Sequence[Entry]],
        *,
        renamed: bool,
    ) -> list[Receipt | Taken]:
        after = None
        try:
            db = self._begun()
            ready, self._ready = self._ready, None
            if ready is None or not ready.fits(self._tree.size, entries):
                ready = Batch.of(self._tree.size, entries, new(entries))
            try:
                outcomes, after = self._recorded(db, ready, name, renamed=renamed)
            except apsw.ConstraintError:  # seldom: one of them is there already
                db.execute("ROLLBACK")
                db = self._begun()
                ready = Batch.of(self._tree.size, entries, free(db, entries))
                outcomes, after = self._recorded(db, ready, name, renamed=renamed)
            self._committed(db, after, ahead())
        except Exception as error:
            settled = self._dropped()
            if after is None or (settled and self._tree != after):
                raise refused(error) from error
            if not settled:
                raise Unavailable(_UNKNOWN) from error
        self._tree = after
        return outcomes

    def _committed(self, db: apsw.Connection, after: Tree, following: Sequence[Entry]) -> None:
        """Commit; what follows is made ready meanwhile, by another thread: it has the interpreter as soon as
        this one is at the disk, which the other way round it would not."""
        if not following:
            self.commit(db)
            return
        ready = self._ahead.submit(Batch.of, after.size, following, new(following))
        try:
            self.commit(db)
        finally:
            wait((ready,))
        self._ready = ready.result()

    def _recorded(
        self, db: apsw.Connection, batch: Batch, name: Name, *, renamed: bool
    ) -> tuple[list[Receipt | Taken], Tree]:
        before = self._tree
        if batch.stop == before.size:
            return [taken for taken in batch.free if taken is not None], before
        batch.beside.write(db)
        if renamed:
            db.execute("INSERT INTO origins VALUES (?, ?)", (before.size, name.origin))
        _flushed(db)
        stored = Appended(db, before.size, batch.stop)
        batch.beside.compare(stored)
        after, complete = log.read_back(stored, before, batch.stop)
        nodes.add(db, before.size, complete)
        _flushed(db)
        signed = log.sign(stored, before, after, name.origin, name.signers, complete=complete)
        checkpoint.opened(signed.data, name.origin, name.verifiers)
        db.execute("INSERT INTO checkpoints VALUES (?, ?)", (after.size, signed.data))
        _flushed(db)
        if last_checkpoint(db) != (after.size, signed.data):
            raise Damaged("the checkpoint is not stored as it was signed: nothing was recorded, run an audit")
        numbers = iter(range(before.size, after.size))
        return [taken or Receipt(next(numbers), after.size) for taken in batch.free], after

    def _begun(self) -> apsw.Connection:
        """The connection in a transaction, if the log is still ours."""
        if self._db is None:
            if self.fenced:
                raise Unavailable(_FENCED)
            self.start()
        if self._db is None:
            raise Unavailable("the log is closed: open it again")
        self._db.execute("BEGIN IMMEDIATE")
        self._own(self._db)
        return self._db

    def _own(self, db: apsw.Connection) -> None:
        if db.execute("SELECT token FROM owner").get != self._token:
            self.fenced = True
            raise Unavailable(_FENCED)

    def _dropped(self) -> bool:
        """Forget the connection, and take the log up again at once; whether the disk lets us. Then what a
        failed commit may have left in the write-ahead log is overwritten, and the tree is what is durable."""
        self._leave()
        if not self.fenced:
            with suppress(Exception):  # who waits is told the first error, and the next batch tries again
                self.start()
        return self._db is not None

    def _leave(self) -> None:
        self._mover.leave()
        if self._db is not None:
            _closed(self._db)
            self._db = None

    def _audited(self, db: apsw.Connection) -> None:
        """Raises `Damaged` if a migration changed what is signed."""
        _, signed = last_checkpoint(db)
        report = audit(Stored(db), signed, self.name.origin, self.name.verifiers)
        if not report.sound:
            raise Damaged(
                f"the new version would change records, {report.findings[0].message}: it is as it was"
            )


_UNKNOWN = "the disk failed at the end: whether it was recorded, its id tells once the disk works again"
_FENCED = "nothing was recorded, another process writes this log now: stop one of the two"


def resumed(db: apsw.Connection, name: Name) -> Tree:
    """The tree of the last checkpoint, once its signature and what is stored fit. Raises `StoreError` if
    the log has another origin, `Unverified` or `Damaged` if it does not fit."""
    origin = db.execute("SELECT origin FROM origins ORDER BY since DESC LIMIT 1").get
    if origin != name.origin:
        raise StoreError(f"the log is that of `{origin}`, not of `{name.origin}`: give its own origin")
    size, signed = last_checkpoint(db)
    about = checkpoint.opened(signed, name.origin, name.verifiers).checkpoint
    tree = log.resume(Stored(db), about)
    last = db.execute("SELECT coalesce(max(number), -1) FROM records").get
    if last != size - 1:
        raise Damaged(
            f"the log has `{size}` records and the last that is stored is `{last}`: "
            "run an audit, then restore from a backup"
        )
    return tree


def _flushed(db: apsw.Connection) -> None:
    """What is read from here on comes from the file, not from what SQLite still has in memory."""
    db.cache_flush()
    db.release_memory()


def _closed(db: apsw.Connection) -> None:
    with suppress(Exception):  # it is of no use any more, whatever it says
        db.close(True)


def _forgotten(db: apsw.Connection, number: int) -> bool:
    row = db.execute(SELECT_RECORD, (number,)).fetchone()
    if row is None or (row[5] is None and not row[6]):
        return False
    rows.whole("record", row)
    db.executemany(
        "DELETE FROM terms WHERE term = ? AND number = ?", [(t, number) for t in rows.terms(row[6])]
    )
    new = rows.forgotten(row)
    db.execute("UPDATE records SET sealed = NULL, terms = ?, mark = ? WHERE number = ?", (*new[6:], number))
    return True
