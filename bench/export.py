"""Conditions from the tree, written in the languages of other engines.

Covered: Const, Holds, Equals, Same, Compare, In, Quantified, Elapsed, Call, Not, And, Or, over facts that are
all known. The others have no counterpart in those languages: `NotExportable` names them. What these engines
do with a fact that is missing is left to each of them, as its own documents teach to write rules.
"""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from carnet.model.time import ZONES, days, years_after
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

BIG = 1_000
"""Lists longer than this are not written into a rule: the caller looks the membership up (a *flag*)."""


class NotExportable(Exception):
    """A node that other engines have no form for."""


@dataclass(frozen=True)
class Ref:
    """A condition that has a name: a definition of an entity, an exception, the scope."""

    name: str


@dataclass(frozen=True)
class Question:
    """A rule of one reason, as its key in `Answer.certain`; `outcome` is what it leads to if true."""

    key: str
    outcome: str
    when: Any


@dataclass(frozen=True)
class Plan:
    """All questions of a rulebook, with the conditions and lists that they name."""

    questions: tuple[Question, ...]
    named: dict[str, Any]
    lists: dict[str, frozenset[str]]
    at: dt.datetime


def bound(node: Any, entity: str, parameter: str) -> Any:
    """A definition's condition with the entity in place of the parameter."""
    if isinstance(node, tree.Term):
        return tree.Term(entity, node.name) if node.entity == parameter else node
    if isinstance(node, tree.Call):
        return tree.Call(node.definition, entity if node.entity == parameter else node.entity)
    if isinstance(node, tuple):
        return tuple(bound(each, entity, parameter) for each in node)
    if hasattr(node, "__struct_fields__"):
        fields = (bound(getattr(node, name), entity, parameter) for name in node.__struct_fields__)
        return type(node)(*fields)
    return node


def plan(rulebook: Rulebook, at: dt.datetime) -> Plan:
    """What the other engines are given: one scope with one act, every block in force, no overlays or bars."""
    named: dict[str, Any] = {}
    definitions = {block.name: block for block in rulebook.of(blocks.Definition)}

    def linked(node: Any) -> Any:
        """The condition with its calls as names, which are worked out on the way."""
        match node:
            case tree.Call(name, entity):
                ref, definition = f"{name}_{entity}", definitions[name]
                if ref not in named:
                    named[ref] = linked(bound(definition.when, entity, definition.parameter))
                return Ref(ref)
            case tree.And(parts) | tree.Or(parts):
                return type(node)(tuple(linked(part) for part in parts))
            case tree.Not(part):
                return tree.Not(linked(part))
        return node

    [scope] = rulebook.of(blocks.Scope)
    [act] = scope.acts
    named["in_scope"] = linked(tree.And((scope.subject, act.when)))
    exceptions = list(rulebook.of(blocks.Exception_))
    for exception in exceptions:
        named[f"lifted_{exception.id.replace('.', '_')}"] = linked(exception.when)
    questions = []
    for rule in rulebook.of(blocks.Prohibition):
        questions.append(Question(rule.id, "prohibited", linked(rule.when)))
    for rule in rulebook.of(blocks.Requirement):
        for reason in rule.reasons:
            lifts = [Ref(f"lifted_{e.id.replace('.', '_')}") for e in exceptions if lifted(rule, reason, e)]
            parts = (Ref("in_scope"), linked(rule.when), *(tree.Not(lift) for lift in lifts))  # type: ignore[arg-type]  # a Ref stands for its tree
            questions.append(Question(f"{rule.id}#{reason}@0", "license_required", tree.And(parts)))  # type: ignore[arg-type]  # as above
    lists = {block.id: frozenset(row.id for row in block.members) for block in rulebook.of(blocks.List)}
    return Plan(tuple(questions), named, lists, at)


def lifted(rule: blocks.Requirement, reason: str, exception: blocks.Exception_) -> bool:
    """Whether the exception lifts that reason of the rule."""
    agreed = exception.path if exception.class_ == "license_exception" else exception.class_
    return agreed in rule.lifted_by and any(
        lift.requirement == rule.id and (lift.reasons is None or reason in lift.reasons)
        for lift in exception.lifts
    )


