"""What may have been meant as a rule is read or named: fences, front matter, bytes. Nothing is passed over."""
# ruff: noqa: E501 -- a line of a file and its sentence read best on one line each

import pytest
from tests.rules.invented import FRONT, SCOPE, TERMS, block, requirement, shelf

from carnet.model.errors import RulesError
from carnet.rules import blocks
from carnet.rules.check import load

RULE = requirement("exporter.insider")
FENCE, CLOSE = "```toml requirement\n", "'\n```\n"


def errors(text: str | bytes, **more: bytes) -> list[str]:
    """The problems of the invented law with that text as its third file."""
    data = text.encode() if isinstance(text, str) else text
    try:
        load(
            {
                "terms.toml": TERMS.encode(),
                "us/inv/1.md": (FRONT + SCOPE).encode(),
                "us/inv/9.md": data,
                **more,
            }
        )
    except RulesError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_the_rule_itself_loads() -> None:
    assert errors(FRONT + RULE) == []


OPENINGS = {
    "```toml\n": "```` ```toml ```` names no kind of block: write ```` ```toml KIND ````",
    "```requirement\n": "```` ```requirement ```` opens no block: write ```` ```toml requirement ````, at the start of the line",
    "```TOML requirement\n": "opens no block: write ```` ```toml requirement ````",
    "``` toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "````toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "~~~toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "  ```toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "> ```toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "- ```toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "```{toml} requirement\n": "opens no block: write ```` ```toml requirement ````",
    "``toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "toml requirement\n": "opens no block: write ```` ```toml requirement ````",
    "```TOML requirment\n": "opens no block: write ```` ```toml KIND ````, at the start of the line; did you mean `requirement`?",
    "```toml Requirement\n": "`Requirement` is not a kind of block; did you mean `requirement`?",
    "```toml red-flag\n": "`red-flag` is not a kind of block; did you mean `red_flag`?",
    "```toml requirement # mine\n": "`requirement # mine` is not a kind of block; did you mean `requirement`?",
    "```toml counter\n": "`counter` is a reserved word: this release has no such block",
    "```\n": '`id = "us.inv.x"` stands in a fence that opens no block: write ```` ```toml KIND ````',
    "": '`id = "us.inv.x"` stands outside any block: open one before it with ```` ```toml KIND ````',
    "<!--\n```toml requirement\n": "the block `requirement` stands in the comment of line 7: take it out",
}


@pytest.mark.parametrize("opening", OPENINGS)
def test_an_opening_that_is_none_is_one_error_on_its_line(opening: str) -> None:
    found = errors(FRONT + RULE.replace(FENCE, opening))
    assert len(found) == 1, found
    assert found[0].startswith(f"us/inv/9.md:{8 if '<!--' in opening else 7}: "), found
    assert OPENINGS[opening] in found[0]


def test_a_block_that_is_not_closed_is_named_where_it_opens_and_nothing_else() -> None:
    other = block("bar", id='"us.inv.b"', blocks='["license_exception"]')
    message = "us/inv/9.md:7: the block `requirement` is not closed: end it with a line ```` ``` ````"
    assert errors(FRONT + RULE.replace(CLOSE, "'\n") + other) == [message]
    assert errors(FRONT + RULE.replace(CLOSE, "'\n")) == [message]


def test_a_block_inside_a_fence_that_is_not_closed_is_named() -> None:
    assert errors(FRONT + "```\nwords\n\n" + RULE) == [
        "us/inv/9.md:10: `toml requirement` begins inside the fence of line 7: close that one first"
    ]


def test_a_fence_of_words_is_no_block() -> None:
    assert errors(FRONT + "```\nwords\n```\n\n~~~text\nmore\n~~~\n" + RULE) == []


@pytest.mark.parametrize("close", ["```", "```  ", "  ```", "````"])
def test_a_block_may_be_closed_as_markdown_closes_it(close: str) -> None:
    assert errors(FRONT + RULE.replace(CLOSE, f"'\n{close}\n")) == []


def test_a_comment_that_is_closed_hides_nothing() -> None:
    assert errors(FRONT + "<!-- words\nmore -->\n<!-- one --> <!-- two -->\n" + RULE) == []


@pytest.mark.parametrize("change", [("\n", "\r\n"), ("\n", "\r"), ("+++\nformat", "\ufeff+++\nformat")])
def test_other_line_ends_and_a_mark_of_the_byte_order_change_nothing(change: tuple[str, str]) -> None:
    text = (FRONT + RULE).replace(*change) if change[0] == "\n" else f"\ufeff{FRONT}{RULE}"
    plain, other = shelf(RULE), {**shelf(), "us/inv/9.md": text.encode()}
    assert load(plain).digest == load(other).digest


