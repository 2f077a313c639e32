"""What a transaction that can't be used gets: one sentence that names file, line, value and what to do."""
# ruff: noqa: E501 -- an input and its sentence read best on one line each

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carnet.model.errors import InputError
from carnet.model.transaction import Item, Party, Transaction, check_transaction, read_transaction
from carnet.model.written import Fact, SetFact

HEAD = b'{"at": "2026-06-13T00:00:00Z",\n'
COUNTRIES = {"US", "FR", "CA"}
AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)


def error_of(data, file="t.json", countries=COUNTRIES):
    with pytest.raises(InputError) as caught:
        read_transaction(data, file=file, countries=countries)
    message = str(caught.value)
    assert "\n" not in message
    return message


BAD = {
    b'"item": {"operatons": 5}}': "t.json:2: unknown field `item.operatons`; did you mean `operations`?",
    b'"us_status": "none"}': "t.json:2: unknown field `us_status`; did you mean `recipient.us_status`?",
    b'"recipient": {\n"us_status": "citzen"}}': "t.json:3: `citzen` is not a value of `recipient.us_status`; did you mean `citizen`?",
    b'"recipient": {"nationalities": ["France"]}}': "t.json:2: `France` at `recipient.nationalities[0]` is not a country: "
    "write its id, two capital letters, like `FR`",
    b'"recipient": {"nationalities": ["XX"]}}': "t.json:2: unknown country `XX`: write its two-letter id, such as `FR` "
    "(at `recipient.nationalities`)",
    b'"recipient": {\n"statuses": {"some": [{"country": "XX"}]}}}': "t.json:3: unknown country `XX`: write its two-letter id, "
    "such as `FR` (at `recipient.statuses.some`)",
    b'"served_from": {"candidates": ["FR", "XX"]}}': "t.json:2: unknown country `XX`: write its two-letter id, such as `FR` "
    "(at `served_from.candidates[1]`)",
    b'"recipient": {"hired": "2025-13"}}': "t.json:2: `2025-13` is not a date: write `2025`, `2025-05` or `2025-05-15` "
    "(at `recipient.hired`)",
    b'"recipient": {"hired": "May"}}': "t.json:2: `May` at `recipient.hired` is not a date: write `2025`, `2025-05` or `2025-05-15`",
    b'"item": {"operations": 1.5}}': "t.json:2: `1.5` is not a whole number of 1e18: round it the careful way first "
    "(at `item.operations`)",
    b'"item": {"operations": 1e999999}}': "t.json:2: `1E+999999` is too large: it must fit 64 bits in units of 1e18 "
    "(at `item.operations`)",
    b'"item": {"operations": "lots"}}': "t.json:2: `lots` at `item.operations` is not a number: write it like `12`, `0.5` or `1.5e26`",
    b'"item": {"operations": NaN}}': "t.json:2: `NaN` is not a number: leave the fact out if it is not known",
    b'"item": {"published": "yes"}}': "t.json:2: `yes` at `item.published` is text: write true or false or an object of fields",
    b'"parties": {"enduser": []}}': "t.json:2: unknown field `parties.enduser`; did you mean `end_user`?",
    b'"parties": {"end_user": [{},\n{"us_status": "x"}]}}': "t.json:3: `x` is not a value of `parties.end_user[1].us_status`: "
    "write one of `citizen`, `none`, `permanent_resident`, `protected`",
    b'"format": 2}': "t.json:2: `2` is not a value of `format`: write one of `1`",
    b'"recipient": {"id": ""}}': "t.json:2: `recipient.id` is an id: write 1 to 200 characters",
    b'"event": "show", "event": "store"}': "t.json:2: `event` stands twice in one object: keep one",
    b'"event": "show"': "t.json:2: not JSON at the end: expecting ',' delimiter; a comma stands between two, "
    "and what is opened is closed",
    b'"event": "show\n"}': 't.json:2: not JSON at `\\n"}`: invalid control character; close the quotes on the same line',
    b"'event': 'show'}": "t.json:2: not JSON at `'event': 'show'}`: expecting property name enclosed in double quotes; "
    "a key stands in double quotes, and no comma after the last",
    b'"event": True}': "t.json:2: not JSON at `True}`: expecting value; text stands in double quotes, "
    "`true`, `false` and `null` in small letters",
    b'"event": "show"} x': "t.json:2: not JSON at `x`: extra data; one document ends with its last brace",
    b'"event": "\xff"}': "t.json:2: the byte `0xff` is not UTF-8: save the file as UTF-8",
    b'"a": ' + b"[" * 100_000: 't.json:2: `"a": [[[[[[[[[[[[[[…` is nested too deep: no field needs that',
    b'"item": {"value": 1e99999999999999999999}}': "t.json:2: `1e99999999999999999999` has too many digits: "
    "write it like `1.5e26`",
    b'"item": {\n"value": '
    + b"1" * 5000
    + b"}}": "t.json:3: `11111111111111111111111111111…` has too many digits: write it like `1.5e26`",
    b'"item": {"operations": -1e26}}': "t.json:2: `-1E+26` is below zero: write what there is, or leave the fact out "
    "if it is not known (at `item.operations`)",
    b'"item": {"us_content": 25000}}': "t.json:2: `25000` is more than 10000 basis points, the whole: write basis points, "
    "2500 for a quarter (at `item.us_content`)",
    b'"item": {"value": "NaN"}}': "t.json:2: `NaN` is not a number: leave the fact out if it is not known (at `item.value`)",
    b'"item": {"product": "northwind/atlas-3 "}}': "t.json:2: `northwind/atlas-3 ` begins or ends with a space: remove it "
    "(at `item.product`)",
    b'"item": {"product": "atlas\\u200b"}}': "t.json:2: `atlas\\u200b` has a sign that nobody sees, `\\u200b`: leave it out "
    "(at `item.product`)",
    b'"item": {"product": "\\ud800"}}': "t.json:2: `\\ud800` has a sign that nobody sees, `\\ud800`: leave it out "
    "(at `item.product`)",
    '"item": {"product": "\u0430tlas"}}'.encode(): "t.json:2: `\u0430tlas` has a sign of another alphabet, `\u0430` (U+0430): "
    "write it anew (at `item.product`)",
    b'"transits": ["US", "FR\\n"]}': "t.json:2: unknown country `FR\\n`: write its two-letter id, such as `FR` (at `transits`)",
    b'"tenant": " x"}': "t.json:2: ` x` begins or ends with a space: remove it (at `tenant`)",
    b'"recipient": {"us_status": {"value": "none", "source": "\\u001b[31m"}}}': "t.json:2: `\\x1b[31m` has a sign that nobody sees, "
    "`\\x1b`: leave it out (at `recipient.us_status.source`)",
    b'"recipient": {"us_status": {"facts": [{"value": "none"},\n{"value": "none", "recorded": "0001-01-01T00:00:00+14:00"}]}}}': "t.json:3: "
    "`0001-01-01T00:00:00+14:00` lies beyond the calendar: write a year from 2 to 9998 (at `recipient.us_status.facts[1].recorded`)",
    b'"item": {"form": "hosted",\n"form": "weights"},\n"id": "form"}': "t.json:3: `form` stands twice in one object: keep one",
    b'"item": {"a\\nb": 5}}': "t.json:2: unknown field `item.a\\nb`",
    '"recipient": {"us_st\u0430tus": "none"}}'.encode(): "t.json:2: unknown field `recipient.us_st\u0430tus` (`\u0430` is U+0430); "
    "did you mean `us_status`?",
    b'"recipient": {"us_status": {"value": "none", "recorded": "2026-01-01"}}}': "t.json:2: `2026-01-01` at "
    "`recipient.us_status.recorded` is not an instant: write it like `2026-06-12T17:21:00-04:00`",
    b'"recipient": {"us_status": {"value": "none", "unknown": "stale"}}}': "t.json:2: `recipient.us_status`: "
    "write exactly one of `value`, `candidates`, `unknown`, `facts`, not 2",
    b'"recipient": {"us_status": {"candidates": ["none"]}}}': "t.json:2: `recipient.us_status`: `candidates` needs at least "
    "two values: write a single one as `value`",
    b'"recipient": {"us_status": {"facts": []}}}': "t.json:2: `recipient.us_status`: `facts` needs at least one fact, "
    "and none of them `facts` again",
    b'"recipient": {"us_status": {"facts": [{"value": "none"}, {"facts": [{"value": "none"}]}]}}}': "t.json:2: "
    "`recipient.us_status`: `facts` needs at least one fact, and none of them `facts` again",
    b'"recipient": {"location": {"value": "FR", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"}}}': "t.json:2: "
    "`recipient.location`: `valid_until` is not after `valid_from`: the fact is never valid",
    b'"recipient": {"us_status": {"facts": [{"value": "none"}], "source": "x"}}}': "t.json:2: `recipient.us_status`: "
    "`facts` stands alone: source, assurance and dates belong to each fact in it",
    b'"recipient": {"location": {"value": "FR", "valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"}}}': "t.json:2: "
    "`recipient.location`: `valid_until` is not after `valid_from`: the fact is never valid",
}


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:50].decode("latin-1"))
def test_bad_input_gets_one_sentence(body):
    assert error_of(HEAD + body) == BAD[body]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_beyond_the_calendar_is_refused(at):
    assert error_of(f'{{"at": "{at}"}}'.encode()) == (
        f"t.json:1: `{at}` lies beyond the calendar: write a year from 2 to 9998 (at `at`)"
    )


