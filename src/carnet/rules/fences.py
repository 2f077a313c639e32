"""The fenced blocks of a Markdown file, and whatever looks like one and is none: nothing that may have been
meant as a rule is passed over. What stands in a block is not read here."""

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

from carnet.model.near import nearest
from carnet.model.plain import short

_FENCE = re.compile(r"([ \t>*+\-\d.)]*)(`{3,}|~{3,})[ \t]*([^`]*)$")
_CLOSE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*$")
_GOOD = re.compile(r"```toml[ \t]+(\S.*?)[ \t]*$")
_TOML = re.compile(r"[{.]?toml\b", re.IGNORECASE)
_BARE = re.compile(r"[ \t>*+\-\d.)]*[`'~]{0,2}toml[ \t]+(\w+)[ \t]*$", re.IGNORECASE)
_KEY = re.compile(r"[ \t]*(?:(?:id|cite|note)[ \t]*=[ \t]*[\"']|(?:given|expect)[ \t]*=[ \t]*\{)")
_WORD = re.compile(r"[\w-]+")


class Fence(Struct, frozen=True):
    """One block: its kind, its text and the line on which it opens; `problem` says why it can't be read."""

    kind: str
    text: str
    line: int
    problem: str | None = None


class Fences:
    """Reads the lines of one file. `kinds` are the kinds of block that there are."""

    def __init__(self, text: str, kinds: Collection[str]) -> None:
        self.lines, self.kinds = text.split("\n"), kinds
        self.comment: int | None = None
        self.words: list[str] = []

    def blocks(self, start: int = 0) -> Iterator[Fence]:
        """Every block from a line on, in order, and all that looks like one. The words between them are then
        in `words`, line by line."""
        at = start
        while at < len(self.lines):
            line = self.lines[at]
            found = _FENCE.match(line)
            if found is not None and self.is_block(found[3]):
                end = self.end(at)
                yield self.block(at, end)
                at = end + 1 if self.closes(end) else end
            elif found is None or found[1].strip():
                problem = self.stray(line)
                if problem is not None:
                    yield Fence("", "", at + 1, problem)
                    return
                self.note_comment(line, at)
                self.words.append(line)
                at += 1
            else:
                end = self.plain_end(at, found[2])
                inside = self.within(at, end)
                if inside is not None:
                    yield inside
                    return
                self.words += self.lines[at : end + 1]
                at = end + 1

    def is_block(self, info: str) -> bool:
        """Whether a fence was meant to open a block."""
        return bool(_TOML.match(info)) or any(word in self.kinds for word in _WORD.findall(info))

    def stray(self, line: str) -> str | None:
        """Why a line between the blocks looks like a part of one. What follows it can't be told apart."""
        bare = _BARE.match(line)
        if bare is not None and bare[1].lower() in self.kinds:
            return self.misspelt(line)
        if _KEY.match(line):
            return f"`{short(line)}` stands outside any block: open one before it with ```` ```toml KIND ````"
        return None

    def within(self, at: int, end: int) -> Fence | None:
        """What looks like a block inside another fence."""
        for number in range(at + 1, min(end, len(self.lines))):
            line = self.lines[number]
            found = _FENCE.match(line)
            if found is not None and self.is_block(found[3]):
                block = short(line.strip().lstrip("`~ "))
                message = f"`{block}` begins inside the fence of line {at + 1}: close that one first"
                return Fence("", "", number + 1, message)
            if _KEY.match(line):
                message = (
                    f"`{short(line)}` stands in a fence that opens no block: write ```` ```toml KIND ````"
                )
                return Fence("", "", at + 1, message)
        return None

    def block(self, at: int, end: int) -> Fence:
        good = _GOOD.fullmatch(self.lines[at])
        kind, problem = good[1] if good else "", None
        if good is None:
            problem = self.misspelt(self.lines[at])
        elif not self.closes(end):
            problem = f"the block `{short(kind)}` is not closed: end it with a line ```` ``` ````"
        elif self.comment is not None:
            problem = f"the block `{short(kind)}` stands in the comment of line {self.comment}: take it out"
        return Fence(kind, "".join(f"{line}\n" for line in self.lines[at + 1 : end]), at + 1, problem)

    def misspelt(self, line: str) -> str:
        """What to write instead of a line that opens no block."""
        words = [word for word in _WORD.findall(line) if word.lower() != "toml"]
        kind = next((word for word in words if word in self.kinds), "KIND")
        if not words:
            return f"```` {short(line)} ```` names no kind of block: write ```` ```toml KIND ````"
        near = nearest(words[0], self.kinds) if kind == "KIND" else ""
        right = f"```` ```toml {kind} ````, at the start of the line"
        return f"```` {short(line)} ```` opens no block: write {right}{near}"

    def end(self, at: int) -> int:
        """The line that closes the block, or that of the next block, or the number of lines."""
        for number in range(at + 1, len(self.lines)):
            found = _FENCE.match(self.lines[number])
            if self.closes(number) or (found is not None and self.is_block(found[3])):
                return number
        return len(self.lines)

    def closes(self, number: int) -> bool:
        return number < len(self.lines) and _CLOSE.match(self.lines[number]) is not None

    def plain_end(self, at: int, fence: str) -> int:
        """The line that closes another fence, or the number of lines."""
        for number in range(at + 1, len(self.lines)):
            found = _FENCE.match(self.lines[number])
            if found is not None and not found[3].strip() and found[2].startswith(fence):
                return number
        return len(self.lines)

    def note_comment(self, line: str, at: int) -> None:
        """Whether an HTML comment is open after a line, and since when."""
        if self.comment is not None:
            self.comment = None if "-->" in line else self.comment
        elif "<!--" in line and "-->" not in line.rpartition("<!--")[2]:
            self.comment = at + 1
