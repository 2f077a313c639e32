"""Between two change instants the law stands still, and so does the answer, dates that pass apart."""

import datetime as dt
from itertools import pairwise
from random import Random

import msgspec
from tests.property.books import rulebook
from tests.property.differential import ask
from tests.property.rewrite import mapped
from tests.property.views import Views

from carnet.engine import decide, reference
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import change_instants

TICK = dt.timedelta(microseconds=1)


def without_dates_that_pass(book: Rulebook) -> Rulebook:
    def still(node: tree.Tree) -> tree.Tree:
        return tree.Const(True) if isinstance(node, tree.Elapsed) else node

    return msgspec.structs.replace(book, blocks=tuple(mapped(block, still) for block in book.blocks))


def test_the_answer_is_constant_inside_a_slice() -> None:
    compared = changed = 0
    for seed in range(80_000, 80_300):
        r = Random(seed)
        book = without_dates_that_pass(rulebook(r))
        for question in Views(r, book).questions(3):
            instants = change_instants(book, question.known, question.choices)
            before = None
            for start, end in pairwise(instants):
                inside = [start, end - TICK, start + (end - start) * r.random()]
                found = {
                    repr(ask(reference.answer, book, msgspec.structs.replace(question, at=at)))
                    for at in inside
                }
                assert len(found) == 1
                compared += 1
                changed += before is not None and found != before
                before = found
    assert compared > 3000
    assert changed > 200


def test_the_fast_engine_changes_at_the_same_instants() -> None:
    for seed in range(81_000, 81_150):
        r = Random(seed)
        book = rulebook(r)
        (question,) = Views(r, book).questions(1)
        edges = {edge for block in book.blocks for edge in (*block.span.edges(), block.known)}
        edges |= {edge for block in book.of(blocks.List) for edge in block.content.edges()}
        for edge in sorted(edges):
            for at in (edge - TICK, edge):
                for known in (question.known, at):
                    moved = msgspec.structs.replace(question, at=at, known=known)
                    assert ask(decide.answer, book, moved) == ask(reference.answer, book, moved)
