"""What may be kept of a determination says nothing about the person."""

import datetime as dt

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from carnet.model.determination import (
    ActOutcome,
    Ask,
    Choices,
    Determination,
    Finding,
    HumanReason,
    RecordedDetermination,
    TaskDue,
)
from carnet.model.recorded import canonical, choices_digest, recorded

from .strategies import instances

AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)


def determination(**given):
    return Determination(
        **{
            "outcome": "no_license_required",
            "basis": "assured",
            "may_still_be": (),
            "by_reading": {"": "no_license_required"},
            "acts": (),
            "findings": (),
            "asks": (),
            "humans": (),
            "tasks": (),
            "review": (),
            "marks": (),
            "good_until": AT + dt.timedelta(days=30),
            "at": AT,
            "known": AT,
            "choices": Choices(),
            "rulebook": "f" * 64,
            "engine": "0.1.0",
            **given,
        }
    )


def of_us_person(fact, destination):
    """What the law sees alike is decided by different facts: each is its own determination in memory."""
    finding = Finding(
        id="us.directive.person", kind="requirement", truth="false", cite="15 CFR 744.22(b)", facts=(fact,)
    )
    act = ActOutcome(
        regime="us.ear",
        kind="release",
        deemed=True,
        destination=destination,
        truth="false",
        outcome="not_an_event",
    )
    return determination(findings=(finding,), acts=(act,))


def test_citizen_permanent_resident_and_asylee_leave_the_same_bytes():
    in_memory = [
        of_us_person("recipient.us_status", "US"),
        of_us_person("recipient.statuses", "FR"),
        of_us_person("recipient.nationalities", None),
    ]
    assert len({msgspec.json.encode(each) for each in in_memory}) == 3
    assert len({canonical(recorded(each)) for each in in_memory}) == 1


def test_no_destination_and_no_deciding_fact_is_kept():
    kept = canonical(recorded(of_us_person("recipient.us_status", "FR"))).decode()
    assert "FR" not in kept
    assert "us_status" not in kept


def test_what_is_kept_is_ids_classes_and_paths():
    kept = recorded(
        determination(
            outcome="needs_facts",
            may_still_be=("permitted", "license_required"),
            by_reading={"sending=literal": "needs_facts", "sending=narrow": "needs_facts"},
            findings=(
                Finding(id="r.open", kind="requirement", truth="true", cite="c"),
                Finding(id="r.lifted", kind="requirement", truth="true", cite="c", lifted_by=("e.aia",)),
                Finding(id="r.false", kind="requirement", truth="false", cite="c"),
                Finding(id="r.unknown", kind="requirement", truth="unknown", cite="c"),
                Finding(id="p.open", kind="prohibition", truth="true", cite="c"),
                Finding(id="s.subject", kind="subject", truth="true", cite="c"),
            ),
            asks=(Ask("recipient.us_status", "missing", "user", "S3"),),
            humans=(HumanReason("r.unknown", "unclear"),),
            tasks=(TaskDue("e.aia", "before", "aia-certificate", "c"),),
            marks=("announced_not_enforced",),
            good_until=None,
        )
    )
    assert kept == RecordedDetermination(
        format=1,
        outcome="needs_facts",
        basis="assured",
        may_still_be=("license_required", "permitted"),
        readings=("sending=literal: needs_facts", "sending=narrow: needs_facts"),
        open_rules=("p.open", "r.open"),
        lifted_by=("e.aia",),
        asked=("recipient.us_status",),
        human_causes=("unclear: r.unknown",),
        tasks=("before aia-certificate: e.aia",),
        marks=("announced_not_enforced",),
        good_until=None,
        at="2026-06-13T00:00:00Z",
        known="2026-06-13T00:00:00Z",
        choices=choices_digest(Choices()),
        rulebook="f" * 64,
        engine="0.1.0",
    )


def test_the_bytes_do_not_depend_on_order_or_zone():
    east = dt.timezone(dt.timedelta(hours=9))
    rules = [Finding(id=name, kind="requirement", truth="true", cite="c") for name in ("b", "a")]
    one = determination(findings=tuple(rules), by_reading={"x=1": "not_subject", "x=2": "not_subject"})
    two = determination(
        findings=tuple(reversed(rules)),
        by_reading={"x=2": "not_subject", "x=1": "not_subject"},
        at=AT.astimezone(east),
    )
    assert canonical(recorded(one)) == canonical(recorded(two))


@pytest.mark.parametrize("choices", [Choices(readings={"a": "b"}), Choices(stale_after_days=1)])
def test_other_choices_have_another_digest(choices):
    assert choices_digest(choices) != choices_digest(Choices())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(determination=instances(Determination))
def test_the_record_of_any_determination_reads_back(determination):
    data = canonical(recorded(determination))
    assert canonical(msgspec.json.decode(data, type=RecordedDetermination)) == data
