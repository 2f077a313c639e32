"""`carnet subjects`: all rows or none, and nothing of what they say unless it is asked for."""

import json
import re

import pytest

COMMANDS = [["subjects"], ["subjects", "import"], ["subjects", "list"], ["subjects", "show"]]
PEOPLE = (
    "subject,source,assurance,kind,us_status,nationalities,location,expires\n"
    "u-1001,hr-roster,S2,person,permanent_resident,FR;DE,US,2099-01-01T00:00:00Z\n"
    "u-1002,hr-roster,S2,person,protected,AF,US,\n"
)
TELLING = ("permanent_resident", "protected", "FR", "DE", "AF", '"US"')


@pytest.fixture
def made(carnet, data, tmp_path):
    """The program with keys, and a file of two people."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    assert carnet("keys", "init", "--data", data).exit_code == 0
    return lambda *arguments, **more: carnet("subjects", *arguments, "--data", data, **more)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(carnet, command):
    done = carnet(*command, "--help")
    assert done.exit_code == 0
    assert "Exit codes:" in done.stdout


def test_what_was_stored_is_counted_and_listed(made):
    done = made("import", "people.csv")
    assert done.exit_code == 0
    assert re.fullmatch(r"stored 2 rows of 2 subjects, recorded 20\S+Z\n", done.stdout)
    assert done.stderr == ""
    listed = made("list").stdout.splitlines()
    assert [line.split("  ")[0] for line in listed] == ["u-1001", "u-1002"]
    assert all(", the last of 20" in line and "  1 row," in line for line in listed)
    again = json.loads(made("import", "people.csv", "--json").stdout)
    assert (again["rows"], again["subjects"], again["tenant"]) == (2, 2, "default")
    document = json.loads(made("list", "--json").stdout)
    assert [row["rows"] for row in document["subjects"]] == [2, 2]


def test_what_a_fact_says_is_printed_only_when_it_is_asked_for(made):
    said = made("import", "people.csv").output + made("import", "people.csv", "--json").output
    for more in ([], ["--json"]):
        said += made("list", *more).output
        said += made("show", "u-1001", *more).output + made("show", "u-1002", *more).output
    assert said.count("us_status") >= 4
    assert "hr-roster" in said
    for word in TELLING:
        assert word not in said
    revealed = made("show", "u-1001", "--reveal").output + made("show", "u-1002", "--reveal", "--json").output
    for word in TELLING:
        assert word in revealed


def test_show_says_source_level_and_dates(made):
    made("import", "people.csv")
    lines = made("show", "u-1001").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["kind", "us_status", "nationalities", "location"]
    assert all("  S2  hr-roster  recorded 20" in line for line in lines)
    assert all(line.endswith("expires 2099-01-01T00:00:00Z") for line in lines)
    document = json.loads(made("show", "u-1001", "--json").stdout)
    assert set(document["facts"][0]) == {"fact", "source", "assurance", "recorded", "expires"}


def test_known_shows_what_was_known_by_then(made):
    made("import", "people.csv")
    done = made("show", "u-1001", "--known", "2020-01-01T00:00:00Z")
    assert done.exit_code == 2
    assert done.stderr == "`u-1001` has no fact that was recorded by then; did you mean `u-1002`?\n"


def test_a_tenant_sees_its_own_subjects_only(made):
    made("import", "people.csv", "--tenant", "acme")
    assert made("list").stdout == made("list", "--tenant", "globex").stdout == ""
    there = made("show", "u-1001", "--tenant", "globex")
    nowhere = made("show", "u-9999", "--tenant", "globex")
    assert there.exit_code == nowhere.exit_code == 2
    assert there.stderr.replace("u-1001", "") == nowhere.stderr.replace("u-9999", "")
    assert made("show", "u-1001", "--tenant", "acme").exit_code == 0


def test_one_wrong_row_and_nothing_is_stored(made, tmp_path):
    (tmp_path / "people.csv").write_text(
        PEOPLE + "u-1003,hr-roster,S2,persn,,,,\nu-1004,hr-roster,S2,,,ZZ,,\n"
    )
    done = made("import", "people.csv")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "people.csv:4: `persn` is not a value of `kind`; did you mean `person`?",
        "people.csv:5: unknown country `ZZ`: write its two-letter id, such as `FR` (at `nationalities`)",
        "2 problems: nothing is stored",
    ]
    assert made("list").stdout == ""


def test_of_many_problems_the_first_are_shown_and_all_counted(made, tmp_path):
    (tmp_path / "people.csv").write_text("subject,kind\n" + "u-1,persn\n" * 50)
    done = made("import", "people.csv")
    assert len(done.stderr.splitlines()) == 21
    assert done.stderr.splitlines()[-1] == "50 problems, 30 not shown: nothing is stored"


def test_json_lines_come_from_a_file_or_from_standard_input(made, tmp_path):
    row = {"subject": "u-1", "facts": {"us_status": "citizen"}}
    (tmp_path / "people.jsonl").write_text(json.dumps(row) + "\n")
    beside = ["--source", "passport-desk", "--assurance", "S3"]
    assert made("import", "people.jsonl", *beside).exit_code == 0
    assert made("import", "-", *beside, stdin=json.dumps(row)).exit_code == 0
    assert json.loads(made("list", "--json").stdout)["subjects"][0]["rows"] == 2
    document = json.loads(made("show", "u-1", "--json", "--reveal").stdout)
    assert [(fact["source"], fact["assurance"], fact["value"]) for fact in document["facts"]] == [
        ("passport-desk", "S3", "citizen")
    ] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "nowhere.csv"], "`nowhere.csv` can't be read: no such file"),
        (["import", ""], "can't be read"),
        (["import", "."], "can't be read: is a directory"),
        (["import", "people.csv", "--assurance", "S9"], "'S9' is not one of"),
        (["import", "people.csv", "--tenant", ""], "as a tenant"),
        (["show", "u-9"], "`u-9` has no fact"),
    ],
)
def test_what_can_not_be_used_is_one_sentence(made, arguments, said):
    done = made(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert made("list").stdout == ""


def test_without_keys_nothing_is_stored(carnet, tmp_path):
    (tmp_path / "people.csv").write_text(PEOPLE)
    done = carnet("subjects", "import", "people.csv")
    assert done.exit_code == 2
    assert "make the keys with `carnet keys init`" in done.stderr
    assert not (tmp_path / "carnet-data").exists()


def test_a_country_that_the_law_knows_is_taken(made, tmp_path):
    (tmp_path / "people.csv").write_text("subject,source,assurance,location\nu-1,hr,S2,KP\n")
    assert made("import", "people.csv").exit_code == 0
