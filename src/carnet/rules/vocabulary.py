"""Reading `terms.toml`: from TOML to typed words. What a condition does with them is in
`carnet.rules.syntax`."""

import keyword
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import NoReturn, cast, get_args

from carnet.model.errors import CarnetError, Problem
from carnet.model.near import nearest, one_of
from carnet.model.plain import foreign_signs, listed, odd_name, short
from carnet.rules.names import ENTITIES
from carnet.rules.source import FORMAT, Shelf, line_of, table_of, text_of
from carnet.rules.terms import PARTY_ENTITIES, MemberType, Presumption, Terms, TermSpec, TermType, Who

FILE = "terms.toml"

KINDS = ("transaction", "item", "party", "recipient", "exporter", "end_use")
LEVELS = ("S0", "S1", "S2", "S3", "S4")
RESERVED_TYPES = ("interval", "range", "counter")
"""Words kept for a later release: facts that are intervals of anything but days, and counters."""

MOST_DIGITS = 100
"""Digits that a unit may have before or after its point."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_KEYS = ("type", "of", "values", "unit", "cite", "who", "level", "presumption", "knowledge")


def read_terms(shelves: Sequence[Shelf], problems: list[Problem]) -> Terms:
    """The union of the `terms.toml` of all shelves; a word may be declared once."""
    specs: dict[str, TermSpec] = {}
    roles: list[str] = []
    for shelf in shelves:
        if FILE not in shelf.files:
            continue
        file = f"{shelf.name}{FILE}"
        text = text_of(shelf.files[FILE], file, problems)
        data = table_of(text, file, 1, problems) if text is not None else None
        if text is not None and data is not None:
            _Words(file, text, data, problems).read(specs, roles)
    return Terms(specs, tuple(dict.fromkeys(roles)))


class _Refused(CarnetError):
    """Raised inside this module for one word: its path and the message."""


class _Words:
    def __init__(self, file: str, text: str, data: dict[str, object], problems: list[Problem]) -> None:
        self.file, self.text, self.data, self.problems = file, text, data, problems

    def refuse(self, path: str, message: str) -> NoReturn:
        raise _Refused(path, message)

    def problem(self, path: str, message: str) -> None:
        entity, _, name = path.partition(".")
        found = re.search(rf"^[ \t]*\[\[?[ \t]*{re.escape(path)}[ \t]*\]", self.text, re.M)
        line = self.text[: found.start()].count("\n") + 1 if found else 0
        line = line or line_of(self.text, name or entity) or line_of(self.text, entity) or 1
        self.problems.append(Problem(self.file, line, message))

    def read(self, specs: dict[str, TermSpec], roles: list[str]) -> None:
        given = self.data.get("format")
        if type(given) is not int or given != FORMAT:
            wrong = (
                f"`format = {given}` is not one this release reads"
                if "format" in self.data
                else "no `format`"
            )
            self.problem("format", f"{wrong}: write `format = {FORMAT}` at the top")
            return
        roles.extend(self.roles())
        for entity, table in self.data.items():
            if entity in ("format", "roles"):
                continue
            if entity not in KINDS or not isinstance(table, dict):
                near = nearest(entity, KINDS) or f": write words of {listed(KINDS)}"
                what = f"unknown entity `{short(entity)}`{near}"
                if entity in KINDS:
                    what = (
                        f"`{entity} = {short(str(table))}` is no table: write `[{entity}.NAME]` for each word"
                    )
                self.problem(entity, what)
                continue
            for name, spec in table.items():
                self.declare(specs, entity, name, spec)

    def roles(self) -> list[str]:
        given = self.data.get("roles", [])
        roles = given if isinstance(given, list) else [given]
        for role in roles:
            if not isinstance(role, str) or not _NAME.fullmatch(role) or role in ENTITIES:
                self.problem(
                    "roles", f'`{role}` is no role: write `roles = ["end_user"]`, a list of plain names'
                )
                return []
        if not isinstance(given, list):
            self.problem("roles", f'`roles = {given}` is no list: write `roles = ["{given}"]`')
            return []
        return [str(role) for role in roles]

    def declare(self, specs: dict[str, TermSpec], entity: str, name: str, spec: object) -> None:
        path = f"{entity}.{name}"
        others = PARTY_ENTITIES if entity == "party" else {"party"} if entity in PARTY_ENTITIES else set()
        twice = next((f"{other}.{name}" for other in sorted(others) if f"{other}.{name}" in specs), None)
        if path in specs:
            self.problem(path, f"`{path}` is declared twice: keep one")
        elif twice is not None:
            self.problem(path, f"`{path}` is declared as `{twice}` already, which is read for it: keep one")
        elif not _NAME.fullmatch(name) or keyword.iskeyword(name):
            self.problem(
                path, f"`{short(name)}`{foreign_signs(name)} is no plain name: write a to z, digits and `_`"
            )
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
        if kind in RESERVED_TYPES:
            self.refuse(path, f"`{kind}` is a reserved word: this release knows {listed(get_args(TermType))}")
        if kind not in get_args(TermType):
            near = nearest(str(kind), get_args(TermType)) or f": write one of {listed(get_args(TermType))}"
            self.refuse(path, f"`{kind}` is not a type{near}")
        if not isinstance(cite, str) or not cite.strip():
            self.refuse(path, f'`{path}` has no citation: add `cite = "…"`')
        if who not in get_args(Who) or level not in LEVELS:
            wrong = f"who = {who}" if who not in get_args(Who) else f"level = {level}"
            words = listed(get_args(Who) if who not in get_args(Who) else LEVELS)
            self.refuse(path, f"`{wrong}` of `{path}` is not one that there is: write one of {words}")
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self.refuse(path, f"`values` of `{path}` must be a list of texts")
        if "enum" in (kind, of) and not values:
            self.refuse(path, f"`{path}` is an enum without `values`: list them")
        if "enum" not in (kind, of) and values:
            self.refuse(path, f"`{path}` is no enum and has `values`: leave them out")
        for value in values:
            if (odd := odd_name(value)) is not None:
                self.refuse(path, f"`{value}` in `values` of `{path}` {odd}")
            if values.count(value) > 1:
                self.refuse(path, f"`{value}` stands twice in `values` of `{path}`: keep one")
        for key, wanted in (("unit", "number"), ("of", "set")):
            if key in data and kind != wanted:
                self.refuse(path, f"`{key}` goes with the type `{wanted}`, and `{path}` is of type `{kind}`")
        if not isinstance(data.get("knowledge", False), bool):
            self.refuse(path, f"`knowledge = {data['knowledge']}` of `{path}` is neither `true` nor `false`")
        if (kind == "set") != (of in ("enum", "id", "country")):
            self.refuse(
                path, f"a set says what it is `of` (enum, id, country), and nothing else does: `{path}`"
            )
        unit = str(data.get("unit", "1"))
        try:
            step = Decimal(unit)
        except InvalidOperation:
            self.refuse(path, f"`unit = {unit}` of `{path}` is not a decimal number in quotes")
        if not step.is_finite() or step <= 0 or abs(step.adjusted()) > MOST_DIGITS:
            self.refuse(path, f"`unit = {unit}` of `{path}` is no unit: write a number above 0, like `1e18`")
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
        cite = given.get("cite") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(cite, str) or set(given) != {"value", "cite"}:
            self.refuse(path, f"the presumption of `{path}` needs `value` and `cite`: the law must supply it")
        value = given["value"]
        if kind not in ("enum", "bool") or path.endswith(("us_status", "location")):
            self.refuse(path, f"`{path}` may have no presumption: status, place and lists are never presumed")
        if (kind == "enum" and value not in values) or (kind == "bool" and not isinstance(value, bool)):
            self.refuse(path, f"`{value}` is not a value of `{path}`{one_of(str(value), map(str, values))}")
        return Presumption(value, cite)
