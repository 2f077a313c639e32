"""A request passed on to an upstream and its answer passed back, piece by piece as it comes, until it ends,
its reader leaves or it is cut. Who may ask what is decided before; nothing is decided here."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from carnet.gateway.connections import Receive, Scope, Send, Stalled, Writer
from carnet.gateway.headers import BadHeaders, Headers, back, onward, value
from carnet.gateway.requests import Request
from carnet.gateway.streams import Boundary, Stream, Waking
from carnet.gateway.upstreams import Answer, Client, UpstreamError

MOST_KEPT = 65_536
"""Bytes of an answer that is not passed on but looked at."""

MOST_HELD = 65_536
"""Bytes of an event that are held back until it is whole: no client can do anything with half of one, and one
that is cut inside of it may not read on behind."""

_TELLING_SECONDS = 5.0

How = Literal["whole", "cut", "unsent", "kept", "gone", "broken", "stalled"]
"""The answer went through to its end; was cut, its reader told if the form allows; was cut before any of it
was sent, so that whoever called has to answer; was kept back, as `keep` wanted; its reader left; it broke
off, which its reader was told or sees by the connection; its reader took nothing any more."""


class Change(Protocol):
    """What is made of an answer on its way: `take` gives what can be sent after this piece, `rest` what is
    left at the end. An answer that breaks off or is cut has no rest."""

    def take(self, piece: bytes) -> bytes: ...

    def rest(self) -> bytes: ...


class Passed(Struct, frozen=True, kw_only=True):
    """What became of a request: the status and headers of the upstream if it answered, the start of the body
    if it was kept back, and how many bytes of it were handed on."""

    how: How
    status: int | None = None
    headers: Headers = []
    body: bytes = b""
    sent: int = 0


async def passed(
    scope: Scope,
    receive: Receive,
    send: Send,
    upstream: Client,
    request: Request,
    stream: Stream | None = None,
    change: Change | None = None,
    *,
    added: Headers = [],  # noqa: B006 -- nobody changes it
    plain: bool = False,
    broken: Callable[[bool], bytes] | None = None,
    keep: Callable[[int, Headers], bool] | None = None,
    stalled_seconds: float = 30.0,
) -> Passed:
    """Ask the upstream and hand its answer on. The body of the request was read already; `receive` is waited
    on for the client's leaving, which ends the upstream's work at once.

    Of a `stream` no byte is handed on that `Stream.may_write` does not allow in the same step; one that is to
    be decided about anew waits for that. `added` are headers of ours that go back with the answer; with
    `plain` it is asked for uncompressed, so that an end can be written into it. `broken` makes
    the last event of a stream (SSE) whose upstream broke off, given whether it stands between two events;
    without it the connection just ends, as for every other answer. `keep` is asked once the head of an answer
    is there and keeps it back. Raises UpstreamError and BadHeaders as long as nothing was sent.
    """
    waking = Waking()
    watcher = asyncio.create_task(_left(receive, waking))
    relay = _Relay(Writer(scope, send, stalled_seconds), waking, watcher, stream, change, broken, added)
    try:
        if stream is not None:
            stream.wakes(waking)
        try:
            return await relay.pass_on(upstream, request, keep, plain=plain)
        except asyncio.CancelledError:
            if not waking.mine():
                raise
        if waking.gone:
            return relay.passed("gone")
        return await relay.cut()
    except asyncio.CancelledError:
        if not waking.mine():
            raise
        return relay.passed("gone")
    except Stalled:
        await relay.end(abort=True)
        return relay.passed("stalled")
    finally:
        waking.over()
        watcher.cancel()
        if stream is not None:
            stream.wakes(None)


async def _left(receive: Receive, waking: Waking) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    waking.leave()


class _Relay:
    """One answer on its way."""

    def __init__(
        self,
        writer: Writer,
        waking: Waking,
        watcher: asyncio.Task[None],
        stream: Stream | None,
        change: Change | None,
        broken: Callable[[bool], bytes] | None,
        added: Headers,
    ) -> None:
        self._added = added
        self._writer, self._waking, self._watcher = writer, waking, watcher
        self._stream, self._change, self._broken = stream, change, broken
        self._boundary = Boundary() if stream is None else stream.boundary
        self._answer: Answer | None = None
        self._events = self._started = False
        self._sent = 0
        self._half = b""

    def passed(self, how: How, body: bytes = b"") -> Passed:
        answer = self._answer
        if answer is None:
            return Passed(how=how)
        return Passed(how=how, status=answer.status, headers=answer.headers, body=body, sent=self._sent)

    async def pass_on(
        self,
        upstream: Client,
        request: Request,
        keep: Callable[[int, Headers], bool] | None,
        *,
        plain: bool,
    ) -> Passed:
        stream, writer = self._stream, self._writer
        headers = onward(request.headers, plain=plain or self._change is not None)
        if not await self._settled():
            return await self.cut()
        answer = await upstream.send(request.method, request.path, headers, request.body)
        self._answer = answer
        with contextlib.closing(answer):
            if keep is not None and keep(answer.status, answer.headers):
                return self.passed("kept", await _kept(answer))
            head = self._head(answer)
            if stream is not None:
                writer.direct()
            if not await self._settled(ready=True):
                return await self.cut()
            self._started = True
            await writer.start(answer.status, head)
            try:
                async for piece in answer:
                    if not await self._hand_on(piece if self._change is None else self._change.take(piece)):
                        return await self.cut()
            except UpstreamError:
                return await self._break_off()
            if self._change is not None and not await self._hand_on(self._change.rest()):
                return await self.cut()
            if self._events and (self._half or not self._boundary.here):
                return await self._break_off()
            await writer.ready()
            await writer.write(b"", more=False)
            return self.passed("whole")

    def _head(self, answer: Answer) -> Headers:
        """The headers that go back."""
        kind = value(answer.headers, b"content-type") or b""
        encoding = value(answer.headers, b"content-encoding") or b"identity"
        plain = encoding.strip().lower() == b"identity"
        self._events = plain and kind.lower().startswith(b"text/event-stream")
        changed = self._change is not None
        if changed and not plain:  # it was asked for uncompressed
            raise UpstreamError(answer.upstream, "unreadable")
        try:
            head = back(answer.headers, status=answer.status, changed=changed or self._events)
        except BadHeaders:
            raise UpstreamError(answer.upstream, "unreadable") from None
        return [*head, *self._added]

    async def _hand_on(self, data: bytes) -> bool:
        """Hand bytes to the connection; False if they may not be, and were not."""
        if self._events:
            data = self._half + data
            whole = len(data) if len(data) > MOST_HELD else Boundary.last(data)
            data, self._half = data[:whole], data[whole:]
        if not data:
            return True
        if not await self._settled(ready=True):
            return False
        self._boundary.took(data)
        self._sent += len(data)
        await self._writer.write(data)
        return True

    async def _settled(self, *, ready: bool = False) -> bool:
        """Wait until a byte may be handed on in the same step, with `ready` also until its reader takes it;
        False if none may."""
        stream = self._stream
        while True:
            if ready:
                await self._writer.ready()
            if stream is None or stream.may_write():
                return True
            if stream.marked:
                return False
            await stream.settled()

    async def cut(self) -> Passed:
        """The end of a stream that is marked: the upstream's work first, then what its reader is told."""
        stream = self._stream
        assert stream is not None  # nothing else is cut
        if self._answer is not None:
            self._answer.close()
        if not self._started:
            return self.passed("unsent")
        if not self._events:
            await self.end(abort=True)
            return self.passed("cut")
        try:
            await self._writer.ready(_TELLING_SECONDS)
        except Stalled:
            await self.end(abort=True)
        else:
            await self._writer.write(stream.notice(), more=False)
            stream.ended(told=True)
        return self.passed("cut")

    async def _break_off(self) -> Passed:
        """The end of an answer that is not whole."""
        if not self._events or self._broken is None:
            await self.end()
            return self.passed("broken")
        if not await self._settled(ready=True):
            return await self.cut()
        await self._writer.write(self._broken(self._boundary.here), more=False)
        return self.passed("broken")

    async def end(self, *, abort: bool = False) -> None:
        """End the connection, by which the reader sees that the answer is not whole: after what was written,
        or at once."""
        self._waking.over()
        if not abort and self._writer.close():
            await asyncio.wait([self._watcher], timeout=_TELLING_SECONDS)
        if not self._watcher.done() and self._writer.abort():
            await asyncio.wait([self._watcher], timeout=_TELLING_SECONDS)


async def _kept(answer: Answer) -> bytes:
    """The start of a body, as much of it as is looked at; less if it breaks off."""
    body = b""
    with contextlib.suppress(UpstreamError):
        async for piece in answer:
            body += piece
            if len(body) >= MOST_KEPT:
                break
    return body[:MOST_KEPT]
