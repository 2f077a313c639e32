"""Readings of the log of logs: one consistent state each. Nothing is written here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from carnet.ledger import checkpoint, note
from carnet.ledger.sequence import count, place
from carnet.ledger.tree import HASH_BYTES, Place, leaf_hash
from carnet.model.errors import Damaged, Malformed, StoreError
from carnet.store.postgres.connection import Connection, Pool, fetched
from carnet.store.postgres.trouble import reads
from carnet.store.protocols import Answered, GrantRow, Record
from carnet.store.sqlite import rows
from carnet.store.sqlite.reading import MOST_TERMS

_ASTRAY = "an index leads to another record: run an audit, then restore from a backup"
_LEAVES = "SELECT number, leaf FROM leaves WHERE number >= %s AND number < %s ORDER BY number"
_NODES = "SELECT place, hash FROM nodes WHERE place = ANY(%s::bigint[])"
_COMPLETED = "SELECT hash FROM nodes WHERE place >= %s AND place < %s ORDER BY place"
_LAST = "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1"
_OF_ID = "SELECT number FROM records WHERE sha256(id) = sha256(%s) AND tenant = %s"


class Stored:
    """Leaves and nodes as they are in the database, without a look at what covers them."""

    def __init__(self, db: Connection) -> None:
        self.db = db

    @reads
    def nodes(self, places: Sequence[Place]) -> Sequence[bytes | None]:
        return self._picked([place(level, index) for level, index in places])

    @reads
    def row(self, level: int, start: int, stop: int) -> Sequence[bytes | None]:
        return self._picked([place(level, index) for index in range(start, stop)])

    @reads
    def completed(self, start: int, stop: int) -> bytes:
        return b"".join(hash_ for (hash_,) in fetched(self.db, _COMPLETED, (count(start), count(stop))))

    @reads
    def leaves(self, start: int, stop: int) -> Sequence[bytes | None]:
        kept: dict[int, bytes] = dict(fetched(self.db, _LEAVES, (start, stop)))
        return [kept.get(number) for number in range(start, stop)]

    def write(self, first: int, leaves: Sequence[bytes], complete: Sequence[bytes]) -> None:
        """Raises `StoreError`: whoever reads does not write."""
        del first, leaves, complete
        raise StoreError("a reading writes nothing: submit an entry to the log")

    def _picked(self, wanted: Sequence[int]) -> list[bytes | None]:
        kept: dict[int, bytes] = {
            at: hash_ for at, hash_ in fetched(self.db, _NODES, (list(wanted),)) if len(hash_) == HASH_BYTES
        }
        return [kept.get(at) for at in wanted]


class PostgresReading(Stored):
    """A `Reading`. Every row is compared with its mark, and a leaf with its hash, before it is given."""

    def __init__(self, db: Connection) -> None:
        super().__init__(db)
        self.size, self._note = last_checkpoint(db)

    def checkpoint(self) -> bytes:
        return self._note

    @reads
    def record(self, index: int) -> Record | None:
        """Raises `Damaged` if the log has it and it is not stored as it was."""
        return self._whole(index)[0] if 0 <= index < self.size else None

    @reads
    def of_id(self, tenant: str, id_: str) -> Record | None:
        for (number,) in fetched(self.db, _OF_ID, (id_.encode(), tenant.encode())):
            found, _ = self._whole(number)
            if (found.id, found.tenant) != (id_, tenant):
                raise Damaged(_ASTRAY)
            return found
        return None

    @reads
    def found(
        self, tenant: str, terms: Sequence[bytes], *, after: int = -1, limit: int = 100
    ) -> list[Record]:
        """Raises `Malformed` for more than 32 terms."""
        text, values = search("records", "terms", "number", tenant, terms, after, limit)
        found = []
        for (number,) in fetched(self.db, text, values, anew=True):
            record, packed = self._whole(number)
            if record.tenant != tenant or not {*terms} <= {*rows.terms(packed)}:
                raise Damaged(_ASTRAY)
            found.append(record)
        return found

    @reads
    def grant(self, tenant: str, key: str) -> tuple[GrantRow, int] | None:
        for row in fetched(self.db, _GRANT, (tenant.encode(), key.encode())):
            return rows.as_grant(texts(row, (0, 1, 3, 4, 6)))
        return None

    @reads
    def answered(self, tenant: str, key: str) -> Answered | None:
        for row in fetched(self.db, _ANSWERED, (tenant.encode(), key.encode())):
            return rows.as_answered(texts(row, (0, 1)))
        return None

    @reads
    def checkpoints(self, since: int = 0) -> list[bytes]:
        """Every checkpoint that was signed from a size on, the smallest first; all are kept."""
        text = "SELECT note FROM checkpoints WHERE size >= %s ORDER BY size"
        return [signed for (signed,) in fetched(self.db, text, (since,))]

    def _whole(self, number: int) -> tuple[Record, bytes]:
        """A record that the log has, and its terms."""
        found = fetched(self.db, _RECORD, (number,))
        (leaf,) = self.leaves(number, number + 1)
        (kept,) = self.nodes([(0, number)])
        if not found or leaf is None or kept != leaf_hash(leaf):
            raise Damaged(
                f"record `{number}` is not stored as it was: run an audit, then restore from a backup"
            )
        row = texts(found[0], (1, 2, 3, 4))
        return rows.as_record(row, leaf), row[6]


@contextmanager
def reading(pool: Pool) -> Iterator[PostgresReading]:
    """Raises `Unavailable` if the database can't be reached, `Damaged` if it is."""
    with pool.reading() as db:
        yield PostgresReading(db)


