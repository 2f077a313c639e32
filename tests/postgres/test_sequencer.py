"""What keeps the log of logs: the nodes' checkpoints go in, by one who leads, and another takes its place."""

import time

import pytest
from tests.ledger.memory import LOG, ORIGIN
from tests.postgres.leading import LEASE, ended, opened, put_back, sound
from tests.postgres.nodes import AT, Node, batch, keys, signer, until

from carnet.ledger import checkpoint, proof
from carnet.model.errors import Malformed, Unavailable, Unverified
from carnet.store.postgres import sequencer
from carnet.store.postgres.connection import Database, Pool
from carnet.store.postgres.copies import Pending
from carnet.store.postgres.log import open_log
from carnet.store.postgres.reading import reading
from carnet.store.postgres.sequencer import NodeCheckpoint, Sequencer
from carnet.store.postgres.writing import Lease


@pytest.fixture
def leading(database):
    """Leads, or waits to, until the end of the test."""
    begun = []

    def lead():
        begun.append(Sequencer(database, ORIGIN, [LOG], [LOG.verifier], keys, lease=LEASE, period=0.02))
        return begun[-1]

    yield lead
    for each in begun:
        each.stop()


@pytest.fixture
def pool(database):
    made = Pool(database)
    yield made
    made.close()


def logged(pool):
    """The leaves of the log of logs, read."""
    with reading(pool) as found:
        return [sequencer.read(found.record(number).leaf) for number in range(found.size)]


def test_the_checkpoints_of_the_nodes_go_into_the_log_of_logs(tmp_path, store, leading, pool):
    nodes = [Node(tmp_path, name) for name in ("1", "2")]
    leader = leading()
    until(lambda: leader.leads)
    for turn in range(3):
        for each in nodes:
            each.record(f"{each.origin} {turn}")
            at = store.position(each.origin)
            store.receive(batch(each.log, turn, noted=at.noted if at else 0))
        until(lambda: not store.pending())
    found = logged(pool)
    assert sorted((leaf.origin, leaf.size) for leaf in found) == [
        (each.origin, size) for each in nodes for size in (1, 2, 3)
    ]
    for leaf in found:
        about = checkpoint.opened(leaf.note.encode(), leaf.origin, keys(leaf.origin)).checkpoint
        assert (about.size, about.root.hex(), leaf.at) == (leaf.size, leaf.root, AT)
    with reading(pool) as log:
        (last,) = log.found("", [sequencer.term(nodes[0].origin)], after=-1)[-1:]
        made = proof.parsed(proof.made(log, last.index, log.checkpoint()).data)
    proof.verify(made, ORIGIN, [LOG.verifier])
    assert sequencer.read(made.extra).size == 3
    assert leader.trouble is None
    for each in nodes:
        each.log.close()


def test_a_checkpoint_goes_in_once(tmp_path, store, leading, pool, database):
    node = Node(tmp_path)
    node.record("one")
    store.receive(batch(node.log))
    leader = leading()
    until(lambda: not store.pending())
    with database.connected() as db:
        db.execute("UPDATE shipped SET logged = -1")
    until(lambda: not store.pending())
    assert [leaf.size for leaf in logged(pool)] == [1]
    assert leader.trouble is None
    node.log.close()


def test_of_several_one_leads_and_when_it_ends_another_does(tmp_path, store, leading, pool):
    node = Node(tmp_path)
    several = [leading() for _ in range(3)]
    for turn in range(3):
        first = until(lambda: next((each for each in several if each.leads), None))
        assert [each.leads for each in several].count(True) == 1
        node.record(str(turn))
        store.receive(batch(node.log, turn, noted=turn))
        until(lambda: not store.pending())
        assert all(each.trouble is None for each in several)
        first.stop()
        several.remove(first)
    assert [leaf.size for leaf in logged(pool)] == [1, 2, 3]
    node.log.close()


def test_a_leader_whose_place_was_taken_waits_again(tmp_path, store, leading, database):
    node = Node(tmp_path)
    leader = leading()
    until(lambda: leader.leads)
    with taken_over(database) as other:
        until(lambda: not leader.leads)
        other.submit(sequencer.entry(pending_of(node, store), keys(node.origin))).result(60)
    until(lambda: leader.leads)
    until(lambda: not store.pending())
    with open_log_later(database, leader) as log:
        assert len(sound(log)) == 1
    node.log.close()


