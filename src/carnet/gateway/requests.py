"""A request as it goes on to an upstream, and the reading of its body. What the body means is in
`carnet.gateway.bodies` and the dialects."""

import asyncio
from typing import Literal

from msgspec import Struct

from carnet.gateway.connections import Receive
from carnet.gateway.headers import Headers, value
from carnet.model.errors import CarnetError


class Request(Struct, frozen=True):
    """`path` has its query; `headers` are the caller's, as ASGI gives them; `body` is what is to be sent, the
    caller's own or another."""

    method: str
    path: str
    headers: Headers
    body: bytes


class Unread(CarnetError):
    """Raised for a body that was not read to its end. Part of it may still come: the answer, if `code` is not
    `gone`, has to close the connection."""

    def __init__(self, code: Literal["too_large", "too_slow", "gone"], message: str) -> None:
        self.code = code
        super().__init__(message)


async def read_body(
    receive: Receive, headers: Headers, *, most: int, pause_seconds: float, seconds: float
) -> bytes:
    """The whole body, of at most `most` bytes, with pauses of at most `pause_seconds`, in at most `seconds`.
    The headers are `checked`.

    Raises Unread; for one that is announced as larger before any of it is read, and for one that is shorter
    than its length said, whose client is then gone.
    """
    announced = value(headers, b"content-length")
    if announced is not None and int(announced) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                async with asyncio.timeout(pause_seconds):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    raise Unread("gone", "the client left before its request was whole: send it again")
                piece = message.get("body", b"")
                if len(body) + len(piece) > most:
                    raise _too_large(most)
                body += piece
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise Unread("too_slow", "the body came too slowly: send it again, faster") from None
    if announced is not None and int(announced) != len(body):
        raise Unread("gone", "the body is not as long as `content-length` says: send its true length")
    return bytes(body)


def _too_large(most: int) -> Unread:
    return Unread("too_large", f"the body is too large: send at most `{most}` bytes")
