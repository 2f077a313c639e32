"""Conditions at the edge of the language: what looks right and is not, what is too large for any engine, and the
keys of a block that say less than they seem to."""
# ruff: noqa: E501 -- a key and its sentence read best on one line each

import datetime as dt

import pytest
from tests.rules.invented import FRONT, TERMS, block, definition, requirement, shelf

from carnet.engine import decide, reference
from carnet.model.determination import Choices
from carnet.model.errors import RulesError
from carnet.rules import blocks, tree
from carnet.rules.check import load

R = requirement("True", id='"us.inv.a"')
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def errors(*texts: str, terms: str = TERMS) -> list[str]:
    try:
        load(shelf(*texts, terms=terms))
    except RulesError as error:
        return [str(problem) for problem in error.problems]
    return []


CONDITIONS = {
    "True) or (False": "`True) or (False` closes a parenthesis that it did not open: count them",
    "exporter.insider) and (exporter.insider": "closes a parenthesis that it did not open",
    "": "a condition has no words: write `True`, or leave it out",
    "  ": "a condition has no words",
    'item.product == "\\x61"': "has a backslash, and no condition needs one: leave it out",
    "not " * 40 + "exporter.insider": "is nested deeper than 30 parts: say it in definitions",
    " or ".join(["exporter.insider"] * 600): "has 11996 letters, over 10000: split it into definitions",
    "item.operations > " + "1" * 5000: "has too many digits: write it like `1.5e26`",
    "item.operations > 1.00000000000000000000000000000000001e26": "is not a whole number of the unit",
    "item.operations > 1e-999999999": "is not a whole number of the unit",
    "item.operations > 1e999999999": "is not a whole number of the unit `1e18` of `item.operations` within 64 bits: write it like",
    "item.operations > -1e26": "`-1e26` is below zero, and no fact is: write it like `12` or `1.5e26`",
    "item.operations > 5j": "`5j` must be a number, since `item.operations` is one",
    "item.operations > None": "`None` must be a number",
    "item.product == 'acme '": "`'acme '` begins or ends with a space: remove it",
    "item.product == 'acme\u200b'": "has a sign that nobody sees, `\\u200b`: leave it out",
    "item.product == '\u0430cme'": "has a sign of another alphabet, `\u0430` (U+0430): write it anew",
    "recipient.us_st\u0430tus == 'none'": "is not a known fact (`\u0430` is U+0430); did you mean `recipient.us_status`?",
    "recipi\u0435nt.us_status == 'none'": "an unknown entity `recipi\u0435nt` (`\u0435` is U+0435); did you mean `recipient`?",
    "t\u0430ll(recipient)": "calls something undefined (`\u0430` is U+0430); did you mean `tall`?",
    "shadow(recipient)": "calls something undefined: write a definition of it",
    "transaction.signed < date('2025-5-001')": "`2025-5-001` is not a date: write `2025`, `2025-05` or `2025-05-15`",
    "transaction.signed < date('+025')": "`+025` is not a date",
    "transaction.signed < date('2_25')": "`2_25` is not a date",
}


@pytest.mark.parametrize("when", CONDITIONS, ids=lambda when: when[:40])
def test_a_condition_that_only_looks_right_is_one_error(when: str) -> None:
    text = requirement("True").replace("'True'", f"'''{when}'''")
    found = errors(definition("tall", "p.us_status == 'none'"), text)
    assert len(found) == 1, found
    assert CONDITIONS[when] in found[0]
    assert len(found[0]) < 250


def test_an_error_in_a_condition_of_several_lines_names_its_own_line() -> None:
    rule = requirement("True").replace(
        "'True'", "'''exporter.insider\nand (item.product == 'x'\nor item.pruduct == 'y')'''"
    )
    (found,) = errors(rule)
    assert found.startswith("us/inv/9.md:15: `item.pruduct` is not a known fact")
    acts = "[[acts]]\nkind = 'export'\nwhen = 'exporter.insider'\n[[acts]]\nkind = 'export'\nwhen = 'exporter.insidr'\n```"
    (found,) = errors(
        block("scope", subject="'True'")
        .replace("```\n", acts + "\n")
        .replace("```toml scope\n", "```toml scope\n")
    )
    assert found.startswith("us/inv/9.md:17: `exporter.insidr` is not a known fact"), found


def chain(length: int, when: str) -> str:
    names = [definition(f"d{number}", when.format(f"d{number + 1}")) for number in range(length)]
    return "".join(names) + definition(f"d{length}", "p.us_status == 'none'")


