"""Which headers of a request go on to an upstream, and which of its answer go back; and what is refused in
them. Bytes in, bytes out, in the form of ASGI; what a body means is elsewhere."""

import re
from typing import NoReturn

from carnet.model.errors import CarnetError
from carnet.model.plain import printable, short

Headers = list[tuple[bytes, bytes]]

MOST_HEADERS = 100
MOST_BYTES = 65_536

_NAMES = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"}
)
_OURS = b"x-carnet-"
_NOT_ONWARD = frozenset(
    {
        b"host",
        b"content-length",
        b"expect",
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"cookie",
        b"openai-organization",
        b"openai-project",
    }
)
"""What the client that sends writes itself, and whatever says on whose account: that is the operator's."""


_NOT_BACK = frozenset({b"set-cookie", b"set-cookie2"})


class BadHeaders(CarnetError):
    """Raised by `carnet.gateway.headers` for headers that two readers could read differently, or that are too
    many. The message is for whoever sent them and quotes no value."""


def _refused(name: bytes, message: str) -> NoReturn:
    raise BadHeaders(f"`{printable(short(name.decode('latin-1')))}` {message}")


def checked(headers: Headers) -> None:
    """Raises BadHeaders for a name that is none, a sign in a value that ends it for some reader, a value that
    is not UTF-8, two lengths or none that is certain, and for more than 100 headers or 64 KiB."""
    if len(headers) > MOST_HEADERS:
        raise BadHeaders(f"`{len(headers)}` headers are too many: send at most {MOST_HEADERS}")
    names = b"".join([name for name, _ in headers])
    values = b"".join([value for _, value in headers])
    if len(names) + len(values) > MOST_BYTES:
        raise BadHeaders(f"`{len(names) + len(values)}` bytes of headers: send at most {MOST_BYTES}")
    if _NAMES.fullmatch(names) is None or not all(name for name, _ in headers):
        wrong = next(name for name, _ in headers if not name or _NAMES.fullmatch(name) is None)
        _refused(wrong, "is no name of a header: leave it out")
    if _CONTROL.search(values) is not None:
        wrong = next(name for name, value in headers if _CONTROL.search(value) is not None)
        _refused(wrong, "has a control sign in its value: leave it out")
    if not values.isascii():
        for name, value in headers:
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                _refused(name, "is not UTF-8: send it in ASCII")
    lengths = [value for name, value in headers if _plain(name) == b"content-length"]
    if len(lengths) > 1:
        raise BadHeaders("`content-length` stands twice: send one")
    if lengths and _DIGITS.fullmatch(lengths[0]) is None:
        raise BadHeaders("`content-length` is no whole number: write its digits")
    if lengths and any(_plain(name) == b"transfer-encoding" for name, _ in headers):
        raise BadHeaders("`content-length` and `transfer-encoding` stand together: send one of them")


def _plain(name: bytes) -> bytes:
    """The name as the loosest reader takes it: some make `_` of `-`."""
    return name.lower().replace(b"_", b"-")


def _end_to_end(headers: Headers) -> Headers:
    """Without what is between two neighbours alone (RFC 9110 7.6.1), and without what only Carnet may say."""
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named.update(_plain(option.strip()) for option in value.split(b","))
    found = []
    for name, value in headers:
        plain = _plain(name)
        if plain in _HOP or plain in named or plain.startswith((_OURS, b"proxy-")):
            continue
        found.append((name.lower(), value))
    return found


def onward(headers: Headers, *, plain: bool = False) -> Headers:
    """The headers of a request that go on, in their order. The length of the body, the host and the key are
    written by whoever sends it. With `plain` the answer is asked for uncompressed: something is to be put
    into it. Raises as `checked`."""
    checked(headers)
    left = [(name, value) for name, value in _end_to_end(headers) if _plain(name) not in _NOT_ONWARD]
    if plain:
        left = [(name, value) for name, value in left if _plain(name) != b"accept-encoding"]
        left.append((b"accept-encoding", b"identity"))
    return left


def back(headers: Headers, *, status: int = 200, changed: bool = False) -> Headers:
    """The headers of an answer that go back, in their order. The length goes where the body is `changed` or
    there is none by the status; cookies are between us and the upstream. Raises as `checked`."""
    checked(headers)
    left = _end_to_end(headers)
    if changed or status in {204, 304}:
        left = [(name, value) for name, value in left if _plain(name) != b"content-length"]
    return [(name, value) for name, value in left if _plain(name) not in _NOT_BACK]


def value(headers: Headers, name: bytes) -> bytes | None:
    """The value of a header by its name in small letters, those that came several times joined by a comma;
    None if it is not there."""
    found = [held for known, held in headers if known == name]
    return b", ".join(found) if found else None
