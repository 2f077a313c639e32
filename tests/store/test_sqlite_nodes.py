"""Nodes as rows: every node has one place, in the order in which the tree completes them."""

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import records, stored

from carnet.ledger import sequence
from carnet.ledger.tree import Tree, grown, leaf_hash
from carnet.model.errors import Damaged
from carnet.store.sqlite import nodes

SIZES = sorted({0, 1, 2, 3, 255, 257} | {(1 << bit) + more for bit in range(1, 9) for more in (-1, 0, 1)})


@pytest.fixture
def db():
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE nodes (run INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT")
    yield connection
    connection.close()


def added(db, tree, leaves):
    after, rows = grown(tree, [leaf_hash(each) for each in leaves])
    nodes.add(db, tree.size, rows)
    return after


def everything(size):
    return [(level, index) for level in range(size.bit_length()) for index in range(size >> level)]


@pytest.mark.parametrize("size", SIZES)
def test_the_places_are_those_up_to_the_count_each_once(size):
    assert sorted(sequence.place(*each) for each in everything(size)) == list(range(sequence.count(size)))


def test_the_largest_tree_has_places_that_sqlite_can_number():
    assert sequence.place(0, 2**63 - 2) // nodes.RUN < 2**63
    assert sequence.place(62, 0) == sequence.count(2**62) - 1


@given(st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_was_added_in_any_batches_is_read_again(counts):
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE nodes (run INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT")
    size, tree = sum(counts), Tree()
    leaves = iter(records(size))
    for count in counts:
        tree = added(db, tree, [next(leaves) for _ in range(count)])
    memory, whole = stored(records(size))
    assert tree == whole
    places = everything(size)
    assert nodes.read(db, places) == memory.nodes(places)
    assert nodes.read(db, places[::-1]) == memory.nodes(places)[::-1]
    for level in range(size.bit_length() + 1):
        for start in range(0, (size >> level) + 1, 7):
            for stop in (start, start + 1, start + 9, (size >> level) + 3):
                assert nodes.read_row(db, level, start, stop) == memory.row(level, start, stop)
    db.close()


def test_a_node_that_is_not_stored_is_none(db):
    added(db, Tree(), records(100))
    db.execute("DELETE FROM nodes WHERE run = 3")
    memory, _ = stored(records(100))
    gone = {place for place in everything(100) if sequence.place(*place) // nodes.RUN == 3}
    places = [*everything(100), (0, 100), (7, 0)]
    assert len(gone) == nodes.RUN
    for level in range(8):
        row = nodes.read_row(db, level, 0, 110 >> level)
        assert row == [
            None if (level, index) in gone else memory.kept.get((level, index))
            for index in range(110 >> level)
        ]
    assert nodes.read(db, places) == [None if each in gone else memory.kept.get(each) for each in places]


@pytest.mark.parametrize("cut", [0, 16, 31, 33])
def test_a_row_that_was_cut_gives_no_wrong_node(db, cut):
    added(db, Tree(), records(100))
    db.execute("UPDATE nodes SET hashes = substr(hashes, 1, ?) WHERE run = 2", (cut,))
    memory, _ = stored(records(100))
    for level in range(7):
        for index, found in enumerate(nodes.read_row(db, level, 0, 100 >> level)):
            assert found in {None, memory.kept[level, index]}


def test_nodes_are_added_to_as_many_as_there_were_and_no_others(db):
    tree = added(db, Tree(), records(13))
    db.execute("UPDATE nodes SET hashes = substr(hashes, 33) WHERE run = 1")
    with pytest.raises(Damaged, match="the nodes stored for 13 records are not as many"):
        added(db, tree, records(20)[13:])
