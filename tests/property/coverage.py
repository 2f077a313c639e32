"""Which kinds of node, block and outcome generated pairs reach."""

import typing
from collections import Counter
from collections.abc import Iterator

from carnet.model.determination import Outcome
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

NODES = tuple(
    kind.__name__ for kind in (*typing.get_args(tree.Tree), tree.MostRecent, tree.ListRef, tree.Literals)
)
BLOCKS = (
    *("Scope", "Coverage", "Definition", "Requirement", "Prohibition", "Bar", "RedFlag", "List"),
    *(f"Exception_ {kind}" for kind in typing.get_args(blocks.ExceptionClass)),
    *(f"Overlay {kind}" for kind in typing.get_args(blocks.OverlayKind)),
    *(
        "RedFlag defeats",
        "RedFlag bound",
        "List prevails",
        "List domain",
        "Overlay products",
        "Overlay member",
    ),
)
OUTCOMES = typing.get_args(Outcome)
EVERY = (*NODES, *BLOCKS, *OUTCOMES)


def trees_of(block: blocks.AnyBlock) -> Iterator[tree.Tree]:
    """Every condition of a block that bears on the answer."""
    if isinstance(block, blocks.Scope):
        yield block.subject
        yield from (act.when for act in block.acts)
    elif hasattr(block, "when"):
        yield block.when


def kinds_of(book: Rulebook) -> frozenset[str]:
    """The kinds of node and block of a rulebook."""
    found: set[str] = set()
    for block in book.blocks:
        found.update(_kinds_of(block))
        for node in (part for top in trees_of(block) for part in tree.parts_of(top)):
            found.add(type(node).__name__)
            for name in ("value", "left", "right", "members"):
                inner = getattr(node, name, None)
                if isinstance(inner, tree.MostRecent | tree.ListRef | tree.Literals):
                    found.add(type(inner).__name__)
    return frozenset(found)


def _kinds_of(block: blocks.AnyBlock) -> Iterator[str]:
    name = type(block).__name__
    match block:
        case blocks.Exception_():
            yield f"{name} {block.class_}"
        case blocks.Overlay():
            yield f"{name} {block.kind}"
            yield from ["Overlay products"] * bool(block.products) + ["Overlay member"] * (
                "#" in block.target
            )
        case blocks.RedFlag():
            yield name
            yield from ["RedFlag defeats"] * bool(block.defeats) + ["RedFlag bound"] * block.open_when_unknown
        case blocks.List():
            yield name
            yield from ["List prevails"] * bool(block.prevails) + ["List domain"] * (block.domain is not None)
        case _:
            yield name


def rare(counts: Counter[str], pairs: int, least: float = 0.01) -> dict[str, int]:
    """The kinds that fewer than that part of the pairs reach."""
    return {kind: counts[kind] for kind in EVERY if counts[kind] < least * pairs}
