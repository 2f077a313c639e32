"""What bad input gets: one clear error with file, line, value and what to do; never an answer."""

import re

import pytest
from tests.cli.conftest import block

CASE = "```toml case\nnote = 'n'\nat = 2026-09-01\ngiven = {{ {given} }}\nexpect = {{ {expect} }}\n```\n"
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
    "no such syntax": ([("[item]", "[item")], ["use.toml:5: not TOML at `[item`"]),
    "a key twice": (
        [("[item]", '[item]\nform = "weights"')],
        ["use.toml:9:", "`form` stands twice", "keep one"],
    ),
    "a product with a space": (
        [('mythos-5"', 'mythos-5 "')],
        ["use.toml:6:", "ends with a space", "remove it"],
    ),
    "a product that nobody sees": (
        [('mythos-5"', 'mythos-5\\u200b"')],
        ["use.toml:6:", "`\\u200b`", "leave it out"],
    ),
    "a product in two alphabets": (
        [('"anthropic/', '"\u0430nthropic/')],
        ["use.toml:6:", "U+0430", "another alphabet"],
    ),
    "operations below zero": (
        [('form = "hosted"', 'form = "hosted"\noperations = -1e26')],
        ["use.toml:9:", "`-1E+26` is below zero"],
    ),
    "an instant before all calendars": (
        [("2026-06-13T14:00:00Z", "0001-01-01T00:00:00+14:00")],
        ["use.toml:1:", "beyond the calendar"],
    ),
}


@pytest.mark.parametrize("what", TRANSACTIONS)
@pytest.mark.parametrize("command", ["check", "explain"])
def test_a_bad_transaction_gets_one_sentence_and_no_answer(carnet, use, command, what):
    changes, parts = TRANSACTIONS[what]
    file = use(('kind = "person"', 'kind = "person"\nus_status = "none"'), *changes)
    refused(carnet(command, file), 2, *parts)


def test_what_a_name_would_do_to_a_terminal_is_shown_and_not_done(carnet, use, tmp_path):
    done = carnet("check", use(('kind = "person"', '"\\u001b[31mkind" = "person"')))
    refused(done, 2, "use.toml:", "`recipient.\\x1b[31mkind`")
    assert "\x1b" not in done.stderr
    done = carnet("rules", "show", "\x1b[31mx")
    refused(done, 2, "`\\x1b[31mx` is no block")
    (tmp_path / "law/us").mkdir(parents=True)
    (tmp_path / "law/us/\x1b[31mred\n.md").write_text("x")
    refused(
        carnet("rules", "check", "--law", "law"),
        2,
        "`law/us/\\x1b[31mred\\n.md` has a name that can't be shown",
    )


def test_a_name_that_a_shell_would_run_is_only_a_name(carnet, use, tmp_path):
    file = use(('"anthropic/claude-mythos-5"', '"$(touch ran)"'))
    assert carnet("check", file).exit_code in (0, 4)
    assert not (tmp_path / "ran").exists()


def test_a_file_without_a_name_is_a_mistake_and_not_this_directory(carnet, shelf):
    law = shelf()
    refused(carnet("check", ""), 2, "`` names no file")
    for arguments in (("rules", "check", "--law", ""), ("doctor", "--policy", " ", "--law", law)):
        done = carnet(*arguments)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert "names nothing: leave the option out" in done.stderr


def test_words_that_no_case_has_are_a_mistake_and_not_a_success(carnet):
    refused(carnet("rules", "test", "atlass"), 2, "no case has `atlass` in its file or note")


def test_standard_input_that_is_closed_is_named(carnet, monkeypatch):
    from carnet.cli import options
    from carnet.model.errors import InputError

    monkeypatch.setattr(options.sys, "stdin", None)
    with pytest.raises(InputError, match="`-` reads standard input, and it is closed"):
        options.read_input("-")


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
        ["`recipient.us_statsu`", "did you mean `recipient.us_status`?"],
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
    "a country that there is not": (
        [block("requirement", **RULE, when="'transaction.sent_to == \"UK\"'")],
        ['`"UK"` is not a country that there is', "two capital letters"],
    ),
    "a block without its kind": (
        [block("requirement", **RULE).replace("```toml requirement", "```toml")],
        ["names no kind of block", "```toml KIND"],
    ),
    "a block that is not closed": (
        [block("requirement", **RULE).removesuffix("```\n")],
        ["the block `requirement` is not closed"],
    ),
    "arithmetic beside a number": (
        [block("requirement", **RULE, when="'item.operations >= 10**26'")],
        ["`10**26`", "arithmetic", "as one number"],
    ),
    "a number between units": (
        [block("requirement", **RULE, when="'item.operations >= 1e17'")],
        ["`1e17`", "not a whole number of the unit `1e18`"],
    ),
    "a condition on an overlay": (
        [
            block("requirement", **RULE),
            block("overlay", id='"us.letter.o"', kind='"end"', target='"us.letter.x"', when="'True'"),
        ],
        ["`when` is a reserved word"],
    ),
    "reasons to lift that are no list": (
        [
            block("requirement", **RULE),
            block(
                "exception",
                id='"us.letter.e"',
                class_='"authorization"',
                lifts="[{ requirement = 'us.letter.x', reasons = 'notice' }]",
            ),
        ],
        ["`reasons = notice` is no list of reasons", "leave it out for all"],
    ),
    "a shipped word that is defined anew": (
        [
            block(
                "definition",
                id='"us.a"',
                name='"foreign_person"',
                parameter='"p"',
                of='"party"',
                when="'False'",
            )
        ],
        ["conflicting definitions of `foreign_person` (also `us/ear/772/772.1.md:"],
    ),
    "a case with a fact that is none": (
        [CASE.format(given="recipient.us_statsu = 'none'", expect="outcome = 'needs_facts'")],
        ["`recipient.us_statsu` is not a known fact", "did you mean `recipient.us_status`?"],
    ),
    "a case that expects what there is not": (
        [CASE.format(given="", expect="not_open = ['us.nowhere']")],
        ["`us.nowhere` in `not_open` is no requirement or prohibition"],
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
    assert done.stderr.splitlines()[-1] == "1 problem in the rules: no answer is given"


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
    refused(carnet("rules", "check", "--law", "x" * 300), 2, "can't be read: file name too long")


def test_a_shelf_that_is_given_twice_is_named(carnet, shelf):
    law = shelf(block("requirement", **RULE))
    refused(
        carnet("rules", "check", "--law", law, "--law", f"{law}/"),
        2,
        "`law` is given twice: name each shelf once",
    )


def test_two_shelves_may_have_files_of_one_name_and_the_right_one_is_named(carnet, shelf, tmp_path):
    law = shelf(block("requirement", **RULE, when="'item.sixe'"))
    (tmp_path / "other/us/letters").mkdir(parents=True)
    (tmp_path / "other/us/letters/x.md").write_text('+++\nformat = 1\ntitle = "x"\n+++\n')
    refused(
        carnet("rules", "check", "--law", law, "--law", "other"), 6, "law/us/letters/x.md:", "`item.sixe`"
    )


def test_an_instant_that_is_none_is_a_usage_error(carnet, use):
    for at, why in (
        ("2026-06-13T14:00:00", "has no zone"),
        ("0001-01-01T00:00:00+14:00", "beyond the calendar"),
    ):
        done = carnet("check", use(), "--at", at)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert f"`{at}`" in done.stderr
        assert why in done.stderr


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
    "a limit of more than all days": (
        "[choices]\nstale_after_days = 9999999999",
        ["policy.toml:1:", "is over 36500"],
    ),
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
