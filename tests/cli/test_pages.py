"""The pages of `carnet rules show` and `timeline`, for every block of the law."""

import datetime as dt

import pytest
from tests.rules.invented import block, requirement, shelf

from carnet.cli.pages import page_of, timeline_of
from carnet.model.errors import InputError
from carnet.rules.check import load
from carnet.store.shelves import load_rulebook

AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)


def test_every_block_of_the_law_has_a_page_with_its_citation_and_its_place():
    book = load_rulebook()
    for each in book.blocks:
        page = page_of(book, each.id, AT)
        assert page.startswith(f"{each.id} (")
        assert f"{each.file}:{each.line}" in page.splitlines()[0]
        assert f"cites: {each.cite}" in page


def test_an_id_that_is_none_gets_the_nearest():
    with pytest.raises(InputError, match=r"did you mean `us\.inv\.x`\?"):
        page_of(load(shelf(requirement("True"))), "us.inv.xx", None)


def book():
    return load(
        shelf(
            requirement(
                "item.product == 'a'",
                id='"us.inv.r"',
                lifted_by='["AIA", "carve_out"]',
                binds='["northwind"]',
                review='"presumption of denial"',
                until="2027-01-01",
            ),
            block(
                "exception",
                id='"us.inv.e"',
                class_='"license_exception"',
                path='"AIA"',
                lifts='[{ requirement = "us.inv.r", reasons = ["NS"] }]',
                tasks='[{ due = "before", key = "form", cite = "here" }]',
            ),
            block("bar", id='"us.inv.b"', blocks='["AIA"]', when="\"item.product == 'b'\""),
            block("overlay", id='"us.inv.o"', kind='"stay"', target='"us.inv.r"', from_="2026-05-01"),
            block(
                "list",
                id='"us.inv.l"',
                type='"country"',
                members='["AU", { id = "KH", from = 2021-12-09, until = 2025-11-07 },'
                ' { id = "KY", from = 2021-12-09 }]',
            ),
            block("list", id='"us.inv.m"', type='"country"', members='["AU"]', prevails='"us.inv.l"'),
            block(
                "requirement",
                id='"us.inv.w"',
                reasons='["NS"]',
                gate='"own"',
                from_="{ earliest = 2026-03-01, latest = 2026-03-02 }",
            ),
        )
    )


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "us.inv.r",
            [
                "in force: from 2020-01-01T05:00:00Z until 2027-01-01T05:00:00Z",
                "reasons: NS",
                "lifted by: AIA, carve_out",
                "binds: northwind",
                "reviewed under: presumption of denial",
                'item.product == "a"',
                "History",
                "stay by us.inv.o",
                "license_exception us.inv.e",
            ],
        ),
        ("us.inv.e", ["license_exception, AIA", "lifts: us.inv.r (NS)", "before: form [here]"]),
        ("us.inv.b", ["blocks: AIA", 'item.product == "b"']),
        ("us.inv.o", ["stay: us.inv.r"]),
        ("us.inv.l", ["members: AU, KH (from 2021-12-09", "History", "us.inv.m"]),
        ("us.inv.w", ["some instant between 2026-03-01T05:00:00Z and 2026-03-02T05:00:00Z"]),
        ("us.inv.r#bound", ["(red_flag)", "(until a resolution is recorded)"]),
        ("us.inv.1", ["(scope)", "export:"]),
        ("us.inv.2.remote", ["first: Invented Code 2(b)"]),
    ],
)
def test_a_page_says_what_its_kind_of_block_says(name, parts):
    page = page_of(book(), name, None)
    for part in parts:
        assert part in page


def test_the_timeline_says_what_begins_may_begin_and_ends():
    lines = [(instant.date().isoformat(), word, what) for instant, word, what in timeline_of(book(), None)]
    assert ("2026-03-01", "may begin", "us.inv.w") in lines
    assert ("2026-03-02", "begins", "us.inv.w") in lines
    assert ("2027-01-01", "ends", "us.inv.r") in lines
    assert ("2021-12-09", "begins", "us.inv.l#KH and 1 more") in lines
    assert ("2025-11-07", "ends", "us.inv.l#KH") in lines
    assert lines == sorted(lines)


def test_the_timeline_leaves_out_what_was_not_known_yet():
    early = timeline_of(book(), dt.datetime(2026, 4, 1, tzinfo=dt.UTC))
    assert not any(what == "us.inv.o" for _, _, what in early)
    assert any(what == "us.inv.r" for _, _, what in early)
