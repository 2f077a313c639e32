"""A request goes on and its answer comes back as they are, piece by piece, and each way in which that can end
is known by its name."""

import asyncio
import contextlib
import gzip
import os
import threading
import time

import pytest
from tests.gateway.stub import Caller, Raw, Relay, Served, serving, until

from carnet.gateway.headers import BadHeaders
from carnet.gateway.upstreams import Reached, Upstream, UpstreamError

EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]
RAW_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def relaying(url, streams=None, reached=(), server=(), **more):
    upstream = Upstream(Reached(name="u", url=url, **dict(reached)))
    relay = Relay(upstream, streams, **more)
    try:
        async with serving(relay, **dict(server)) as relay.port:
            yield relay
    finally:
        await upstream.close()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def last(between):
    """The end of a stream that broke off."""
    return b"data: broken\n\n" if between else b"\n\ndata: broken\n\n"


async def test_a_plain_answer_and_its_request_pass_byte_for_byte(stub):
    sent, pieces = os.urandom(100_000), [os.urandom(size) for size in (1, 70_000, 200_000)]
    length = (b"content-length", b"270001")
    stub.paths["/x"] = Served(pieces, 418, [(b"x-b", b"1"), length, (b"x-a", "ä".encode()), (b"x-b", b"2")])
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(body=sent)
        assert await caller.head() == 418
        assert [one for one in caller.headers if one[0].startswith(b"x-") or one == length] == [
            (b"x-b", b"1"),
            length,
            (b"x-a", "ä".encode()),
            (b"x-b", b"2"),
        ]
        assert await caller.rest() == (b"".join(pieces), True)
    assert stub.requests[0].body == sent
    (became,) = relay.became
    assert (became.how, became.status, became.sent) == ("whole", 418, 270_001)


async def test_an_event_passes_before_the_next_is_sent(stub):
    first, second = threading.Event(), threading.Event()
    events = [b"data: 1\n\n", b"data: 2\r\n\r\n", b": note\ndata: 3\r\r"]
    stub.paths["/x"] = Served((events[0], first, events[1], second, events[2]), headers=EVENTS)
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask()
        assert await caller.head() == 200
        pieces = caller.pieces()
        assert await anext(pieces) == events[0]
        first.set()
        assert await anext(pieces) == events[1]
        second.set()
        assert [piece async for piece in pieces] == events[2:]
    assert relay.became[0].how == "whole"


async def test_the_answers_of_both_apis_pass_as_they_are(stub):
    async with relaying(stub.url) as relay, Caller(relay.port) as caller, Caller(stub.port) as straight:
        for path in ("/v1/messages", "/v1/chat/completions"):
            for body in (b"{}", b'{"stream": true}'):
                found = []
                for one in (caller, straight):
                    one.ask(path, body=body, headers=[(b"stub-events", b"5")])
                    found.append((await one.head(), await one.rest()))
                assert found[0] == found[1]
                assert found[0][1][0].count(b"stub ") == 5
    assert [became.how for became in relay.became] == ["whole"] * 4


async def test_gzip_passes_as_it_is_with_its_name(stub):
    packed = gzip.compress(b"text " * 1000)
    stub.paths["/x"] = Served((packed,), headers=[(b"content-encoding", b"gzip")])
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(headers=[(b"accept-encoding", b"gzip, br")])
        await caller.head()
        assert await caller.rest() == (packed, True)
        assert (b"content-encoding", b"gzip") in caller.headers
    assert stub.requests[0].value(b"accept-encoding") == b"gzip, br"


async def test_keys_cookies_and_what_is_between_neighbours_pass_neither_way(stub):
    secret = [
        (b"authorization", b"Bearer of-caller"),
        (b"X-Api-Key", b"of-caller"),
        (b"cookie", b"of-caller=1"),
        (b"x-carnet-end-user", b"of-caller"),
        (b"X_Carnet_Pass", b"of-caller"),
        (b"connection", b"keep-alive, x-between"),
        (b"x-between", b"of-caller"),
        (b"te", b"trailers"),
    ]
    back = [
        (b"set-cookie", b"of-upstream=1"),
        (b"x-carnet-record", b"of-upstream"),
        (b"proxy-authenticate", b"of-upstream"),
        (b"keep-alive", b"timeout=5"),
    ]
    stub.paths["/x"] = Served(headers=back)
    added = [(b"x-carnet-record", b"of-carnet")]
    reached = {"key": "of-operator"}
    async with relaying(stub.url, reached=reached, added=added) as relay, Caller(relay.port) as caller:
        caller.ask(headers=secret)
        await caller.head()
        assert await caller.rest() == (b"{}", True)
    (asked,) = stub.requests
    assert {name for name, _ in asked.headers} == {b"host", b"authorization", b"content-length"}
    assert asked.value(b"authorization") == b"Bearer of-operator"
    assert not any(b"of-caller" in value for _, value in asked.headers)
    assert [one for one in caller.headers if one[0].startswith(b"x-carnet")] == added
    assert not any(b"of-upstream" in value or name == b"keep-alive" for name, value in caller.headers)


