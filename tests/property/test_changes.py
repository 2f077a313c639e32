"""How an answer may change when more is known, and when the law is more or less."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from tests.property.books import rulebook
from tests.property.changes import (
    exception,
    prohibition,
    rank,
    refine,
    requirement,
    with_block,
    without_flags,
)
from tests.property.differential import ask
from tests.property.trees import Trees
from tests.property.views import Question, Views

from carnet.engine import reference
from carnet.model.determination import PERMITTED
from carnet.model.facts import Unknown
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

SEEDS = range(50_000, 50_250)


def pairs(salt: int, each: int = 4) -> Iterator[tuple[Random, Rulebook, Question]]:
    for seed in SEEDS:
        r = Random(seed * 10 + salt)
        book = rulebook(r)
        for question in Views(r, book).questions(each):
            yield r, book, question


def outcome(book: Rulebook, q: Question) -> int:
    return rank(ask(reference.answer, book, q))


def test_more_knowledge_never_turns_a_permission_into_a_refusal_or_back() -> None:
    steps = changed = 0
    for r, drawn, first in pairs(1):
        book, q = without_flags(drawn), msgspec.structs.replace(first, stated={})
        before = outcome(book, q)
        for _ in range(8):
            finer = refine(r, q)
            if finer is None:
                break
            after = outcome(book, finer)
            steps, changed = steps + 1, changed + (after != before)
            assert not (before == 0 and after != 0)
            assert not (before > 1 and after < before)
            q, before = finer, after
    assert steps > 4000
    assert changed > 20


def test_the_order_of_blocks_and_one_said_twice_do_not_matter() -> None:
    for r, book, q in pairs(2, 2):
        answer = ask(reference.answer, book, q)
        others = [block for block in book.blocks if not isinstance(block, blocks.Scope)]
        others += r.sample(others, min(3, len(others)))
        r.shuffle(others)
        mixed = msgspec.structs.replace(book, blocks=(*others, *book.of(blocks.Scope)))
        assert ask(reference.answer, mixed, q) == answer


def test_one_more_rule_never_relaxes() -> None:
    stricter = 0
    for r, book, drawn in pairs(3, 3):
        q = msgspec.structs.replace(drawn, stated={})
        scopes = (scope for scope in book.of(blocks.Scope) if scope.known <= q.known)
        if not any(scope.span.holds(q.at) != "no" for scope in scopes):
            continue  # where nothing says what is looked at, the first rule does
        when = Trees(r, 6).truth(act=False)
        new = r.choice((requirement, prohibition))("inv.zz", when)
        before, after = outcome(book, q), outcome(with_block(book, new), q)
        stricter += after > before
        assert after >= before
    assert stricter > 50


def test_one_rule_less_or_one_exception_more_never_restricts() -> None:
    for r, book, q in pairs(4, 3):
        for target in list(book.of(blocks.Requirement))[:1]:
            lifted = with_block(book, exception("inv.zz", blocks.Lift(target.id, None), Trees(r, 6).truth()))
            assert outcome(lifted, q) <= outcome(book, q)


def test_an_untranslatable_rule_never_allows() -> None:
    for _, book, q in pairs(5, 3):
        for block in book.of(blocks.Rule):
            never = msgspec.structs.replace(block, when=tree.And((block.when, tree.Open("untranslatable"))))
            if outcome(with_block(book, never), q) == 0:
                assert outcome(book, q) == 0


def test_an_untranslatable_exception_never_lifts() -> None:
    for _, book, q in pairs(6, 3):
        for block in book.of(blocks.Exception_):
            never = msgspec.structs.replace(block, when=tree.And((block.when, tree.Open("untranslatable"))))
            without = msgspec.structs.replace(block, when=tree.And((block.when, tree.FALSE)))
            if outcome(with_block(book, never), q) == 0:
                assert outcome(with_block(book, without), q) == 0


def test_a_requirement_with_two_reasons_and_an_exception_for_one_stays_open() -> None:
    for _, drawn, q in pairs(7, 2):
        kept = tuple(block for block in drawn.blocks if not isinstance(block, blocks.Bar))
        book = msgspec.structs.replace(drawn, blocks=kept)
        two = requirement("inv.zz", reasons=("NS", "RS"))
        one = exception("inv.zz.e", blocks.Lift("inv.zz", frozenset({"NS"})))
        assert outcome(with_block(book, two, one), q) >= 2
        both = exception("inv.zz.e", blocks.Lift("inv.zz", frozenset({"NS", "RS"})))
        if outcome(book, q) == 0:
            assert outcome(with_block(book, two, both), q) == (0 if q.choices.stale_after_days is None else 1)


@pytest.mark.parametrize(
    "path", ["item.operations", "recipient.nationalities", "recipient.hired", "recipient.statuses"]
)
def test_a_fact_of_the_wrong_type_never_allows(path: str) -> None:
    entity, _, name = path.partition(".")
    term = tree.Term(entity, name)
    node: dict[str, tree.Tree] = {
        "item.operations": tree.Compare(term, ">", 1),
        "recipient.nationalities": tree.Quantified("any", term, tree.Literals(frozenset({"FR"})), False),
        "recipient.hired": tree.Elapsed(term, 1),
        "recipient.statuses": tree.Equals(tree.MostRecent(term), "FR"),
    }
    for _, book, q in pairs(8, 1):
        lawful = with_block(book, requirement("inv.zz", node[path]))
        broken = msgspec.structs.replace(q, values={**q.values, path: "many"}, stated={})
        with pytest.raises((AssertionError, TypeError)):
            ask(reference.answer, lawful, broken)
        unclear = msgspec.structs.replace(q, values={**q.values, path: Unknown("unclear")}, stated={})
        assert ask(reference.answer, lawful, unclear).outcome not in PERMITTED
