"""kill -9 of PostgreSQL and of the one who leads, and two who lead: nothing acknowledged is lost, nothing
altered is accepted, and all goes on without hands."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.faults.counts import counted
from tests.ledger.memory import LOG, ORIGIN
from tests.postgres.nodes import PACE, Node, keys, now, until
from tests.postgres.server import new_schema
from tests.store.logs import full

from carnet.ledger.audit import audit
from carnet.model.errors import CarnetError, Unavailable
from carnet.store.postgres.connection import Database
from carnet.store.postgres.copies import QueryStore
from carnet.store.postgres.log import open_log
from carnet.store.postgres.sequencer import Sequencer
from carnet.store.postgres.shipper import Shipper
from carnet.store.postgres.writing import Lease

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
POINTS = ("in_batch", "before_commit", "after_commit", "after_acknowledgement")
NIGHTLY = os.environ.get("CARNET_FAULTS") == "nightly"


class Child:
    """A process that leads, and what it said so far."""

    def __init__(self, server, schema, run, **plan):
        given = {"address": server.address(), "schema": schema, "run": run, **plan}
        command = [sys.executable, "-m", "tests.postgres.child", json.dumps(given)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        self.acknowledged, self.said = {}, []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for line in self.process.stdout:
            words = line.decode().split() if line.endswith(b"\n") else []
            if words[:1] == ["acknowledged"]:
                self.acknowledged[words[1]] = int(words[2])
            self.said += words[:1]

    def heard(self, word):
        until(lambda: word in self.said)
        return self

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()


@pytest.fixture
def children(server):
    begun = []

    def start(schema, run, on=server, **plan):
        begun.append(Child(on, schema, run, **plan))
        return begun[-1]

    yield start
    for each in begun:
        each.end()


def judged(database, acknowledged, patience=20.0):
    """The log is sound and goes on, and has every acknowledged entry as it was given; how many it has."""
    with open_log(database, ORIGIN, [LOG], [LOG.verifier], lease=Lease(patience=patience)) as log:
        with log.reading() as reading:
            assert audit(reading, reading.checkpoint(), ORIGIN, [LOG.verifier]).findings == ()
            ids = [reading.record(number).id for number in range(reading.size)]
            assert len(set(ids)) == len(ids)
            for id_, index in acknowledged.items():
                assert ids[index] == id_
                record, given = reading.record(index), full(id_)
                assert (record.leaf, record.sealed) == (given.leaf, given.sealed)
                assert reading.grant("a", given.grant.key) == (given.grant, index)
        log.submit(full(f"after {time.monotonic_ns()}")).result(60)
    return len(ids)


def lost(database, acknowledged):
    """How many acknowledged entries are not in the log any more."""
    lease = Lease(patience=20)
    with open_log(database, ORIGIN, [LOG], [LOG.verifier], lease=lease) as log, log.reading() as found:
        return sum(found.of_id("a", id_) is None for id_ in acknowledged)


def tell(fault, ends, acknowledged, size):
    """`judged` has found all of it."""
    counted(fault, ends=ends, acknowledged=len(acknowledged), recorded=size, lost=0, changed=0)


@pytest.mark.parametrize("point", POINTS)
def test_a_leader_killed_at_a_point_loses_nothing_acknowledged(server, children, point):
    schema, kills, acknowledged = new_schema(), 100 if NIGHTLY else 20, {}
    for run in range(kills):
        child = children(schema, f"{run}", point=point, turn=run % 5).heard("at")
        child.end()
        acknowledged |= child.acknowledged
    size = judged(Database(server.address(), schema), acknowledged)
    tell(f"PostgreSQL: its leader killed, {point.replace('_', ' ')}", kills, acknowledged, size)
    assert len(acknowledged) > kills


def test_a_leader_killed_at_random_loses_nothing_acknowledged(server, children):
    schema, kills, draw, acknowledged = new_schema(), 200 if NIGHTLY else 30, random.Random(2026), {}
    for run in range(kills):
        child = children(schema, f"{run}").heard("open")
        time.sleep(draw.uniform(0, 0.2))
        child.end()
        acknowledged |= child.acknowledged
    size = judged(Database(server.address(), schema), acknowledged)
    tell("PostgreSQL: its leader killed at random", kills, acknowledged, size)
    assert len(acknowledged) > kills


@pytest.mark.parametrize("point", [None, *POINTS])
def test_a_paused_leader_is_refused_once_another_took_over(server, children, point):
    """SIGSTOP, another leads, SIGCONT: whatever the old one was at, its indices are never given twice."""
    schema = new_schema()
    halts = {"point": point, "turn": 3, "halts": 0.7} if point else {}
    old = children(schema, "old", lease=1.0, **halts)
    old.heard("at" if point else "acknowledged")
    old.send(signal.SIGSTOP)
    new = children(schema, "new", lease=1.0, patience=30.0, entries=40).heard("acknowledged")
    old.send(signal.SIGCONT)
    old.heard("refused")
    new.heard("end")
    old.heard("fenced")
    old.end()
    both = old.acknowledged | new.acknowledged
    assert len(set(both.values())) == len(both)
    first = min(new.acknowledged.values())
    assert max(old.acknowledged.values(), default=-1) < first
    size = judged(Database(server.address(), schema), both)
    assert size >= len(both)
    tell("PostgreSQL: two sequencers", 1, both, size)


def test_postgresql_killed_under_load_loses_nothing_acknowledged(own_server, children):
    schema, kills, draw = new_schema(), 20 if NIGHTLY else 5, random.Random(2026)
    child = children(schema, "run", on=own_server, again=10.0).heard("acknowledged")
    for _ in range(kills):
        time.sleep(draw.uniform(0.1, 0.5))
        before = len(child.acknowledged)
        own_server.kill()
        port = own_server.port
        own_server.start(port)
        until(lambda: len(child.acknowledged) > before)  # noqa: B023 -- it is called at once
    child.end()
    size = judged(Database(own_server.address(), schema), child.acknowledged)
    tell("PostgreSQL killed under load", kills, child.acknowledged, size)
    assert "refused" in child.said


def test_a_build_that_acknowledges_before_it_commits_is_caught(server, children):
    schema, acknowledged = new_schema(), {}
    for run in range(5):
        wrong = {"point": "after_acknowledgement", "turn": run, "wrong": "acknowledged_before_commit"}
        child = children(schema, f"{run}", **wrong).heard("at")
        child.end()
        acknowledged |= child.acknowledged
    assert lost(Database(server.address(), schema), acknowledged) > 0


def test_a_build_that_does_not_sync_is_caught(own_server, children):
    missing = 0
    for run in range(10):
        schema = new_schema()
        child = children(schema, f"{run}", on=own_server, wrong="unsynced").heard("acknowledged")
        time.sleep(0.5)
        own_server.kill()
        child.end()
        own_server.start()
        missing += lost(Database(own_server.address(), schema), child.acknowledged)
        if missing:
            break
    assert missing > 0


def test_nodes_ship_and_record_while_postgresql_is_killed(own_server, tmp_path):
    """Decisions never wait: every append of the nodes is acknowledged while the database is down."""
    database = Database(own_server.address(), new_schema())
    nodes = [Node(tmp_path, name) for name in ("1", "2")]
    shippers = [Shipper(each.log, lambda: QueryStore(database, keys), now, PACE) for each in nodes]
    leaders = [
        Sequencer(database, ORIGIN, [LOG], [LOG.verifier], keys, lease=Lease(seconds=1, again=3), period=0.1)
        for _ in range(2)
    ]
    count, slowest, stop = [0, 0], [0.0, 0.0], threading.Event()

    def record(at):
        while not stop.is_set():
            begun = time.monotonic()
            nodes[at].log.append(full(f"{at} {count[at]}"), within=60)
            slowest[at] = max(slowest[at], time.monotonic() - begun)
            count[at] += 1
            time.sleep(0.002)

    threads = [threading.Thread(target=record, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    kills = 10 if NIGHTLY else 3
    for _ in range(kills):
        time.sleep(0.5)
        own_server.kill()
        before = list(count)
        until(lambda: all(now_ > then for now_, then in zip(count, before, strict=True)))  # noqa: B023 -- as above
        own_server.start(own_server.port)
    stop.set()
    for thread in threads:
        thread.join()
    store = until(lambda: reached(database))
    for at, each in enumerate(nodes):
        until(lambda: (found := store.position(each.origin)) and found.size == count[at])  # noqa: B023 -- as above
        assert store.verify(each.origin).size == count[at]
    until(lambda: not store.pending())
    places = [copy.place for copy in everything(store)]
    assert places == list(range(sum(count)))
    assert store.reports() == []
    slow = round(1000 * max(slowest))
    counted(
        "PostgreSQL killed while nodes ship", ends=kills, acknowledged=sum(count), lost=0, slowest_ms=slow
    )
    for each in (*shippers, *leaders):
        each.stop()
    lease = Lease(patience=20)
    with open_log(database, ORIGIN, [LOG], [LOG.verifier], lease=lease) as log, log.reading() as reading:
        assert audit(reading, reading.checkpoint(), ORIGIN, [LOG.verifier]).findings == ()
    store.close()
    for each in nodes:
        each.log.close()


def reached(database):
    try:
        return QueryStore(database, keys)
    except (CarnetError, Unavailable):
        return None


def everything(store):
    after = -1
    while page := store.found("a", [], after=after, limit=500):
        yield from page
        after = page[-1].place