LARGE = {
    "a chain of definitions": (
        chain(70, "not {}(p)"),
        "`us.inv.d.d40` with its definitions written out has over 60 levels: call fewer of them",
    ),
    "definitions that double": (chain(20, "{0}(p) and not {0}(p)"), "with its definitions written out has"),
    "a chain that recursion could not follow": (chain(1200, "{}(p)"), "has over 60 levels"),
}


@pytest.mark.parametrize("what", LARGE)
def test_what_is_too_large_once_written_out_is_one_error(what: str) -> None:
    text, message = LARGE[what]
    found = errors(text, requirement("d0(recipient)"))
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize(
    "text",
    [
        chain(28, "not {}(p)") + requirement("d0(recipient)"),
        chain(8, "{0}(p) and not {0}(p)") + requirement("d0(recipient) or any_party({'end_user'}, d0)"),
        requirement("not " * 28 + "exporter.insider"),
        requirement(
            "(" * 20 + " or ".join(f"item.product == 'a{number}'" for number in range(350)) + ")" * 20
        ),
        requirement("exporter.insider and (item.product == 'a' or (" * 8 + "exporter.insider" + "))" * 8),
    ],
    ids=["deep definitions", "wide definitions", "deep", "wide", "alternating"],
)
def test_what_is_just_small_enough_is_decided_by_both_engines(text: str) -> None:
    book = load(shelf(text))
    facts = {"transaction.event": "ship", "transaction.sent_to": "FR", "recipient.us_status": "none"}
    answers = [engine.answer(book, facts, AT, AT, Choices()) for engine in (reference, decide)]
    assert answers[0] == answers[1]


def test_a_definition_for_every_party_asks_about_no_parties_itself() -> None:
    near = definition("near", "any_party({'end_user'}, plain)") + definition("plain", "p.us_status == 'none'")
    (found,) = errors(near, requirement("any_party({'purchaser'}, near)"))
    assert "`any_party` over `near` asks about parties again, in `near`: ask apart" in found
    assert errors(near, requirement("near(recipient)")) == []


