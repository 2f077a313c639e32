"""What ships a node's records: all of them, in the end, and nobody waits for it."""

import time

import pytest
from tests.postgres.nodes import PACE, Line, Node, batch, keys, now, signer, until
from tests.postgres.server import new_schema
from tests.store.logs import full, term

from carnet.model.errors import Unavailable
from carnet.store.postgres.connection import Database
from carnet.store.postgres.copies import Position, QueryStore
from carnet.store.postgres.shipper import Pace, Shipper


@pytest.fixture
def shipping(database):
    """Ships until the end of the test."""
    begun = []

    def ship(log, to=database, pace=PACE):
        begun.append(Shipper(log, lambda: QueryStore(to, keys), now, pace))
        return begun[-1]

    yield ship
    for each in begun:
        each.stop()


def shipped(store, origin, size):
    return until(lambda: (at := store.position(origin)) and at.size >= size and at)


def test_all_records_arrive_with_all_that_is_shipped(node, store, shipping):
    node.many(300)
    shipper = shipping(node.log)
    shipped(store, node.origin, 300)
    node.record("later")
    assert shipped(store, node.origin, 301) == Position(301, 301)
    until(lambda: shipper.behind == 0)
    assert shipper.trouble is None
    assert store.verify(node.origin).size == 301
    with node.log.reading() as reading:
        for copy in store.found("a", [], limit=1000):
            assert copy.record == reading.record(copy.record.index)
    assert [copy.record.id for copy in store.found("a", [term("later")])] == ["later"]


def test_a_log_without_records_ships_nothing_and_is_no_trouble(node, store, shipping):
    shipper = shipping(node.log)
    until(lambda: shipper.behind == 0)
    assert shipper.trouble is None
    assert store.position(node.origin) is None


def test_a_heavy_batch_is_cut(node, store, shipping):
    node.many(100)
    shipping(node.log, pace=Pace(batch=512, weight=20_000, pause=0.02))
    shipped(store, node.origin, 16)
    assert shipped(store, node.origin, 100) == Position(100, 100)


def test_a_node_records_while_the_database_is_away_and_ships_later(node, shipping, server):
    shipper = shipping(node.log, to=Database("host=127.0.0.1 port=1 connect_timeout=1", "none"))
    until(lambda: shipper.trouble)
    assert "PostgreSQL can't be used now" in shipper.trouble
    begun = time.monotonic()
    node.record(*map(str, range(50)))
    assert time.monotonic() - begun < 10
    shipper.stop()


@pytest.mark.parametrize("text", [b"INSERT INTO copies", b"UPDATE shipped", b"COMMIT"])
@pytest.mark.parametrize("passed", [True, False], ids=["done", "lost"])
def test_a_line_that_breaks_in_a_batch_loses_and_doubles_nothing(node, shipping, server, text, passed):
    line, schema = Line(server.port), new_schema()
    store = QueryStore(Database(server.address(), schema), keys)
    shipper = shipping(node.log, to=Database(server.tcp(line.port), schema))
    node.many(40, "before ")
    shipped(store, node.origin, 40)
    line.arm(text, passed=passed)
    node.many(100, "after ")
    shipped(store, node.origin, 140)
    until(lambda: line.cuts == 1)
    until(lambda: shipper.trouble is None)
    assert [copy.record.index for copy in store.found("a", [], limit=1000)] == list(range(140))
    assert store.verify(node.origin).size == 140
    shipper.stop()
    store.close()
    line.close()


def test_two_that_ship_one_log_do_no_harm(node, store, shipping):
    for _ in range(3):
        shipping(node.log)
    node.many(500)
    shipped(store, node.origin, 500)
    assert store.verify(node.origin).size == 500
    assert len(store.found("a", [], limit=1000)) == 500


def test_a_restart_goes_on_where_it_was(node, store, shipping):
    node.many(100)
    shipping(node.log).stop()
    node.log.close()
    node.log = node.opened()
    node.many(50, "more ")
    shipping(node.log)
    shipped(store, node.origin, 150)
    assert store.verify(node.origin).size == 150


def test_a_database_that_was_emptied_is_filled_again(node, store, shipping, database):
    node.many(80)
    shipping(node.log)
    shipped(store, node.origin, 80)
    with database.connected() as db:
        db.execute("SET session_replication_role = replica")
        db.execute("TRUNCATE copies, copy_terms, shipped")
    node.record("later")
    shipped(store, node.origin, 81)
    assert store.verify(node.origin).size == 81


