"""From raw blocks to typed ones: keys, dates and conditions of a single block. What blocks say about
each other is in `carnet.rules.check`."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import NoReturn, get_args

from carnet.model.errors import CarnetError, InputError, Problem
from carnet.model.time import Window
from carnet.rules import blocks, tree
from carnet.rules.source import FORMAT, Provision, Raw, span_of, window_of
from carnet.rules.syntax import ACT_KINDS, ENTITIES, Names, SyntaxProblem, nearest, parse, parse_value
from carnet.rules.terms import Terms

COMMON = ("id", "cite", "from", "until", "known", "format")
CONDITION = ("when", "unclear_when", "axis", "readings", "untranslatable", "outer")
KEYS: Mapping[str, tuple[str, ...]] = {
    "scope": ("subject", "acts"),
    "coverage": ("kinds", "stages"),
    "definition": ("name", "parameter", "of", *CONDITION),
    "requirement": (
        "gate", "stage", "reasons", "lifted_by", "review", "binds", "confidentiality", "deadline", *CONDITION,
    ),
    "prohibition": ("gate", "stage", *CONDITION),
    "exception": ("class", "path", "lifts", "tasks", *CONDITION),
    "bar": ("blocks", "except", *CONDITION),
    "red_flag": ("defeats", *CONDITION),
    "overlay": ("kind", "target", "products"),
    "list": (
        "type", "members", "csv", "columns", "domain", "complete_from", "complete_until", "prevails", "follows", "dated",
    ),
    "case": (),
}
CASE_KEYS = ("note", "at", "known", "given", "choices", "expect", "format")
RESERVED = ("counter", "counters", "condition", "conditions", "only_if")
"""Words kept for a later release: counters, conditions on overlays, and what builds on them."""

DEFAULT_LIFTED_BY = ("authorization", "carve_out")
_ID = re.compile(r"[a-z][A-Za-z0-9_.\-]*")
_UNTRANSLATABLE = tree.Open("untranslatable")


class Refused(CarnetError):
    """Raised inside this module for one block; it carries the line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Build:
    """One block at a time, for one provision. Definitions and lists are known by name beforehand."""

    def __init__(self, provision: Provision, terms: Terms, names: Names) -> None:
        self.provision, self.terms, self.names = provision, terms, names

    def block(self, raw: Raw, problems: list[Problem]) -> list[blocks.AnyBlock | blocks.Case]:
        """The typed blocks of a raw one (a `binds` makes two); none, with a problem noted, if it is unusable."""
        try:
            return self.case(raw) if raw.kind == "case" else self.typed(raw)
        except Refused as refused:
            problems.append(Problem(raw.file, refused.line, str(refused)))
            return []

    def refuse(self, raw: Raw, key: str, message: str) -> NoReturn:
        raise Refused(raw.line_of(key), message)

    def text(self, raw: Raw, key: str, default: str | None = None) -> str:
        value = raw.data.get(key, default)
        if not isinstance(value, str) or not value:
            self.refuse(raw, key, f"`{key}` is missing or not text: every `{raw.kind}` needs `{key} = \"…\"`")
        return value

    def texts(self, raw: Raw, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = raw.data.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(raw, key, f"`{key}` must be a list of texts, like `[\"NS\"]`")
        return tuple(value)

    def tables(self, raw: Raw, key: str, keys: tuple[str, ...]) -> list[dict[str, object]]:
        value = raw.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(raw, key, f"`{key}` must be a list of tables with {', '.join(f'`{k}`' for k in keys)}")
        for item in value:
            for inner in item:
                if inner not in keys:
                    self.refuse(raw, key, f"unknown key `{inner}` in `{key}`{nearest(inner, keys)}")
        return value

    def one_of(self, raw: Raw, key: str, words: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(raw, key, default)
        if value not in words:
            self.refuse(raw, key, f"`{value}` is not a `{key}`{nearest(value, words)}")
        return value

    def check_keys(self, raw: Raw) -> None:
        known = (*COMMON, *KEYS[raw.kind])
        for key in raw.data:
            if key in RESERVED:
                self.refuse(raw, key, f"`{key}` is a reserved word: this release does not read it, so leave it out")
            if key not in known:
                self.refuse(raw, key, f"unknown key `{key}` in a `{raw.kind}`{nearest(key, known)}")
        if raw.data.get("format", FORMAT) != FORMAT:
            self.refuse(raw, "format", f"`format = {raw.data['format']}` is not one this release reads: write `{FORMAT}`")

    def common(self, raw: Raw) -> dict[str, object]:
        """The fields that every block has."""
        name = self.text(raw, "id")
        if not _ID.fullmatch(name):
            self.refuse(raw, "id", f"`{name}` is not an id: lower case first, then letters, digits, `.`, `_`, `-`")
        if "from" not in raw.data:
            self.refuse(raw, "id", f"`{name}` has no `from`: say since when it is in force")
        zone = self.provision.zone
        try:
            span = span_of(raw.data["from"], raw.data.get("until"), zone)
            known = window_of(raw.data["known"], zone).earliest if "known" in raw.data else span.start.earliest
            verified = self.provision.front.verified
            return {
                "id": name,
                "file": raw.file,
                "line": raw.line,
                "cite": self.text(raw, "cite"),
                "regime": self.provision.regime,
                "span": span,
                "known": known,
                "verified": window_of(verified, zone).earliest if verified is not None else None,
            }
        except InputError as error:
            self.refuse(raw, "until" if "until" in str(error) else "from", str(error))

    def parse(self, raw: Raw, key: str, text: object, scope: Mapping[str, str]) -> tree.Tree:
        if not isinstance(text, str):
            self.refuse(raw, key, f"`{key}` must be a condition in quotes")
        names = Names(self.names.definitions, self.names.lists, raw.kind == "red_flag")
        try:
            return parse(text, terms=self.terms, scope=scope, names=names)
        except SyntaxProblem as problem:
            self.refuse(raw, key, str(problem))

    def condition(self, raw: Raw, scope: Mapping[str, str] = ENTITIES) -> tree.Tree:
        """`when`, or readings, or an untranslatable text's outer bound; blurred where `unclear_when`."""
        data = raw.data
        ways = [key for key in ("when", "readings", "untranslatable") if key in data]
        if len(ways) > 1:
            self.refuse(raw, ways[1], f"`{ways[0]}` and `{ways[1]}` exclude each other: keep one")
        if ("axis" in data) != ("readings" in data) or ("outer" in data and "untranslatable" not in data):
            self.refuse(raw, "axis", "`axis` goes with `readings`, and `outer` with `untranslatable = true`")
        result: tree.Tree
        if "readings" in data:
            readings = data["readings"]
            if not isinstance(readings, dict) or len(readings) < 2:
                self.refuse(raw, "readings", "`readings` needs two values or more: `{ literal = '…', narrow = '…' }`")
            parts = tuple((value, self.parse(raw, "readings", text, scope)) for value, text in sorted(readings.items()))
            result = tree.Reading(self.text(raw, "axis"), parts)
        elif "untranslatable" in data:
            if data["untranslatable"] is not True:
                self.refuse(raw, "untranslatable", "`untranslatable` can only be `true`: leave it out otherwise")
            outer = self.parse(raw, "outer", data.get("outer", "True"), scope)
            result = tree.And((outer, _UNTRANSLATABLE))
        else:
            result = self.parse(raw, "when", data.get("when", "True"), scope)
        if "unclear_when" in data:
            result = tree.blurred(result, self.parse(raw, "unclear_when", data["unclear_when"], scope))
        return result

    def typed(self, raw: Raw) -> list[blocks.AnyBlock | blocks.Case]:
        self.check_keys(raw)
        base = self.common(raw)
        match raw.kind:
            case "scope":
                return [self.scope(raw, base)]
            case "coverage":
                return [self.coverage(raw, base)]
            case "definition":
                return [self.definition(raw, base)]
            case "requirement":
                return self.requirement(raw, base)
            case "prohibition":
                return [blocks.Prohibition(**base, **self.rule(raw))]  # type: ignore[arg-type]  -- fields by name
            case "exception":
                return [self.exception(raw, base)]
            case "bar":
                return [
                    blocks.Bar(
                        **base,  # type: ignore[arg-type]  -- fields by name
                        blocks=frozenset(self.texts(raw, "blocks")),
                        except_=frozenset(self.texts(raw, "except")),
                        when=self.condition(raw),
                    )
                ]
            case "red_flag":
                return [self.red_flag(base, self.condition(raw), frozenset(self.texts(raw, "defeats")))]
            case _:
                return [self.overlay(raw, base)]

    def rule(self, raw: Raw) -> dict[str, object]:
        gate = self.one_of(raw, "gate", ("scope", "own"), "scope")
        stage = self.text(raw, "stage") if "stage" in raw.data else None
        return {"gate": gate, "stage": stage, "when": self.condition(raw)}

    def scope(self, raw: Raw, base: dict[str, object]) -> blocks.Scope:
        scope = {name: kind for name, kind in ENTITIES.items() if name != "act"}
        acts = []
        for act in self.tables(raw, "acts", ("kind", "when", "destination", "deemed")):
            if act.get("kind") not in ACT_KINDS:
                self.refuse(raw, "acts", f"`{act.get('kind')}` is not a kind of act{nearest(str(act.get('kind')), ACT_KINDS)}")
            destination = act.get("destination")
            try:
                place = parse_value(destination, terms=self.terms, scope=scope) if isinstance(destination, str) else None
            except SyntaxProblem as problem:
                self.refuse(raw, "acts", str(problem))
            when = self.parse(raw, "acts", act.get("when", "True"), scope)
            acts.append(blocks.Act(act["kind"], act.get("deemed") is True, when, place))  # type: ignore[arg-type]  -- checked above
        if not acts:
            self.refuse(raw, "acts", "a scope derives acts: add `[[acts]]` tables with `kind` and `when`")
        return blocks.Scope(**base, subject=self.parse(raw, "subject", raw.data.get("subject"), scope), acts=tuple(acts))  # type: ignore[arg-type]  -- fields by name

    def coverage(self, raw: Raw, base: dict[str, object]) -> blocks.Coverage:
        kinds = self.texts(raw, "kinds")
        for kind in kinds:
            if kind not in ACT_KINDS:
                self.refuse(raw, "kinds", f"`{kind}` is not a kind of act{nearest(kind, ACT_KINDS)}")
        stages = [
            blocks.Stage(str(stage.get("name")), str(stage["no_rule"]) if "no_rule" in stage else None)
            for stage in self.tables(raw, "stages", ("name", "no_rule"))
        ]
        if not stages:
            self.refuse(raw, "stages", "a coverage needs stages: `[{ name = \"gp1\" }]`")
        return blocks.Coverage(**base, kinds=frozenset(kinds), stages=tuple(stages))  # type: ignore[arg-type]  -- fields by name

    def definition(self, raw: Raw, base: dict[str, object]) -> blocks.Definition:
        name, parameter = self.text(raw, "name"), self.text(raw, "parameter")
        entity = self.one_of(raw, "of", ("party", "item", "transaction", "end_use"))
        if not name.isidentifier() or not parameter.isidentifier() or parameter in ENTITIES:
            self.refuse(raw, "name", f"`{name}({parameter})` needs two plain names, the parameter's unlike any entity's")
        scope = {key: kind for key, kind in ENTITIES.items() if key != "act"} | {parameter: entity}
        when = self.condition(raw, scope)
        return blocks.Definition(**base, name=name, parameter=parameter, entity=entity, when=when)  # type: ignore[arg-type]  -- fields by name

    def requirement(self, raw: Raw, base: dict[str, object]) -> list[blocks.AnyBlock | blocks.Case]:
        reasons = self.texts(raw, "reasons")
        if not reasons:
            self.refuse(raw, "reasons", "a requirement needs `reasons`, like `[\"NS\"]`")
        rule, binds = self.rule(raw), frozenset(self.texts(raw, "binds"))
        when = rule["when"]
        assert isinstance(when, tree.Tree)
        made: list[blocks.AnyBlock | blocks.Case] = []
        if binds:
            for path in ("exporter.id", "item.provider"):
                if self.terms.of_path(path) is None:
                    self.refuse(raw, "binds", f"`binds` needs the word `{path}` in terms.toml")
            bound = tree.In(tree.Term("exporter", "id"), tree.Literals(binds))
            theirs = tree.In(tree.Term("item", "provider"), tree.Literals(binds))
            elsewhere = tree.And((tree.Not(bound), theirs, when))
            made.append(self.red_flag(base | {"id": f"{base['id']}#bound"}, elsewhere, open_when_unknown=True))
            rule["when"] = tree.And((bound, when))
        confidentiality = self.text(raw, "confidentiality") if "confidentiality" in raw.data else None
        requirement = blocks.Requirement(
            **base,  # type: ignore[arg-type]  -- fields by name
            **rule,  # type: ignore[arg-type]  -- fields by name
            reasons=tuple(dict.fromkeys(reasons)),
            lifted_by=frozenset(self.texts(raw, "lifted_by", DEFAULT_LIFTED_BY)),
            review=self.review(raw),
            binds=binds,
            confidentiality=confidentiality,
            deadline=self.window(raw, "deadline") if "deadline" in raw.data else None,
        )
        return [requirement, *made]

    def red_flag(
        self,
        base: dict[str, object],
        when: tree.Tree,
        defeats: frozenset[str] = frozenset(),
        *,
        open_when_unknown: bool = False,
    ) -> blocks.RedFlag:
        """A flag stands until its resolution is recorded."""
        unresolved = tree.And((tree.Not(tree.Resolved(str(base["id"]))), when))
        return blocks.RedFlag(**base, defeats=defeats, when=unresolved, open_when_unknown=open_when_unknown)  # type: ignore[arg-type]  -- fields by name

    def window(self, raw: Raw, key: str) -> Window:
        try:
            return window_of(raw.data[key], self.provision.zone)
        except InputError as error:
            self.refuse(raw, key, str(error))

    def review(self, raw: Raw) -> tuple[blocks.Review, ...]:
        given = raw.data.get("review", [])
        if isinstance(given, str):
            return (blocks.Review(given, tree.TRUE),)
        policies = self.tables(raw, "review", ("when", "policy"))
        return tuple(
            blocks.Review(str(item.get("policy")), self.parse(raw, "review", item.get("when", "True"), ENTITIES))
            for item in policies
        )

    def exception(self, raw: Raw, base: dict[str, object]) -> blocks.Exception_:
        kind = self.one_of(raw, "class", get_args(blocks.ExceptionClass))
        lifts = []
        for lift in self.tables(raw, "lifts", ("requirement", "reasons")):
            reasons = lift.get("reasons")
            named = frozenset(map(str, reasons)) if isinstance(reasons, list) else None
            lifts.append(blocks.Lift(str(lift.get("requirement")), named))
        if not lifts:
            self.refuse(raw, "lifts", "an exception says what it lifts: `lifts = [{ requirement = \"id\" }]`")
        tasks = []
        for task in self.tables(raw, "tasks", ("due", "key", "cite")):
            if task.get("due") not in ("before", "with", "after") or not task.get("key") or not task.get("cite"):
                self.refuse(raw, "tasks", "a task has `due` (before, with, after), `key` and `cite`")
            tasks.append(blocks.Task(task["due"], str(task["key"]), str(task["cite"])))  # type: ignore[arg-type]  -- checked above
        if tasks and kind == "carve_out":
            self.refuse(raw, "tasks", "a `carve_out` has no tasks: what it demands is a condition in `when`")
        return blocks.Exception_(
            **base,  # type: ignore[arg-type]  -- fields by name
            class_=kind,  # type: ignore[arg-type]  -- checked above
            path=self.text(raw, "path", kind),
            lifts=tuple(lifts),
            when=self.condition(raw),
            tasks=tuple(tasks),
        )

    def overlay(self, raw: Raw, base: dict[str, object]) -> blocks.Overlay:
        kind = self.one_of(raw, "kind", get_args(blocks.OverlayKind))
        products = frozenset(self.texts(raw, "products"))
        if products and kind != "supersession":
            self.refuse(raw, "products", "only a `supersession` goes by products: leave `products` out")
        if products and self.terms.of_path("item.product") is None:
            self.refuse(raw, "products", "`products` needs the word `item.product` in terms.toml")
        return blocks.Overlay(**base, kind=kind, target=self.text(raw, "target"), products=products)  # type: ignore[arg-type]  -- checked above

    def case(self, raw: Raw) -> list[blocks.AnyBlock | blocks.Case]:
        for key in raw.data:
            if key not in CASE_KEYS:
                self.refuse(raw, key, f"unknown key `{key}` in a `case`{nearest(key, CASE_KEYS)}")
        parts: dict[str, dict[str, object]] = {}
        for key in ("given", "choices", "expect"):
            part = raw.data.get(key, {})
            if not isinstance(part, dict):
                self.refuse(raw, key, f"`{key}` must be a table")
            parts[key] = part
        if not parts["expect"] or "at" not in raw.data:
            self.refuse(raw, "expect", "a case needs `at`, `given` and `expect`")
        at: dt.datetime = self.window(raw, "at").earliest
        known = self.window(raw, "known").earliest if "known" in raw.data else at
        choices = {key: str(value) for key, value in parts["choices"].items()}
        note = self.text(raw, "note")
        return [blocks.Case(raw.file, raw.line, note, at, known, parts["given"], choices, parts["expect"])]
