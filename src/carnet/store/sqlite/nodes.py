"""The nodes of the tree as rows: in the order in which they were completed, sixteen hashes to a row. What
they hash is not checked here.

With `m` leaves a tree has `2 m - ones(m)` complete nodes, and leaf number `m` completes the node of level 0
and then those above it that end there. So each node has a place in one sequence that only grows at its end.
"""

from collections.abc import Sequence

import apsw

from carnet.ledger.tree import HASH_BYTES, Place, Row
from carnet.model.errors import Damaged
from carnet.store.sqlite import rows

RUN = 16
"""Hashes in a row; a row of another length would have to be a migration."""

_SHIFT = 4
_MASK = RUN - 1
_DENSE = 4
"""Up to this level, neighbours are read with all that lies between them."""

_AT_ONCE = 128


def count(size: int) -> int:
    """How many complete nodes a tree of `size` leaves has."""
    return 2 * size - size.bit_count()


def place(level: int, index: int) -> int:
    """Where the node is in the sequence."""
    last = ((index + 1) << level) - 1
    return 2 * last - last.bit_count() + level


def between(level: int, start: int, stop: int) -> list[int]:
    """Where the nodes (level, start) up to (level, stop), exclusive, are in the sequence."""
    lasts = range(((start + 1) << level) - 1, stop << level, 1 << level)
    return [2 * last - last.bit_count() + level for last in lasts]


def read(db: apsw.Connection, places: Sequence[Place]) -> list[bytes | None]:
    """The nodes at these places, in their order; None where nothing is stored."""
    lasts = [((index + 1) << level) - 1 for level, index in places]
    ended = zip(places, lasts, strict=True)
    return _picked(db, [2 * last - last.bit_count() + level for (level, _), last in ended])


def read_row(db: apsw.Connection, level: int, start: int, stop: int) -> list[bytes | None]:
    """The nodes (level, start) up to (level, stop), exclusive; None where nothing is stored."""
    wanted = between(level, start, stop)
    if not wanted:
        return []
    if level > _DENSE:
        return _picked(db, wanted)
    first, last = wanted[0] >> _SHIFT, wanted[-1] >> _SHIFT
    found = rows.fetched(db, "SELECT hashes FROM nodes WHERE run BETWEEN ? AND ? ORDER BY run", (first, last))
    whole = len(found) == last - first + 1 and all(type(hashes) is bytes for (hashes,) in found)
    if not whole or any(len(hashes) != RUN * HASH_BYTES for (hashes,) in found[:-1]):
        return _picked(db, wanted)
    joined, begin = b"".join([hashes for (hashes,) in found]), first * RUN
    if len(joined) < (wanted[-1] - begin + 1) * HASH_BYTES:
        return _picked(db, wanted)
    starts = [(at - begin) * HASH_BYTES for at in wanted]
    return [joined[at : at + HASH_BYTES] for at in starts]


def add(db: apsw.Connection, size: int, complete: Sequence[Row]) -> None:
    """Store what the leaves after the first `size` complete. Raises `Damaged` if the last row that is
    there has another length than `size` leaves make."""
    first = count(size)
    hashes = [b""] * sum(len(row.hashes) for row in complete)
    for row in complete:
        for at, each in zip(
            between(row.level, row.first, row.first + len(row.hashes)), row.hashes, strict=True
        ):
            hashes[at - first] = each
    run, filled = divmod(first, RUN)
    if filled:
        begun = db.execute("SELECT hashes FROM nodes WHERE run = ?", (run,)).get
        if not isinstance(begun, bytes) or len(begun) != filled * HASH_BYTES:
            raise Damaged(f"the nodes stored for {size} records are not as many as they make: run an audit")
        joined = begun + b"".join(hashes[: RUN - filled])
        db.execute("UPDATE nodes SET hashes = ? WHERE run = ?", (joined, run))
        hashes = hashes[RUN - filled :]
        run += 1
    packed = ((run + at // RUN, b"".join(hashes[at : at + RUN])) for at in range(0, len(hashes), RUN))
    db.executemany("INSERT INTO nodes VALUES (?, ?)", packed)


def _picked(db: apsw.Connection, wanted: Sequence[int]) -> list[bytes | None]:
    """Each from the row that it is in."""
    kept: dict[int, bytes] = {}
    runs = sorted({at >> _SHIFT for at in wanted})
    for at in range(0, len(runs), _AT_ONCE):
        part = runs[at : at + _AT_ONCE]
        found = rows.fetched(db, _SELECT[len(part)], part)
        kept.update((run, hashes) for run, hashes in found if isinstance(hashes, bytes))
    get, picked = kept.get, list[bytes | None]()
    for at in wanted:
        offset = (at & _MASK) * HASH_BYTES
        one = get(at >> _SHIFT, b"")[offset : offset + HASH_BYTES]
        picked.append(one if len(one) == HASH_BYTES else None)
    return picked


# only question marks are put into the texts
_SELECT = [
    f"SELECT run, hashes FROM nodes WHERE run IN ({','.join('?' * count)})"  # noqa: S608 -- names that are constants
    for count in range(_AT_ONCE + 1)
]
