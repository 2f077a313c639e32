"""A file of standing facts, CSV or JSON lines, read row by row into statements; every problem is found before
anything is stored. Where they are stored is in `carnet.store.subjects`.

A row names a subject, a source and its level, and one fact or more. In CSV a column is a fact; `;` separates
members, and `[]` says that there are none.
"""

import csv
import datetime as dt
import io
import typing
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

from msgspec import Struct, structs

from carnet.model.contradictions import contradictions
from carnet.model.documents import Json
from carnet.model.errors import InputError, Problem
from carnet.model.leaves import convert, facts_of, first_problem
from carnet.model.near import nearest
from carnet.model.plain import odd_name, printable, short
from carnet.model.reading import Wrong, checked
from carnet.model.transaction import Party
from carnet.model.written import Evidence, Fact, Id, Instant, Level, SetFact
from carnet.store.subjects import OWN, evidence_of, leaf_of, written_of

LIMIT = 100_000_000
"""Bytes that one file may have."""

_KINDS = dict(facts_of(Party))
_HINTS = typing.get_type_hints(Party)
_SWITCHES = frozenset(name for name, hint in _HINTS.items() if bool in typing.get_args(hint))
_NONE = "[]"
_ALWAYS = dt.datetime.min.replace(tzinfo=dt.UTC)


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row as it is written. What is beside the facts holds for each that does not say otherwise."""

    subject: Id
    facts: Party
    source: Id | None = None
    assurance: Level | None = None
    observed: Instant | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    expires: Instant | None = None


_DRESS = ("source", "assurance", "observed", "valid_from", "valid_until", "expires")
_COLUMNS = ("subject", *_DRESS, *(name for name in _KINDS if name != "id"))


class Roster(Struct, frozen=True):
    """What a file says: statements of subjects, and every problem. With a problem nothing is to be stored."""

    statements: tuple[tuple[str, Party], ...]
    problems: tuple[Problem, ...]


def read_roster(
    data: bytes,
    file: str,
    *,
    source: str | None = None,
    assurance: Level | None = None,
    countries: Collection[str] | None = None,
) -> Roster:
    """The statements of a file, CSV if its name ends in `.csv`, else JSON lines. `source` and `assurance` are
    for rows that don't say them; `countries` are the ids that the rulebook knows, None takes any.

    Raises `InputError` for a file that is no text, is too large or has no row at all.
    """
    if len(data) > LIMIT:
        raise InputError(f"{file}: `{len(data)}` bytes are over the limit of {LIMIT}: split it up")
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}:{line}: it is not UTF-8: save the file as UTF-8") from None
    rows = _of_csv(text, file) if file.lower().endswith(".csv") else _of_lines(text, file)
    problems: list[Problem] = []
    found: list[tuple[int, str, Party]] = []
    for line, plain in rows:
        if isinstance(plain, Problem):
            problems.append(plain)
            continue
        try:
            row = checked(plain, Row, None)
            found.append((line, row.subject, _dressed(row, source, assurance, countries)))
        except Wrong as wrong:
            message = str(wrong)
            if file.lower().endswith(".csv"):
                message = message.replace("`facts.", "`")
            problems.append(Problem(file, line, message))
    if not found and not problems:
        raise InputError(f"{file}: it has no row: write one for each subject")
    problems += _twice(found, file)
    return Roster(tuple((subject, party) for _, subject, party in found), tuple(sorted(problems)))


def _of_lines(text: str, file: str) -> Iterator[tuple[int, object | Problem]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, Json(line, file).read()
        except InputError as error:
            message = str(error).removeprefix(f"{file}:1: ")
            yield number, Problem(file, number, message)


def _of_csv(text: str, file: str) -> Iterator[tuple[int, object | Problem]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, Problem(file, line, f'not CSV: {str(error).lower()}; put text with a `"` in quotes')
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if columns is None:
            columns = [cell.strip() for cell in cells]
            wrong = list(_wrong_columns(columns))
            yield from ((line, Problem(file, line, message)) for message in wrong)
            if wrong:
                return
        elif len(cells) != len(columns):
            message = (
                f"`{len(cells)}` cells, and there are {len(columns)} columns: put text with a comma in quotes"
            )
            yield line, Problem(file, line, message)
        else:
            yield line, _plain(dict(zip(columns, cells, strict=True)))


def _wrong_columns(columns: list[str]) -> Iterator[str]:
    for column in columns:
        if column not in _COLUMNS:
            yield f"`{short(printable(column))}` is not a column{nearest(column, _COLUMNS) or ': remove it'}"
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield f"`{short(printable(column))}` stands twice: keep one"
    if "subject" not in columns:
        yield "`subject` is not among the columns: add it"


def _plain(cells: Mapping[str, str]) -> dict[str, object]:
    """The cells of a row as plain objects; an empty one says nothing."""
    said = {name: text.strip() for name, text in cells.items() if text.strip()}
    facts = {name: _cell(name, text) for name, text in said.items() if name in _KINDS}
    return {**{name: text for name, text in said.items() if name not in _KINDS}, "facts": facts}


def _cell(name: str, text: str) -> object:
    if name in _SWITCHES:
        return {"true": True, "false": False}.get(text.lower(), text)
    if _KINDS[name] not in ("set", "countries", "statuses"):
        return text
    members = [] if text == _NONE else [member.strip() for member in text.split(";")]
    return [_status(member) for member in members] if _KINDS[name] == "statuses" else members


def _status(text: str) -> dict[str, str]:
    """`FR`, `FR:citizenship` or `FR:citizenship:2010-05`."""
    names = ("country", "kind", "since")
    parts = text.split(":", len(names) - 1)
    return {name: part for name, part in zip(names, parts, strict=False) if part}


def _dressed(
    row: Row, source: str | None, assurance: Level | None, countries: Collection[str] | None
) -> Party:
    """The facts of a row, each with the source, level and dates that it has. Raises `Wrong`."""
    beside = {name: getattr(row, name) for name in _DRESS}
    beside["source"], beside["assurance"] = row.source or source, row.assurance or assurance
    changed = {}
    for name, leaf in written_of(row.facts):
        if isinstance(leaf, Evidence) and (leaf.recorded is not None or len(evidence_of(leaf)) != 1):
            raise Wrong(
                ("facts", name), f"`{name}` has `recorded` or `facts`: leave them out, a row is one statement"
            )
        (fact,) = evidence_of(leaf)
        more = {key: value for key, value in beside.items() if getattr(fact, key) is None}
        try:
            changed[name] = leaf_of([structs.replace(fact, **more)])
        except ValueError as error:
            raise Wrong(("facts", name), f"`{name}`: {error}") from None
        if changed[name].source is None or changed[name].assurance is None:
            lacking = "source" if changed[name].source is None else "assurance"
            raise Wrong((), f"`{lacking}` is missing: add it, or give it for all rows with `--{lacking}`")
    party = structs.replace(row.facts, **changed)
    problem = _problem(row.subject, party, countries)
    if problem is not None:
        raise Wrong((), problem)
    return party


def _problem(subject: str, party: Party, countries: Collection[str] | None) -> str | None:
    odd = odd_name(subject)
    if odd is not None:
        return f"`{subject}` {odd} (at `subject`)"
    facts = [(name, fact) for name, leaf in written_of(party) for fact in evidence_of(leaf)]
    if not facts:
        return "there is no fact of the subject: add one, or remove the row"
    if party.id is not None:
        return "`id` is the subject: leave it out"
    if any(str(fact.source).startswith(OWN) for _, fact in facts):
        return f"`{OWN}` begins the sources that a transaction names: take another name (at `source`)"
    found = first_problem([((), party)], {}, countries)
    if found is not None:
        return f"{found[1]} (at `{found[0][0]}`)"
    values = {name: value for name, fact in facts if (value := _value(name, fact)) is not None}
    for clash in contradictions(values):
        return f"`{clash.left}` and `{clash.right}` can't both be true: correct one of them"
    return None


def _value(name: str, fact: Evidence) -> typing.Any:  # noqa: ANN401 -- whatever the fact is
    """The value of a fact that names one, and all of a set."""
    raw = fact.value if isinstance(fact, Fact | SetFact) else None
    return None if raw is None else convert(_KINDS[name], raw)


def _twice(found: list[tuple[int, str, Party]], file: str) -> Iterator[Problem]:
    """Rows of which neither comes later: the same fact of one subject from one source, for the same time."""
    said: dict[tuple[str, str | None, str], list[tuple[int, Evidence]]] = defaultdict(list)
    for line, subject, party in found:
        for name, leaf in written_of(party):
            for fact in evidence_of(leaf):
                said[subject, fact.source, name].append((line, fact))
    for (_, _, name), facts in said.items():
        facts.sort(key=lambda each: (each[1].valid_from or _ALWAYS, each[0]))
        for (first, one), (second, other) in pairwise(facts):
            if one.valid_until is None or other.valid_from is None or one.valid_until > other.valid_from:
                lines = sorted((first, second))
                text = f"`{name}` of this subject from this source stands in line {lines[0]} too: keep one"
                yield Problem(file, lines[1], text)
