"""Writing blocks of a rule file: values as TOML, a block in its fence. What is written is not known here."""

import datetime as dt
import json
import re
from collections.abc import Mapping

from carnet.model.time import Window

CONDITIONS = ("when", "unclear_when", "readings")
"""Keys whose texts are conditions: in single quotes, since conditions have double ones."""


def toml(value: object) -> str:
    """A value as TOML writes it, on one line."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Window(earliest, latest):
            exact = earliest.isoformat()
            if earliest == latest:
                return exact
            return f"{{ earliest = {exact}, latest = {latest.isoformat()} }}"
        case dt.date():
            return value.isoformat()
        case Mapping():
            return table({_key(str(name)): toml(inner) for name, inner in value.items()})
        case tuple() | list():
            return f"[{', '.join(map(toml, value))}]"
    return str(value)


def table(parts: Mapping[str, str]) -> str:
    """An inline table of keys and values that are TOML already."""
    return f"{{ {', '.join(f'{key} = {text}' for key, text in parts.items())} }}" if parts else "{}"


def condition(text: str) -> str:
    """A condition: over several lines in parentheses, as the language wants it."""
    return f"'''({text})'''" if "\n" in text else f"'{text}'"


def block(kind: str, /, **keys: object) -> str:
    """A block of a rule file. `from_` and `class_` stand for keys that are words of Python."""
    lines = []
    for key, value in keys.items():
        match value:
            case str() if key in CONDITIONS:
                text = condition(value)
            case Mapping() if key in CONDITIONS:
                text = table({str(name): condition(str(each)) for name, each in value.items()})
            case _:
                text = toml(value)
        lines.append(f"{key.rstrip('_')} = {text}")
    return "\n".join([f"```toml {kind}", *lines, "```\n"])


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)
