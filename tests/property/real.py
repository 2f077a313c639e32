"""Questions for a rulebook that was not generated, such as the shipped law: facts drawn from what its own
rules and lists speak of."""

import datetime as dt
from collections.abc import Iterator
from random import Random

from msgspec import structs
from tests.property.coverage import trees_of
from tests.property.views import ASKED, HUMAN, Question

from carnet.model.determination import Choices
from carnet.model.facts import Group, Known, Partial, Status, Statuses, Unknown
from carnet.model.time import Days, days
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import change_instants
from carnet.rules.terms import TermSpec

LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


class RealViews:
    """Questions for one rulebook."""

    def __init__(self, r: Random, book: Rulebook) -> None:
        self.r, self.book = r, book
        self.texts: dict[str, set[str]] = {"country": {"DE"}, "id": {"somebody"}}
        self.own: dict[str, set[str]] = {}
        """By declared path: the texts that rules compare this very word with."""
        self.numbers: set[int] = {0, 1}
        self.dates: set[int] = {days("2025-01-01").first}
        self.axes: dict[str, set[str]] = {}
        self.members: dict[str, set[str]] = {}
        for block in book.of(blocks.List):
            self.members[block.id] = {row.id for row in block.members}
            self.texts.setdefault(block.type, set()).update(row.id for row in block.members)
        for node in (part for block in book.blocks for top in trees_of(block) for part in tree.parts_of(top)):
            self.note(node)
        self.instants = change_instants(book, LATE)
        names: dict[str, TermSpec] = {}
        for spec in book.terms.specs.values():
            entity, _, name = spec.path.partition(".")
            for place in ("recipient", "exporter") if entity == "party" else (entity,):
                names.setdefault(f"{place}.{name}", book.terms.find(place, name) or spec)
        self.words = tuple(names.items())
        self.party = tuple(
            (spec.path.partition(".")[2], spec)
            for spec in book.terms.specs.values()
            if spec.path.startswith("party.")
        )

    def note(self, node: tree.Tree) -> None:
        if isinstance(node, tree.Reading):
            self.axes.setdefault(node.axis, set()).update(name for name, _ in node.values)
        if isinstance(node, tree.Compare):
            if isinstance(node.literal, int):
                self.numbers.update((node.literal - 1, node.literal, node.literal + 1))
            else:
                literal = days(node.literal)
                self.dates.update((literal.first - 1, literal.first, literal.last, literal.last + 1))
        value = getattr(node, "value", None) or getattr(node, "term", None)
        found = (
            self.book.terms.of_path(f"{value.entity}.{value.name}") if isinstance(value, tree.Term) else None
        )
        kind = (found.of if found.type == "set" else found.type) if found else None
        if found is not None and kind in ("country", "id"):
            members = getattr(node, "members", None)
            texts = set(members.members) if isinstance(members, tree.Literals) else set[str]()
            texts |= self.members.get(members.id, set()) if isinstance(members, tree.ListRef) else set()
            texts |= (
                {node.literal} if isinstance(node, tree.Equals) and isinstance(node.literal, str) else set()
            )
            self.texts[kind].update(texts)
            self.own.setdefault(found.path, set()).update(texts)

    def domain(self, one: TermSpec) -> list[str]:
        kind = one.of if one.type == "set" else one.type
        if kind == "enum":
            return sorted(one.values)
        own = self.own.get(one.path)
        return sorted(own) if own and self.r.random() < 0.8 else sorted(self.texts[kind or "id"])

    def value(self, one: TermSpec, at: dt.datetime) -> Known:
        r = self.r
        match one.type:
            case "bool":
                return r.random() < 0.5
            case "number":
                return r.choice(sorted(self.numbers))
            case "date":
                day = r.choice((*sorted(self.dates), at.toordinal() - r.choice((364, 365, 366, 30))))
                return Days(day, day + r.choice((0, 0, 0, 30)))
            case "set":
                values = self.domain(one)
                return frozenset(r.sample(values, min(len(values), r.choice((0, 1, 1, 2)))))
            case "statuses":
                countries = sorted(self.texts["country"])
                chosen = r.sample(countries, min(len(countries), r.choice((0, 1, 1, 2))))
                since = [r.choice(sorted(self.dates)) + r.randrange(900) for _ in chosen]
                days_of = [Days(day, day + r.choice((0, 400))) for day in since]
                return Statuses(tuple(map(Status, chosen, days_of)), r.random() < 0.8)
            case _:
                return r.choice(self.domain(one))

    def unknown(self, one: TermSpec, human: float) -> Known:
        r = self.r
        cause = r.choice(HUMAN if r.random() < human else ASKED)
        values = self.domain(one) if one.type in ("enum", "id", "country", "set") else []
        if one.type == "set" and r.random() < 0.5:
            return Partial(frozenset(r.sample(values, min(1, len(values)))))
        if one.type != "set" and len(values) > 1 and r.random() < 0.3:
            return Unknown(cause, frozenset(r.sample(values, 2)))
        return Unknown(cause)

    def facts(
        self, words: tuple[tuple[str, TermSpec], ...], known: float, human: float, at: dt.datetime
    ) -> dict[str, Known]:
        r = self.r
        found: dict[str, Known] = {}
        for name, one in words:
            if r.random() < known:
                found[name] = self.value(one, at)
            elif r.random() < 0.4:
                found[name] = self.unknown(one, human)
        return found

    def questions(self, count: int, alike: int = 4) -> Iterator[Question]:
        """So many questions, each few of them under the same slice: one takes half a second to compile."""
        for number in range(count):
            drawn = self.question()
            if number % alike == 0:
                first = drawn
            yield structs.replace(drawn, at=first.at, known=first.known, choices=first.choices)

    def question(self) -> Question:
        r = self.r
        known, human = r.choice((1.0, 0.95, 0.8, 0.5)), r.choice((0.0, 0.0, 0.3))
        at = r.choice(self.instants) + dt.timedelta(seconds=r.choice((-1, 0, 1, 86400 * 9)))
        values = self.facts(self.words, known, human, at)
        for role in self.book.terms.roles:
            if r.random() < max(known, 0.6):
                members = tuple(
                    self.facts(self.party, known, human, at) for _ in range(r.choice((0, 1, 1, 2)))
                )
                values[f"parties.{role}"] = Group(members, r.random() < max(known, 0.6))
        stated = self.facts(self.words, 0.3, 0.0, at) if r.random() < 0.2 else {}
        readings = {
            axis: r.choice(sorted(names)) for axis, names in sorted(self.axes.items()) if r.random() < 0.4
        }
        limit = r.choice((None, None, None, 30))
        return Question(
            values, at, r.choice((at, at, LATE)), Choices(readings=readings, stale_after_days=limit), stated
        )
