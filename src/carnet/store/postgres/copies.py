"""The copy of the nodes' records that is searched: taken in batches, each verified against a signed
checkpoint of its node. How a node sends them is in `shipper`; what goes on into the log of logs is in
`sequencer`.
"""

import hashlib
from collections.abc import Callable, Sequence

from msgspec import Struct

from carnet.ledger import checkpoint, tree
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Verifier
from carnet.ledger.tree import HASH_BYTES, Tree, leaf_hash
from carnet.model.errors import Damaged, LedgerError, Malformed, StoreError, Unverified
from carnet.model.plain import printable, short
from carnet.store.postgres import schema
from carnet.store.postgres.connection import Connection, Database, Pool, fetched, insert, one
from carnet.store.postgres.reading import search, stored, texts
from carnet.store.protocols import Entry, Record
from carnet.store.sqlite import rows

_CHUNK = 1024
_COLUMNS = (
    "place bigint, origin text, number bigint, leaf bytea, id bytea, tenant bytea, subject bytea, "
    "retention bytea, sealed bytea, terms bytea, mark bytea"
)
_COPY = f"SELECT place, origin, leaf, {rows.RECORD} FROM copies "  # noqa: S608 -- names that are constants


class Position(Struct, frozen=True):
    """How far a node's log was shipped: its records, and the size of its last checkpoint that was taken."""

    size: int
    noted: int


class Continued(Struct, frozen=True):
    """That a log goes on from `since` records under a new origin, and which origin it had before."""

    origin: str
    since: int


class Batch(Struct, frozen=True, kw_only=True):
    """Records of a node from `first` on, and a signed checkpoint that covers them. `covers` proves that its
    tree begins with the records up to the batch's last; `follows` that it begins with the tree of `noted`,
    the checkpoint that was shipped before. `at` is the node's time, RFC 3339. Grants and answers stay at the
    node."""

    origin: str
    first: int
    entries: tuple[Entry, ...]
    note: bytes
    covers: tuple[bytes, ...]
    noted: int
    follows: tuple[bytes, ...]
    at: str
    continued: Continued | None = None


class Copy(Struct, frozen=True):
    """A node's record as it was shipped; `place` is where it is among those of all nodes, in the order of
    their arrival. `record.index` is its place in the node's own log."""

    place: int
    origin: str
    record: Record


class Report(Struct, frozen=True):
    """The first signed checkpoint of a node that contradicts `kept`, the last one taken. `forked`: another
    root at the size of `kept`, so the two notes alone prove it; `inconsistent`: its tree is not shown to
    begin with what was shipped. `at` is the node's time."""

    origin: str
    kind: str
    at: str
    note: bytes
    kept: bytes


class Pending(Struct, frozen=True):
    """A checkpoint that was taken and is not in the log of logs yet."""

    origin: str
    size: int
    note: bytes
    at: str


