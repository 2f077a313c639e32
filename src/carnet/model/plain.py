"""What is wrong with a text as such, whatever it says: signs that nobody sees, alphabets mixed, more digits
or brackets than anybody needs. Which texts are checked is up to the readers."""

import re
import sys
import unicodedata
from collections.abc import Iterable

_RUNS = re.compile(r"[^\W\d_]+")
_ALIKE = ("LATIN", "CYRILLIC", "GREEK")
DEEPEST = 100


def printable(text: str) -> str:
    """One line that does nothing to a terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def short(text: str, most: int = 60) -> str:
    """A text as a sentence may quote it: on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def hidden(text: str) -> str | None:
    """What in a text nobody sees and what to do about it; None if all of it can be seen."""
    for sign in text:
        if not sign.isprintable():
            return f"has a sign that nobody sees, `{ascii(sign)[1:-1]}`: leave it out"
    return None


def odd_name(text: str) -> str | None:
    """Why a text would never be the name that it looks like, and what to do; None if it may be one."""
    if text and text.isascii() and text.isprintable() and " " not in (text[0], text[-1]):
        return None
    if not text.strip():
        return "is empty: write a name, or leave it out"
    if text != text.strip():
        return "begins or ends with a space: remove it"
    return hidden(text) or mixed(text)


def mixed(text: str) -> str | None:
    """Which sign of a word is of another alphabet than the rest, for alphabets with signs that look alike."""
    if text.isascii():
        return None
    for run in _RUNS.findall(text):
        scripts = [unicodedata.name(sign, "").partition(" ")[0] for sign in run]
        first = next((script for script in scripts if script in _ALIKE), None)
        usual = "LATIN" if "LATIN" in scripts else first
        for sign, script in zip(run, scripts, strict=True):
            if script in _ALIKE and script != usual:
                return f"has a sign of another alphabet, `{sign}` (U+{ord(sign):04X}): write it anew"
    return None


def foreign_signs(text: str) -> str:
    """` (`…` is U+0430)` for a word of the rules that has a letter other than a to z; else nothing."""
    signs = [sign for sign in text if not sign.isascii() and sign.isprintable()]
    return f" (`{signs[0]}` is U+{ord(signs[0]):04X})" if signs else ""


def too_long(text: str) -> tuple[int, str] | None:
    """The line and the first digits of a whole number with more digits than Python reads, if there is one."""
    most = sys.get_int_max_str_digits()
    found = re.search(rf"[\d_]{{{most},}}", text) if most else None
    return None if found is None else (text.count("\n", 0, found.start()) + 1, short(found[0], 20))


def too_deep(text: str) -> int:
    """The line on which brackets are nested deeper than any field needs; 1 if that is nowhere."""
    depth = 0
    for line, content in enumerate(text.split("\n"), start=1):
        for sign in content:
            depth += (sign in "[{(") - (sign in ")}]")
            if depth > DEEPEST:
                return line
    return 1


def listed(words: Iterable[str]) -> str:
    """Words in backticks, with commas."""
    return ", ".join(f"`{word}`" for word in words)
