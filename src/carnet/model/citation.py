"""Citations as data: parsed, compared and written in one form. What stands at them is not here."""

import re

from msgspec import Struct

_CODE = re.compile(r"(?P<title>\d+) (?P<code>CFR|USC|FR) (?P<rest>\S.*)")
_SECTION = re.compile(
    r"(?P<number>(?:part )?\d+(?:\.\d+)?[a-z]?)(?P<paragraphs>(?:\(\w+\))*)(?P<note>(?:[ ,].*)?)"
)
_PARAGRAPH = re.compile(r"\((\w+)\)")
_AGAIN = re.compile(r", (?=\(\w+\)|\d+\.\d|and \d)")
_ROMAN = re.compile(r"[ivx]+")


class Citation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place in a code or a register: `15 CFR 744.6(c)(2)` is title 15, code "CFR", number "744.6",
    paragraphs ("c", "2"). `note` is what follows, as written. What stands in no code (`ECCN 4E091`, a
    letter) has the code "" and is all note."""

    code: str
    note: str = ""
    title: int | None = None
    number: str = ""
    paragraphs: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.code:
            return self.note
        below = "".join(f"({paragraph})" for paragraph in self.paragraphs)
        return f"{self.title} {self.code} {self.number}{below}{self.note}"

    def covers(self, other: "Citation") -> bool:
        """Whether the other is this place or lies within it: 744.6(c) covers 744.6(c)(2), part 744 covers
        both. What stands in no code covers only itself."""
        if not self.code or (self.code, self.title) != (other.code, other.title):
            return self == other
        if self.number.startswith("part "):
            part = self.number.removeprefix("part ")
            return other.number.removeprefix("part ").partition(".")[0] == part
        return self.number == other.number and self.paragraphs == other.paragraphs[: len(self.paragraphs)]

    def order(self) -> tuple[object, ...]:
        """A key to sort by: 744.6 before 744.11, (b) before (b)(1), what stands in no code last."""
        numbers = tuple(int(digits) for digits in re.findall(r"\d+", self.number))
        return (
            not self.code,
            self.code,
            self.title or 0,
            numbers,
            tuple(_rank(paragraph, depth) for depth, paragraph in enumerate(self.paragraphs)),
            self.note,
        )


def parse_citations(text: str) -> tuple[Citation, ...]:
    """The citations of a `cite`, in order, separated by `; ` or a comma.

    One that starts with a section (`734.13(a)`) is in the code of the one before, `(c)` after it is in its
    section too. Nothing is refused: what is not understood is kept as a note.
    """
    found: list[Citation] = []
    for part in text.split("; "):
        for piece in _AGAIN.split(part):
            found.append(_one(piece.removeprefix("and "), found))
    return tuple(found)


def format_citations(citations: tuple[Citation, ...]) -> str:
    """The citations in full, separated by `; `; `parse_citations` gives the same back."""
    return "; ".join(str(citation) for citation in citations)


def _one(piece: str, before: list[Citation]) -> Citation:
    last = before[-1] if before and before[-1].code else None
    title, code, rest = (last.title, last.code, piece) if last else (None, "", piece)
    if match := _CODE.fullmatch(piece):
        title, code, rest = int(match["title"]), match["code"], match["rest"]
    if last and piece.startswith("("):
        paragraphs = tuple(_PARAGRAPH.findall(piece.partition(" ")[0]))
        kept = last.paragraphs[: _depth(paragraphs[0], last.paragraphs)]
        note = piece[len("".join(f"({paragraph})" for paragraph in paragraphs)) :]
        return Citation(
            code=code, title=title, number=last.number, paragraphs=(*kept, *paragraphs), note=note
        )
    section = _SECTION.fullmatch(rest) if code else None
    if section is None:
        return Citation(code="", note=piece)
    return Citation(
        code=code,
        title=title,
        number=section["number"],
        paragraphs=tuple(_PARAGRAPH.findall(section["paragraphs"])),
        note=section["note"],
    )


def _depth(paragraph: str, before: tuple[str, ...]) -> int:
    """At which depth a paragraph stands that follows another of its section."""
    for depth in range(len(before) - 1, -1, -1):
        if _kind(before[depth], depth) == _kind(paragraph, depth):
            return depth
    return 0


def _kind(paragraph: str, depth: int) -> str:
    if paragraph.isdigit():
        return "digit"
    if paragraph.isupper():
        return "upper"
    return "roman" if depth >= 2 and _ROMAN.fullmatch(paragraph) else "letter"


def _rank(paragraph: str, depth: int) -> tuple[int, int, str]:
    kind = _kind(paragraph, depth)
    if kind == "digit":
        return (0, int(paragraph), "")
    return (1, _roman(paragraph), "") if kind == "roman" else (2, len(paragraph), paragraph)


def _roman(text: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10}[letter] for letter in text]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))
