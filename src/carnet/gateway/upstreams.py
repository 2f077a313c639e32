"""Model APIs that requests go on to: one interface of three methods, and a client that speaks HTTP/1.1 for
it. Bytes pass untouched; which upstream is asked, and what its answer means, is decided elsewhere."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from typing import Literal, Protocol, Self

import aiohttp
from aiohttp import hdrs
from msgspec import Struct
from yarl import URL

from carnet.gateway.headers import Headers
from carnet.model.errors import CarnetError, InputError

Kind = Literal["unreachable", "timed_out", "broke_off", "unreadable", "resting"]

_REMEDIES: dict[Kind, str] = {
    "unreachable": "can't be reached: look whether it runs and whether its address is right",
    "timed_out": "did not answer in time: ask again, or give it longer in the configuration",
    "broke_off": "broke off: ask again, and look in its own log",
    "unreadable": "sent no answer that can be passed on: look in its own log",
    "resting": "could not be reached several times and is left alone for a while: look whether it runs",
}
_TARGET = re.compile(r"/[!-\"$-~]*")
_ADDRESS = re.compile(r"https?://[!-\"$-.0->A-~]+(/[!-\"$->@-~]*)?")
_SILENT = frozenset({hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE})


class UpstreamError(CarnetError):
    """Raised by an upstream's client: no whole answer came. `upstream` is its name, `kind` what happened; no
    address and no key is in the message."""

    def __init__(self, upstream: str, kind: Kind) -> None:
        self.upstream, self.kind = upstream, kind
        super().__init__(f"the upstream `{upstream}` {_REMEDIES[kind]}")


class Answer(Protocol):
    """An answer whose head has come: its headers raw and in order, and its body as an iterator over bytes
    just as they come. It raises UpstreamError where the body does not end as the head said. `close` ends it,
    and its connection if bytes are still to come, at once."""

    @property
    def upstream(self) -> str: ...

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


class Client(Protocol):
    """What the gateway needs of an upstream."""

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        """Ask it. `path` has its query, `headers` are those that `carnet.gateway.headers.onward` leaves; to
        cancel is to close the connection. Raises UpstreamError, and InputError for a path that is none."""

    def healthy(self) -> bool:
        """Whether it is worth asking."""

    async def close(self) -> None:
        """Close every connection."""


class Reached(Struct, frozen=True, kw_only=True):
    """How an upstream is reached: `url` without user, query and fragment, its key and the header that has it,
    seconds. After `failures` connections in a row that did not come about it is left alone for
    `rest_seconds`. A connection is kept for less time than servers do, so that none is used as it ends."""

    name: str
    url: str
    key: str | None = None
    key_header: Literal["x-api-key", "authorization"] = "authorization"
    connect_seconds: float = 5.0
    answer_seconds: float = 600.0
    idle_seconds: float = 120.0
    keep_seconds: float = 4.0
    failures: int = 3
    rest_seconds: float = 5.0
    check_path: str | None = None
    check_seconds: float = 10.0

    def __repr__(self) -> str:
        return f"Reached(name={self.name!r})"


class Upstream:
    """A `Client` of one upstream. It keeps connections, follows no redirect, keeps no cookie, takes no proxy
    from the environment and adds no header but host, length and key. Raises InputError for a bad address."""

    def __init__(self, reached: Reached, tls: ssl.SSLContext | None = None) -> None:
        self._reached, self._tls = reached, tls
        self._base = _base(reached)
        self._key = _key(reached)
        self._session: aiohttp.ClientSession | None = None
        self._failed = 0
        self._rests_until = 0.0

    def healthy(self) -> bool:
        resting = self._failed >= self._reached.failures
        return not resting or asyncio.get_running_loop().time() >= self._rests_until

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        if not self.healthy():
            raise UpstreamError(self._reached.name, "resting")
        return await self._asked(method, path, headers, body)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def keep_checked(self) -> None:
        """Ask `check_path` again and again until it is cancelled: 200 to 299 ends a rest, anything else
        begins one. Whoever runs the gateway starts it."""
        assert self._reached.check_path is not None  # nobody starts it otherwise
        while True:
            try:
                async with asyncio.timeout(self._reached.connect_seconds + self._reached.check_seconds):
                    answer = await self._asked("GET", self._reached.check_path, [], b"")
                    answer.close()
                well = 200 <= answer.status <= 299
            except (UpstreamError, TimeoutError):
                well = False
            if well:
                self._failed = 0
            else:
                self._failed = self._reached.failures
                self._rests()
            await asyncio.sleep(self._reached.check_seconds)

    async def _asked(self, method: str, path: str, headers: Headers, body: bytes) -> "_Answer":
        reached = self._reached
        if _TARGET.fullmatch(path) is None:
            raise InputError("the path is no path of a request: write `/` and visible ASCII signs")
        sent = [(name.decode("ascii"), value.decode("utf-8")) for name, value in headers]
        if self._key is not None:
            sent.append(self._key)
        try:
            async with asyncio.timeout(reached.connect_seconds + reached.answer_seconds):
                response = await self._opened().request(
                    method,
                    URL(self._base + path, encoded=True),
                    headers=sent,
                    data=body or None,
                    allow_redirects=False,
                )
        except aiohttp.ConnectionTimeoutError:
            self._failure()
            raise UpstreamError(reached.name, "unreachable") from None
        except TimeoutError:
            raise UpstreamError(reached.name, "timed_out") from None
        except aiohttp.ClientConnectorError:
            self._failure()
            raise UpstreamError(reached.name, "unreachable") from None
        except aiohttp.ClientConnectionError:
            raise UpstreamError(reached.name, "broke_off") from None
        except (aiohttp.ClientError, ValueError):
            raise UpstreamError(reached.name, "unreadable") from None
        self._failed = 0
        if not 200 <= response.status <= 599:
            response.close()
            raise UpstreamError(reached.name, "unreadable")
        return _Answer(reached, response)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            reached = self._reached
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=reached.keep_seconds,
                    ssl=True if self._tls is None else self._tls,
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                skip_auto_headers=_SILENT,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=reached.connect_seconds, ceil_threshold=float("inf")
                ),
            )
        return self._session

    def _failure(self) -> None:
        self._failed += 1
        if self._failed >= self._reached.failures:
            self._rests()

    def _rests(self) -> None:
        self._rests_until = asyncio.get_running_loop().time() + self._reached.rest_seconds


class _Answer:
    """An `Answer` over aiohttp's."""

    def __init__(self, reached: Reached, response: aiohttp.ClientResponse) -> None:
        self.upstream, self.status = reached.name, response.status
        self.headers: Headers = [(name.lower(), value) for name, value in response.raw_headers]
        self._response, self._content = response, response.content
        self._closed: asyncio.Future[None] | None = None
        protocol = None if response.connection is None else response.connection.protocol
        if protocol is not None:  # a body is still to come: from here on it is the pauses that are timed
            protocol.read_timeout = reached.idle_seconds
            protocol.start_timeout()
            self._closed = protocol.closed
        if self._closed is not None:
            self._closed.remove_done_callback(_seen)
            self._closed.add_done_callback(_seen)
            self._closed.add_done_callback(self._lost)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._content.readany()
        except TimeoutError:
            raise UpstreamError(self.upstream, "timed_out") from None
        except (aiohttp.ClientError, OSError, RuntimeError):  # the last if the connection is closed already
            raise UpstreamError(self.upstream, "broke_off") from None
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        self._response.close()

    def _lost(self, _: asyncio.Future[None]) -> None:
        """Aiohttp closes the connection at a chunk that is none, and would have its reader wait for more."""
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError())


def _seen(closed: asyncio.Future[None]) -> None:
    """How a connection ended is told by the answer that it ended; asyncio would log that nobody looked."""
    if not closed.cancelled():
        closed.exception()


def _base(reached: Reached) -> str:
    """The address without a slash at its end."""
    try:
        parts = URL(reached.url, encoded=True) if _ADDRESS.fullmatch(reached.url) else URL()
        usable = bool(parts.host)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(
            f"the url of the upstream `{reached.name}` is not usable: write it like "
            "`https://models.example/v1`, without a user and a query"
        )
    return reached.url.rstrip("/")


def _key(reached: Reached) -> tuple[str, str] | None:
    if reached.key is None:
        return None
    if not reached.key or not reached.key.isascii() or not reached.key.isprintable() or " " in reached.key:
        raise InputError(
            f"the key of the upstream `{reached.name}` is not usable: it has to be visible ASCII"
        )
    return (
        reached.key_header,
        f"Bearer {reached.key}" if reached.key_header == "authorization" else reached.key,
    )
