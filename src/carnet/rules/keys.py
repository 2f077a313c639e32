"""Reading the keys of a raw block: texts, dates, conditions. What each kind of block makes of them is in
`carnet.rules.build`."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import NoReturn, TypedDict

from msgspec import structs

from carnet.model.errors import CarnetError, InputError
from carnet.model.near import nearest
from carnet.model.plain import foreign_signs, hidden, odd_name, short
from carnet.model.time import Span, Window
from carnet.rules import tree
from carnet.rules.names import ENTITIES, Names, SyntaxProblem
from carnet.rules.source import FORMAT, Provision, Raw, span_of, window_of
from carnet.rules.syntax import parse
from carnet.rules.terms import Terms

COMMON = ("id", "cite", "from", "until", "known", "format")
CONDITION = ("when", "unclear_when", "axis", "readings", "untranslatable", "outer")
KEYS: Mapping[str, tuple[str, ...]] = {
    "scope": ("subject", "acts"),
    "coverage": ("kinds", "stages"),
    "definition": ("name", "parameter", "of", *CONDITION),
    "requirement": (
        "gate",
        "stage",
        "reasons",
        "lifted_by",
        "review",
        "binds",
        "confidentiality",
        "deadline",
        "received_oral",
        "received_written",
        *CONDITION,
    ),
    "prohibition": ("gate", "stage", *CONDITION),
    "exception": ("class", "path", "lifts", "tasks", *CONDITION),
    "bar": ("blocks", "except", *CONDITION),
    "red_flag": ("defeats", *CONDITION),
    "overlay": ("kind", "target", "products"),
    "list": (
        "type",
        "members",
        "csv",
        "columns",
        "domain",
        "complete_from",
        "complete_until",
        "prevails",
        "follows",
        "dated",
    ),
    "case": (),
}
CASE_KEYS = ("note", "at", "known", "given", "choices", "expect", "format")
RESERVED = ("counter", "counters", "condition", "conditions", "only_if")
"""Words kept for a later release: counters, conditions on overlays, and what builds on them. On an overlay
the keys of a condition are reserved too."""

NEVER_EMPTY = ("binds", "products", "defeats", "domain", "except", "columns")
"""Lists of texts that, written without any, would say the opposite of what they seem to."""

DEFAULT_LIFTED_BY = ("authorization", "carve_out")
_ID = re.compile(r"[a-z][A-Za-z0-9_.\-]*")
_UNTRANSLATABLE = tree.Open("untranslatable")


class Refused(CarnetError):
    """Raised inside this package for one block: the line, and the file where it is not the block's own."""

    def __init__(self, line: int, message: str, file: str | None = None) -> None:
        super().__init__(message)
        self.line, self.file = line, file


class Base(TypedDict):
    """The fields that every block has."""

    id: str
    file: str
    line: int
    cite: str
    regime: str
    span: Span
    known: dt.datetime
    verified: dt.datetime | None


