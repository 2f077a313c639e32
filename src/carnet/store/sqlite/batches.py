"""A batch as it is written: what of it is new, and its rows. When it is written, signed and committed is in
`writing`.
"""

from collections.abc import Sequence

import apsw
import msgspec
from msgspec import Struct

from carnet.model.errors import Damaged, Taken
from carnet.store.protocols import Entry
from carnet.store.sqlite import rows
from carnet.store.sqlite.reading import Stored


def new(entries: Sequence[Entry]) -> list[Taken | None]:
    """For each entry, None if its id and its idempotency key are not those of one before it."""
    return untaken(entries, set(), set())


def free(db: apsw.Connection, entries: Sequence[Entry]) -> list[Taken | None]:
    """For each entry, None if its id and its idempotency key are not those of one before it or in the log."""
    ids = msgspec.json.encode([entry.id for entry in entries]).decode()
    keys = {
        (entry.tenant, entry.answered.key)
        for entry in entries
        if entry.answered is not None
        and db.execute(_ANSWERED, (entry.tenant, entry.answered.key)).get is not None
    }
    return untaken(entries, {id_ for (id_,) in rows.fetched(db, _KNOWN, (ids,))}, keys)


def untaken(entries: Sequence[Entry], ids: set[str], keys: set[tuple[str, str]]) -> list[Taken | None]:
    """For each entry, None if its id and its idempotency key are none of these, and not those of one before
    it. Both sets get what is not taken."""
    free: list[Taken | None] = []
    for entry in entries:
        key = None if entry.answered is None else (entry.tenant, entry.answered.key)
        if entry.id in ids:
            free.append(Taken(f"`{rows.shown(entry.id)}` is recorded already: ask for that record"))
        elif key is not None and key in keys:
            free.append(Taken("the idempotency key was answered already: ask for that answer"))
        else:
            free.append(None)
            ids.add(entry.id)
            if key is not None:
                keys.add(key)
    return free


class Appended(Stored):
    """What a batch left in a transaction: its records are read back once, leaves and all."""

    def __init__(self, db: apsw.Connection, first: int, stop: int) -> None:
        super().__init__(db)
        self._range = (first, stop)
        self.records = rows.fetched(db, _SELECT_RECORDS, (first, stop - 1))

    def leaves(self, start: int, stop: int) -> Sequence[bytes | None]:
        if (start, stop) == self._range and len(self.records) == stop - start:
            return [row[-1] for row in self.records]
        return super().leaves(start, stop)


class Beside(Struct, frozen=True):
    """What is written beside the leaves of a batch, as rows; of each grant's key the last."""

    records: list[rows.Columns]
    """With the leaf in the last column."""
    terms: list[tuple[bytes, int]]
    grants: list[rows.Columns]
    answers: list[rows.Columns]

    @classmethod
    def of(cls, first: int, entries: Sequence[Entry]) -> "Beside":
        numbered = list(enumerate(entries, first))
        grants = {
            (entry.tenant, entry.grant.key): rows.grant(number, entry, entry.grant)
            for number, entry in numbered
            if entry.grant is not None
        }
        return cls(
            [(*rows.record(number, entry), entry.leaf) for number, entry in numbered],
            [(term, number) for number, entry in numbered if entry.terms for term in {*entry.terms}],
            list(grants.values()),
            [
                rows.answered(number, entry, entry.answered)
                for number, entry in numbered
                if entry.answered is not None
            ],
        )

    def write(self, db: apsw.Connection) -> None:
        for text, given in (
            (_INSERT_RECORD, self.records),
            ("INSERT INTO terms VALUES (?, ?)", self.terms),
            (_INSERT_GRANT, self.grants),
            (_INSERT_ANSWERED, self.answers),
        ):
            if given:
                db.executemany(text, given)

    def compare(self, stored: Appended) -> None:
        """Raises `Damaged` if it is not stored as it was given. A record's row has its terms too."""
        if stored.records != self.records:
            raise Damaged("a record is not stored as it was given: nothing is signed, run an audit")
        for text, given in ((_SELECT_GRANT, self.grants), (_SELECT_ANSWERED, self.answers)):
            for row in given:
                if stored.db.execute(text, row[:2]).fetchone() != row:
                    raise Damaged("a grant or an answer is not stored as it was given: nothing is signed")


class Batch(Struct, frozen=True):
    """A batch as it is written from record number `first` on: for each entry whether it is there already, and
    the rows of those that are not."""

    first: int
    entries: Sequence[Entry]
    free: Sequence[Taken | None]
    beside: Beside

    @property
    def stop(self) -> int:
        """The size of the log with it."""
        return self.first + len(self.beside.records)

    @classmethod
    def of(cls, first: int, entries: Sequence[Entry], free: Sequence[Taken | None]) -> "Batch":
        fresh = [entry for entry, taken in zip(entries, free, strict=True) if taken is None]
        return cls(first, entries, free, Beside.of(first, fresh))

    def fits(self, first: int, entries: Sequence[Entry]) -> bool:
        """Whether it is this batch, from this number on."""
        return self.first == first and self.entries == entries


# only names of columns that are constants are put into the texts
_INSERT_RECORD = f"INSERT INTO records ({rows.RECORD}, leaf) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- names that are constants
_INSERT_GRANT = f"INSERT OR REPLACE INTO grants ({rows.GRANT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- names that are constants
_INSERT_ANSWERED = f"INSERT INTO answered ({rows.ANSWERED}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- names that are constants
_SELECT_RECORDS = f"SELECT {rows.RECORD}, leaf FROM records WHERE number BETWEEN ? AND ? ORDER BY number"  # noqa: S608 -- names that are constants
_SELECT_GRANT = f"SELECT {rows.GRANT} FROM grants WHERE tenant = ? AND key = ?"  # noqa: S608 -- names that are constants
_SELECT_ANSWERED = f"SELECT {rows.ANSWERED} FROM answered WHERE tenant = ? AND key = ?"  # noqa: S608 -- names that are constants
_KNOWN = "SELECT id FROM records WHERE id IN (SELECT value FROM json_each(?))"
_ANSWERED = "SELECT 1 FROM answered WHERE tenant = ? AND key = ?"
