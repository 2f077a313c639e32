"""The clock: what it says after jumps."""

import datetime as dt

import pytest

from carnet.service.clock import Clock

START = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)


def test_time_that_goes_on_is_not_suspect(hands):
    clock = hands.clock()
    for _ in range(50):
        hands.go(7)
        read = clock.read()
        assert read.wall == read.late == read.early == hands.at
        assert not read.suspect


@pytest.mark.parametrize("days", [1, -1, 3650, -3650])
def test_a_jump_is_suspect_and_both_ends_are_judged_by_the_stricter_clock(hands, days):
    clock = hands.clock()
    hands.go(10)
    real = hands.at
    hands.at += dt.timedelta(days=days)
    read = clock.read()
    assert read.suspect
    assert (read.early, read.late) == tuple(sorted((real, hands.at)))


def test_it_stays_suspect_until_the_clock_is_put_right(hands):
    clock = hands.clock()
    hands.at += dt.timedelta(days=1)
    for _ in range(5):
        hands.go(100)
        assert clock.read().suspect
    hands.at -= dt.timedelta(days=1)
    assert not clock.read().suspect


def test_a_slew_of_five_hundred_parts_in_a_million_is_followed(hands):
    clock = hands.clock()
    for _ in range(600):
        hands.go(30)
        hands.at += dt.timedelta(milliseconds=15)
        assert not clock.read().suspect


def test_half_a_second_passes_and_a_millisecond_more_does_not(hands):
    clock = hands.clock()
    hands.at += dt.timedelta(seconds=0.5)
    assert not clock.read().suspect
    hands.at += dt.timedelta(milliseconds=1)
    assert clock.read().suspect


def test_a_start_before_the_last_record_is_suspect_and_times_do_not_go_back(hands):
    clock = hands.clock(last=START + dt.timedelta(hours=1))
    read = clock.read()
    assert read.suspect
    assert read.late == START + dt.timedelta(hours=1)
    assert not hands.clock(last=START - dt.timedelta(hours=1)).read().suspect


def test_the_real_clocks_agree():
    read = Clock().read()
    assert not read.suspect
    assert read.wall.tzinfo is dt.UTC
    assert read.boot > 0
