"""Documents as text: plain objects from JSON or TOML, and the line on which any part of one stands. Which
parts a document may have is in `carnet.model.reading`."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from carnet.model.errors import InputError
from carnet.model.leaves import Path
from carnet.model.plain import printable, short, too_deep
from carnet.model.toml import NotToml, read_toml

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_HEADER = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]?\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*((?:\"[^\"]*\"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[\w-]+))*)\s*=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")

_REMEDIES = (
    ("expecting value", "text stands in double quotes, `true`, `false` and `null` in small letters"),
    ("expecting property name", "a key stands in double quotes, and no comma after the last"),
    ("expecting ',' delimiter", "a comma stands between two, and what is opened is closed"),
    ("expecting ':' delimiter", 'write `"key": value`'),
    ("invalid control character", "close the quotes on the same line"),
    ("unterminated string", "close the quotes"),
    ("invalid \\escape", "write `\\\\` for a backslash"),
    ("extra data", "one document ends with its last brace"),
)


class Json:
    """A document in JSON."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.twice: str | None = None

    def read(self) -> object:
        """Plain objects. Raises InputError for a text that is not JSON, and for a key that stands twice."""
        try:
            plain = json.loads(
                self.text,
                object_pairs_hook=self.unique,
                parse_int=self.whole,
                parse_float=self.exact,
                parse_constant=self.constant,
            )
        except json.JSONDecodeError as error:
            near = self.text[error.pos : error.pos + 20].rstrip() or self.text[error.pos : error.pos + 1]
            seen = f"at `{printable(near)}`" if self.text[error.pos :].strip() else "at the end"
            what = error.msg.lower().removesuffix(" at")
            remedy = next((f"; {words}" for start, words in _REMEDIES if what.startswith(start)), "")
            raise InputError(f"{self.file}:{error.lineno}: not JSON {seen}: {what}{remedy}") from None
        except RecursionError:
            line = too_deep(self.text)
            there = printable(short(self.text.split("\n")[line - 1], 20))
            raise InputError(
                f"{self.file}:{line}: `{there}` is nested too deep: no field needs that"
            ) from None
        if self.twice is not None:
            raise InputError(
                f"{self.file}:{self.repeated()}: `{printable(short(self.twice))}` stands twice in one object:"
                " keep one"
            )
        return plain

    def unique(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found and self.twice is None:
                self.twice = key
            found[key] = value
        return found

    def whole(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            self.too_many_digits(text)

    def exact(self, text: str) -> Decimal:
        try:
            return Decimal(text)
        except InvalidOperation:
            self.too_many_digits(text)

    def too_many_digits(self, text: str) -> NoReturn:
        line = self.text.count("\n", 0, self.text.find(text)) + 1
        raise InputError(
            f"{self.file}:{line}: `{short(text, 30)}` has too many digits: write it like `1.5e26`"
        )

    def constant(self, name: str) -> NoReturn:
        line = self.text.count("\n", 0, self.text.find(name)) + 1
        raise InputError(
            f"{self.file}:{line}: `{name}` is not a number: leave the fact out if it is not known"
        )

    def line(self, path: Path) -> int:
        """The line of the key or member at the path, or of the last of its parents that is there."""
        lines = {place: start for place, start, _ in self.places()}
        while path and path not in lines:
            path = path[:-1]
        return self.text.count("\n", 0, lines.get(path, 0)) + 1

    def repeated(self) -> int:
        """The line of the first key that stands a second time in one object, in order of the text."""
        seen: set[Path] = set()
        for place, start, is_key in self.places():
            if is_key and place in seen:
                return self.text.count("\n", 0, start) + 1
            if is_key:
                seen.add(place)
        return 1

    def places(self) -> Iterator[tuple[Path, int, bool]]:
        """Where each key and each member of an array stands, and whether it is a key."""
        open_: list[tuple[str, Path]] = []
        path: Path = ()
        key_next = False
        for token in _TOKEN.finditer(self.text):
            text = token[0]
            if text in "}]":
                path = open_.pop()[1]
            elif text == ",":
                kind, parent = open_[-1]
                key_next = kind == "{"
                path = parent if key_next else (*parent, int(path[-1]) + 1)
            elif key_next and text != ":":
                path = (*open_[-1][1], json.loads(text))
                yield path, token.start(), True
                key_next = False
            elif text in "{[":
                yield path, token.start(), False
                open_.append((text, path))
                key_next = text == "{"
                path = path if key_next else (*path, 0)
            elif text != ":":
                yield path, token.start(), False


class Toml:
    """A document in TOML."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file

    def read(self) -> object:
        """Plain objects. Raises InputError for a text that is not TOML."""
        try:
            return read_toml(self.text, Decimal)
        except NotToml as error:
            raise InputError(f"{self.file}:{error.line}: {printable(str(error))}") from None

    def line(self, path: Path) -> int:
        """The line of the key at the path or of the longest part of it that has one, as far as lines alone
        can tell: within a value of several lines it is the line of its key."""
        best, at = 0, 1
        for place, number in self.places():
            common = next(
                (count for count, (one, other) in enumerate(zip(place, path, strict=False)) if one != other),
                min(len(place), len(path)),
            )
            if common > best and common in (len(place), len(path)):
                best, at = common, number
        return at

    def places(self) -> Iterator[tuple[Path, int]]:
        """Where each table and each key stands; the tables of an array are counted."""
        table: Path = ()
        counts: dict[Path, int] = {}
        for number, line in enumerate(self.text.split("\n"), start=1):
            if header := _HEADER.match(line):
                table = _steps(header[2])
                if header[1]:
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                elif table[:-1] in counts:
                    table = (*table[:-1], counts[table[:-1]], table[-1])
                yield table, number
            elif key := _KEY.match(line):
                yield (*table, *_steps(key[1])), number


def _steps(dotted: str) -> Path:
    return tuple(next(part for part in match if part) for match in _PART.findall(dotted) if any(match))
