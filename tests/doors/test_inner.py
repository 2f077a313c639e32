"""An application as an upstream: how far it runs ahead, how it ends, and what it may do after that."""

import asyncio
import contextlib

import pytest
from tests.gateway.stub import until

from carnet.gateway.doors.inner import MOST_AHEAD, AppClient
from carnet.gateway.upstreams import UpstreamError


class Counted:
    """An application that answers without end; `sent` pieces were taken from it."""

    def __init__(self):
        self.sent, self.cancelled = 0, False

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                self.sent += 1
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def client(app, **seconds):
    return AppClient("own", app, **{"answer_seconds": 5.0, "idle_seconds": 5.0} | seconds)


async def test_the_application_does_not_run_ahead_of_its_reader():
    app = Counted()
    answer = await client(app).send("POST", "/v1/messages", [], b"{}")
    await asyncio.sleep(0.05)
    assert app.sent == MOST_AHEAD
    for taken in range(1, 20):
        await anext(answer)
        await asyncio.sleep(0.002)
        assert app.sent == MOST_AHEAD + taken
    answer.close()
    await asyncio.sleep(0.01)
    assert app.cancelled
    with pytest.raises(UpstreamError):
        await anext(answer)


@pytest.mark.parametrize("how", ["answer", "idle"])
async def test_an_application_that_is_silent_for_too_long_is_ended(how):
    ended = asyncio.Event()

    async def slow(scope, receive, send):
        try:
            if how == "idle":
                await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.set()
            raise

    own = client(slow, answer_seconds=0.05, idle_seconds=0.05)
    with pytest.raises(UpstreamError) as told:
        await anext(await own.send("POST", "/x", [], b"{}"))
    assert told.value.kind == "timed_out"
    await asyncio.wait_for(ended.wait(), 1)


async def test_to_cancel_is_to_end_it_and_to_close_ends_all():
    app = Counted()
    own = client(app)
    await own.send("POST", "/x", [], b"{}")
    await own.close()
    assert app.cancelled

    async def hangs(scope, receive, send):
        await asyncio.Event().wait()

    own = client(hangs)
    asking = asyncio.create_task(own.send("POST", "/x", [], b"{}"))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: not own._tasks)
    assert not own._tasks


async def test_an_application_that_asks_is_told_that_its_reader_left():
    heard = []

    async def listens(scope, receive, send):
        heard.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        heard.append(await receive())
        with pytest.raises(OSError, match="over"):
            await send({"type": "http.response.body", "body": b"late"})
        heard.append("ended")

    answer = await client(listens).send("POST", "/x", [], b"{}")
    answer.close()
    await until(lambda: len(heard) == 3)
    assert heard == [
        {"type": "http.request", "body": b"{}", "more_body": False},
        {"type": "http.disconnect"},
        "ended",
    ]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_the_length_of_a_body_that_is_not_sent_is_no_promise(method):
    async def app(scope, receive, send):
        status = 200 if method == "HEAD" else 304
        await send({"type": "http.response.start", "status": status, "headers": [(b"Content-Length", b"7")]})
        await send({"type": "http.response.body", "body": b"ignored"})

    answer = await client(app).send(method, "/x", [], b"")
    assert answer.headers == [(b"content-length", b"7")]
    assert [piece async for piece in answer] == []


async def test_a_body_shorter_than_its_length_is_no_end():
    async def short(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
        await send({"type": "http.response.body", "body": b"half"})

    answer = await client(short).send("POST", "/x", [], b"{}")
    assert await anext(answer) == b"half"
    with pytest.raises(UpstreamError) as told:
        await anext(answer)
    assert told.value.kind == "broke_off"
