from collections import Counter
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.books import rulebook
from tests.property.coverage import rare
from tests.property.differential import ask, drawn, run
from tests.property.views import Views
from tests.property.words import TERMS

from carnet.engine import reference
from carnet.rules.check import between


def test_a_seed_always_draws_the_same_rulebook_and_questions() -> None:
    assert [drawn(seed, 5) for seed in range(20)] == [drawn(seed, 5) for seed in range(20)]
    assert len({str(drawn(seed, 1)) for seed in range(50)}) == 50


def test_every_generated_rulebook_is_legal() -> None:
    problems: Counter[str] = Counter()
    for seed in range(1000):
        found = rulebook(Random(seed)).blocks
        rank = dict.fromkeys((block.file for block in found), 0)
        problems.update(problem.message for problem in between(found, TERMS, (), rank))
    assert not problems


def test_every_kind_of_node_block_and_outcome_is_in_a_hundredth_of_the_pairs() -> None:
    tally = run(reference.answer, reference.answer, range(10_000, 10_600), 5)
    assert tally.pairs == 3000
    assert rare(tally.counts, tally.pairs) == {}
    assert tally.counts["by_reading"] > 0.01 * tally.pairs
    assert tally.counts["stated"] > 0


def test_a_difference_is_noticed() -> None:
    def wrong(*given: object) -> object:
        answer = reference.answer(*given)
        return None if answer.outcome == "license_required" else answer

    assert len(run(reference.answer, wrong, range(100), 20).differences) == 5


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_hypothesis_can_drive_the_generator(r: Random) -> None:
    book = rulebook(r)
    (question,) = Views(r, book).questions(1)
    assert ask(reference.answer, book, question).outcome
