"""The connections of callers, with what ASGI has no word for: whether a write would have to wait, and an end
that nobody takes for a whole answer. What is written is elsewhere."""

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXTENSION = "carnet.link"
_UNWRITTEN: Message = {"type": "http.response.body", "body": b"", "more_body": True}


class Stalled(Exception):
    """A reader takes nothing any more."""


class Link:
    """A connection as far as an answer has to know it."""

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._transport, self._flow = transport, flow

    @property
    def paused(self) -> bool:
        """Whether a write would wait now."""
        return self._flow.write_paused

    @property
    def pending(self) -> int:
        """The bytes that the operating system has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until a write would not wait."""
        await self._flow.drain()

    def direct(self) -> None:
        """From now on a write waits until all of the last is in the socket, so that nothing stays here."""
        self._transport.set_write_buffer_limits(high=0)

    def close(self) -> None:
        """End it after what was written."""
        self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()


class Connection(HttpToolsProtocol):
    """uvicorn's own protocol, which gives each request its `Link`; for `uvicorn.Config(http=Connection)`."""

    _left = math.inf
    _answered: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's, which tells the last request alone: the one that is answered may be before it."""
        answered = self._answered
        super().connection_lost(exc)
        if answered is not None and not answered.response_complete:
            answered.disconnected = True
            answered.message_event.set()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._left = math.inf
        cast("Scope", self.scope)["extensions"] = {EXTENSION: {"link": Link(self.transport, self.flow)}}

    def timeout_keep_alive_handler(self) -> None:
        """As uvicorn's, which would wait for a reader who takes nothing of the rest of the last answer; one
        who takes some of it has the same time again."""
        left = self.transport.get_write_buffer_size()
        if 0 < left < self._left:
            self._left = left
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            return
        if left:
            self.transport.abort()
        super().timeout_keep_alive_handler()


class Writer:
    """What one answer is written with. Its reader is waited for, so that nothing gathers here, but not for
    longer than `stalled_seconds` in which it takes nothing."""

    def __init__(self, scope: Scope, send: Send, stalled_seconds: float) -> None:
        self._link: Link | None = ((scope.get("extensions") or {}).get(EXTENSION) or {}).get("link")
        self._send, self._patience = send, stalled_seconds
        self._started = False

    def direct(self) -> None:
        """As `Link.direct`; without a link the server writes as it likes."""
        if self._link is not None:
            self._link.direct()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The head of the answer."""
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def ready(self, patience: float | None = None) -> None:
        """Return once a `write` in the same step would not wait. Raises Stalled."""
        link = self._link
        seconds = self._patience if patience is None else min(patience, self._patience)
        if link is None:
            if not self._started:
                return
            try:
                async with asyncio.timeout(seconds):
                    await self._send(_UNWRITTEN)
            except TimeoutError:
                raise Stalled from None
            return
        left = link.pending
        while link.paused:
            try:
                async with asyncio.timeout(seconds):
                    await link.drain()
            except TimeoutError:
                if link.pending >= left:
                    raise Stalled from None
                left = link.pending

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Hand bytes to the connection. After `ready` in the same step it does so before anything else
        runs."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    def close(self) -> bool:
        """End the connection after what was written; False where that is left to the server."""
        if self._link is not None:
            self._link.close()
        return self._link is not None

    def abort(self) -> bool:
        """End the connection at once; False where that is left to the server."""
        if self._link is not None:
            self._link.abort()
        return self._link is not None
