"""What a case may expect beside the answer: acts, conditions, review, marks, tasks and humans. The answer
itself is in `carnet.engine.reference`."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from carnet.engine import reference
from carnet.engine.naive import World
from carnet.model.determination import Answer, Choices
from carnet.model.facts import Unknown, Values
from carnet.rules import blocks
from carnet.rules.rulebook import Rulebook
from carnet.rules.syntax import ENTITIES, Names, parse


class Facets(Struct, frozen=True):
    """A case's facts, read naively under the choices that it makes; an axis that it does not choose stays
    unknown."""

    KEYS: ClassVar = ("acts", "holds", "fails", "unknown", "review", "marks", "tasks")

    world: World

    @classmethod
    def of(cls, rulebook: Rulebook, values: Values, case: blocks.Case) -> "Facets":
        choices = Choices(readings=case.choices)
        return cls(World(rulebook, values, case.at, case.known, choices, case.choices))

    def differences(self, expect: Mapping[str, object], answer: Answer) -> list[str]:
        """What differs from the facets that the case expects. Raises SyntaxProblem for a bad condition."""
        found: list[str] = []
        for key, want in (("holds", "true"), ("fails", "false"), ("unknown", "unknown")):
            for text in _texts(expect.get(key)):
                got = self.truth(text)
                if got != want:
                    found.append(f"`{key}`: expected `{text}` to be {want}, got {got}")
        for key, listed in (
            ("acts", self.acts),
            ("review", lambda: self.review(answer)),
            ("marks", lambda: self.marks(answer)),
            ("tasks", self.tasks),
        ):
            if key in expect and sorted(_texts(expect[key])) != sorted(got_list := listed()):
                wanted = ", ".join(f"`{text}`" for text in _texts(expect[key]))
                found.append(f"`{key}`: expected [{wanted}], got [{', '.join(f'`{t}`' for t in got_list)}]")
        return found

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

    def review(self, answer: Answer) -> list[str]:
        """The policies under which an application would be reviewed, for what is surely open."""
        found = []
        for rule in self.opened(answer):
            for review in rule.review:
                if not self.world.read(review.when).false and review.policy not in found:
                    found.append(review.policy)
        return found

    def opened(self, answer: Answer) -> list[blocks.Requirement]:
        keys = {key.partition("#")[0] for key in answer.certain if not key.startswith(("flag:", "gap"))}
        return [rule for rule in self.world.visible(blocks.Requirement) if rule.id in keys]

    def marks(self, answer: Answer) -> list[str]:
        """Announcements that what is open is not enforced."""
        opened = {rule.id for rule in self.opened(answer)}
        over = (
            overlay
            for overlay in self.world.visible(blocks.Overlay)
            if overlay.kind == "not_enforced" and overlay.target in opened
        )
        held = [overlay for overlay in over if overlay.span.holds(self.world.at) == "yes"]
        return ["announced_not_enforced"] if held else []

    def tasks(self) -> list[str]:
        """The keys of what is to be done for the license exceptions and authorizations that surely lift."""
        found: set[str] = set()
        acts = reference.acts_of(self.world)
        for rule in self.world.visible(blocks.Requirement):
            for _, there, gate in reference.placed(self.world, acts, rule):
                applies = gate.false or there.effective(rule, rule.when).false
                able = [e for e in there.visible(blocks.Exception_) if not applies and _lifts(rule, e)]
                using = [e for e in able if reference.lifting(there, e).true]
                mildest = min((reference.BURDEN.index(e.class_) for e in using), default=None)
                for exception in using:
                    if reference.BURDEN.index(exception.class_) == mildest:
                        found.update(task.key for task in exception.tasks)
        return sorted(found)


def _lifts(rule: blocks.Requirement, exception: blocks.Exception_) -> bool:
    return any(reference.lifts(rule, reason, exception) for reason in rule.reasons)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