@pytest.mark.parametrize("held", [b"a\x01b", b"a\x7f", b"a\rx-injected: 1", b"a\0", b"\xff"])
async def test_a_header_that_could_be_two_never_goes_on(stub, held):
    stub.paths["/x"] = Served()
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        caller.ask(headers=[(b"x-a", held)])
        assert await caller.head() in {400, 502}
    assert stub.requests == []
    assert all(isinstance(became, BadHeaders) for became in relay.became)


@pytest.mark.parametrize("line", [b"X: a\x01b", b"X: a\xff", b"X{}: a", b"X: a\r\n: b"])
async def test_a_header_that_could_be_two_never_comes_back(line):
    with Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + line + b"\r\n\r\n", 20.0) as raw:
        async with relaying(raw.url) as relay, Caller(relay.port) as caller:
            caller.ask()
            assert await caller.head() == 502
    assert relay.became[0].kind == "unreadable"


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ((b"HTTP/1.1 200 OK\r\n", 20.0), "timed_out"),
        ((), "broke_off"),
        ((b"SSH-2.0\r\n\r\n",), "unreadable"),
    ],
)
async def test_what_goes_wrong_before_the_head_is_raised_and_nothing_is_sent(steps, kind):
    with Raw(*steps) as raw:
        reached = {"answer_seconds": 0.2, "connect_seconds": 0.2} if kind == "timed_out" else {}
        async with relaying(raw.url, reached=reached) as relay, Caller(relay.port) as caller:
            caller.ask()
            assert await caller.head() == 502
    (became,) = relay.became
    assert isinstance(became, UpstreamError)
    assert became.kind == kind
    assert relay.handed == []