class QueryStore:
    """The records of all nodes. Any number of threads and processes may use it."""

    def __init__(self, database: Database, keys: Callable[[str], Sequence[Verifier]]) -> None:
        """`keys` gives the keys that a node's log has had, by its origin; none for a log that is not ours.

        Raises `Unavailable` or `StoreError` as `schema.prepare` does.
        """
        schema.prepare(database)
        self._database = database
        self._keys = keys
        self._pool = Pool(database)

    def position(self, origin: str) -> Position | None:
        """How far an origin was shipped; None if nothing of it was."""
        with self._pool.reading() as db:
            found = fetched(db, "SELECT size, noted FROM shipped WHERE origin = %s", (origin,))
        return Position(*found[0]) if found else None

    def receive(self, batch: Batch) -> Position:
        """Take a batch, all of it or nothing, and say how far the origin is shipped now. One that does not
        begin there changes nothing: so a batch may be sent any number of times.

        Raises `Unverified` if the checkpoint is not the node's, or contradicts what was shipped: then the
        contradiction is kept as a `Report`. `Malformed` if something in it can't be stored, `StoreError` for
        an unknown origin, `Unavailable` if nothing was taken.
        """
        keys = self._known(batch.origin)
        about = checkpoint.opened(batch.note, batch.origin, keys).checkpoint
        for entry in batch.entries:
            rows.weighed(entry)
        if not 0 <= batch.first <= batch.first + len(batch.entries) <= about.size:
            raise Malformed("the checkpoint of the batch does not cover its records: send the last one")
        kept = b""
        try:
            with self._pool.writing() as db:
                self._lock(db, batch.origin)
                size, noted, edge, kept = _shipped(db, batch)
                if (batch.first, batch.noted) != (size, noted) or about.size < noted:
                    return Position(size, noted)
                self._follows(batch, about, Tree(size, edge), kept)
                after, _ = tree.grown(Tree(size, edge), [leaf_hash(entry.leaf) for entry in batch.entries])
                tree.verify_consistency(after.size, about.size, after.root, about.root, batch.covers)
                _add(db, batch)
                db.execute(
                    "UPDATE shipped SET size = %s, edge = %b, noted = %s, note = %b, at = %s "
                    "WHERE origin = %s",
                    (after.size, b"".join(after.edge), about.size, batch.note, batch.at, batch.origin),
                )
                return Position(after.size, about.size)
        except Unverified as error:
            kind = "forked" if about.size == batch.noted else "inconsistent"
            self._reported(Report(batch.origin, kind, batch.at, batch.note, kept))
            raise Unverified(
                f"`{short(printable(batch.origin))}` contradicts what it shipped, nothing was taken: {error}"
            ) from error

    def found(self, tenant: str, terms: Sequence[bytes], *, after: int = -1, limit: int = 100) -> list[Copy]:
        """The tenant's records of all nodes that have all of these terms, by place, those after `after`.
        None ever appears before one that was seen. Raises `Malformed` for more than 32 terms."""
        text, values = search("copies", "copy_terms", "place", tenant, terms, after, limit)
        with self._pool.reading() as db:
            places = [place for (place,) in fetched(db, text, values, anew=True)]
            listed = fetched(db, f"{_COPY}WHERE place = ANY(%s::bigint[]) ORDER BY place", (places,))
            copies = [_copy(row) for row in listed]
        for copy, packed in copies:
            if copy.record.tenant != tenant or not {*terms} <= {*rows.terms(packed)}:
                raise Damaged("an index leads to another record: verify the copies of its node")
        return [copy for copy, _ in copies]

    def of_id(self, tenant: str, id_: str) -> Copy | None:
        """The record of an id, None if there is none or it is another tenant's."""
        text = f"{_COPY}WHERE sha256(id) = sha256(%s) AND id = %s AND tenant = %s ORDER BY place LIMIT 1"
        with self._pool.reading() as db:
            for row in fetched(db, text, (id_.encode(), id_.encode(), tenant.encode())):
                return _copy(row)[0]
        return None

    def forget(self, origin: str, numbers: Sequence[int]) -> int:
        """Remove the private parts and the terms of a node's records, also of those that arrive later; how
        many had some. PostgreSQL may keep what was removed until it tidies up, and in its write-ahead log:
        that nobody reads it is up to the key, which has to be destroyed first."""
        done = 0
        with self._pool.writing() as db:
            self._lock(db, origin)
            db.execute(
                "INSERT INTO forgotten SELECT %s, each FROM unnest(%s::bigint[]) AS each "
                "ON CONFLICT DO NOTHING",
                (origin, sorted(set(numbers))),
            )
            where = "WHERE origin = %s AND number = ANY(%s::bigint[]) FOR UPDATE"
            for row in fetched(db, f"{_COPY}{where}", (origin, list(numbers))):
                _copy(row)
                had, *columns = row[0], *texts(row[3:], _TEXTS)
                if columns[5] is None and not columns[6]:
                    continue
                new = rows.forgotten(tuple(columns))
                db.execute("DELETE FROM copy_terms WHERE place = %s", (had,))
                db.execute(
                    "UPDATE copies SET sealed = NULL, terms = %b, mark = %b WHERE place = %s", (*new[6:], had)
                )
                done += 1
        return done

    def verify(self, origin: str) -> Checkpoint:
        """Hash every copy of a node's log again; the node's signed checkpoint that was taken last. Raises
        `Damaged` if they are not what was shipped, or an index lacks a term, `StoreError` if there are
        none."""
        keys = self._known(origin)
        with self._pool.reading() as db:
            found = fetched(db, "SELECT since, size, edge, note FROM shipped WHERE origin = %s", (origin,))
            if not found:
                raise StoreError(f"nothing was shipped by `{short(printable(origin))}`: look at its node")
            since, size, edge, signed = found[0]
            try:
                about = checkpoint.opened(signed, origin, keys).checkpoint
            except LedgerError as error:
                raise Damaged(f"the checkpoint kept does not hold, {error}: {_ANEW}") from error
            grown = _begun(db, origin)
            for start in range(since, size, _CHUNK):
                grown = _hashed(db, origin, grown, min(start + _CHUNK, size), whole=True)
            if grown != Tree(size, _edge(edge)) or (about.size == size and about.root != grown.root):
                raise Damaged(f"the copies of `{origin}` are not what was shipped: {_ANEW}")
        return about

    def reports(self) -> list[Report]:
        """What was refused because it contradicts what was shipped, by origin."""
        text = "SELECT origin, kind, at, note, kept FROM reports ORDER BY origin, at"
        with self._pool.reading() as db:
            return [Report(*row) for row in fetched(db, text)]

    def pending(self) -> list[Pending]:
        """The checkpoints for the log of logs, of each origin the last."""
        text = (
            "SELECT origin, noted, note, at FROM shipped WHERE noted > logged AND note <> '' ORDER BY origin"
        )
        with self._pool.reading() as db:
            return [Pending(*row) for row in fetched(db, text)]

    def logged(self, origin: str, size: int) -> None:
        """Note that the checkpoint of this size is in the log of logs."""
        text = "UPDATE shipped SET logged = greatest(logged, %s) WHERE origin = %s"
        with self._pool.writing() as db:
            db.execute(text, (size, origin))

    def close(self) -> None:
        self._pool.close()

    def _known(self, origin: str) -> Sequence[Verifier]:
        keys = self._keys(origin)
        if not keys:
            raise StoreError(f"`{short(printable(origin))}` is no node's log that is known: add its key")
        return keys

    def _lock(self, db: Connection, origin: str) -> None:
        """One at a time for an origin, until the transaction ends."""
        number = schema.lock_number(
            self._database, f"copies of {hashlib.sha256(origin.encode()).hexdigest()}"
        )
        db.execute("SELECT pg_advisory_xact_lock(%s)", (number,))

    def _follows(self, batch: Batch, about: Checkpoint, tree_: Tree, kept: bytes) -> None:
        """Raises `Unverified` unless the new checkpoint begins with the one that was shipped last."""
        root = tree_.root
        if kept:
            try:
                root = checkpoint.opened(kept, batch.origin, self._known(batch.origin)).checkpoint.root
            except LedgerError as error:
                raise Damaged(f"the checkpoint kept does not hold, {error}: {_ANEW}") from error
        tree.verify_consistency(batch.noted, about.size, root, about.root, batch.follows)

    def _reported(self, report: Report) -> None:
        """Keep the first report against a checkpoint. Raises `Damaged` if it is the copies that are wrong,
        not the node."""
        text = "SELECT 1 FROM reports WHERE origin = %s AND kind = %s AND kept = %b"
        with self._pool.reading() as db:
            if fetched(db, text, (report.origin, report.kind, report.kept)):
                return
        if self.position(report.origin) is not None:
            self.verify(report.origin)
        with self._pool.writing() as db:
            db.execute(
                "INSERT INTO reports VALUES (%s, %s, %s, %b, %b) ON CONFLICT DO NOTHING",
                (report.origin, report.kind, report.at, report.note, report.kept),
            )


