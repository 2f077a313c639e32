"""A batch as it is written: what of it is new, its leaves and nodes, and the rows beside them. When it is
written, signed and committed is in `writing`.
"""

from collections.abc import Sequence

import apsw
import msgspec
from msgspec import Struct

from carnet.ledger import log
from carnet.ledger.tree import Row, Tree
from carnet.model.errors import Damaged, Taken
from carnet.store.protocols import Entry
from carnet.store.sqlite import rows


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


class Beside(Struct, frozen=True):
    """What is written beside the leaves of a batch, as rows; of each grant's key the last."""

    records: list[rows.Columns]
    terms: list[tuple[bytes, int]]
    grants: list[rows.Columns]
    answers: list[rows.Columns]

    @classmethod
    def of(cls, first: int, entries: Sequence[Entry]) -> "Beside":
        beside = cls([], [], [], [])
        grants: dict[tuple[str, str], rows.Columns] = {}
        for number, entry in enumerate(entries, first):
            beside.records.append(rows.record(number, entry))
            beside.terms.extend((term, number) for term in {*entry.terms})
            if entry.grant is not None:
                grants[entry.tenant, entry.grant.key] = rows.grant(number, entry, entry.grant)
            if entry.answered is not None:
                beside.answers.append(rows.answered(number, entry, entry.answered))
        beside.grants.extend(grants.values())
        return beside

    def write(self, db: apsw.Connection) -> None:
        for text, given in (
            (_INSERT_RECORD, self.records),
            ("INSERT INTO terms VALUES (?, ?)", self.terms),
            (_INSERT_GRANT, self.grants),
            (_INSERT_ANSWERED, self.answers),
        ):
            if given:
                db.executemany(text, given)

    def compare(self, db: apsw.Connection) -> None:
        """Raises `Damaged` if it is not stored as it was given. A record's row has its terms too."""
        between = (self.records[0][0], self.records[-1][0])
        if db.execute(SELECT_RECORDS, between).fetchall() != self.records:
            raise Damaged("a record is not stored as it was given: nothing is signed, run an audit")
        for text, given in ((_SELECT_GRANT, self.grants), (_SELECT_ANSWERED, self.answers)):
            for row in given:
                if db.execute(text, row[:2]).fetchone() != row:
                    raise Damaged("a grant or an answer is not stored as it was given: nothing is signed")


class Batch(Struct, frozen=True):
    """A batch as it is written after `before`: of what is not there already, leaves, nodes and rows; for each
    entry whether it is."""

    before: Tree
    entries: Sequence[Entry]
    free: Sequence[Taken | None]
    leaves: list[bytes]
    nodes: tuple[Row, ...]
    beside: Beside
    after: Tree

    @classmethod
    def of(cls, before: Tree, entries: Sequence[Entry], free: Sequence[Taken | None]) -> "Batch":
        fresh = [entry for entry, taken in zip(entries, free, strict=True) if taken is None]
        leaves = [entry.leaf for entry in fresh]
        after, complete = log.grown(before, leaves)
        return cls(before, entries, free, leaves, complete, Beside.of(before.size, fresh), after)

    def fits(self, tree: Tree, entries: Sequence[Entry]) -> bool:
        """Whether it is this batch, after this tree."""
        return self.before == tree and self.entries == entries


# only names of columns that are constants are put into the texts
_INSERT_RECORD = f"INSERT INTO records ({rows.RECORD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- names that are constants
_INSERT_GRANT = f"INSERT OR REPLACE INTO grants ({rows.GRANT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- names that are constants
_INSERT_ANSWERED = f"INSERT INTO answered ({rows.ANSWERED}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 -- names that are constants
SELECT_RECORDS = f"SELECT {rows.RECORD} FROM records WHERE number BETWEEN ? AND ? ORDER BY number"  # noqa: S608 -- names that are constants
_SELECT_GRANT = f"SELECT {rows.GRANT} FROM grants WHERE tenant = ? AND key = ?"  # noqa: S608 -- names that are constants
_SELECT_ANSWERED = f"SELECT {rows.ANSWERED} FROM answered WHERE tenant = ? AND key = ?"  # noqa: S608 -- names that are constants
_KNOWN = "SELECT id FROM records WHERE id IN (SELECT value FROM json_each(?))"
_ANSWERED = "SELECT 1 FROM answered WHERE tenant = ? AND key = ?"
