"""Tables beside a provision: a CSV file as cells by row and column, or what is wrong with it and on which
line. What a cell means for a list is in `carnet.rules.lists`."""

import csv
import io
from collections.abc import Iterator, Mapping

from msgspec import Struct

from carnet.model.errors import Problem
from carnet.model.near import nearest
from carnet.model.plain import odd_name, short
from carnet.rules.source import Shelf, text_of

IN, NOT_IN, OUTSIDE = "X", "", "-"
"""What a cell may hold: a member, none, outside the domain."""


class Table(Struct, frozen=True):
    """The rows of a file, each by its `id`, with a cell for each of its columns."""

    file: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]
    lines: Mapping[str, int]


def table(shelf: Shelf, path: str, problems: list[Problem]) -> Table | None:
    """The table in a file of the shelf, or None with a problem noted."""
    file = f"{shelf.name}{path}"
    text = text_of(shelf.files[path], file, problems)
    if text is None:
        return None
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        line = max(reader.line_num, 1)
        near = short(text.split("\n")[line - 1], 30)
        why = "a cell with a quote or a comma stands in quotes, its own quotes twice"
        problems.append(Problem(file, line, f"not CSV at `{near}`: {error}; {why}"))
        return None
    found = _table(file, lines)
    if isinstance(found, Problem):
        problems.append(found)
        return None
    return found


def _table(file: str, lines: list[tuple[int, list[str]]]) -> Table | Problem:
    if len(lines) < 2:
        return Problem(
            file, 1, "the table has no rows: its first line is `id` and the columns, and rows follow"
        )
    columns = lines[0][1]
    if columns[0] != "id":
        what = f"the first column is `{short(columns[0])}`: it must be `id`, with commas between the columns"
        return Problem(file, 1, what)
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        return Problem(file, 1, f"the column `{short(twice[0])}` stands twice: keep one")
    rows: dict[str, Mapping[str, str]] = {}
    at: dict[str, int] = {}
    for line, row in lines[1:]:
        name = row[0]
        if len(row) != len(columns):
            what = f"the row `{short(name)}` has {len(row)} cells for {len(columns)} columns: make it fit"
            return Problem(file, line, what)
        if (odd := odd_name(name)) is not None:
            return Problem(file, line, f"`{name}` in the column `id` {odd}")
        if name in rows:
            return Problem(file, line, f"`{name}` stands twice (also on line {at[name]}): keep one row")
        rows[name], at[name] = dict(zip(columns, row, strict=True)), line
    return Table(file, tuple(columns), rows, at)


def cells(held: Table, column: str) -> dict[str, str] | Problem:
    """The cells of a column by row, or what is wrong with it."""
    if column not in held.columns or column == "id":
        near = nearest(column, held.columns[1:])
        return Problem(held.file, 1, f"`{held.file}` has no column `{short(column)}`{near or _among(held)}")
    for name, row in held.rows.items():
        if row[column] not in (IN, NOT_IN, OUTSIDE):
            cell = f"`{short(row[column])}` of `{name}` under `{column}`"
            return Problem(held.file, held.lines[name], f"{cell} is not `X`, empty or `-`: write one of them")
    return {name: row[column] for name, row in held.rows.items()}


def _among(held: Table) -> str:
    shown = held.columns[1:7]
    more = ", …" if len(held.columns) > 7 else ""
    return f": it has {', '.join(f'`{short(column, 20)}`' for column in shown)}{more}"


def members(held: Mapping[str, str]) -> Iterator[str]:
    """The rows that a column marks."""
    return (name for name, cell in held.items() if cell == IN)
