"""The program as scripts meet it: exit codes, output and talk, pipes, colors, errors that nobody foresaw."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise

import click
import pytest
from tests.cli.conftest import block

from carnet.cli.exits import MEANING, Exit, exit_of
from carnet.cli.main import main as program
from carnet.model.determination import PERMITTED


def commands(group, path=()):
    """Every command that there is, from the program down, as its words."""
    yield list(path)
    if isinstance(group, click.Group):
        with click.Context(group) as ctx:
            for name in group.list_commands(ctx):
                yield from commands(group.get_command(ctx, name), (*path, name))


COMMANDS = list(commands(program))


def person(status):
    return ('kind = "person"', f'kind = "person"\nus_status = "{status}"')


@pytest.mark.parametrize(
    ("changes", "code", "headline"),
    [
        ([person("citizen")], 0, "No license required"),
        ([person("none")], 3, "License required"),
        ([], 4, "Facts are missing"),
        ([person("citizen"), ('location = "US"', 'location = "DE"')], 4, "For a human to decide"),
    ],
)
@pytest.mark.parametrize("command", ["check", "explain"])
def test_the_exit_code_says_the_answer(carnet, use, command, changes, code, headline):
    done = carnet(command, use(*changes))
    assert done.exit_code == code, done.output
    assert done.stdout.startswith(f"{headline}: ")
    assert done.stderr == ""
    assert "Not legal advice." in done.stdout


def test_every_outcome_has_an_exit_code():
    assert {exit_of(outcome) for outcome in PERMITTED} == {Exit.OK}
    assert exit_of("prohibited") == exit_of("license_required") == Exit.CLOSED == 3
    assert exit_of("needs_facts") == exit_of("needs_human") == Exit.OPEN == 4
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 6] == [int(code) for code in MEANING]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_lists_the_exit_codes(carnet, command):
    done = carnet(*command, "--help")
    assert done.exit_code == 0
    for code, meaning in MEANING.items():
        assert f"  {int(code)}  {meaning}" in done.stdout


def test_json_is_one_document_with_the_answer_and_the_action_apart(carnet, use):
    done = carnet("check", use(person("none")), "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 3
    assert document["determination"]["outcome"] == "license_required"
    assert document["action"]["kind"] == "refuse"
    assert document["controlled"] is True
    assert document["policy"]["name"] == "careful"


def test_at_asks_for_another_instant(carnet, use):
    file = use(person("none"))
    before = json.loads(carnet("check", file, "--json", "--at", "2026-06-12T21:20:59Z").stdout)
    since = json.loads(carnet("check", file, "--json", "--at", "2026-06-12T21:21:00Z").stdout)
    assert before["determination"]["outcome"] == "no_license_required"
    assert since["determination"]["outcome"] == "license_required"


def test_known_leaves_out_what_was_not_known_yet(carnet, use):
    done = carnet("check", use(person("none")), "--json", "--known", "2026-06-12T12:00:00Z")
    assert json.loads(done.stdout)["determination"]["outcome"] == "no_license_required"


def test_standard_input_is_read_for_a_dash(carnet):
    given = {
        "at": "2026-06-13T14:00:00Z",
        "event": "remote_access",
        "item": {"product": "anthropic/claude-mythos-5", "provider": "anthropic", "form": "hosted"},
        "exporter": {"id": "anthropic"},
        "recipient": {"kind": "person", "us_status": "none", "location": "US"},
        "served_from": "US",
    }
    done = carnet("check", "-", stdin=json.dumps(given))
    assert done.exit_code == 3


def test_explain_says_what_would_change_the_answer(carnet, use):
    done = carnet("explain", use(person("none")))
    assert "What would change it" in done.stdout
    assert "`citizen`, `permanent_resident`, `protected`: no license required" in done.stdout


def test_the_timeline_has_every_change_of_the_answer(carnet, use):
    done = carnet("explain", use(person("none")), "--timeline", "--json")
    outcomes = [row["outcome"] for row in json.loads(done.stdout)["timeline"]]
    assert "license_required" in outcomes
    assert outcomes[-1] == "no_license_required"
    assert all(one != other for one, other in pairwise(outcomes))


def test_rules_check_prints_the_digest_of_a_good_rulebook(carnet):
    done = carnet("rules", "check", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["problems"] == []
    assert len(json.loads(done.stdout)["rulebook"]) == 64


def test_a_failing_case_is_told_with_what_was_expected_and_got(carnet, shelf):
    case = """\