def test_the_edges_of_the_calendar_are_read():
    for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert read_transaction(f'{{"at": "{at}"}}'.encode()).at.tzinfo is not None


def test_a_mark_of_the_byte_order_is_no_part_of_the_text():
    assert read_transaction(b'\xef\xbb\xbf{"at": "2026-06-13T00:00:00Z"}').at == AT
    assert read_transaction(b"\xef\xbb\xbfat = 2026-06-13T00:00:00Z", file="t.TOML").at == AT


def test_names_in_one_alphabet_of_their_own_are_taken():
    data = (
        HEAD
        + '"recipient": {"id": "\u0418\u0432\u0430\u043d"}, "item": {"product": "GPT-\u03b1 \u7d75"}}'.encode()
    )
    assert read_transaction(data).item.product == "GPT-\u03b1 \u7d75"


def test_a_naive_instant_is_refused():
    assert error_of(b'{"at": "2026-06-12T17:21:00"}') == (
        "t.json:1: `2026-06-12T17:21:00` at `at` has no zone: add `Z` or an offset like `-04:00`"
    )


def test_a_transaction_without_its_instant_is_refused():
    assert error_of(b"{}") == "t.json:1: `at` is missing: add it, such as `2026-06-12T17:21:00-04:00`"


def test_more_than_a_megabyte_is_refused():
    assert error_of(b" " * 1_000_001) == "t.json: `1000001` bytes are over the limit of 1000000: split it up"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'"x"', b"null", b"{", b'{"at": 5}', b"\x00", b'{"at": "2026"}']
)
def test_what_is_no_transaction_is_refused(data):
    assert error_of(data).startswith("t.json:1: ")


