"""Rulebooks changed in one place: conditions mapped, blocks added or taken out."""

from collections.abc import Callable

import msgspec

from carnet.rules import blocks, tree

Change = Callable[[tree.Tree], tree.Tree]


def mapped_tree(node: tree.Tree, change: Change) -> tree.Tree:
    """The condition with every node changed, from below."""
    match node:
        case tree.Not(part):
            node = tree.Not(mapped_tree(part, change))
        case tree.IsUnknown(part):
            node = tree.IsUnknown(mapped_tree(part, change))
        case tree.And(parts):
            node = tree.And(tuple(mapped_tree(part, change) for part in parts))
        case tree.Or(parts):
            node = tree.Or(tuple(mapped_tree(part, change) for part in parts))
        case tree.Reading(axis, values):
            node = tree.Reading(axis, tuple((name, mapped_tree(part, change)) for name, part in values))
        case _:
            pass
    return change(node)


def mapped(block: blocks.AnyBlock, change: Change) -> blocks.AnyBlock:
    """The block with every condition changed."""
    replace = msgspec.structs.replace
    if isinstance(block, blocks.Scope):
        acts = tuple(replace(act, when=mapped_tree(act.when, change)) for act in block.acts)
        return replace(block, subject=mapped_tree(block.subject, change), acts=acts)
    if isinstance(block, blocks.Coverage | blocks.Overlay | blocks.List):
        return block
    return replace(block, when=mapped_tree(block.when, change))
