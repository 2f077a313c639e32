"""A JSON body, read strictly and once, and written where the model changes. What the API means by it is in
`carnet.gateway.dialects`.

Whatever two readers could read differently is refused: an upstream must not find another model in the same
bytes. Python's own reader is used, whose hook sees every pair: a faster one keeps the last of two equal keys,
and finding them again costs more than it saved."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from carnet.model.errors import CarnetError
from carnet.model.plain import DEEPEST, printable, short

_DIGITS = 308
_REMEDIES = {
    "Extra data": "end the body with its last brace",
    "Invalid control character at": "write it as an escape",
    "Unterminated string starting at": "close the quotes",
}


class BadBody(CarnetError):
    """Raised by `carnet.gateway.bodies` and `carnet.gateway.dialects` for a request that can't be read in one
    way alone. The message is for whoever sent it and quotes no more than a key or a name."""


def quoted(text: str) -> str:
    """What the caller wrote, on one line and short, as a message may have it."""
    return f"`{printable(short(text))}`"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise BadBody(f"{quoted(twice)} stands twice in one object: keep one")
    return found


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise BadBody(f"{quoted(text)} has too many digits: write a smaller number")
    return int(text)


def _exact(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadBody(f"{quoted(text)} is too large for a number: write a smaller one")
    return number


def _constant(text: str) -> NoReturn:
    raise BadBody(f"`{text}` is not a number in JSON: leave it out")


_READER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_exact, parse_constant=_constant
)
_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain_json(content_type: str | None, content_encoding: str | None) -> None:
    encoding = (content_encoding or "identity").strip().lower()
    if encoding != "identity":
        raise BadBody(f"{quoted(encoding)} is a content encoding that is not read here: send it uncompressed")
    if content_type is None:
        return
    kind, *parameters = content_type.lower().split(";")
    if kind.strip() != "application/json":
        raise BadBody(f"{quoted(kind)} is not read here: send `content-type: application/json`")
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name.startswith("charset") and (name != "charset" or value.strip('"') not in {"utf-8", "utf8"}):
            raise BadBody(f"{quoted(parameter)} is not read here: send the body in UTF-8")


def _within_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for holder in level:
            inner: Iterable[Any] = holder.values() if type(holder) is dict else holder
            below += [each for each in inner if type(each) is dict or type(each) is list]
        if not below:
            return
        level = below
    raise BadBody(f"the body is nested more than `{DEEPEST}` deep: make it flatter")


def parsed(body: bytes, content_type: str | None, content_encoding: str | None) -> dict[str, Any]:
    """The object that the body is. The headers are given as they were received, those that came several times
    joined by a comma. Raises BadBody for a body that is not one JSON object in UTF-8 that every reader reads
    the same way: equal keys, numbers that no double holds, half surrogates, a mark at the start, more than
    100 levels."""
    _plain_json(content_type, content_encoding)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(f"byte `{error.start}` of the body is not UTF-8: send it in UTF-8") from None
    if text.startswith("\ufeff"):
        raise BadBody("the body begins with a byte order mark, `U+FEFF`: leave it out")
    try:
        document = _READER.decode(text)
    except json.JSONDecodeError as error:
        remedy = _REMEDIES.get(error.msg, "send one JSON object")
        said = error.msg.lower().removesuffix(" at")
        raise BadBody(f"the body is not JSON at sign `{error.pos}`, {said}: {remedy}") from None
    except RecursionError:
        raise BadBody(f"the body is nested more than `{DEEPEST}` deep: make it flatter") from None
    if type(document) is not dict:
        raise BadBody(f"the body is `{type(document).__name__}`, no object: send one JSON object")
    _within_depth(document)
    if "\\ud" in text or "\\uD" in text:
        try:
            written(document)
        except UnicodeEncodeError:
            raise BadBody("half a surrogate pair, `\\ud800` to `\\udfff`: write the whole sign") from None
    return document


def written(body: Mapping[str, Any]) -> bytes:
    """The body as bytes: the same values, in the same order. Raises ValueError for what is not JSON."""
    return _WRITER.encode(body).encode("utf-8")
