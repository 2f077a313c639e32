"""An upstream is asked with the bytes that were given, and what it answers comes back as it was sent, or it
is said what went wrong."""

import asyncio
import contextlib
import gzip
import socket
import time

import pytest
from tests.gateway.stub import Raw, Served, until

from carnet.gateway.upstreams import Reached, Upstream, UpstreamError
from carnet.model.errors import InputError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KEY = "sk-of-the-operator"


@contextlib.asynccontextmanager
async def reaching(url, **more):
    upstream = Upstream(Reached(name="u", url=url, **more))
    try:
        yield upstream
    finally:
        await upstream.close()


async def ask(upstream, method="POST", path="/v1/x", headers=(), body=b"{}"):
    """The answer and its whole body."""
    answer = await upstream.send(method, path, list(headers), body)
    with contextlib.closing(answer):
        return answer, b"".join([piece async for piece in answer])


async def kind_of(upstream, **more):
    """What goes wrong."""
    with pytest.raises(UpstreamError) as failed:
        await ask(upstream, **more)
    assert failed.value.upstream == "u"
    assert "127.0.0.1" not in str(failed.value)
    assert KEY not in str(failed.value)
    return failed.value.kind


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def test_nothing_is_added_to_a_request_but_host_length_and_key(stub):
    stub.paths["/base/v1/x"] = Served()
    headers = [(b"x-b", b"2"), (b"x-a", "ä".encode()), (b"x-b", b"3"), (b"content-type", b"a/b")]
    async with reaching(f"{stub.url}/base/", key=KEY) as upstream:
        await ask(upstream, path="/v1/x?a=%2F&b=%zz", headers=headers, body=b'{"a": 1}')
    (asked,) = stub.requests
    host = (b"host", f"127.0.0.1:{stub.port}".encode())
    key, length = (b"authorization", f"Bearer {KEY}".encode()), (b"content-length", b"8")
    assert (asked.method, asked.path, asked.body) == ("POST", "/base/v1/x?a=%2F&b=%zz", b'{"a": 1}')
    assert sorted(asked.headers) == sorted([*headers, host, key, length])
    assert [one for one in asked.headers if one in headers] == headers


async def test_a_request_without_body_has_none_and_a_key_stands_where_it_is_wanted(stub):
    stub.paths["/v1/x"] = Served()
    async with reaching(stub.url, key=KEY, key_header="x-api-key") as upstream:
        await ask(upstream, "GET", body=b"")
    assert stub.requests[0].value(b"x-api-key") == KEY.encode()
    assert {name for name, _ in stub.requests[0].headers} == {b"host", b"x-api-key"}


async def test_gzip_is_passed_as_it_is(stub):
    packed = gzip.compress(b"text " * 1000)
    headers = [(b"content-encoding", b"gzip"), (b"Content-Type", b"text/plain")]
    stub.paths["/v1/x"] = Served((packed,), headers=headers)
    async with reaching(stub.url) as upstream:
        answer, body = await ask(upstream, headers=[(b"accept-encoding", b"gzip")])
    assert body == packed
    assert (b"content-encoding", b"gzip") in answer.headers
    assert (b"content-type", b"text/plain") in answer.headers


async def test_no_redirect_is_followed(stub):
    stub.paths["/v1/x"] = Served((b"there",), 307, [(b"location", b"/v1/y"), (b"set-cookie", b"a=b")])
    stub.paths["/v1/y"] = Served((b"here",))
    async with reaching(f"http://localhost:{stub.port}", key=KEY) as upstream:
        answer, body = await ask(upstream)
        assert (answer.status, body) == (307, b"there")
        await ask(upstream)
    assert [asked.path for asked in stub.requests] == ["/v1/x", "/v1/x"]
    assert all(asked.value(b"cookie") is None for asked in stub.requests)


