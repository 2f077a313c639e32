"""From the bytes of a shelf to raw blocks with line numbers. It knows Markdown fences, front matter
and TOML, and nothing of what the keys mean."""

import datetime as dt
import re
import tomllib
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from carnet.model.errors import InputError, Problem
from carnet.model.time import ZONES, Span, Window, instant
from carnet.rules.rulebook import Page
from carnet.rules.syntax import nearest

FORMAT = 1
MAX_BYTES = 1_000_000
_FENCE = re.compile(r"^```toml[ \t]+([a-z_]+)[ \t]*\n(.*?)^```[ \t]*$", re.M | re.S)
_FRONT = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*$\n?", re.M | re.S)
_TOML_LINE = re.compile(r"line (\d+)")


class Raw(Struct, frozen=True):
    """One fenced block: its kind, its keys and the text they came from."""

    kind: str
    data: dict[str, object]
    text: str
    file: str
    line: int

    def line_of(self, key: str) -> int:
        """The line of the file on which a key of the block stands; the fence's own if there is none."""
        found = re.search(rf"^\s*{re.escape(key)}\s*=", self.text, re.M)
        return self.line + 1 + self.text[: found.start()].count("\n") if found else self.line


class Front(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Front matter of a provision file."""

    format: int
    title: str
    source: str = ""
    dated: dt.date | str = ""
    verified: dt.datetime | dt.date | None = None
    regime: str | None = None


class Provision(Struct, frozen=True):
    """One file: its front matter, its words and its blocks."""

    page: Page
    front: Front
    regime: str
    zone: ZoneInfo | None
    blocks: list[Raw] = field(default_factory=list)


def text_of(data: bytes, file: str, problems: list[Problem]) -> str | None:
    """The file as text, or None with a problem noted."""
    if len(data) > MAX_BYTES:
        problems.append(Problem(file, 1, f"the file has `{len(data)}` bytes: split it below `{MAX_BYTES}`"))
        return None
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.append(
            Problem(file, line, f"byte `{data[error.start]:#04x}` is not UTF-8: save the file as UTF-8")
        )
        return None


def table_of(text: str, file: str, line: int, problems: list[Problem]) -> dict[str, object] | None:
    """TOML text whose first line is line `line` of the file, or None with a problem noted."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _TOML_LINE.search(str(error))
        offset = int(found.group(1)) - 1 if found else 0
        reason = re.sub(r" ?\(at .*\)$", "", str(error)) or "nested too deep"
        reason = reason[0].lower() + reason[1:]
        problems.append(Problem(file, line + offset, f"not TOML: {reason}; text stands in quotes"))
        return None


def provisions(shelf: Mapping[str, bytes], problems: list[Problem]) -> Iterator[Provision]:
    """Every Markdown file of a shelf that has front matter, in order of path."""
    for file in sorted(shelf):
        name = file.rpartition("/")[2]
        if not name.endswith(".md") or name.startswith("_") or name in ("README.md", "CHANGELOG.md"):
            continue
        text = text_of(shelf[file], file, problems)
        provision = _provision(text, file, problems) if text is not None else None
        if provision is not None:
            yield provision


def _provision(text: str, file: str, problems: list[Problem]) -> Provision | None:
    head = _FRONT.match(text)
    if head is None:
        problems.append(
            Problem(file, 1, 'no front matter: begin with `+++`, `format = 1`, `title = "…"`, `+++`')
        )
        return None
    data = table_of(head.group(1), file, 2, problems)
    front = _front(data, file, problems) if data is not None else None
    if front is None:
        return None
    parts = file.split("/")
    regime = front.regime or ".".join(parts[:2] if len(parts) > 2 else parts[:1])
    blocks = []
    for fence in _FENCE.finditer(text):
        line = text[: fence.start()].count("\n") + 1
        block = table_of(fence.group(2), file, line + 1, problems)
        if block is not None:
            blocks.append(Raw(fence.group(1), block, fence.group(2), file, line))
    fences = len(re.findall(r"^```toml[ \t]+\S", text, re.M))
    if fences != len(_FENCE.findall(text)):
        problems.append(
            Problem(
                file,
                1,
                "a fence of a block is not closed or misspelt: write ```` ```toml KIND ```` … ```` ``` ````",
            )
        )
    prose = _FENCE.sub("", text[head.end() :]).strip()
    page = Page(file, front.title, f"{front.source} ({front.dated})" if front.source else "", prose)
    return Provision(page, front, regime, ZONES.get(parts[0]), blocks)


def _front(data: dict[str, object], file: str, problems: list[Problem]) -> Front | None:
    known = Front.__struct_fields__
    for key in data:
        if key not in known:
            problems.append(Problem(file, 1, f"unknown key `{key}` in the front matter{nearest(key, known)}"))
            return None
    if data.get("format") != FORMAT or not isinstance(data.get("title"), str):
        problems.append(Problem(file, 1, f'the front matter needs `format = {FORMAT}` and `title = "…"`'))
        return None
    verified = data.get("verified")
    if verified is not None and not isinstance(verified, dt.date):
        problems.append(Problem(file, 1, f"`verified = {verified}` is not a date: write `2026-11-24`"))
        return None
    regime, dated = data.get("regime"), data.get("dated", "")
    return Front(
        format=FORMAT,
        title=str(data["title"]),
        source=str(data.get("source", "")),
        dated=dated if isinstance(dated, dt.date) else str(dated),
        verified=verified,
        regime=str(regime) if regime is not None else None,
    )


def window_of(value: object, zone: ZoneInfo | None) -> Window:
    """A TOML instant, bare date or `{ earliest, latest }` as a window.

    Raises InputError.
    """
    if isinstance(value, dict):
        if set(value) != {"earliest", "latest"}:
            raise InputError("a window has `earliest` and `latest`, both instants")
        window = Window(window_of(value["earliest"], zone).earliest, window_of(value["latest"], zone).latest)
        if window.earliest > window.latest:
            raise InputError("a window's `earliest` lies after its `latest`: swap them")
        return window
    if not isinstance(value, dt.date):
        raise InputError(
            f"`{value}` is not an instant: write `2026-06-12T17:21:00-04:00` or `2026-06-12`, unquoted"
        )
    exact = instant(value, zone)
    return Window(exact, exact)


def span_of(start: object, end: object | None, zone: ZoneInfo | None) -> Span:
    """`from` and `until` as a half-open span.

    Raises InputError when one is unusable or the end does not lie after the start.
    """
    span = Span(window_of(start, zone), window_of(end, zone) if end is not None else None)
    if span.end is not None and span.end.latest <= span.start.earliest:
        raise InputError(
            "`until` does not lie after `from`: intervals are half-open, `through D` ends at D+1"
        )
    return span
