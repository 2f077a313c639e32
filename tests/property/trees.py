"""Generated conditions, well typed against the invented words, as trees."""

from random import Random

from tests.property.words import DATES, ENTITIES, IDS, NUMBERS, PARAMETERS, WORDS, domain, some

from carnet.rules import tree
from carnet.rules.terms import TermSpec
from carnet.rules.tree import Term

TEXTUAL = ("enum", "id", "country")


class Trees:
    """Conditions of one rulebook. `hot` words come up again and again; `definitions` are those that may be
    called by now, with their entity; `lists` the ids by type; `axes` those with readings."""

    def __init__(self, r: Random, hot: int, depth: int = 2) -> None:
        self.r, self.depth = r, depth
        every = [pair for entity in ENTITIES for pair in WORDS[entity]]
        self.hot = r.sample(every, hot)
        self.definitions: list[tuple[str, str]] = []
        self.lists: dict[str, list[str]] = {}
        self.axes: dict[str, tuple[str, ...]] = {}
        self.forbidden: frozenset[str] = frozenset()
        self.wide = 0.25
        self.trivial = True
        self.lawful = True

    def truth(self, *, act: bool = False, of: str = "", depth: int | None = None) -> tree.Tree:
        """A condition; `act` if it may speak of the act, `of` the kind of a definition's parameter."""
        r, left = self.r, self.depth if depth is None else depth
        roll = r.random()
        if left == 0 or roll < 0.35:
            return self.leaf(act, of)
        if roll < 0.5:
            return tree.Not(self.truth(act=act, of=of, depth=left - 1))
        parts = tuple(self.truth(act=act, of=of, depth=left - 1) for _ in range(r.choice((2, 2, 3))))
        return tree.And(parts) if roll < 0.75 else tree.Or(parts)

    def pick(self, act: bool, of: str, *types: str) -> tuple[Term, TermSpec] | None:
        """A word of one of the types, mostly a hot one."""
        r = self.r
        pools = [self.hot]
        if act:
            pools += [WORDS["act"], self.hot]
        if of:
            pools += [PARAMETERS[of], PARAMETERS[of], PARAMETERS[of]]
        pool = r.choice(pools)
        if r.random() < self.wide:
            pool = WORDS[r.choice(ENTITIES)]
        found = [
            pair
            for pair in pool
            if (not types or pair[1].type in types) and pair[1].path not in self.forbidden
        ]
        return r.choice(found) if found else None

    def leaf(self, act: bool, of: str) -> tree.Tree:
        r, roll = self.r, self.r.random()
        if roll < 0.03:
            return tree.Const(r.random() < 0.5)
        if roll < 0.04:
            return tree.Open(*r.choice((("unclear",), ("untranslatable",), ("stale", "provision:inv.p"))))
        if roll < 0.16 and self.definitions:
            return self.call(of)
        if roll < 0.20 and any(kind == "party" for _, kind in self.definitions):
            return self.parties()
        picked = self.pick(act, of)
        return tree.Const(False) if picked is None else self.about(*picked, act, of)

    def call(self, of: str) -> tree.Tree:
        name, kind = self.r.choice(self.definitions)
        entities = ["recipient", "recipient", "exporter"] if kind == "party" else [kind]
        if of == kind:
            entities.append("x")
        return tree.Call(name, self.r.choice(entities))

    def parties(self) -> tree.Tree:
        r = self.r
        name = r.choice([name for name, kind in self.definitions if kind == "party"])
        roles = r.choice((("end_user",), ("purchaser",), ("end_user", "purchaser")))
        if r.random() < 0.5:
            return tree.Parties("any", roles, name, False)
        return tree.Parties("all", roles, name, r.random() < 0.5)

    def about(self, term: Term, one: TermSpec, act: bool, of: str) -> tree.Tree:
        """A condition on one word."""
        r, kind = self.r, one.type
        if kind == "bool":
            return tree.Holds(term)
        if kind == "number":
            if r.random() < 0.25:
                return tree.Equals(term, r.choice(NUMBERS))
            if r.random() < 0.2 and (other := self.pick(act, of, "number")) and self.differ(other[0], term):
                return tree.Same(term, other[0])
            return tree.Compare(term, r.choice(("<", "<=", ">", ">=")), r.choice(NUMBERS))
        if kind == "date":
            if r.random() < 0.45:
                return tree.Elapsed(term, r.choice((1, 1, 2)))
            return tree.Compare(term, r.choice(("<", "<=", ">", ">=")), r.choice(DATES))
        if kind == "set":
            if r.random() < 0.5:
                return tree.Quantified("any", term, self.members(one, one.of or "id"), False)
            return tree.Quantified("all", term, self.members(one, one.of or "id"), r.random() < 0.5)
        value: tree.Value = tree.MostRecent(term) if kind == "statuses" else term
        kind = "country" if kind == "statuses" else kind
        if r.random() < 0.18:
            other = self.pick(act, of, "statuses", kind) if kind == "country" else self.pick(act, of, kind)
            if (
                other is not None
                and (kind != "enum" or other[1].path == one.path)
                and self.differ(other[0], term)
            ):
                right: tree.Value = tree.MostRecent(other[0]) if other[1].type == "statuses" else other[0]
                return tree.Same(value, right)
        if r.random() < 0.5:
            return tree.In(value, self.members(one, kind))
        return tree.Equals(value, r.choice(self.texts(one, kind)))

    def differ(self, one: Term, other: Term) -> bool:
        """A fact compared with itself is always alike, which no engine sees: some rulebooks have it."""
        return self.trivial or one != other

    def texts(self, one: TermSpec, kind: str) -> tuple[str, ...]:
        return domain(one) if one.type != "statuses" else WORDS_OF_COUNTRY

    def members(self, one: TermSpec, kind: str) -> tree.Members:
        wanted = one.path if kind == "enum" else kind
        names = self.lists.get(wanted)
        if names and self.r.random() < 0.65:
            return tree.ListRef(self.r.choice(names))
        return tree.Literals(some(self.r, self.texts(one, kind)))

    def is_unknown(self) -> tree.Tree:
        """As the loader makes it of `is_unknown(x)`."""
        found = self.pick(False, "", "bool", "set", "statuses", *TEXTUAL, "number")
        term, one = found or WORDS["recipient"][0]
        match one.type:
            case "bool":
                return tree.IsUnknown(tree.Holds(term))
            case "set":
                return tree.IsUnknown(tree.Quantified("any", term, tree.Literals(frozenset()), False))
            case "statuses":
                return tree.IsUnknown(tree.Same(tree.MostRecent(term), tree.MostRecent(term)))
            case _:
                return tree.IsUnknown(tree.Same(term, term))

    def condition(self, *, act: bool = False, of: str = "", reading: float = 0.08) -> tree.Tree:
        """As a block has it: plain, on an axis, untranslatable within a bound, blurred."""
        r, roll = self.r, self.r.random()
        if roll < 0.05:
            result: tree.Tree = tree.And((self.truth(act=act, of=of), tree.Open("untranslatable")))
        elif roll < 0.05 + reading and self.axes:
            axis = r.choice(sorted(self.axes))
            values = self.axes[axis]
            kept = values if self.lawful or r.random() < 0.7 else values[:2]
            result = tree.Reading(axis, tuple((value, self.read_as(act, of)) for value in kept))
        else:
            result = self.truth(act=act, of=of)
        return tree.blurred(result, self.truth(act=act, of=of, depth=1)) if r.random() < 0.05 else result

    def read_as(self, act: bool, of: str) -> tree.Tree:
        roll = self.r.random()
        return tree.Const(roll < 0.18) if roll < 0.36 else self.truth(act=act, of=of)


WORDS_OF_COUNTRY = domain(next(one for _, one in WORDS["transaction"] if one.type == "country"))
assert IDS
