"""The nodes of the tree as rows: in their sequence (`carnet.ledger.sequence`), sixteen hashes to a row. What
they hash is not checked here.
"""

from collections.abc import Sequence

import apsw

from carnet.ledger.sequence import between, count, place
from carnet.ledger.tree import HASH_BYTES, Place
from carnet.model.errors import Damaged
from carnet.store.sqlite import rows

RUN = 16
"""Hashes in a row; a row of another length would have to be a migration."""

_SHIFT = 4
_MASK = RUN - 1
_DENSE = 2
"""Up to so many rows for each node, nodes are read with all that lies between them."""

_AT_ONCE = 128


def read(db: apsw.Connection, places: Sequence[Place]) -> list[bytes | None]:
    """The nodes at these places, in their order; None where nothing is stored."""
    return _found(db, [place(level, index) for level, index in places])


def read_row(db: apsw.Connection, level: int, start: int, stop: int) -> list[bytes | None]:
    """The nodes (level, start) up to (level, stop), exclusive; None where nothing is stored."""
    return _found(db, between(level, start, stop))


def add(db: apsw.Connection, size: int, hashes: Sequence[bytes]) -> None:
    """Store what the leaves after the first `size` complete, in their sequence. Raises `Damaged` if the last
    row that is there has another length than `size` leaves make."""
    run, filled = divmod(count(size), RUN)
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


def completed(db: apsw.Connection, start: int, stop: int) -> bytes:
    """The nodes that the leaves from `start` up to `stop` complete, in their sequence, as far as they are
    stored without a gap."""
    first, last = count(start), count(stop)
    found = _runs(db, first >> _SHIFT, (last - 1) >> _SHIFT)
    begin = first & _MASK
    return b"".join(found)[begin * HASH_BYTES : (begin + last - first) * HASH_BYTES]


def _found(db: apsw.Connection, wanted: Sequence[int]) -> list[bytes | None]:
    if not wanted:
        return []
    least, most = min(wanted), max(wanted)
    first, last = least >> _SHIFT, most >> _SHIFT
    if last - first >= _DENSE * len(wanted):
        return _picked(db, wanted)
    joined, begin = b"".join(_runs(db, first, last)), first * RUN
    if len(joined) < (most - begin + 1) * HASH_BYTES:
        return _picked(db, wanted)
    starts = [(at - begin) * HASH_BYTES for at in wanted]
    return [joined[at : at + HASH_BYTES] for at in starts]


def _runs(db: apsw.Connection, first: int, last: int) -> list[bytes]:
    """The rows from one to another, up to the first that is not there or not whole; that one too if it is
    begun."""
    text = "SELECT run, hashes FROM nodes WHERE run BETWEEN ? AND ? ORDER BY run"
    whole = list[bytes]()
    for run, each in rows.fetched(db, text, (first, last)):
        if run != first + len(whole) or type(each) is not bytes:
            break
        whole.append(each)
        if len(each) != RUN * HASH_BYTES:
            break
    return whole


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
