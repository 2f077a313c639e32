"""From the bytes of a shelf to raw blocks with line numbers. It knows Markdown, front matter and TOML, and
nothing of what the keys mean."""

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from carnet.model.errors import InputError, Problem
from carnet.model.near import nearest
from carnet.model.plain import hidden
from carnet.model.time import ZONES, Span, Window, instant
from carnet.model.toml import NotToml, read_toml
from carnet.rules.fences import Fences
from carnet.rules.rulebook import Page

FORMAT = 1
MAX_BYTES = 1_000_000
SKIPPED = ("README.md", "CHANGELOG.md")
"""Pages about a shelf that may lie on it."""

_FRONT = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*$\n?", re.M | re.S)
_NAME = re.compile(r"[a-z][A-Za-z0-9_.\-]*")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Raw(Struct, frozen=True):
    """One fenced block: its kind, its keys and the text they came from."""

    kind: str
    data: dict[str, object]
    text: str
    file: str
    line: int

    def named(self) -> set[str]:
        """The names that others may speak of it by; `*` where it has none that can be used."""
        keys = ("name", "path") if self.kind == "case" else ("id", "name", "path")
        given = [self.data.get(key) for key in keys if key in self.data or key == "id"]
        return {name if isinstance(name, str) and _NAME.fullmatch(name) else "*" for name in given}

    def line_of(self, key: str) -> int:
        """The line of the file on which a key of the block stands; the fence's own if there is none."""
        found = line_of(self.text, key)
        return self.line + found if found else self.line

    def line_with(self, key: str, words: str) -> int:
        """The line below a key on which these words of its value stand; the key's own if none has them."""
        start = self.line_of(key)
        lines = self.text.split("\n")[max(start - self.line - 1, 0) :]
        return next((start + number for number, line in enumerate(lines) if words and words in line), start)


