"""Which records of a log have lost their private part. Why they have is on record; what was destroyed with it
is in `carnet.service.shredding`.
"""

from pathlib import Path

from carnet.store.origins import LOG
from carnet.store.sqlite import rows
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.sqlite.trouble import translated

_FORGOTTEN = (
    "SELECT number FROM records WHERE number > ? AND sealed IS NULL AND subject <> '' ORDER BY number LIMIT ?"
)


def forgotten(reading: SqliteReading, after: int, limit: int) -> list[int]:
    """The numbers of such records after a number, in their order. Raises `Unavailable` or `Damaged` if they
    can't be read."""
    with translated(Path(LOG)):
        return [number for (number,) in rows.fetched(reading.db, _FORGOTTEN, (after, limit))]