CONTRADICTIONS = {
    b'{"us_status": {"value": "citizen", "source": "hr"}, "nationalities": ["FR"]}': "the status is `citizen`, and `US`",
    b'{"us_status": "none", "nationalities": {"some": ["US"], "observed": "2026-01-01T00:00:00Z"}}': "the status is `none`",
    b'{"us_status": "citizen", "nationalities": ["FR"]}': "the status is `citizen`, and `US` is not among the nationalities",
    b'{"us_status": "none", "nationalities": {"some": ["US"]}}': "the status is `none`, and `US` is among the nationalities",
    b'{"us_status": "none", "statuses": [{"country": "US"}]}': "the status is `none`, and a status of `US` is given",
    b'{"us_status": "permanent_resident", "statuses": [{"country": "FR"}]}': "no status of `US` is among those given",
    b'{"us_status": "none", "statuses": {"some": [{"country": "FR"}, {"country": "US"}]}}': "a status of `US` is given",
    b'{"nationalities": ["FR"], "statuses": [{"country": "CA"}]}': "a status of `CA` is not among the nationalities",
    b'{"kind": "company", "us_status": "none"}': "`us_status` is a fact of a natural person, and the kind is `company`",
    b'{"kind": "government", "nationalities": ["FR"]}': "`nationalities` is a fact of a natural person",
    b'{"kind": "person", "incorporated": "US"}': "`incorporated` is a fact of an entity, and the kind is `person`",
}