class Front(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Front matter of a provision file."""

    format: int
    title: str
    source: str = ""
    dated: dt.date | str = ""
    verified: dt.datetime | None = None
    regime: str | None = None


class Provision(Struct, frozen=True):
    """One file: its front matter, its words and its blocks. `path` is below its shelf."""

    page: Page
    front: Front
    regime: str
    zone: ZoneInfo | None
    path: str
    blocks: list[Raw] = field(default_factory=list)


class Shelf(Struct, frozen=True):
    """The files of a shelf by their path, and how the shelf is called in front of it."""

    files: Mapping[str, bytes]
    name: str = ""


def is_provision(path: str) -> bool:
    """Whether a file of a shelf is one that holds rules."""
    name = path.rpartition("/")[2]
    return name.lower().endswith(".md") and not name.startswith("_") and name not in SKIPPED


def line_of(text: str, key: str) -> int:
    """The line of TOML text on which a key or its table stands, from 1; 0 if there is none."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    found = re.search(rf"^[ \t]*(?:\[\[?[ \t]*{name}[ \t]*[.\]]|{name}[ \t]*[.=])", text, re.M)
    return text[: found.start()].count("\n") + 1 if found else 0


def text_of(data: bytes, file: str, problems: list[Problem]) -> str | None:
    """The file as text, or None with a problem noted. A mark of the byte order and other line ends than ours
    are taken out."""
    if len(data) > MAX_BYTES:
        problems.append(Problem(file, 1, f"the file has `{len(data)}` bytes: split it below `{MAX_BYTES}`"))
        return None
    try:
        text = data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.append(
            Problem(file, line, f"byte `{data[error.start]:#04x}` is not UTF-8: save the file as UTF-8")
        )
        return None
    unseen = _UNSEEN.search(text)
    if unseen is not None:
        line = text.count("\n", 0, unseen.start()) + 1
        sign = ascii(unseen[0])[1:-1]
        problems.append(Problem(file, line, f"`{sign}` is a sign that nobody sees: leave it out"))
        return None
    return text


def table_of(text: str, file: str, line: int, problems: list[Problem]) -> dict[str, object] | None:
    """TOML text whose first line is line `line` of the file, or None with a problem noted."""
    try:
        return read_toml(text)
    except NotToml as error:
        problems.append(Problem(file, line + error.line - 1, str(error)))
        return None


def provisions(shelf: Shelf, kinds: Collection[str], problems: list[Problem]) -> Iterator[Provision]:
    """Every Markdown file of a shelf that has front matter, in order of path."""
    for path in sorted(shelf.files):
        if not is_provision(path):
            continue
        file = f"{shelf.name}{path}"
        text = text_of(shelf.files[path], file, problems)
        head = _head(text, file, path, problems) if text is not None else None
        if text is not None and head is not None:
            yield _provision(text, head, file, path, kinds, problems)


def _provision(
    text: str,
    head: tuple[Front, int],
    file: str,
    path: str,
    kinds: Collection[str],
    problems: list[Problem],
) -> Provision:
    front, end = head
    blocks = []
    fences = Fences(text, kinds)
    for fence in fences.blocks(text.count("\n", 0, end)):
        if fence.problem is not None:
            problems.append(Problem(file, fence.line, fence.problem))
            continue
        block = table_of(fence.text, file, fence.line + 1, problems)
        if block is not None:
            blocks.append(Raw(fence.kind, block, fence.text, file, fence.line))
    prose = "\n".join(fences.words).strip()
    page = Page(file, front.title, f"{front.source} ({front.dated})" if front.source else "", prose)
    zone = ZONES.get(path.partition("/")[0])
    return Provision(page, front, str(front.regime), zone, path, blocks)


def _head(text: str, file: str, path: str, problems: list[Problem]) -> tuple[Front, int] | None:
    """The front matter of a file and where it ends, or None with a problem noted."""
    found = _FRONT.match(text)
    if found is None:
        whole = '`+++`, `format = 1`, `title = "…"`, `+++`'
        if text.startswith("+++"):
            message = f"the front matter is not closed: it is {whole}, each on a line"
        else:
            message = f"no front matter: begin the file with {whole}, each on a line"
        problems.append(Problem(file, 1, message))
        return None
    data = table_of(found[1], file, 2, problems)
    if data is None:
        return None
    problem = _wrong(data, path)
    if problem is not None:
        key, message = problem
        problems.append(Problem(file, line_of(found[1], key) + 1, message))
        return None
    parts = path.split("/")
    regime, dated = data.get("regime"), data.get("dated", "")
    own = ".".join(parts[:2] if len(parts) > 2 else parts[:1])
    front = Front(
        format=FORMAT,
        title=str(data["title"]),
        source=str(data.get("source", "")),
        dated=dated if isinstance(dated, dt.date) else str(dated),
        verified=_verified(data, path),
        regime=own if regime is None else str(regime),
    )
    return front, found.end()


def _wrong(data: dict[str, object], path: str) -> tuple[str, str] | None:
    """The first key of the front matter that is wrong, and why."""
    known = Front.__struct_fields__
    for key in data:
        if key not in known:
            return key, f"unknown key `{key}` in the front matter{nearest(key, known)}"
    if type(data.get("format")) is not int or data["format"] != FORMAT:
        given = data.get("format")
        wrong = f"`format = {given}` is not one this release reads" if "format" in data else "no `format`"
        return "format", f"{wrong}: the front matter needs `format = {FORMAT}`"
    for key in ("title", "source", "regime"):
        text = data.get(key, "x" if key != "title" else None)
        if not isinstance(text, str) or (key != "source" and not text.strip()):
            return key, f'`{key}` is missing or not text: the front matter needs `{key} = "…"`'
        if (unseen := hidden(text)) is not None:
            return key, f"`{key}` {unseen}"
    if "regime" not in data and "/" not in path:
        return "", "the file lies on no path of a law: put it below one, like `us/letters/`, or add `regime`"
    if "regime" in data and not _NAME.fullmatch(str(data["regime"])):
        return "regime", f"`{data['regime']}` is not a regime: write it like `us.ear`"
    if not isinstance(data.get("dated", ""), dt.date | str):
        return "dated", f"`dated = {data['dated']}` is not a date: write `2026-11-24`"
    try:
        _verified(data, path)
    except InputError as error:
        return "verified", str(error)
    return None


def _verified(data: dict[str, object], path: str) -> dt.datetime | None:
    """When somebody last held the rules against the text. Raises InputError for what is no such day."""
    given = data.get("verified")
    if given is None:
        return None
    if not isinstance(given, dt.date):
        raise InputError(f"`verified = {given}` is not a date: write `2026-11-24`, unquoted")
    if given.year > 9000:
        raise InputError(f"`verified = {given}` lies beyond what anybody saw: write the day of the last look")
    return instant(given, ZONES.get(path.partition("/")[0], ZONES["world"]))


def window_of(value: object, zone: ZoneInfo | None) -> Window:
    """A TOML instant, bare date or `{ earliest, latest }` as a window.

    Raises InputError.
    """
    if not isinstance(value, dict):
        exact = _instant(value, zone)
        return Window(exact, exact)
    if set(value) != {"earliest", "latest"}:
        raise InputError("a window has `earliest` and `latest`, both instants")
    window = Window(_instant(value["earliest"], zone), _instant(value["latest"], zone))
    if window.earliest > window.latest:
        raise InputError("a window's `earliest` lies after its `latest`: swap them")
    return window


def _instant(value: object, zone: ZoneInfo | None) -> dt.datetime:
    if isinstance(value, dict):
        raise InputError("a window has `earliest` and `latest`, both instants, and no window within")
    if not isinstance(value, dt.date):
        raise InputError(
            f"`{value}` is not an instant: write `2026-06-12T17:21:00-04:00` or `2026-06-12`, unquoted"
        )
    return instant(value, zone)


def span_of(start: Window, end: Window | None) -> Span:
    """A half-open span. Raises InputError when the end does not lie after the start."""
    if end is not None and end.latest <= start.earliest:
        raise InputError(
            "`until` does not lie after `from`: intervals are half-open, `through D` ends at D+1"
        )
    return Span(start, end)
