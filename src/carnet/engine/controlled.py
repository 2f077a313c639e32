"""Whether an item is a controlled one for an event: computed from the rules in force, never listed by hand.
What the door then does is the policy's."""

import datetime as dt

from carnet.engine import reference
from carnet.engine.naive import FALSE, HUMAN, TRUE, Kleene, World, every
from carnet.model.determination import Choices
from carnet.model.facts import Known, Unknown, Values
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook


class _ItemOnly(World, frozen=True):
    """A world that knows the item and the event and nothing else; a text with several readings is as open as
    its readings together."""

    def read(self, node: tree.Tree) -> Kleene:
        """The truth of a condition."""
        if isinstance(node, tree.Reading) and node.axis not in self.readings:
            parts = [self.read(part) for _, part in node.values]
            if all(part.false for part in parts):
                return FALSE
            return TRUE if all(part.true for part in parts) else HUMAN
        return super().read(node)


def is_controlled(
    rulebook: Rulebook, values: Values, at: dt.datetime, known: dt.datetime, choices: Choices
) -> bool:
    """Whether some rule in force reads a fact of the item and does not leave the item out, whoever takes part
    (docs/explanation/decision.md, "Controlled items"). Rules about parties, places and end uses alone do not
    count."""
    facts: dict[str, Known] = {
        path: Unknown("unclear") for path, spec in rulebook.terms.specs.items() if spec.presumption
    }
    facts |= {path: value for path, value in values.items() if path.startswith("item.")}
    if "transaction.event" in values:
        facts["transaction.event"] = values["transaction.event"]
    world = _ItemOnly(rulebook, facts, at, known, choices, choices.readings)
    definitions = {block.name: block.when for block in world.visible(blocks.Definition)}
    acts = reference.acts_of(world)
    for rule in world.visible(blocks.Rule):
        if rule.span.holds(at) == "no" or not _reads_item(rule.when, definitions, frozenset()):
            continue
        for _, there, gate in reference.placed(world, acts, rule):
            if not every((gate, there.effective(rule, rule.when))).false:
                return True
    return False


def _reads_item(node: tree.Tree, definitions: dict[str, tree.Tree], seen: frozenset[str]) -> bool:
    """Whether a condition, with the definitions that it calls, reads a fact of the item."""
    if tree.speaks_of(node, "item"):
        return True
    for part in tree.parts_of(node):
        if isinstance(part, tree.Call) and part.entity == "item":
            return True
        if isinstance(part, tree.Call | tree.Parties) and part.definition not in seen:
            called = definitions.get(part.definition)
            if called is not None and _reads_item(called, definitions, seen | {part.definition}):
                return True
    return False
