"""What a list and the table beside it get wrong: one error each, in the file and on the line that has it."""
# ruff: noqa: E501 -- a table and its sentence read best on one line each

import pytest
from tests.rules.invented import TERMS, block, shelf

from carnet.model.errors import RulesError
from carnet.rules import blocks
from carnet.rules.check import load

TABLE = {"csv": '"t.csv"', "columns": '["A", "B:1"]'}
WORLD = block("list", id='"world"', type='"country"', csv='"w.csv"', columns='["countries"]')
COUNTRIES = {"us/inv/w.csv": b"id,countries\nDE,X\nFR,X\nGB,X\nKY,X\n"}


def errors(text: str, table: bytes = b"id,A,B:1\nFR,X,\nDE,,-\n", **more: bytes) -> list[str]:
    try:
        load({**shelf(text), "us/inv/t.csv": table, **more})
    except RulesError as error:
        return [str(problem) for problem in error.problems]
    return []


def listed(**keys: str) -> str:
    return block("list", **({"type": '"country"'} | keys))


def test_a_table_that_is_right_loads() -> None:
    assert errors(listed(**TABLE)) == []
    assert errors(listed(**TABLE), b"\xef\xbb\xbfid,A,B:1\r\nFR,X,\r\n\r\n") == []


CELLS = {
    b"": "us/inv/t.csv:1: the table has no rows: its first line is `id` and the columns, and rows follow",
    b"id,A,B:1\n": "us/inv/t.csv:1: the table has no rows",
    b"code,A,B:1\nFR,X,\n": "us/inv/t.csv:1: the first column is `code`: it must be `id`, with commas between",
    b"id;A;B:1\nFR;X;\n": "us/inv/t.csv:1: the first column is `id;A;B:1`: it must be `id`",
    b"id,A,A,B:1\nFR,X,,\n": "us/inv/t.csv:1: the column `A` stands twice: keep one",
    b"id,A,B:1\nFR,X\n": "us/inv/t.csv:2: the row `FR` has 2 cells for 3 columns: make it fit",
    b"id,A,B:1\nFR,X,,X\n": "us/inv/t.csv:2: the row `FR` has 4 cells for 3 columns: make it fit",
    b"id,A,B:1\nFR,X,\nFR,,X\n": "us/inv/t.csv:3: `FR` stands twice (also on line 2): keep one row",
    b"id,A,B:1\nFR,X,\n,X,\n": "us/inv/t.csv:3: `` in the column `id` is empty",
    b"id,A,B:1\n FR,X,\n": "us/inv/t.csv:2: ` FR` in the column `id` begins or ends with a space: remove it",
    b"id,A,B:1\nFR,x,\n": "us/inv/t.csv:2: `x` of `FR` under `A` is not `X`, empty or `-`: write one of them",
    b"id,A,B:1\nFR, X,\n": "us/inv/t.csv:2: `X` of `FR` under `A` is not `X`, empty or `-`",
    b'id,A,B:1\n"FR,X,\nDE,,\n': "us/inv/t.csv:3: not CSV at `DE,,`: unexpected end of data; a cell with a quote",
    b'id,A,B:1\n"'
    + b"x" * 140_000
    + b'",X,\n': 'us/inv/t.csv:2: not CSV at `"xxxxxxxxxxxxxxxxxxxxxxxxxxxx…`: field larger than field limit',
    b"id,A,B:1\nFR,X,\nD\xc9,,\n": "us/inv/t.csv:3: byte `0xc9` is not UTF-8: save the file as UTF-8",
    b"id,A,B:1\nF\x00R,X,\n": "us/inv/t.csv:2: `\\x00` is a sign that nobody sees: leave it out",
    b"id,A,B:1\nFrance,X,\n": "us/inv/9.md:12: `France` is not a country: write its two capital letters, as `FR`",
    b"id,A\nFR,X\n": "us/inv/9.md:13: `us/inv/t.csv` has no column `B:1`: it has `A`",
    b"id,A,B.1\nFR,X,\n": "us/inv/9.md:13: `us/inv/t.csv` has no column `B:1`; did you mean `B.1`?",
}


@pytest.mark.parametrize("table", CELLS, ids=lambda table: repr(table[:40]))
def test_a_table_that_is_wrong_is_one_error_on_its_line(table: bytes) -> None:
    found = errors(listed(**TABLE), table)
    assert len(found) == 1, found
    assert found[0].startswith(CELLS[table]), found


