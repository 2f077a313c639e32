"""From raw blocks to typed ones. How a key is read is in `carnet.rules.keys`; what blocks say about
each other is in `carnet.rules.check`."""

from typing import Literal, TypedDict, cast, get_args

from carnet.model.errors import Problem
from carnet.rules import blocks, tree
from carnet.rules.keys import CASE_KEYS, DEFAULT_LIFTED_BY, Base, Keys, Refused
from carnet.rules.source import Raw
from carnet.rules.syntax import ACT_KINDS, ENTITIES, SyntaxProblem, nearest, parse_value


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
            destination = act.get("destination")
            try:
                place = (
                    parse_value(destination, terms=self.terms, scope=scope)
                    if isinstance(destination, str)
                    else None
                )
            except SyntaxProblem as problem:
                self.refuse(raw, "acts", str(problem))
            when = self.parse(raw, "acts", act.get("when", "True"), scope)
            kind = cast(blocks.ActKind, act["kind"])
            acts.append(blocks.Act(kind, act.get("deemed") is True, when, place))
        if not acts:
            self.refuse(raw, "acts", "a scope derives acts: add `[[acts]]` tables with `kind` and `when`")
        return blocks.Scope(
            **base, subject=self.parse(raw, "subject", raw.data.get("subject"), scope), acts=tuple(acts)
        )

    def coverage(self, raw: Raw, base: Base) -> blocks.Coverage:
        kinds = self.texts(raw, "kinds")
        for kind in kinds:
            if kind not in ACT_KINDS:
                self.refuse(raw, "kinds", f"`{kind}` is not a kind of act{nearest(kind, ACT_KINDS)}")
        stages = [
            blocks.Stage(str(stage.get("name")), str(stage["no_rule"]) if "no_rule" in stage else None)
            for stage in self.tables(raw, "stages", ("name", "no_rule"))
        ]
        if not stages:
            self.refuse(raw, "stages", 'a coverage needs stages: `[{ name = "gp1" }]`')
        return blocks.Coverage(**base, kinds=frozenset(kinds), stages=tuple(stages))

    def definition(self, raw: Raw, base: Base) -> blocks.Definition:
        name, parameter = self.text(raw, "name"), self.text(raw, "parameter")
        entity = self.one_of(raw, "of", ("party", "item", "transaction", "end_use"))
        if not name.isidentifier() or not parameter.isidentifier() or parameter in ENTITIES:
            self.refuse(
                raw,
                "name",
                f"`{name}({parameter})` needs two plain names, the parameter's unlike any entity's",
            )
        scope = {key: kind for key, kind in ENTITIES.items() if key != "act"} | {parameter: entity}
        when = self.condition(raw, scope)
        return blocks.Definition(**base, name=name, parameter=parameter, entity=entity, when=when)

    def requirement(self, raw: Raw, base: Base) -> list[blocks.AnyBlock | blocks.Case]:
        reasons = self.texts(raw, "reasons")
        if not reasons:
            self.refuse(raw, "reasons", 'a requirement needs `reasons`, like `["NS"]`')
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
        confidentiality = self.text(raw, "confidentiality") if "confidentiality" in raw.data else None
        requirement = blocks.Requirement(
            **base,
            **rule,
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
            return (blocks.Review(given, tree.TRUE),)
        policies = self.tables(raw, "review", ("when", "policy"))
        return tuple(
            blocks.Review(
                str(item.get("policy")), self.parse(raw, "review", item.get("when", "True"), ENTITIES)
            )
            for item in policies
        )

    def exception(self, raw: Raw, base: Base) -> blocks.Exception_:
        kind = self.one_of(raw, "class", get_args(blocks.ExceptionClass))
        lifts = []
        for lift in self.tables(raw, "lifts", ("requirement", "reasons")):
            reasons = lift.get("reasons")
            named = frozenset(map(str, reasons)) if isinstance(reasons, list) else None
            lifts.append(blocks.Lift(str(lift.get("requirement")), named))
        if not lifts:
            self.refuse(raw, "lifts", 'an exception says what it lifts: `lifts = [{ requirement = "id" }]`')
        tasks = []
        for task in self.tables(raw, "tasks", ("due", "key", "cite")):
            if (
                task.get("due") not in ("before", "with", "after")
                or not task.get("key")
                or not task.get("cite")
            ):
                self.refuse(raw, "tasks", "a task has `due` (before, with, after), `key` and `cite`")
            tasks.append(
                blocks.Task(
                    cast(Literal["before", "with", "after"], task["due"]), str(task["key"]), str(task["cite"])
                )
            )
        if tasks and kind == "carve_out":
            self.refuse(raw, "tasks", "a `carve_out` has no tasks: what it demands is a condition in `when`")
        return blocks.Exception_(
            **base,
            class_=cast(blocks.ExceptionClass, kind),
            path=self.text(raw, "path", kind),
            lifts=tuple(lifts),
            when=self.condition(raw),
            tasks=tuple(tasks),
        )

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
        at = self.window(raw, "at").earliest
        known = self.window(raw, "known").earliest if "known" in raw.data else at
        choices = {key: str(value) for key, value in parts["choices"].items()}
        note = self.text(raw, "note")
        return [blocks.Case(raw.file, raw.line, note, at, known, parts["given"], choices, parts["expect"])]