async def test_a_plain_answer_that_breaks_off_is_not_taken_for_a_whole_one():
    for head in (b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        with Raw(b"HTTP/1.1 200 OK\r\n" + head, 0.3) as raw:
            async with relaying(raw.url, broken=last) as relay, Caller(relay.port) as caller:
                caller.ask()
                assert await caller.head() == 200
                assert await caller.rest() == (b"abc", False)
        assert (relay.became[0].how, relay.became[0].sent) == ("broken", 3)


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n", b"zz\r\n"])
@pytest.mark.parametrize("data", [b"data: 1\n\n", b"data: 1\n\ndata: 2"])
async def test_a_stream_that_ends_in_an_event_or_before_its_end_gets_a_last_event(data, end):
    between = data.endswith(b"\n\n")
    with Raw(RAW_EVENTS, chunk(data), 0.3, end) as raw:
        async with relaying(raw.url, broken=last) as relay, Caller(relay.port) as caller:
            caller.ask()
            await caller.head()
            body, whole = await caller.rest()
    assert whole
    if between and end.startswith(b"0"):
        assert (relay.became[0].how, body) == ("whole", data)
    else:
        assert (relay.became[0].how, body) == ("broken", b"data: 1\n\n" + last(between=True))


async def test_a_stream_that_breaks_off_just_ends_where_nobody_says_how_it_is_told():
    with Raw(RAW_EVENTS, chunk(b"data: 1\n\n"), 0.3) as raw:
        async with relaying(raw.url) as relay, Caller(relay.port) as caller:
            caller.ask()
            await caller.head()
            assert await caller.rest() == (b"data: 1\n\n", False)
    assert relay.became[0].how == "broken"


@pytest.mark.parametrize(
    "steps", [(20.0,), (b"data: 1\n\n", 20.0), (b"data: 1\n\n", *[0.05, b"data: 2\n\n"] * 400)]
)
async def test_a_client_that_leaves_ends_the_work_of_the_upstream(steps):
    head = (RAW_EVENTS,) if isinstance(steps[0], bytes) else ()
    with Raw(*head, *[chunk(step) if isinstance(step, bytes) else step for step in steps]) as raw:
        async with relaying(raw.url) as relay:
            async with Caller(relay.port) as caller:
                caller.ask()
                assert await until(lambda: raw.requests)
                if head:
                    await caller.head()
                    await anext(caller.pieces())
                left = time.monotonic()
            (asked,) = raw.requests
            assert await until(lambda: asked.left is not None and relay.became)
    assert asked.left - left < 2.0  # a second, on a machine that has nothing else to do
    assert relay.became[0].how == "gone"


async def test_an_answer_that_is_kept_is_looked_at_and_not_passed(stub):
    seen = []
    stub.paths["/x"] = Served((b"no ", b"x" * 100_000), 404, [(b"x-a", b"1")])

    def keep(status, headers):
        seen.append((status, dict(headers)[b"x-a"]))
        return True

    async with relaying(stub.url, keep=keep) as relay, Caller(relay.port) as caller:
        caller.ask()
        assert await until(lambda: relay.became)
    (became,) = relay.became
    assert seen == [(404, b"1")]
    assert (became.how, became.status, became.sent) == ("kept", 404, 0)
    assert became.body == b"no " + b"x" * 65_533
    assert relay.handed == []


class Doubling:
    """Each piece twice, and a word at the end."""

    def take(self, piece):
        return piece * 2

    def rest(self):
        return b"rest"


async def test_an_answer_that_is_changed_is_asked_for_and_read_uncompressed(stub):
    stub.paths["/x"] = Served((b"abc",), headers=[(b"content-length", b"3")])
    stub.paths["/gzip"] = Served((gzip.compress(b"abc"),), headers=[(b"content-encoding", b"gzip")])
    async with relaying(stub.url, change=Doubling()) as relay, Caller(relay.port) as caller:
        caller.ask(headers=[(b"accept-encoding", b"gzip")])
        await caller.head()
        assert await caller.rest() == (b"abcabcrest", True)
        caller.ask("/gzip")
        assert await caller.head() == 502
    assert stub.requests[0].value(b"accept-encoding") == b"identity"
    assert relay.became[1].kind == "unreadable"


async def test_answers_without_a_body_pass_on_one_connection(stub):
    stub.paths["/204"] = Served((), 204, [])
    stub.paths["/304"] = Served((), 304, [(b"etag", b"a")])
    stub.paths["/head"] = Served((), 200, [(b"content-length", b"5")])
    async with relaying(stub.url) as relay, Caller(relay.port) as caller:
        for path, method, status in [("/204", "POST", 204), ("/304", "GET", 304), ("/head", "HEAD", 200)]:
            caller.ask(path, method, body=b"")
            assert await caller.head() == status
        assert (b"content-length", b"5") in caller.headers
        caller.ask("/none")
        assert await caller.head() == 404
        assert await caller.rest() == (b'{"error":"not here"}', True)
    assert [became.how for became in relay.became] == ["whole"] * 4


async def test_a_reader_who_takes_nothing_is_left_and_nothing_gathers_for_him(stub):
    block = b"data: " + b"x" * 50_000 + b"\n\n"
    stub.paths["/x"] = Served((block for _ in iter(int, 1)), headers=EVENTS)
    pending = []
    async with relaying(stub.url, stalled_seconds=0.5) as relay, Caller(relay.port, 4096) as caller:

        async def looked(scope, receive, send):
            link = scope["extensions"]["carnet.link"]["link"]
            app = asyncio.create_task(relay(scope, receive, send))
            while not app.done():
                pending.append(link.pending)
                await asyncio.sleep(0.01)
            await app

        async with serving(looked) as port, Caller(port, 4096) as other:
            other.ask()
            await other.head()
            assert await until(lambda: relay.became)
            assert await until(lambda: stub.requests[0].left is not None)
            caller.ask("/none")  # nobody else is held up
            assert await caller.head() == 404
    assert relay.became[0].how == "stalled"
    assert relay.became[0].sent < 32_000_000  # what the systems of both ends take
    assert max(pending) < 400_000


async def test_a_reader_who_is_slow_gets_everything(stub):
    stub.paths["/x"] = Served([b"x" * 100_000] * 20)
    async with relaying(stub.url, stalled_seconds=1.0) as relay, Caller(relay.port, 4096) as caller:
        caller.ask()
        await caller.head()
        length = 0
        async for piece in caller.pieces():
            length += len(piece)
            await asyncio.sleep(0.05)
    assert length == 2_000_000


async def test_a_head_waits_for_a_reader_no_longer_than_what_follows(stub):
    stub.paths["/x"] = Served()
    async with relaying(stub.url, stalled_seconds=0.5) as relay:

        async def app(scope, receive, send):
            if scope["path"] == "/x":
                await relay(scope, receive, send)
            else:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"x" * 9_000_000})

        async with serving(app) as port, Caller(port, 4096) as caller:
            caller.ask("/large")
            caller.ask()  # and nothing is read
            assert await until(lambda: relay.became)
    assert relay.became[0].how == "stalled"
