"""Hold, then retention, then erasure: when a record may be destroyed, with the law's own words as cases."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.records.makers import SUBJECT, all_ended, determined, hold, record, released, revoked, uses

from carnet.model.errors import Malformed
from carnet.model.leaf import Given, Use
from carnet.model.retention import Course, Standing, course, holds, is_held, kept_until, standing, terminated

NEW_YORK = ZoneInfo("America/New_York")
LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
INSTANTS = st.datetimes(dt.datetime(2021, 1, 1), dt.datetime(2080, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 -- the strategy adds the zone


def at(text):
    """An instant in New York, without its zone in the text."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def refused(when, retention="ear", **given):
    """A decision that let nobody in: the transaction ended with it."""
    return Course(retention=retention, decided=when, granted=False, **given)


@pytest.mark.parametrize(
    ("cite", "event", "retention", "free"),
    [
        ("15 CFR 762.6(a): five years", "2026-06-13T10:00", "ear", "2031-06-14"),
        ("15 CFR 762.6(a): whatever the hour of the day", "2026-06-13T00:00", "ear", "2031-06-14"),
        ("15 CFR 762.6(a): to the last second of the day", "2026-06-13T23:59:59.999999", "ear", "2031-06-14"),
        ("15 CFR 762.6(a): from the end of a year", "2026-12-31T23:00", "ear", "2032-01-01"),
        ("15 CFR 762.6(a): the last day may be 29 February", "2027-02-28T12:00", "ear", "2032-02-29"),
        ("15 CFR 762.6(a): 29 February, kept through 1 March", "2028-02-29T12:00", "ear", "2033-03-02"),
        ("15 CFR 762.6(a): 28 February, kept through 28 February", "2028-02-28T12:00", "ear", "2033-03-01"),
        ("31 CFR 501.601: ten years", "2026-06-13T10:00", "ofac", "2036-06-14"),
        ("31 CFR 501.601: from 29 February", "2028-02-29T12:00", "ofac", "2038-03-02"),
        ("89 FR 74832: ten years since 12 March 2025", "2025-03-12T00:00", "ofac", "2035-03-13"),
        ("89 FR 74832: and for what was kept on that day", "2020-03-12T09:00", "ofac", "2030-03-13"),
        ("31 CFR 501.601 before: five years had run out", "2020-03-11T09:00", "ofac", "2025-03-12"),
    ],
)
def test_the_years_of_the_law(cite, event, retention, free):
    until = kept_until(refused(at(event), retention), LATE)
    assert until == at(f"{free}T00:00"), cite


def test_a_day_is_one_in_new_york():
    night = dt.datetime(2026, 6, 14, 3, 59, tzinfo=dt.UTC)
    assert kept_until(refused(night), LATE) == at("2031-06-14T00:00")
    assert kept_until(refused(night + dt.timedelta(minutes=1)), LATE) == at("2031-06-15T00:00")


def test_the_time_runs_from_the_end_of_access_and_not_from_the_decision():
    """15 CFR 762.6(a)(3): any other termination of the transaction."""
    given = Course(
        retention="ear", decided=at("2026-06-13T10:00"), granted=True, ended=at("2027-01-05T10:00")
    )
    assert kept_until(given, LATE) == at("2032-01-06T00:00")


@pytest.mark.parametrize(
    ("cite", "given"),
    [
        ("15 CFR 762.6(a)(1), the export: the last use", {"last_use": at("2027-03-01T10:00")}),
        ("15 CFR 762.6(a)(2), a known reexport or diversion", {"reported": at("2027-03-01T10:00")}),
        ("15 CFR 762.6(a)(3), the end of the transaction", {"ended": at("2027-03-01T10:00")}),
    ],
)
def test_the_latest_of_the_events_counts(cite, given):
    base = {"ended": at("2026-07-01T10:00"), "last_use": at("2026-06-20T10:00")}
    found = Course(retention="ear", decided=at("2026-06-13T10:00"), granted=True, **(base | given))
    assert kept_until(found, LATE) == at("2032-03-02T00:00"), cite


def test_nothing_may_be_destroyed_while_the_transaction_goes_on():
    running = Course(retention="ear", decided=at("2026-06-13T10:00"), granted=True)
    assert terminated(running, LATE) is None
    assert kept_until(running, LATE) is None
    assert standing([running], held=False, now=LATE) == Standing("running")


def test_one_record_that_goes_on_keeps_the_others_of_its_key():
    over = refused(at("2026-06-13T10:00"))
    running = Course(retention="ear", decided=at("2026-06-13T10:00"), granted=True)
    assert standing([over, running], held=False, now=LATE).state == "running"


def test_a_grant_whose_end_was_never_recorded_ended_by_its_good_until():
    good = at("2026-07-13T10:00")
    lost = Course(retention="ear", decided=at("2026-06-13T10:00"), granted=True, good_until=good)
    assert terminated(lost, good - dt.timedelta(seconds=1)) is None
    assert terminated(lost, good) == good
    early = Course(
        retention="ear",
        decided=at("2026-06-13T10:00"),
        granted=True,
        good_until=good,
        ended=at("2026-06-14T10:00"),
    )
    assert terminated(early, LATE) == at("2026-06-14T10:00")


