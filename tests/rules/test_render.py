"""Conditions as text again."""

import pytest

from carnet.rules import blocks, tree
from carnet.rules.render import lines_of, render
from carnet.rules.syntax import ENTITIES, Names, parse
from carnet.store.shelves import load_rulebook

BOOK = load_rulebook()
WORDLESS = (tree.Open, tree.Reading, tree.Resolved)


def again(node, **parameters):
    names = Names(None, None, red_flag=True)
    return parse(render(node, BOOK.terms), terms=BOOK.terms, scope={**ENTITIES, **parameters}, names=names)


def test_every_condition_of_the_law_that_has_a_text_comes_back_as_it_was():
    count = 0
    for block in BOOK.blocks:
        when = getattr(block, "when", None)
        if when is None or any(isinstance(part, WORDLESS) for part in tree.parts_of(when)):
            continue
        parameters = {block.parameter: block.entity} if isinstance(block, blocks.Definition) else {}
        assert again(when, **parameters) == when, block.id
        count += 1
    assert count > 3


@pytest.mark.parametrize(
    "text",
    [
        "True",
        "item.published and (item.us_origin or item.in_us)",
        "item.published or item.us_origin and item.in_us",
        "(item.published or item.us_origin) or item.in_us",
        "(item.published and item.us_origin) and item.in_us",
        "not (item.published and item.us_origin)",
        "not (not item.published)",
        "not item.published and item.us_origin",
        "item.form == 'weights' and item.form != 'hosted'",
        "not (item.form in {'weights', 'hosted'})",
        "item.operations >= 1.5e26",
        "item.value < 5000",
        "item.value > 12345678",
        "item.value == 0",
        "recipient.hired < date('2024-09')",
        "elapsed(recipient.hired, years=1)",
        "any_of(recipient.nationalities, {'CN', 'RU'})",
        "all_of(recipient.nationalities, {'FR'}, if_empty=False)",
        "any_of(recipient.nationalities, list('us.x'))",
        "most_recent(recipient.statuses) == recipient.location",
        "most_recent(recipient.statuses) != 'CN'",
        "recipient.location != act.destination",
        "foreign_person(recipient)",
        "any_party({'end_user', 'purchaser'}, listed)",
        "any_party({'end_user', 'recipient'}, listed)",
        "all_party({'end_user', 'exporter'}, listed, if_empty=True)",
        "all_party({'end_user'}, listed, if_empty=False)",
        "is_unknown(recipient.location)",
        "is_unknown(recipient.nationalities)",
        "is_unknown(recipient.statuses)",
        "is_unknown(item.published)",
    ],
)
def test_a_text_that_is_parsed_and_written_again_says_the_same(text):
    node = parse(text, terms=BOOK.terms, names=Names(None, None, red_flag=True))
    assert again(node) == node


def test_numbers_are_written_as_people_write_them():
    node = parse("item.operations >= 1e26", terms=BOOK.terms)
    assert render(node, BOOK.terms) == "item.operations >= 1e26"


def test_what_has_no_text_of_its_own_stands_by_name():
    holds = tree.Holds(tree.Term("item", "published"))
    assert list(lines_of(tree.blurred(holds, holds), BOOK.terms)) == [
        "item.published",
        "unclear when item.published",
    ]
    reading = tree.Reading("us.x", (("wide", tree.TRUE), ("narrow", holds)))
    assert list(lines_of(reading, BOOK.terms)) == ["us.x = wide: True", "us.x = narrow: item.published"]
    outer = tree.And((holds, tree.Open("untranslatable")))
    assert next(lines_of(outer, BOOK.terms)).startswith("at most when item.published")
    flag = tree.And((tree.Not(tree.Resolved("us.f")), holds))
    assert list(lines_of(flag, BOOK.terms)) == ["item.published", "(until a resolution is recorded)"]
    assert render(tree.Open("stale", "list:us.l"), BOOK.terms) == "<stale list:us.l>"