def taken_over(database):
    """Ends the leader's session again and again, until the place was taken."""
    while True:
        ended(database)
        try:
            return opened(database, lease=Lease(seconds=5))
        except Unavailable:
            time.sleep(0.01)


def pending_of(node, store):
    node.record("one")
    store.receive(batch(node.log))
    return store.pending()[0]


def open_log_later(database, leader):
    leader.stop()
    return open_log(database, ORIGIN, [LOG], [LOG.verifier], lease=LEASE)


def test_nobody_who_has_seen_more_goes_on_from_a_database_that_was_put_back(
    tmp_path, store, leading, pool, database
):
    node = Node(tmp_path)
    both = [leading(), leading()]
    leader = until(lambda: next((each for each in both if each.leads), None))
    for turn in range(2):
        node.record(str(turn))
        store.receive(batch(node.log, turn, noted=turn))
        until(lambda: not store.pending())
    waits = next(each for each in both if each is not leader)
    until(lambda: waits._seen.size == 2)
    put_back(database)
    leader.stop()
    assert "was put back" in until(lambda: waits.trouble)
    assert [leaf.size for leaf in logged(pool)] == [1]
    node.log.close()


def test_two_roots_for_one_size_are_told_and_hold_up_no_other(tmp_path, store, leading, pool, database):
    nodes = [Node(tmp_path, name) for name in ("1", "2")]
    (tmp_path / "fork").mkdir()
    fork = Node(tmp_path / "fork")
    fork.record("another")
    for each in nodes:
        each.record("one")
        store.receive(batch(each.log))
    leader = leading()
    until(lambda: not store.pending())
    with database.connected() as db, fork.log.reading() as twin:
        db.execute(
            "UPDATE shipped SET logged = -1, note = %b WHERE origin = %s", (twin.checkpoint(), fork.origin)
        )
    nodes[1].record("two")
    store.receive(batch(nodes[1].log, 1, noted=1))
    until(lambda: [each.origin for each in store.pending()] == [fork.origin])
    assert "two roots for one size" in until(lambda: leader.trouble)
    assert len(logged(pool)) == 3
    for each in (*nodes, fork):
        each.log.close()


def test_a_checkpoint_that_its_node_did_not_sign_is_never_logged(tmp_path, store, leading, pool, database):
    node = Node(tmp_path)
    node.record("one")
    store.receive(batch(node.log))
    about = checkpoint.Checkpoint(node.origin, 1, bytes(32))
    forged = checkpoint.signed(about, [signer("node.example/other")]).data
    with database.connected() as db:
        db.execute("UPDATE shipped SET note = %b", (forged,))
    leader = leading()
    until(lambda: leader.trouble)
    assert logged(pool) == []
    with pytest.raises(Unverified):
        sequencer.entry(Pending(node.origin, 1, forged, AT), keys(node.origin))
    node.log.close()


def test_a_leaf_is_canonical_and_reads_back_or_is_refused():
    leaf = NodeCheckpoint(origin="node.example/1", size=3, root="ab" * 32, note="n", at=AT)
    assert leaf.data == (
        b'{"at":"2026-07-01T12:00:00Z","format":1,"kind":"node_checkpoint","note":"n",'
        b'"origin":"node.example/1","root":"' + b"ab" * 32 + b'","size":3}'
    )
    assert sequencer.read(leaf.data) == leaf
    for bad in (
        b"",
        b"{}",
        leaf.data + b" ",
        leaf.data.replace(b'"format":1', b'"format":2'),
        leaf.data.replace(b'"size":3', b'"size":-3'),
        leaf.data.replace(b'"size":3', b'"more":1,"size":3'),
        leaf.data.replace(b"abab", b"ABAB", 1),
    ):
        with pytest.raises(Malformed):
            sequencer.read(bad)


def test_a_sequencer_without_a_database_says_so_and_ends(database):
    alone = Sequencer(
        Database("host=127.0.0.1 port=1"), ORIGIN, [LOG], [LOG.verifier], keys, lease=LEASE, period=0.02
    )
    assert "PostgreSQL can't be used now" in until(lambda: alone.trouble)
    begun = time.monotonic()
    alone.stop()
    assert time.monotonic() - begun < 5
