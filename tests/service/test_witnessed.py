"""A node and its witness, over a real socket: a log that was put back is found before it goes on, and without
its witness nothing controlled is served."""

import shutil
import time
from contextlib import contextmanager

import msgspec
import pytest
from tests.service.conftest import FABLE
from tests.witness.logs import KEY, serving

from carnet.ledger import witness
from carnet.model import leaf as leaves
from carnet.model.errors import InputError, Unavailable
from carnet.model.leaf import Continued, Determined, KeysRotated
from carnet.service.continuing import continued
from carnet.service.node import Node
from carnet.service.retention import writing
from carnet.store.exchange import Reply, exchange
from carnet.store.keys import Keyring
from carnet.store.policies import default_policy
from carnet.store.witness import Memory
from carnet.web.witness import app

OPUS = "anthropic/claude-opus-4-8"
CITIZEN = {"id": "zoe.example", "us_status": "citizen"}
STOP = 600


class World:
    """A data directory, a witness that may be down, and the node between them."""

    def __init__(self, folder, rulebook, hands):
        self.data, self.rulebook, self.hands = folder / "data", rulebook, hands
        self.memory, self.port = Memory.create(folder), 0
        Keyring.create(self.data, "log.example/main", hands.at)
        self.logs = {"log.example/main": Keyring.open(self.data).verifiers("log")}

    @contextmanager
    def witness(self):
        """The witness answers, always at the same place, by the node's time."""
        application = app(self.memory, [KEY], self.logs, now=lambda: int(self.hands.at.timestamp()))
        with serving(application, port=self.port) as url:
            self.port = int(url.rpartition(":")[2])
            (self.data / "witnesses.toml").write_text(
                f"need = 1\nwithin_seconds = 1\nalarm_seconds = 60\nstop_seconds = {STOP}\n"
                f'[[witness]]\nkey = "{KEY.verifier}"\nurl = "{url}"\n'
            )
            yield url

    def node(self, **more):
        return Node(self.data, self.rulebook, default_policy(), self.hands.clock(), **more)

    def seen(self):
        """How many records the witness has seen."""
        found = self.memory.remembered("log.example/main")
        return 0 if found is None else found.size


@pytest.fixture
def world(tmp_path, rulebook, hands):
    made = World(tmp_path, rulebook, hands)
    yield made
    made.memory.close()


def until(true, within=40):
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def size(node):
    with node.log.reading() as reading:
        return reading.size


def record(node, asked, product=FABLE, **more):
    pending = node.determiner.determine("t1", asked(product, **{**CITIZEN, **more}))
    pending.receipt.result(20)
    return pending.determined


def test_a_log_that_was_put_back_is_found_before_anything_is_appended(world, asked, tmp_path):
    with world.witness():
        with world.node() as node:
            record(node, asked, OPUS)
        shutil.copytree(world.data, tmp_path / "old")
        with world.node() as node:
            record(node, asked, OPUS)
            record(node, asked, OPUS)
            until(lambda: world.seen() == 3)
        shutil.rmtree(world.data)
        shutil.move(tmp_path / "old", world.data)
        Keyring.open(world.data).rotate("api", world.hands.at)  # a start would append that
        with world.node() as node:
            assert size(node) == 1
            for product in (FABLE, OPUS):
                with pytest.raises(Unavailable, match="rolled back, append nothing and continue it"):
                    record(node, asked, product)
            assert node.meeting.use("t1", asked(**CITIZEN)) is None
            assert size(node) == 1
            assert node.log.trouble is not None
        assert world.seen() == 3
    with world.node() as node, pytest.raises(Unavailable, match="rolled back"):
        record(node, asked, OPUS)  # the witness is down, and what it has proved is known
    (world.data / "witnesses.toml").unlink()
    with world.node() as node, pytest.raises(Unavailable, match="rolled back"):
        record(node, asked, OPUS)
    with pytest.raises(Unavailable, match="rolled back"), writing(world.data):
        pass  # no hold, no destruction
    with world.witness():
        continued(world.data, "log.example/second", world.hands.clock())
        with world.node() as node:
            with node.log.reading() as reading:
                found = [type(leaves.read(leaf)) for leaf in reading.leaves(0, reading.size)]
            assert found == [Determined, Continued, KeysRotated]
            assert record(node, asked, OPUS).action == "serve"


def test_what_a_witness_only_said_ends_without_hands(world, asked):
    """It says that it has seen more and shows nothing; later it cosigns."""
    lies = [True]

    def ask(method, url, body=None):
        if not lies[0]:
            return exchange(method, url, body)
        if method == "GET":
            return Reply(404, "text/plain", b"")
        return Reply(409, witness.SIZE_TYPE, b"99\n")

    with world.witness(), world.node(ask=ask) as node:
        with pytest.raises(Unavailable, match="has seen 99 records and the log has 0"):
            record(node, asked)
        assert size(node) == 0
        lies[0] = False
        until(lambda: node.log.trouble is None and node.forbids() is None)
        assert record(node, asked).action == "serve"


def test_without_its_witness_nothing_controlled_is_served_until_it_is_back(world, asked):
    """By the node's own clock: it is June there."""
    with world.witness():
        node = world.node()
        assert record(node, asked).grant is not None
        until(lambda: world.seen() == 1)
    try:
        world.hands.go(STOP - 60)
        assert node.meeting.use("t1", asked(**CITIZEN)) is not None
        assert record(node, asked, id="eve").action == "serve"
        world.hands.go(120)
        before = size(node)
        for who in ("zoe.example", "eve", "new"):
            assert node.meeting.use("t1", asked(**{**CITIZEN, "id": who})) is None
            with pytest.raises(Unavailable, match="nothing controlled is served") as caught:
                record(node, asked, id=who)
            assert "CFR" not in str(caught.value)
        assert size(node) == before
        assert record(node, asked, OPUS).action == "serve"
        asking = msgspec.structs.replace(asked(**CITIZEN), purpose="inquiry")
        node.determiner.determine("t1", asking).receipt.result(20)
        foreign = asked(id="bo", us_status="none", nationalities=["FR"])
        assert node.determiner.determine("t1", foreign).determined.action == "refuse"
        assert node.forbids() is not None
        with world.witness():
            until(lambda: node.forbids() is None)
            assert node.meeting.use("t1", asked(**CITIZEN)) is not None
            assert record(node, asked, id="new").action == "serve"
    finally:
        node.close()


def test_a_start_knows_how_long_ago_the_log_was_witnessed(world, asked):
    with world.witness(), world.node() as node:
        record(node, asked)
        until(lambda: world.seen() == 1)
    with world.node() as node:
        assert node.forbids() is None
    world.hands.go(STOP + 1)
    with world.node() as node:
        assert node.forbids() is not None


def test_a_log_that_was_never_witnessed_is_cosigned_before_it_serves(world):
    with world.witness(), world.node() as node:
        assert node.forbids() is None


def test_a_list_of_witnesses_that_can_not_be_read_keeps_a_node_from_starting(world):
    (world.data / "witnesses.toml").write_text("need = 1\n")
    with pytest.raises(InputError, match="need"):
        world.node()
    (world.data / "witnesses.toml").unlink()
    (world.data / "witnesses.toml").mkdir()
    with pytest.raises(InputError, match="can't be read"):
        world.node()
