"""Which items are controlled, computed from the rules in force."""

import datetime as dt

import pytest
from tests.rules.invented import block, requirement, shelf

from carnet.engine.controlled import is_controlled
from carnet.model.determination import Choices
from carnet.model.facts import Unknown
from carnet.rules.check import load

AT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
USE = {"transaction.event": "use", "item.product": "a", "recipient.us_status": "none"}


def controlled(*blocks, at=AT, choices=None, **values):
    facts = {**USE, **{key.replace("__", "."): value for key, value in values.items()}}
    return is_controlled(load(shelf(*blocks)), facts, at, at, choices or Choices())


def own(when, **keys):
    return requirement(when, gate='"own"', stage="", **keys)


def test_an_item_that_a_rule_names_is_controlled_and_another_is_not():
    rule = own("item.product == 'a' and recipient.us_status == 'none'")
    assert controlled(rule)
    assert not controlled(rule, item__product="b")


def test_who_takes_part_does_not_count():
    rule = own("item.product == 'a' and recipient.us_status == 'none'")
    assert controlled(rule, recipient__us_status="citizen")


def test_a_rule_about_parties_alone_makes_nothing_controlled():
    assert not controlled(own("recipient.us_status == 'none'"))


def test_an_item_of_which_the_fact_is_missing_may_be_controlled():
    assert controlled(own("item.operations >= 1e26"))
    assert not controlled(own("item.operations >= 1e26"), item__operations=1)
    assert controlled(own("item.product == 'b'"), item__product=Unknown("conflict"))


def test_the_event_counts_and_so_does_the_scope():
    assert not controlled(own("item.product == 'a' and transaction.event == 'ship'"))
    assert controlled(own("item.product == 'a' and transaction.event == 'ship'"), transaction__event="ship")
    behind = requirement("item.product == 'a' and act.kind == 'export'")
    assert not controlled(behind)
    assert controlled(behind, transaction__event="ship")


def test_a_definition_that_reads_the_item_is_looked_into():
    named = block(
        "definition",
        id='"us.inv.d"',
        name='"named"',
        parameter='"m"',
        of='"item"',
        when="\"m.product == 'a'\"",
    )
    assert controlled(named, own("named(item)"))
    assert not controlled(named, own("named(item)"), item__product="b")


def test_a_rule_out_of_force_or_not_yet_known_controls_nothing():
    assert not controlled(own("item.product == 'a'", until="2026-01-01"))
    assert not controlled(own("item.product == 'a'", known="2026-12-01"))


def test_readings_are_as_open_as_they_are_together():
    rule = own("", axis="'us.inv.ax'", readings="{ wide = \"item.product == 'a'\", none = 'False' }")
    assert controlled(rule)
    assert not controlled(rule, item__product="b")
    assert not controlled(rule, choices=Choices(readings={"us.inv.ax": "none"}))


def test_a_presumption_opens_nothing():
    rule = own("item.product == 'a' and exporter.knowledge == 'actual'")
    assert controlled(rule)


@pytest.mark.parametrize("kind", ["requirement", "prohibition"])
def test_prohibitions_count_as_requirements_do(kind):
    given = {"gate": '"own"', "when": "\"item.product == 'a'\""}
    reasons = {"reasons": '["NS"]'} if kind == "requirement" else {}
    assert controlled(block(kind, **given, **reasons))