LISTS = {
    "no columns": ({"csv": '"t.csv"'}, '`csv` goes with `columns`, like `["NS 1"]`'),
    "columns of nothing": ({"csv": '"t.csv"', "columns": "[]"}, "`columns = []` names nobody and nothing"),
    "columns without a table": (
        {"members": '["FR"]', "columns": '["A"]'},
        "a list has `members`, or `csv` and `columns`",
    ),
    "dates without a table": (
        {"members": '["FR"]', "dated": '[{ column = "A", id = "FR" }]'},
        "a list has `members`, or `csv`",
    ),
    "a table and members": (
        {**TABLE, "members": '["FR"]'},
        "`members` and `csv` exclude each other: keep one",
    ),
    "a table that is not there": (
        {**TABLE, "csv": '"u.csv"'},
        "`us/inv/u.csv` is not on the shelf; did you mean `us/inv/t.csv`?",
    ),
    "a table elsewhere": (
        {**TABLE, "csv": '"../../../etc/passwd"'},
        "is not on the shelf: put it beside this file",
    ),
    "dates of a column that is none": (
        {**TABLE, "dated": '[{ column = "C", id = "FR" }]'},
        "`C` in `dated` is none of the `columns`",
    ),
    "a row to follow that is none": (
        {**TABLE, "follows": '{ KY = "GB" }'},
        "`GB` has no row that `KY` could follow",
    ),
    "a member to follow that is none": (
        {"members": '["FR"]', "follows": '{ KY = "GB" }'},
        "`GB` has no row that `KY` could follow",
    ),
    "a row to follow that is a number": ({**TABLE, "follows": "{ KY = 5 }"}, "`follows` must be a table"),
    "a type that is none": (
        {"type": '"contry"', "members": '["FR"]'},
        "`contry` is not the type of a list's members; did you mean `country`?",
    ),
    "a type of one party": (
        {"type": '"recipient.us_status"', "members": '["none"]'},
        "did you mean `party.us_status`?",
    ),
    "a type without members": (
        {"type": '"item.operations"', "members": '["5"]'},
        "`item.operations` is not the type of a list's members",
    ),
    "a value that is none": (
        {"type": '"party.us_status"', "members": '["nne"]'},
        "`nne` is not a value of `party.us_status`; did you mean `none`?",
    ),
    "a country by its name": (
        {"members": '["France"]'},
        "`France` is not a country: write its two capital letters",
    ),
    "a country in small letters": (
        {"members": '["fr"]'},
        "`fr` is not a country: write its two capital letters",
    ),
    "a country in a domain": (
        {"members": '["FR"]', "domain": '["FR", "France"]'},
        "`France` is not a country",
    ),
    "no domain": ({"members": '["FR"]', "domain": "[]"}, "`domain = []` names nobody and nothing"),
    "a name with a space": (
        {"type": '"id"', "members": '["acme "]'},
        "`acme ` in `members` begins or ends with a space: remove it",
    ),
    "a name of two alphabets": (
        {"type": '"id"', "members": '["\\u0430cme"]'},
        "has a sign of another alphabet, `\u0430` (U+0430)",
    ),
    "no name": ({"type": '"id"', "members": '[""]'}, "`` in `members` is empty: write a name"),
    "a row that never holds": (
        {"members": '[{ id = "FR", until = 2019-01-01 }]'},
        "`FR`: `until` does not lie after `from`",
    ),
    "a row without a zone": (
        {"members": '[{ id = "FR", from = 2021-01-01T00:00:00 }]'},
        "`FR`: `2021-01-01T00:00:00` has no zone",
    ),
    "known content that never is": (
        {"members": '["FR"]', "complete_from": "2021-01-01", "complete_until": "2020-06-01"},
        "`complete_until` does not lie after `complete_from`: swap them",
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_list_that_is_wrong_is_one_error(what: str) -> None:
    keys, message = LISTS[what]
    found = errors(listed(**keys))
    assert len(found) == 1, found
    assert found[0].startswith("us/inv/9.md:")
    assert message in found[0]


def test_a_list_prevails_over_one_of_its_own_type_only() -> None:
    ids = block("list", id='"us.inv.i"', type='"id"', members='["acme"]')
    (found,) = errors(ids + listed(members='["FR"]', prevails='"us.inv.i"'))
    assert "`us.inv.x` is a list of `country` and can't prevail over one of `id`" in found


def test_a_country_that_there_is_not_is_an_error_in_a_list_and_in_a_condition() -> None:
    (found,) = errors(WORLD + listed(members='["FR", "UK"]'), **COUNTRIES)
    assert "`UK` in `us.inv.x` is not a country that there is: correct its two letters" in found
    rule = block(
        "requirement", id='"us.inv.r"', reasons='["NS"]', when='\'transaction.sent_to in {"FR", "UK"}\''
    )
    (found,) = errors(WORLD + rule, **COUNTRIES)
    assert '`"UK"` is not a country that there is: write its two capital letters, as `FR`' in found
    assert errors(WORLD + listed(members='["FR", "GB"]') + rule.replace("UK", "GB"), **COUNTRIES) == []


def test_who_follows_another_is_in_the_domain_with_it() -> None:
    text = WORLD + listed(**TABLE, follows='{ KY = "GB" }')
    files = {**shelf(text), **COUNTRIES, "us/inv/t.csv": b"id,A,B:1\nFR,X,\nGB,X,-\n"}
    found = {one.id: one for one in load(files).of(blocks.List)}
    assert found["us.inv.x.A"].domain == {"FR", "GB", "KY"}
    assert {row.id for row in found["us.inv.x.A"].members} == {"FR", "GB", "KY"}
    assert found["us.inv.x.B_1"].domain == {"FR"}


def test_an_enum_of_the_words_may_be_the_type_of_a_list() -> None:
    assert "party.us_status" in TERMS or "[party.us_status]" in TERMS
    assert errors(listed(type='"party.us_status"', members='["none"]')) == []
