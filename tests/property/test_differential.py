"""The fast engine against the specification: 20,000 pairs here, 1,000,000 in `make nightly`."""

import pytest
from tests.property.differential import run

from carnet.engine import decide, reference


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_the_fast_engine_answers_as_the_specification_does(first: int) -> None:
    tally = run(reference.answer, decide.answer, range(first, first + 25))
    assert tally.differences == []
    assert tally.pairs == 2500


@pytest.mark.parametrize("seed", [1_003_943, 1_006_240])
def test_rulebooks_that_once_told_the_engines_apart(seed: int) -> None:
    assert run(reference.answer, decide.answer, [seed]).differences == []