def flag(name: str, list_id: str) -> str:
    """The fact that says whether another fact stands in a big list."""
    return f"{name}_in_{list_id.rpartition('.')[2]}"


def latest_day(at: dt.datetime, years: int) -> int:
    """The last day since which `years` have passed at the instant."""
    day = at.toordinal() - 365 * years + 2
    while years_after(day, years, ZONES["us"]) > at:
        day -= 1
    return day


class Expression:
    """A language of expressions, in which a whole rule is one expression. The words are CEL's; the other
    languages say what they spell differently."""

    and_, or_, not_ = " && ", " || ", "!"
    true, false = "true", "false"
    root = ""

    def __init__(self, given: Plan) -> None:
        self.plan = given

    def text(self, node: Any) -> str:
        """A condition, in parentheses where it needs them."""
        match node:
            case Ref(name):
                return self.text(self.plan.named[name])
            case tree.Const(value):
                return self.true if value else self.false
            case tree.And(parts):
                return "(" + self.and_.join(self.text(part) for part in parts) + ")"
            case tree.Or(parts):
                return "(" + self.or_.join(self.text(part) for part in parts) + ")"
            case tree.Not(part):
                return f"{self.not_}({self.text(part)})"
            case tree.Holds(term):
                return self.fact(term)
            case tree.Equals(value, literal):
                return f"{self.fact(value)} == {self.literal(literal)}"
            case tree.Same(left, right):
                return f"{self.fact(left)} == {self.fact(right)}"
            case tree.Compare(term, op, literal):
                return f"{self.fact(term)} {op} {self.number(literal)}"
            case tree.Elapsed(since, years):
                return f"{self.fact(since)} <= {latest_day(self.plan.at, years)}"
            case tree.In(value, members):
                if isinstance(members, tree.ListRef) and self.flagged(members.id):
                    self.fact(value)
                    return self.fact(tree.Term(value.entity, flag(value.name, members.id)))
                return self.among(self.fact(value), members)
            case tree.Quantified(quantifier, term, members, if_empty):
                return self.quantified(quantifier, self.fact(term), members, if_empty=if_empty)
        raise NotExportable(f"`{type(node).__name__}` has no form in {type(self).__name__}")

    def flagged(self, list_id: str) -> bool:
        return len(self.plan.lists[list_id]) > BIG

    def fact(self, value: Any) -> str:
        if not isinstance(value, tree.Term):
            raise NotExportable(f"`{type(value).__name__}` has no form in {type(self).__name__}")
        return f"{self.root}{value.entity}.{value.name}"

    def literal(self, value: str | int) -> str:
        return json.dumps(value)

    def number(self, value: str | int) -> str:
        """A number, or a whole day as its ordinal."""
        if isinstance(value, int):
            return str(value)
        day = days(value)
        if day.first != day.last:
            raise NotExportable(f"`{value}` is not one day")
        return str(day.first)

    def members(self, members: tree.Members) -> str:
        of = members.members if isinstance(members, tree.Literals) else self.plan.lists[members.id]
        return "[" + ", ".join(self.literal(each) for each in sorted(of)) + "]"

    def among(self, fact: str, members: tree.Members) -> str:
        return f"{fact} in {self.members(members)}"

    def quantified(self, quantifier: str, fact: str, members: tree.Members, *, if_empty: bool) -> str:
        inside = self.members(members)
        if quantifier == "any":
            return f"{fact}.exists(x, x in {inside})"
        every = f"{fact}.all(x, x in {inside})"
        return every if if_empty else f"(size({fact}) > 0 && {every})"


class Cel(Expression):
    """Common Expression Language."""


class Zen(Expression):
    """The expressions of GoRules Zen."""

    and_, or_, not_ = " and ", " or ", "not "

    def quantified(self, quantifier: str, fact: str, members: tree.Members, *, if_empty: bool) -> str:
        test = f"{'some' if quantifier == 'any' else 'all'}({fact}, # in {self.members(members)})"
        return test if quantifier == "any" or if_empty else f"(len({fact}) > 0 and {test})"


