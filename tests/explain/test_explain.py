"""What is said about a determination."""

import datetime as dt
from typing import get_args

import pytest
from msgspec import structs

from carnet.engine.explain import MOST, Change, ask_line, explain, explanation, summary
from carnet.model.determination import (
    ActOutcome,
    Ask,
    Choices,
    Determination,
    Finding,
    HumanReason,
    Outcome,
    TaskDue,
)
from carnet.store.shelves import load_rulebook

AT = dt.datetime(2026, 6, 13, 12, tzinfo=dt.UTC)
BOOK = load_rulebook()
PERSON = "us.directive.2026-06-12.person"
CARVE_OUT = "us.directive.2026-06-26.carve-out"
PLAIN = Determination(
    outcome="no_license_required",
    basis="assured",
    may_still_be=(),
    by_reading={},
    acts=(),
    findings=(),
    asks=(),
    humans=(),
    tasks=(),
    review=(),
    marks=(),
    good_until=None,
    at=AT,
    known=AT,
    choices=Choices(),
    rulebook="a" * 64,
    engine="test",
)


def of(outcome: Outcome = "no_license_required", *findings: Finding, **more) -> Determination:
    return structs.replace(PLAIN, outcome=outcome, findings=findings, **more)


def rule(truth: str, **more) -> Finding:
    return Finding(PERSON, "requirement", truth, "letter", **({"reason": "notice"} | more))


def section(said, key):
    return next((section.lines for section in said.sections if section.key == key), ())


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_has_a_headline_a_date_and_the_line_about_advice(outcome):
    text = explain(of(outcome), BOOK)
    assert text.splitlines()[0].count(": ") == 1
    assert "At 2026-06-13T12:00:00Z, by rulebook aaaaaaaaaaaa." in text
    assert text.endswith("Not legal advice.")


def test_an_open_requirement_is_why_and_its_citation_stands_under_the_headline():
    said = explanation(of("license_required", rule("true", facts=("item.product",))), BOOK)
    assert said.cites == ("letter",)
    assert section(said, "why") == (
        f"{PERSON} requires a license (notice) [letter]: decided by `item.product`",
    )


def test_a_lifted_requirement_names_what_lifts_it():
    lifted = rule("true", lifted_by=(CARVE_OUT,))
    used = Finding(CARVE_OUT, "exception", "true", "second letter")
    said = explanation(of("no_license_required", lifted, used), BOOK)
    assert said.cites == ("second letter", "letter")
    assert section(said, "why")[0] == f"{CARVE_OUT} is available [second letter]"
    assert section(said, "why")[1].endswith(f"lifted by {CARVE_OUT} [letter]")


def test_a_prohibition_outranks_the_requirements_beside_it():
    forbidden = Finding("us.x", "prohibition", "true", "order")
    said = explanation(of("prohibited", rule("true"), forbidden), BOOK)
    assert said.cites == ("order",)
    assert len(section(said, "why")) == 1


def test_what_is_unknown_says_why_it_is_unknown():
    said = explanation(of("needs_facts", rule("unknown", causes=("missing",))), BOOK)
    assert section(said, "why") == (f"{PERSON} may require a license (notice) [letter]: nobody has said",)


def test_why_not_begins_with_the_exception_that_would_have_helped():
    away = [Finding(f"us.r{n}", "requirement", "false", "cite") for n in range(3)]
    helps = Finding(CARVE_OUT, "exception", "false", "second letter", facts=("recipient.employer",))
    said = explanation(of("license_required", *away, rule("true"), helps), BOOK)
    assert section(said, "why_not")[0].startswith(f"{CARVE_OUT} is not available")
    assert len(section(said, "why_not")) == 4


def test_a_long_section_is_cut_and_counted():
    away = [Finding(f"us.r{n}", "requirement", "false", "cite") for n in range(MOST + 10)]
    lines = section(explanation(of("no_license_required", *away), BOOK), "why_not")
    assert len(lines) == MOST + 1
    assert lines[-1].startswith("and 10 more")


def test_an_ask_says_whom_what_why_and_how_well():
    ask = Ask("recipient.us_status", "below_assurance", "user", "S3", "S1")
    assert ask_line(ask) == (
        "ask the user: the US status of the recipient (`recipient.us_status`)"
        " (not proved well enough; S3 is needed, S1 is held)"
    )
    assert ask_line(Ask("item.form", "missing", "operator", "S0")) == (
        "ask the operator: the form of the item (`item.form`) (nobody has said)"
    )
    assert "`us.x`" in ask_line(Ask("provision:us.x", "stale", "operator"))
    assert "`us.l`" in ask_line(Ask("list:us.l", "stale", "operator"))


def test_single_facts_with_the_same_effect_stand_together():
    changes = [
        Change("recipient.us_status", "citizen", "no_license_required"),
        Change("recipient.us_status", "protected", "no_license_required"),
        Change("recipient.us_status", "none", "license_required"),
    ]
    lines = section(explanation(of("needs_facts"), BOOK, changes=changes), "change")
    assert lines[0].endswith("were `citizen`, `protected`: no license required")
    assert lines[1].endswith("were `none`: license required")


def test_readings_humans_acts_tasks_review_and_marks_each_have_their_part():
    said = explanation(
        of(
            "needs_human",
            by_reading={"us.a=x,us.b=y": "license_required", "us.a=z,us.b=y": "no_license_required"},
            humans=(HumanReason("us.x", "unclear"),),
            acts=(
                ActOutcome("us.ear", "export", False, "FR", "true", "license_required"),
                ActOutcome("us.ear", "reexport", True, "CN", "unknown", "needs_facts"),
                ActOutcome("us.ear", "remote_access", False, None, "false", "not_an_event"),
            ),
            tasks=(TaskDue("us.aia", "after", "r", "c"), TaskDue("us.aia", "before", "aia-certificate", "c")),
            review=("presumption of denial",),
            marks=("announced_not_enforced:us.x",),
            may_still_be=("license_required", "permitted"),
        ),
        BOOK,
    )
    assert section(said, "readings")[0] == "us.a=x, us.b=y: license required"
    assert section(said, "humans") == ("us.x: the text leaves it open",)
    assert section(said, "acts") == (
        "export to FR, under us.ear: license required",
        "deemed reexport to CN, under us.ear: facts are missing (whether it happens is open)",
    )
    assert section(said, "tasks")[0].startswith("before: ")
    assert section(said, "tasks")[1].startswith("afterwards: ")
    assert section(said, "review") == ("presumption of denial",)
    assert section(said, "marks")[0].startswith("us.x: the agency announced")
    assert "license required, permitted" in said.notes[0]


def test_what_was_only_stated_is_marked():
    assert "not proved" in explanation(of("license_required", rule("true"), basis="stated"), BOOK).notes[0]


def test_until_when_it_is_good_is_said():
    until = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    assert explanation(of(good_until=until), BOOK).good_until == "Good until 2026-07-01T00:00:00Z."
    assert "while the facts" in explanation(of(), BOOK).good_until
    earlier = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    assert "as known at 2026-06-01T00:00:00Z" in explanation(of(known=earlier), BOOK).as_of


def test_the_summary_leaves_out_the_reasons_and_keeps_what_is_to_be_done():
    said = summary(
        of("needs_facts", rule("unknown"), asks=(Ask("item.form", "missing", "operator", "S0"),)), BOOK
    )
    assert [section.key for section in said.sections] == ["change"]