@pytest.mark.parametrize("party", CONTRADICTIONS, ids=bytes.decode)
@pytest.mark.parametrize(
    "place", ['"recipient": ', '"parties": {"end_user": [{}, '], ids=["recipient", "role"]
)
def test_facts_that_can_not_both_be_true_are_refused(party, place):
    closing = b"]}}" if "[" in place else b"}"
    message = error_of(HEAD + place.encode() + party + closing)
    assert CONTRADICTIONS[party] in message
    assert message.startswith("t.json:2: ")


@pytest.mark.parametrize(
    "party",
    [
        b'{"us_status": "citizen", "nationalities": ["FR", "US"]}',
        b'{"us_status": "citizen", "nationalities": {"some": ["FR"]}}',
        b'{"us_status": "permanent_resident", "nationalities": ["FR"]}',
        b'{"us_status": "protected", "statuses": [{"country": "FR"}]}',
        b'{"kind": "company", "nationalities": []}',
        b'{"kind": "company", "statuses": [], "nationalities": {"some": []}}',
        b'{"us_status": "none", "statuses": [{"country": "FR"}]}',
        b'{"us_status": "permanent_resident", "nationalities": ["FR"], "statuses": [{"country": "FR"}, {"country": "US"}]}',
        b'{"us_status": "citizen", "statuses": [{"country": "FR"}, {"country": "US"}]}',
        b'{"us_status": "citizen", "statuses": {"some": [{"country": "FR"}]}}',
        b'{"location": {"facts": [{"value": "FR"}, {"value": "CA"}]}}',
        b'{"us_status": {"value": "citizen", "assurance": "S1"}, "nationalities": {"value": ["FR"], "assurance": "S3"}}',
        b'{"us_status": {"facts": [{"value": "none", "source": "a"}, {"value": "citizen", "source": "b"}]}}',
    ],
)
def test_facts_that_may_be_true_are_taken(party):
    assert read_transaction(HEAD + b'"recipient": ' + party + b"}", countries=COUNTRIES).recipient != Party()


def test_numbers_are_read_exactly():
    item = read_transaction(HEAD + b'"item": {"operations": 1.5e26, "value": 0, "us_content": "2500"}}').item
    assert (str(item.operations), str(item.value), str(item.us_content)) == ("1.5E+26", "0", "2500")


GOOD = b"""{"at": "2026-06-13T00:00:00Z", "event": "show", "item": {"operations": 1.5e26, "columns": ["NS 1"]},
"recipient": {"us_status": {"facts": [{"value": "none", "assurance": "S3"}]}, "nationalities": {"some": ["FR"]},
"statuses": [{"country": "FR", "since": "1990"}], "hired": "2025-05"}, "parties": {"end_user": {"some": [{}]}}}"""
PIECES = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"\\",
    b"null",
    b"1e9",
    b"NaN",
    b'"value"',
    b'"some"',
    b"\xff",
    b"-1",
    b"true",
]


@settings(max_examples=400, deadline=None)
@given(
    cut=st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12)),
    put=st.lists(st.sampled_from(PIECES), max_size=3).map(b"".join) | st.binary(max_size=6),
    file=st.sampled_from(["t.json", "t.toml"]),
)
def test_any_damage_gets_a_sentence_or_a_transaction(cut, put, file):
    data = GOOD[: cut[0]] + put + GOOD[cut[0] + cut[1] :]
    try:
        read_transaction(data, file=file)
    except InputError as error:
        message = str(error)
    else:
        message = file
    assert message.startswith(file)
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "data", [b'{"a": "' + b'\\"' * 400_000, b'"' * 900_000, b"[" * 900_000, b'[{"a":' * 150_000]
)
def test_a_hostile_file_is_refused_at_once(data):
    assert error_of(data).startswith("t.json")


def test_toml_reads_as_json_does():
    text = b'at = 2026-06-13T00:00:00Z\n[recipient]\nus_status = "none"\nnationalities = { some = ["FR"] }\n'
    json = HEAD + b'"recipient": {"us_status": "none", "nationalities": {"some": ["FR"]}}}'
    assert read_transaction(text, file="t.toml") == read_transaction(json)