_ANEW = "restore the database, or empty it and let the nodes ship again"
_TEXTS = (1, 2, 3, 4)


def _shipped(db: Connection, batch: Batch) -> tuple[int, int, tuple[bytes, ...], bytes]:
    """Size, last checkpoint's size, edge and note of an origin; one that is new begins where the log that it
    continues was."""
    text = "SELECT size, noted, edge, note FROM shipped WHERE origin = %s"
    for size, noted, edge, kept in fetched(db, text, (batch.origin,)):
        if len(edge) != size.bit_count() * HASH_BYTES:
            raise Damaged(f"the tree of `{batch.origin}` is not what was stored: {_ANEW}")
        return size, noted, _edge(edge), kept
    begun, before = Tree(), None
    if batch.continued is not None:
        before = batch.continued.origin
        begun = _continued(db, before, batch.continued.since)
    db.execute(
        "INSERT INTO shipped VALUES (%s, %s, %s, %s, %b, %s, '', %s, -1)",
        (batch.origin, before, begun.size, begun.size, b"".join(begun.edge), begun.size, batch.at),
    )
    return begun.size, begun.size, begun.edge, b""


def _continued(db: Connection, origin: str, since: int) -> Tree:
    """The tree of an origin's first records, hashed again. Raises `StoreError` if it has not so many."""
    found = fetched(db, "SELECT since, size FROM shipped WHERE origin = %s", (origin,))
    if not found or not found[0][0] <= since <= found[0][1]:
        raise StoreError(
            f"`{short(printable(origin))}` has not shipped the `{since}` records that go before: ship them"
        )
    grown = _begun(db, origin)
    for start in range(grown.size, since, _CHUNK):
        grown = _hashed(db, origin, grown, min(start + _CHUNK, since))
    return grown


