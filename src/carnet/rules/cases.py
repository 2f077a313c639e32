"""What a case says, held against the words and the blocks: its facts, its choices and what it expects.
Running it, and what differs then, is in `carnet.engine.cases`."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from typing import get_args

from carnet.model.contradictions import contradictions
from carnet.model.determination import Outcome
from carnet.model.errors import InputError, Problem
from carnet.model.facts import Cause, Known, Partial, Status, Statuses
from carnet.model.near import nearest, one_of
from carnet.model.plain import foreign_signs, listed, odd_name
from carnet.model.time import ANY_DAY, days
from carnet.model.written import number
from carnet.rules import blocks, tree
from carnet.rules.lists import countries_of
from carnet.rules.literals import COUNTRY
from carnet.rules.names import ENTITIES, Names, SyntaxProblem
from carnet.rules.rulebook import conditions_of
from carnet.rules.source import Raw
from carnet.rules.syntax import parse
from carnet.rules.terms import Terms, TermSpec

LISTS = (
    "open",
    "not_open",
    "asks",
    "may_still_be",
    "acts",
    "holds",
    "fails",
    "unknown",
    "review",
    "marks",
    "tasks",
    "humans",
)
"""What a case may expect as a list of texts."""

EXPECT = ("outcome", "basis", "by_reading", *LISTS)
"""All that a case may expect."""

NESTED = frozenset({*ENTITIES, "parties"} - {"act"})
"""Entities whose facts may stand in a table of their own: `{ item.form = "weights" }`."""


class Cases:
    """Checks cases against the blocks of a rulebook, of which nothing is missing."""

    def __init__(self, found: Collection[blocks.AnyBlock], terms: Terms) -> None:
        lists = [block for block in found if isinstance(block, blocks.List)]
        self.terms = terms
        self.names = Names(
            {block.name: block.entity for block in found if isinstance(block, blocks.Definition)},
            {block.id: block.type for block in lists},
            countries=countries_of(lists),
        )
        self.rules = [block.id for block in found if isinstance(block, blocks.Rule)]
        self.axes: dict[str, set[str]] = {}
        for node in (
            part for block in found for when in conditions_of(block) for part in tree.parts_of(when)
        ):
            if isinstance(node, tree.Reading):
                self.axes.setdefault(node.axis, set()).update(value for value, _ in node.values)

    def problems(self, case: blocks.Case, raw: Raw) -> Iterator[Problem]:
        """Every problem of a case, on the line of the key that has it."""
        for key, problems in (
            ("given", self.given(case.given)),
            ("choices", self.choices(case.choices)),
            ("expect", self.expect(case.expect)),
        ):
            for message in problems:
                yield Problem(case.file, raw.line_of(key), message)

    def choices(self, chosen: Mapping[str, str]) -> Iterator[str]:
        for axis, value in chosen.items():
            if axis not in self.axes:
                yield f"`{axis}` is not an axis of the rulebook{nearest(axis, self.axes)}"
                continue
            known = sorted(self.axes[axis])
            if value not in known:
                yield f"`{value}` is not a reading of `{axis}`: write one of {listed(known)}"

    def expect(self, expected: Mapping[str, object]) -> Iterator[str]:
        for key, value in expected.items():
            if key not in EXPECT:
                yield f"`{key}` is nothing that a case may expect{nearest(key, EXPECT)}"
            elif key in LISTS:
                yield from self.expected(key, value)
            else:
                yield from self.outcome(key, value)

    def outcome(self, key: str, value: object) -> Iterator[str]:
        """An outcome, or one under each reading, or what it rests on."""
        if key == "by_reading" and not isinstance(value, dict):
            yield '`by_reading` is a table: write `{ "axis=value" = "license_required" }`'
            return
        words = ("assured", "stated") if key == "basis" else get_args(Outcome)
        for word in value.values() if isinstance(value, dict) else [value]:
            if word not in words:
                near = nearest(str(word), words) or f": write one of {listed(words)}"
                yield f"`{word}` is nothing that `{key}` may be{near}"

    def expected(self, key: str, value: object) -> Iterator[str]:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            yield f'`{key} = {value}` is not a list of texts: write `["…"]`'
            return
        for text in value:
            if key in ("open", "not_open"):
                name = text.partition("#")[0].partition("@")[0]
                marked = text.startswith(("flag:", "gap"))
                if not marked and name not in self.rules:
                    yield f"`{name}` in `{key}` is no requirement or prohibition{nearest(name, self.rules)}"
            elif key in ("holds", "fails", "unknown"):
                try:
                    parse(text, terms=self.terms, scope=ENTITIES, names=self.names)
                except SyntaxProblem as problem:
                    yield str(problem)

    def given(self, facts: Mapping[str, object]) -> Iterator[str]:
        """What is wrong with the facts: one problem for each, and what two of one party say together."""
        plain: dict[str, dict[str, Known]] = {}
        for key, raw in facts.items():
            nested = key in NESTED and isinstance(raw, dict)
            inner = raw.items() if nested and isinstance(raw, dict) else [("", raw)]
            for path, value in ((f"{key}.{name}" if nested else key, part) for name, part in inner):
                try:
                    for entity, name, known in self.fact(path, value):
                        plain.setdefault(entity, {})[name] = known
                except InputError as error:
                    yield str(error)
        for entity, party in plain.items():
            for clash in contradictions(party):
                yield f"{clash.why}: correct one of them (at `{entity}.{clash.left}`)"

    def fact(self, path: str, raw: object) -> Iterator[tuple[str, str, Known]]:
        """The entity, name and value of a plain fact about a party; nothing for any other that is right.
        Raises InputError for what is wrong."""
        entity, _, name = path.partition(".")
        if entity == "parties":
            yield from self.role(name, raw)
            return
        spec = self.terms.find(entity, name) if entity in NESTED else None
        if spec is None:
            if entity == "party" and path in self.terms.specs:
                raise InputError(f"`{path}` is about no party: write `recipient.{name}` or `exporter.{name}`")
            raise InputError(
                f"`{path}` is not a known fact{foreign_signs(path)}{nearest(path, self.paths())}"
            )
        known = self.value(path, spec, raw)
        if known is not None and entity in ("recipient", "exporter"):
            yield entity, name, known

    def paths(self) -> list[str]:
        """The paths that facts may have."""
        found = list(self.terms.specs)
        for path in self.terms.specs:
            if path.startswith("party."):
                found += [path.replace("party", party, 1) for party in ("recipient", "exporter")]
        return [path for path in found if not path.startswith("party.")]

    def role(self, role: str, raw: object) -> Iterator[tuple[str, str, Known]]:
        path = f"parties.{role}"
        if self.terms.roles and role not in self.terms.roles:
            near = nearest(role, self.terms.roles) or f": there are {listed(self.terms.roles)}"
            raise InputError(f"`{role}` is not a role{near}")
        if isinstance(raw, dict) and set(raw) == {"unknown"}:
            self.cause(path, raw["unknown"])
            return
        members = raw["some"] if isinstance(raw, dict) and set(raw) == {"some"} else raw
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise InputError(f'`{path}` is a list of parties: `[{{ us_status = "none" }}]`')
        for index, member in enumerate(members):
            for name, value in member.items():
                place = f"{path}[{index}]"
                spec = self.terms.specs.get(f"party.{name}")
                if spec is None:
                    words = [one.partition(".")[2] for one in self.terms.specs if one.startswith("party.")]
                    raise InputError(f"`{place}.{name}` is not a known fact{nearest(name, words)}")
                known = self.value(f"{place}.{name}", spec, value)
                if known is not None:
                    yield place, name, known

    def value(self, path: str, spec: TermSpec, raw: object) -> Known | None:
        """The value of a fact that is plainly known; None for one that is not. Raises InputError."""
        if not isinstance(raw, dict):
            return self.plain(path, spec, raw)
        form, inner = next(iter(raw.items())) if len(raw) == 1 else ("", None)
        if form == "some" and spec.type in ("set", "statuses"):
            whole = self.plain(path, spec, inner)
            if isinstance(whole, Statuses):
                return Statuses(whole.entries, complete=False)
            return Partial(whole) if isinstance(whole, frozenset) else None
        if form == "one_of" and isinstance(inner, list) and spec.type in ("enum", "id", "country"):
            options = {str(self.plain(path, spec, option)) for option in inner}
            if len(options) < 2:
                raise InputError(f"`{path}`: `one_of` needs two values or more: write a single one by itself")
        elif form == "unknown":
            self.cause(path, inner)
        elif form == "stated":
            self.plain(path, spec, inner)
        else:
            raise InputError(
                f"`{path} = {raw}` is no form of a fact: write a value, `{{ some = […] }}`,"
                ' `{ one_of = […] }`, `{ unknown = "conflict" }` or `{ stated = … }`'
            )
        return None

    def cause(self, path: str, raw: object) -> None:
        causes = get_args(Cause)
        if raw not in causes:
            near = nearest(str(raw), causes) or f": write one of {listed(causes)}"
            raise InputError(f"`{raw}` is no reason why `{path}` is unknown{near}")

    def plain(self, path: str, spec: TermSpec, raw: object) -> Known:
        match spec.type:
            case "bool" if isinstance(raw, bool):
                return raw
            case "enum" | "id" | "country" if isinstance(raw, str):
                return self.word(path, spec.type, spec, raw)
            case "number" if isinstance(raw, str | int) and not isinstance(raw, bool):
                if (count := number(raw, spec.unit)) >= 0:
                    return count
                raise InputError(f"`{path} = {raw}` is below zero: no fact is")
            case "date" if isinstance(raw, str):
                return days(raw)
            case "set" if isinstance(raw, list) and all(isinstance(member, str) for member in raw):
                return frozenset(self.word(path, str(spec.of), spec, member) for member in raw)
            case "statuses" if isinstance(raw, list):
                return Statuses(tuple(self.status(path, entry) for entry in raw), complete=True)
        if spec.type == "set" and isinstance(raw, str):
            raise InputError(f'`{path}` is a set: write `["{raw}"]`')
        quoted = '; numbers and dates are text: `"1.5e26"`, `"2025-05"`' if _unquoted(raw) else ""
        raise InputError(f"`{path} = {raw}` does not fit: `{spec.path}` is of type `{spec.type}`{quoted}")

    def word(self, path: str, of: str, spec: TermSpec, raw: str) -> str:
        if of == "enum" and raw not in spec.values:
            raise InputError(f"`{raw}` is not a value of `{path}`{one_of(raw, spec.values)}")
        countries = self.names.countries
        if of == "country" and (len(raw) != 2 or (countries is not None and raw not in countries)):
            raise InputError(f"`{raw}` at `{path}` is not a country: {COUNTRY}")
        if (odd := odd_name(raw)) is not None:
            raise InputError(f"`{raw}` at `{path}` {odd}")
        return raw

    def status(self, path: str, entry: object) -> Status:
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("country"), str)
            or set(entry) - {"country", "since", "kind"}
            or entry.get("kind", "citizenship") not in ("citizenship", "permanent_residency")
        ):
            raise InputError(f'`{path}`: a status is written `{{ country = "IN", since = "1990-05-02" }}`')
        country = self.word(path, "country", TermSpec(path=path, type="country", cite=""), entry["country"])
        since = entry.get("since")
        return Status(country, ANY_DAY if since is None else days(str(since)))


def _unquoted(raw: object) -> bool:
    return isinstance(raw, float | dt.date) and not isinstance(raw, bool)