async def test_no_proxy_of_the_environment_is_used(stub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    stub.paths["/v1/x"] = Served()
    async with reaching(stub.url) as upstream:
        assert (await ask(upstream))[1] == b"{}"


async def test_a_connection_is_kept_once_its_answer_is_whole():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with Raw(answer, 20.0) as raw:
        async with reaching(raw.url) as upstream:
            await ask(upstream)
            assert sum(map(len, upstream._session.connector._conns.values())) == 1


async def test_where_nobody_listens_it_is_unreachable():
    async with reaching(f"http://127.0.0.1:{closed_port()}") as upstream:
        assert await kind_of(upstream) == "unreachable"


async def test_a_connection_that_does_not_come_about_in_time_is_unreachable():
    with socket.socket() as full, contextlib.ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            sock = held.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        async with reaching(f"http://127.0.0.1:{full.getsockname()[1]}", connect_seconds=0.2) as upstream:
            assert await kind_of(upstream) == "unreachable"


async def test_a_head_that_does_not_come_times_out():
    with Raw(b"HTTP/1.1 200 OK\r\n", 20.0) as raw:
        async with reaching(raw.url, connect_seconds=0.1, answer_seconds=0.2) as upstream:
            assert await kind_of(upstream) == "timed_out"
            assert await until(lambda: raw.requests[0].left is not None)


async def test_a_pause_that_is_too_long_times_out():
    with Raw(CHUNKED, b"3\r\na\n\n\r\n", 20.0) as raw:
        async with reaching(raw.url, idle_seconds=0.2) as upstream:
            answer = await upstream.send("POST", "/", [], b"")
            with contextlib.closing(answer):
                assert await anext(answer) == b"a\n\n"
                with pytest.raises(UpstreamError) as failed:
                    await anext(answer)
        assert failed.value.kind == "timed_out"


async def test_pauses_that_are_short_enough_may_be_many_and_a_slow_reader_is_no_pause():
    with Raw(CHUNKED, *[0.2, b"1\r\na\r\n"] * 6, b"0\r\n\r\n") as raw:
        async with reaching(raw.url, idle_seconds=1.0) as upstream:
            assert (await ask(upstream))[1] == b"a" * 6
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000
    with Raw(whole) as raw:
        async with reaching(raw.url, idle_seconds=0.2) as upstream:
            answer = await upstream.send("POST", "/", [], b"")
            await asyncio.sleep(0.5)
            assert sum([len(piece) async for piece in answer]) == 4_000_000


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (b"HTTP/1.1 200 OK\r\nContent-Le",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0.1, b"abc"),
        (CHUNKED + b"3\r\nabc\r\n",),
        (CHUNKED, 0.1, b"3\r\nab"),
        (CHUNKED, 0.1, b"zz\r\nabc\r\n0\r\n\r\n"),
        (CHUNKED, 0.1, b"1\r\nabc\r\n0\r\n\r\n"),
    ],
)
async def test_an_answer_that_ends_before_its_end_broke_off(steps):
    with Raw(*steps) as raw:
        async with reaching(raw.url) as upstream:
            assert await kind_of(upstream) == "broke_off"


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_a_head_that_is_none_is_unreadable(head):
    with Raw(head, 20.0) as raw:
        async with reaching(raw.url, answer_seconds=5.0) as upstream:
            assert await kind_of(upstream) == "unreadable"


async def test_an_upstream_rests_after_three_failures_and_comes_back():
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        async with reaching(f"http://127.0.0.1:{kept.getsockname()[1]}", rest_seconds=1.0) as upstream:
            for _ in range(3):
                assert upstream.healthy()
                assert await kind_of(upstream) == "unreachable"
            began = time.monotonic()
            assert not upstream.healthy()
            assert await kind_of(upstream) == "resting"
            await asyncio.sleep(1.1)
            assert upstream.healthy()
            assert await kind_of(upstream) == "unreachable"  # and one more is enough
            assert not upstream.healthy()
            kept.listen()
            await asyncio.sleep(1.1)
            asking = asyncio.create_task(ask(upstream))
            kept.setblocking(False)
            connection, _ = await asyncio.get_running_loop().sock_accept(kept)
            with connection:
                connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
                answer, _ = await asking
            assert answer.status == 500
            assert upstream.healthy()
            assert time.monotonic() - began > 2


