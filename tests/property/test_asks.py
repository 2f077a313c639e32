"""What is asked for, and what an answer promises, against every way in which the unknowns may turn out."""

import pytest
from tests.property.brute import Sum, cases

from carnet.engine import reference


@pytest.mark.parametrize("seeds", [range(110), range(110, 220)], ids=str)
def test_what_is_asked_and_promised_is_what_brute_force_finds(seeds: range) -> None:
    found = Sum()
    for case in cases(reference.answer, seeds):
        found.add(case)
    assert found.cases > 250
    assert found.with_asks > 20
    assert found.missed == []  # no fact that matters is left unasked
    assert found.exact >= 0.95 * found.cases  # nearly nothing is asked that does not matter
    assert found.allowed == []  # an open case is never a permission
    assert found.turned == []  # no answer turns a refusal into a permission
    assert found.unforeseen == []  # what may still come is named
