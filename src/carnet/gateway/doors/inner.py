"""An ASGI application as an upstream: it is run for each request, and what it answers is read as it comes.
Who may ask it is decided elsewhere."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Literal, Self
from urllib.parse import unquote

from carnet.gateway.connections import Message, Receive, Scope, Send
from carnet.gateway.headers import Headers
from carnet.gateway.upstreams import UpstreamError

App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_AHEAD = 4
"""So many pieces of an answer may wait for their reader; then the application does."""

OUTER: ContextVar[Scope] = ContextVar("carnet.outer")
"""The request that the server got, of which the application is shown what is not another now: who is
connected, the state of the lifespan, and what a framework has put there."""

_BODILESS = frozenset({204, 304})
_LOG = logging.getLogger("carnet.gateway")


class AppClient:
    """A `Client` of an application that runs in the same loop. `answer_seconds` are for the head of an
    answer, `idle_seconds` for the pauses in it."""

    def __init__(self, name: str, app: App, *, answer_seconds: float, idle_seconds: float) -> None:
        self._name, self._app = name, app
        self._answer_seconds, self._idle_seconds = answer_seconds, idle_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def healthy(self) -> bool:
        """It is where we are."""
        return True

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> "Running":
        """Run it, until the head of its answer is there. Raises UpstreamError."""
        running = Running(self._name, method, body, self._idle_seconds)
        task = asyncio.create_task(running.run(self._app, _scope(method, path, headers, body)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        running.runs(task)
        try:
            async with asyncio.timeout(self._answer_seconds):
                await running.begun()
        except TimeoutError:
            running.close()
            raise UpstreamError(self._name, "timed_out") from None
        except BaseException:
            running.close()
            raise
        if not 200 <= running.status <= 599:
            running.close()
            raise UpstreamError(self._name, "unreadable")
        return running

    async def close(self) -> None:
        """End what it still does."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Running:
    """One run of the application, and the `Answer` that it gives."""

    def __init__(self, name: str, method: str, body: bytes, idle_seconds: float) -> None:
        self.upstream, self.status = name, 0
        self.headers: Headers = []
        self._body: bytes | None = body
        self._head = method == "HEAD"
        self._idle_seconds = idle_seconds
        self._pieces: deque[bytes] = deque()
        self._left: int | None = None
        self._ended: Literal["whole", "broken"] | None = None
        self._news, self._room, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def runs(self, task: asyncio.Task[None]) -> None:
        """The task that it runs in: to close an answer that is not whole is to cancel it."""
        self._task = task
        task.add_done_callback(self._left_off)

    async def run(self, app: App, scope: Scope) -> None:
        """Run it. What it raises is logged, not raised: the answer says that it is not whole."""
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the gateway goes on
            if not self._closed:
                _LOG.error("the application failed: %s", type(error).__name__, exc_info=True)

    async def begun(self) -> None:
        """Wait for the head. Raises UpstreamError where none comes."""
        while not self.status:
            if self._ended is not None:
                raise UpstreamError(self.upstream, "broke_off")
            self._news.clear()
            await self._news.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._ended == "whole":
                raise StopAsyncIteration
            if self._ended == "broken":
                raise UpstreamError(self.upstream, "broke_off")
            self._news.clear()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._news.wait()
            except TimeoutError:
                self.close()
                raise UpstreamError(self.upstream, "timed_out") from None
        piece = self._pieces.popleft()
        self._room.set()
        return piece

    def close(self) -> None:
        """End it at once, unless it has said all: what it does after that is its own."""
        if self._ended != "whole":
            self._closed = True
            self._end("broken")
            if self._task is not None:
                self._task.cancel()
        self._pieces.clear()
        self._room.set()

    def _left_off(self, _: asyncio.Task[None]) -> None:
        if self._ended is None:
            self._end("broken")

    def _end(self, how: Literal["whole", "broken"]) -> None:
        self._ended = how
        self._news.set()
        self._over.set()

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._ended is not None:
            raise OSError("the answer is over")
        if kind == "http.response.start" and not self.status:
            self._begin(message)
        elif kind == "http.response.body" and self.status:
            await self._take(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self._end("broken" if self._left else "whole")
        else:
            raise RuntimeError(f"`{kind}` can't be sent now: see the HTTP messages of ASGI")

    def _begin(self, message: Message) -> None:
        self.headers = [(bytes(name).lower(), bytes(held)) for name, held in message.get("headers", ())]
        status = int(message["status"])
        self._head = self._head or status in _BODILESS
        lengths = [held for name, held in self.headers if name == b"content-length"]
        if len(lengths) == 1 and lengths[0].isdigit() and not self._head:
            self._left = int(lengths[0])
        self.status = status
        self._news.set()

    async def _take(self, piece: bytes) -> None:
        """Keep a piece once there is room for it."""
        if not piece or self._head:
            return
        while len(self._pieces) >= MOST_AHEAD:
            self._room.clear()
            await self._room.wait()
            if self._ended is not None:
                raise OSError("the answer is over")
        if self._left is not None:
            if len(piece) > self._left:
                self._end("broken")
                raise RuntimeError("the body is longer than its `content-length`: send its true length")
            self._left -= len(piece)
        self._pieces.append(piece)
        self._news.set()


def _scope(method: str, path: str, headers: Headers, body: bytes) -> Scope:
    """What the application is shown of the request."""
    outer = OUTER.get({})
    plain, _, query = path.partition("?")
    shown = {key: held for key, held in outer.items() if key != "extensions"}
    hosts = [one for one in outer.get("headers", ()) if one[0] == b"host"]
    lengths = [(b"content-length", b"%d" % len(body))] if body or method == "POST" else []
    return {
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "client": None,
        "server": None,
        **shown,
        "type": "http",
        "method": method,
        "path": unquote(plain),
        "raw_path": plain.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [*hosts, *headers, *lengths],
    }
