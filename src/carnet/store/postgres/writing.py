"""The one who appends to the log of logs: a batch is one transaction, read back before it is signed and
signed before it commits. Who waits for it, and for how long, is not here.

One process leads. It holds an advisory lock, which says so to the others, and an epoch, which every batch
compares with the database in its own transaction: so who was paused while another took over appends nothing.
"""

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

import psycopg
from msgspec import Struct

from carnet.ledger import checkpoint, log
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.sequence import count
from carnet.ledger.tree import Tree, tree_at
from carnet.model.errors import Damaged, StoreError, Taken, Unavailable
from carnet.store.postgres import schema
from carnet.store.postgres.connection import Connection, Database, fetched, insert, one
from carnet.store.postgres.reading import Stored, last_checkpoint, stored, texts
from carnet.store.postgres.trouble import refused, translated
from carnet.store.protocols import Entry, Receipt
from carnet.store.sqlite import rows
from carnet.store.sqlite.batches import untaken
from carnet.store.sqlite.writing import Name

TURN_SECONDS = 0.05
"""How often the lock is asked for while another session, perhaps our own old one, still ends."""


class Lease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server ends the session of a leader that says nothing for `seconds`. Who wants to lead waits for
    `patience` seconds before it gives up; a leader whose connection broke waits for `again`."""

    seconds: float = 5.0
    patience: float = 0.0
    again: float = 7.0


class Appending(Stored):
    """Leaves and nodes of a transaction that writes."""

    def write(self, first: int, leaves: Sequence[bytes], complete: Sequence[bytes]) -> None:
        insert(self.db, "leaves", "number bigint, leaf bytea", enumerate(leaves, first))
        insert(self.db, "nodes", "place bigint, hash bytea", enumerate(complete, count(first)))


class Writer:
    """The connection that appends, and the tree of what it has signed. After a failure both are made anew
    from the database before anything else is written."""

    def __init__(self, database: Database, name: Name, lease: Lease, seen: Tree) -> None:
        """`seen` is what the log is known to have had: it is not gone on from less."""
        self.name = name
        self.fenced = False
        self.epoch = 0
        self._database = database
        self._lease = lease
        self._token = secrets.token_bytes(16)
        self._db: Connection | None = None
        self._tree = seen

    @property
    def tree(self) -> Tree:
        """What was signed last."""
        return self._tree

    def start(self) -> None:
        """Lead: take the lock and a new epoch, or keep our own, and verify the last checkpoint.

        Raises `Unavailable` if another leads or the database can't be reached, `Unverified`, `Damaged` or
        `StoreError` if what is stored does not fit: it is left as it is.
        """
        again = self.epoch > 0
        db = self._database.connected(self._lease.seconds)
        try:
            with translated():
                schema.check(db, self._database)
                self._locked(db, self._lease.again if again else self._lease.patience, again=again)
                db.execute("BEGIN")
                epoch = self.epoch
                if again:
                    self._own(db)
                else:
                    epoch = self._taken(db)
                tree = resumed(db, self.name)
                self._goes_on(db, tree)
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        self._db, self._tree, self.epoch = db, tree, epoch

    def batch(self, entries: Sequence[Entry]) -> list[Receipt | Taken]:
        """Append entries as one; for each what became of it. They are durable and signed for when this
        returns. Raises `Unavailable` if nothing of it was recorded, or if nobody can know it now."""
        after = None
        try:
            db = self._begun()
            try:
                outcomes, after = self._recorded(db, entries, untaken(entries, set(), set()))
            except psycopg.errors.UniqueViolation:  # seldom: one of them is there already
                db.execute("ROLLBACK")
                db = self._begun()
                outcomes, after = self._recorded(db, entries, _free(db, entries))
            self.commit(db)
        except Exception as error:
            settled = self._dropped()
            if after is None or (settled and self._tree != after):
                raise refused(error) from error
            if not settled:
                raise Unavailable(_UNKNOWN) from error
        self._tree = after
        return outcomes

    def beat(self) -> None:
        """Tell the server that we are there, and hear whether the log is still ours. Raises `Unavailable`."""
        try:
            db = self._begun()
            db.execute("COMMIT")
        except Exception as error:
            self.close()
            raise refused(error) from error

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def commit(self, db: Connection) -> None:
        """The moment in which a batch becomes durable."""
        db.execute("COMMIT")

    def _recorded(
        self, db: Connection, entries: Sequence[Entry], free: Sequence[Taken | None]
    ) -> tuple[list[Receipt | Taken], Tree]:
        before = self._tree
        fresh = [entry for entry, taken in zip(entries, free, strict=True) if taken is None]
        if not fresh:
            return [taken for taken in free if taken is not None], before
        storage = Appending(db)
        first, after = log.append(storage, before, [entry.leaf for entry in fresh])
        beside = _Beside.of(first, fresh)
        beside.write(db)
        beside.compare(db)
        signed = log.sign(storage, before, after, self.name.origin, self.name.signers)
        checkpoint.opened(signed.data, self.name.origin, self.name.verifiers)
        _put_checkpoint(db, after.size, signed.data)
        numbers = iter(range(first, after.size))
        return [taken or Receipt(next(numbers), after.size) for taken in free], after

    def _begun(self) -> Connection:
        """The connection in a transaction, if the log is still ours. One that broke is made anew."""
        if self._db is not None:
            try:
                self._db.execute("BEGIN")
                self._own(self._db)
            except psycopg.Error:
                self.close()
            else:
                return self._db
        if self.fenced:
            raise Unavailable(_FENCED)
        self.start()
        if self._db is None:
            raise Unavailable("the log is closed: open it again")
        self._db.execute("BEGIN")
        self._own(self._db)
        return self._db

    def _goes_on(self, db: Connection, tree: Tree) -> None:
        """Raises `Damaged` unless what is stored begins with what we signed last."""
        if tree.size < self._tree.size or tree_at(Stored(db), self._tree.size) != self._tree:
            raise Damaged("the database was put back: restore what is missing, or begin a new log of logs")

    def _own(self, db: Connection) -> None:
        """Raises `Unavailable` unless the epoch is ours; nobody takes it before the transaction ends."""
        if fetched(db, "SELECT epoch, token FROM sequencer FOR UPDATE") != [(self.epoch, self._token)]:
            self.fenced = True
            raise Unavailable(_FENCED)

    def _taken(self, db: Connection) -> int:
        """The epoch that is ours from now on; a log that never was is made."""
        found = one(db, "SELECT epoch FROM sequencer FOR UPDATE")
        if found is None:
            about = Checkpoint(self.name.origin, 0, Tree().root)
            signed = checkpoint.signed(about, self.name.signers).data
            checkpoint.opened(signed, self.name.origin, self.name.verifiers)
            db.execute("INSERT INTO sequencer VALUES (1, 0, '')")
            db.execute("INSERT INTO origins VALUES (0, %s)", (self.name.origin,))
            _put_checkpoint(db, 0, signed)
        epoch = (found or 0) + 1
        db.execute("UPDATE sequencer SET epoch = %s, token = %s", (epoch, self._token))
        return epoch

    def _locked(self, db: Connection, seconds: float, *, again: bool) -> None:
        """Wait so long for the lock, who had it as long as the epoch is still ours. It is the session's: it
        goes when the session does."""
        number = schema.lock_number(self._database, "sequencer")
        end = time.monotonic() + seconds
        while not one(db, "SELECT pg_try_advisory_lock(%s)", (number,)):
            if time.monotonic() >= end:
                raise Unavailable(ELSEWHERE)
            if again:
                self._own(db)
            time.sleep(TURN_SECONDS)

    def _dropped(self) -> bool:
        """Forget the connection, and take the log up again at once; whether that was possible. What a failed
        commit was is known then: its transaction ended before ours got the row of the epoch."""
        self.close()
        if not self.fenced:
            with suppress(Exception):  # who waits is told the first error, and the next batch tries again
                self.start()
        return self._db is not None


ELSEWHERE = "another process keeps the log of logs: it goes on there"
"""What is said to who wants to lead while another does."""

_UNKNOWN = "PostgreSQL failed at the end: whether it was recorded, its id tells once it works again"
_FENCED = "nothing was recorded, another process keeps the log of logs now: it goes on there"


def resumed(db: Connection, name: Name) -> Tree:
    """The tree of the last checkpoint, once its signature and what is stored fit. Raises `StoreError` if
    the log has another origin, `Unverified` or `Damaged` if it does not fit."""
    origin = one(db, "SELECT origin FROM origins ORDER BY since DESC LIMIT 1")
    if origin != name.origin:
        raise StoreError(f"the log is that of `{origin}`, not of `{name.origin}`: give its own origin")
    size, signed = last_checkpoint(db)
    about = checkpoint.opened(signed, name.origin, name.verifiers).checkpoint
    tree = log.resume(Stored(db), about)
    for table in ("leaves", "records"):
        # only the two names above are put into the text
        last = one(db, f"SELECT coalesce(max(number), -1) FROM {table}")  # noqa: S608 -- names that are constants
        if last != size - 1:
            raise Damaged(
                f"the log has `{size}` records and the last of its {table} is `{last}`: "
                "run an audit, then restore from a backup"
            )
    return tree


def _put_checkpoint(db: Connection, size: int, signed: bytes) -> None:
    insert(db, "checkpoints", "size bigint, note bytea", [(size, signed)])
    if last_checkpoint(db) != (size, signed):
        raise Damaged("the checkpoint is not stored as it was signed: nothing was recorded, run an audit")


def _free(db: Connection, entries: Sequence[Entry]) -> list[Taken | None]:
    """For each entry, None if its id and its idempotency key are not those of one before it or in the log."""
    ids = fetched(db, _KNOWN, ([entry.id.encode() for entry in entries],))
    keys = {
        (entry.tenant, entry.answered.key)
        for entry in entries
        if entry.answered is not None
        and fetched(db, _ANSWERED, (entry.tenant.encode(), entry.answered.key.encode()))
    }
    return untaken(entries, {id_.decode() for (id_,) in ids}, keys)


class _Beside(Struct, frozen=True):
    """What is written beside the leaves of a batch, as rows: for each table its columns with their types,
    which of them are texts, and the rows."""

    tables: list[tuple[str, str, tuple[int, ...], list[rows.Columns]]]
    terms: list[tuple[bytes, int]]

    @classmethod
    def of(cls, first: int, entries: Sequence[Entry]) -> "_Beside":
        numbered = list(enumerate(entries, first))
        tables = [
            ("records", _RECORD, (1, 2, 3, 4), [rows.record(number, entry) for number, entry in numbered]),
            (
                "grants",
                _GRANT,
                (0, 1, 3, 4, 6),
                [rows.grant(number, each, each.grant) for number, each in numbered if each.grant is not None],
            ),
            (
                "answered",
                _ANSWER,
                (0, 1),
                [
                    rows.answered(number, each, each.answered)
                    for number, each in numbered
                    if each.answered is not None
                ],
            ),
        ]
        terms = sorted((term, number) for number, entry in numbered for term in {*entry.terms})
        return cls([table for table in tables if table[3]], terms)

    def write(self, db: Connection) -> None:
        for table, columns, _, given in self.tables:
            insert(db, table, columns, [stored(row) for row in given])
        insert(db, "terms", "term bytea, number bigint", self.terms)

    def compare(self, db: Connection) -> None:
        """Raises `Damaged` if it is not stored as it was given."""
        first = self.tables[0][3][0][0]
        for table, columns, at, given in self.tables:
            names = ", ".join(column.split()[0] for column in columns.split(", "))
            text = f"SELECT {names} FROM {table} WHERE number >= %s ORDER BY number"  # noqa: S608 -- constants
            if [texts(row, at) for row in fetched(db, text, (first,))] != given:
                raise Damaged(f"the {table} are not stored as they were given: nothing is signed")
        terms = fetched(db, "SELECT term, number FROM terms WHERE number >= %s", (first,))
        if sorted(terms) != self.terms:
            raise Damaged("the terms are not stored as they were given: nothing is signed")


_RECORD = (
    "number bigint, id bytea, tenant bytea, subject bytea, retention bytea, "
    "sealed bytea, terms bytea, mark bytea"
)
_GRANT = (
    "tenant bytea, key bytea, number bigint, subject bytea, item bytea, epoch bigint, until bytea, mark bytea"
)
_ANSWER = "tenant bytea, key bytea, number bigint, request bytea, status bigint, body bytea, mark bytea"
_KNOWN = "SELECT id FROM records WHERE sha256(id) IN (SELECT sha256(each) FROM unnest(%b::bytea[]) AS each)"
_ANSWERED = "SELECT 1 FROM answered WHERE sha256(tenant) = sha256(%s) AND sha256(key) = sha256(%s)"
