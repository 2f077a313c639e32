"""Lists: from a `list` block, and the table beside it, to dated members. What a list means at an instant
is for the engines."""

import re
from collections.abc import Collection, Iterator

from carnet.model.errors import InputError, Problem
from carnet.model.near import nearest, one_of
from carnet.model.plain import odd_name
from carnet.model.time import Span
from carnet.rules import blocks, tables
from carnet.rules.keys import Base, Keys, Refused
from carnet.rules.literals import COUNTRY
from carnet.rules.names import COUNTRIES
from carnet.rules.source import Raw, Shelf, span_of, window_of
from carnet.rules.terms import Terms

_ROW_KEYS = ("id", "from", "until", "known")
_COUNTRY = re.compile(r"[A-Z]{2}")


def column_id(name: str, column: str) -> str:
    """The id of the list that a column of a table makes: `us.ear.740.supp-1` and `A:1` give `….A_1`."""
    return f"{name}.{re.sub('[^A-Za-z0-9]', '_', column)}"


def names_of(raw: Raw) -> list[str]:
    """The ids of the lists that a block makes."""
    name, columns = str(raw.data.get("id")), raw.data.get("columns")
    return [column_id(name, str(column)) for column in columns] if isinstance(columns, list) else [name]


def types_of(terms: Terms) -> list[str]:
    """What the members of a list may be: countries, ids, or the values of an enum, by its path."""
    enums = [path for path, spec in terms.specs.items() if "enum" in (spec.type, spec.of)]
    return ["country", "id", *enums]


