"""What bad input gets: one clear error with file, line, value and what to do; never an answer."""

import re

import pytest
from tests.cli.conftest import block

RULE = {"gate": '"own"', "reasons": '["notice"]'}


def refused(done, code, *parts):
    """The run ended with the code, said everything expected in its first line, and gave no answer."""
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    first = done.stderr.splitlines()[0]
    for part in parts:
        assert part in first, f"{part!r} is not in {first!r}"
    assert "not TOML" in first or re.search(r"`[^`]+`", first), f"no value in backticks: {first!r}"


TRANSACTIONS = {
    "a misspelt field": (
        [('us_status = "none"', 'us_statsu = "none"')],
        ["use.toml:", "`recipient.us_statsu`", "did you mean `us_status`?"],
    ),
    "an unknown value": ([('"none"', '"alien"')], ["use.toml:", "`alien`", "write one of"]),
    "a naive datetime": ([("T14:00:00Z", "T14:00:00")], ["use.toml:1:", "at `at` has no zone", "add `Z`"]),
    "a citizen with status none": (
        [('us_status = "none"', 'us_status = "none"\nnationalities = ["US"]')],
        ["use.toml:", "`none`", "correct one of them"],
    ),
    "an ill-formed country": ([('location = "US"', 'location = "Ruritania"')], ["use.toml:", "`Ruritania`"]),
    "no such syntax": ([("[item]", "[item")], ["use.toml:5: not TOML"]),
}


@pytest.mark.parametrize("what", TRANSACTIONS)
@pytest.mark.parametrize("command", ["check", "explain"])
def test_a_bad_transaction_gets_one_sentence_and_no_answer(carnet, use, command, what):
    changes, parts = TRANSACTIONS[what]
    file = use(('kind = "person"', 'kind = "person"\nus_status = "none"'), *changes)
    refused(carnet(command, file), 2, *parts)


def test_an_unknown_country_is_named(carnet, use):
    file = use(('location = "US"', 'location = "XX"'))
    refused(carnet("check", file), 2, "use.toml:15:", "unknown country `XX`", "two-letter id")


def test_a_file_of_10_mb_is_refused_by_its_size(carnet, tmp_path):
    (tmp_path / "big.json").write_bytes(b" " * 10_000_000)
    refused(carnet("check", "big.json"), 2, "big.json", "over the limit")


def test_10_mb_on_standard_input_are_refused_too(carnet):
    refused(carnet("check", "-", stdin=b" " * 10_000_000), 2, "-:", "over the limit")


def test_bytes_that_are_not_utf8_are_named_with_their_line(carnet, tmp_path):
    (tmp_path / "bad.json").write_bytes(b'{\n"at": "\xff"}')
    refused(carnet("check", "bad.json"), 2, "bad.json:2:", "`0xff`", "save the file as UTF-8")


def test_a_file_that_is_not_there_is_named(carnet):
    refused(carnet("check", "nowhere.json"), 2, "`nowhere.json`", "can't be read")


SHELVES = {
    "an unknown fact": (
        [block("requirement", **RULE, when="'recipient.us_statsu == \"none\"'")],
        ["`recipient.us_statsu`", "did you mean `us_status`?"],
    ),
    "a list that overlaps itself": (
        [block("list", type='"country"', members='["FR", { id = "FR", from = 2027-01-01 }]')],
        ["`FR`", "twice at once"],
    ),
    "conflicting definitions": (
        [
            block("definition", name='"tall"', parameter='"p"', of='"party"', when="'p.screened'"),
            block(
                "definition",
                id='"us.letter.y"',
                name='"tall"',
                parameter='"p"',
                of='"party"',
                when="'p.screened'",
            ),
        ],
        ["conflicting definitions of `tall`", "end one where the other begins"],
    ),
    "overlays without priority": (
        [
            block("requirement", **RULE),
            block("overlay", id='"us.letter.o"', kind='"end"', target='"us.letter.x"'),
            block("overlay", id='"us.letter.p"', kind='"end"', target='"us.letter.x"'),
        ],
        ["conflicting overlays on `us.letter.x`", "no priority"],
    ),
    "a cycle": (
        [block("definition", name='"loop"', parameter='"p"', of='"party"', when="'loop(p)'")],
        ["a cycle", "`loop`"],
    ),
    "a call of something undefined": (
        [block("requirement", **RULE, when="'foreign_persn(recipient)'")],
        ["`foreign_persn(recipient)`", "undefined", "did you mean `foreign_person`?"],
    ),
    "arithmetic": (
        [block("requirement", **RULE, when="'item.operations + 1'")],
        ["`item.operations + 1`", "arithmetic", "computed upstream"],
    ),
    "all_of without an answer for nobody": (
        [block("requirement", **RULE, when="'all_of(recipient.nationalities, {\"FR\"})'")],
        ["all_of", "empty set", "`if_empty=True`"],
    ),
}


