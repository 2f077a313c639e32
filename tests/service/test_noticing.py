"""A clock that is off is on record before whatever was made by it, once for each time; and what is controlled
by either of the two clocks is not served."""

import datetime as dt

import pytest
from tests.faults.disk import Disk
from tests.ledger.memory import LOG, ORIGIN
from tests.service.conftest import FABLE

from carnet.model import leaf as leaves
from carnet.model.errors import InputError, Unavailable
from carnet.model.leaf import Noticed
from carnet.service.clock import Clock
from carnet.service.noticing import ClockWatch
from carnet.store.sqlite.log import open_log

DAY, DECADE = dt.timedelta(days=1), dt.timedelta(days=3653)
OPUS = "anthropic/claude-opus-4-8"
CITIZEN = {"id": "zoe.example", "us_status": "citizen"}


def leaves_of(log):
    with log.reading() as reading:
        return [leaves.read(leaf) for leaf in reading.leaves(0, reading.size)]


def recorded(node, request):
    pending = node.determiner.determine("t1", request)
    pending.receipt.result(20)
    return pending.determined


def test_a_jump_and_its_end_are_on_record_before_what_follows_them(node, asked, hands):
    recorded(node, asked(OPUS))
    hands.at -= DAY
    for _ in range(3):
        recorded(node, asked(OPUS))
    hands.at += DAY
    recorded(node, asked(OPUS))
    found = leaves_of(node.log)
    said = [getattr(leaf, "what", type(leaf).__name__) for leaf in found]
    assert said == [
        "Determined",
        "clock_suspect",
        *["Determined"] * 3,
        "clock_right",
        "Determined",
    ]
    assert [leaf.figures["skew_milliseconds"] for leaf in found if isinstance(leaf, Noticed)] == [
        -86_400_000,
        0,
    ]


def test_a_start_by_a_clock_before_the_last_record_is_on_record(opened, asked, hands):
    with opened() as node:
        recorded(node, asked(OPUS))
    last, hands.at = hands.at, hands.at - DAY
    with opened(hands.clock(last)) as node:
        with pytest.raises(Unavailable, match="the clock is suspect"):
            recorded(node, asked(**CITIZEN))
        recorded(node, asked(OPUS))
        _, notice, _ = leaves_of(node.log)
        assert (type(notice), notice.what) == (Noticed, "clock_suspect")


def test_what_could_not_be_recorded_is_tried_at_the_next_reading(tmp_path, hands):
    disk = Disk()
    with open_log(tmp_path / "log.db", ORIGIN, [LOG], [LOG.verifier], vfs=disk.name) as log:
        clock = Clock(lambda: hands.at, lambda: hands.passed)
        clock.watch(ClockWatch(log))
        hands.at += DAY
        disk.full = True
        clock.read()
        while log.trouble is None:
            pass
        disk.full = False
        while not leaves_of(log):
            clock.read()
        for _ in range(20):
            clock.read()
    with open_log(tmp_path / "log.db", ORIGIN, [LOG], [LOG.verifier]) as log:
        assert [leaf.what for leaf in leaves_of(log)] == ["clock_suspect"]
    disk.unregister()


@pytest.mark.parametrize("jump", [DAY, -DAY, DECADE, -DECADE], ids=str)
@pytest.mark.parametrize("client", ["is right", "has the same clock"])
def test_what_either_clock_controls_is_not_served_and_the_rest_is(node, asked, hands, jump, client):
    """A day before, the letter was not there; by ten years, it is not in force either."""
    right = asked(**CITIZEN), asked(OPUS), asked(FABLE, "inquiry", **CITIZEN)
    hands.at += jump
    use, free, inquiry = (
        right if client == "is right" else (asked(**CITIZEN), asked(OPUS), asked(FABLE, "inquiry", **CITIZEN))
    )
    with pytest.raises(Unavailable, match="the clock is suspect"):
        recorded(node, use)
    assert node.meeting.use("t1", use) is None
    assert recorded(node, free).action in ("serve", "ask")
    assert recorded(node, inquiry).grant is None


def test_an_instant_that_is_now_by_neither_clock_is_refused(node, asked, hands):
    hands.at += DAY / 2
    late = asked(OPUS)
    hands.at += DAY
    with pytest.raises(InputError, match="is not now"):
        recorded(node, late)
