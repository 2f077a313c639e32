"""The buckets of tokens: what may be asked for at once, and what comes back with time."""

from hypothesis import given
from hypothesis import strategies as st

from carnet.service.buckets import MOST_BUCKETS, Buckets


class Seconds:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_so_many_at_once_and_then_as_they_come_back():
    clock = Seconds()
    buckets = Buckets(2.0, 5, clock)
    assert [buckets.take("k") for _ in range(7)] == [0] * 5 + [1, 1]
    clock.now += 0.5
    assert [buckets.take("k"), buckets.take("k")] == [0, 1]
    clock.now += 100
    assert [buckets.take("k") for _ in range(6)] == [0] * 5 + [1]


def test_each_key_has_its_own():
    buckets = Buckets(1.0, 1, Seconds())
    assert (buckets.take("one"), buckets.take("two")) == (0, 0)
    assert (buckets.take("one"), buckets.take("two")) == (1, 1)


def test_what_is_refused_takes_nothing():
    buckets = Buckets(1.0, 10, Seconds())
    assert buckets.take("k", 11) == 1
    assert buckets.take("k", 10) == 0


def test_what_costs_more_is_waited_for_longer():
    buckets = Buckets(2.0, 10, Seconds())
    assert buckets.take("k", 10) == 0
    assert buckets.take("k", 7) == 4


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), min_size=1, max_size=60),
    st.floats(0.5, 10),
    st.integers(4, 20),
)
def test_nobody_gets_more_than_the_burst_and_what_came_since(steps, rate, burst):
    clock = Seconds()
    buckets, given_ = Buckets(rate, burst, clock), 0
    for wait, cost in steps:
        clock.now += wait
        seconds = buckets.take("k", cost)
        given_ += 0 if seconds else cost
        assert given_ <= burst + rate * clock.now + 1e-6
    if seconds:
        clock.now += seconds
        assert buckets.take("k", cost) == 0, "whoever waits as long as was said gets it"


def test_buckets_that_are_full_again_are_forgotten():
    clock = Seconds()
    buckets = Buckets(1.0, 1, clock)
    for number in range(MOST_BUCKETS):
        buckets.take(f"k{number}")
    clock.now += 10
    buckets.take("one more")
    assert len(buckets._left) == 1
