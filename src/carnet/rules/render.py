"""From the typed tree back to the text of a condition, for people. What can be parsed comes back as a text
that parses to the same tree."""

from collections.abc import Iterator
from decimal import Decimal

from carnet.rules import tree
from carnet.rules.terms import Terms

_LOOSE, _AND, _NOT, _TIGHT = range(4)


def render(node: tree.Tree, terms: Terms) -> str:
    """The condition as text. What has no text of its own (an unclear spot, a resolution) stands in angle
    brackets."""
    return _Text(terms).of(node, _LOOSE)


def lines_of(node: tree.Tree, terms: Terms) -> Iterator[str]:
    """The condition for a page: one line for each part of an outermost `and` or `or`; readings, unclear spots
    and outer bounds by name."""
    match node:
        case tree.And((tree.Not(tree.Resolved(_)), rest)):
            yield from lines_of(rest, terms)
            yield "(until a resolution is recorded)"
        case tree.And((tree.Or((when, tree.And((unclear, tree.Open("unclear"))))), tree.Not(_))):
            yield from lines_of(when, terms)
            yield f"unclear when {render(unclear, terms)}"
        case tree.And((outer, tree.Open("untranslatable"))):
            yield f"at most when {render(outer, terms)} (the text itself can't be put as a condition)"
        case tree.Reading(axis, values):
            for name, part in values:
                yield f"{axis} = {name}: {render(part, terms)}"
        case tree.And(parts) | tree.Or(parts) if len(parts) > 1:
            word = "and" if isinstance(node, tree.And) else "or"
            text = _Text(terms)
            for number, part in enumerate(parts):
                yield f"{word} {text.of(part, _NOT)}" if number else text.of(part, _NOT)
        case _:
            yield render(node, terms)


class _Text:
    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def of(self, node: tree.Tree, tightness: int) -> str:
        """The text, in parentheses where what stands around it binds tighter."""
        text, own = self.part(node)
        return f"({text})" if own < tightness else text

    def part(self, node: tree.Tree) -> tuple[str, int]:
        match node:
            case tree.Const(value):
                return str(value), _TIGHT
            case tree.And(parts) | tree.Or(parts):
                return self.joined(node, parts)
            case tree.Not(tree.Equals(value, literal)):
                return f"{self.value(value)} != {self.literal(value, literal)}", _TIGHT
            case tree.Not(tree.Same(left, right)):
                return f"{self.value(left)} != {self.value(right)}", _TIGHT
            case tree.Not(tree.In(value, members)):
                return f"{self.value(value)} not in {self.members(members)}", _TIGHT
            case tree.Not(part):
                return f"not {self.of(part, _NOT)}", _NOT
            case tree.Reading(axis, values):
                return f"<{axis}: {'; '.join(f'{n}: {self.of(p, _LOOSE)}' for n, p in values)}>", _TIGHT
            case _:
                return self.leaf(node), _TIGHT

    def joined(self, node: tree.And | tree.Or, parts: tuple[tree.Tree, ...]) -> tuple[str, int]:
        if len(parts) < 2:
            return (self.of(parts[0], _LOOSE) if parts else str(isinstance(node, tree.And))), _TIGHT
        if isinstance(node, tree.And):
            return " and ".join(self.of(part, _NOT) for part in parts), _AND
        # An `or` directly inside an `or` keeps its parentheses, so that the tree comes back as it was.
        return " or ".join(self.of(part, _AND) for part in parts), _LOOSE

    def leaf(self, node: tree.Tree) -> str:
        match node:
            case tree.Holds(term):
                return self.value(term)
            case tree.Equals(value, literal):
                return f"{self.value(value)} == {self.literal(value, literal)}"
            case tree.Same(left, right):
                return f"{self.value(left)} == {self.value(right)}"
            case tree.Compare(term, op, literal):
                against = f'date("{literal}")' if isinstance(literal, str) else self.number(term, literal)
                return f"{self.value(term)} {op} {against}"
            case tree.In(value, members):
                return f"{self.value(value)} in {self.members(members)}"
            case tree.Quantified(quantifier, term, members, if_empty):
                empty = f", if_empty={if_empty}" if quantifier == "all" else ""
                return f"{quantifier}_of({self.value(term)}, {self.members(members)}{empty})"
            case tree.Elapsed(since, years):
                return f"elapsed({self.value(since)}, years={years})"
            case tree.Call(definition, entity):
                return f"{definition}({entity})"
            case tree.Parties(quantifier, roles, definition, if_empty):
                empty = f", if_empty={if_empty}" if quantifier == "all" else ""
                return f"{quantifier}_party({self.words(roles)}, {definition}{empty})"
            case tree.IsUnknown(part):
                return f"is_unknown({self.asked(part)})"
            case tree.Resolved(flag):
                return f"<{flag} is resolved>"
            case tree.Open(cause, fact, _):
                return f"<{cause}{f' {fact}' if fact else ''}>"
        raise TypeError(f"not a leaf: {node!r}")

    def asked(self, part: tree.Tree) -> str:
        """The fact whose being unknown is asked about."""
        term = next(tree.terms_of(part), None)
        return self.value(term) if term is not None else self.of(part, _LOOSE)

    def value(self, value: tree.Value) -> str:
        if isinstance(value, tree.MostRecent):
            return f"most_recent({self.value(value.statuses)})"
        return f"{value.entity}.{value.name}"

    def literal(self, value: tree.Value, literal: str | int) -> str:
        return f'"{literal}"' if isinstance(literal, str) else self.number(value, literal)

    def number(self, value: tree.Value, stored: int) -> str:
        """A number as it is written, not in the unit in which it is kept: `1.5e26`."""
        name = value.name if isinstance(value, tree.Term) else ""
        units = (spec.unit for path, spec in self.terms.specs.items() if path.partition(".")[2] == name)
        exact = Decimal(stored) * Decimal(next(units, "1"))
        if abs(exact) < 10**6:
            return f"{exact:f}"
        digits, _, exponent = f"{exact.normalize():E}".partition("E")
        return f"{digits}e{int(exponent)}"

    def members(self, members: tree.Members) -> str:
        if isinstance(members, tree.ListRef):
            return f'list("{members.id}")'
        return self.words(sorted(members.members))

    def words(self, names: tuple[str, ...] | list[str]) -> str:
        return "{" + ", ".join(f'"{name}"' for name in names) + "}"
