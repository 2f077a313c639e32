"""Every stream that is cut is marked before anything else happens: no byte of its upstream follows, and its
reader is told."""

import asyncio
import re
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.stub import Caller, Raw, Served, until
from tests.gateway.test_proxy import EVENTS, RAW_EVENTS, chunk, last, relaying

from carnet.gateway.streams import Boundary, Streams, Waking

NOTICE = b"event: cut\ndata: {}\n\n"
STAMPED = re.compile(rb"data: ([0-9.]+)\n\n")


def notice(stream):
    return NOTICE if stream.boundary.here else b"\n\n" + NOTICE


def refused(stream):
    return b"data: refused\n\n"


async def never(stream):
    raise AssertionError("nothing is to be decided anew")


def streams(allows=lambda stream: True, settle=never):
    return Streams(allows, settle, refused)


def everything(stream):
    return True


def stamped():
    """An event with the time at which its upstream sent it."""
    return f"data: {time.monotonic()}\n\n".encode()


def ticking(pause):
    """Such events, for ever."""
    while True:
        yield stamped
        yield pause


def bodies(relay):
    return [(at, message["body"]) for at, message in relay.handed if message.get("body")]


async def test_no_byte_follows_the_cut_of_200_live_streams_and_every_reader_is_told(stub):
    open_ = streams()
    async with relaying(stub.url, open_) as relay:
        callers = [Caller(relay.port) for _ in range(200)]
        for number, caller in enumerate(callers):
            stub.paths[f"/{number}"] = Served(ticking(0.1), headers=EVENTS)
            await caller.__aenter__()
            caller.ask(f"/{number}")
        read = []
        for caller in callers:
            assert await caller.head() == 200
            read.append(asyncio.create_task(caller.rest()))
        assert await until(lambda: len(bodies(relay)) > 800)
        assert len(open_) == 200

        cut = open_.cut(everything, notice)
        returned = time.monotonic()
        assert (cut.count, cut.told, cut.lost, cut.seconds) == (200, 0, 0, 0.0)
        await cut.finished()
        assert (cut.told, cut.lost, cut.open) == (200, 0, 0)
        assert 0 < cut.seconds <= time.monotonic() - returned + 1

        for text, whole in await asyncio.gather(*read):
            assert whole
            assert text.endswith(NOTICE)
            events = text.removesuffix(NOTICE)
            assert STAMPED.sub(b"", events) == b""
            assert all(float(at) < returned for at in STAMPED.findall(events))
        after = [body for at, body in bodies(relay) if at > returned]
        assert after == [NOTICE] * 200
        assert await until(lambda: all(asked.left is not None for asked in stub.requests))
        assert len(open_) == 0
        for caller in callers:
            caller.leave()
    assert {became.how for became in relay.became} == {"cut"}


async def test_only_what_is_selected_is_cut_and_only_once(stub):
    open_ = streams()
    gate = threading.Event()
    for path in ("/a", "/b"):
        stub.paths[path] = Served((b"data: 1\n\n", gate, b"data: 2\n\n"), headers=EVENTS)
    async with relaying(stub.url, open_) as relay, Caller(relay.port) as a, Caller(relay.port) as b:
        for caller, path in ((a, "/a"), (b, "/b")):
            caller.ask(path)
            await caller.head()
        assert await until(lambda: len(bodies(relay)) == 2)
        cuts = [open_.cut(lambda stream: stream.path == "/a", notice) for _ in range(2)]
        assert [cut.count for cut in cuts] == [1, 0]
        for cut in cuts:
            await cut.finished()
        assert await a.rest() == (b"data: 1\n\n" + NOTICE, True)
        gate.set()
        assert await b.rest() == (b"data: 1\n\ndata: 2\n\n", True)
    assert [became.how for became in relay.became] == ["cut", "whole"]


async def test_a_cut_of_nothing_is_finished():
    cut = streams().cut(everything, notice)
    await cut.finished()
    assert (cut.count, cut.told, cut.lost, cut.seconds) == (0, 0, 0, 0.0)


async def test_a_cut_in_the_middle_of_an_event_leaves_that_out():
    open_ = streams()
    with Raw(RAW_EVENTS, chunk(b"data: 1\n\ndata: ha"), 20.0) as raw:
        async with relaying(raw.url, open_) as relay, Caller(relay.port) as caller:
            caller.ask()
            await caller.head()
            assert await until(lambda: bodies(relay))
            await open_.cut(everything, notice).finished()
            assert await caller.rest() == (b"data: 1\n\n" + NOTICE, True)


