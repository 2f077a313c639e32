"""A proxy that decides nothing, written as plainly as one would: an ASGI application on uvicorn, uvloop and
httptools with aiohttp as its client. It reads no body, and writes each piece as it comes.

Run with its port and that of the upstream."""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]
_NOT_ONWARD = {b"host", b"connection", b"content-length", b"transfer-encoding"}
_NOT_BACK = {b"connection", b"transfer-encoding"}


class Proxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.client: aiohttp.ClientSession | None = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        assert self.client is not None
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in _NOT_ONWARD
        ]
        url = self.upstream + scope["path"]
        async with self.client.request(scope["method"], url, headers=headers, data=body) as answer:
            back = [(name.lower(), value) for name, value in answer.raw_headers]
            head = [(name, value) for name, value in back if name not in _NOT_BACK]
            await send({"type": "http.response.start", "status": answer.status, "headers": head})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def lifespan(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                self.client = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    timeout=aiohttp.ClientTimeout(),
                    auto_decompress=False,
                    skip_auto_headers=("accept-encoding", "user-agent"),
                )
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                assert self.client is not None
                await self.client.close()
                return


if __name__ == "__main__":
    uvicorn.run(
        Proxy(f"http://127.0.0.1:{sys.argv[2]}"),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        backlog=2048,
    )
