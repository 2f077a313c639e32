"""Brute force: every way in which the unknowns of a question may turn out, and what then comes out. What only
a human can settle may also stay as it is.

Two things are not completed: presumptions, and what rests on somebody not knowing (flags, `is_unknown`);
rulebooks with them are left out here, as docs/explanation/decision.md says. Staleness of provisions and
lists, windows and gaps in the coverage are left out as well: no fact completes them."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, product
from random import Random
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field
from tests.property.books import Size, rulebook
from tests.property.coverage import trees_of
from tests.property.differential import Engine, ask
from tests.property.rewrite import mapped
from tests.property.views import Question, Views
from tests.property.words import ROLES, TERMS, domain

from carnet.engine.over_readings import class_of
from carnet.model.facts import ASKABLE, MISSING, Group, Known, Partial, Status, Statuses, Unknown
from carnet.model.time import ANY_DAY, Days, days
from carnet.rules import tree
from carnet.rules.blocks import AnyBlock, Definition
from carnet.rules.rulebook import Rulebook
from carnet.rules.terms import TermSpec

PLAIN = Size(hot=10, depth=1, rules=3, exceptions=2, plain=True, axes=1)
MOST = 320
"""Completions that a case may have, to be looked at."""
NEW_YORK = ZoneInfo("America/New_York")


class Reads(dict[str, Known]):
    """Facts that note which of them are read."""

    def __init__(self, facts: dict[str, Known], prefix: str, noted: set[str]) -> None:
        super().__init__(facts)
        self.prefix, self.noted = prefix, noted

    def get(self, name: str, default: Known | None = None) -> Known:  # type: ignore[override] -- as used
        self.noted.add(f"{self.prefix}{name}")
        return super().get(name, default)  # type: ignore[return-value] -- engines give a default


class Case(Struct, frozen=True):
    """A question and what brute force says about it."""

    book: Rulebook
    question: Question
    outcome: str
    asks: frozenset[str]
    may_still_be: frozenset[str]
    needed: frozenset[str]
    classes: frozenset[str]
    answered: frozenset[str]
    """The classes that answers alone reach, what only a human can settle staying as it is."""
    completions: int


class Sum(Struct):
    """What a run of cases came to."""

    cases: int = 0
    with_asks: int = 0
    exact: int = 0
    completions: int = 0
    too_many: list[Case] = field(default_factory=list)
    missed: list[Case] = field(default_factory=list)
    allowed: list[Case] = field(default_factory=list)
    turned: list[Case] = field(default_factory=list)
    unforeseen: list[Case] = field(default_factory=list)

    def add(self, case: Case) -> None:
        kind = class_of(case.outcome)  # type: ignore[arg-type] -- an outcome, kept as text
        self.cases += 1
        self.with_asks += bool(case.asks or case.needed)
        self.exact += case.asks == case.needed
        self.completions += case.completions
        if case.asks - case.needed:
            self.too_many.append(case)
        if case.needed - case.asks:
            self.missed.append(case)
        if kind == "permitted" and case.classes != {"permitted"}:
            self.allowed.append(case)
        if kind in ("prohibited", "license_required") and case.classes - {"prohibited", kind}:
            self.turned.append(case)
        if case.answered - {"open", kind} - case.may_still_be:
            self.unforeseen.append(case)


def subsets(values: tuple[str, ...], least: frozenset[str]) -> Iterator[frozenset[str]]:
    rest = [value for value in values if value not in least]
    for size in range(len(rest) + 1):
        yield from (least | set(chosen) for chosen in combinations(rest, size))


class Completions:
    """The unknowns of one question that answers can settle, and their possible answers."""

    def __init__(self, engine: Engine, book: Rulebook, question: Question) -> None:
        self.engine, self.book, self.question = engine, book, question
        noted: set[str] = set()
        values: dict[str, Known] = {}
        for path, value in question.values.items():
            values[path] = value
            if isinstance(value, Group):
                members = (Reads(dict(m), f"{path}[{n}].", noted) for n, m in enumerate(value.members))
                values[path] = Group(tuple(members), value.complete)
        watched = Reads(values, "", noted)
        self.answer = engine(book, watched, question.at, question.known, question.choices, {})
        self.days = self.thresholds()
        self.options: dict[str, list[Known]] = {}
        """The ways in which each unknown may turn out."""
        for path in sorted(noted):
            found = self.possible(path, self.now(path))
            if found is not None:
                self.options[path] = found
        for block in book.blocks:
            for node in (part for top in trees_of(block) for part in tree.parts_of(top)):
                if isinstance(node, tree.Open):
                    name = node.fact or f"human:{block.id}"
                    self.options[name] = [True, False] if node.fact else [MISSING, True, False]

    def now(self, path: str) -> Known:
        values = self.question.values
        if "[" not in path:
            return values.get(path, MISSING)
        role, _, rest = path.partition("[")
        number, _, name = rest.partition("].")
        group = values[role]
        assert isinstance(group, Group)
        return group.members[int(number)].get(name, MISSING)

    def thresholds(self) -> list[int]:
        """Days on both sides of every date that the rules compare with."""
        found: set[int] = set()
        for block in self.book.blocks:
            for node in (part for top in trees_of(block) for part in tree.parts_of(top)):
                if isinstance(node, tree.Compare) and isinstance(node.literal, str):
                    literal = days(node.literal)
                    found |= {literal.first - 1, literal.first, literal.last, literal.last + 1}
                if isinstance(node, tree.Elapsed):
                    local = self.question.at.astimezone(NEW_YORK).date()
                    day = local.replace(day=28, year=local.year - node.years).toordinal() + local.day - 28
                    found |= {day - 2, day - 1, day, day + 1, day + 2}
        return sorted(found) or [1]

    def possible(self, path: str, value: Known) -> list[Known] | None:
        """The values that an unknown may turn out to have; None if it is known."""
        if path.startswith("parties.") and "[" not in path:
            return self.possible_groups(value)
        one = TERMS.of_path(path)
        if one is None or path.endswith("resolved_red_flags"):
            return None
        if isinstance(value, Unknown):
            found = sorted(value.candidates) if value.candidates else self.every(one, value)
            return [*found, value] if value.cause not in ASKABLE else found
        if isinstance(value, Partial) or (isinstance(value, Statuses) and not value.complete):
            return self.every(one, value)
        if isinstance(value, Statuses):
            floor = max((entry.since.first for entry in value.entries), default=0)
            if not value.entries:
                return [*self.every(one, value), value]
            latest = sorted({entry.country for entry in value.entries if entry.since.last >= floor})
            return [held(country) for country in latest] if len(latest) > 1 else None
        if isinstance(value, Days) and value.first != value.last:
            return self.every(one, value)
        return None

    def every(self, one: TermSpec, value: Known) -> list[Known]:
        match one.type:
            case "bool":
                return [True, False]
            case "number":
                return list(range(-2, 5))
            case "date":
                known = value if isinstance(value, Days) else ANY_DAY
                ends = [known.first, known.last] if known != ANY_DAY else []
                within = [day for day in self.days if known.first <= day <= known.last]
                return [Days(day, day) for day in dict.fromkeys([*within, *ends])]
            case "set":
                least = value.members if isinstance(value, Partial) else frozenset[str]()
                return list(subsets(words(one), least))
            case "statuses":
                return [held(country) for country in words(one)]
            case _:
                return list(words(one))

    def possible_groups(self, value: Known) -> list[Known] | None:
        """Further members of a group that is not known to be complete."""
        if isinstance(value, Group) and value.complete:
            return None
        names = sorted(
            {
                term.name
                for block in self.book.of(Definition)
                for term in tree.terms_of(block.when)
                if term.entity == block.parameter and block.entity == "party"
            }
        )
        specs = [TERMS.of_path(f"parties.{ROLES[0]}[0].{name}") for name in names]
        ranges = [self.every(one, MISSING) for one in specs if one is not None]
        size = 1
        for each in ranges:
            size *= len(each)
        if size > MOST:
            return [Group((), True)] * (MOST + 1)
        members = [dict(zip(names, chosen, strict=True)) for chosen in product(*ranges)]
        extra: list[tuple[dict[str, Known], ...]] = [(), *((member,) for member in members)]
        if len(members) <= 8:
            extra += list(combinations(members, 2))
        found: list[Known] = [Group(chosen, True) for chosen in extra]
        return [*found, value] if isinstance(value, Unknown) and value.cause not in ASKABLE else found

    @property
    def askable(self) -> frozenset[str]:
        """What answers settle; the others may stay unknown."""
        human = {
            path
            for path in self.options
            if path.startswith("human:")
            or (isinstance(value := self.before(path), Unknown) and value.cause not in ASKABLE)
            or value == Statuses((), True)
        }
        return frozenset(self.options) - human

    def stays(self, path: str) -> int:
        """Which of the options is to stay unknown."""
        return 0 if path.startswith("human:") else len(self.options[path]) - 1

    def before(self, path: str) -> Known:
        return MISSING if path.startswith(("provision:", "human:")) else self.now(path)

    @property
    def count(self) -> int:
        size = 1
        for each in self.options.values():
            size *= len(each)
        return size

    def completed(self, chosen: dict[str, Known]) -> tuple[Rulebook, Question]:
        """The question with every unknown answered, and the rulebook with every provision looked at."""
        values, book = dict(self.question.values), self.book
        for path, value in chosen.items():
            if "[" in path:
                role, _, rest = path.partition("[")
                number, _, name = rest.partition("].")
                group = values[role]
                assert isinstance(group, Group)
                members = list(group.members)
                members[int(number)] = {**members[int(number)], name: value}
                values[role] = Group(tuple(members), group.complete)
            elif path.startswith(("provision:", "human:")):
                book = settled(book, path, value is True) if isinstance(value, bool) else book
            elif not isinstance(value, Group):
                values[path] = value
        for path, value in chosen.items():
            if isinstance(value, Group):
                before = values.get(path)
                values[path] = Group(
                    (before.members if isinstance(before, Group) else ()) + value.members, True
                )
        q = self.question
        return book, Question(values, q.at, q.known, q.choices, {})

    def case(self) -> Case:
        names = list(self.options)
        seen: dict[tuple[int, ...], str] = {}
        for picks in product(*(range(len(each)) for each in self.options.values())):
            chosen = {name: self.options[name][pick] for name, pick in zip(names, picks, strict=True)}
            seen[picks] = class_of(ask(self.engine, *self.completed(chosen)).outcome)
        needed = set()
        for place, name in enumerate(names):
            beside: dict[tuple[int, ...], set[str]] = defaultdict(set)
            for picks, kind in seen.items():
                beside[picks[:place] + picks[place + 1 :]].add(kind)
            if name in self.askable and any(len(kinds) > 1 for kinds in beside.values()):
                needed.add(name)
        human = {place: self.stays(name) for place, name in enumerate(names) if name not in self.askable}
        answered = {
            kind for picks, kind in seen.items() if all(picks[place] == stay for place, stay in human.items())
        }
        return Case(
            self.book,
            self.question,
            self.answer.outcome,
            frozenset(self.answer.asks),
            frozenset(self.answer.may_still_be),
            frozenset(needed),
            frozenset(seen.values()),
            frozenset(answered),
            len(seen),
        )


def words(one: TermSpec) -> tuple[str, ...]:
    """The texts that rules speak of, and one that none does."""
    kind = one.of if one.type == "set" else "country" if one.type == "statuses" else one.type
    known = ("CN", "DE", "FR", "IN") if kind == "country" else domain(one)
    return known if kind == "enum" else (*known, "ZZ")


def held(country: str) -> Statuses:
    return Statuses((Status(country, Days(1, 1)),), True)


def settled(book: Rulebook, fact: str, value: bool) -> Rulebook:
    """The rulebook with an open text settled: one provision, or what only a human can settle in a block."""

    def settle(block: AnyBlock) -> AnyBlock:
        def close(node: tree.Tree) -> tree.Tree:
            name = (node.fact or f"human:{block.id}") if isinstance(node, tree.Open) else None
            return tree.Const(value) if name == fact else node

        return mapped(block, close)

    return msgspec.structs.replace(book, blocks=tuple(settle(block) for block in book.blocks))


def cases(engine: Engine, seeds: range, pairs: int = 6) -> Iterator[Case]:
    """Cases of the seeds' rulebooks with something unknown and not too many ways in which it may turn out."""
    for seed in seeds:
        r = Random(seed)
        book = rulebook(r, PLAIN)
        for question in Views(r, book, plain=True).questions(pairs):
            found = Completions(engine, book, question)
            if found.options and found.count <= MOST:
                yield found.case()
