"""The typed tree: the one form in which a condition of the law is held.

Every engine reads this tree and nothing else of the language. It knows no dates of force,
no files and no engines.

A tree is evaluated over a *view* (`carnet.model.facts.View`) in strong Kleene logic: true,
false, or unknown. `Open` is the leaf that is always unknown.
"""

from collections.abc import Iterator
from typing import Literal, get_args

from msgspec import Struct

Op = Literal["<", "<=", ">", ">="]
Quantifier = Literal["any", "all"]


class Term(Struct, frozen=True, tag="term"):
    """A fact, by its path: `recipient.us_status`. `entity` is a name in scope (`recipient`, or a
    definition's parameter), `name` the attribute."""

    entity: str
    name: str


class MostRecent(Struct, frozen=True, tag="most_recent"):
    """The country of the most recent citizenship or permanent residency among `statuses`
    (15 CFR 734.13(b), 734.14(b))."""

    statuses: Term


class Literals(Struct, frozen=True, tag="literals"):
    """A set written out in the condition."""

    members: frozenset[str]


class ListRef(Struct, frozen=True, tag="list"):
    """A dated list of the rulebook, by its id."""

    id: str


Value = Term | MostRecent
Members = Literals | ListRef


class Const(Struct, frozen=True, tag="const"):
    value: bool


class Open(Struct, frozen=True, tag="open"):
    """Unknown by nature. With `fact`, somebody can be asked for it (`provision:…`, `list:…`);
    without, only a human can settle it."""

    cause: str
    fact: str | None = None
    note: str = ""


class Holds(Struct, frozen=True, tag="holds"):
    """A boolean fact, as such."""

    term: Term


class Equals(Struct, frozen=True, tag="equals"):
    """A fact against a literal: text, whole number in the term's unit, or a partial date as text."""

    value: Value
    literal: str | int


class Same(Struct, frozen=True, tag="same"):
    """Two facts of one type against each other."""

    left: Value
    right: Value


class Compare(Struct, frozen=True, tag="compare"):
    """A number or a date against a literal. Dates are text (`2025`, `2025-05`, `2025-05-15`):
    intervals of days, compared three-valued."""

    term: Term
    op: Op
    literal: int | str


class In(Struct, frozen=True, tag="in"):
    """Membership of one value."""

    value: Value
    members: Members


class Quantified(Struct, frozen=True, tag="quantified"):
    """`any_of` / `all_of`: members of a set-valued fact that stand in `members`. `if_empty` is the
    answer for a set known to be empty (stated in the text for `all`, false for `any`)."""

    quantifier: Quantifier
    term: Term
    members: Members
    if_empty: bool


class Elapsed(Struct, frozen=True, tag="elapsed"):
    """At least `years` have passed since the date, at the instant of the determination."""

    since: Term
    years: int


class IsUnknown(Struct, frozen=True, tag="is_unknown"):
    """The part is neither known true nor known false. Only a red flag may say this."""

    part: "Tree"


class Resolved(Struct, frozen=True, tag="resolved"):
    """A recorded resolution of this red flag exists. Two-valued: it is our own record."""

    flag: str


class Call(Struct, frozen=True, tag="call"):
    """A definition applied to an entity: `foreign_person(recipient)`."""

    definition: str
    entity: str


class Parties(Struct, frozen=True, tag="parties"):
    """`any_party` / `all_party`: a definition over every party in the roles."""

    quantifier: Quantifier
    roles: tuple[str, ...]
    definition: str
    if_empty: bool


class Reading(Struct, frozen=True, tag="reading"):
    """An ambiguous text: one tree for each value of a named axis."""

    axis: str
    values: tuple[tuple[str, "Tree"], ...]


class Not(Struct, frozen=True, tag="not"):
    part: "Tree"


class And(Struct, frozen=True, tag="and"):
    parts: tuple["Tree", ...]


class Or(Struct, frozen=True, tag="or"):
    parts: tuple["Tree", ...]


Tree = (
    Const
    | Open
    | Holds
    | Equals
    | Same
    | Compare
    | In
    | Quantified
    | Elapsed
    | IsUnknown
    | Resolved
    | Call
    | Parties
    | Reading
    | Not
    | And
    | Or
)

TRUE = Const(True)
FALSE = Const(False)


def blurred(when: Tree, unclear: Tree) -> Tree:
    """`when`, but unknown (for a human) wherever `unclear` is not known false."""
    return And((Or((when, And((unclear, Open("unclear"))))), Not(And((unclear, Open("unclear"))))))


def parts_of(node: Tree) -> Iterator[Tree]:
    """The node and all below it, each before what is below it."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        match node:
            case And(parts) | Or(parts):
                left += parts[::-1]
            case Not(part) | IsUnknown(part):
                left.append(part)
            case Reading(_, values):
                left += [part for _, part in values[::-1]]


_READ = {
    kind: [name for name in ("term", "value", "left", "right", "since") if name in kind.__struct_fields__]
    for kind in get_args(Tree)
}
"""By kind of node: its fields that may be a term."""


def terms_of(node: Tree) -> Iterator[Term]:
    """Every term that a condition reads by itself, definitions it calls left out."""
    for part in parts_of(node):
        for name in _READ[part.__class__]:
            value = getattr(part, name)
            value = value.statuses if isinstance(value, MostRecent) else value
            if isinstance(value, Term):
                yield value


def speaks_of(node: Tree, entity: str) -> bool:
    """Whether a condition reads a term of the entity."""
    return any(term.entity == entity for term in terms_of(node))
