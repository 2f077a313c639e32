"""A file of facts: a row is read the same way from CSV and JSON lines, and every problem is found at once."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carnet.model.errors import InputError
from carnet.model.leaves import facts_of
from carnet.model.transaction import Party
from carnet.model.written import Fact, SetFact, StatusSince
from carnet.service import roster
from carnet.service.roster import LIMIT, read_roster

HEAD = "subject,source,assurance,kind,us_status,nationalities,screened\n"
COUNTRIES = frozenset({"US", "FR", "DE"})


def of_csv(text, **more):
    return read_roster(text.encode(), "people.csv", countries=COUNTRIES, **more)


def of_lines(*rows, **more):
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    return read_roster(text.encode(), "people.jsonl", countries=COUNTRIES, **more)


def row(**facts):
    return {"subject": "u-1", "source": "hr-roster", "assurance": "S2", "facts": facts}


def problems(read):
    assert read.problems
    return [str(problem) for problem in read.problems]


def test_csv_and_json_lines_say_the_same():
    one = of_csv(
        "subject,source,assurance,expires,kind,nationalities,statuses,screened,hired,engaged_by\n"
        "u-1,hr-roster,S2,2027-01-01T00:00:00Z,person,US; FR,FR:citizenship:2010-05;US,TRUE,2024-05,[]\n"
    )
    other = of_lines(
        row(
            kind="person",
            nationalities=["US", "FR"],
            statuses=[{"country": "FR", "since": "2010-05"}, {"country": "US"}],
            screened=True,
            hired="2024-05",
            engaged_by=[],
        )
        | {"expires": "2027-01-01T00:00:00Z"}
    )
    assert one.problems == other.problems == ()
    assert one.statements == other.statements
    ((subject, party),) = one.statements
    assert subject == "u-1"
    assert party.statuses.value == (StatusSince(country="FR", since="2010-05"), StatusSince(country="US"))
    assert party.engaged_by.value == ()
    assert party.screened.value is True
    assert {party.kind.source, party.nationalities.source} == {"hr-roster"}
    assert {party.kind.assurance, party.hired.assurance} == {"S2"}
    assert party.kind.expires == party.hired.expires
    assert party.kind.recorded is None


def test_an_empty_cell_says_nothing():
    ((_, party),) = of_csv(HEAD + "u-1,hr,S2,,citizen,,\n").statements
    assert party == Party(us_status=Fact(value="citizen", source="hr", assurance="S2"))


def test_source_and_level_may_be_given_for_all_rows_and_a_row_may_say_otherwise():
    text = "subject,source,us_status\nu-1,,citizen\nu-2,passport-desk,none\n"
    read = of_csv(text, source="hr-roster", assurance="S2")
    assert [party.us_status.source for _, party in read.statements] == ["hr-roster", "passport-desk"]
    assert {party.us_status.assurance for _, party in read.statements} == {"S2"}
    fact = {"value": "none", "source": "passport-desk", "assurance": "S3"}
    ((_, party),) = of_lines(row(us_status=fact, kind="person")).statements
    assert (party.us_status.source, party.us_status.assurance) == ("passport-desk", "S3")
    assert (party.kind.source, party.kind.assurance) == ("hr-roster", "S2")


def test_what_is_not_known_and_what_is_known_in_part_can_be_said_in_json():
    ((_, party),) = of_lines(
        row(
            us_status={"unknown": "unclear"},
            nationalities={"some": ["FR"]},
            location={"candidates": ["FR", "DE"]},
        )
    ).statements
    assert party.us_status.unknown == "unclear"
    assert party.nationalities == SetFact(some=("FR",), source="hr-roster", assurance="S2")
    assert party.location.candidates == ("FR", "DE")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("u-1,hr,S2,persn,,,", "people.csv:2: `persn` is not a value of `kind`; did you mean `person`?"),
        (
            "u-1,hr,S2,,citzen,,",
            "people.csv:2: `citzen` is not a value of `us_status`; did you mean `citizen`?",
        ),
        ("u-1,hr,S5,person,,,", "people.csv:2: `S5` is not a value of `assurance`: write one of `S0`"),
        ("u-1,hr,S2,,,FRA,", "people.csv:2: `FRA` at `nationalities[0]` is not a country"),
        ("u-1,hr,S2,,,US;ZZ,", "people.csv:2: unknown country `ZZ`: write its two-letter id"),
        ("u-1,hr,S2,,,US;;FR,", "people.csv:2: `` at `nationalities[1]` is not a country"),
        ("u-1,hr,S2,,,,yes", "people.csv:2: `yes` at `screened` is text: write"),
        (
            "u-1,,S2,person,,,",
            "people.csv:2: `source` is missing: add it, or give it for all rows with `--source`",
        ),
        ("u-1,hr,,person,,,", "people.csv:2: `assurance` is missing: add it"),
        (",hr,S2,person,,,", "people.csv:2: `subject` is missing: add it"),
        ("u-1,hr,S2,,,,", "people.csv:2: there is no fact of the subject: add one"),
        ("u-1,hr,S2,person", "people.csv:2: `4` cells, and there are 7 columns"),
        ("u-1,hr,S2,person,,,,,", "people.csv:2: `9` cells, and there are 7 columns"),
        ("u-1,transaction:hr,S2,person,,,", "people.csv:2: `transaction:` begins the sources"),
        ("u-1,hr,S2,company,citizen,,", "people.csv:2: `kind` and `us_status` can't both be true"),
        ("u-1,hr,S2,,none,US,", "people.csv:2: `us_status` and `nationalities` can't both be true"),
        ("u\u200b1,hr,S2,person,,,", "people.csv:2: `u\\u200b1` has a sign that nobody sees"),
        ("u-1,h\u0430r,S2,person,,,", "another alphabet"),
        ('"u-1,hr,S2,person,,,', "people.csv:2: not CSV"),
        ('u-1,"hr"x,S2,person,,,', "people.csv:2: not CSV"),
    ],
)
def test_a_problem_in_csv_has_its_line_its_value_and_the_nearest_right_word(cells, message):
    read = of_csv(HEAD + cells + "\nu-9,hr,S2,person,,,\n")
    assert message in problems(read)[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row(us_stauts="citizen"), "unknown field `facts.us_stauts`; did you mean `us_status`?"),
        (row() | {"us_status": "citizen"}, "unknown field `us_status`; did you mean `facts.us_status`?"),
        (row(us_status="citizen") | {"subjct": "x"}, "unknown field `subjct`; did you mean `subject`?"),
        (row(us_status={"value": "none", "recorded": "2020-01-01T00:00:00Z"}), "has `recorded` or `facts`"),
        (row(us_status={"facts": [{"value": "none"}, {"value": "citizen"}]}), "has `recorded` or `facts`"),
        (row(id="u-1"), "`id` is the subject: leave it out"),
        (row(hired="2024-13"), "is not a date"),
        (row(us_status={"value": "none", "valid_from": "2026-01-01"}), "is not an instant"),
        (row(kind="person") | {"expires": "2026-01-01T00:00:00"}, "has no zone"),
        (
            row(kind={"value": "person", "valid_until": "2025-01-01T00:00:00Z"})
            | {"valid_from": "2026-01-01T00:00:00Z"},
            "`valid_until` is not after `valid_from`",
        ),
        ("{", "not JSON"),
        ("[1]", "write an object of fields"),
        ('{"subject": "u-1", "subject": "u-2"}', "`subject` stands twice"),
        ("{" * 5000, "not JSON"),
        ("[" * 100_000, "nested too deep"),
        ('{"subject": ' + "9" * 5000 + "}", "too many digits"),
    ],
)
def test_a_problem_in_json_lines_has_its_line(line, message):
    (first, *_) = problems(of_lines(row(kind="person") | {"subject": "u-0"}, "", line))
    assert first.startswith("people.jsonl:3: ")
    assert message in first


def test_every_problem_is_found_in_the_order_of_the_lines():
    read = of_csv(HEAD + "u-1,hr,S2,x,,,\nu-2,hr,S2,person,,,\nu-3,hr,S2,y,,,\nu-4,hr,S2,,,ZZ,\n")
    assert [problem.line for problem in read.problems] == [2, 4, 5]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("subjct,kind", "`subjct` is not a column; did you mean `subject`?"),
        ("subject,nationality", "`nationality` is not a column; did you mean `nationalities`?"),
        ("subject;kind", "`subject;kind` is not a column"),
        ("subject,id", "`id` is not a column"),
        ("subject,recorded", "`recorded` is not a column"),
        ("subject,kind,kind", "`kind` stands twice: keep one"),
        ("kind,source", "`subject` is not among the columns: add it"),
    ],
)
def test_a_wrong_head_is_told_and_no_row_is_read(head, message):
    said = problems(of_csv(head + "\nu-1,person\n"))
    assert any(message in each for each in said)
    assert all(each.startswith("people.csv:1: ") for each in said)


@pytest.mark.parametrize("text", ["", "\n\n", HEAD, HEAD + "\n,,,,,,\n", "\ufeff"])
def test_a_file_without_a_row_is_refused(text):
    with pytest.raises(InputError, match="it has no row"):
        of_csv(text)


def test_a_file_that_is_no_text_or_too_large_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"people.csv:2: it is not UTF-8"):
        read_roster(b"subject\n\xff\n", "people.csv")
    monkeypatch.setattr(roster, "LIMIT", 10)
    with pytest.raises(InputError, match="are over the limit of 10"):
        read_roster(b"x" * 11, "people.csv")
    assert LIMIT == 100_000_000


def test_a_file_of_a_spreadsheet_is_read():
    text = "\ufeff" + (HEAD + 'u-1,"Smith, HR",S2,person,,"US;FR",\n').replace("\n", "\r\n")
    ((_, party),) = of_csv(text).statements
    assert party.nationalities.value == ("US", "FR")
    assert party.kind.source == "Smith, HR"


def test_two_rows_of_which_neither_comes_later_are_a_problem():
    text = HEAD + "u-1,hr,S2,person,,,\nu-2,hr,S2,person,,,\nu-1,hr,S2,,none,,\nu-1,hr,S2,,citizen,,\n"
    assert problems(of_csv(text)) == [
        "people.csv:5: `us_status` of this subject from this source stands in line 4 too: keep one"
    ]
    assert of_csv(text.replace("u-1,hr,S2,,citizen", "u-1,passport-desk,S2,,citizen")).problems == ()


def test_rows_for_times_that_do_not_meet_stand_beside_each_other():
    text = (
        "subject,source,assurance,location,valid_from,valid_until\n"
        "u-1,hr,S2,FR,2026-01-01T00:00:00Z,\n"
        "u-1,hr,S2,US,,2025-01-01T00:00:00Z\n"
        "u-1,hr,S2,DE,2025-01-01T00:00:00Z,2026-01-01T00:00:00Z\n"
    )
    assert of_csv(text).problems == ()
    (problem,) = problems(of_csv(text.replace("2025-01-01T00:00:00Z,2026", "2025-01-01T00:00:00Z,2027")))
    assert problem.startswith("people.csv:4: `location` of this subject from this source stands in line 2")


def test_every_fact_of_a_party_has_a_column():
    names = [name for name, _ in facts_of(Party) if name != "id"]
    assert len(names) > 20
    cells = {"set": "[]", "countries": "FR", "statuses": "FR", "country": "FR", "day": "2024"}
    for name, kind in facts_of(Party):
        if name == "id":
            continue
        for cell in (cells.get(kind, "true"), "none", "person"):
            read = of_csv(f"subject,source,assurance,{name}\nu-1,hr,S2,{cell}\n")
            if not read.problems:
                break
        assert read.problems == (), name
        assert getattr(read.statements[0][1], name) is not None


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8"), max_size=8) | st.just("citizen"), min_size=1, max_size=8
        ),
        max_size=5,
    )
)
def test_no_file_is_met_with_anything_but_a_sentence(rows):
    written = io.StringIO()
    csv.writer(written).writerows([HEAD.strip().split(","), *rows])
    for read in (of_csv, of_lines):
        try:
            found = read(written.getvalue())
        except InputError:
            continue
        assert found.problems or found.statements
        for problem in found.problems:
            assert str(problem).isprintable()
            assert problem.line >= 1


def test_no_error_text_has_the_status_of_a_row_in_it():
    text = (
        "subject,source,assurance,us_status,nationalities,kind\n"
        "u-1,hr,S2,protected,AF;IR,company\n"
        "u-2,hr,S2,protected,ZZ,\n"
        "u-3,,S2,protected,IR,\n"
        "u-4,hr,S2,protected,IR,\n"
        "u-4,hr,S2,protected,IR,\n"
    )
    said = "\n".join(problems(read_roster(text.encode(), "people.csv", countries=COUNTRIES | {"AF", "IR"})))
    assert said.count("\n") >= 4
    for word in ("protected", "IR", "AF", "u-1", "u-4"):
        assert word not in said
