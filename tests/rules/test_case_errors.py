"""A case that can't be run, or would pass whatever comes out, is a load error on the line of its key."""
# ruff: noqa: E501 -- a case and its sentence read best on one line each

import pytest
from tests.rules.invented import SCOPE, block, requirement, shelf

from carnet.engine.cases import ANSWERS
from carnet.engine.facets import Facets
from carnet.model.errors import RulesError
from carnet.rules.cases import EXPECT
from carnet.rules.check import load

RULES = requirement("exporter.insider", id='"us.inv.a"') + block(
    "requirement",
    id='"us.inv.r"',
    reasons='["NS"]',
    gate='"own"',
    axis='"width"',
    readings="{ wide = 'True', narrow = 'False' }",
)
WORLD = {
    "us/inv/8.md": (
        shelf()["us/inv/1.md"].decode().replace(SCOPE, "")
        + block("list", id='"world.countries"', type='"country"', members='["FR", "DE", "IN", "US"]')
    ).encode()
}


def errors(**keys: str) -> list[str]:
    given = {"note": '"n"', "at": "2021-01-01", "given": "{}", "expect": '{ outcome = "needs_facts" }'} | keys
    text = block("case", id="", cite="", from_="", **given)
    try:
        load({**shelf(RULES, text), **WORLD})
    except RulesError as error:
        return [str(problem) for problem in error.problems]
    return []


GIVEN = {
    '{ "recipient.us_statos" = "none" }': "`recipient.us_statos` is not a known fact; did you mean `recipient.us_status`?",
    '{ recipient.us_statos = "none" }': "`recipient.us_statos` is not a known fact; did you mean `recipient.us_status`?",
    '{ "party.us_status" = "none" }': "`party.us_status` is about no party: write `recipient.us_status` or `exporter.us_status`",
    '{ "act.kind" = "export" }': "`act.kind` is not a known fact",
    '{ "recipient.us_status" = "nne" }': "`nne` is not a value of `recipient.us_status`; did you mean `none`?",
    '{ "recipient.us_status" = 5 }': "`recipient.us_status = 5` does not fit: `party.us_status` is of type `enum`",
    '{ "exporter.insider" = "yes" }': "`exporter.insider = yes` does not fit: `exporter.insider` is of type `bool`",
    '{ "transaction.sent_to" = "France" }': "`France` at `transaction.sent_to` is not a country: write its two capital letters",
    '{ "transaction.sent_to" = "UK" }': "`UK` at `transaction.sent_to` is not a country: write its two capital letters",
    '{ "recipient.nationalities" = "FR" }': '`recipient.nationalities` is a set: write `["FR"]`',
    '{ "recipient.nationalities" = [5] }': "does not fit: `party.nationalities` is of type `set`",
    '{ "recipient.nationalities" = { some = ["UK"] } }': "`UK` at `recipient.nationalities` is not a country",
    '{ "recipient.hired" = 2025-01-01 }': '`party.hired` is of type `date`; numbers and dates are text: `"1.5e26"`, `"2025-05"`',
    '{ "recipient.hired" = "2025-13" }': "`2025-13` is not a date: write `2025`, `2025-05` or `2025-05-15`",
    '{ "item.operations" = 1e26 }': "`item.operations` is of type `number`; numbers and dates are text",
    '{ "item.operations" = 5 }': "`5` is not a whole number of 1e18",
    '{ "item.operations" = "-1e26" }': "`item.operations = -1e26` is below zero: no fact is",
    '{ "item.product" = "acme " }': "`acme ` at `item.product` begins or ends with a space: remove it",
    '{ "recipient.statuses" = ["FR"] }': '`recipient.statuses`: a status is written `{ country = "IN", since = "1990-05-02" }`',
    '{ "recipient.statuses" = [{ country = "UK" }] }': "`UK` at `recipient.statuses` is not a country",
    '{ "recipient.us_status" = { stated = "nne" } }': "`nne` is not a value of `recipient.us_status`",
    '{ "recipient.us_status" = { unknown = "lost" } }': "`lost` is no reason why `recipient.us_status` is unknown: write one of `missing`,",
    '{ "transaction.sent_to" = { one_of = ["FR"] } }': "`transaction.sent_to`: `one_of` needs two values or more",
    '{ "recipient.us_status" = { one_of = [[1]] } }': "`recipient.us_status = [1]` does not fit",
    '{ "recipient.us_status" = { perhaps = "none" } }': "is no form of a fact: write a value, `{ some = […] }`",
    '{ "parties.end_usr" = [] }': "`end_usr` is not a role; did you mean `end_user`?",
    '{ "parties.end_user" = "x" }': '`parties.end_user` is a list of parties: `[{ us_status = "none" }]`',
    '{ "parties.end_user" = [{ us_statos = "none" }] }': "`parties.end_user[0].us_statos` is not a known fact; did you mean `us_status`?",
    '{ "parties.end_user" = [{}, { us_status = "nne" }] }': "`nne` is not a value of `parties.end_user[1].us_status`",
    '{ "parties.end_user" = { unknown = [] } }': "`[]` is no reason why `parties.end_user` is unknown",
    '{ "recipient.us_status" = "none", "recipient.nationalities" = ["US"] }': "the status is `none`, and `US` is among the nationalities: correct one of them (at `recipient.us_status`)",
    '{ "parties.end_user" = [{ us_status = "citizen", nationalities = ["FR"] }] }': "correct one of them (at `parties.end_user[0].us_status`)",
}