class Keys:
    """One block at a time, for one provision. Definitions and lists are known by name beforehand."""

    def __init__(self, provision: Provision, terms: Terms, names: Names) -> None:
        self.provision, self.terms, self.names = provision, terms, names

    def refuse(self, raw: Raw, key: str, message: str) -> NoReturn:
        raise Refused(raw.line_of(key), message)

    def text(self, raw: Raw, key: str, default: str | None = None) -> str:
        value = raw.data.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.refuse(raw, key, f'`{key}` is missing or not text: every `{raw.kind}` needs `{key} = "…"`')
        if (unseen := hidden(value)) is not None:
            self.refuse(raw, key, f"`{key}` {unseen}")
        return value

    def texts(self, raw: Raw, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = raw.data.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(raw, key, f'`{key}` must be a list of texts, like `["NS"]`')
        if not value and key in raw.data and key in NEVER_EMPTY:
            self.refuse(raw, key, f"`{key} = []` names nobody and nothing: leave it out, or name one")
        for item in value:
            self.name(raw, key, item)
        return tuple(value)

    def name(self, raw: Raw, key: str, text: str) -> str:
        """A text that others refer to: refused where it can't be told from another."""
        if (odd := odd_name(text)) is not None:
            self.refuse(raw, key, f"`{text}` in `{key}` {odd}")
        return text

    def of_table(self, raw: Raw, key: str, table: Mapping[str, object], inner: str) -> str:
        """The text under a key of a table in a list, as in `tasks`."""
        value = table.get(inner)
        if not isinstance(value, str) or not value.strip():
            self.refuse(raw, key, f'`{inner}` is missing or not text in `{key}`: write `{inner} = "…"`')
        if (unseen := hidden(value)) is not None:
            self.refuse(raw, key, f"`{inner}` in `{key}` {unseen}")
        return value

    def tables(self, raw: Raw, key: str, keys: tuple[str, ...]) -> list[dict[str, object]]:
        value = raw.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(
                raw, key, f"`{key}` must be a list of tables with {', '.join(f'`{k}`' for k in keys)}"
            )
        for item in value:
            for inner in item:
                if inner not in keys:
                    self.refuse(raw, key, f"unknown key `{inner}` in `{key}`{nearest(inner, keys)}")
        return value

    def one_of(self, raw: Raw, key: str, words: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(raw, key, default)
        if value not in words:
            near = nearest(value, words) or f": write {' or '.join(f'`{word}`' for word in words)}"
            self.refuse(raw, key, f"`{value}` is not a `{key}`{near}")
        return value

    def check_keys(self, raw: Raw, known: tuple[str, ...] = ()) -> None:
        known = known or (*COMMON, *KEYS[raw.kind])
        for key in raw.data:
            if key in RESERVED or (raw.kind == "overlay" and key in CONDITION):
                self.refuse(
                    raw, key, f"`{key}` is a reserved word: this release does not read it, so leave it out"
                )
            if key not in known:
                what = f"unknown key `{short(key)}`{foreign_signs(key)} in a `{raw.kind}`"
                self.refuse(raw, key, f"{what}{nearest(key, known)}")
        given = raw.data.get("format", FORMAT)
        if type(given) is not int or given != FORMAT:
            self.refuse(raw, "format", f"`format = {given}` is not one this release reads: write `{FORMAT}`")

    def common(self, raw: Raw) -> Base:
        """The fields that every block has."""
        name = self.text(raw, "id")
        if not _ID.fullmatch(name):
            self.refuse(
                raw, "id", f"`{name}` is not an id: lower case first, then letters, digits, `.`, `_`, `-`"
            )
        if "from" not in raw.data:
            self.refuse(raw, "id", f"`{name}` has no `from`: say since when it is in force")
        end = self.window(raw, "until") if "until" in raw.data else None
        try:
            span = span_of(self.window(raw, "from"), end)
        except InputError as error:
            self.refuse(raw, "until", str(error))
        return {
            "id": name,
            "file": raw.file,
            "line": raw.line,
            "cite": self.text(raw, "cite"),
            "regime": self.provision.regime,
            "span": span,
            "known": self.window(raw, "known").earliest if "known" in raw.data else span.start.earliest,
            "verified": self.provision.front.verified,
        }

    def parse(self, raw: Raw, key: str, text: object, scope: Mapping[str, str]) -> tree.Tree:
        if not isinstance(text, str):
            what = "is missing" if text is None else f"`{short(str(text))}` is not text"
            self.refuse(raw, key, f"`{key}` must be a condition in quotes, and {what}")
        names = structs.replace(self.names, red_flag=raw.kind == "red_flag")
        try:
            return parse(text, terms=self.terms, scope=scope, names=names)
        except SyntaxProblem as problem:
            written = text.strip().split("\n")[problem.line - 1].strip()
            raise Refused(raw.line_with(key, written), str(problem)) from None

    def condition(self, raw: Raw, scope: Mapping[str, str] = ENTITIES) -> tree.Tree:
        """`when`, or readings, or an untranslatable text's outer bound; blurred where `unclear_when`."""
        data = raw.data
        ways = [key for key in ("when", "readings", "untranslatable") if key in data]
        if len(ways) > 1:
            self.refuse(raw, ways[1], f"`{ways[0]}` and `{ways[1]}` exclude each other: keep one")
        if ("axis" in data) != ("readings" in data) or ("outer" in data and "untranslatable" not in data):
            key = next(key for key in ("axis", "readings", "outer") if key in data)
            self.refuse(raw, key, "`axis` goes with `readings`, and `outer` with `untranslatable = true`")
        result: tree.Tree
        if "readings" in data:
            readings = data["readings"]
            if not isinstance(readings, dict) or len(readings) < 2:
                self.refuse(
                    raw, "readings", "`readings` needs two values or more: `{ literal = '…', narrow = '…' }`"
                )
            parts = tuple(
                (self.name(raw, "readings", value), self.parse(raw, "readings", text, scope))
                for value, text in sorted(readings.items())
            )
            result = tree.Reading(self.name(raw, "axis", self.text(raw, "axis")), parts)
        elif "untranslatable" in data:
            if data["untranslatable"] is not True:
                self.refuse(
                    raw, "untranslatable", "`untranslatable` can only be `true`: leave it out otherwise"
                )
            outer = self.parse(raw, "outer", data.get("outer", "True"), scope)
            result = tree.And((outer, _UNTRANSLATABLE))
        else:
            result = self.parse(raw, "when", data.get("when", "True"), scope)
        if "unclear_when" in data:
            result = tree.blurred(result, self.parse(raw, "unclear_when", data["unclear_when"], scope))
        return result

    def window(self, raw: Raw, key: str) -> Window:
        try:
            return window_of(raw.data[key], self.provision.zone)
        except InputError as error:
            self.refuse(raw, key, str(error))