async def test_what_an_upstream_that_was_reached_says_is_no_reason_to_rest():
    with Raw() as raw:
        async with reaching(raw.url) as upstream:
            for _ in range(5):
                assert await kind_of(upstream) == "broke_off"
            assert upstream.healthy()


async def test_an_upstream_that_is_checked_rests_and_comes_back_by_itself(stub):
    stub.paths["/health"] = Served(status=503)
    more = {"check_path": "/health", "check_seconds": 0.1, "rest_seconds": 60.0}
    async with reaching(stub.url, **more) as upstream:
        checking = asyncio.create_task(upstream.keep_checked())
        assert await until(lambda: not upstream.healthy())
        assert await kind_of(upstream) == "resting"
        stub.paths["/health"] = Served(status=204, headers=[], steps=())
        assert await until(upstream.healthy)
        checking.cancel()
        await asyncio.wait([checking])
    assert {asked.path for asked in stub.requests} == {"/health"}


@pytest.mark.parametrize("more", [b"", b"x" * 9_000_000])
async def test_to_close_an_answer_closes_its_connection_at_once(stub, more):
    stub.paths["/v1/x"] = Served((b"data: 1\n\n", more, 20.0))
    async with reaching(stub.url) as upstream:
        answer = await upstream.send("POST", "/v1/x", [], b"")
        assert await anext(answer)
        answer.close()
        assert await until(lambda: stub.requests[0].left is not None)


async def test_to_cancel_a_request_closes_its_connection_at_once():
    with Raw(20.0) as raw:
        async with reaching(raw.url) as upstream:
            asking = asyncio.create_task(ask(upstream))
            assert await until(lambda: raw.requests)
            asking.cancel()
            assert await until(lambda: raw.requests[0].left is not None)
            with pytest.raises(asyncio.CancelledError):
                await asking


@pytest.mark.parametrize("path", ["", "v1", "*", "//x y", "/a\r\nb", "/a#b", "/ä", "/\x7f", "http://other/"])
async def test_a_path_that_is_none_is_not_asked_for(path):
    async with reaching("http://127.0.0.1:1") as upstream:
        with pytest.raises(InputError, match="is no path of a request"):
            await ask(upstream, path=path)


async def test_a_path_cannot_name_another_host(stub):
    async with reaching(stub.url) as upstream:
        for path in ("//other.example/v1", "/@other.example/", "/../v1", "/http://other.example/"):
            assert (await ask(upstream, path=path))[0].status == 404
    assert [asked.path for asked in stub.requests] == [
        "//other.example/v1",
        "/@other.example/",
        "/../v1",
        "/http://other.example/",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/v1",
        "ftp://x",
        "http://",
        "http:///v1",
        "http://:80",
        "http://u@x",
        "http://u:p@x/",
        "http://x/?",
        "http://x/v1?a=b",
        "http://x#",
        "http://x/a b",
        "http://x\r\n/",
        "http://[::1",
        "http://x:99999",
        "http://x/ä",
    ],
)
def test_an_address_that_is_more_or_less_than_one_is_refused(url):
    with pytest.raises(InputError, match="the url of the upstream `u` is not usable"):
        Upstream(Reached(name="u", url=url))


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ä", "a\x7f", " "])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key):
    with pytest.raises(InputError, match="the key of the upstream `u` is not usable") as refused:
        Upstream(Reached(name="u", url="http://x", key=key))
    assert not key.strip() or key not in str(refused.value).replace("a ", "")


def test_how_an_upstream_is_reached_is_printed_without_its_key():
    assert repr(Reached(name="u", url="http://x", key=KEY)) == "Reached(name='u')"