def test_a_file_may_end_in_capital_letters() -> None:
    files = {**shelf(), "us/inv/10.MD": (FRONT + RULE).encode()}
    assert [rule.file for rule in load(files).of(blocks.Requirement)] == ["us/inv/10.MD"]


BYTES = {
    b"": "us/inv/9.md:1: no front matter: begin the file with `+++`, `format = 1`",
    b"\n" + FRONT.encode(): "us/inv/9.md:1: no front matter",
    b"---\ntitle: x\n---\n": "us/inv/9.md:1: no front matter",
    b"+++\nformat = 1\n": "us/inv/9.md:1: the front matter is not closed",
    FRONT.encode()
    + b"words\n\x1b[31m red": "us/inv/9.md:8: `\\x1b` is a sign that nobody sees: leave it out",
    FRONT.encode() + b"\x00": "us/inv/9.md:7: `\\x00` is a sign that nobody sees: leave it out",
    FRONT.encode() + "\u202e".encode(): "us/inv/9.md:7: `\\u202e` is a sign that nobody sees: leave it out",
    (FRONT + RULE).encode("utf-16"): "us/inv/9.md:1: byte `0xff` is not UTF-8: save the file as UTF-8",
}


@pytest.mark.parametrize("data", BYTES, ids=lambda data: repr(data[:20]))
def test_a_file_of_other_bytes_is_one_error(data: bytes) -> None:
    found = errors(data)
    assert len(found) == 1, found
    assert found[0].startswith(BYTES[data])


HEADS = {
    (
        "format = 1",
        "format = 2",
    ): "2: `format = 2` is not one this release reads: the front matter needs `format = 1`",
    ("format = 1", "format = 1.0"): "2: `format = 1.0` is not one this release reads",
    ("format = 1", "format = true"): "2: `format = True` is not one this release reads",
    ("format = 1\n", ""): "1: no `format`: the front matter needs `format = 1`",
    (
        'title = "An',
        'title = ["An',
    ): '3: not TOML at `title = ["An invented provision"`: unclosed array; close it with `]`',
    (
        'title = "An invented provision"',
        "title = 5",
    ): "3: `title` is missing or not text: the front matter needs",
    ('title = "An', 'title = "\\u001b'): "3: `title` has a sign that nobody sees, `\\x1b`: leave it out",
    ("source =", "sauce ="): "4: unknown key `sauce` in the front matter; did you mean `source`?",
    ("dated = 2026-01-01", "dated = 5"): "5: `dated = 5` is not a date: write `2026-11-24`",
    ("dated =", "verified = 2026-01-01T00:00:00\ndated ="): "5: `2026-01-01T00:00:00` has no zone",
    ("dated =", "verified = 9999-12-31\ndated ="): "5: `verified = 9999-12-31` lies beyond what anybody saw",
    ("dated =", "regime = 5\ndated ="): "5: `regime` is missing or not text",
    ("dated =", 'regime = "US EAR"\ndated ='): "5: `US EAR` is not a regime: write it like `us.ear`",
    ("dated =", "format = 1\ndated ="): "5: `format` stands twice: keep one",
}


@pytest.mark.parametrize("change", HEADS, ids=lambda change: change[1][:30])
def test_front_matter_that_is_wrong_is_one_error_on_its_line(change: tuple[str, str]) -> None:
    found = errors(FRONT.replace(*change) + RULE + RULE)
    assert len(found) == 1, found
    assert found[0].startswith(f"us/inv/9.md:{HEADS[change]}"), found


def test_a_file_on_no_path_of_a_law_needs_a_regime() -> None:
    files = {**shelf(), "x.md": (FRONT + RULE).encode()}
    with pytest.raises(RulesError, match=r"x\.md:1: the file lies on no path of a law: put it below one"):
        load(files)
    own = FRONT.replace("dated", 'regime = "us.inv"\ndated') + RULE.replace(
        "2020-01-01", "2020-01-01T00:00:00Z"
    )
    assert load({**shelf(), "x.md": own.encode()})


def test_a_day_of_a_last_look_needs_no_zone_anywhere() -> None:
    rule = requirement("True", from_="2020-01-01T00:00:00Z", gate='"own"', stage="")
    head = FRONT.replace("dated", "verified = 2026-01-01\ndated")
    (found,) = load({**shelf(), "eu/x/1.md": (head + rule).encode()}).of(blocks.Requirement)
    assert found.verified is not None


