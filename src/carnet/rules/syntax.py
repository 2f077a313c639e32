"""From the text of a condition to the typed tree. It knows the words it is given and nothing of
files, dates of force or engines."""

import ast
import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from msgspec import Struct

from carnet.model.errors import CarnetError, InputError
from carnet.model.time import days
from carnet.rules import tree
from carnet.rules.terms import PARTY_ENTITIES, Terms, TermSpec

ENTITIES: Mapping[str, str] = {
    "transaction": "transaction",
    "item": "item",
    "recipient": "party",
    "exporter": "party",
    "end_use": "end_use",
    "act": "act",
}
"""Names that every condition may use, and the kind of entity each is."""

ACT_KINDS = ("export", "reexport", "transfer_in_country", "release", "remote_access")

ACT_TERMS = {
    "kind": TermSpec(path="act.kind", type="enum", cite="design", values=ACT_KINDS),
    "deemed": TermSpec(path="act.deemed", type="bool", cite="design"),
    "destination": TermSpec(path="act.destination", type="country", cite="design"),
}

_OPS: Mapping[type[ast.cmpop], tree.Op] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_MAX = 2**63 - 1
_CALLS = ("any_of", "all_of", "any_party", "all_party", "elapsed", "is_unknown")


class SyntaxProblem(CarnetError):
    """Raised by `parse` for one condition; the loader adds file and line."""