def test_an_error_in_toml_names_its_line():
    assert error_of(b'at = 2026-06-13T00:00:00Z\n[recipient]\nus_status = "nne"\n', file="t.toml") == (
        "t.toml:3: `nne` is not a value of `recipient.us_status`; did you mean `none`?"
    )
    assert error_of(b"at = 2026-06-13T00:00:00Z\nx =\n", file="t.toml") == (
        "t.toml:2: not TOML at `x =`: invalid value; text stands in quotes"
    )


TOML = {
    b'# recipient at us_status\nat = 2026-06-13T00:00:00Z\n[recipient]\nus_status = "nne"\n': "4: `nne` is not a value of",
    b'at = 2026-06-13T00:00:00Z\n[[parties.end_user]]\nus_status = "none"\n[[parties.end_user]]\nus_status = "x"\n': "5: `x` is not",
    b'at = 2026-06-13T00:00:00Z\n[parties]\nend_user = [\n{},\n{ us_status = "x" }]\n': "3: `x` is not a value of `parties.end_user[1]",
    b'at = 2026-06-13T00:00:00Z\nrecipient.us_status = "x"\n': "2: `x` is not a value of `recipient.us_status`",
    b"at = 2026-06-13T00:00:00Z\n[recipient]\nhired = 2025-05-15\n": '3: `2025-05-15` at `recipient.hired` is not in quotes: write it as text, `"2025-05-15"`',
    b"at = 2026-06-13T00:00:00Z\nat = 2026-06-13T00:00:00Z\n": "2: `at` stands twice: keep one",
    b"[item]\n[item]\n": "2: `item` stands twice: keep one",
    b'at = "2026\n': "1: not TOML at `at = \"2026`: illegal character '\\n'; close the quotes on the same line",
    b"at = '2026\nid = 5\n": "1: not TOML at `at = '2026`: expected \"'\"; close the quotes",
    b"[item]\nreasons = [1\n": "2: not TOML at `reasons = [1`: unclosed array; close it with `]`",
    b"[item]\nvalue = "
    + b"1" * 5000: "2: `1111111111111111111\u2026` has too many digits: write it like `1.5e26`, in quotes",
    b"[item]\nvalue = 1e99999999999999999999": "2: `1e99999999999999999999` has too many digits",
    b"x = 1\nat = " + b"[" * 5000: "2: `at = [[[[[[[[[[[[[[\u2026` is nested too deep: no field needs that",
    b"at = 2026-06-31": "1: not TOML at `at = 2026-06-31`: invalid date or datetime; write it like `2026-06-12`",
    b"[item]\noperations = nan\n": "1: `at` is missing",
    b"at = 2026-06-13T00:00:00Z\n[item]\noperations = nan\n": "3: `NaN` is not a number",
}


@pytest.mark.parametrize("data", TOML, ids=lambda data: data[:60].decode("latin-1"))
def test_an_error_in_toml_names_the_line_the_text_and_the_remedy(data):
    assert error_of(data, file="t.toml").startswith(f"t.toml:{TOML[data]}")


def test_a_transaction_made_in_python_can_be_checked_too():
    at = read_transaction(b'{"at": "2026-06-13T00:00:00Z"}').at
    with pytest.raises(InputError, match="unknown country `XX`"):
        check_transaction(Transaction(at=at, recipient=Party(location=Fact(value="XX"))), COUNTRIES)
    check_transaction(Transaction(at=at, recipient=Party(nationalities=SetFact(some=("FR",)))), COUNTRIES)


@pytest.mark.parametrize(
    ("transaction", "message"),
    [
        (Transaction(at=dt.datetime(2026, 6, 13)), "`2026-06-13 00:00:00` at `at` has no zone"),  # noqa: DTZ001 -- the error
        (
            Transaction(at=AT, recipient=Party(us_status="nne")),
            "`nne` is not a value of `recipient.us_status`; did",
        ),
        (
            Transaction(at=AT, recipient=Party(nationalities="FR")),
            "`FR` at `recipient.nationalities` is text",
        ),
        (Transaction(at=AT, item=Item(operations=Decimal("0.5"))), "`0.5` is not a whole number of 1e18"),
    ],
)
def test_a_transaction_made_in_python_is_checked_for_its_types(transaction, message):
    with pytest.raises(InputError) as caught:
        check_transaction(transaction)
    assert str(caught.value).startswith(message)
