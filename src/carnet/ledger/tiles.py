"""The files of a log as C2SP tlog-tiles lays them out: their paths, what is in them, and a tree read back
from them. Who serves or fetches them is not here.

A tile has 256 hashes of one tree level (tile level L is tree level 8 L), the last one of a level may have
fewer. An entry bundle has the records of a tile of level 0, each with its length before it (two bytes,
big-endian).
"""

import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from carnet.ledger.tree import HASH_BYTES, Place, Storage, node_hash
from carnet.model.errors import Absent, Damaged, Malformed

WIDTH = 256
LARGEST_ENTRY = 65_535
"""The most bytes that a record may have: its length has to go into two bytes."""

ENTRIES = -1
"""The `level` of an entry bundle."""

_HEIGHT = 8
_MOST_LEVEL = 63
_LENGTH_BYTES = 2
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Tile(Struct, frozen=True):
    """Which tile or entry bundle: level (0 to 63, or `ENTRIES`), number in its level, how many hashes or
    records (1 to 256). Raises `Malformed` if there is no such."""

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not (ENTRIES <= self.level <= _MOST_LEVEL and self.index >= 0 and 1 <= self.width <= WIDTH):
            raise Malformed(
                f"`{self.level}/{self.index}` of `{self.width}` is no tile: "
                f"levels go to {_MOST_LEVEL}, widths to {WIDTH}"
            )

    @property
    def path(self) -> str:
        """Where it is, below the log's prefix: `tile/0/x001/x234/067.p/8`."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        index = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = "entries" if self.level == ENTRIES else str(self.level)
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{index}{part}"


def parsed(path: str) -> Tile:
    """The tile at a path. Raises `Malformed` for every path but the one of tlog-tiles."""
    found = _PATH.fullmatch(path)
    if found:
        level = ENTRIES if found["level"] == "entries" else int(found["level"])
        index = int(found["index"].replace("/", "").replace("x", ""))
        width = int(found["width"] or WIDTH)
        if level <= _MOST_LEVEL and width <= WIDTH and Tile(level, index, width).path == path:
            return Tile(level, index, width)
    raise Malformed(
        f"`{path[:80]}` is no path of a tile: write it as `tile/0/x001/234` or `tile/entries/000.p/8`"
    )


def tiles(size: int, since: int = 0) -> Iterator[Tile]:
    """The tiles of a log with `size` records, the lowest level first; without those that it had, the same,
    with `since`."""
    level = 0
    while size >> (_HEIGHT * level):
        yield from _row(level, size >> (_HEIGHT * level), since >> (_HEIGHT * level))
        level += 1


def entry_bundles(size: int, since: int = 0) -> Iterator[Tile]:
    """The entry bundles of a log with `size` records; without those that it had, the same, with `since`."""
    yield from _row(ENTRIES, size, since)


def rendered(storage: Storage, tile: Tile) -> bytes:
    """The bytes of a tile or an entry bundle, from what is stored.

    Raises `Absent` if not all of it is stored, `Malformed` if a record is too large for a bundle.
    """
    start, stop = tile.index * WIDTH, tile.index * WIDTH + tile.width
    if tile.level == ENTRIES:
        parts = storage.leaves(start, stop)
    else:
        parts = storage.row(_HEIGHT * tile.level, start, stop)
    found = [part for part in parts if part is not None]
    if len(found) != tile.width:
        raise Absent(f"`{tile.path}` is not in the log yet: ask for a smaller width")
    return entry_bundle(found) if tile.level == ENTRIES else b"".join(found)


def entry_bundle(records: Sequence[bytes]) -> bytes:
    """Records, each with its length before it. Raises `Malformed` if one is too large."""
    for record in records:
        if len(record) > LARGEST_ENTRY:
            raise Malformed(
                f"a record of {len(record)} bytes is over {LARGEST_ENTRY}: keep the rest elsewhere, by digest"
            )
    return b"".join(len(record).to_bytes(_LENGTH_BYTES, "big") + record for record in records)


def hashes(data: bytes, width: int) -> list[bytes]:
    """The hashes in a tile of this width. Raises `Malformed` if its length is another's."""
    if len(data) != width * HASH_BYTES:
        raise Malformed(
            f"a tile of {width} hashes has {width * HASH_BYTES} bytes, not {len(data)}: fetch it again"
        )
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def records(data: bytes, width: int) -> list[bytes]:
    """The records in an entry bundle of this width. Raises `Malformed` if it is cut or has others."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or start > len(data):
            raise Malformed("an entry bundle ends inside a record: it was cut, fetch it again")
        found.append(data[start:at])
    if len(found) != width:
        raise Malformed(f"an entry bundle has {len(found)} records, not {width}: fetch it again")
    return found


class TileNodes:
    """The nodes of a log of `size` records, read from its tiles: a `Nodes`, so roots and proofs come from
    it.

    `fetch` gives the bytes at a path, None if there is nothing; a partial tile that is gone is looked for
    in the full one. Each tile is fetched once. What comes out is as right as the tiles are: check the
    root against a signed checkpoint, and a proof with `verify_inclusion`.
    """

    def __init__(self, fetch: Callable[[str], bytes | None], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._kept: dict[tuple[int, int], list[bytes]] = {}

    def nodes(self, places: Sequence[Place]) -> Sequence[bytes | None]:
        """Raises `Damaged` if a tile is missing, `Malformed` if it is not of its width."""
        return [self._node(level, index) for level, index in places]

    def _node(self, level: int, index: int) -> bytes | None:
        if (index + 1) << level > self._size:
            return None
        tile_level, height = divmod(level, _HEIGHT)
        first = index << height
        row = self._tile(tile_level, first // WIDTH)[first % WIDTH : first % WIDTH + (1 << height)]
        while len(row) > 1:
            row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    def _tile(self, level: int, index: int) -> list[bytes]:
        if (level, index) not in self._kept:
            width = min(WIDTH, (self._size >> (_HEIGHT * level)) - index * WIDTH)
            tile, full = Tile(level, index, width), Tile(level, index)
            data = self._fetch(tile.path)
            if data is not None:
                self._kept[level, index] = hashes(data, width)
            else:
                data = None if tile == full else self._fetch(full.path)
                if data is None:
                    raise Damaged(f"`{tile.path}` is missing: fetch the log's tiles again")
                self._kept[level, index] = hashes(data, WIDTH)[:width]
        return self._kept[level, index]


def _row(level: int, count: int, since: int) -> Iterator[Tile]:
    for index in range(since // WIDTH, -(-count // WIDTH)):
        width = min(WIDTH, count - index * WIDTH)
        if index * WIDTH + width > since:
            yield Tile(level, index, width)
