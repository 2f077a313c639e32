"""TOML, or one sentence on why a text is none: its line, what stands there and what to write instead. What
the keys mean is not here."""

import re
import tomllib
from collections.abc import Callable
from typing import Any

from carnet.model.errors import CarnetError
from carnet.model.plain import short, too_deep, too_long

_LINE = re.compile(r"line (\d+)")
_KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[\w.-]+)\s*=")
_TABLE = re.compile(r"cannot (?:declare|mutate immutable namespace) \((.*?),?\)")
_REMEDIES = (
    ("invalid value", "text stands in quotes"),
    ("invalid initial character for a key", "a key is letters, digits, `_` and `-`"),
    ("invalid statement", "write `key = value`"),
    ("expected '=' after a key", "write `key = value`"),
    ("expected newline", "write one `key = value` to a line"),
    ("illegal character '\\n'", "close the quotes on the same line"),
    ("found invalid character '\\n'", "close the quotes on the same line"),
    ("unterminated string", "close the quotes"),
    ("expected \"'", "close the quotes"),
    ("expected ']'", "close it with `]`"),
    ("unclosed array", "close it with `]`"),
    ("unclosed inline table", "close it with `}`, on the same line"),
    ("invalid date", "write it like `2026-06-12` or `2026-06-12T17:21:00-04:00`"),
    ("unescaped", "put the text in single quotes"),
)


class NotToml(CarnetError):
    """Raised by `read_toml`: the line, and a sentence in one line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """The table that a text says.

    Raises NotToml for a text that is not TOML, and for numbers and nesting beyond what can be read.
    """
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except tomllib.TOMLDecodeError as error:
        raise NotToml(*_problem(str(error), text)) from None
    except RecursionError:
        line = too_deep(text)
        there = short(text.split("\n")[line - 1], 20)
        raise NotToml(line, f"`{there}` is nested too deep: no field needs that") from None
    except (ValueError, ArithmeticError):
        line, digits = too_long(text) or _number(text)
        raise NotToml(line, f"`{digits}` has too many digits: write it like `1.5e26`, in quotes") from None


def _problem(error: str, text: str) -> tuple[int, str]:
    """The line that is wrong, as a reader would say, and what is wrong there."""
    found = _LINE.search(error)
    lines = text.rstrip().split("\n")
    number = min(int(found[1]), len(lines)) if found else len(lines)
    what = re.sub(r" ?\(at (?:line|end)[^()]*\)$", "", error)
    what = what[0].lower() + what[1:]
    if table := _TABLE.match(what):
        name = ".".join(re.findall(r"'((?:[^'\\]|\\.)*)'", table[1]))
        return number, f"`{short(name)}` stands twice: keep one"
    if what == "cannot overwrite a value":
        keys = (_KEY.match(line) for line in reversed(lines[:number]))
        name = next((key[1] for key in keys if key is not None), lines[number - 1])
        return number, f"`{short(name)}` stands twice: keep one"
    number = next((line for line in range(number, 0, -1) if _opens(what, lines[line - 1])), number)
    there = lines[number - 1].strip()
    near = f" at `{short(there)}`" if there else ""
    remedy = next((f"; {words}" for start, words in _REMEDIES if what.startswith(start)), "")
    return number, f"not TOML{near}: {what}{remedy}"


def _opens(what: str, line: str) -> bool:
    """Whether a line opens what was found to be never closed only later; any line, for other problems."""
    if what.startswith("unclosed array"):
        return line.count("[") > line.count("]")
    if what.startswith("unclosed inline table"):
        return line.count("{") > line.count("}")
    if what.startswith(("unterminated string", "expected \"'")):
        quote = "'" if what.startswith("expected") else '"'
        return line.count(quote) % 2 == 1
    return True


def _number(text: str) -> tuple[int, str]:
    """The line and the text of the number with the longest exponent."""
    found = max(re.finditer(r"[\d._]+[eE][+-]?[\d_]+", text), key=lambda match: len(match[0]), default=None)
    return (
        (1, short(text, 20)) if found is None else (text.count("\n", 0, found.start()) + 1, short(found[0]))
    )