def test_what_can_not_be_read_is_told_before_all_that_follows_from_it() -> None:
    broken = TERMS.replace('[exporter.insider]\ntype = "bool"', '[exporter.insider]\ntype = "boole"')
    assert "`boole` is not a type" in errors_of(broken)[0]
    assert len(errors_of(broken)) == 1
    listed = block("list", id='"us.inv.l"', type="country", members='["FR"]')
    uses = requirement("transaction.sent_to in list('us.inv.l')")
    assert len(errors(FRONT + listed + uses)) == 1
    assert len(errors(FRONT + definition_of("tall", "p.hired") + requirement("tall(recipient)"))) == 1


def errors_of(terms: str) -> list[str]:
    with pytest.raises(RulesError) as caught:
        load(shelf(RULE, terms=terms))
    return str(caught.value).splitlines()


def definition_of(name: str, when: str, **keys: str) -> str:
    given = {"id": f'"us.inv.d.{name}"', "name": f'"{name}"', "parameter": '"p"', "of": '"party"'}
    return block("definition", **given, when=repr(when), **keys)


FOLLOW = {
    "a definition about nothing": definition_of("tall", "True").replace('"party"', '"person"')
    + requirement("tall(recipient)"),
    "a definition with a name that is none": definition_of("tall", "True").replace('"tall"', '"ta ll"')
    + requirement("tall(recipient)"),
    "a list with a type that is none": block("list", id='"us.inv.l"', type='"contry"', members='["FR"]')
    + requirement("transaction.sent_to in list('us.inv.l')"),
    "a list with an id that is none": block("list", id='"US L"', type='"country"', members='["FR"]')
    + requirement("transaction.sent_to in list('us.inv.l')"),
    "a list without an id": block("list", id="", type='"country"', members='["FR"]')
    + requirement("transaction.sent_to in list('us.inv.l')"),
    "a requirement that is lifted and ended": requirement("recipient.a", id='"us.inv.q"')
    + block("exception", class_='"carve_out"', lifts="[{ requirement = 'us.inv.q' }]")
    + block("overlay", id='"us.inv.o"', kind='"end"', target='"us.inv.q"'),
    "an exception that is barred": requirement("True", id='"us.inv.q"', lifted_by='["AIA"]')
    + block(
        "exception",
        class_='"license_exception"',
        path='"AIA"',
        lifts="[{ requirement = 'us.inv.q' }]",
        when="'recipient.a'",
    )
    + block("bar", id='"us.inv.b"', blocks='["AIA"]'),
    "a domain": block("list", id='"us.inv.w"', type='"country"', members='["France"]')
    + block("list", type='"country"', members='["FR"]', domain='"us.inv.w"'),
    "an id twice, and a case that speaks of it": requirement("True", id='"us.inv.q"') * 2
    + block(
        "case", id="", cite="", from_="", note='"n"', at="2021-01-01", expect="{ open = ['us.inv.other'] }"
    ),
}


@pytest.mark.parametrize("what", FOLLOW)
def test_nobody_is_blamed_for_speaking_of_a_block_that_is_wrong(what: str) -> None:
    found = errors(FRONT + FOLLOW[what])
    assert len(found) == 1, found


def test_rules_without_their_scope_are_not_blamed_for_it() -> None:
    files = {
        **shelf(requirement("True")),
        "us/inv/1.md": (FRONT + SCOPE.replace("subject =", "subjekt =")).encode(),
    }
    with pytest.raises(RulesError) as caught:
        load(files)
    assert len(caught.value.problems) == 1


def test_a_problem_names_the_file_by_its_shelf() -> None:
    own = {"us/inv/9.md": (FRONT + requirement("recipient.a")).encode()}
    other = {"us/inv/9.md": FRONT.encode(), "terms.toml": b"format = 2"}
    with pytest.raises(RulesError, match=r"^one/us/inv/9\.md:13: `recipient\.a`"):
        load(shelf(), own, {"us/inv/9.md": FRONT.encode()}, names=["", "one/", "two/"])
    with pytest.raises(RulesError, match=r"^two/terms\.toml:1: `format = 2` is not one"):
        load(shelf(), own, other, names=["", "one/", "two/"])


def test_of_two_that_clash_the_one_on_the_later_shelf_is_to_change() -> None:
    shipped = definition_of("z_tall", "True")
    own = {"us/own/1.md": (FRONT + definition_of("z_tall", "False").replace("us.inv.d", "us.inv.a")).encode()}
    with pytest.raises(
        RulesError,
        match=r"^own/us/own/1\.md:7: conflicting definitions of `z_tall` \(also `us/inv/9\.md:7`\)",
    ):
        load(shelf(shipped), own, names=["", "own/"])
