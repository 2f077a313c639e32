"""One HTTP exchange with a bound on its time and on its length: no redirects, no proxies, TLS unless the URL
says otherwise. Which URLs may be asked, and what an answer means, is up to the caller."""

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from carnet.model.errors import Unavailable
from carnet.model.plain import printable, short

SECONDS = 10.0
"""How long connecting may take, and then the exchange as a whole, whatever the other side does."""

LONGEST = 262_144
"""Bytes that an answer may have."""


class Reply(Struct, frozen=True):
    """An answer: its status, its content type without parameters, its body."""

    status: int
    type: str
    body: bytes


def exchange(
    method: Literal["GET", "POST"],
    url: str,
    body: bytes | None = None,
    *,
    seconds: float = SECONDS,
    longest: int = LONGEST,
    context: ssl.SSLContext | None = None,
) -> Reply:
    """Send a request and read the whole answer, whatever its status.

    `context` says whose certificates are trusted; without it, those that the system trusts. Raises
    `Unavailable` if there is no complete answer in time, or it is too long.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPConnection(host, parts.port, timeout=seconds)
        if parts.scheme == "http"
        else http.client.HTTPSConnection(
            host, parts.port, timeout=seconds, context=context or ssl.create_default_context()
        )
    )
    late = threading.Event()
    alarm: threading.Timer | None = None
    shown = short(printable(url), 100)
    try:
        connection.connect()
        alarm = threading.Timer(seconds, _cut, (connection.sock, late))
        alarm.daemon = True
        alarm.start()
        headers = {"Connection": "close"} | ({"Content-Type": "text/plain; charset=utf-8"} if body else {})
        connection.request(method, parts.path or "/", body, headers)
        with connection.getresponse() as answer:
            found = answer.read(longest + 1)
            whole = not answer.length
            kind = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = "took too long" if late.is_set() else _why(error)
        raise Unavailable(f"`{shown}` can't be asked: {why}") from None
    finally:
        if alarm is not None:
            alarm.cancel()
        connection.close()
    if late.is_set():
        raise Unavailable(f"`{shown}` can't be asked: took too long")
    if len(found) > longest:
        raise Unavailable(f"`{shown}` answers with more than {longest} bytes: it is not what it should be")
    if not whole:
        raise Unavailable(f"`{shown}` did not answer in full: ask again")
    return Reply(answer.status, kind, found)


def _cut(opened: socket.socket, late: threading.Event) -> None:
    """End an exchange from outside: each read has a bound of its own, and there may be any number of them."""
    late.set()
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "took too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
