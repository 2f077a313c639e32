"""Small changes to a module's source, one at a time: what a careless hand might write. How they are run is in
`tests.mutation.profile`."""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from msgspec import Struct

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min"}


class Mutant(Struct, frozen=True):
    """One change. `key` says it without line numbers: module, function, before, after, which of several."""

    module: str
    line: int
    function: str
    before: str
    after: str
    nth: int
    source: str

    @property
    def key(self) -> str:
        return f"{self.module.rpartition('.')[2]}.{self.function}: {self.before} -> {self.after} #{self.nth}"


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source."""
    top = ast.parse(source)
    annotate(top)
    seen: Counter[tuple[str, str, str]] = Counter()
    for node in list(ast.walk(top)):
        if getattr(node, "skip", False):
            continue
        for field, place, new, before, after in changes(node):
            name = (getattr(node, "function", ""), before, after)
            seen[name] += 1
            yield Mutant(
                module=module,
                line=getattr(node, "lineno", 0),
                function=name[0],
                before=before,
                after=after,
                nth=seen[name],
                source=replaced(top, node, field, place, new),
            )


def annotate(top: ast.Module) -> None:
    """Note the function of every node, and skip what has no behaviour: annotations, docstrings, types, texts
    made for people. Of other texts only those that something is compared with are changed: a label that
    nothing looks at may read as it likes. What is kept may always be made again: of a look at what is kept
    that change is not made."""

    def visit(node: ast.AST, function: str, skip: bool) -> None:
        node.skip, node.function = skip, function  # type: ignore[attr-defined] -- notes of our own
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}".lstrip(".")
        for field, value in ast.iter_fields(node):
            if field == "body" and isinstance(value, list):
                for before, after in pairwise(value):
                    after.kept = looked_up(before, after)  # type: ignore[attr-defined] -- as above
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    doc = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
                    text = isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom)
                    note = field in ("annotation", "returns", "decorator_list", "bases", "type_params")
                    typed = (field == "func" and isinstance(child, ast.Subscript)) or (
                        field == "keywords" and isinstance(node, ast.ClassDef)
                    )
                    named = isinstance(child, ast.Call) and ast.unparse(child.func) == "TypeVar"
                    strict = isinstance(child, ast.keyword) and child.arg == "strict"
                    child.compared = isinstance(node, ast.Compare)  # type: ignore[attr-defined] -- as above
                    visit(child, function, skip or doc or text or note or typed or named or strict)

    visit(top, "", False)


def looked_up(before: ast.stmt, after: ast.stmt) -> str | None:
    """The test with which what `before` looks up would be made anew each time: `if True` of `if x is None`,
    `if False` of `if x is not None` before a return."""
    match before, after:
        case (
            ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(attr="get")))
            | ast.AnnAssign(ast.Name(name), _, ast.Call(ast.Attribute(attr="get"))),
            ast.If(ast.Compare(ast.Name(tested), [op], [ast.Constant(None)]), body),
        ) if name == tested:
            stored = [part for each in body for part in ast.walk(each) if isinstance(part, ast.Name)]
            assigned = any(part.id == name and isinstance(part.ctx, ast.Store) for part in stored)
            if isinstance(op, ast.Is) and assigned:
                return "if True"
            if isinstance(op, ast.IsNot) and isinstance(body[0], ast.Return):
                return "if False"
    return None


Change = tuple[str, int | None, ast.AST, str, str]


def changes(node: ast.AST) -> Iterator[Change]:
    """The changes that concern this node: field, place in it, the new child, and both in words."""
    own = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt | ast.comprehension) else ""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                if type(op) in SWAPS:
                    yield with_change(node, "ops", place, SWAPS[type(op)](), own)
        case ast.BoolOp(op=op, values=values):
            yield with_change(node, "op", None, SWAPS[type(op)](), own)
            if len(values) > 1:
                for place in range(len(values)):
                    yield with_change(node, "values", place, None, own)
        case ast.BinOp(op=op) if type(op) in SWAPS:
            yield with_change(node, "op", None, SWAPS[type(op)](), own)
        case ast.UnaryOp(op=ast.Not()):
            yield "", None, node.operand, own, ast.unparse(node.operand)
        case ast.Constant(value=bool() as value):
            yield "", None, ast.Constant(not value), own, repr(not value)
        case ast.Constant(value=int() as value):
            yield "", None, ast.Constant(value + 1), own, repr(value + 1)
        case ast.Constant(value=str() as value) if value and getattr(node, "compared", False):
            yield "", None, ast.Constant(f"{value}?"), own, repr(f"{value}?")
        case ast.Name(id=name) if name in NAMES and isinstance(node.ctx, ast.Load):
            yield "", None, ast.Name(NAMES[name], ast.Load()), own, NAMES[name]
        case ast.IfExp() | ast.If() | ast.While():
            yield from decisions(node)
        case ast.comprehension(ifs=ifs):
            for place, test in enumerate(ifs):
                yield "ifs", place, ast.Constant(True), f"for if {ast.unparse(test)}", "for"
        case ast.Set(elts=elts) | ast.Tuple(elts=elts) if len(elts) > 1 and loaded(node):
            for place in range(len(elts)):
                yield with_change(node, "elts", place, None, own)
        case ast.Expr() | ast.AugAssign() | ast.Continue() | ast.Break():
            yield "", None, ast.Pass(), own, "pass"


def decisions(node: ast.IfExp | ast.If | ast.While) -> Iterator[Change]:
    """The other way, and one way always; a loop is not made endless."""
    test = ast.unparse(node.test)
    yield "test", None, ast.UnaryOp(ast.Not(), node.test), f"if {test}", f"if not ({test})"
    for value in (True, False) if not isinstance(node, ast.While) else ():
        if getattr(node, "kept", None) != f"if {value}":
            yield "test", None, ast.Constant(value), f"if {test}", f"if {value}"


def loaded(node: ast.Set | ast.Tuple) -> bool:
    return isinstance(node, ast.Set) or (
        isinstance(node.ctx, ast.Load) and all(isinstance(element, ast.Constant) for element in node.elts)
    )


def with_change(node: ast.expr, field: str, place: int | None, new: ast.AST | None, own: str) -> Change:
    """The change in words: the node as it will read."""
    other = copy.deepcopy(node)
    if place is None:
        setattr(other, field, new)
    elif new is None:
        del getattr(other, field)[place]
    else:
        getattr(other, field)[place] = new
    if isinstance(other, ast.BoolOp) and len(other.values) == 1:
        other = other.values[0]
    return "", None, other, own, ast.unparse(other)


def replaced(top: ast.Module, old: ast.AST, field: str, place: int | None, new: ast.AST) -> str:
    """The source with one node, or a child of it, replaced."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if node is not old:
                return self.generic_visit(node)
            if not field:
                return new
            other = copy.copy(node)
            if place is None:
                setattr(other, field, new)
            else:
                children = list(getattr(node, field))
                children[place] = new
                setattr(other, field, children)
            return other

    return ast.unparse(ast.fix_missing_locations(Replace().visit(shallow(top, old))))


def shallow(top: ast.Module, old: ast.AST) -> ast.Module:
    """A copy of the module in which `old` itself still stands."""
    return copy.deepcopy(top, {id(old): old})
