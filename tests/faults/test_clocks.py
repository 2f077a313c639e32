"""Clock jumps of a day and of ten years, both ways: while a clock is suspect nothing controlled is served, no
grant lasts longer, what is recorded says so, and all is well again once the clock is."""

import datetime as dt

import pytest
from tests.faults import serving
from tests.faults.counts import counted
from tests.faults.harness import times
from tests.faults.serving import ATLAS, DATA, FREE, asked, ready, recorded, refused, served, serves, until
from tests.service.conftest import FABLE, Hands
from tests.web.processes import stop

from carnet.model.leaf import Determined, Noticed
from carnet.model.time import instant
from carnet.service.node import Node
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook

pytestmark = pytest.mark.real

DAY, DECADE = 86_400.0, 3_652.5 * 86_400.0
JUMPS = (DAY, -DAY, DECADE, -DECADE)
"""By a day back, the letter was not in force yet; by ten years, no law is what it is."""


def put(folder, seconds):
    """The wall clock jumps, all at once."""
    (folder / "jump.new").write_text(str(seconds))
    (folder / "jump.new").replace(folder / "jump")


def jumped(server, folder, seconds, number):
    """What is asked while the clock is off, by clients whose clocks are right and by some on its machine; how
    much of it was controlled."""
    put(folder, seconds)
    off = dt.timedelta(seconds=seconds)
    for who in ("zoe.example", f"new-{number}.example"):
        for client in (dt.timedelta(), off):
            assert refused(asked(server, id=who, at=dt.datetime.now(dt.UTC) + client))
    assert "the clock is suspect" in ready(server)
    until(lambda: serves(server, FREE, id="dee.example"))
    until(lambda: asked(server, purpose="inquiry", id="zoe.example").status_code == 200)
    foreign = asked(server, id="bo.example", us_status="none", nationalities=["FR"])
    assert foreign.status_code == 503 or foreign.json()["action"] == "refuse"
    return 5


def test_while_a_clock_is_off_nothing_controlled_is_served_and_then_it_goes_on(tmp_path):
    rounds, controlled = times(1, 10), 0
    with served(tmp_path, prelude=serving.CLOCK) as server:
        until(lambda: serves(server, ATLAS, id="zoe.example"))
        for number in range(rounds):
            for seconds in JUMPS:
                controlled += jumped(server, tmp_path, seconds, number)
                put(tmp_path, 0)
                assert serves(server, ATLAS, id="zoe.example"), "it does not go on by itself"
                assert ready(server) is None
        assert stop(server) == 0
    found = recorded(tmp_path / DATA)
    suspect, before, ends, back = False, instant(found[0].at), set(), 0
    for leaf in found:
        if isinstance(leaf, Noticed):
            assert leaf.what == ("clock_right" if suspect else "clock_suspect")
            suspect = not suspect
        else:
            back += instant(leaf.at) < before - dt.timedelta(seconds=0.5)
        if isinstance(leaf, Determined) and leaf.grant is not None:
            assert not suspect
            ends.add(leaf.grant.until)
        before = instant(leaf.at)
    jumps = rounds * len(JUMPS)
    notices = sum(isinstance(leaf, Noticed) for leaf in found)
    counted("the clock jumps", jumps=jumps, refused=controlled, noticed=notices, served=0, unnoticed=back)
    assert notices == 2 * jumps
    assert back == 0, "time ran backwards and nothing on record says why"
    assert len(ends) == 1, "a jump changed when grants end"


@pytest.mark.parametrize("seconds", JUMPS)
@pytest.mark.parametrize("passes", [True, False])
def test_a_grant_ends_by_the_stricter_clock(tmp_path, seconds, passes):
    """Its time passes while the wall clock is off, or the wall clock alone is past it."""
    hands, rulebook = Hands(), load_rulebook()
    with Node(tmp_path / "data", rulebook, default_policy(), hands.clock()) as node:

        def request():
            said = serving.transaction(FABLE, hands.at, id="zoe.example")
            said["item"]["provider"] = said["exporter"]["id"] = "anthropic"
            return serving.read(said)

        pending = node.determiner.determine("a", request())
        pending.receipt.result(20)
        until_ = instant(pending.determined.until)
        left = (until_ - hands.at).total_seconds()
        if passes:
            hands.go(10)
            hands.at += dt.timedelta(seconds=seconds)
            hands.go(left - 10)
        else:
            hands.at += dt.timedelta(seconds=seconds)
        assert node.meeting.use("a", request()) is None, "while it is suspect, every use is decided"
        node.grants.flush()
        over = passes or hands.at >= until_
        assert len(node.grants) == (0 if over else 1)
        hands.at -= dt.timedelta(seconds=seconds)
        found = node.meeting.use("a", request())
        assert (found is None) == over