def test_the_longest_of_the_records_under_a_key_counts():
    found = [
        refused(at("2026-06-13T10:00")),
        refused(at("2026-06-13T10:00"), "ofac"),
        refused(at("2028-01-01T10:00")),
    ]
    free = at("2036-06-14T00:00")
    assert standing(found, held=False, now=free - dt.timedelta(seconds=1)) == Standing("kept", free)
    assert standing(found, held=False, now=free) == Standing("over", free)


@given(st.lists(st.tuples(INSTANTS, st.sampled_from(["ear", "ofac"])), max_size=3), INSTANTS)
def test_a_hold_beats_everything(decided, now):
    courses = [refused(*each) for each in decided]
    assert standing(courses, held=True, now=now) == Standing("held")


def test_without_records_nobody_knows_how_long():
    with pytest.raises(Malformed, match="no record is given"):
        standing([], held=False, now=LATE)


@given(INSTANTS, INSTANTS, st.sampled_from(["ear", "ofac"]))
def test_what_is_kept_once_is_never_free_earlier_for_one_more_event(first, second, retention):
    one = kept_until(refused(first, retention), LATE)
    both = kept_until(refused(first, retention, last_use=second), LATE)
    assert both == max(one, kept_until(refused(max(first, second), retention), LATE))


@given(INSTANTS, st.sampled_from(["ear", "ofac"]))
def test_a_record_is_kept_for_whole_years_to_the_end_of_their_last_day(event, retention):
    until = kept_until(refused(event, retention), LATE)
    years = (until - event) / dt.timedelta(days=365.2425)
    assert years > (5 if retention == "ear" else 10) - 0.01
    assert until.astimezone(NEW_YORK).time() == dt.time()
    day = event.astimezone(NEW_YORK).date()
    last = until.astimezone(NEW_YORK).date() - dt.timedelta(days=1)
    assert (last.month, last.day) == (day.month, day.day) or (last.month, last.day, day.day) == (3, 1, 29)


def test_the_course_of_a_record_comes_from_the_leaves_about_it():
    later = [
        uses(Use("rec-0", 1, "2030-01-01T00:00:00Z"), Use("rec-1", 3, "2026-06-20T00:00:00Z")),
        uses(Use("rec-1", 1, "2026-06-18T00:00:00Z")),
        revoked("rec-0", at="2026-06-15T00:00:00Z"),
        revoked("rec-0", "rec-1", at="2026-06-19T00:00:00Z"),
        all_ended(at="2031-01-01T00:00:00Z"),
        hold(),
    ]
    reported = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert course(determined(), later, reported=reported) == Course(
        retention="ear",
        decided=dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC),
        granted=True,
        good_until=dt.datetime(2026, 7, 13, 14, tzinfo=dt.UTC),
        ended=dt.datetime(2026, 6, 19, tzinfo=dt.UTC),
        last_use=dt.datetime(2026, 6, 20, tzinfo=dt.UTC),
        reported=reported,
    )


def test_whichever_end_of_a_grant_comes_first_counts():
    without = determined(grant=Given(None))
    assert terminated(course(without, []), LATE) is None
    first = course(without, [all_ended(at="2026-08-01T00:00:00Z")])
    assert terminated(first, LATE) == dt.datetime(2026, 8, 1, tzinfo=dt.UTC)
    late = course(determined(), [all_ended(at="2026-08-01T00:00:00Z")])
    assert terminated(late, LATE) == dt.datetime(2026, 7, 13, 14, tzinfo=dt.UTC)


def test_a_refusal_without_an_end_has_a_course_of_its_own():
    found = course(determined(action="refuse", grant=None, determination=record(good_until=None)), [])
    assert terminated(found, LATE) == dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)


def test_a_hold_covers_its_subject_or_its_whole_tenant():
    """15 CFR 762.6(b): a formal or informal request for a certain record or records."""
    mine = holds([hold()])
    assert is_held("acme", SUBJECT, mine)
    assert not is_held("acme", "0" * 32, mine)
    assert not is_held("other", SUBJECT, mine)
    everybody = holds([hold(subject=None, manner="formal")])
    assert is_held("acme", "0" * 32, everybody)
    assert not is_held("other", "0" * 32, everybody)


def test_a_hold_ends_with_its_own_release_and_no_other():
    """15 CFR 762.6(b): not without the written authorization of the agency concerned."""
    both = [hold(), hold(id="rec-60", subject=None)]
    assert is_held("acme", SUBJECT, holds([*both, released()]))
    assert not is_held("acme", SUBJECT, holds([*both, released(), released(hold="rec-60")]))
    assert is_held("acme", SUBJECT, holds([hold(), released(tenant="other")]))
    assert is_held("acme", SUBJECT, holds([released(), hold()]))
