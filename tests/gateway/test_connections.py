"""Bodies of requests are read to their end or not at all, and a connection is kept for whoever takes what is
written to it."""

import asyncio
import contextlib
import socket
import time

import pytest
from tests.gateway.stub import Caller, Raw, Served, serving, until
from tests.gateway.test_proxy import EVENTS, RAW_EVENTS, chunk, relaying
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from carnet.gateway.connections import Stalled, Writer

CHUNKED = [(b"transfer-encoding", b"chunked")]
PLAIN = {"http": HttpToolsProtocol}


async def test_a_body_in_chunks_is_read_whole(stub):
    stub.paths["/x"] = Served()
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(headers=CHUNKED, body=chunk(b"a" * 70_000))
        await asyncio.sleep(0.05)
        caller.writer.write(chunk(b"b") + b"0\r\n\r\n")
        assert await caller.head() == 200
    assert stub.requests[0].body == b"a" * 70_000 + b"b"
    assert stub.requests[0].value(b"content-length") == b"70001"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"content-length", b"101")], b""),
        ([(b"content-length", b"101")], b"a" * 101),
        (CHUNKED, chunk(b"a" * 60) + chunk(b"a" * 41)),
        (CHUNKED, chunk(b"a" * 1_000_000)),
    ],
)
async def test_a_body_that_is_too_large_goes_nowhere(stub, headers, body):
    stub.paths["/x"] = Served()
    async with relaying(stub.url, most=100) as relay, Caller(relay.port) as caller:
        caller.ask(body=b"a" * 100)
        assert await caller.head() == 200
        await caller.rest()
        caller.ask(headers=headers, body=body)
        assert await caller.head() == 502
    assert relay.became[1].code == "too_large"
    assert str(relay.became[1]) == "the body is too large: send at most `100` bytes"
    assert len(stub.requests) == 1


@pytest.mark.parametrize("headers", [CHUNKED, [(b"content-length", b"10")]])
async def test_a_body_that_comes_too_slowly_goes_nowhere(stub, headers):
    async with relaying(stub.url, seconds=0.2) as relay, Caller(relay.port) as caller:
        caller.ask(headers=headers, body=chunk(b"a") if headers is CHUNKED else b"a")
        assert await caller.head() == 502
    assert relay.became[0].code == "too_slow"
    assert stub.requests == []


@pytest.mark.parametrize("headers", [CHUNKED, [(b"content-length", b"10")]])
async def test_a_body_that_is_shorter_than_was_said_goes_nowhere(stub, headers):
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(headers=headers, body=chunk(b"abc") if headers is CHUNKED else b"abc")
        await asyncio.sleep(0.05)
        caller.writer.write_eof()
        assert await until(lambda: relay.became)
    assert relay.became[0].code == "gone"
    assert stub.requests == []


async def test_what_follows_a_body_is_no_part_of_it(stub):
    stub.paths["/x"] = Served()
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(headers=[(b"content-length", b"2")], body=b"{}")
        caller.ask(headers=[(b"content-length", b"3")], body=b"abcPOST /x HTTP/1.1\r\nhost: h\r\n\r\n")
        assert await until(lambda: len(relay.became) == 3)
    assert [asked.body for asked in stub.requests] == [b"{}", b"abc", b""]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"2"), (b"content-length", b"3")],
        [(b"content-length", b"2"), *CHUNKED],
        [(b"content-length", b"+2")],
        [(b"content-length", b"2_")],
        [(b"transfer-encoding", b"gzip")],
    ],
)
async def test_a_body_whose_length_is_not_certain_goes_nowhere(stub, headers):
    stub.paths["/x"] = Served()
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(headers=headers)
        assert await caller.head() == 400
    assert stub.requests == []
    assert all(became.code == "gone" for became in relay.became)


async def test_500_idle_connections_hold_nobody_up(stub):
    stub.paths["/x"] = Served((b"data: 1\n\n", 0.1, b"data: 2\n\n"), headers=EVENTS)
    async with relaying(stub.url) as relay, contextlib.AsyncExitStack() as held:
        idle = [await held.enter_async_context(Caller(relay.port)) for _ in range(500)]
        for caller in idle[::5]:
            caller.ask("/none")
            assert await caller.head() == 404
            await caller.rest()
        for caller in (idle[0], idle[1], idle[-1]):
            caller.ask()
            assert await caller.head() == 200
            assert await caller.rest() == (b"data: 1\n\ndata: 2\n\n", True)
        assert not any(caller.reader.at_eof() for caller in idle)


