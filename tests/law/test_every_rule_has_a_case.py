"""Every rule, exception and bar of the shipped shelf holds in a case and fails in one; what can't be put as a
condition is left open in one."""

import pytest

from carnet.engine.cases import stated_of, values_of
from carnet.engine.compiled import compiled
from carnet.engine.findings import Report
from carnet.model.determination import Choices
from carnet.model.view import View
from carnet.rules import blocks, tree
from carnet.rules.slices import slice_at
from carnet.store.shelves import load_rulebook

pytestmark = pytest.mark.xdist_group("every_rule")  # its cases are decided once

BOOK = load_rulebook()
NOWHERE = ("us.ear.738.chart.AT_1", "us.ear.738.chart.AT_2", "us.ear.774.4E091.at")
"""No country has an X in the columns of the chart that these read."""
UNCLEAR = ("us.ear.740.2.a.9.ii.parent",)
"""It only says where two sections differ."""


@pytest.fixture(scope="module")
def truths():
    """By block, every truth that a finding on it has in a case."""
    found = {}
    for case in BOOK.cases:
        choices = Choices(readings=case.choices)
        stated = stated_of(case.given, BOOK.terms)
        seen = View(values=values_of(case.given, BOOK.terms), stated=stated, held={}, until=None, edges={})
        engine = compiled(slice_at(BOOK, case.at, case.known, choices))
        for finding in Report(engine, seen, case.at, case.known, choices).determination().findings:
            found.setdefault(finding.id, set()).add(finding.truth)
    return found


def untranslatable(block):
    """Whether a block has no condition of its own, only a bound."""
    return any(
        isinstance(part, tree.Open) and part.cause == "untranslatable" for part in tree.parts_of(block.when)
    )


@pytest.mark.parametrize(
    "block",
    [
        *BOOK.of(blocks.Rule),
        *BOOK.of(blocks.Exception_),
        *BOOK.of(blocks.Bar),
    ],
    ids=lambda block: block.id,
)
def test_it_holds_in_a_case_and_fails_in_one(block, truths):
    got = truths.get(block.id, set())
    assert "false" in got or block.when == tree.TRUE
    if untranslatable(block) or block.id in (*NOWHERE, *UNCLEAR):
        assert "unknown" in got
    else:
        assert "true" in got


def test_the_columns_that_no_country_is_in_are_empty():
    for column in ("AT_1", "AT_2"):
        [listed] = [block for block in BOOK.of(blocks.List) if block.id == f"us.ear.738.supp-1.{column}"]
        assert listed.members == ()
        assert listed.domain