E = {"class_": '"authorization"'}
BLOCKS = {
    "reasons that are no list": (R + block("exception", **E, lifts="[{ requirement = 'us.inv.a', reasons = 'NS' }]"), "`reasons = NS` is no list of reasons: write"),
    "no reasons of those lifted": (R + block("exception", **E, lifts="[{ requirement = 'us.inv.a', reasons = [] }]"), "`reasons = []` is no list of reasons"),
    "a lift of nothing": (R + block("exception", **E, lifts="[{ reasons = ['NS'] }]"), "`requirement` is missing or not text in `lifts`"),
    "an exception without its path": (R + block("exception", class_='"license_exception"', lifts="[{ requirement = 'us.inv.a' }]"), "a `license_exception` needs its `path`"),
    "a path that is a class": (R + block("exception", class_='"license_exception"', path='"carve_out"', lifts="[{ requirement = 'us.inv.a' }]"), "`carve_out` is a class of exceptions: give a `path` of its own"),
    "a class among the paths": (requirement("True", lifted_by='["license_exception"]'), "`license_exception` is a class: name the exceptions by path"),
    "a class in another spelling": (requirement("True", lifted_by='["authorisation"]'), "`authorisation` is no class; did you mean `authorization`?"),
    "a class that is none": (R + block("exception", class_='"authorisation"', lifts="[{ requirement = 'us.inv.a' }]"), "is not a `class`; did you mean `authorization`?"),
    "a key of a task that is a number": (R + block("exception", **E, lifts="[{ requirement = 'us.inv.a' }]", tasks="[{ due = 'with', key = 5, cite = 'c' }]"), "`key` is missing or not text in `tasks`"),
    "binds of nobody": (requirement("True", binds="[]"), "`binds = []` names nobody and nothing: leave it out"),
    "binds of a blank": (requirement("True", binds='[" acme"]'), "` acme` in `binds` begins or ends with a space: remove it"),
    "a supersession of no products": (R + block("overlay", kind='"supersession"', target='"us.inv.a"', products="[]"), "`products = []` names nobody and nothing"),
    "a reason that keys could not hold": (requirement("True", reasons='["a#b"]'), "`a#b` holds `#` or `@`"),
    "a stage that no coverage has": (requirement("True", stage='"frist"'), "no coverage of `us.inv` has a stage `frist`; did you mean `first`?"),
    "a review without its policy": (requirement("True", review="[{ when = 'True' }]"), "`policy` is missing or not text in `review`"),
    "a condition on an overlay": (R + block("overlay", kind='"end"', target='"us.inv.a"', when="'True'"), "`when` is a reserved word: this release does not read it"),
    "an unclear overlay": (R + block("overlay", kind='"end"', target='"us.inv.a"', unclear_when="'True'"), "`unclear_when` is a reserved word"),
    "readings of an overlay": (R + block("overlay", kind='"end"', target='"us.inv.a"', readings="{}"), "`readings` is a reserved word"),
    "conditions": (requirement("True", conditions="[]"), "`conditions` is a reserved word"),
    "a deemed act that is text": (block("scope", subject="'True'", acts="[{ kind = 'export', deemed = 'yes' }]"), "`deemed = yes` is neither `true` nor `false`"),
    "a destination that is a number": (block("scope", subject="'True'", acts="[{ kind = 'export', destination = 5 }]"), "`destination` is missing or not text in `acts`"),
    "a coverage of no kinds": (block("coverage", stages="[{ name = 'first' }]"), "a coverage needs the `kinds` of act that it covers"),
    "a stage without a name": (block("coverage", kinds="['export']", stages="[{ no_rule = 'c' }]"), "`name` is missing or not text in `stages`"),
    "a reason that is no text": (block("coverage", kinds="['export']", stages="[{ name = 'a', no_rule = true }]"), "`no_rule` is missing or not text in `stages`"),
    "a definition named as a call": (definition("any_of", "True"), "`any_of` already means something in a condition: give another `name`"),
    "a definition named as a word": (definition("and", "True"), "`and` already means something in a condition"),
    "a definition in other letters": (definition("t\u0430ll", "True", id='"us.inv.d"'), "`t\u0430ll` (`\u0430` is U+0430) is no plain name: write a to z"),
    "a parameter that is a word": (definition("tall", "True", parameter='"in"'), "`in` already means something in a condition: give another `parameter`"),
    "a citation of blanks": (block("bar", cite='"  "', blocks='["license_exception"]'), "`cite` is missing or not text"),
    "a citation that nobody sees": (block("bar", cite='"\\u001b[31m"', blocks='["license_exception"]'), "`cite` has a sign that nobody sees, `\\x1b`"),
    "an axis in two lines": (requirement("", axis='"a\\nb"', readings="{ wide = 'True', narrow = 'False' }"), "`axis` has a sign that nobody sees, `\\n`"),
    "a key in other letters": (requirement("True", **{'"g\u0430te"': '"own"'}), "unknown key `g\u0430te` (`\u0430` is U+0430) in a `requirement`; did you mean `gate`?"),
    "a key that stands twice": (block("bar", blocks='["license_exception"]\nblocks = []'), "`blocks` stands twice: keep one"),
    "quotes of a letter": (block("bar", blocks="\u201cAIA\u201d"), "not TOML at `blocks = \u201cAIA\u201d`: invalid value; text stands in quotes"),
    "a number of many digits": (block("bar", blocks="1" * 5000), "has too many digits"),
    "brackets without end": (block("bar", blocks="[" * 3000), "is nested too deep: no field needs that"),
    "a window within a window": (block("bar", blocks='["license_exception"]', from_="{ earliest = { earliest = 2020-01-01, latest = 2020-01-01 }, latest = 2020-01-02 }"), "a window has `earliest` and `latest`, both instants"),
    "an end that is no instant": (block("bar", blocks='["license_exception"]', until='"soon"'), "us/inv/9.md:12: `soon` is not an instant"),
    "a day of knowledge without a zone": (block("bar", blocks='["license_exception"]', known="2020-01-01T00:00:00"), "us/inv/9.md:12: `2020-01-01T00:00:00` has no zone"),
    "an instant before all calendars": (block("bar", blocks='["license_exception"]', from_="0001-01-01T00:00:00+14:00"), "`0001-01-01T00:00:00+14:00` lies beyond the calendar: write a year from 2 to 9998"),
    "an instant after all calendars": (block("bar", blocks='["license_exception"]', until="9999-12-31T23:59:59-14:00"), "lies beyond the calendar"),
    "a condition that is true": (requirement("", when="true"), "`when` must be a condition in quotes, and `True` is not text"),
    "no subject": (block("scope", acts="[{ kind = 'export' }]"), "`subject` must be a condition in quotes, and is missing"),
}  # fmt: skip


@pytest.mark.parametrize("what", BLOCKS)
def test_a_key_that_says_less_than_it_seems_is_one_error(what: str) -> None:
    text, message = BLOCKS[what]
    found = errors(text)
    assert len(found) == 1, found
    assert found[0].startswith("us/inv/9.md:")
    assert found[0].isprintable()
    assert message in found[0]


