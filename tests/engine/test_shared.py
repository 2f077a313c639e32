"""Equal conditions of a slice are one object, and nothing else is."""

from random import Random

from tests.property.books import rulebook
from tests.property.coverage import trees_of

from carnet.engine.shared import Shared
from carnet.rules import tree

ONE = tree.Holds(tree.Term("exporter", "insider"))
OTHER = tree.Holds(tree.Term("exporter", "knows"))


def again(node: tree.Tree) -> tree.Tree:
    """An equal condition that is another object."""
    match node:
        case tree.And(parts) | tree.Or(parts):
            return type(node)(tuple(map(again, parts)))
        case tree.Not(part) | tree.IsUnknown(part):
            return type(node)(again(part))
        case tree.Reading(axis, values):
            return tree.Reading(axis, tuple((name, again(part)) for name, part in values))
        case tree.Holds(tree.Term(entity, name)):
            return tree.Holds(tree.Term(entity, name))
        case _:
            return node


def test_equal_conditions_are_one_object_and_stay_what_they_were() -> None:
    for seed in range(20):
        shared = Shared()
        whole = [node for block in rulebook(Random(seed)).blocks for node in trees_of(block)]
        for node in whole:
            found = shared(node)
            assert found == node
            assert shared(again(node)) is shared(found) is found
        kept = shared.all()
        assert len(set(kept)) == len({id(node) for node in kept}) == len(kept)
        assert {part for node in whole for part in tree.parts_of(node)} == set(kept)


def test_the_parts_of_a_shared_condition_are_shared_and_come_before_it() -> None:
    shared = Shared()
    both = shared(tree.And((again(ONE), tree.Not(again(ONE)), tree.Or((again(OTHER), again(ONE))))))
    places = {id(node): place for place, node in enumerate(shared.all())}
    assert [*places][-1] == id(both)
    for part in tree.parts_of(both):
        assert places[id(part)] <= places[id(both)]
    assert len(places) == 5


def test_conditions_that_differ_only_in_kind_order_or_reading_are_not_one() -> None:
    shared = Shared()
    different = [
        tree.And((ONE, OTHER)),
        tree.And((OTHER, ONE)),
        tree.Or((ONE, OTHER)),
        tree.Not(ONE),
        tree.IsUnknown(ONE),
        tree.Reading("reach", (("wide", ONE), ("narrow", OTHER))),
        tree.Reading("reach", (("wide", OTHER), ("narrow", ONE))),
        tree.Reading("other", (("wide", ONE), ("narrow", OTHER))),
    ]
    assert len({id(shared(node)) for node in different}) == len(different)
