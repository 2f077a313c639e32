"""How a case of the law is read and run."""

import datetime as dt

import pytest

from carnet.engine.cases import rule_of, run_case, stated_of, values_of
from carnet.model.errors import InputError
from carnet.model.facts import Group, Partial, Status, Statuses, Unknown
from carnet.model.time import ANY_DAY, days
from carnet.rules.blocks import Case
from carnet.store.shelves import load_rulebook

BOOK = load_rulebook()
AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)
FOREIGN = {
    "item.product": "anthropic/claude-fable-5",
    "item.provider": "anthropic",
    "item.form": "hosted",
    "exporter.id": "anthropic",
    "transaction.event": "remote_access",
    "transaction.served_from": "US",
    "recipient.kind": "person",
    "recipient.us_status": "none",
    "recipient.location": "US",
}


def case(expect, given=FOREIGN, **more) -> Case:
    keys = {"file": "x.md", "line": 1, "note": "", "at": AT, "known": AT, "choices": {}} | more
    return Case(given=given, expect=expect, **keys)


@pytest.mark.parametrize(
    ("path", "written", "value"),
    [
        ("recipient.us_status", "none", "none"),
        ("item.published", True, True),
        ("item.operations", "1.5e26", 150_000_000),
        ("item.value", 5000, 5000),
        ("recipient.hired", "2025-05", days("2025-05")),
        ("recipient.nationalities", ["FR", "DE"], frozenset({"FR", "DE"})),
        ("recipient.nationalities", {"some": ["FR"]}, Partial(frozenset({"FR"}))),
        ("recipient.location", {"one_of": ["FR", "DE"]}, Unknown("missing", frozenset({"FR", "DE"}))),
        ("recipient.location", {"unknown": "conflict"}, Unknown("conflict")),
        ("recipient.us_status", {"stated": "none"}, Unknown("below_assurance")),
        (
            "recipient.statuses",
            [{"country": "IN", "since": "1990-05-02"}, {"country": "FR", "kind": "permanent_residency"}],
            Statuses((Status("IN", days("1990-05-02")), Status("FR", ANY_DAY)), complete=True),
        ),
        (
            "recipient.statuses",
            {"some": [{"country": "IN"}]},
            Statuses((Status("IN", ANY_DAY),), complete=False),
        ),
        (
            "parties.end_user",
            [{"us_status": "none", "location": {"unknown": "unclear"}}],
            Group(({"us_status": "none", "location": Unknown("unclear")},), complete=True),
        ),
        ("parties.end_user", {"some": []}, Group((), complete=False)),
        ("parties.end_user", {"unknown": "missing"}, Unknown("missing")),
    ],
)
def test_every_form_of_a_fact_is_read(path, written, value):
    assert values_of({path: written}, BOOK.terms) == {path: value}


@pytest.mark.parametrize(
    ("path", "written", "said"),
    [
        ("recipient.us_statsu", "none", "did you mean `recipient.us_status`?"),
        ("recipient.us_status", "noone", "did you mean `none`?"),
        ("recipient.location", 3, "`party.location` is of type `country`"),
        ("item.value", True, "is of type `number`"),
        ("item.operations", "1e17", "is not a whole number"),
        ("recipient.location", {"unknown": "dunno"}, "is no form of a fact"),
        ("recipient.hired", {"some": ["2025"]}, "is no form of a fact"),
        ("recipient.statuses", ["IN"], "a status is written"),
        ("parties.end_user", ["somebody"], "is a list of parties"),
        ("parties.end_usr", [], "did you mean `end_user`?"),
        ("recipient.us_status", {"stated": "noone"}, "did you mean `none`?"),
    ],
)
def test_what_is_no_fact_is_refused_with_the_right_word(path, written, said):
    with pytest.raises(InputError) as error:
        values_of({path: written}, BOOK.terms)
    assert said in str(error.value)


def test_stated_facts_are_kept_apart():
    given = {"recipient.us_status": {"stated": "none"}, "item.form": "hosted"}
    assert stated_of(given, BOOK.terms) == {"recipient.us_status": "none"}


def test_a_case_that_passes_says_nothing():
    assert run_case(BOOK, case({"outcome": "license_required", "basis": "assured", "by_reading": {}})) == []


def test_a_stated_fact_closes_the_way_in_a_case_too():
    given = {**FOREIGN, "recipient.us_status": {"stated": "none"}}
    assert run_case(BOOK, case({"outcome": "license_required", "basis": "stated"}, given)) == []


def test_what_differs_is_told_for_each_engine():
    found = run_case(BOOK, case({"outcome": "no_license_required"}))
    assert found == [
        "`outcome`: expected `no_license_required`, got `license_required` (reference)",
        "`outcome`: expected `no_license_required`, got `license_required` (decide)",
    ]


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"open": ["us.x"]}, "`open`: expected `us.x`"),
        ({"not_open": ["us.directive.2026-06-12.person"]}, "is not open, and it is"),
        ({"asks": ["recipient.us_status"]}, "`asks`: expected [`recipient.us_status`], got []"),
        ({"may_still_be": ["prohibited"]}, "`may_still_be`"),
        ({"by_reading": {"a=b": "prohibited"}}, "{`a=b` = `prohibited`}"),
        ({"basis": "stated"}, "expected `stated`, got `assured`"),
        ({"acts": ["export FR"]}, "`acts`: expected [`export FR`]"),
        ({"holds": ["recipient.us_status == 'citizen'"]}, "to be true, got false"),
        ({"fails": ["foreign_person(recipient)"]}, "to be false, got true"),
        ({"unknown": ["foreign_person(recipient)"]}, "to be unknown, got true"),
        ({"holds": ["item.sixe"]}, "`item.sixe` is not a known fact"),
        ({"review": []}, "`review`: expected []"),
        ({"marks": ["announced_not_enforced"]}, "`marks`"),
        ({"tasks": ["aia-certificate"]}, "`tasks`: expected [`aia-certificate`], got []"),
    ],
)
def test_every_expectation_can_fail(expect, said):
    assert said in "\n".join(run_case(BOOK, case(expect)))


def test_the_rule_in_a_key_is_found():
    assert rule_of("us.x#NS@0") == "us.x"
    assert rule_of("us.x@1") == "us.x"
    assert rule_of("us.x#NS") == "us.x"
    assert rule_of("flag:us.x#bound") == "flag:us.x#bound"
    assert rule_of("gap@2") == "gap@2"
