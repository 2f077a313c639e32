"""What stands at the right of a comparison: words, numbers, dates, sets and lists, each of the type that the
fact has. Conditions as a whole are read in `carnet.rules.syntax`."""

import ast
import re
from collections.abc import Mapping
from typing import NoReturn

from carnet.model.errors import InputError
from carnet.model.near import nearest, one_of
from carnet.model.plain import odd_name, short
from carnet.model.time import days
from carnet.model.written import number
from carnet.rules import tree
from carnet.rules.names import Names, SyntaxProblem
from carnet.rules.terms import Terms, TermSpec

ARITHMETIC = "does arithmetic: give the result as a fact computed upstream, or as one number"
COUNTRY = "write its two capital letters, as `FR` (the United Kingdom is `GB`)"
SHOWN = 80
"""Letters of a condition that a message quotes."""


class Literals:
    """The parts of one condition that are written out. `text` is the whole condition."""

    def __init__(self, text: str, terms: Terms, scope: Mapping[str, str], names: Names) -> None:
        self.text, self.terms, self.scope, self.names = text, terms, scope, names

    def fail(self, node: ast.expr, why: str) -> NoReturn:
        there = short(ast.get_source_segment(self.text, node) or self.text, SHOWN)
        raise SyntaxProblem(f"`{there}` {why}", node.lineno)

    def word(self, node: ast.expr, spec: TermSpec, kind: str) -> str:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            self.fail(node, f"must be text in quotes, since `{spec.path}` is of type `{spec.type}`")
        if kind == "enum" and node.value not in spec.values:
            self.fail(node, f"is not a value of `{spec.path}`{one_of(node.value, spec.values)}")
        if kind == "country" and not re.fullmatch(r"[A-Z]{2}", node.value):
            self.fail(node, f"is not a country: {COUNTRY}")
        countries = self.names.countries
        if kind == "country" and countries is not None and node.value not in countries:
            self.fail(node, f"is not a country that there is: {COUNTRY}")
        if (odd := odd_name(node.value)) is not None:
            self.fail(node, odd)
        return node.value

    def number(self, node: ast.expr, spec: TermSpec) -> int:
        if isinstance(node, ast.BinOp):
            self.fail(node, ARITHMETIC)
        negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        if negative or not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
            why = (
                "is below zero, and no fact is"
                if negative
                else f"must be a number, since `{spec.path}` is one"
            )
            self.fail(node, f"{why}: write it like `12` or `1.5e26`")
        try:
            return number((ast.get_source_segment(self.text, node) or "").replace("_", ""), spec.unit)
        except InputError:
            why = f"is not a whole number of the unit `{spec.unit}` of `{spec.path}` within 64 bits"
            self.fail(node, f"{why}: write it like `1.5e26`")

    def date(self, node: ast.expr) -> str:
        match node:
            case ast.Call(args=[ast.Constant(value=str() as text)], keywords=[]) if is_call(node, "date"):
                try:
                    days(text)
                except InputError as error:
                    raise SyntaxProblem(str(error), node.lineno) from None
                return text
            case _:
                self.fail(node, 'must be a date: write `date("2025-05-15")`')

    def members(self, node: ast.expr, spec: TermSpec, kind: str) -> tree.Members:
        if isinstance(node, ast.Set):
            return tree.Literals(frozenset(self.word(item, spec, kind) for item in node.elts))
        match node:
            case ast.Call(args=[ast.Constant(value=str() as name)], keywords=[]) if is_call(node, "list"):
                lists = self.names.lists
                if lists is None or self.names.is_lost(name):
                    return tree.ListRef(name)
                if name not in lists:
                    self.fail(node, f"names a list that does not exist{nearest(name, lists)}")
                wanted = spec.path if kind == "enum" else kind
                if lists[name] not in (wanted, kind):
                    self.fail(
                        node,
                        f"holds members of type `{lists[name]}`, and `{spec.path}` is of type `{wanted}`",
                    )
                return tree.ListRef(name)
            case ast.Dict() | ast.List() | ast.Tuple():
                self.fail(node, 'is not a set with members: write `{"a", "b"}` or `list("id")`')
            case _:
                self.fail(node, 'is not a set: write `{"a", "b"}` or `list("id")`')


def is_call(node: ast.expr, name: str) -> bool:
    """Whether a part calls that name."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
