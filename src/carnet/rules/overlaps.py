"""What may not stand twice at one instant: rows of a list, lists that prevail over one, versions of a
definition, overlays on one target. Names that do not exist are told in `carnet.rules.check`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations

from carnet.model.errors import Problem
from carnet.model.near import nearest
from carnet.model.time import Span
from carnet.rules import blocks
from carnet.rules.names import COUNTRIES, is_lost
from carnet.rules.rulebook import B

Rank = Mapping[str, int]
"""The number of the shelf that a file is from: of two blocks that clash, the one added later is to change."""


def at(block: blocks.AnyBlock, message: str) -> Problem:
    """A problem of a block, where it stands."""
    return Problem(block.file, block.line, message)


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share an instant."""
    return (one.end is None or other.start.earliest < one.end.latest) and (
        other.end is None or one.start.earliest < other.end.latest
    )


def in_order(one: B, other: B, rank: Rank) -> tuple[B, B]:
    """The one that was there first, and the one added later."""
    first, second = sorted((one, other), key=lambda block: (rank[block.file], block.file, block.line))
    return first, second


def rows(block: blocks.List, ids: Mapping[str, blocks.AnyBlock], lost: Collection[str]) -> Iterator[Problem]:
    """Rows of a list that overlap or lie outside its domain, countries that are none, and what is wrong with
    what it prevails over."""
    by_id: dict[str, list[blocks.Member]] = {}
    for row in block.members:
        by_id.setdefault(row.id, []).append(row)
        if block.domain is not None and row.id not in block.domain:
            yield at(
                block, f"`{row.id}` is outside the domain of `{block.id}`{nearest(row.id, block.domain)}"
            )
    for name, dated in by_id.items():
        if any(overlap(one.span, other.span) for one, other in combinations(dated, 2)):
            yield at(
                block, f"`{name}` stands in `{block.id}` twice at once: end one row where the other begins"
            )
    world = ids.get(COUNTRIES)
    if isinstance(world, blocks.List) and block.type == "country":
        for name in sorted(by_id.keys() - {row.id for row in world.members}):
            yield at(
                block, f"`{name}` in `{block.id}` is not a country that there is: correct its two letters"
            )
    if block.prevails is None:
        return
    below = ids.get(block.prevails)
    if not isinstance(below, blocks.List):
        if not is_lost(block.prevails, lost):
            yield at(
                block, f"prevails over `{block.prevails}`, which is no list{nearest(block.prevails, ids)}"
            )
    elif below.type != block.type:
        what = f"`{block.id}` is a list of `{block.type}` and can't prevail over one of `{below.type}`"
        yield at(block, f"{what}: name another list than `{below.id}`")


def rivals(found: Iterable[blocks.List], rank: Rank) -> Iterator[Problem]:
    """Lists that prevail over one list at one time."""
    for pair in combinations([block for block in found if block.prevails is not None], 2):
        one, other = in_order(*pair, rank)
        if one.prevails == other.prevails and overlap(one.content, other.content):
            yield at(
                other,
                f"`{one.id}` and `{other.id}` both prevail over `{one.prevails}` with no priority: keep one",
            )


def versions(found: Iterable[blocks.Definition], rank: Rank) -> Iterator[Problem]:
    """Definitions of one name that are about two things, or hold at one time."""
    by_name: dict[str, list[blocks.Definition]] = {}
    for block in found:
        by_name.setdefault(block.name, []).append(block)
        if any(
            edge.earliest != edge.latest for edge in (block.span.start, block.span.end) if edge is not None
        ):
            yield at(
                block,
                f"definition `{block.name}` begins or ends in a window: a definition needs exact instants",
            )
    for name, same in by_name.items():
        for pair in combinations(same, 2):
            one, other = in_order(*pair, rank)
            where = f"`{one.file}:{one.line}`"
            if one.entity != other.entity:
                yield at(other, f"`{name}` is about a `{one.entity}` at {where}: keep one kind of entity")
            elif overlap(one.span, other.span):
                yield at(
                    other,
                    f"conflicting definitions of `{name}` (also {where}): end one where the other begins",
                )


def overlays(found: Iterable[blocks.Overlay], rank: Rank) -> Iterator[Problem]:
    """Overlays of one kind on one target at one time; stays are a union, and products may lie apart. What is
    made of an overlay for the flag of its target is not told again."""
    told: set[str] = set()
    for pair in combinations([block for block in found if not block.id.endswith("#bound")], 2):
        one, other = in_order(*pair, rank)
        if one.target != other.target or one.kind != other.kind or one.kind == "stay" or other.id in told:
            continue
        apart = one.products and other.products and not one.products & other.products
        if overlap(one.span, other.span) and not apart:
            told.add(other.id)
            yield at(
                other,
                f"conflicting overlays on `{one.target}` with no priority (also `{one.id}`):"
                " end one where the other begins",
            )
