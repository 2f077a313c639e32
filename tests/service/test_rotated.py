"""Every rotation of a key is a leaf of the log: once, in order, also after a start that was cut short."""

import pytest

from carnet.model import leaf as leaves
from carnet.model.errors import Unavailable
from carnet.model.leaf import KeysRotated
from carnet.service import rotated, rotation
from carnet.service.audit import audited
from carnet.service.node import Node
from carnet.store.keyindex import read_statement
from carnet.store.keys import Keyring
from carnet.store.origins import seen
from carnet.store.policies import default_policy

ROLES = ("log", "api", "subjects", "log", "witness")


def rotations(home):
    """The leaves about keys, in the order of the log."""
    with seen(home) as now:
        found = [leaves.read(leaf) for leaf in now.reading.leaves(0, now.reading.size)]
    return [leaf for leaf in found if isinstance(leaf, KeysRotated)]


def rotate(home, hands, *roles):
    for role in roles:
        rotation.rotate(home, Keyring.open(home), role, hands.at)


def pairs(found):
    return [(each.role, each.old, each.new) for each in found]


@pytest.fixture
def data(opened, tmp_path):
    with opened():
        return tmp_path / "data"


def test_each_rotation_is_recorded_once_in_its_order_at_the_next_start(opened, data, hands, asked):
    assert rotations(data) == []
    rotate(data, hands, *ROLES)
    for _ in range(2):
        with opened() as node:
            node.determiner.determine("t1", asked(id="zoe.example")).receipt.result(20)
        found = rotations(data)
        assert pairs(found) == pairs(Keyring.open(data).rotations())
        assert [each.role for each in found] == list(ROLES)
    for leaf in found:
        if leaf.role in ("log", "witness"):
            said = read_statement(leaf.statement.encode())
            assert (said.role, str(said.new)) == (leaf.role, leaf.verifier)
        else:
            assert (leaf.verifier, leaf.statement) == (None, None)
    with seen(data) as now:
        assert audited(now).findings == ()
    rotate(data, hands, "api")
    with opened():
        pass
    assert len(rotations(data)) == len(ROLES) + 1


@pytest.mark.parametrize("cut", range(len(ROLES)))
def test_a_start_that_is_cut_short_between_two_is_gone_on_with(opened, data, hands, monkeypatch, cut):
    rotate(data, hands, *ROLES)
    record, count = rotated.recorded, iter(range(len(ROLES)))

    def killed(*given):
        if next(count) == cut:
            raise Unavailable("killed here")
        return record(*given)

    with monkeypatch.context() as patched:
        patched.setattr(rotated, "recorded", killed)
        with pytest.raises(Unavailable, match="killed here"):
            opened()
    assert len(rotations(data)) == cut
    with opened():
        pass
    assert pairs(rotations(data)) == pairs(Keyring.open(data).rotations())


def test_each_of_several_nodes_says_its_own_and_those_of_the_installation(tmp_path, rulebook, hands):
    data = tmp_path / "data"

    def start():
        for number in (1, 2):
            Node(data, rulebook, default_policy(), hands.clock(), number=number).close()

    start()
    rotate(data, hands, "api")
    rotate(data / "nodes" / "1", hands, "log", "subjects")
    start()
    start()
    ours = pairs(Keyring.open(data).rotations())
    own = pairs(Keyring.open(data / "nodes" / "1").rotations())
    assert pairs(rotations(data / "nodes" / "1")) == ours + own
    assert pairs(rotations(data / "nodes" / "2")) == ours