class Names(Struct, frozen=True):
    """What a condition may call: definitions with the kind of entity they take, lists with the type
    of their members. None leaves a kind of name unchecked."""

    definitions: Mapping[str, str] | None = None
    lists: Mapping[str, str] | None = None
    red_flag: bool = False


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?` or nothing."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def parse(
    text: str,
    *,
    terms: Terms,
    scope: Mapping[str, str] = ENTITIES,
    names: Names | None = None,
) -> tree.Tree:
    """The tree of a condition. `scope` maps the names of entities to their kinds.

    Raises SyntaxProblem with one sentence that says what to write instead.
    """
    whole = f"({text.strip()})"
    try:
        body = ast.parse(whole, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SyntaxProblem(
            f"`{_short(text)}` is not a condition: write it like `a.b == 'c' and not d.e`"
        ) from None
    return _Parser(whole, terms, scope, names or Names()).truth(body)


def parse_value(text: str, *, terms: Terms, scope: Mapping[str, str] = ENTITIES) -> tree.Value:
    """A term or `most_recent(…)` of type country, as the destination of an act."""
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise SyntaxProblem(f"`{_short(text)}` is not a fact: write it like `transaction.sent_to`") from None
    value, spec = _Parser(text.strip(), terms, scope, Names()).value(body)
    if spec.type != "country":
        raise SyntaxProblem(f"`{_short(text)}` is not a country: name a term of type `country`")
    return value


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."


class _Parser:
    def __init__(self, text: str, terms: Terms, scope: Mapping[str, str], names: Names) -> None:
        self.text, self.terms, self.scope, self.names = text, terms, scope, names

    def fail(self, node: ast.expr, why: str) -> NoReturn:
        raise SyntaxProblem(f"`{_short(ast.get_source_segment(self.text, node) or self.text)}` {why}")

    def spec(self, node: ast.Attribute) -> tuple[tree.Term, TermSpec]:
        if not isinstance(node.value, ast.Name):
            self.fail(node, "is nested too deep: a fact is `entity.name`")
        entity, name = node.value.id, node.attr
        kind = self.scope.get(entity)
        if kind is None:
            self.fail(node, f"speaks of an unknown entity `{entity}`{nearest(entity, self.scope)}")
        found = self.find(entity, kind, name)
        if found is None:
            known = [
                path.partition(".")[2]
                for path in self.terms.specs
                if path.startswith((f"{kind}.", f"{entity}."))
            ]
            self.fail(node, f"is not a known fact{nearest(name, known or ACT_TERMS)}")
        return tree.Term(entity, name), found

    def find(self, entity: str, kind: str, name: str) -> TermSpec | None:
        if kind == "act":
            return ACT_TERMS.get(name)
        if entity in PARTY_ENTITIES:
            return self.terms.find(entity, name)
        return self.terms.specs.get(f"{kind}.{name}")

    def value(self, node: ast.expr) -> tuple[tree.Value, TermSpec]:
        if isinstance(node, ast.Attribute):
            return self.spec(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "most_recent":
            term, spec = self.spec(self.one_fact(node))
            if spec.type != "statuses":
                self.fail(node, f"needs statuses, and `{spec.path}` is of type `{spec.type}`")
            return tree.MostRecent(term), TermSpec(path=spec.path, type="country", cite=spec.cite)
        self.fail(node, "is not a fact: write `entity.name` or `most_recent(entity.statuses)` here")

    def one_fact(self, node: ast.Call) -> ast.Attribute:
        if len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.Attribute):
            self.fail(node, "takes one fact, as `entity.name`")
        return node.args[0]

    def truth(self, node: ast.expr) -> tree.Tree:
        match node:
            case ast.Constant(value=bool() as value):
                return tree.Const(value)
            case ast.BoolOp():
                parts = tuple(self.truth(part) for part in node.values)
                return tree.And(parts) if isinstance(node.op, ast.And) else tree.Or(parts)
            case ast.UnaryOp(op=ast.Not()):
                return tree.Not(self.truth(node.operand))
            case ast.Attribute():
                term, spec = self.spec(node)
                if spec.type != "bool":
                    self.fail(node, f"is of type `{spec.type}`: compare it with something")
                return tree.Holds(term)
            case ast.Compare():
                return self.compare(node)
            case ast.Call():
                return self.call(node)
            case ast.BinOp():
                self.fail(node, "does arithmetic: give the result as a fact computed upstream")
            case _:
                self.fail(node, "is not a condition: use `and`, `or`, `not`, comparisons, `in` and calls")

    def compare(self, node: ast.Compare) -> tree.Tree:
        if len(node.ops) != 1:
            self.fail(node, "is a chain: split it with `and`")
        op, right = node.ops[0], node.comparators[0]
        value, spec = self.value(node.left)
        if isinstance(op, ast.In | ast.NotIn):
            if spec.type not in ("enum", "id", "country"):
                self.fail(node, f"asks for membership of a `{spec.type}`: use `any_of` or a comparison")
            inside = tree.In(value, self.members(right, spec, spec.type))
            return inside if isinstance(op, ast.In) else tree.Not(inside)
        if isinstance(op, ast.Eq | ast.NotEq):
            equal = self.equals(node, value, spec, right)
            return equal if isinstance(op, ast.Eq) else tree.Not(equal)
        if type(op) not in _OPS:
            self.fail(
                node, "uses an operator that rules do not have: use `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`"
            )
        if not isinstance(value, tree.Term) or spec.type not in ("number", "date"):
            self.fail(node, f"orders a `{spec.type}`: only numbers and dates have an order")
        literal = self.number(right, spec) if spec.type == "number" else self.date(right)
        return tree.Compare(value, _OPS[type(op)], literal)

    def equals(self, node: ast.Compare, value: tree.Value, spec: TermSpec, right: ast.expr) -> tree.Tree:
        if isinstance(right, ast.Attribute | ast.Call) and not _is_call(right, "date"):
            other, other_spec = self.value(right)
            if spec.type != other_spec.type or spec.type not in ("enum", "id", "country", "number"):
                self.fail(
                    node,
                    f"compares a `{spec.type}` with a `{other_spec.type}`: both must be one type of value",
                )
            return tree.Same(value, other)
        if spec.type == "number":
            return tree.Equals(value, self.number(right, spec))
        if spec.type not in ("enum", "id", "country"):
            hint = "use it as it is, or with `not`" if spec.type == "bool" else "use `any_of`, `<` or `>=`"
            self.fail(node, f"compares a `{spec.type}` for equality: {hint}")
        return tree.Equals(value, self.word(right, spec, spec.type))

    def word(self, node: ast.expr, spec: TermSpec, kind: str) -> str:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            self.fail(node, f"must be text in quotes, since `{spec.path}` is of type `{spec.type}`")
        if kind == "enum" and node.value not in spec.values:
            self.fail(node, f"is not a value of `{spec.path}`{nearest(node.value, spec.values)}")
        if kind == "country" and not re.fullmatch(r"[A-Z]{2}", node.value):
            self.fail(node, "is not a country: write its two capital letters, as `FR`")
        return node.value

    def number(self, node: ast.expr, spec: TermSpec) -> int:
        text = ast.get_source_segment(self.text, node) or ""
        if not isinstance(node, ast.Constant) or isinstance(node.value, bool | str):
            self.fail(node, f"must be a number, since `{spec.path}` is one")
        try:
            exact = Decimal(text.replace("_", "")) / Decimal(spec.unit)
        except InvalidOperation:
            self.fail(node, "is not a decimal number")
        if exact != exact.to_integral_value() or abs(exact) > _MAX:
            self.fail(
                node, f"is not a whole number of the unit `{spec.unit}` of `{spec.path}` within 64 bits"
            )
        return int(exact)

    def date(self, node: ast.expr) -> str:
        match node:
            case ast.Call(args=[ast.Constant(value=str() as text)], keywords=[]) if _is_call(node, "date"):
                try:
                    days(text)
                except InputError as error:
                    raise SyntaxProblem(str(error)) from None
                return text
            case _:
                self.fail(node, 'must be a date: write `date("2025-05-15")`')

    def members(self, node: ast.expr, spec: TermSpec, kind: str) -> tree.Members:
        if isinstance(node, ast.Set):
            return tree.Literals(frozenset(self.word(item, spec, kind) for item in node.elts))
        match node:
            case ast.Call(args=[ast.Constant(value=str() as name)], keywords=[]) if _is_call(node, "list"):
                lists = self.names.lists
                if lists is not None and name not in lists:
                    self.fail(node, f"names a list that does not exist{nearest(name, lists)}")
                wanted = spec.path if kind == "enum" else kind
                if lists is not None and lists[name] not in (wanted, kind):
                    self.fail(
                        node,
                        f"holds members of type `{lists[name]}`, and `{spec.path}` is of type `{wanted}`",
                    )
                return tree.ListRef(name)
            case ast.Dict() | ast.List() | ast.Tuple():
                self.fail(node, "is not a set with members: write `{'a', 'b'}` or `list('id')`")
            case _:
                self.fail(node, "is not a set: write `{'a', 'b'}` or `list('id')`")

    def call(self, node: ast.Call) -> tree.Tree:
        if not isinstance(node.func, ast.Name):
            self.fail(node, "is not a call that rules have")
        name = node.func.id
        if name in ("any_of", "all_of"):
            return self.quantified(node, name)
        if name in ("any_party", "all_party"):
            return self.parties(node, name)
        if name == "elapsed":
            return self.elapsed(node)
        if name == "is_unknown":
            return self.is_unknown(node)
        return self.definition(node, name)

    def definition(self, node: ast.Call, name: str) -> tree.Tree:
        known = self.names.definitions
        if known is not None and name not in known:
            self.fail(node, f"calls something undefined{nearest(name, [*known, *_CALLS])}")
        if len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.Name):
            self.fail(node, "takes one entity, as `foreign_person(recipient)`")
        entity = node.args[0].id
        kind = self.scope.get(entity)
        if kind is None:
            self.fail(node, f"speaks of an unknown entity `{entity}`{nearest(entity, self.scope)}")
        if known is not None and known[name] != kind:
            self.fail(node, f"is about a `{known[name]}`, and `{entity}` is a `{kind}`")
        return tree.Call(name, entity)

    def flag(self, node: ast.Call, name: str) -> bool | None:
        if not node.keywords:
            return None
        keyword = node.keywords[0]
        if len(node.keywords) > 1 or keyword.arg != name or not isinstance(keyword.value, ast.Constant):
            self.fail(node, f"takes no other keyword than `{name}`")
        if not isinstance(keyword.value.value, bool):
            self.fail(node, f"needs `{name}=True` or `{name}=False`")
        return keyword.value.value

    def quantified(self, node: ast.Call, name: str) -> tree.Tree:
        if len(node.args) != 2 or not isinstance(node.args[0], ast.Attribute):
            self.fail(node, f"takes a set-valued fact and a set: `{name}(recipient.nationalities, {{'FR'}})`")
        term, spec = self.spec(node.args[0])
        if spec.type != "set" or spec.of is None:
            self.fail(node, f"needs a set-valued fact, and `{spec.path}` is of type `{spec.type}`")
        members = self.members(node.args[1], spec, spec.of)
        empty = self.flag(node, "if_empty")
        if name == "all_of" and empty is None:
            self.fail(
                node, "does not say what holds for an empty set: add `if_empty=True` or `if_empty=False`"
            )
        if name == "any_of" and empty is not None:
            self.fail(node, "needs no `if_empty`: no member of an empty set is in anything")
        return tree.Quantified("any" if name == "any_of" else "all", term, members, bool(empty))

    def parties(self, node: ast.Call, name: str) -> tree.Tree:
        if (
            len(node.args) != 2
            or not isinstance(node.args[0], ast.Set)
            or not isinstance(node.args[1], ast.Name)
        ):
            self.fail(node, f"takes roles and a definition: `{name}({{'end_user'}}, foreign_person)`")
        values = [role.value if isinstance(role, ast.Constant) else None for role in node.args[0].elts]
        roles = [value if isinstance(value, str) else "" for value in values]
        definition = node.args[1].id
        known = self.names.definitions
        if known is not None and known.get(definition) != "party":
            why = "is not a definition" if definition not in known else f"is about a `{known[definition]}`"
            self.fail(
                node, f"needs a definition about a `party`: `{definition}` {why}{nearest(definition, known)}"
            )
        for role in roles:
            if not role or (self.terms.roles and role not in (*self.terms.roles, *PARTY_ENTITIES)):
                self.fail(
                    node,
                    f"names an unknown role `{role}`{nearest(role, [*self.terms.roles, *PARTY_ENTITIES])}",
                )
        empty = self.flag(node, "if_empty")
        if name == "all_party" and empty is None:
            self.fail(
                node,
                "does not say what holds when there is no such party: add `if_empty=True` or `=False`",
            )
        if name == "any_party" and empty is not None:
            self.fail(node, "needs no `if_empty`: nothing holds of a party that is not there")
        calls = tuple(tree.Call(definition, role) for role in sorted(roles) if role in PARTY_ENTITIES)
        rest = tuple(sorted(role for role in roles if role not in PARTY_ENTITIES))
        every = name == "all_party"
        if not rest:
            return tree.And(calls) if every else tree.Or(calls)
        quantifier: tree.Quantifier = "all" if every else "any"
        group = tree.Parties(quantifier, rest, definition, True if calls and every else bool(empty))
        if not calls:
            return group
        return tree.And((*calls, group)) if every else tree.Or((*calls, group))

    def elapsed(self, node: ast.Call) -> tree.Tree:
        years = (
            node.keywords[0].value if len(node.keywords) == 1 and node.keywords[0].arg == "years" else None
        )
        if (
            len(node.args) != 1
            or not isinstance(node.args[0], ast.Attribute)
            or not isinstance(years, ast.Constant)
        ):
            self.fail(node, "takes a date and whole years: `elapsed(recipient.hired, years=1)`")
        term, spec = self.spec(node.args[0])
        if spec.type != "date" or type(years.value) is not int or not 0 < years.value < 1000:
            self.fail(node, "takes a date and whole years: `elapsed(recipient.hired, years=1)`")
        return tree.Elapsed(term, years.value)

    def is_unknown(self, node: ast.Call) -> tree.Tree:
        if not self.names.red_flag:
            self.fail(node, "may only stand in a `red_flag`")
        term, spec = self.spec(self.one_fact(node))
        match spec.type:
            case "bool":
                return tree.IsUnknown(tree.Holds(term))
            case "set":
                return tree.IsUnknown(tree.Quantified("any", term, tree.Literals(frozenset()), False))
            case "enum" | "id" | "country" | "number":
                return tree.IsUnknown(tree.Same(term, term))
            case "statuses":
                return tree.IsUnknown(tree.Same(tree.MostRecent(term), tree.MostRecent(term)))
            case "date":
                self.fail(node, "asks whether a date is unknown: ask for the fact that it dates")


def _is_call(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