```toml case
note = "wrong on purpose"
at = 2026-09-02T00:00:00Z
given = { "recipient.us_status" = "none" }
expect = { fails = ['recipient.us_status == "none"'] }
```
"""
    done = carnet("rules", "test", "wrong on purpose", "--law", shelf(case))
    assert done.exit_code == 1
    assert "us/letters/x.md:11: wrong on purpose" in done.stdout
    assert 'expected `recipient.us_status == "none"` to be false, got true' in done.stdout
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


@pytest.mark.parametrize(
    ("given", "expect", "said"),
    [
        (
            '{ "recipient.us_statsu" = "none" }',
            '{ outcome = "prohibited" }',
            "did you mean `recipient.us_status`?",
        ),
        ('{ "recipient.us_status" = "nine" }', '{ outcome = "prohibited" }', "did you mean `none`?"),
        (
            '{ "recipient.us_status" = 3 }',
            '{ outcome = "prohibited" }',
            "`party.us_status` is of type `enum`",
        ),
        ('{ "recipient.location" = { maybe = "FR" } }', '{ outcome = "prohibited" }', "is no form of a fact"),
        ('{ "parties.end_usr" = [] }', '{ outcome = "prohibited" }', "did you mean `end_user`?"),
        ("{}", '{ outcom = "x" }', "did you mean `outcome`?"),
        ("{}", "{ holds = ['foreign_persn(recipient)'] }", "did you mean `foreign_person`?"),
        ("{}", '{ open = "us.x" }', "is not a list"),
    ],
)
def test_a_case_that_can_not_be_run_says_why(carnet, shelf, given, expect, said):
    case = f'```toml case\nnote = "odd"\nat = 2026-09-02T00:00:00Z\ngiven = {given}\nexpect = {expect}\n```\n'
    done = carnet("rules", "test", "odd", "--law", shelf(case))
    assert done.exit_code == 6
    assert done.stdout == ""
    assert re.match(rf"law/us/letters/x\.md:1[45]: .*{re.escape(said)}", done.stderr)
    assert done.stderr.splitlines()[-1] == "1 problem in the rules: no answer is given"


def test_show_gives_words_rule_history_and_cases(carnet):
    done = carnet("rules", "show", "us.directive.2026-06-12.person", "--at", "2026-06-01T00:00:00Z")
    assert done.exit_code == 0
    for part in (
        "The letter of 12 June 2026",
        "named_by_the_june_letter(item) and foreign_person(recipient)",
        "not in force at 2026-06-01T00:00:00Z",
        "History",
        "us.directive.2026-06-26.carve-out",
        "Cases",
        "from 17:21 the person prong holds",
    ):
        assert part in done.stdout


def test_the_rules_timeline_has_the_letters_in_order(carnet):
    lines = carnet("rules", "timeline").stdout.splitlines()
    first = lines.index("2026-06-12T21:21:00Z  us.directive.2026-06-12.person begins")
    assert lines[:] == sorted(lines, key=lambda line: line[:20])
    assert any("2026-06-30" in line for line in lines[first:])


def test_doctor_says_where_each_setting_comes_from(carnet, tmp_path, monkeypatch):
    (tmp_path / "policy.toml").write_text("honour_announced_non_enforcement = true\n")
    monkeypatch.setenv("CARNET_POLICY", "policy.toml")
    done = carnet("doctor")
    assert done.exit_code == 0
    assert "(policy.toml, CARNET_POLICY)" in done.stdout
    assert "honour_announced_non_enforcement = true (policy.toml)" in done.stdout
    assert "controlled.needs_facts = ask (default.toml)" in done.stdout


def test_an_unexpected_error_is_one_sentence_that_says_where_to_report(carnet, use, monkeypatch):
    def broken(*_arguments, **_keywords):
        raise ZeroDivisionError("an error that nobody foresaw")

    monkeypatch.setattr("carnet.cli.asked.decide", broken)
    done = carnet("check", use())
    assert done.exit_code == Exit.FAILED
    assert done.stdout == ""
    assert "`ZeroDivisionError: an error that nobody foresaw`" in done.stderr
    assert "report" in done.stderr


def test_a_command_that_is_none_is_a_usage_error(carnet):
    done = carnet("chekc")
    assert done.exit_code == Exit.USAGE
    assert "chekc" in done.stderr


def start(*arguments, **more):
    """The program as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from carnet.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_a_reader_that_leaves_gets_no_traceback():
    with start("rules", "timeline") as process:
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == Exit.FAILED
    assert said == ""


def test_no_escape_goes_into_a_pipe(use, tmp_path):
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with start("check", str(tmp_path / use()), env=env) as process:
        text = process.stdout.read()
        process.wait(timeout=60)
    assert text.startswith("Facts are missing")
    assert "\x1b" not in text


def test_on_a_terminal_the_headline_has_a_color_unless_no_color_is_set(monkeypatch):
    from carnet.cli.options import painted

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted("License required", "license_required").startswith("\x1b[31m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("License required", "license_required") == "License required"


def test_a_shelf_may_come_from_the_environment(carnet, shelf, monkeypatch):
    monkeypatch.setenv("CARNET_LAW", shelf(block("requirement", gate='"own"', reasons='["notice"]')))
    assert carnet("rules", "show", "us.letter.x").exit_code == 0
