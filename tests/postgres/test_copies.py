"""The copy of the nodes' records: what is taken, what is refused, what is found."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.postgres.nodes import AT, Node, batch, keys, signer
from tests.postgres.server import new_schema, shared
from tests.store.logs import full, leaf, term

from carnet.ledger import checkpoint
from carnet.model.errors import Damaged, Malformed, StoreError, Unverified
from carnet.store.postgres.connection import Database
from carnet.store.postgres.copies import Batch, Position, QueryStore
from carnet.store.protocols import Entry


def changed(database, text, *values):
    """Change the database behind the store's back, without its triggers."""
    with database.connected() as db:
        db.execute("SET session_replication_role = replica")
        db.execute(text, values)


def test_a_batch_is_there_again_with_all_that_is_shipped(store, node):
    node.record("one", "two")
    assert store.position(node.origin) is None
    assert store.receive(batch(node.log)) == store.position(node.origin) == Position(2, 2)
    copy = store.of_id("a", "two")
    with node.log.reading() as reading:
        assert copy.record == reading.record(1)
    assert (copy.place, copy.origin) == (1, node.origin)
    assert store.verify(node.origin).size == 2


def test_a_batch_sent_again_changes_nothing(store, node):
    node.record("one", "two")
    first = batch(node.log)
    assert [store.receive(first) for _ in range(3)] == [Position(2, 2)] * 3
    node.record("three")
    assert store.receive(batch(node.log, 2, noted=2)) == Position(3, 3)
    assert store.receive(first) == Position(3, 3)
    assert [copy.record.id for copy in store.found("a", [])] == ["one", "two", "three"]


def test_a_gap_is_not_taken(store, node):
    node.record("one", "two", "three")
    assert store.receive(batch(node.log, 1)) == Position(0, 0)
    assert store.found("a", []) == []


def test_records_may_come_in_any_parts_under_one_checkpoint(store, node):
    node.many(23)
    noted = 0
    for first, stop in ((0, 5), (5, 6), (6, 6), (6, 22), (22, 23)):
        assert store.receive(batch(node.log, first, stop, noted)) == Position(stop, 23)
        noted = 23
    assert store.verify(node.origin).size == 23


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), min_size=1, max_size=8))
def test_however_it_is_shipped_the_copies_are_the_nodes(tmp_path_factory, steps):
    """Any growth of the log between any parts: all of it arrives in order and hashes to the node's root."""
    node = Node(tmp_path_factory.mktemp("node"))
    store = QueryStore(Database(shared().address(), new_schema()), keys)
    position, size = Position(0, 0), 0
    for turn, (more, part) in enumerate(steps):
        node.many(more, f"{turn} ")
        size += more
        position = store.receive(
            batch(node.log, position.size, min(size, position.size + part), position.noted)
        )
    position = store.receive(batch(node.log, position.size, noted=position.noted))
    assert position == Position(size, size)
    assert store.verify(node.origin).size == size
    assert [copy.record.index for copy in store.found("a", [], limit=1000)] == list(range(size))
    store.close()
    node.log.close()


def altered(entry, **more):
    return Entry(**{**as_dict(entry), **more})


def as_dict(entry):
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def test_a_record_changed_on_its_way_is_refused(store, node):
    node.record("one", "two")
    good = batch(node.log)
    bad = altered(good.entries[1], leaf=leaf("another"))
    given = {**as_dict(good), "entries": (good.entries[0], bad)}
    with pytest.raises(Unverified, match="nothing was taken"):
        store.receive(Batch(**given))
    assert store.found("a", []) == []
    assert store.receive(good) == Position(2, 2)


@pytest.mark.parametrize("field", ["covers", "follows"])
def test_a_wrong_proof_is_refused(store, node, field):
    node.record("one", "two", "three")
    store.receive(batch(node.log, 0, 1))
    node.record("four")
    good = batch(node.log, 1, 2, noted=3)
    with pytest.raises(Unverified):
        store.receive(batch(node.log, 1, 2, noted=3, **{field: (bytes(32), *getattr(good, field)[1:])}))
    assert store.position(node.origin) == Position(1, 3)
    assert store.receive(good) == Position(2, 4)