def test_a_forked_node_is_refused_and_keeps_recording(tmp_path, store, shipping):
    logs = []
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        logs.append(Node(tmp_path / name))
        logs[-1].many(10, name)
    store.receive(batch(logs[0].log))
    shipper = shipping(logs[1].log)
    until(lambda: shipper.trouble)
    assert "contradicts what it shipped" in shipper.trouble
    assert [report.kind for report in store.reports()] == ["forked"]
    logs[1].record("goes on")
    assert store.position(logs[0].origin) == Position(10, 10)
    for each in logs:
        each.log.close()


def test_a_node_that_was_put_back_says_so(tmp_path, store, shipping):
    node = Node(tmp_path)
    node.many(10)
    node.log.backup(tmp_path / "copy.db")
    node.many(5, "more ")
    store.receive(batch(node.log))
    node.log.close()
    (tmp_path / "old").mkdir()
    old = Node.__new__(Node)
    old.origin, old.path = node.origin, tmp_path / "old" / "1.db"
    (tmp_path / "copy.db").rename(old.path)
    old.log = old.opened()
    shipper = shipping(old.log)
    until(lambda: shipper.trouble)
    assert "was put back, continue it under a new origin" in shipper.trouble
    key = signer("node.example/1-again")
    old.log.continue_as(key.name, [key], [signer(node.origin).verifier, key.verifier], full("again"))
    old.record("later")
    shipped(store, key.name, 12)
    until(lambda: shipper.trouble is None)
    assert store.verify(key.name).size == 12
    assert store.verify(node.origin).size == 15
    ids = [copy.record.id for copy in store.found("a", [], limit=100) if copy.origin == key.name]
    assert ids == ["again", "later"]
    old.log.close()


@pytest.mark.parametrize("sent", [0, 30, 60])
def test_a_continued_log_ships_what_it_had_under_its_old_name_first(node, store, shipping, sent):
    node.many(60)
    if sent:
        store.receive(batch(node.log, 0, sent))
    first, origin = signer(node.origin), node.origin
    for name in ("node.example/1-b", "node.example/1-c"):
        key = signer(name)
        node.log.continue_as(name, [key], [first.verifier, key.verifier], full(name))
        first = key
    node.record("last")
    shipping(node.log)
    shipped(store, "node.example/1-c", 63)
    assert store.position(origin) == Position(60, 60)
    assert store.verify(origin).size == 60
    assert store.verify("node.example/1-b").size == 61
    assert store.verify("node.example/1-c").size == 63
    assert [copy.record.index for copy in store.found("a", [], limit=100)] == list(range(63))


def test_a_log_put_back_behind_what_was_only_noted_is_shipped_anew(tmp_path, store, shipping):
    """Its old name's last records can't be shipped any more: all goes under the new one."""
    node = Node(tmp_path)
    node.many(10)
    node.log.backup(tmp_path / "copy.db")
    node.many(10, "more ")
    store.receive(batch(node.log, 0, 5))
    node.log.close()
    (tmp_path / "old").mkdir()
    old = Node.__new__(Node)
    old.origin, old.path = node.origin, tmp_path / "old" / "1.db"
    (tmp_path / "copy.db").rename(old.path)
    old.log = old.opened()
    key = signer("node.example/1-again")
    old.log.continue_as(key.name, [key], [signer(node.origin).verifier, key.verifier], full("again"))
    shipping(old.log)
    shipped(store, key.name, 11)
    assert store.verify(key.name).size == 11
    assert store.verify(node.origin).size == 20
    old.log.close()


def test_a_stopped_shipper_ships_no_more(node, store, shipping):
    shipper = shipping(node.log)
    node.record("one")
    shipped(store, node.origin, 1)
    shipper.stop()
    node.record("two")
    time.sleep(0.1)
    assert store.position(node.origin) == Position(1, 1)


def test_a_closed_log_is_told_as_trouble(tmp_path, shipping):
    node = Node(tmp_path)
    shipper = shipping(node.log)
    node.log.close()
    assert "closed" in until(lambda: shipper.trouble)
    with pytest.raises(Unavailable):
        node.log.append(full("late"), within=1)
