"""Reading `terms.toml`: from TOML to typed words. What a condition does with them is in
`carnet.rules.syntax`."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NoReturn, cast, get_args

from carnet.model.errors import CarnetError, Problem
from carnet.rules.source import FORMAT, table_of, text_of
from carnet.rules.syntax import nearest
from carnet.rules.terms import MemberType, Presumption, Terms, TermSpec, TermType, Who

KINDS = ("transaction", "item", "party", "recipient", "exporter", "end_use")
LEVELS = ("S0", "S1", "S2", "S3", "S4")
_KEYS = ("type", "of", "values", "unit", "cite", "who", "level", "presumption", "knowledge")


def read_terms(shelves: tuple[Mapping[str, bytes], ...], problems: list[Problem]) -> Terms:
    """The union of the `terms.toml` of all shelves; a word may be declared once."""
    specs: dict[str, TermSpec] = {}
    roles: list[str] = []
    for shelf in shelves:
        if "terms.toml" not in shelf:
            continue
        text = text_of(shelf["terms.toml"], "terms.toml", problems)
        data = table_of(text, "terms.toml", 1, problems) if text is not None else None
        if text is not None and data is not None:
            _Words(text, data, problems).read(specs, roles)
    return Terms(specs, tuple(roles))


class _Refused(CarnetError):
    """Raised inside this module for one word: its path and the message."""


class _Words:
    def __init__(self, text: str, data: dict[str, object], problems: list[Problem]) -> None:
        self.text, self.data, self.problems = text, data, problems

    def refuse(self, path: str, message: str) -> NoReturn:
        raise _Refused(path, message)

    def problem(self, path: str, message: str) -> None:
        found = re.search(rf"^\[{re.escape(path)}\]", self.text, re.M)
        line = self.text[: found.start()].count("\n") + 1 if found else 1
        self.problems.append(Problem("terms.toml", line, message))

    def read(self, specs: dict[str, TermSpec], roles: list[str]) -> None:
        if self.data.get("format") != FORMAT:
            self.problem("", f"`format = {FORMAT}` is missing at the top")
        given = self.data.get("roles", [])
        roles.extend(str(role) for role in given) if isinstance(given, list) else None
        for entity, table in self.data.items():
            if entity in ("format", "roles"):
                continue
            if entity not in KINDS or not isinstance(table, dict):
                self.problem(entity, f"unknown entity `{entity}`{nearest(entity, KINDS)}")
                continue
            for name, spec in table.items():
                path = f"{entity}.{name}"
                if path in specs:
                    self.problem(path, f"`{path}` is declared twice: keep one")
                elif not isinstance(spec, dict):
                    self.problem(path, f"`{path}` is not a table: write `[{path}]` and its keys")
                else:
                    try:
                        specs[path] = self.word(path, spec)
                    except _Refused as refused:
                        self.problem(*refused.args)

    def word(self, path: str, data: dict[str, object]) -> TermSpec:
        for key in data:
            if key not in _KEYS:
                self.refuse(path, f"unknown key `{key}` of `{path}`{nearest(key, _KEYS)}")
        kind, who, level = data.get("type"), data.get("who", "user"), data.get("level", "S0")
        of, values, cite = data.get("of"), data.get("values", []), data.get("cite")
        if kind not in get_args(TermType):
            self.refuse(path, f"`{kind}` is not a type{nearest(str(kind), get_args(TermType))}")
        if not isinstance(cite, str) or not cite:
            self.refuse(path, f'`{path}` has no citation: add `cite = "…"`')
        if who not in get_args(Who) or level not in LEVELS:
            self.refuse(path, f"`{path}` needs `who` among {get_args(Who)} and `level` among {LEVELS}")
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self.refuse(path, f"`values` of `{path}` must be a list of texts")
        if "enum" in (kind, of) and not values:
            self.refuse(path, f"`{path}` is an enum without `values`: list them")
        if (kind == "set") != (of in ("enum", "id", "country")):
            self.refuse(
                path, f"a set says what it is `of` (enum, id, country), and nothing else does: `{path}`"
            )
        unit = str(data.get("unit", "1"))
        try:
            Decimal(unit)
        except InvalidOperation:
            self.refuse(path, f"`unit = {unit}` of `{path}` is not a decimal number in quotes")
        presumption = self.presumption(path, str(kind), values, data.get("presumption"))
        return TermSpec(
            path=path,
            type=cast(TermType, kind),
            cite=cite,
            of=cast("MemberType | None", of),
            values=tuple(values),
            unit=unit,
            who=cast(Who, who),
            level=str(level),
            presumption=presumption,
            knowledge=data.get("knowledge") is True,
        )

    def presumption(self, path: str, kind: str, values: list[object], given: object) -> Presumption | None:
        if given is None:
            return None
        if not isinstance(given, dict) or not given.get("cite") or set(given) != {"value", "cite"}:
            self.refuse(path, f"the presumption of `{path}` needs `value` and `cite`: the law must supply it")
        value = given["value"]
        if kind not in ("enum", "bool") or path.endswith(("us_status", "location")):
            self.refuse(path, f"`{path}` may have no presumption: status, place and lists are never presumed")
        if (kind == "enum" and value not in values) or (kind == "bool" and not isinstance(value, bool)):
            self.refuse(path, f"`{value}` is not a value of `{path}`{nearest(str(value), map(str, values))}")
        return Presumption(value, str(given["cite"]))