def test_a_checkpoint_that_the_node_did_not_sign_is_refused(store, node):
    node.record("one")
    with node.log.reading() as reading:
        about = checkpoint.opened(reading.checkpoint(), node.origin, keys(node.origin)).checkpoint
    other = checkpoint.signed(about, [signer("node.example/other")]).data
    with pytest.raises(Unverified):
        store.receive(batch(node.log, note=other))
    with pytest.raises(Malformed):
        store.receive(batch(node.log, note=b"none"))
    assert store.reports() == []
    assert store.position(node.origin) is None


def test_a_log_that_nobody_knows_is_refused(store, tmp_path):
    stranger = Node(tmp_path)
    stranger.record("one")
    with pytest.raises(StoreError, match="`other` is no node's log"):
        store.receive(batch(stranger.log, origin="other"))
    with pytest.raises(StoreError):
        store.verify("other")
    stranger.log.close()


def test_records_beyond_the_checkpoint_are_refused(store, node):
    node.record("one")
    with pytest.raises(Malformed, match="does not cover"):
        store.receive(batch(node.log, entries=(full("one"), full("two"))))
    with pytest.raises(Malformed):
        store.receive(batch(node.log, entries=(full("one", tenant="\ud800"),)))


def forked(tmp_path, common, more):
    """Two logs of one name and key with the same first records."""
    twins = []
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        twin = Node(tmp_path / name)
        twin.many(common)
        twin.many(more, f"{name} ")
        twins.append(twin)
    return twins


def test_a_fork_at_one_size_is_refused_and_both_checkpoints_are_kept(store, tmp_path):
    left, right = forked(tmp_path, 5, 2)
    store.receive(batch(left.log))
    fork = batch(right.log, 7, noted=7)
    with pytest.raises(Unverified, match="contradicts what it shipped"):
        store.receive(fork)
    (report,) = store.reports()
    assert (report.origin, report.kind, report.at) == (left.origin, "forked", AT)
    roots = [
        checkpoint.opened(each, left.origin, keys(left.origin)).checkpoint
        for each in (report.note, report.kept)
    ]
    assert roots[0].size == roots[1].size == 7
    assert roots[0].root != roots[1].root
    with pytest.raises(Unverified):
        store.receive(fork)
    assert len(store.reports()) == 1
    assert store.verify(left.origin).root == roots[1].root
    left.log.close()
    right.log.close()


def test_a_fork_that_went_on_is_refused_and_reported(store, tmp_path):
    left, right = forked(tmp_path, 5, 2)
    store.receive(batch(left.log))
    right.record("later")
    with pytest.raises(Unverified):
        store.receive(batch(right.log, 7, noted=7))
    assert [report.kind for report in store.reports()] == ["inconsistent"]
    left.record("goes on")
    assert store.receive(batch(left.log, 7, noted=7)) == Position(8, 8)
    left.log.close()
    right.log.close()


def test_a_fork_between_what_was_shipped_and_its_checkpoint_is_refused(store, tmp_path):
    left, right = forked(tmp_path, 5, 5)
    store.receive(batch(left.log, 0, 5))
    right.record("later")
    with pytest.raises(Unverified):
        store.receive(batch(right.log, 5, 8, noted=10))
    assert store.position(left.origin) == Position(5, 10)
    left.log.close()
    right.log.close()


def test_a_search_goes_over_all_nodes_by_tenant(store, tmp_path):
    nodes = [Node(tmp_path, name) for name in ("1", "2", "3")]
    for turn in range(3):
        for each in nodes:
            each.record(f"{each.origin} {turn} a", tenant="a")
            each.record(f"{each.origin} {turn} b", tenant="b")
    for each in nodes:
        some = batch(each.log)
        entries = tuple(full(entry.id, entry.id[-1]) for entry in some.entries)
        store.receive(Batch(**{**as_dict(some), "entries": entries}))
    for tenant in ("a", "b"):
        found = store.found(tenant, [term("every")])
        assert len(found) == 9
        assert {copy.origin for copy in found} == {each.origin for each in nodes}
        assert {copy.record.tenant for copy in found} == {tenant}
        paged, after = [], -1
        while page := store.found(tenant, [term("every")], after=after, limit=2):
            paged += page
            after = page[-1].place
        assert paged == found == store.found(tenant, [])
    one = f"{nodes[1].origin} 2 a"
    assert [copy.record.id for copy in store.found("a", [term(one), term("every")])] == [one]
    assert store.found("b", [term(one)]) == []
    assert store.of_id("b", one) is None
    assert store.of_id("a", one).origin == nodes[1].origin
    assert store.found("a", [], limit=0) == store.found("a", [], limit=-1) == []
    with pytest.raises(Malformed, match="`33` terms"):
        store.found("a", [term(str(number)) for number in range(33)])
    for each in nodes:
        each.log.close()