def test_forever_may_be_written_as_the_last_day_there_is() -> None:
    (found,) = load(shelf(requirement("True", until="9999-12-31"))).of(blocks.Requirement)
    assert found.span.end is not None


def test_three_of_one_id_are_two_errors_and_three_overlays_too() -> None:
    assert len(errors(R, R, R)) == 2
    ends = [
        block("overlay", id=f'"us.inv.o{number}"', kind='"end"', target='"us.inv.a"') for number in range(3)
    ]
    assert len(errors(requirement("True", id='"us.inv.a"', binds='["acme"]'), *ends)) == 2


WORDS = {
    '[item.a]\ntype = "interval"\ncite = "c"': "`interval` is a reserved word: this release knows `bool`, `enum`,",
    '[item.a]\ntype = "counter"\ncite = "c"': "`counter` is a reserved word",
    '[item.a]\ntype = "number"\nunit = "0"\ncite = "c"': "`unit = 0` of `item.a` is no unit: write a number above 0, like `1e18`",
    '[item.a]\ntype = "number"\nunit = "-1"\ncite = "c"': "`unit = -1` of `item.a` is no unit",
    '[item.a]\ntype = "number"\nunit = "nan"\ncite = "c"': "`unit = nan` of `item.a` is no unit",
    '[item.a]\ntype = "number"\nunit = "1e-999999"\ncite = "c"': "`unit = 1e-999999` of `item.a` is no unit",
    '[item.a]\ntype = "bool"\nunit = "1"\ncite = "c"': "`unit` goes with the type `number`, and `item.a` is of type `bool`",
    '[item.a]\ntype = "bool"\nvalues = ["x"]\ncite = "c"': "`item.a` is no enum and has `values`: leave them out",
    '[item.a]\ntype = "enum"\nvalues = ["x", "x"]\ncite = "c"': "`x` stands twice in `values` of `item.a`: keep one",
    '[item.a]\ntype = "enum"\nvalues = ["x "]\ncite = "c"': "`x ` in `values` of `item.a` begins or ends with a space",
    '[item.a]\ntype = "bool"\ncite = "c"\nknowledge = "yes"': "`knowledge = yes` of `item.a` is neither `true` nor `false`",
    '[item.a]\ntype = "bool"\ncite = "c"\nlevel = "S9"': "`level = S9` of `item.a` is not one that there is: write one of `S0`,",
    '[item.a]\ntype = "bool"\ncite = " "': "`item.a` has no citation",
    '[item."a b"]\ntype = "bool"\ncite = "c"': "`a b` is no plain name: write a to z, digits and `_`",
    '[item.and]\ntype = "bool"\ncite = "c"': "`and` is no plain name",
    '[recipient.us_status]\ntype = "bool"\ncite = "c"': "`recipient.us_status` is declared as `party.us_status` already, which is read for it: keep one",
    '[party.insider]\ntype = "bool"\ncite = "c"': "`party.insider` is declared as `exporter.insider` already",
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_an_own_shelf_that_can_not_be_is_one_error_on_its_line(word: str) -> None:
    own = {"terms.toml": f"format = 1\n\n{word}\n".encode(), "us/own/1.md": FRONT.encode()}
    with pytest.raises(RulesError) as caught:
        load(shelf(), own, names=["", "own/"])
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("own/terms.toml", 3)
    assert WORDS[word] in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "terms.toml:1: no `format`: write `format = 1` at the top"),
        ("format = 2", "terms.toml:1: `format = 2` is not one this release reads"),
        (
            "format = 1\nroles = 'end_user'",
            'terms.toml:2: `roles = end_user` is no list: write `roles = ["end_user"]`',
        ),
        ("format = 1\nroles = [5]", "terms.toml:2: `5` is no role"),
        ("format = 1\nroles = ['recipient']", "terms.toml:2: `recipient` is no role"),
        ("format = 1\nitem = 5", "terms.toml:2: `item = 5` is no table: write `[item.NAME]` for each word"),
        (
            "format = 1\n[act.kind]\ntype = 'bool'",
            "terms.toml:2: unknown entity `act`: write words of `transaction`,",
        ),
    ],
)
def test_words_that_can_not_be_read_are_one_error(text: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        load({"terms.toml": text.encode()})
    assert [str(problem).startswith(message) for problem in caught.value.problems] == [True], caught.value


def test_a_letter_in_full_width_is_the_letter_that_python_reads() -> None:
    (found,) = load(shelf(requirement("\uff45xporter.insider"))).of(blocks.Requirement)
    assert found.when == tree.Holds(tree.Term("exporter", "insider"))
