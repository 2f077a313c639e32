"""From the bytes of a request to typed values, or a problem that says where it is wrong and repeats nothing
of it. What is read of a transaction is in `carnet.model`; what is done with it is in the handlers.
"""

import asyncio
import json
import re
import urllib.parse
from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec
from starlette.requests import Request

from carnet.model.documents import Json
from carnet.model.errors import InputError
from carnet.model.leaves import Path, first_problem
from carnet.model.plain import DEEPEST
from carnet.model.reading import shown
from carnet.model.transaction import UNITS, Transaction, entities
from carnet.web.problems import MALFORMED, NOT_JSON, TOO_LARGE, TOO_SLOW, UNUSABLE, Stop

T = TypeVar("T")

MOST_PARAMETERS = 20

_LINE = re.compile(r":(\d+): ")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_WRONG = (
    ("nested too deep", "it is nested too deep, no field needs that"),
    ("stands twice", "a key stands twice in one object, keep one"),
    ("too many digits", "a number has too many digits, write it like `1.5e26`"),
    ("is not a number", "`NaN` and `Infinity` are no numbers, leave the fact out if it is not known"),
)
_TYPES = {
    "str": "text",
    "object": "an object",
    "array": "an array",
    "bool": "true or false",
    "int": "a whole number",
    "decimal": "a number",
    "null": "null",
}


async def body_of(request: Request, most: int, seconds: float) -> bytes:
    """The body. Raises `Stop` for one that is no JSON by its header, too large, or too slow; a large one is
    not read to its end."""
    kind, _, more = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json" or more.replace(" ", "").lower() not in _CHARSETS:
        raise Stop(NOT_JSON, "send `Content-Type: application/json`")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Stop(NOT_JSON, "send the body as it is, not compressed")
    large = Stop(TOO_LARGE, f"a body has at most {most} bytes: split it up", {"Connection": "close"})
    said = request.headers.get("content-length", "0")
    if said.isascii() and said.isdigit() and int(said[:20]) > most:
        raise large
    found = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                found += chunk
                if len(found) > most:
                    raise large
    except TimeoutError:
        raise Stop(TOO_SLOW, "the body did not arrive in time", {"Connection": "close"}) from None
    return bytes(found)


_CHARSETS = ("", "charset=utf-8", 'charset="utf-8"')


def plain_of(body: bytes) -> object:
    """The plain objects that a body says. Raises `Stop` for what is not strict JSON: a key twice, a number
    that is none, too deep a nest."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Stop(MALFORMED, "the body is not UTF-8") from None
    try:
        plain = Json(text, "body").read()
    except InputError as error:
        said = str(error)
        why = next((words for sign, words in _WRONG if sign in said), "it is not JSON")
        line = _LINE.search(said)
        raise Stop(MALFORMED, f"line {line[1] if line else 1} of the body: {why}") from None
    if text.count("[") + text.count("{") > DEEPEST and _deeper(plain, DEEPEST):
        raise Stop(MALFORMED, "the body is nested too deep, no field needs that")
    if "\\u" in text:
        try:
            json.dumps(plain, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            raise Stop(MALFORMED, "the body has half of a surrogate pair, which is no sign") from None
    return plain


def converted(plain: object, of: type[T], within: Path = ()) -> T:
    """The value that plain objects say, strictly. Raises `Stop`; `within` is where they stand."""
    try:
        return msgspec.convert(plain, of)
    except msgspec.ValidationError as error:
        message, _, where = str(error).rpartition(" - at `")
        message, where = (message, where.rstrip("`")) if message else (str(error), "")
        steps: list[str | int] = list(within)
        for step in _STEP.finditer(where):
            if step[1] is None and step[2] is None:
                break
            steps.append(step[1] if step[1] is not None else int(step[2]))
        raise Stop(MALFORMED, f"{place(tuple(steps))}: {_why(message)}") from None


def usable(transaction: Transaction, countries: Collection[str] | None, within: Path = ()) -> None:
    """Raises `Stop` for a transaction whose facts can't be."""
    found = first_problem(entities(transaction), UNITS, countries)
    if found is not None:
        raise Stop(
            UNUSABLE, f"{place((*within, *found[0]))}: it can't be so, alone or with the facts beside it"
        )


def place(path: Path) -> str:
    """A place in the body, as a problem names it: only words of ours and numbers are in a path."""
    return f"`{shown(path)}`" if path else "the body"


def query_of(request: Request, known: Collection[str]) -> Mapping[str, str]:
    """The parameters of the query, each once. Raises `Stop` for one that is not known or stands twice."""
    raw = request.scope["query_string"]
    try:
        pairs = urllib.parse.parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise Stop(MALFORMED, "the query can't be read: write it like `?name=value`") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Stop(MALFORMED, "a parameter of the query stands twice: keep one")
    if set(found) - set(known):
        words = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        raise Stop(MALFORMED, f"a parameter of the query is not known: there is {words}")
    return found


def _deeper(plain: object, most: int) -> bool:
    """Whether objects and arrays are nested deeper than that."""
    level = [plain]
    for _ in range(most):
        level = [
            below
            for each in level
            if isinstance(each, dict | list)
            for below in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _why(message: str) -> str:
    """A sentence for a message of msgspec, without what was written there."""
    if message.startswith("Object contains unknown field"):
        return "it has a field that is not known, see the schema"
    if found := re.match(r"Object missing required field `(.*)`", message):
        return f"`{found[1]}` is missing, add it"
    if message.startswith("Invalid enum value"):
        return "it is none of the values that the schema lists"
    if found := re.match(r"Expected `(.*)`, got `(.*)`$", message):
        wanted = " or ".join(_TYPES.get(each, each) for each in found[1].split(" | ") if each != "null")
        return f"it is {_TYPES.get(found[2], found[2])}, write {wanted}"
    if found := re.match(r"Expected `(str|array)` of length (<=|>=|<|>) (\d+)", message):
        return f"its length is to be {found[2]} {found[3]}"
    if "timezone" in message:
        return "it has no zone, add `Z` or an offset like `-04:00`"
    return "it is not of the form that the schema gives"