async def test_what_is_cut_before_its_head_is_unsent_and_whoever_refuses_it_says_so():
    open_ = streams()
    with Raw(20.0) as raw:
        async with relaying(raw.url, open_) as relay, Caller(relay.port) as caller:
            caller.ask()
            assert await until(lambda: raw.requests)
            cut = open_.cut(everything, notice)
            await cut.finished()
            assert await caller.head() == 403
            assert await caller.rest() == (b"refused", True)
            assert await until(lambda: raw.requests[0].left is not None)
    assert (cut.told, cut.lost) == (1, 0)
    assert (relay.became[0].how, relay.became[0].status, relay.became[0].sent) == ("unsent", None, 0)


async def test_what_is_cut_before_it_is_asked_for_never_reaches_the_upstream(stub):
    open_ = Streams(lambda stream: False, never, refused)

    async def settle(stream):
        open_.cut(lambda one: one is stream, notice)

    open_.settle = settle
    async with relaying(stub.url, open_) as relay, Caller(relay.port) as caller:
        caller.ask()
        assert await caller.head() == 403
    assert relay.became[0].how == "unsent"
    assert stub.requests == []


@pytest.mark.parametrize("length", [[], [(b"content-length", b"1000")]])
async def test_an_answer_without_events_that_is_cut_is_not_taken_for_a_whole_one(stub, length):
    open_ = streams()
    stub.paths["/x"] = Served((b'{"text": "', 20.0), headers=length)
    async with relaying(stub.url, open_) as relay, Caller(relay.port) as caller:
        caller.ask()
        await caller.head()
        assert await until(lambda: bodies(relay))
        cut = open_.cut(everything, notice)
        await cut.finished()
        body, whole = await caller.rest()
        assert not whole
        assert body in {b"", b'{"text": "'}
        assert await until(lambda: stub.requests[0].left is not None)
    assert (cut.told, cut.lost, cut.seconds) == (0, 1, 0.0)
    assert relay.became[0].how == "cut"


async def test_a_reader_who_takes_nothing_is_lost_to_a_cut_and_the_others_are_told(stub):
    open_ = streams()
    flood = b"data: " + b"x" * 60_000 + b"\n\n"
    stub.paths["/flood"] = Served((flood for _ in iter(int, 1)), headers=EVENTS)
    stub.paths["/x"] = Served((b"data: 1\n\n", 20.0), headers=EVENTS)
    async with (
        relaying(stub.url, open_, stalled_seconds=1.0) as relay,
        Caller(relay.port, 4096) as deaf,
        Caller(relay.port) as caller,
        Caller(relay.port) as gone,
    ):
        for one, path in ((deaf, "/flood"), (caller, "/x"), (gone, "/x")):
            one.ask(path)
            await one.head()
        handed = -1
        while handed < (handed := len(bodies(relay))):  # noqa: ASYNC110 -- nobody says that a reader is full
            await asyncio.sleep(0.3)
        gone.leave()
        cut = open_.cut(everything, notice)
        handed = len(bodies(relay))
        assert await caller.rest() == (b"data: 1\n\n" + NOTICE, True)
        await cut.finished()
        assert len(bodies(relay)) <= handed + 2
    assert cut.count == 3
    assert cut.told in {1, 2}  # one who leaves at the same moment may be written to or not
    assert cut.lost == 3 - cut.told


async def test_a_stream_that_may_not_go_on_is_stopped_without_a_byte_more(stub):
    allowed, gate = [True], threading.Event()
    open_ = Streams(lambda stream: allowed[0], never, refused)
    stub.paths["/x"] = Served((b"data: 1\n\n", gate, b"data: 2\n\n", 20.0), headers=EVENTS)

    async def settle(stream):
        await asyncio.sleep(0.05)
        stream.marked = True

    open_.settle = settle
    async with relaying(stub.url, open_) as relay, Caller(relay.port) as caller:
        caller.ask()
        await caller.head()
        assert await until(lambda: bodies(relay))
        allowed[0] = False
        gate.set()
        assert await caller.rest() == (b"data: 1\n\ndata: refused\n\n", True)
        assert await until(lambda: stub.requests[0].left is not None)
    assert (relay.became[0].how, relay.became[0].sent) == ("cut", 9)