@pytest.mark.parametrize("given", GIVEN)
def test_facts_that_are_none_are_one_error_on_their_line(given: str) -> None:
    found = errors(given=given)
    assert len(found) == 1, found
    assert found[0].startswith("us/inv/9.md:28: "), found
    assert GIVEN[given] in found[0]


@pytest.mark.parametrize(
    "given",
    [
        '{ recipient.us_status = "none", transaction.sent_to = "FR" }',
        '{ "item.operations" = "1.5e26", "recipient.hired" = "2025-05", "exporter.insider" = false }',
        '{ "recipient.nationalities" = { some = ["FR"] }, "transaction.sent_to" = { one_of = ["FR", "DE"] } }',
        '{ "recipient.us_status" = { unknown = "conflict" }, "exporter.knowledge" = { stated = "none" } }',
        '{ "recipient.statuses" = [{ country = "IN", since = "1990-05" }], "parties.end_user" = { some = [{}] } }',
        '{ "recipient.statuses" = { some = [] }, "parties.end_user" = { unknown = "missing" }, parties.purchaser = [] }',
    ],
)
def test_facts_that_are_right_are_taken(given: str) -> None:
    assert errors(given=given) == []


EXPECTED = {
    '{ outcme = "needs_facts" }': "`outcme` is nothing that a case may expect; did you mean `outcome`?",
    '{ outcome = "need_facts" }': "`need_facts` is nothing that `outcome` may be; did you mean `needs_facts`?",
    "{ outcome = 5 }": "`5` is nothing that `outcome` may be: write one of `prohibited`,",
    '{ basis = "stted" }': "`stted` is nothing that `basis` may be; did you mean `stated`?",
    '{ by_reading = "needs_facts" }': "`by_reading` is a table: write",
    '{ by_reading = { "width=wide" = "need_facts" } }': "`need_facts` is nothing that `by_reading` may be",
    '{ not_open = ["us.inv.b"] }': "`us.inv.b` in `not_open` is no requirement or prohibition; did you mean `us.inv.r`?",
    '{ open = ["us.inv.b#NS@0"] }': "`us.inv.b` in `open` is no requirement or prohibition",
    '{ asks = "recipient.us_status" }': '`asks = recipient.us_status` is not a list of texts: write `["…"]`',
    '{ holds = "exporter.insider" }': "`holds = exporter.insider` is not a list of texts",
    "{ marks = 5 }": "`marks = 5` is not a list of texts",
    "{ tasks = [5] }": "`tasks = [5]` is not a list of texts",
    "{ holds = ['exporter.insidr'] }": "`exporter.insidr` is not a known fact; did you mean `exporter.insider`?",
    "{ fails = ['is_unknown(exporter.insider)'] }": "`is_unknown(exporter.insider)` may only stand in a `red_flag`",
}


@pytest.mark.parametrize("expect", EXPECTED)
def test_what_can_not_be_expected_is_one_error_on_its_line(expect: str) -> None:
    found = errors(expect=expect)
    assert len(found) == 1, found
    assert found[0].startswith("us/inv/9.md:29: "), found
    assert EXPECTED[expect] in found[0]


def test_a_choice_is_of_an_axis_and_a_reading_that_there_are() -> None:
    assert (
        "`widht` is not an axis of the rulebook; did you mean `width`?"
        in errors(choices='{ widht = "wide" }')[0]
    )
    assert (
        "`wid` is not a reading of `width`: write one of `narrow`, `wide`"
        in errors(choices='{ width = "wid" }')[0]
    )
    assert errors(choices='{ width = "wide" }') == []


def test_a_case_says_what_it_needs_on_the_line_that_lacks_it() -> None:
    (found,) = errors(at="")
    assert found == "us/inv/9.md:25: a case needs `at`, `given` and `expect`, and `at` says nothing"
    (found,) = errors(format="2")
    assert found == "us/inv/9.md:30: `format = 2` is not one this release reads: write `1`"
    (found,) = errors(counters="[]")
    assert "`counters` is a reserved word" in found


def test_all_that_the_engines_compare_may_be_expected() -> None:
    assert set(EXPECT) == {*ANSWERS, *Facets.KEYS}