def _begun(db: Connection, origin: str) -> Tree:
    """The tree that an origin began with: nothing, or that of the log that it continues."""
    for since, before in fetched(db, "SELECT since, continued FROM shipped WHERE origin = %s", (origin,)):
        return Tree() if before is None else _continued(db, before, since)
    return Tree()


def _hashed(db: Connection, origin: str, begun: Tree, stop: int, *, whole: bool = False) -> Tree:
    """The tree with the copies up to `stop`; with `whole`, what is beside the leaves is looked at too."""
    listed = fetched(
        db,
        f"{_COPY}WHERE origin = %s AND number >= %s AND number < %s ORDER BY number",
        (origin, begun.size, stop),
    )
    if [row[3] for row in listed] != list(range(begun.size, stop)):
        raise Damaged(f"records of `{origin}` are missing from `{begun.size}` on: {_ANEW}")
    if whole:
        wanted = sorted((term, row[0]) for row in listed for term in rows.terms(_copy(row)[1]))
        text = "SELECT term, place FROM copy_terms WHERE place = ANY(%s::bigint[])"
        if sorted(fetched(db, text, ([row[0] for row in listed],))) != wanted:
            raise Damaged(f"the index lacks terms of `{origin}`, or has others: {_ANEW}")
    return tree.grown(begun, [leaf_hash(row[2]) for row in listed])[0]


def _add(db: Connection, batch: Batch) -> None:
    """Write the records, and compare what is stored with what was sent."""
    if not batch.entries:
        return
    count = len(batch.entries)
    text = "SELECT number FROM forgotten WHERE origin = %s AND number >= %s"
    gone = {number for (number,) in fetched(db, text, (batch.origin, batch.first))}
    # whoever is here holds the counter until the commit: so places become visible in their order
    place = one(db, "UPDATE arrivals SET next = next + %s RETURNING next", (count,)) - count
    made: list[rows.Columns] = []
    terms: list[rows.Columns] = []
    for number, entry in enumerate(batch.entries, batch.first):
        columns = rows.record(number, entry)
        if number in gone:
            columns = rows.forgotten(columns)
        at = place + number - batch.first
        made.append((at, batch.origin, number, entry.leaf, *stored(columns[1:])))
        terms.extend((term, at) for term in rows.terms(columns[6]))
    insert(db, "copies", _COLUMNS, made)
    insert(db, "copy_terms", "term bytea, place bigint", terms)
    names = ", ".join(column.split()[0] for column in _COLUMNS.split(", "))
    text = f"SELECT {names} FROM copies WHERE place >= %s ORDER BY place"  # noqa: S608 -- names that are constants
    if fetched(db, text, (place,)) != made:
        raise Damaged("the records are not stored as they were sent: nothing was taken")


def _copy(row: rows.Columns) -> tuple[Copy, bytes]:
    """A copy and its terms, from its row."""
    place, origin, leaf, *rest = row
    columns = texts(tuple(rest), _TEXTS)
    return Copy(place, origin, rows.as_record(columns, leaf)), columns[6]


def _edge(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))