class Cedar(Expression):
    """Cedar's `when` clauses."""

    root = "context."

    def among(self, fact: str, members: tree.Members) -> str:
        return f"{self.members(members)}.contains({fact})"

    def quantified(self, quantifier: str, fact: str, members: tree.Members, *, if_empty: bool) -> str:
        inside = self.members(members)
        if quantifier == "any":
            return f"{fact}.containsAny({inside})"
        return (
            f"{inside}.containsAll({fact})"
            if if_empty
            else (f"(!{fact}.isEmpty() && {inside}.containsAll({fact}))")
        )


class Casbin(Expression):
    """Casbin's `eval` policies, with the functions `within`, `some_within` and `all_within` added."""

    and_, or_, not_ = " and ", " or ", "not "
    true, false = "True", "False"
    root = "r.sub."

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        self.sets: dict[str, frozenset[str]] = dict(given.lists)

    def flagged(self, list_id: str) -> bool:
        return False

    def literal(self, value: str | int) -> str:
        return repr(value)

    def members(self, members: tree.Members) -> str:
        """The name of the set, which the functions know."""
        if isinstance(members, tree.ListRef):
            return repr(members.id)
        name = "set " + " ".join(sorted(members.members))
        self.sets[name] = members.members
        return repr(name)

    def among(self, fact: str, members: tree.Members) -> str:
        return f"within({fact}, {self.members(members)})"

    def quantified(self, quantifier: str, fact: str, members: tree.Members, *, if_empty: bool) -> str:
        test = f"{'some' if quantifier == 'any' else 'all'}_within({fact}, {self.members(members)})"
        return test if quantifier == "any" or if_empty else f"({fact} != [] and {test})"


class Rego(Expression):
    """Rego v1: a rule for each name, and for each alternative; lists as data."""

    root = "input."

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        self.rules: list[str] = []
        self.known: dict[str, str] = {}

    def module(self) -> str:
        """The whole policy; `data.carnet.decision` has the fired rules by outcome."""
        asked = []
        for question in self.plan.questions:
            asked.append(
                f"{question.outcome} contains {json.dumps(question.key)} if {self.body(question.when)}"
            )
        head = ["package carnet", "import rego.v1"]
        outcomes = ", ".join(f'"{name}": {name}' for name in ("prohibited", "license_required"))
        return "\n".join([*head, *self.rules, *asked, f"decision := {{{outcomes}}}", ""])

    def body(self, node: Any) -> str:
        return "{ " + "; ".join(self.lines(node)) + " }"

    def lines(self, node: Any) -> list[str]:
        """The condition as lines that must all hold."""
        match node:
            case Ref(name):
                return [self.helper(name, self.plan.named[name])]
            case tree.And(parts):
                return [line for part in parts for line in self.lines(part)]
            case tree.Or() | tree.Quantified():
                return [self.helper(f"h{len(self.known)}", node)]
            case tree.Not(part):
                inner = self.lines(part)
                return ["not " + (inner[0] if len(inner) == 1 else self.helper(f"h{len(self.known)}", part))]
        return [self.text(node)]

    def helper(self, name: str, node: Any) -> str:
        """A rule of its own for the condition, once."""
        key = repr(node)
        if key not in self.known:
            self.known[key] = name
            for part in node.parts if isinstance(node, tree.Or) else (node,):
                self.rules.append(f"{name} if {self.alternative(part)}")
        return self.known[key]

    def alternative(self, node: Any) -> str:
        if not isinstance(node, tree.Quantified):
            return self.body(node)
        fact, test = self.fact(node.term), self.among("x", node.members)
        if node.quantifier == "any":
            return f"{{ some x in {fact}; {test} }}"
        # Not `every`: the RVM of gordon-to-regorus 0.13.0 takes an `every` that fails for one that holds.
        outside = f"h{len(self.known)}"
        self.known[outside] = outside
        self.rules.append(f"{outside} if {{ some x in {fact}; not {test} }}")
        return f"{{ {'' if node.if_empty else f'count({fact}) > 0; '}not {outside} }}"

    def flagged(self, list_id: str) -> bool:
        return False

    def among(self, fact: str, members: tree.Members) -> str:
        if isinstance(members, tree.ListRef):
            return f"data.lists[{json.dumps(members.id)}][{fact}]"
        return f"{fact} in " + "{" + self.members(members)[1:-1] + "}"