async def test_a_client_that_sent_the_next_request_already_is_seen_to_leave():
    with Raw(RAW_EVENTS, *[0.05, chunk(b"data: 1\n\n")] * 400) as raw:
        async with relaying(raw.url) as relay:
            async with Caller(relay.port) as caller:
                caller.ask()
                caller.ask()
                await caller.head()
                await anext(caller.pieces())
            assert await until(lambda: relay.became)
            assert await until(lambda: raw.requests[0].left is not None)
    assert [became.how for became in relay.became] == ["gone"]
    assert len(raw.requests) == 1


def little(writer):
    """The operating system takes no more than this many bytes for a reader who takes none."""
    sock = writer._link._transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)


async def test_the_next_direct_write_waits_until_all_of_the_last_is_in_the_socket():
    seen = []
    taking = asyncio.Event()

    async def app(scope, receive, send):
        writer = Writer(scope, send, 0.2)
        little(writer)
        await writer.start(200, [])
        await taking.wait()
        while not writer._link.pending:
            await writer.write(b"x" * 20_000)
        await writer.ready()
        seen.append(writer._link.pending)
        writer.direct()
        with pytest.raises(Stalled):
            await writer.ready()
        seen.append(writer._link.pending)
        await writer.ready(5.0)
        seen.append(writer._link.pending)
        await writer.write(b"", more=False)

    async with serving(app) as port, Caller(port, 4096) as caller:
        caller.ask()
        await caller.head()
        caller.writer.transport.pause_reading()
        taking.set()
        assert await until(lambda: len(seen) == 2)
        caller.writer.transport.resume_reading()
        body, whole = await caller.rest()
    assert whole
    assert body == b"x" * len(body)
    assert seen[0] > 0
    assert seen[1] > 0
    assert seen[2] == 0


@pytest.mark.parametrize("pause", [0.02, 20.0])
async def test_a_reader_is_waited_for_as_long_as_he_takes_anything(pause):
    ends = []

    async def app(scope, receive, send):
        writer = Writer(scope, send, 0.6)
        little(writer)
        await writer.start(200, [])
        writer.direct()
        await writer.write(b"x" * 400_000)
        began = time.monotonic()
        try:
            await writer.ready()
        except Stalled as stalled:
            ends.append(stalled)
            writer.abort()
            return
        ends.append(time.monotonic() - began)
        await writer.write(b"", more=False)

    async with serving(app) as port, Caller(port, 8192) as caller:
        caller.ask()
        await caller.head()
        with contextlib.suppress(ConnectionError):
            while not ends and await caller.reader.read(8192):
                await until(lambda: ends, pause)
    if pause == 20.0:
        assert isinstance(ends[0], Stalled)
    else:
        assert ends[0] > 0.6


@pytest.mark.parametrize("takes", [True, False])
async def test_the_rest_of_an_answer_is_kept_for_a_reader_as_long_as_he_takes_some(stub, takes):
    size = 8_000_000
    lost = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * size})
        link = scope["extensions"]["carnet.link"]["link"]
        assert await until(lambda: not link.pending)
        lost.append(time.monotonic())

    async with serving(app, timeout_keep_alive=1) as port, Caller(port, 4096) as caller:
        caller.ask()
        await caller.head()
        began, got = time.monotonic(), 0
        if not takes:
            assert await until(lambda: lost)
            assert lost[0] - began >= 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, EOFError):
            while got < size and (piece := await caller.reader.read(65_536)):
                got += len(piece)
                await asyncio.sleep(0.02 if takes else 0)
        assert (got >= size) == takes
        assert not takes or time.monotonic() - began > 1.2


async def test_an_answer_passes_through_a_server_that_knows_no_links(stub):
    stub.paths["/x"] = Served((b"data: 1\n\n", 0.1, b"data: 2\n\n"), headers=EVENTS)
    async with relaying(stub.url, server=PLAIN) as relay, Caller(relay.port) as caller:
        caller.ask()
        await caller.head()
        assert await caller.rest() == (b"data: 1\n\ndata: 2\n\n", True)
    assert relay.became[0].how == "whole"


async def test_a_reader_who_takes_nothing_is_left_by_such_a_server_too(stub):
    block = b"data: " + b"x" * 50_000 + b"\n\n"
    stub.paths["/x"] = Served((block for _ in iter(int, 1)), headers=EVENTS)
    async with (
        relaying(stub.url, server=PLAIN, stalled_seconds=0.5) as relay,
        Caller(relay.port, 4096) as caller,
    ):
        caller.ask()
        await caller.head()
        assert await until(lambda: relay.became)
        assert await until(lambda: stub.requests[0].left is not None)
    assert relay.became[0].how == "stalled"
