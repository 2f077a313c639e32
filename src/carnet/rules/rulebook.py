"""A rulebook: every block of every shelf, with the words and one digest. How it is resolved for an
instant is in `carnet.rules.slices`."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

from msgspec import Struct

from carnet.rules.blocks import (
    AnyBlock,
    Bar,
    Block,
    Case,
    Definition,
    Exception_,
    Prohibition,
    RedFlag,
    Requirement,
    Scope,
)
from carnet.rules.terms import Terms
from carnet.rules.tree import Tree

B = TypeVar("B", bound=Block)


def conditions_of(block: Block) -> Iterator[Tree]:
    """The conditions that a block states."""
    if isinstance(block, Scope):
        yield block.subject
        yield from (act.when for act in block.acts)
    elif isinstance(block, Definition | Requirement | Prohibition | Exception_ | Bar | RedFlag):
        yield block.when


class Page(Struct, frozen=True):
    """The words around the blocks of one provision file."""

    file: str
    title: str
    source: str
    prose: str


class Rulebook(Struct, frozen=True, kw_only=True, dict=True):
    """The union of the shelves. `digest` is over the canonical form (`carnet.rules.bundle`)."""

    blocks: tuple[AnyBlock, ...]
    terms: Terms
    cases: tuple[Case, ...] = ()
    pages: Mapping[str, Page] = {}
    digest: str = ""

    @cached_property
    def kept(self) -> dict[type, Any]:
        """What others have worked out from it and may want again. It goes when the rulebook goes."""
        return {}

    def trees(self) -> Iterator[Tree]:
        """Every condition in it."""
        return (condition for block in self.blocks for condition in conditions_of(block))

    def of(self, kind: type[B]) -> Iterator[B]:
        """The blocks of one kind, in order of id."""
        found = self.kept.get(kind)
        if found is None:
            found = tuple(block for block in self.blocks if isinstance(block, kind))
            self.kept[kind] = found
        return iter(cast(tuple[B, ...], found))
