"""What a case may expect beside the answer: acts and conditions, read naively, and what a determination
carries. The answer itself is in `carnet.engine.reference`."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from msgspec import Struct

from carnet.engine import reference
from carnet.engine.compiled import compiled
from carnet.engine.findings import Report
from carnet.engine.naive import World
from carnet.model.determination import Choices, Determination
from carnet.model.facts import Unknown, Values
from carnet.model.view import View
from carnet.rules import blocks
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import slice_at
from carnet.rules.syntax import ENTITIES, Names, parse


class Facets(Struct, frozen=True):
    """A case's facts, read naively under the choices that it makes; an axis that it does not choose stays
    unknown."""

    KEYS: ClassVar = ("acts", "holds", "fails", "unknown", "review", "marks", "tasks", "humans")

    world: World
    stated: Values

    @classmethod
    def of(cls, rulebook: Rulebook, values: Values, stated: Values, case: blocks.Case) -> "Facets":
        choices = Choices(readings=case.choices)
        return cls(World(rulebook, values, case.at, case.known, choices, case.choices), stated)

    def differences(self, expect: Mapping[str, object]) -> list[str]:
        """What differs from the facets that the case expects. Raises SyntaxProblem for a bad condition."""
        found: list[str] = []
        for key, want in (("holds", "true"), ("fails", "false"), ("unknown", "unknown")):
            for text in _texts(expect.get(key)):
                truth = self.truth(text)
                if truth != want:
                    found.append(f"`{key}`: expected `{text}` to be {want}, got {truth}")
        if "acts" in expect:
            found += _listed("acts", expect["acts"], self.acts())
        if {"review", "marks", "tasks", "humans"} & set(expect):
            of = self.determination()
            for key, got in (
                ("review", of.review),
                ("marks", of.marks),
                ("tasks", tuple(task.key for task in of.tasks)),
                ("humans", tuple(human.cause for human in of.humans)),
            ):
                if key in expect:
                    found += _listed(key, expect[key], got)
        return found

    def determination(self) -> Determination:
        """The determination of the case's facts."""
        world = self.world
        seen = View(values=world.values, stated=self.stated, held={}, until=None, edges={})
        engine = compiled(slice_at(world.book, world.at, world.known, world.choices))
        return Report(engine, seen, world.at, world.known, world.choices).determination()

    def truth(self, text: str) -> str:
        """The truth of a condition written in the case."""
        book = self.world.book
        names = Names(
            {block.name: block.entity for block in book.of(blocks.Definition)},
            {block.id: block.type for block in book.of(blocks.List)},
        )
        value = self.world.read(parse(text, terms=book.terms, scope=ENTITIES, names=names))
        return "true" if value.true else "false" if value.false else "unknown"

    def acts(self) -> list[str]:
        """The acts that are not known false: `reexport CN deemed`."""
        found = []
        for act in reference.acts_of(self.world):
            if act.value.false:
                continue
            words: list[str] = [act.act.kind]
            if act.act.destination is not None:
                _, destination = self.world.fact(act.act.destination)
                words.append("?" if isinstance(destination, Unknown) else str(destination))
            found.append(" ".join([*words, *(["deemed"] if act.act.deemed else [])]))
        return sorted(set(found))


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _listed(key: str, expected: object, got: Iterable[str]) -> list[str]:
    """A list, in any order and without repetition."""
    wanted, found = sorted(set(_texts(expected))), sorted(set(got))
    if wanted == found:
        return []
    shown = [", ".join(f"`{text}`" for text in texts) for texts in (wanted, found)]
    return [f"`{key}`: expected [{shown[0]}], got [{shown[1]}]"]
