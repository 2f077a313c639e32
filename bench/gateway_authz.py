"""A decision over HTTP as one writes it in Python beside nginx or Envoy: which key it is, and whether it may
use the model, from a table in memory. It is a raw ASGI application on uvicorn, uvloop and httptools. The
model is read from the body where the proxy sends one; nginx sends none, and there a key is all that is looked
at.

Run with a port."""

import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]

KEYS = {"Bearer bench-key": frozenset({"bench-model"})}
"""The models that each key may use."""


def allowed(authorization: str, body: bytes) -> bool:
    models = KEYS.get(authorization, frozenset())
    return bool(models) if not body else json.loads(body).get("model") in models


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    key = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    status = 200 if allowed(key, body) else 403
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