async def test_a_stream_that_is_decided_about_anew_waits_for_that_and_goes_on(stub):
    now, gate, settled = [0], threading.Event(), []
    open_ = Streams(lambda stream: stream.turn == now[0], never, refused)
    stub.paths["/x"] = Served((b"data: 1\n\n", gate, b"data: 2\n\n"), headers=EVENTS)

    async def settle(stream):
        settled.append(len(bodies(relay)))
        await asyncio.sleep(0.05)
        stream.turn = now[0]

    open_.settle = settle
    async with relaying(stub.url, open_) as relay, Caller(relay.port) as caller:
        caller.ask()
        await caller.head()
        assert await until(lambda: bodies(relay))
        now[0] = 1
        gate.set()
        assert await caller.rest() == (b"data: 1\n\ndata: 2\n\n", True)
    assert settled == [1]
    assert relay.became[0].how == "whole"


async def test_what_waits_for_a_decision_is_cut_and_left_as_anything_else(stub):
    allowed, asked = [True], []
    open_ = Streams(lambda stream: allowed[0], never, refused)
    for path in ("/a", "/b"):
        stub.paths[path] = Served(ticking(0.05), headers=EVENTS)

    async def settle(stream):
        asked.append(stream)
        await asyncio.sleep(20)

    open_.settle = settle
    async with relaying(stub.url, open_) as relay, Caller(relay.port) as a, Caller(relay.port) as b:
        for caller, path in ((a, "/a"), (b, "/b")):
            caller.ask(path)
            await caller.head()
        allowed[0] = False
        assert await until(lambda: len(asked) == 2)
        b.leave()
        assert await until(lambda: relay.became)
        cut = open_.cut(everything, notice)
        await cut.finished()
        assert (await a.rest())[0].endswith(NOTICE)
    assert [became.how for became in relay.became] == ["gone", "cut"]
    assert (cut.count, cut.told) == (1, 1)


async def test_a_stream_that_broke_off_and_may_not_go_on_is_cut():
    allowed = [True]
    open_ = Streams(lambda stream: allowed[0], never, refused)
    gate = threading.Event()

    async def settle(stream):
        open_.cut(everything, notice)

    open_.settle = settle
    with Raw(RAW_EVENTS, chunk(b"data: 1\n\n"), gate) as raw:
        async with relaying(raw.url, open_, broken=last) as relay, Caller(relay.port) as caller:
            caller.ask()
            await caller.head()
            assert await until(lambda: bodies(relay))
            allowed[0] = False
            gate.set()
            assert await caller.rest() == (b"data: 1\n\n" + NOTICE, True)
    assert relay.became[0].how == "cut"


@given(st.lists(st.text("\n\rd", max_size=5), max_size=8))
def test_where_an_event_ends_is_known_however_the_text_is_cut_in_pieces(parts):
    boundary = Boundary()
    assert boundary.here
    for part in parts:
        boundary.took(part.encode())
    assert boundary.here == ("\n\n" + "".join(parts)).endswith(("\n\n", "\r\r", "\n\r\n"))


async def waiting(log, raised):
    """A task that is woken, by whom it finds out."""
    waking = Waking()
    raised.append(waking)
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        log.append(waking.mine())
        raise


@pytest.mark.parametrize(
    ("others", "wakes", "mine"), [(0, 1, True), (0, 2, True), (1, 0, False), (1, 1, False), (1, 2, False)]
)
async def test_a_task_knows_whether_it_was_woken_or_cancelled_by_those_who_run_it(others, wakes, mine):
    log, wakings = [], []
    task = asyncio.create_task(waiting(log, wakings))
    await asyncio.sleep(0)
    for _ in range(wakes):
        wakings[0].leave()
    for _ in range(others):
        task.cancel()
    await asyncio.wait([task])
    assert log == [mine]
    assert wakings[0].gone == (wakes > 0)
    assert task.cancelling() == others


async def test_nobody_wakes_a_task_that_is_over():
    log, wakings = [], []
    task = asyncio.create_task(waiting(log, wakings))
    await asyncio.sleep(0)
    wakings[0].over()
    wakings[0].wake()
    assert task.cancelling() == 0
    task.cancel()
    await asyncio.wait([task])
    assert log == [False]