def last_checkpoint(db: Connection) -> tuple[int, bytes]:
    """The size and the note of the last checkpoint, unverified. Raises `Damaged` if there is none, or it is
    of another size than its row says."""
    found = fetched(db, _LAST)
    if not found:
        raise Damaged("the log has no checkpoint: restore it from a backup")
    ((size, signed),) = found
    try:
        about = checkpoint.parsed(note.parsed(signed).text).size
    except Malformed as error:
        raise Damaged(
            "the last checkpoint can't be read: run an audit, then restore from a backup"
        ) from error
    if about != size:
        raise Damaged(
            f"the last checkpoint is of `{about}` records and kept as that of `{size}`: restore from a backup"
        )
    return size, signed


def texts(row: rows.Columns, at: Sequence[int]) -> rows.Columns:
    """A row with these columns as texts again; the others as they are."""
    return tuple(
        value.decode() if number in at and value is not None else value for number, value in enumerate(row)
    )


def stored(row: rows.Columns) -> rows.Columns:
    """A row with its texts as bytes, as it is stored."""
    return tuple(value.encode() if isinstance(value, str) else value for value in row)


def search(
    table: str, index: str, key: str, tenant: str, terms: Sequence[bytes], after: int, limit: int
) -> tuple[str, dict[str, Any]]:
    """A query, with its values, for the keys of a tenant's rows that have all of these terms, in order. Only
    constants are given as `table`, `index` and `key`. Raises `Malformed` for more than 32 terms."""
    wanted = sorted(set(terms))
    if len(wanted) > MOST_TERMS:
        raise Malformed(f"a search for `{len(wanted)}` terms is over {MOST_TERMS}: search for fewer")
    joined = "".join(
        f" JOIN {index} AS t{number} ON t{number}.{key} = r.{key} AND t{number}.term = %(t{number})s"
        for number in range(len(wanted))
    )
    values = {f"t{number}": term for number, term in enumerate(wanted)}
    # only the constants above and numbers are put into the text
    text = (
        f"SELECT r.{key} FROM {table} AS r{joined} WHERE sha256(r.tenant) = sha256(%(tenant)s) "  # noqa: S608 -- names that are constants
        f"AND r.{key} > %(after)s ORDER BY r.{key} LIMIT %(limit)s"
    )
    return text, {**values, "tenant": tenant.encode(), "after": after, "limit": max(limit, 0)}


# only names of columns that are constants are put into the texts
_RECORD = f"SELECT {rows.RECORD} FROM records WHERE number = %s"  # noqa: S608 -- names that are constants
_KEYED = "WHERE sha256(tenant) = sha256(%s) AND sha256(key) = sha256(%s) ORDER BY number DESC LIMIT 1"
_GRANT = f"SELECT {rows.GRANT} FROM grants {_KEYED}"  # noqa: S608 -- names that are constants
_ANSWERED = f"SELECT {rows.ANSWERED} FROM answered {_KEYED}"  # noqa: S608 -- names that are constants