def test_who_pages_misses_nothing_that_arrives_meanwhile(store, tmp_path):
    nodes = [Node(tmp_path, str(number)) for number in range(3)]
    for each in nodes:
        each.many(60, f"{each.origin} ")
    done, seen, after = threading.Event(), [], -1

    def ship(each):
        noted = 0
        for first in range(0, 60, 5):
            store.receive(batch(each.log, first, first + 5, noted))
            noted = 60

    def ship_all():
        threads = [threading.Thread(target=ship, args=(each,)) for each in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()

    threading.Thread(target=ship_all).start()
    while True:
        last = done.is_set()
        page = store.found("a", [], after=after, limit=7)
        seen += page
        after = page[-1].place if page else after
        if last and not page:
            break
    assert [copy.place for copy in seen] == list(range(180))
    for each in nodes:
        assert store.verify(each.origin).size == 60
        each.log.close()


def test_what_is_forgotten_is_gone_and_the_leaves_still_verify(store, node):
    node.record("one", "two", "three")
    store.receive(batch(node.log))
    assert store.forget(node.origin, [1, 7]) == 1
    assert store.forget(node.origin, [1]) == 0
    copy = store.of_id("a", "two")
    assert copy.record.sealed is None
    assert copy.record.leaf == leaf("two")
    assert store.found("a", [term("two")]) == []
    assert [each.record.id for each in store.found("a", [term("every")])] == ["one", "three"]
    assert store.verify(node.origin).size == 3


def test_what_was_forgotten_before_it_arrived_arrives_without_its_private_part(store, node):
    node.record("one", "two")
    early = batch(node.log)
    assert store.forget(node.origin, [1]) == 0
    store.receive(early)
    assert store.of_id("a", "one").record.sealed is not None
    assert store.of_id("a", "two").record.sealed is None
    assert store.found("a", [term("two")]) == []
    assert store.verify(node.origin).size == 2


def test_forgetting_while_it_arrives_leaves_nothing(store, node):
    node.many(40)
    batches = [batch(node.log, 0, 20), batch(node.log, 20, 40, noted=40)]
    threads = [
        threading.Thread(target=lambda: [store.receive(each) for each in batches]),
        threading.Thread(target=lambda: [store.forget(node.origin, [number]) for number in range(40)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(copy.record.sealed is None for copy in store.found("a", [], limit=100))
    assert store.found("a", [term("every")]) == []
    assert store.verify(node.origin).size == 40


def test_a_leaf_that_was_changed_in_the_database_is_found(store, node, database):
    node.many(30)
    store.receive(batch(node.log))
    changed(database, "UPDATE copies SET leaf = 'x' || leaf WHERE number = 17")
    with pytest.raises(Damaged, match="not what was shipped"):
        store.verify(node.origin)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("UPDATE copies SET sealed = 'x' WHERE number = 3", "not what was written"),
        ("UPDATE copies SET tenant = 'b' WHERE number = 3", "not what was written"),
        ("DELETE FROM copy_terms WHERE place = 3", "lacks terms"),
        ("DELETE FROM copies WHERE number = 3", "missing"),
        ("UPDATE shipped SET edge = 'x'", "not what was shipped"),
        ("UPDATE shipped SET edge = sha256('x') || sha256('y')", "not what was shipped"),
        ("UPDATE shipped SET note = 'x'", "does not hold"),
    ],
)
def test_what_stands_beside_the_leaves_is_looked_at(store, node, database, text, why):
    node.record("0", "1", "2", "3", "4")
    store.receive(batch(node.log))
    changed(database, text)
    with pytest.raises(Damaged, match=why):
        store.verify(node.origin)
    node.record("5")
    if "shipped" in text:
        with pytest.raises(Damaged):
            store.receive(batch(node.log, 5, noted=5))
        assert store.reports() == []


def test_a_term_that_leads_to_another_record_is_told(store, node, database):
    node.record("one", "two")
    store.receive(batch(node.log))
    changed(database, "INSERT INTO copy_terms VALUES (%b, 1)", term("one"))
    with pytest.raises(Damaged, match="leads to another record"):
        store.found("a", [term("one")])
