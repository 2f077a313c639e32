"""A smaller question on which two engines still differ: blocks, conditions, facts left out while they do."""

from collections.abc import Callable, Iterator

import msgspec
from tests.property.views import Question

from carnet.model.determination import Choices
from carnet.model.facts import Group
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

Differs = Callable[[Rulebook, Question], bool]
Pair = tuple[Rulebook, Question]


def shrink(differs: Differs, book: Rulebook, question: Question) -> Pair:
    """The smallest pair reached by leaving out one thing at a time."""
    pair, found = (book, question), True
    while found:
        found = False
        for smaller in smaller_than(*pair):
            if differs(*smaller):
                pair, found = smaller, True
                break
    return pair


def smaller_than(book: Rulebook, q: Question) -> Iterator[Pair]:
    replace = msgspec.structs.replace
    for number in range(len(book.blocks)):
        yield replace(book, blocks=book.blocks[:number] + book.blocks[number + 1 :]), q
    if q.stated:
        yield book, replace(q, stated={})
    if q.choices != Choices():
        yield book, replace(q, choices=Choices())
    for name, value in q.values.items():
        yield book, replace(q, values={key: other for key, other in q.values.items() if key != name})
        for group in groups(value):
            yield book, replace(q, values={**q.values, name: group})
    for number, block in enumerate(book.blocks):
        for simple in simpler(block):
            yield replace(book, blocks=(*book.blocks[:number], simple, *book.blocks[number + 1 :])), q


def groups(value: object) -> Iterator[Group]:
    if isinstance(value, Group):
        for number, member in enumerate(value.members):
            yield Group(value.members[:number] + value.members[number + 1 :], value.complete)
            for name in member:
                less = {key: other for key, other in member.items() if key != name}
                yield Group((*value.members[:number], less, *value.members[number + 1 :]), value.complete)


def simpler(block: blocks.AnyBlock) -> Iterator[blocks.AnyBlock]:
    replace = msgspec.structs.replace
    if isinstance(block, blocks.Scope):
        yield from (replace(block, subject=node) for node in below(block.subject))
        for number, act in enumerate(block.acts):
            rest = block.acts[:number], block.acts[number + 1 :]
            if len(block.acts) > 1:
                yield replace(block, acts=rest[0] + rest[1])
            yield from (
                replace(block, acts=(*rest[0], replace(act, when=w), *rest[1])) for w in below(act.when)
            )
    elif hasattr(block, "when"):
        yield from (replace(block, when=node) for node in below(block.when))
    if isinstance(block, blocks.Requirement) and len(block.reasons) > 1:
        yield replace(block, reasons=block.reasons[:1])
    if isinstance(block, blocks.List):
        for number in range(len(block.members)):
            yield replace(block, members=block.members[:number] + block.members[number + 1 :])


def below(node: tree.Tree) -> Iterator[tree.Tree]:
    """Simpler conditions than this one."""
    if not isinstance(node, tree.Const):
        yield tree.TRUE
        yield tree.FALSE
    match node:
        case tree.Not(part):
            yield part
            yield from (tree.Not(one) for one in below(part))
        case tree.And(parts) | tree.Or(parts):
            yield from parts
            for number, part in enumerate(parts):
                rest = parts[:number], parts[number + 1 :]
                if len(parts) > 1:
                    yield type(node)(rest[0] + rest[1])
                yield from (type(node)((*rest[0], one, *rest[1])) for one in below(part))
        case tree.Reading(axis, values):
            yield from (part for _, part in values)
            for number, (name, part) in enumerate(values):
                for one in below(part):
                    yield tree.Reading(axis, (*values[:number], (name, one), *values[number + 1 :]))
