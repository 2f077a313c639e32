"""Tiles are where C2SP tlog-tiles puts them, hold what it says, and the tree can be read back from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import Memory, flipped, mth, records, stored

from carnet.ledger import tiles
from carnet.ledger.tiles import ENTRIES, LARGEST_ENTRY, Tile, TileNodes
from carnet.ledger.tree import (
    Tree,
    consistency_proof,
    grown,
    inclusion_proof,
    leaf_hash,
    tree_at,
    verify_inclusion,
)
from carnet.model.errors import Absent, Damaged, Malformed, Unverified

COUNT = 70_000
HASHES = [leaf_hash(index.to_bytes(4, "big")) for index in range(COUNT)]


@pytest.fixture(scope="module")
def large():
    """70,000 leaves, without the leaves."""
    kept = Memory()
    tree, rows = grown(Tree(), HASHES)
    kept.write(0, [], rows)
    return kept, tree


def served(kept, size, *, entries=False):
    """Every file of a log of this size: path to bytes."""
    named = [*tiles.tiles(size), *(tiles.entry_bundles(size) if entries else ())]
    return {tile.path: tiles.rendered(kept, tile) for tile in named}


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),  # the example of tlog-tiles, "Merkle Tree"
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999, 255), "tile/0/999.p/255"),
        (Tile(1, 1000, 1), "tile/1/x001/000.p/1"),
        (Tile(63, 999_999), "tile/63/x999/999"),
        (Tile(2, 1_000_000), "tile/2/x001/x000/000"),
        (Tile(ENTRIES, 7, 5), "tile/entries/007.p/5"),
    ],
)
def test_paths(tile, path):
    assert tile.path == path
    assert tiles.parsed(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/001/002",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/entry/000",
        "tile/0/000\n",
        "tile/0/\N{ARABIC-INDIC DIGIT SEVEN}00",
    ],
)
def test_another_path_is_refused(path):
    with pytest.raises(Malformed):
        tiles.parsed(path)


@pytest.mark.parametrize("fields", [(-2, 0), (64, 0), (0, -1), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_is_none_is_refused(fields):
    with pytest.raises(Malformed):
        Tile(*fields)


def test_the_tiles_of_seventy_thousand_leaves():
    """The example of tlog-tiles, "Partial Tiles"."""
    found = list(tiles.tiles(70_000))
    assert sum(tile.level == 0 and tile.width == 256 for tile in found) == 273
    assert [tile for tile in found if tile.level or tile.width < 256] == [
        Tile(0, 273, 112),
        Tile(1, 0),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]


def test_the_tiles_of_a_full_one():
    """The second example there: a partial tile of width 1 above a full one."""
    assert list(tiles.tiles(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles.tiles(0)) == list(tiles.entry_bundles(0)) == []
    assert list(tiles.tiles(255)) == [Tile(0, 0, 255)]
    assert [*tiles.tiles(1), *tiles.entry_bundles(1)] == [Tile(0, 0, 1), Tile(ENTRIES, 0, 1)]
    assert list(tiles.tiles(257)) == [Tile(0, 0), Tile(0, 1, 1), Tile(1, 0, 1)]


@given(st.integers(0, 200_000), st.integers(0, 3_000))
@settings(max_examples=60, deadline=None)
def test_what_is_new_is_what_was_not_there(before, more):
    size = before + more
    assert set(tiles.tiles(size, before)) == set(tiles.tiles(size)) - set(tiles.tiles(before))
    assert set(tiles.entry_bundles(size, before)) == set(tiles.entry_bundles(size)) - set(
        tiles.entry_bundles(before)
    )
    assert all(tile.width == (size >> 8 * tile.level) % 256 for tile in tiles.tiles(size) if tile.width < 256)


def test_a_tile_holds_the_hashes_of_its_definition(large):
    """MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l])."""
    kept, _ = large
    assert tiles.rendered(kept, Tile(0, 2)) == b"".join(HASHES[512:768])
    row = tiles.hashes(tiles.rendered(kept, Tile(1, 1, 17)), 17)
    for at, found in enumerate(row):
        start = (256 + at) * 256
        assert found == mth([index.to_bytes(4, "big") for index in range(start, start + 256)])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_roots_and_proofs_come_out_of_tiles(large, size):
    kept, _ = large
    nodes = TileNodes(served(kept, size).get, size)
    tree = tree_at(kept, size)
    assert tree_at(nodes, size) == tree
    for index in {0, size // 2, size - 1, size // 3}:
        found = inclusion_proof(nodes, index, size)
        assert found == inclusion_proof(kept, index, size)
        verify_inclusion(HASHES[index], index, size, found, tree.root)
    for first in {1, size // 2, size - 1, size}:
        assert consistency_proof(nodes, first, size) == consistency_proof(kept, first, size)


def test_each_tile_is_fetched_once(large):
    kept, _ = large
    files, asked = served(kept, COUNT), []
    nodes = TileNodes(lambda path: asked.append(path) or files.get(path), COUNT)
    for index in range(0, COUNT, 7_001):
        inclusion_proof(nodes, index, COUNT)
    assert len(asked) == len(set(asked)) <= 15


def test_a_partial_tile_that_is_gone_is_found_in_the_full_one(large):
    kept, _ = large
    nodes = TileNodes(served(kept, COUNT).get, 300)  # a log of 70,000 has no `001.p/44` any more
    assert tree_at(nodes, 300) == tree_at(kept, 300)


def test_missing_and_wrong_tiles_are_told(large):
    kept, tree = large
    files = served(kept, COUNT)
    with pytest.raises(Damaged, match=r"`tile/0/000` is missing"):
        inclusion_proof(TileNodes({**files, "tile/0/000": None}.get, COUNT), 5, COUNT)
    with pytest.raises(Malformed, match="8192 bytes"):
        inclusion_proof(TileNodes({**files, "tile/0/000": files["tile/0/000"][:-1]}.get, COUNT), 5, COUNT)
    wrong = TileNodes({**files, "tile/0/000": flipped(files["tile/0/000"], 6 * 256)}.get, COUNT)
    with pytest.raises(Unverified):
        verify_inclusion(HASHES[5], 5, COUNT, inclusion_proof(wrong, 5, COUNT), tree.root)


def test_nodes_after_the_size_are_not_there(large):
    kept, _ = large
    nodes = TileNodes(served(kept, 300).get, 300)
    assert nodes.nodes([(0, 300), (8, 1), (2, 75)]) == [None, None, None]


def test_what_is_not_stored_yet_is_not_rendered():
    kept, _ = stored(records(5))
    for tile in (Tile(0, 0, 6), Tile(ENTRIES, 0, 6), Tile(1, 0, 1)):
        with pytest.raises(Absent):
            tiles.rendered(kept, tile)


def test_an_entry_bundle_has_a_length_before_each_record():
    assert tiles.entry_bundle([b"", b"a", b"b" * 258]) == b"\0\0" + b"\0\x01a" + b"\x01\x02" + b"b" * 258
    kept, _ = stored(records(300))
    data = tiles.rendered(kept, Tile(ENTRIES, 1, 44))
    assert tiles.records(data, 44) == records(300)[256:]


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=60, deadline=None)
def test_records_come_out_as_they_went_in(leaves):
    data = tiles.entry_bundle(leaves)
    assert tiles.records(data, len(leaves)) == leaves
    for end in range(len(data)):
        with pytest.raises(Malformed):
            tiles.records(data[:end], len(leaves))
    with pytest.raises(Malformed):
        tiles.records(data + b"\0", len(leaves))
    with pytest.raises(Malformed):
        tiles.records(data + b"\0\0", len(leaves))


def test_a_record_that_is_too_large_is_refused():
    assert tiles.records(tiles.entry_bundle([bytes(LARGEST_ENTRY)]), 1) == [bytes(LARGEST_ENTRY)]
    with pytest.raises(Malformed, match="65536 bytes is over 65535"):
        tiles.entry_bundle([bytes(LARGEST_ENTRY + 1)])
