"""What several facts come to together: what all of them allow, and a conflict if that is nothing."""

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.model.facts import Partial, Status, Statuses, Unknown
from carnet.model.merge import CONFLICT, either, merged
from carnet.model.time import Days, days

COUNTRIES = ("CA", "FR", "IN")
SETS = [frozenset(each) for size in range(4) for each in combinations(COUNTRIES, size)]
TEXTS = st.sampled_from(COUNTRIES) | st.sampled_from(
    [Unknown("missing", each) for each in SETS if len(each) > 1]
)
DATES = st.builds(lambda first, more: Days(first, first + more), st.integers(1, 6), st.integers(0, 4))
MEMBERS = st.sampled_from(SETS) | st.sampled_from(SETS).map(Partial)


def worlds_of_text(fact):
    return fact.candidates if isinstance(fact, Unknown) else {fact}


def worlds_of_date(fact):
    return set(range(fact.first, fact.last + 1))


def worlds_of_set(fact):
    return {each for each in SETS if fact.members <= each} if isinstance(fact, Partial) else {fact}


@pytest.mark.parametrize(
    ("facts", "worlds"), [(TEXTS, worlds_of_text), (DATES, worlds_of_date), (MEMBERS, worlds_of_set)]
)
def test_together_they_allow_what_each_allows(facts, worlds):
    @given(st.lists(facts, min_size=1, max_size=4))
    def holds(several):
        common = set.intersection(*(set(worlds(fact)) for fact in several))
        result = merged(several)
        assert (result == CONFLICT) == (not common)
        if common:
            assert set(worlds(result)) == common

    holds()


@given(st.lists(TEXTS | DATES | MEMBERS | st.booleans() | st.integers(0, 3), min_size=1, max_size=3))
def test_the_order_of_facts_does_not_matter(several):
    results = [merged(list(each)) for each in permutations(several)]
    assert all(result == results[0] and type(result) is type(results[0]) for result in results)


def test_no_facts_come_to_nothing():
    with pytest.raises(ValueError, match="no facts"):
        merged([])


def test_a_boolean_is_not_a_number():
    assert merged([True, 1]) == CONFLICT
    assert merged([True, True]) is True


@pytest.mark.parametrize("cause", ["conflict", "unclear"])
def test_what_a_human_has_to_settle_stays_so(cause):
    assert merged(["FR", Unknown(cause)]) == merged([Unknown(cause), "FR"]) == Unknown(cause)


def test_a_source_that_knows_nothing_takes_nothing_away():
    assert merged(["FR", Unknown("missing")]) == merged([Unknown("stale"), "FR"]) == "FR"


def statuses(*entries, complete=True):
    return Statuses(tuple(Status(country, days(since)) for country, since in entries), complete)


def test_statuses_are_compared_country_by_country():
    french, indian = ("FR", "1990"), ("IN", "2001")
    exact = ("FR", "1990-05")
    assert merged([statuses(french), statuses(exact)]) == statuses(exact)
    assert merged([statuses(french), statuses(("FR", "1991"))]) == CONFLICT
    assert merged([statuses(("FR", "1990-05-02")), statuses(exact)]) == statuses(("FR", "1990-05-02"))
    assert merged([statuses(french), statuses(french, indian)]) == CONFLICT
    assert merged([statuses(french, indian), statuses(french)]) == CONFLICT
    some, other = statuses(french, complete=False), statuses(indian, complete=False)
    assert merged([some, other]) == statuses(french, indian, complete=False)
    assert merged([some, statuses(french, indian)]) == statuses(french, indian)
    assert merged([statuses(french, indian), some]) == statuses(french, indian)
    assert merged([statuses(indian), some]) == merged([some, statuses(indian)]) == CONFLICT


def test_a_country_held_twice_agrees_only_with_the_same():
    twice = statuses(("FR", "1990"), ("FR", "2001"))
    assert merged([twice, twice]) == twice
    assert merged([twice, statuses(("FR", "1990"))]) == merged([statuses(("FR", "1990")), twice]) == CONFLICT


def test_one_of_several_is_a_candidate():
    assert either(["FR", "IN"]) == Unknown("missing", frozenset({"FR", "IN"}))
    assert either(["FR", "FR"]) == "FR"
    assert either([days("2025-04"), days("2025-06"), days("2025-05")]) == Days(
        days("2025-04").first, days("2025-06").last
    )
    assert either([True, False]) == either([1, 2]) == Unknown("missing")
    assert either([3, 3]) == 3
