"""The replay of June 2026: every case by itself, what is in the story, what is printed."""

import datetime as dt
import json
import re

import msgspec
import pytest
from click.testing import CliRunner

from carnet.cli.main import main
from carnet.engine import reference
from carnet.model.determination import PERMITTED, Choices
from carnet.model.errors import InputError
from carnet.model.view import view
from carnet.service.replay import decider, expected_of, replay
from carnet.service.story import read_story
from carnet.store.examples import shipped_examples
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook

GROUND_TRUTHS = [*(f"GT{number}" for number in range(1, 16)), "GT19", "GT20"]
FILES = shipped_examples("june-2026")
STORY = read_story(FILES)
CASES = [case for scene in STORY.scenes for case in scene.cases]


@pytest.fixture(scope="module")
def report():
    rulebook = load_rulebook()
    return replay(STORY, rulebook, decider(rulebook, default_policy()))


@pytest.fixture(scope="module")
def rows(report):
    return {row.case.id: row for row in report.rows}


def run(*args, **env):
    return CliRunner().invoke(main, ["replay", *args], env={"NO_COLOR": "1", "COLUMNS": "100", **env})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_case_comes_out_as_expected(case, rows):
    row = rows[case.id]
    assert {key: row.got[key] for key in expected_of(case)} == expected_of(case)
    assert row.ok


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_specification_gives_the_same_outcome_and_asks(case, rows):
    rulebook = load_rulebook()
    levels = {path: spec.level for path, spec in rulebook.terms.specs.items()}
    seen = view(case.transaction, at=case.at, known=case.known, levels=levels)
    choices = Choices(readings=case.choices)
    answer = reference.answer(rulebook, seen.values, case.at, case.known, choices, seen.stated)
    got = rows[case.id].got
    assert (answer.outcome, sorted(answer.asks)) == (got["outcome"], got["asks"])
    assert dict(answer.by_reading) == got["by_reading"]


@pytest.mark.parametrize("truth", GROUND_TRUTHS)
def test_every_ground_truth_of_the_legal_answer_is_there(truth):
    assert any(case.id == truth and case.rests_on.startswith(truth) for case in CASES)


def test_at_least_forty_cases_are_derived_and_say_what_they_rest_on():
    derived = [case for case in CASES if not case.id.startswith("GT")]
    assert len(derived) >= 40
    assert all(re.search(r"GT\d+|section \d|U\.?S\.?C|USC", case.rests_on) for case in derived)


def test_every_case_says_why_and_what_the_door_does():
    assert all(case.why and case.expected.action for case in CASES)


def test_nothing_open_is_served(report):
    for row in report.rows:
        if row.determination.outcome not in PERMITTED:
            assert row.action != "serve"


def test_a_model_that_no_letter_names_asks_nobody_anything(report):
    free = [row for row in report.rows if row.case.product == "anthropic/claude-opus-4-8"]
    assert len(free) >= 5
    assert all(row.action == "serve" and row.got["asks"] == [] for row in free)


def test_the_totals_add_up(report):
    totals = report.totals
    assert totals.cases == totals.refused + totals.served + totals.asked + totals.human
    assert totals.switched_off == totals.needed + totals.undecided + len(totals.needless)
    assert {"GT4", "GT5", "GT6", "GT7", "GT14"} <= set(totals.needless)


def test_an_answer_that_is_not_the_expected_one_is_counted_and_shown(report):
    case = msgspec.structs.replace(
        CASES[0], expected=msgspec.structs.replace(CASES[0].expected, outcome="prohibited")
    )
    scene = msgspec.structs.replace(STORY.scenes[0], cases=(case,))
    rulebook = load_rulebook()
    wrong = replay(
        msgspec.structs.replace(STORY, scenes=(scene,)), rulebook, decider(rulebook, default_policy())
    )
    assert wrong.mismatches == 1
    assert wrong.document()["cases"][0]["ok"] is False


def test_the_replay_prints_one_json_document():
    done = run("june-2026", "--json")
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert set(document) == {"cases", "mismatches", "rulebook"}
    assert document["mismatches"] == 0
    assert len(document["cases"]) == len(CASES)
    for case in document["cases"]:
        assert set(case) == {"id", "at", "expected", "got", "ok"}
        assert case["ok"] is True
        assert case["expected"] == case["got"]
        assert dt.datetime.fromisoformat(case["at"]).tzinfo is not None


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_screen_and_none_ends_in_a_space(width):
    done = run("june-2026", "--all", COLUMNS=str(width))
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if line != line.rstrip()]


def test_without_a_terminal_there_is_no_color():
    assert "\x1b" not in run("june-2026").stdout


def test_all_cases_can_be_seen():
    text = " ".join(run("june-2026", "--all").stdout.split())
    assert all(" ".join(case.who.split()) in text for case in CASES)


def test_it_says_that_it_is_no_legal_advice():
    assert "Not legal advice" in run("june-2026").stdout


def test_an_unknown_story_names_the_ones_there_are():
    done = run("july-2026")
    assert done.exit_code == 2
    assert "`july-2026` is not an example: there is `june-2026`" in done.output
    assert "Traceback" not in done.output


def test_a_story_without_its_frame_is_refused():
    with pytest.raises(InputError, match=r"`replay\.toml` is missing"):
        read_story({})


def test_an_id_that_stands_twice_is_refused():
    again = FILES["1-before.toml"].replace(b'"D01-last-second"', b'"GT1"')
    with pytest.raises(InputError, match="the case `GT1` stands twice"):
        read_story({**FILES, "1-before.toml": again})


def test_a_misspelt_fact_names_file_and_case():
    wrong = FILES["1-before.toml"].replace(b"us_status", b"us_statsu", 1)
    with pytest.raises(InputError, match=r"1-before\.toml#GT1.*us_statsu.*us_status"):
        read_story({**FILES, "1-before.toml": wrong})