class Lists:
    """Builds the lists of one provision from its blocks and its shelf."""

    def __init__(self, keys: Keys, shelf: Shelf, problems: list[Problem]) -> None:
        self.keys, self.shelf, self.problems = keys, shelf, problems

    def block(self, raw: Raw, domains: dict[str, str]) -> list[blocks.List]:
        """The lists of a block. A domain that is another list is noted in `domains`, by id."""
        try:
            return self.lists(raw, domains)
        except Refused as refused:
            self.problems.append(Problem(refused.file or raw.file, refused.line, str(refused)))
        return []

    def lists(self, raw: Raw, domains: dict[str, str]) -> list[blocks.List]:
        keys = self.keys
        keys.check_keys(raw)
        base = keys.common(raw)
        span = base["span"]
        start = keys.window(raw, "complete_from") if "complete_from" in raw.data else span.start
        end = keys.window(raw, "complete_until") if "complete_until" in raw.data else span.end
        if end is not None and end.latest <= start.earliest:
            keys.refuse(
                raw, "complete_until", "`complete_until` does not lie after `complete_from`: swap them"
            )
        of, known = keys.text(raw, "type"), types_of(keys.terms)
        if of not in known:
            near = nearest(of, known) or ": write `country`, `id` or the path of an enum"
            keys.refuse(raw, "type", f"`{of}` is not the type of a list's members{near}")
        given = raw.data.get("domain")
        domain = frozenset(keys.texts(raw, "domain")) if isinstance(given, list) else None
        if given is not None and not isinstance(given, list | str):
            keys.refuse(raw, "domain", "`domain` is a list of members or the id of a list")
        self.check_members(raw, "domain", of, domain or ())
        made = []
        for name, members, rows, domain_of_table in self.contents(raw, base):
            cells = domain_of_table
            for new, old in self.follows(raw, rows).items():
                members += [blocks.Member(new, row.span, row.known) for row in members if row.id == old]
                cells = cells | {new} if cells is not None and old in cells else cells
            if isinstance(given, str):
                domains[name] = given
            self.check_members(
                raw, "csv" if cells is not None else "members", of, {row.id for row in members}
            )
            own_base: Base = {**base, "id": name}
            made.append(
                blocks.List(
                    **own_base,
                    type=of,
                    members=tuple(members),
                    domain=domain if cells is None else cells,
                    content=Span(start, end),
                    prevails=keys.text(raw, "prevails") if "prevails" in raw.data else None,
                )
            )
        return made

    def follows(self, raw: Raw, known: Collection[str]) -> dict[str, str]:
        """Who has the row of whom."""
        given = raw.data.get("follows", {})
        if not isinstance(given, dict) or not all(isinstance(old, str) for old in given.values()):
            self.keys.refuse(raw, "follows", '`follows` must be a table, like `{ KY = "GB" }`')
        for new, old in given.items():
            self.keys.name(raw, "follows", new)
            if old not in known:
                self.keys.refuse(
                    raw, "follows", f"`{old}` has no row that `{new}` could follow{nearest(old, known)}"
                )
        return given

    def check_members(self, raw: Raw, key: str, of: str, names: Collection[str]) -> None:
        """Members are what the type of the list says."""
        values = self.keys.terms.specs[of].values if of in self.keys.terms.specs else None
        for name in sorted(names):
            if values is not None and name not in values:
                self.keys.refuse(raw, key, f"`{name}` is not a value of `{of}`{one_of(name, values)}")
            if of == "country" and not _COUNTRY.fullmatch(name):
                self.keys.refuse(raw, key, f"`{name}` is not a country: {COUNTRY}")
            if (odd := odd_name(name)) is not None:
                self.keys.refuse(raw, key, f"`{name}` in `{key}` {odd}")

    def contents(
        self, raw: Raw, base: Base
    ) -> Iterator[tuple[str, list[blocks.Member], Collection[str], frozenset[str] | None]]:
        """Id, members, all rows and (for a table) domain of each list that the block makes."""
        name, keys, dated = base["id"], self.keys, self.keys.tables(raw, "dated", ("column", *_ROW_KEYS))
        if "csv" not in raw.data:
            rows = raw.data.get("members")
            wrong = next((key for key in ("columns", "dated") if key in raw.data), None)
            if not isinstance(rows, list) or wrong is not None:
                keys.refuse(raw, wrong or "members", "a list has `members`, or `csv` and `columns`")
            members = [self.member(raw, "members", row, base) for row in rows]
            yield name, members, {row.id for row in members}, None
            return
        if "members" in raw.data:
            keys.refuse(raw, "members", "`members` and `csv` exclude each other: keep one")
        columns = keys.texts(raw, "columns")
        if not columns:
            keys.refuse(
                raw, "columns", '`csv` goes with `columns`, like `["NS 1"]`: one list for each of them'
            )
        for row in dated:
            if row.get("column") not in columns:
                keys.refuse(
                    raw,
                    "dated",
                    f"`{row.get('column')}` in `dated` is none of the `columns`: name one of them",
                )
        held = self.table(raw)
        for column in columns:
            found = tables.cells(held, column)
            if isinstance(found, Problem):
                unknown = column not in held.columns
                raise Refused(
                    raw.line_of("columns") if unknown else found.line,
                    found.message,
                    None if unknown else found.file,
                )
            own = [row for row in dated if row["column"] == column]
            apart = {str(row.get("id")) for row in own}
            members = [
                self.member(raw, "columns", member, base)
                for member in tables.members(found)
                if member not in apart
            ]
            members += [
                self.member(raw, "dated", {k: v for k, v in row.items() if k != "column"}, base)
                for row in own
            ]
            domain = frozenset(member for member, cell in found.items() if cell != tables.OUTSIDE)
            yield column_id(name, column), members, found, domain

    def table(self, raw: Raw) -> tables.Table:
        """The table that the block names, beside its file."""
        folder = self.keys.provision.path.rpartition("/")[0]
        path = f"{folder}/{self.keys.text(raw, 'csv')}".lstrip("/")
        files = self.shelf.files
        if path not in files:
            near = nearest(path, [file for file in files if file.lower().endswith(".csv")])
            self.keys.refuse(raw, "csv", f"`{path}` is not on the shelf{near or ': put it beside this file'}")
        problems: list[Problem] = []
        found = tables.table(self.shelf, path, problems)
        if found is None:
            raise Refused(problems[0].line, problems[0].message, problems[0].file)
        return found

    def member(self, raw: Raw, key: str, row: object, base: Base) -> blocks.Member:
        keys, span, known = self.keys, base["span"], base["known"]
        if isinstance(row, str):
            return blocks.Member(row, span, known)
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            keys.refuse(raw, key, "a member is text or a table with `id`, `from`, `until`, `known`")
        for inner in row:
            if inner not in _ROW_KEYS:
                keys.refuse(raw, key, f"unknown key `{inner}` in a member{nearest(inner, _ROW_KEYS)}")
        zone = keys.provision.zone
        try:
            start = window_of(row["from"], zone) if "from" in row else span.start
            end = window_of(row["until"], zone) if "until" in row else None if "from" in row else span.end
            since = window_of(row["known"], zone).earliest if "known" in row else max(start.earliest, known)
            return blocks.Member(row["id"], span_of(start, end), since)
        except InputError as error:
            raise Refused(raw.line_with(key, f'"{row["id"]}"'), f"`{row['id']}`: {error}") from None


def countries_of(found: Collection[blocks.List]) -> frozenset[str] | None:
    """The ids of all countries that the lists know; None if none is the list of them."""
    return next(
        (frozenset(row.id for row in block.members) for block in found if block.id == COUNTRIES), None
    )
