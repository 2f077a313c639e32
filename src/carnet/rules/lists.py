"""Lists: from a `list` block, and the table beside it, to dated members. What a list means at an instant
is for the engines."""

import csv
import io
import re
from collections.abc import Mapping

from carnet.model.errors import InputError, Problem
from carnet.model.time import Span
from carnet.rules import blocks
from carnet.rules.build import Build
from carnet.rules.keys import Base, Refused
from carnet.rules.source import Raw, span_of, text_of, window_of
from carnet.rules.syntax import nearest

_ROW_KEYS = ("id", "from", "until", "known")


def column_id(name: str, column: str) -> str:
    """The id of the list that a column of a table makes: `us.ear.740.supp-1` and `A:1` give `….A_1`."""
    return f"{name}.{re.sub('[^A-Za-z0-9]', '_', column)}"


def names_of(raw: Raw) -> list[str]:
    """The ids of the lists that a block makes."""
    name, columns = str(raw.data.get("id")), raw.data.get("columns")
    return [column_id(name, str(column)) for column in columns] if isinstance(columns, list) else [name]


class Lists:
    """Builds the lists of one provision from its blocks and its shelf."""

    def __init__(self, build: Build, shelf: Mapping[str, bytes], problems: list[Problem]) -> None:
        self.build, self.shelf, self.problems = build, shelf, problems

    def block(self, raw: Raw, domains: dict[str, str]) -> list[blocks.List]:
        """The lists of a block. A domain that is another list is noted in `domains`, by id."""
        try:
            return self.lists(raw, domains)
        except Refused as refused:
            self.problems.append(Problem(raw.file, refused.line, str(refused)))
        except InputError as error:
            self.problems.append(Problem(raw.file, raw.line, str(error)))
        return []

    def lists(self, raw: Raw, domains: dict[str, str]) -> list[blocks.List]:
        build = self.build
        build.check_keys(raw)
        base, zone = build.common(raw), build.provision.zone
        span = base["span"]
        content = Span(
            window_of(raw.data["complete_from"], zone) if "complete_from" in raw.data else span.start,
            window_of(raw.data["complete_until"], zone) if "complete_until" in raw.data else span.end,
        )
        given = raw.data.get("domain")
        domain = frozenset(build.texts(raw, "domain")) if isinstance(given, list) else None
        if given is not None and not isinstance(given, list | str):
            build.refuse(raw, "domain", "`domain` is a list of members or the id of a list")
        follows = raw.data.get("follows", {})
        if not isinstance(follows, dict):
            build.refuse(raw, "follows", '`follows` must be a table, like `{ KY = "GB" }`')
        made = []
        for name, members, cells in self.contents(raw, base):
            members += [
                blocks.Member(new, row.span, row.known)
                for new, old in follows.items()
                for row in members
                if row.id == old
            ]
            own = (
                domain
                if cells is None
                else frozenset(cells) | {new for new, old in follows.items() if old in cells}
            )
            if isinstance(given, str):
                domains[name] = given
            own_base: Base = {**base, "id": name}
            made.append(
                blocks.List(
                    **own_base,
                    type=build.text(raw, "type"),
                    members=tuple(members),
                    domain=own,
                    content=content,
                    prevails=build.text(raw, "prevails") if "prevails" in raw.data else None,
                )
            )
        return made

    def contents(self, raw: Raw, base: Base) -> list[tuple[str, list[blocks.Member], set[str] | None]]:
        """Id, members and (for a table) domain of each list that the block makes."""
        name = base["id"]
        if "csv" not in raw.data:
            rows = raw.data.get("members")
            if not isinstance(rows, list):
                self.build.refuse(raw, "members", "a list has `members`, or `csv` and `columns`")
            return [(name, [self.member(raw, "members", row, base) for row in rows], None)]
        columns = self.build.texts(raw, "columns")
        path = f"{raw.file.rpartition('/')[0]}/{self.build.text(raw, 'csv')}".lstrip("/")
        if path not in self.shelf:
            self.build.refuse(raw, "csv", f"`{path}` is not on the shelf{nearest(path, self.shelf)}")
        text = text_of(self.shelf[path], path, self.problems)
        table = list(csv.DictReader(io.StringIO(text or "")))
        header = list(table[0]) if table else []
        dated = self.build.tables(raw, "dated", ("column", *_ROW_KEYS))
        made: list[tuple[str, list[blocks.Member], set[str] | None]] = []
        for column in columns:
            if column not in header or header[0] != "id":
                self.build.refuse(
                    raw,
                    "columns",
                    f"`{path}` has no column `{column}`{nearest(column, header)}; its first is `id`",
                )
            for row in table:
                if row[column] not in ("X", "", "-"):
                    self.build.refuse(
                        raw,
                        "columns",
                        f"`{row[column]}` of `{row['id']}` in `{path}` is not `X`, empty or `-`",
                    )
            own = [row for row in dated if column_id("", str(row.get("column"))) == column_id("", column)]
            apart = {str(row.get("id")) for row in own}
            members = [
                self.member(raw, "columns", row["id"], base)
                for row in table
                if row[column] == "X" and row["id"] not in apart
            ]
            members += [
                self.member(raw, "dated", {k: v for k, v in row.items() if k != "column"}, base)
                for row in own
            ]
            made.append(
                (column_id(name, column), members, {row["id"] for row in table if row[column] != "-"})
            )
        return made

    def member(self, raw: Raw, key: str, row: object, base: Base) -> blocks.Member:
        span, known = base["span"], base["known"]
        if isinstance(row, str):
            return blocks.Member(row, span, known)
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            self.build.refuse(raw, key, "a member is text or a table with `id`, `from`, `until`, `known`")
        for inner in row:
            if inner not in _ROW_KEYS:
                self.build.refuse(raw, key, f"unknown key `{inner}` in a member{nearest(inner, _ROW_KEYS)}")
        zone = self.build.provision.zone
        start = (
            span_of(row["from"], row.get("until"), zone)
            if "from" in row
            else Span(span.start, window_of(row["until"], zone) if "until" in row else span.end)
        )
        since = window_of(row["known"], zone).earliest if "known" in row else max(start.start.earliest, known)
        return blocks.Member(row["id"], start, since)
