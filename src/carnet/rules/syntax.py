"""From the text of a condition to the typed tree. It knows the words it is given and nothing of
files, dates of force or engines."""

import ast
from collections.abc import Mapping

from carnet.model.near import nearest
from carnet.model.plain import foreign_signs, short, too_long
from carnet.rules import tree
from carnet.rules.literals import ARITHMETIC, SHOWN, Literals, is_call
from carnet.rules.names import ACT_TERMS, CALLS, ENTITIES, Names, SyntaxProblem
from carnet.rules.terms import PARTY_ENTITIES, Terms, TermSpec

__all__ = ["ENTITIES", "Names", "SyntaxProblem", "nearest", "parse", "parse_value"]

LONGEST, DEEPEST = 10_000, 30
"""Letters that a condition may have, and how deep its parts may be nested: what is larger is told in
definitions, and stays within what every engine can evaluate."""

_OPS: Mapping[type[ast.cmpop], tree.Op] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


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
    if not text.strip():
        raise SyntaxProblem("a condition has no words: write `True`, or leave it out")
    whole = f"({text.strip()})"  # so that a condition may have several lines
    body = _body(whole, text)
    if (body.lineno, body.col_offset) == (1, 0) and not isinstance(body, ast.Tuple | ast.GeneratorExp):
        raise SyntaxProblem(f"`{short(text, SHOWN)}` closes a parenthesis that it did not open: count them")
    return _Parser(whole, terms, scope, names or Names()).truth(body)


def parse_value(text: str, *, terms: Terms, scope: Mapping[str, str] = ENTITIES) -> tree.Value:
    """A term or `most_recent(…)` of type country, as the destination of an act."""
    whole = text.strip()
    try:
        body = _body(whole, text)
    except SyntaxProblem:
        raise SyntaxProblem(
            f"`{short(text, SHOWN)}` is not a fact: write it like `transaction.sent_to`"
        ) from None
    value, spec = _Parser(whole, terms, scope, Names()).value(body)
    if spec.type != "country":
        raise SyntaxProblem(f"`{short(text, SHOWN)}` is not a country: name a term of type `country`")
    return value


def _body(whole: str, text: str) -> ast.expr:
    """The expression that a text says; `whole` is the text as it is parsed. Raises SyntaxProblem."""
    shown = short(text, SHOWN)
    if len(text) > LONGEST:
        what = f"`{short(text, 30)}` has {len(text)} letters, over {LONGEST}"
        raise SyntaxProblem(f"{what}: split it into definitions")
    if "\\" in whole:
        line = whole.partition("\\")[0].count("\n") + 1
        raise SyntaxProblem(f"`{shown}` has a backslash, and no condition needs one: leave it out", line)
    if (digits := too_long(whole)) is not None:
        raise SyntaxProblem(f"`{digits[1]}` has too many digits: write it like `1.5e26`", digits[0])
    try:
        return ast.parse(whole, mode="eval").body
    except SyntaxError as error:
        line = error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        line = 1
    raise SyntaxProblem(f"`{shown}` is not a condition: write it like `a.b == 'c' and not d.e`", line)


class _Parser(Literals):
    depth = 0

    def spec(self, node: ast.Attribute) -> tuple[tree.Term, TermSpec]:
        if not isinstance(node.value, ast.Name):
            self.fail(node, "is nested too deep: a fact is `entity.name`")
        entity, name = node.value.id, node.attr
        kind = self.scope.get(entity)
        if kind is None:
            self.fail(node, self.unknown_entity(entity))
        found = self.find(entity, kind, name)
        if found is None:
            known = [
                path.partition(".")[2]
                for path in self.terms.specs
                if path.startswith((f"{kind}.", f"{entity}."))
            ]
            near = nearest(name, known or ACT_TERMS).replace("`", f"`{entity}.", 1)
            self.fail(node, f"is not a known fact{foreign_signs(name)}{near}")
        return tree.Term(entity, name), found

    def unknown_entity(self, entity: str) -> str:
        near = nearest(entity, self.scope)
        return f"speaks of an unknown entity `{entity}`{foreign_signs(entity)}{near}"

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
        if isinstance(node, ast.BinOp):
            self.fail(node, ARITHMETIC)
        self.fail(node, "is not a fact: write `entity.name` or `most_recent(entity.statuses)` here")

    def one_fact(self, node: ast.Call) -> ast.Attribute:
        if len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.Attribute):
            self.fail(node, "takes one fact, as `entity.name`")
        return node.args[0]

    def truth(self, node: ast.expr) -> tree.Tree:
        if self.depth == DEEPEST:
            self.fail(node, f"is nested deeper than {DEEPEST} parts: say it in definitions")
        self.depth += 1
        found = self.part(node)
        self.depth -= 1
        return found

    def part(self, node: ast.expr) -> tree.Tree:
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
                self.fail(node, ARITHMETIC)
            case _:
                self.fail(node, "is not a condition: use `and`, `or`, `not`, comparisons, `in` and calls")

    def compare(self, node: ast.Compare) -> tree.Tree:
        if len(node.ops) != 1:
            self.fail(node, "is a chain: split it with `and`")
        op, right = node.ops[0], node.comparators[0]
        value, spec = self.value(node.left)
        if isinstance(op, ast.In | ast.NotIn):
            if spec.type not in ("enum", "id", "country"):
                self.fail(node, f"asks for membership of a `{spec.type}`: {self.instead(value, spec)}")
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
        if isinstance(right, ast.Attribute | ast.Call) and not is_call(right, "date"):
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
            self.fail(node, f"compares a `{spec.type}` for equality: {self.instead(value, spec)}")
        return tree.Equals(value, self.word(right, spec, spec.type))

    def instead(self, value: tree.Value, spec: TermSpec) -> str:
        """How a fact is asked about that is no single word."""
        some = '{"FR", "DE"}' if spec.of == "country" else '{"a", "b"}'
        name = f"{value.entity}.{value.name}" if isinstance(value, tree.Term) else "entity.name"
        ways = {
            "bool": "use it as it is, or with `not`",
            "set": f"write `any_of({name}, {some})`, or `all_of` with what an empty set means",
            "statuses": f"write `most_recent({name})`",
        }
        return ways.get(spec.type, "use `<` or `>=`")

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
        known = None if self.names.is_lost(name) else self.names.definitions
        if known is not None and name not in known:
            near = nearest(name, [*known, *CALLS])
            self.fail(
                node, f"calls something undefined{foreign_signs(name)}{near or ': write a definition of it'}"
            )
        if len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.Name):
            self.fail(node, "takes one entity, as `foreign_person(recipient)`")
        entity = node.args[0].id
        kind = self.scope.get(entity)
        if kind is None:
            self.fail(node, self.unknown_entity(entity))
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
        known = None if self.names.is_lost(definition) else self.names.definitions
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
