"""From bytes to a frozen struct, or one sentence on what to change: JSON and TOML, for any type of the
model. What the values mean is not here."""

import json
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import inspect

from carnet.model.documents import Json, Toml
from carnet.model.errors import InputError
from carnet.model.leaves import Path
from carnet.model.near import nearest, one_of
from carnet.model.plain import foreign_signs, printable

T = TypeVar("T")

LIMIT = 1_000_000
"""Bytes that one input may have."""

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")


def decode(
    data: bytes, of: type[T], *, file: str, check: Callable[[T], tuple[Path, str] | None] | None = None
) -> T:
    """The struct that the bytes say; `file` is its name in messages, TOML if it ends in `.toml`. `check` may
    find a problem in the struct, and where.

    Raises InputError, naming file, line and value, for anything else: over 1 MB, not UTF-8, bad JSON or
    TOML, a key twice, an unknown field, a wrong value.
    """
    if len(data) > LIMIT:
        raise InputError(f"{file}: `{len(data)}` bytes are over the limit of {LIMIT}: split it up")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"0x{data[error.start]:02x}"
        raise InputError(f"{file}:{line}: the byte `{byte}` is not UTF-8: save the file as UTF-8") from None
    text = text.removeprefix("\ufeff")
    document = Toml(text, file) if file.lower().endswith(".toml") else Json(text, file)
    plain = document.read()
    try:
        return checked(plain, of, check)
    except Wrong as wrong:
        line = document.line(wrong.path)
        raise InputError(printable(f"{file}:{line}: {wrong}")) from None


class Wrong(InputError):
    """What is wrong, and where in the document."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def checked(plain: object, of: type[T], check: Callable[[T], tuple[Path, str] | None] | None) -> T:
    """The struct that plain objects say. Raises Wrong for what is none, and for what `check` finds."""
    try:
        read = msgspec.convert(plain, of)
    except msgspec.ValidationError as error:
        message, _, where = str(error).rpartition(" - at `")
        path = _path(where.rstrip("`")) if message else ()
        problem, path = _explain(message or str(error), path, plain, of)
        raise Wrong(path, problem) from None
    found = check(read) if check is not None else None
    if found is not None:
        raise Wrong(found[0], f"{found[1]} (at `{shown(found[0])}`)")
    return read


def shown(path: Path) -> str:
    """A path as people write it: `parties.end_user[0].us_status`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _path(where: str) -> Path:
    """`$.recipient.nationalities[0]` as steps; `[...]`, any key of a mapping, ends it."""
    steps: list[str | int] = []
    for match in _STEP.finditer(where):
        if match[1] is not None:
            steps.append(match[1])
        elif match[2] is not None:
            steps.append(int(match[2]))
        else:
            break
    return tuple(steps)


def _explain(message: str, path: Path, plain: object, of: type) -> tuple[str, Path]:
    """The sentence for a message of msgspec, and the path it is about."""
    name = shown(path) or "the document"
    value = _at(plain, path)
    if found := re.match(r"Object contains unknown field `(.*)`", message, re.DOTALL):
        word, known = found[1], _fields(of, path)
        near = nearest(word, known) or _elsewhere(word, of) or one_of(word, known)
        name = f"`{shown((*path, _short(word)))}`{foreign_signs(_short(word))}"
        return f"unknown field {name}{near}", (*path, word)
    if found := re.match(r"Object missing required field `(.*)`", message):
        return f"`{shown((*path, found[1]))}` is missing: add it{_example(found[1])}", path
    if message.startswith("Invalid enum value"):
        allowed = _values(of, path)
        return f"`{_short(value)}` is not a value of `{name}`{one_of(str(value), allowed)}", path
    if "timezone component" in message:
        return f"`{_short(value)}` at `{name}` has no zone: add `Z` or an offset like `-04:00`", path
    if "datetime" in message:
        return (
            f"`{_short(value)}` at `{name}` is not an instant: write it like `2026-06-12T17:21:00-04:00`",
            path,
        )
    if "[A-Z]{2}" in message:
        return (
            f"`{_short(value)}` at `{name}` is not a country: write its id, two capital letters, like `FR`",
            path,
        )
    if r"\d{4}" in message:
        return f"`{_short(value)}` at `{name}` is not a date: write `2025`, `2025-05` or `2025-05-15`", path
    if message.startswith("Expected `str` of length"):
        return f"`{name}` is an id: write 1 to 200 characters", path
    if found := re.match(r"Expected `(.*)`, got `(date|time|datetime)`", message):
        return f'`{_short(value)}` at `{name}` is not in quotes: write it as text, `"{_short(value)}"`', path
    if found := re.match(r"Expected `(.*)`, got `(.*)`", message):
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in found[1].split(" | ") if kind != "null")
        return f"`{_short(value)}` at `{name}` is {_KINDS.get(found[2], found[2])}: write {wanted}", path
    if message == "Invalid decimal string":
        return f"`{_short(value)}` at `{name}` is not a number: write it like `12`, `0.5` or `1.5e26`", path
    return f"`{name}`: {message}", path


_KINDS = {
    "str": "text",
    "object": "an object of fields",
    "array": "an array",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "decimal": "a number",
    "datetime": "an instant",
    "null": "null",
}


def _short(value: object) -> str:
    plain = isinstance(value, dict | list | bool | int | None)
    text = json.dumps(value, default=str) if plain else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _example(field: str) -> str:
    return ", such as `2026-06-12T17:21:00-04:00`" if field == "at" else ""


def _at(plain: object, path: Path) -> object:
    for step in path:
        if isinstance(plain, dict):
            plain = plain.get(step)
        elif isinstance(plain, list) and isinstance(step, int) and step < len(plain):
            plain = plain[step]
    return plain


def _nodes(of: type, path: Path) -> list[inspect.Type]:
    """What may stand at a path of a type."""
    nodes = _unions([inspect.type_info(of)])
    for step in path:
        below: list[inspect.Type] = []
        for node in nodes:
            if isinstance(node, inspect.StructType):
                below += [field.type for field in node.fields if field.encode_name == step]
            elif isinstance(node, inspect.VarTupleType) and isinstance(step, int):
                below.append(node.item_type)
        nodes = _unions(below)
    return nodes


def _unions(nodes: list[inspect.Type]) -> list[inspect.Type]:
    flat: list[inspect.Type] = []
    for node in nodes:
        if isinstance(node, inspect.Metadata):
            flat += _unions([node.type])
        elif isinstance(node, inspect.UnionType):
            flat += _unions(list(node.types))
        else:
            flat.append(node)
    return flat


def _fields(of: type, path: Path) -> list[str]:
    structs = [node for node in _nodes(of, path) if isinstance(node, inspect.StructType)]
    return [field.encode_name for node in structs for field in node.fields]


def _values(of: type, path: Path) -> list[str]:
    literals = [node for node in _nodes(of, path) if isinstance(node, inspect.LiteralType)]
    return [str(value) for node in literals for value in node.values]


def _elsewhere(word: str, of: type) -> str:
    """The same word, one level down in another part of the document."""
    for part in _fields(of, ()):
        if word in _fields(of, (part,)):
            return f"; did you mean `{part}.{word}`?"
    return ""
