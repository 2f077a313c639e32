"""The gateway as an ASGI application. What a request is answered is in `carnet.gateway.exchange`; how it
listens is in `carnet.gateway.server`."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence

from carnet.gateway.connections import Receive, Scope, Send
from carnet.gateway.exchange import Exchange
from carnet.gateway.parts import Parts
from carnet.model.errors import CarnetError

_OWN = "/carnet/"


class Door:
    """Answers every request. Its own pages begin with `/carnet/`: no model API has that."""

    def __init__(
        self, parts: Parts, beside: Sequence[Callable[[], Coroutine[None, None, None]]] = ()
    ) -> None:
        """`beside` is what runs for as long as it serves, such as the checks of upstreams."""
        self._parts, self._beside = parts, beside
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            if scope["path"].startswith(_OWN):
                await self._own(scope, send)
            else:
                await Exchange(self._parts, scope, receive, send).run()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Watch while it serves."""
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                self._parts.turning.start()
                self._tasks = [asyncio.create_task(begun()) for begun in self._beside]
                await send({"type": "lifespan.startup.complete"})
            elif kind == "lifespan.shutdown":
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._parts.turning.stop()
                for client in self._parts.clients.values():
                    with contextlib.suppress(CarnetError):
                        await client.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _own(self, scope: Scope, send: Send) -> None:
        """`/carnet/healthz`, `/carnet/readyz`, `/carnet/metrics`."""
        page, api = scope["path"].removeprefix(_OWN), self._parts.api
        status, body, kind = (
            404,
            b"no such page: see healthz, readyz, metrics\n",
            b"text/plain; charset=utf-8",
        )
        if scope["method"] not in {"GET", "HEAD"}:
            status, body = 405, b"ask with GET\n"
        elif page == "healthz":
            status, body = 200, b"ok\n"
        elif page == "readyz":
            hindered = api.hindered()
            status, body = (200, b"ok\n") if hindered is None else (503, f"{hindered}\n".encode())
        elif page == "metrics":
            status, body, kind = 200, self._parts.counts.text(), b"text/plain; version=0.0.4; charset=utf-8"
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode("ascii"))]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