@pytest.mark.parametrize("what", SHELVES)
@pytest.mark.parametrize(
    "command", [["rules", "check"], ["rules", "test"], ["check", "use.toml"], ["doctor"]]
)
def test_a_bad_rule_gets_its_line_and_no_answer(carnet, use, shelf, command, what):
    use()
    blocks, parts = SHELVES[what]
    done = carnet(*command, "--law", shelf(*blocks))
    refused(done, 6, "law/us/letters/x.md:", *parts)
    assert re.match(r"law/us/letters/x\.md:\d+: ", done.stderr)


def test_every_problem_is_told_and_counted(carnet, shelf):
    blocks, _ = SHELVES["a cycle"]
    other = block("requirement", id='"us.letter.z"', **RULE, when="'item.sixe'")
    done = carnet("rules", "check", "--law", shelf(*blocks, other))
    assert done.exit_code == 6
    assert "`loop`" in done.stderr
    assert "`item.sixe`" in done.stderr
    assert done.stderr.splitlines()[-1] == "2 problems in the rules: no answer is given"


def test_problems_are_one_document_with_json(carnet, shelf):
    import json

    blocks, _ = SHELVES["a cycle"]
    done = carnet("rules", "check", "--json", "--law", shelf(*blocks))
    assert done.exit_code == 6
    document = json.loads(done.stdout)
    assert document["rulebook"] is None
    assert document["problems"][0]["file"] == "law/us/letters/x.md"


def test_a_rule_file_of_10_mb_is_refused_by_its_size(carnet, tmp_path, shelf):
    law = shelf()
    (tmp_path / law / "us/letters/big.md").write_bytes(b" " * 10_000_000)
    done = carnet("rules", "check", "--law", law)
    refused(done, 2, "law/us/letters/big.md:1:", "`1000000` bytes", "split it up")


def test_a_rule_file_that_is_not_utf8_is_named_with_its_line(carnet, tmp_path, shelf):
    law = shelf()
    (tmp_path / law / "us/letters/bad.md").write_bytes(b"+++\n\xff")
    refused(carnet("rules", "check", "--law", law), 6, "law/us/letters/bad.md:2:", "`0xff`", "UTF-8")


def test_a_shelf_that_is_not_there_or_is_a_file_or_is_empty_is_named(carnet, use, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(carnet("rules", "check", "--law", "nowhere"), 2, "`nowhere` is not there")
    refused(carnet("rules", "check", "--law", use()), 2, "`use.toml` is a file")
    refused(carnet("rules", "check", "--law", "empty"), 2, "`empty` holds no rules")


def test_a_naive_option_is_a_usage_error(carnet, use):
    done = carnet("check", use(), "--at", "2026-06-13T14:00:00")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "`2026-06-13T14:00:00` has no zone" in done.stderr


POLICIES = {
    "an unknown key": ("[controled]", ["policy.toml:1:", "`controled`", "did you mean `controlled`?"]),
    "serving a controlled item on unknown": (
        '[controlled]\nneeds_facts = "serve"',
        ["policy.toml:2:", "`serve`", "write one of"],
    ),
    "an axis that no rule has": (
        '[choices.readings]\n"us.remote_inferense" = "sends"',
        ["`us.remote_inferense`", "did you mean `us.remote_inference`?"],
    ),
    "a reading that the axis has not": (
        '[choices.readings]\n"us.remote_inference" = "sent"',
        ["`sent`", "did you mean `sends`?"],
    ),
    "a level that is none": ('[choices.assurance]\n"party.us_status" = "S9"', ["`S9`", "S0 to S4"]),
    "a fact that is none": ('[choices.assurance]\n"party.us_statsu" = "S1"', ["`party.us_statsu`"]),
    "a limit of no days": ("[choices]\nstale_after_days = 0", ["`stale_after_days = 0`"]),
}


@pytest.mark.parametrize("what", POLICIES)
@pytest.mark.parametrize("command", [["check", "use.toml"], ["doctor"]])
def test_a_bad_policy_gets_one_sentence_and_no_answer(carnet, use, tmp_path, command, what):
    use()
    text, parts = POLICIES[what]
    (tmp_path / "policy.toml").write_text(text)
    refused(carnet(*command, "--policy", "policy.toml"), 2, *parts)


def test_an_id_that_no_block_has_gets_the_nearest(carnet):
    refused(
        carnet("rules", "show", "us.directive.2026-06-12.persn"),
        2,
        "did you mean `us.directive.2026-06-12.person`?",
    )
