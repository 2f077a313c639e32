"""From raw blocks to typed ones. How a key is read is in `carnet.rules.keys`; what blocks say about
each other is in `carnet.rules.check`."""

import difflib
import keyword
import re
from collections.abc import Mapping
from typing import Literal, TypedDict, cast, get_args

from carnet.model.errors import Problem
from carnet.model.near import nearest
from carnet.model.plain import foreign_signs
from carnet.model.time import Window
from carnet.rules import blocks, tree
from carnet.rules.keys import CASE_KEYS, DEFAULT_LIFTED_BY, Base, Keys, Refused
from carnet.rules.names import ACT_KINDS, CALLS, ENTITIES, SyntaxProblem
from carnet.rules.source import Raw
from carnet.rules.syntax import parse_value

RESERVED_NAMES = frozenset({*keyword.kwlist, *ENTITIES, *CALLS})
"""What no definition and no parameter may be called."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RuleKeys(TypedDict):
    """The fields that a requirement and a prohibition have beside them."""

    gate: Literal["scope", "own"]
    stage: str | None
    when: tree.Tree


class Build(Keys):
    """One block at a time, for one provision."""

    def block(self, raw: Raw, problems: list[Problem]) -> list[blocks.AnyBlock | blocks.Case]:
        """The typed blocks of a raw one (a `binds` makes two), or none and a problem noted."""
        try:
            return self.case(raw) if raw.kind == "case" else self.typed(raw)
        except Refused as refused:
            problems.append(Problem(raw.file, refused.line, str(refused)))
            return []

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
                return [blocks.Prohibition(**base, **self.rule(raw))]
            case "exception":
                return [self.exception(raw, base)]
            case "bar":
                return [
                    blocks.Bar(
                        **base,
                        blocks=frozenset(self.texts(raw, "blocks")),
                        except_=frozenset(self.texts(raw, "except")),
                        when=self.condition(raw),
                    )
                ]
            case "red_flag":
                return [self.red_flag(base, self.condition(raw), frozenset(self.texts(raw, "defeats")))]
            case _:
                return [self.overlay(raw, base)]

    def rule(self, raw: Raw) -> RuleKeys:
        gate = self.one_of(raw, "gate", ("scope", "own"), "scope")
        stage = self.text(raw, "stage") if "stage" in raw.data else None
        return {"gate": cast(Literal["scope", "own"], gate), "stage": stage, "when": self.condition(raw)}

    def scope(self, raw: Raw, base: Base) -> blocks.Scope:
        scope = {name: kind for name, kind in ENTITIES.items() if name != "act"}
        acts = []
        for act in self.tables(raw, "acts", ("kind", "when", "destination", "deemed")):
            if act.get("kind") not in ACT_KINDS:
                self.refuse(
                    raw,
                    "acts",
                    f"`{act.get('kind')}` is not a kind of act{nearest(str(act.get('kind')), ACT_KINDS)}",
                )
            deemed = act.get("deemed", False)
            if not isinstance(deemed, bool):
                self.refuse(
                    raw, "acts", f"`deemed = {deemed}` is neither `true` nor `false`: write one of them"
                )
            place = self.place(raw, act, scope) if "destination" in act else None
            when = self.parse(raw, "acts", act.get("when", "True"), scope)
            acts.append(blocks.Act(cast(blocks.ActKind, act["kind"]), deemed, when, place))
        if not acts:
            self.refuse(raw, "acts", "a scope derives acts: add `[[acts]]` tables with `kind` and `when`")
        return blocks.Scope(
            **base, subject=self.parse(raw, "subject", raw.data.get("subject"), scope), acts=tuple(acts)
        )

    def place(self, raw: Raw, act: Mapping[str, object], scope: Mapping[str, str]) -> tree.Value:
        text = self.of_table(raw, "acts", act, "destination")
        try:
            return parse_value(text, terms=self.terms, scope=scope)
        except SyntaxProblem as problem:
            raise Refused(raw.line_with("acts", text), str(problem)) from None

    def coverage(self, raw: Raw, base: Base) -> blocks.Coverage:
        kinds = self.texts(raw, "kinds")
        if not kinds:
            self.refuse(raw, "kinds", 'a coverage needs the `kinds` of act that it covers: `["export"]`')
        for kind in kinds:
            if kind not in ACT_KINDS:
                self.refuse(raw, "kinds", f"`{kind}` is not a kind of act{nearest(kind, ACT_KINDS)}")
        stages = [
            blocks.Stage(
                self.name(raw, "stages", self.of_table(raw, "stages", stage, "name")),
                self.of_table(raw, "stages", stage, "no_rule") if "no_rule" in stage else None,
            )
            for stage in self.tables(raw, "stages", ("name", "no_rule"))
        ]
        if not stages:
            self.refuse(raw, "stages", 'a coverage needs stages: `[{ name = "gp1" }]`')
        return blocks.Coverage(**base, kinds=frozenset(kinds), stages=tuple(stages))

    def definition(self, raw: Raw, base: Base) -> blocks.Definition:
        name, parameter = self.text(raw, "name"), self.text(raw, "parameter")
        entity = self.one_of(raw, "of", get_args(blocks.Entity))
        for key, word in (("name", name), ("parameter", parameter)):
            if not _WORD.fullmatch(word):
                self.refuse(
                    raw, key, f"`{word}`{foreign_signs(word)} is no plain name: write a to z, digits, `_`"
                )
            if word in RESERVED_NAMES:
                self.refuse(
                    raw, key, f"`{word}` already means something in a condition: give another `{key}`"
                )
        scope = {key: kind for key, kind in ENTITIES.items() if key != "act"} | {parameter: entity}
        when = self.condition(raw, scope)
        return blocks.Definition(**base, name=name, parameter=parameter, entity=entity, when=when)

    def requirement(self, raw: Raw, base: Base) -> list[blocks.AnyBlock | blocks.Case]:
        reasons = self.texts(raw, "reasons")
        if not reasons:
            self.refuse(raw, "reasons", 'a requirement needs `reasons`, like `["NS"]`')
        odd = [reason for reason in reasons if "#" in reason or "@" in reason]
        if odd:
            self.refuse(raw, "reasons", f"`{odd[0]}` holds `#` or `@`: findings are told apart by them")
        rule, binds = self.rule(raw), frozenset(self.texts(raw, "binds"))
        when = rule["when"]
        made: list[blocks.AnyBlock | blocks.Case] = []
        if binds:
            for path in ("exporter.id", "item.provider"):
                if self.terms.of_path(path) is None:
                    self.refuse(raw, "binds", f"`binds` needs the word `{path}` in terms.toml")
            bound = tree.In(tree.Term("exporter", "id"), tree.Literals(binds))
            theirs = tree.In(tree.Term("item", "provider"), tree.Literals(binds))
            elsewhere = tree.And((tree.Not(bound), theirs, when))
            made.append(
                self.red_flag({**base, "id": f"{base['id']}#bound"}, elsewhere, open_when_unknown=True)
            )
            rule["when"] = tree.And((bound, when))
        self.received(raw, base["span"].start, told=bool(binds))
        confidentiality = self.text(raw, "confidentiality") if "confidentiality" in raw.data else None
        requirement = blocks.Requirement(
            **base,
            **rule,
            reasons=tuple(dict.fromkeys(reasons)),
            lifted_by=self.lifted_by(raw),
            review=self.review(raw),
            binds=binds,
            confidentiality=confidentiality,
            deadline=self.optional(raw, "deadline"),
            oral=self.optional(raw, "received_oral"),
            written=self.optional(raw, "received_written"),
        )
        return [requirement, *made]

    def lifted_by(self, raw: Raw) -> frozenset[str]:
        words = self.texts(raw, "lifted_by", DEFAULT_LIFTED_BY)
        for word in words:
            if word == "license_exception":
                self.refuse(raw, "lifted_by", f"`{word}` is a class: name the exceptions by path, like `AIA`")
            near = difflib.get_close_matches(word, DEFAULT_LIFTED_BY, n=1, cutoff=0.8)
            if near and word not in DEFAULT_LIFTED_BY:
                self.refuse(raw, "lifted_by", f"`{word}` is no class; did you mean `{near[0]}`?")
        return frozenset(words)

    def optional(self, raw: Raw, key: str) -> Window | None:
        """An instant or a window that may be left out."""
        return self.window(raw, key) if key in raw.data else None

    def received(self, raw: Raw, start: Window, *, told: bool) -> None:
        """A notice binds from its first receipt, oral or written (15 CFR 744.1(b)(2), 744.22(b))."""
        keys = [key for key in ("received_oral", "received_written") if key in raw.data]
        if keys and not told:
            self.refuse(raw, keys[0], f"`{keys[0]}` is about a notice: say in `binds` who received it")
        instants = [self.window(raw, key) for key in keys]
        if instants and start != min(instants, key=lambda window: window.earliest):
            self.refuse(
                raw, keys[0], "a notice binds from its first receipt: write the same instant in `from`"
            )

    def red_flag(
        self,
        base: Base,
        when: tree.Tree,
        defeats: frozenset[str] = frozenset(),
        *,
        open_when_unknown: bool = False,
    ) -> blocks.RedFlag:
        """A flag stands until its resolution is recorded."""
        unresolved = tree.And((tree.Not(tree.Resolved(str(base["id"]))), when))
        return blocks.RedFlag(**base, defeats=defeats, when=unresolved, open_when_unknown=open_when_unknown)

    def review(self, raw: Raw) -> tuple[blocks.Review, ...]:
        given = raw.data.get("review", [])
        if isinstance(given, str):
            return (blocks.Review(self.text(raw, "review"), tree.TRUE),)
        policies = self.tables(raw, "review", ("when", "policy"))
        return tuple(
            blocks.Review(
                self.of_table(raw, "review", item, "policy"),
                self.parse(raw, "review", item.get("when", "True"), ENTITIES),
            )
            for item in policies
        )

    def exception(self, raw: Raw, base: Base) -> blocks.Exception_:
        kind = self.one_of(raw, "class", get_args(blocks.ExceptionClass))
        lifts = []
        for lift in self.tables(raw, "lifts", ("requirement", "reasons")):
            reasons = lift.get("reasons", ["all"])
            if not isinstance(reasons, list) or not reasons or not all(isinstance(r, str) for r in reasons):
                self.refuse(
                    raw,
                    "lifts",
                    f'`reasons = {reasons}` is no list of reasons: write `["NS"]`, or leave it out for all',
                )
            named = frozenset(map(str, reasons)) if "reasons" in lift else None
            lifts.append(blocks.Lift(self.of_table(raw, "lifts", lift, "requirement"), named))
        if not lifts:
            self.refuse(raw, "lifts", 'an exception says what it lifts: `lifts = [{ requirement = "id" }]`')
        tasks = []
        for task in self.tables(raw, "tasks", ("due", "key", "cite")):
            due = task.get("due")
            if due not in ("before", "with", "after"):
                self.refuse(
                    raw, "tasks", f"`due = {due}`: a task has `due` (before, with, after), `key` and `cite`"
                )
            key = self.name(raw, "tasks", self.of_table(raw, "tasks", task, "key"))
            cite = self.of_table(raw, "tasks", task, "cite")
            tasks.append(blocks.Task(due, key, cite))
        if tasks and kind == "carve_out":
            self.refuse(raw, "tasks", "a `carve_out` has no tasks: what it demands is a condition in `when`")
        return blocks.Exception_(
            **base,
            class_=cast(blocks.ExceptionClass, kind),
            path=self.path(raw, kind),
            lifts=tuple(lifts),
            when=self.condition(raw),
            tasks=tuple(tasks),
        )

    def path(self, raw: Raw, kind: str) -> str:
        """What bars and `lifted_by` name. A license exception has its own, so that both sides agree."""
        if kind == "license_exception" and "path" not in raw.data:
            self.refuse(raw, "class", 'a `license_exception` needs its `path`, like `"AIA"`')
        path = self.name(raw, "path", self.text(raw, "path", kind))
        if path != kind and path in get_args(blocks.ExceptionClass):
            self.refuse(
                raw, "path", f"`{path}` is a class of exceptions: give a `path` of its own, like `AIA`"
            )
        return path

    def overlay(self, raw: Raw, base: Base) -> blocks.Overlay:
        kind = self.one_of(raw, "kind", get_args(blocks.OverlayKind))
        products = frozenset(self.texts(raw, "products"))
        if products and kind != "supersession":
            self.refuse(raw, "products", "only a `supersession` goes by products: leave `products` out")
        if products and self.terms.of_path("item.product") is None:
            self.refuse(raw, "products", "`products` needs the word `item.product` in terms.toml")
        return blocks.Overlay(
            **base, kind=cast(blocks.OverlayKind, kind), target=self.text(raw, "target"), products=products
        )

    def case(self, raw: Raw) -> list[blocks.AnyBlock | blocks.Case]:
        self.check_keys(raw, CASE_KEYS)
        parts: dict[str, dict[str, object]] = {}
        for key in ("given", "choices", "expect"):
            part = raw.data.get(key, {})
            if not isinstance(part, dict):
                self.refuse(raw, key, f"`{key}` must be a table")
            parts[key] = part
        for key, given in (("at", "at" in raw.data), ("expect", bool(parts["expect"]))):
            if not given:
                self.refuse(raw, key, f"a case needs `at`, `given` and `expect`, and `{key}` says nothing")
        at = self.window(raw, "at").earliest
        known = self.window(raw, "known").earliest if "known" in raw.data else at
        choices = {key: self.of_table(raw, "choices", parts["choices"], key) for key in parts["choices"]}
        note = self.text(raw, "note")
        return [blocks.Case(raw.file, raw.line, note, at, known, parts["given"], choices, parts["expect"])]
