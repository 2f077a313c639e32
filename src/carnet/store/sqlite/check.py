"""The part of an audit that the tree does not cover: what stands beside the leaves, the checkpoints that were
signed before, and the file itself. Leaves and nodes are those of `carnet.ledger.audit`. Nothing is repaired.
"""

from collections.abc import Iterator, Sequence

import apsw

from carnet.ledger import checkpoint, note
from carnet.ledger.note import Verifier
from carnet.ledger.sequence import count
from carnet.ledger.tree import HASH_BYTES, tree_at
from carnet.model.errors import Damaged, LedgerError
from carnet.model.plain import printable, short
from carnet.store.sqlite import rows
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.sqlite.trouble import FAILURES

MOST = 1000
"""So many problems are told; a file that has more is told as such."""

_BESIDE = (
    ("record", "records", rows.RECORD),
    ("grant", "grants", rows.GRANT),
    ("answer", "answered", rows.ANSWERED),
)


def problems(reading: SqliteReading, keys: Sequence[Verifier]) -> list[str]:
    """What is wrong, one sentence each; empty if nothing is. `keys` are the log's, all that it ever had."""
    found: list[str] = []
    try:
        for each in _all(reading, keys):
            found.append(each)
            if len(found) == MOST:
                return [*found, f"there are over {MOST} problems: restore from a backup"]
    except (*FAILURES, LedgerError) as error:
        found.append(f"the file can't be read to its end, `{short(printable(str(error)), 200)}`")
    return found


def _all(reading: SqliteReading, keys: Sequence[Verifier]) -> Iterator[str]:
    db = reading.db
    for (said,) in db.execute("PRAGMA integrity_check").fetchall():
        if said != "ok":
            yield f"the file is damaged: `{short(printable(str(said)), 200)}`"
    yield from _beside(db, reading.size)
    yield from _terms(db)
    yield from _nodes(db, reading.size)
    yield from _checkpoints(reading, keys)


def _beside(db: apsw.Connection, size: int) -> Iterator[str]:
    for kind, table, columns in _BESIDE:
        # only the names above are put into the text
        for row in db.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 -- names that are constants
            try:
                rows.whole(kind, row)
            except Damaged as error:
                yield str(error)
    if db.execute("SELECT count(*) FROM records WHERE number BETWEEN 0 AND ?", (size - 1,)).get != size:
        yield f"there are not `{size}` records: some were lost"
    for table in ("records", "grants", "answered"):
        beyond = f"SELECT count(*) FROM {table} WHERE number NOT BETWEEN 0 AND ?"  # noqa: S608 -- as above
        if db.execute(beyond, (size - 1,)).get:
            yield f"the table `{table}` has rows of records that no checkpoint covers"


def _terms(db: apsw.Connection) -> Iterator[str]:
    """The index has the terms of every record, and no others."""
    wanted = 0
    listed = "SELECT number, terms FROM records WHERE length(terms) > 0"
    for number, packed in rows.fetched(db, listed):
        for term in rows.terms(packed if isinstance(packed, bytes) else b""):
            wanted += 1
            if db.execute("SELECT 1 FROM terms WHERE term = ? AND number = ?", (term, number)).get is None:
                yield f"a term of record `{number}` is not in the index"
    if db.execute("SELECT count(*) FROM terms").get != wanted:
        yield "the index of terms has some that no record has"


def _nodes(db: apsw.Connection, size: int) -> Iterator[str]:
    """There are no nodes but those that the leaves make; what they are is the audit's."""
    total = count(size) * HASH_BYTES
    if db.execute("SELECT coalesce(sum(length(hashes)), 0) FROM nodes").get != total:
        yield f"there are not `{total}` bytes of nodes: they are not those of `{size}` records"


def _checkpoints(reading: SqliteReading, keys: Sequence[Verifier]) -> Iterator[str]:
    """Every checkpoint that was ever signed is kept, and is of this log."""
    origins = {name for _, name in reading.origins()}
    for size, signed in rows.fetched(reading.db, "SELECT size, note FROM checkpoints ORDER BY size"):
        try:
            about = checkpoint.parsed(note.verified(bytes(signed), keys).text)
            root = tree_at(reading, size).root
        except (LedgerError, TypeError) as error:
            yield f"the checkpoint of `{size}` records does not hold: {error}"
            continue
        if about.size != size or about.root != root or about.origin not in origins:
            yield f"the checkpoint of `{size}` records is of another log or state"
