"""Every load error names file, line, the value in backticks and what to do."""

import pytest
from tests.rules.invented import FRONT, TERMS, block, definition, requirement, shelf

from carnet.model.errors import RulesError
from carnet.rules.check import load

LIST = block("list", id='"us.inv.l"', type='"country"', members='["FR", "DE"]')


def errors(*blocks: str, **keys: str) -> list[str]:
    try:
        load(shelf(*blocks, **keys))
    except RulesError as error:
        return str(error).splitlines()
    return []


CONDITIONS = {
    "recipient.us_statos == 'none'": "`recipient.us_statos` is not a known fact; did you mean `recipient.us_status`?",  # noqa: E501 -- a condition and its message, side by side
    "recipent.us_status == 'none'": "speaks of an unknown entity `recipent`; did you mean `recipient`?",
    "recipient.us_status == 'citisen'": "`'citisen'` is not a value of `party.us_status`; did you mean `citizen`?",  # noqa: E501 -- a condition and its message, side by side
    "recipient.us_status": "is of type `enum`: compare it with something",
    "exporter.insider == True": "compares a `bool` for equality: use it as it is, or with `not`",
    "foreign_persn(recipient)": "`foreign_persn(recipient)` calls something undefined; did you mean `foreign_person`?",  # noqa: E501 -- a condition and its message, side by side
    "foreign_person(item)": "is about a `party`, and `item` is a `item`",
    "foreign_person(recipient, exporter)": "takes one entity, as `foreign_person(recipient)`",
    "item.operations + 1 > 2": "`item.operations + 1` does arithmetic: give the result as a fact computed upstream",  # noqa: E501 -- a condition and its message, side by side
    "item.operations > 10**26": "`10**26` does arithmetic: give the result as a fact computed upstream, or as one number",  # noqa: E501 -- as above
    "exporter.insider + 1": "does arithmetic: give the result as a fact computed upstream",
    "item.operations >= 1.5": "is not a whole number of the unit `1e18` of `item.operations`",
    "item.operations >= 1e60": "is not a whole number of the unit `1e18` of `item.operations` within 64 bits",
    "item.operations >= 'many'": "must be a number, since `item.operations` is one",
    "1e26 < item.operations < 1e27": "is a chain: split it with `and`",
    "recipient.us_status < 'none'": "orders a `enum`: only numbers and dates have an order",
    "transaction.signed < '2020-01-01'": 'must be a date: write `date("2025-05-15")`',
    "transaction.signed < date('2020-13')": "`2020-13` is not a date: write `2025`, `2025-05` or `2025-05-15`",  # noqa: E501 -- a condition and its message, side by side
    "transaction.sent_to == 'France'": "is not a country: write its two capital letters, as `FR`",
    "transaction.sent_to in {}": "is not a set with members",
    "transaction.sent_to in list('us.inv.m')": "names a list that does not exist; did you mean `us.inv.l`?",
    "item.product in list('us.inv.l')": "holds members of type `country`, and `item.product` is of type `id`",
    "recipient.nationalities in {'FR'}": 'of a `set`: write `any_of(recipient.nationalities, {"FR", "DE"})`, or `all_of`',  # noqa: E501 -- a condition and its message, side by side
    "all_of(recipient.nationalities, {})": "is not a set with members",
    "all_of(recipient.nationalities, {'FR'})": "does not say what holds for an empty set: add `if_empty=True`",  # noqa: E501 -- a condition and its message, side by side
    "any_of(recipient.nationalities, {'FR'}, if_empty=True)": "needs no `if_empty`",
    "all_of(recipient.nationalities, {'FR'}, if_empty=1)": "needs `if_empty=True` or `if_empty=False`",
    "all_of(recipient.nationalities, {'FR'}, empty=True)": "takes no other keyword than `if_empty`",
    "any_of(recipient.us_status, {'none'})": "needs a set-valued fact, and `party.us_status` is of type `enum`",  # noqa: E501 -- a condition and its message, side by side
    "any_party({'end_usr'}, foreign_person)": "names an unknown role `end_usr`; did you mean `end_user`?",
    "any_party({'end_user'}, foreign)": "needs a definition about a `party`: `foreign` is not a definition",
    "all_party({'end_user'}, foreign_person)": "does not say what holds when there is no such party",
    "any_party({'end_user'}, foreign_person, if_empty=True)": "nothing holds of a party that is not there",
    "elapsed(recipient.hired, years=1.5)": "takes a date and whole years",
    "elapsed(recipient.us_status, years=1)": "takes a date and whole years",
    "is_unknown(recipient.us_status)": "may only stand in a `red_flag`",
    "most_recent(recipient.nationalities) == 'FR'": "needs statuses, and `party.nationalities` is of type `set`",  # noqa: E501 -- a condition and its message, side by side
    "recipient.us_status == item.product": "compares a `enum` with a `id`: both must be one type of value",
    "recipient.us_status is 'none'": "uses an operator that rules do not have",
    "recipient.a.b == 'c'": "is nested too deep: a fact is `entity.name`",
    "recipient.us_status ==": "is not a condition: write it like `a.b == 'c' and not d.e`",
    "[x for x in {'a'}]": "is not a condition: use `and`, `or`, `not`",
    "lambda: 1": "is not a condition",
    "'text'": "is not a condition",
    "recipient.us_status in ['none']": "is not a set with members",
    "act.kind == 'exprt'": "is not a value of `act.kind`; did you mean `export`?",
    "act.place == 'FR'": "`act.place` is not a known fact",
}


@pytest.mark.parametrize("when", CONDITIONS)
def test_an_unusable_condition_names_file_line_value_and_remedy(when: str) -> None:
    given = (LIST, definition("foreign_person", "p.us_status == 'none'"), requirement(when))
    found = errors(*given)
    assert len(found) == 1, found
    lines = shelf(*given)["us/inv/9.md"].decode().splitlines()
    head = f"us/inv/9.md:{lines.index(f'when = {when!r}') + 1}: "
    assert found[0].startswith(head), found
    assert CONDITIONS[when] in found[0]
    assert "`" in found[0][len(head) :]


BLOCKS = {
    "not a kind": (block("requirment"), "`requirment` is not a kind of block; did you mean `requirement`?"),
    "no id": (block("bar", id=""), "`id` is missing or not text"),
    "bad id": (block("bar", id='"Bar 1"'), "`Bar 1` is not an id"),
    "no cite": (block("bar", cite=""), "`cite` is missing or not text"),
    "no from": (block("bar", from_=""), "has no `from`: say since when it is in force"),
    "naive from": (
        block("bar", from_="2020-01-01T00:00:00"),
        "has no zone: add `Z` or an offset like `-04:00`",
    ),
    "text from": (block("bar", from_='"soon"'), "`soon` is not an instant"),
    "until before from": (block("bar", until="2019-01-01"), "`until` does not lie after `from`"),
    "window upside down": (
        block("bar", from_="{ earliest = 2020-01-02, latest = 2020-01-01 }"),
        "a window's `earliest` lies after its `latest`: swap them",
    ),
    "half a window": (
        block("bar", from_="{ earliest = 2020-01-02 }"),
        "a window has `earliest` and `latest`",
    ),
    "format": (block("bar", format="2"), "`format = 2` is not one this release reads: write `1`"),
    "unknown key": (
        requirement("True", resons='["NS"]'),
        "unknown key `resons` in a `requirement`; did you mean `reasons`?",
    ),
    "reserved": (requirement("True", counters="[]"), "`counters` is a reserved word"),
    "no reasons": (requirement("True", reasons="[]"), "a requirement needs `reasons`"),
    "reasons not texts": (requirement("True", reasons='"NS"'), "`reasons` must be a list of texts"),
    "gate": (requirement("True", gate='"open"'), "`open` is not a `gate`"),
    "one reading": (
        requirement("", axis='"a"', readings="{ wide = 'True' }"),
        "`readings` needs two values or more",
    ),
    "readings and when": (
        requirement("True", axis='"a"', readings="{ wide = 'True', narrow = 'False' }"),
        "`when` and `readings` exclude each other: keep one",
    ),
    "axis alone": (requirement("True", axis='"a"'), "`axis` goes with `readings`"),
    "outer alone": (requirement("True", outer="'True'"), "`outer` with `untranslatable = true`"),
    "untranslatable false": (requirement("", untranslatable="false"), "`untranslatable` can only be `true`"),
    "when a number": (
        block("requirement", reasons='["NS"]', when="3"),
        "`when` must be a condition in quotes",
    ),
    "review": (
        requirement("True", review="[{ policies = 'x' }]"),
        "unknown key `policies` in `review`; did you mean `policy`?",
    ),
    "deadline": (requirement("True", deadline="5"), "`5` is not an instant"),
    "receipt of no notice": (
        requirement("True", received_oral="2025-01-01T12:00:00Z"),
        "`received_oral` is about a notice: say in `binds` who received it",
    ),
    "receipt after the beginning": (
        requirement("True", binds="['x']", received_written="2026-01-01T12:00:00Z"),
        "a notice binds from its first receipt: write the same instant in `from`",
    ),
    "scope without acts": (block("scope", subject="'True'"), "a scope derives acts"),
    "act kind": (
        block("scope", subject="'True'", acts="[{ kind = 'exprt' }]"),
        "`exprt` is not a kind of act; did you mean `export`?",
    ),
    "act destination": (
        block("scope", subject="'True'", acts="[{ kind = 'export', destination = 'item.product' }]"),
        "`item.product` is not a country: name a term of type `country`",
    ),
    "act in scope": (
        block("scope", subject="\"act.kind == 'export'\"", acts="[{ kind = 'export' }]"),
        "speaks of an unknown entity `act`",
    ),
    "coverage kind": (
        block("coverage", kinds='["exprt"]', stages="[{ name = 'a' }]"),
        "`exprt` is not a kind of act",
    ),
    "coverage without stages": (block("coverage", kinds='["export"]'), "a coverage needs stages"),
    "parameter": (
        definition("d", "True", parameter='"item"'),
        "`item` already means something in a condition: give another `parameter`",
    ),
    "entity": (definition("d", "True", of='"person"'), "`person` is not a `of`"),
    "act in a definition": (definition("d", "act.deemed"), "speaks of an unknown entity `act`"),
    "exception class": (
        block("exception", class_='"waiver"', lifts="[{ requirement = 'a' }]"),
        "`waiver` is not a `class`",
    ),
    "exception lifts nothing": (block("exception", class_='"carve_out"'), "an exception says what it lifts"),
    "task due": (
        block(
            "exception", class_='"authorization"', lifts="[{ requirement = 'a' }]", tasks="[{ due = 'now' }]"
        ),
        "a task has `due` (before, with, after), `key` and `cite`",
    ),
    "carve-out with tasks": (
        block(
            "exception",
            class_='"carve_out"',
            lifts="[{ requirement = 'a' }]",
            tasks="[{ due = 'with', key = 'k', cite = 'c' }]",
        ),
        "a `carve_out` has no tasks",
    ),
    "overlay kind": (block("overlay", kind='"pause"', target='"us.inv.1"'), "`pause` is not a `kind`"),
    "overlay products": (
        block("overlay", kind='"stay"', target='"us.inv.1"', products='["p"]'),
        "only a `supersession` goes by products",
    ),
    "list without members": (block("list", type='"country"'), "a list has `members`, or `csv` and `columns`"),
    "list member": (block("list", type='"country"', members="[3]"), "a member is text or a table"),
    "list member key": (
        block("list", type='"country"', members="[{ id = 'FR', til = 2020-01-01 }]"),
        "unknown key `til` in a member; did you mean `until`?",
    ),
    "list csv": (
        block("list", type='"country"', csv='"a.csv"', columns='["A"]'),
        "`us/inv/a.csv` is not on the shelf",
    ),
    "case without expect": (
        block("case", id="", cite="", from_="", note='"n"', at="2021-01-01"),
        "a case needs `at`, `given` and `expect`",
    ),
    "case key": (
        block("case", id="", cite="", from_="", nota='"n"'),
        "unknown key `nota` in a `case`; did you mean `note`?",
    ),
    "not toml": (block("bar", blocks="[never"), "not TOML at `blocks = [never`: invalid value; text"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_an_unusable_block_names_file_line_value_and_remedy(name: str) -> None:
    text, message = BLOCKS[name]
    found = errors(text)
    assert found, "loaded"
    assert any(message in line for line in found), found
    assert all(line.startswith("us/inv/9.md:") for line in found), found


A, B = {"id": '"us.inv.a"'}, {"id": '"us.inv.b"'}
R = requirement("True", **A)
BETWEEN = {
    "same id": (R + R, "`us.inv.a` is defined twice"),
    "lifts nothing": (
        R + block("exception", class_='"carve_out"', lifts="[{ requirement = 'us.inv.aa' }]"),
        "lifts `us.inv.aa`, which is no requirement; did you mean `us.inv.a`?",
    ),
    "lifts a prohibition": (
        block("prohibition", **A)
        + block("exception", class_='"carve_out"', lifts="[{ requirement = 'us.inv.a' }]"),
        "`us.inv.a` is a prohibition: nothing lifts it",
    ),
    "lifts a reason": (
        R
        + block("exception", class_='"carve_out"', lifts="[{ requirement = 'us.inv.a', reasons = ['NP'] }]"),
        "`us.inv.a` has no reason `NP`",
    ),
    "one-sided exception": (
        R
        + block(
            "exception", class_='"license_exception"', path='"AIA"', lifts="[{ requirement = 'us.inv.a' }]"
        ),
        "`us.inv.a` does not name `AIA` in `lifted_by`: both sides must agree",
    ),
    "early carve-out": (
        R
        + block(
            "exception", class_='"carve_out"', from_="2019-01-01", lifts="[{ requirement = 'us.inv.a' }]"
        ),
        "a carve-out begins no earlier than what it lifts",
    ),
    "bar on nothing": (
        block("bar", blocks='["GOV"]'),
        "`GOV` is neither a class nor the path of an exception",
    ),
    "empty bar": (block("bar"), "a bar says what it `blocks`"),
    "flag defeats": (
        block("red_flag", defeats='["exporter.id"]'),
        "`exporter.id` carries no presumption to defeat",
    ),
    "flag reads what it defeats": (
        block("red_flag", defeats='["exporter.knowledge"]', when="\"exporter.knowledge == 'none'\""),
        "a cycle: the flag reads `exporter.knowledge`, whose presumption it defeats",
    ),
    "flag reads it through a definition": (
        definition("told", "exporter.knowledge == 'none'")
        + block("red_flag", defeats='["exporter.knowledge"]', when="'told(recipient)'"),
        "a cycle: the flag reads `exporter.knowledge`, whose presumption it defeats",
    ),
    "flag reads the act": (
        block("red_flag", defeats='["exporter.knowledge"]', when="'act.deemed'"),
        "it can't read `act`",
    ),
    "overlay on nothing": (
        R + block("overlay", kind='"stay"', target='"us.inv.aa"'),
        "overlay on `us.inv.aa`, which does not exist; did you mean `us.inv.a`?",
    ),
    "overlay on an overlay": (
        R
        + block("overlay", **B, kind='"stay"', target='"us.inv.a"')
        + block("overlay", kind='"stay"', target='"us.inv.b"'),
        "an overlay on an overlay is a reserved word",
    ),
    "overlay on a scope": (
        block("overlay", kind='"stay"', target='"us.inv.1"'),
        "an overlay acts on a rule, an exception, a bar, a flag or a list",
    ),
    "overlay on no member": (
        LIST + block("overlay", kind='"stay"', target='"us.inv.l#FI"'),
        "`us.inv.l#FI` names no member of `us.inv.l`",
    ),
    "overlay on a list": (
        LIST + block("overlay", kind='"stay"', target='"us.inv.l"'),
        "names no member of `us.inv.l`: write `us.inv.l#MEMBER`",
    ),
    "not enforced member": (
        LIST + block("overlay", kind='"not_enforced"', target='"us.inv.l#FR"'),
        "can't act on a list's member",
    ),
    "overlay on a rule's member": (
        R + block("overlay", kind='"stay"', target='"us.inv.a#FR"'),
        "`us.inv.a` is not a list: leave out `#FR`",
    ),
    "rival overlays": (
        R
        + block("overlay", **B, kind='"end"', target='"us.inv.a"')
        + block("overlay", kind='"end"', target='"us.inv.a"', from_="2021-01-01"),
        "conflicting overlays on `us.inv.a` with no priority (also `us.inv.b`)",
    ),
    "list twice": (
        block("list", type='"country"', members='["FR", { id = "FR", from = 2021-01-01 }]'),
        "`FR` stands in `us.inv.x` twice at once: end one row where the other begins",
    ),
    "outside the domain": (
        block("list", type='"country"', members='["FR"]', domain='["DE"]'),
        "`FR` is outside the domain of `us.inv.x`",
    ),
    "domain of nothing": (
        LIST + block("list", type='"country"', members='["FR"]', domain='"us.inv.m"'),
        "domain `us.inv.m` is not a list with members; did you mean `us.inv.l`?",
    ),
    "prevails over nothing": (
        block("list", type='"country"', members='["FR"]', prevails='"us.inv.m"'),
        "prevails over `us.inv.m`, which is no list",
    ),
    "prevails in a circle": (
        block("list", **A, type='"country"', members='["FR"]', prevails='"us.inv.b"')
        + block("list", **B, type='"country"', members='["FR"]', prevails='"us.inv.a"'),
        "a cycle: `us.inv.a` prevails over itself through `us.inv.b`",
    ),
    "two that prevail": (
        LIST
        + block("list", **A, type='"country"', members='["FR"]', prevails='"us.inv.l"')
        + block("list", **B, type='"country"', members='["FR"]', prevails='"us.inv.l"'),
        "`us.inv.a` and `us.inv.b` both prevail over `us.inv.l` with no priority",
    ),
    "conflicting definitions": (
        definition("d", "True") + definition("d", "False", id='"us.inv.d2"', from_="2021-01-01"),
        "conflicting definitions of `d`",
    ),
    "definitions about two things": (
        definition("d", "True", until="2021-01-01")
        + definition("d", "True", id='"us.inv.d2"', from_="2021-01-01", of='"item"'),
        "`d` is about a `party`",
    ),
    "definition in a window": (
        definition("d", "True", from_="{ earliest = 2020-01-01, latest = 2020-01-02 }"),
        "a definition needs exact instants",
    ),
    "an axis with other values": (
        block(
            "requirement", **A, reasons='["NS"]', axis='"a"', readings="{ wide = 'True', narrow = 'False' }"
        )
        + block("requirement", reasons='["NS"]', axis='"a"', readings="{ wide = 'True', strict = 'False' }"),
        "axis `a` has the readings `narrow`, `wide` in `us.inv.a`: state the same",
    ),
    "cycle": (
        definition("one", "two(p)") + definition("two", "three(p)") + definition("three", "one(p)"),
        "a cycle: `one` calls itself through",
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_blocks_that_contradict_each_other_are_a_load_error(name: str) -> None:
    text, message = BETWEEN[name]
    found = errors(text)
    assert any(message in line for line in found), found


def test_a_rule_that_waits_for_an_act_needs_a_scope_of_its_regime() -> None:
    message = "`us.inv.x` waits for an act, and no scope of `us.inv` finds any: set `regime`"
    assert any(message in line for line in errors(requirement("True"), scope=""))
    assert any(message in line for line in errors(requirement("act.deemed", gate='"own"'), scope=""))
    assert not errors(requirement("True", gate='"own"'), scope="")


def test_versions_of_a_definition_may_follow_each_other() -> None:
    one = definition("d", "True", until="2021-01-01")
    assert not errors(one + definition("d", "False", id='"us.inv.d2"', from_="2021-01-01"))


def test_stays_that_overlap_are_a_union_and_no_error() -> None:
    stays = block("overlay", **B, kind='"stay"', target='"us.inv.a"') + block(
        "overlay", kind='"stay"', target='"us.inv.a"'
    )
    assert not errors(R + stays)


def test_supersessions_of_two_products_are_no_conflict() -> None:
    one = block("overlay", **B, kind='"supersession"', target='"us.inv.a"', products='["p"]')
    assert not errors(
        R + one + block("overlay", kind='"supersession"', target='"us.inv.a"', products='["q"]')
    )
    same = block("overlay", kind='"supersession"', target='"us.inv.a"', products='["p", "q"]')
    assert errors(R + one + same)


WORDS = {
    '[item.a]\ntype = "txt"\ncite = "c"': "`txt` is not a type",
    '[item.a]\ntype = "bool"': "`item.a` has no citation",
    '[item.a]\ntype = "enum"\ncite = "c"': "`item.a` is an enum without `values`",
    '[item.a]\ntype = "set"\ncite = "c"': "a set says what it is `of`",
    '[item.a]\ntype = "bool"\ncite = "c"\nwhos = "user"': "unknown key `whos` of `item.a`; did you mean `who`?",  # noqa: E501 -- a condition and its message, side by side
    '[item.a]\ntype = "bool"\ncite = "c"\nwho = "friend"': "`who = friend` of `item.a` is not one that there is: write one of `user`,",  # noqa: E501 -- as above
    '[item.a]\ntype = "number"\ncite = "c"\nunit = "ten"': "`unit = ten` of `item.a` is not a decimal number",
    '[iten.a]\ntype = "bool"\ncite = "c"': "unknown entity `iten`; did you mean `item`?",
    '[item.a]\ntype = "country"\ncite = "c"\npresumption = { value = "FR", cite = "c" }': "may have no presumption",  # noqa: E501 -- a condition and its message, side by side
    '[party.us_status]\ntype = "bool"\ncite = "c"\npresumption = { value = true, cite = "c" }': "may have no presumption",  # noqa: E501 -- a condition and its message, side by side
    '[item.a]\ntype = "bool"\ncite = "c"\npresumption = { value = true }': "the law must supply it",
    '[item.a]\ntype = "bool"\ncite = "c"\npresumption = { value = "yes", cite = "c" }': "`yes` is not a value of `item.a`",  # noqa: E501 -- a condition and its message, side by side
}


@pytest.mark.parametrize("word", WORDS)
def test_an_unusable_word_names_its_line(word: str) -> None:
    with pytest.raises(RulesError) as caught:
        load({"terms.toml": f"format = 1\n\n{word}\n".encode()})
    assert [problem.line for problem in caught.value.problems] == [3]
    assert WORDS[word] in str(caught.value)


def test_a_word_may_be_declared_once_over_all_shelves() -> None:
    with pytest.raises(RulesError, match=r"`transaction.event` is declared twice"):
        load({"terms.toml": TERMS.encode()}, {"terms.toml": TERMS.encode()})


def test_a_file_of_ten_megabytes_is_one_error() -> None:
    with pytest.raises(RulesError, match=r"us/inv/9.md:1: the file has `10000000` bytes: split it"):
        load({"us/inv/9.md": b"x" * 10_000_000})


def test_bytes_that_are_not_utf8_name_their_line() -> None:
    with pytest.raises(RulesError, match=r"us/inv/9.md:3: byte `0xff` is not UTF-8: save the file as UTF-8"):
        load({"us/inv/9.md": b"a\nb\n\xff"})


def test_a_file_without_front_matter_is_one_error() -> None:
    with pytest.raises(RulesError, match=r"us/inv/9.md:1: no front matter"):
        load({"us/inv/9.md": b"# Words only\n"})


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (
            'format = 1\ntitle = "t"\nsauce = "s"',
            "unknown key `sauce` in the front matter; did you mean `source`?",
        ),
        ('title = "t"', "the front matter needs `format = 1`"),
        ('format = 1\ntitle = "t"\nverified = "soon"', "`verified = soon` is not a date"),
        ("format = ", "not TOML"),
    ],
)
def test_unusable_front_matter_is_one_error(front: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        load({"us/inv/9.md": f"+++\n{front}\n+++\n".encode()})
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def test_an_unclosed_fence_is_an_error() -> None:
    with pytest.raises(
        RulesError, match=r"us/inv/9\.md:7: the block `bar` is not closed: end it with a line"
    ):
        load({"us/inv/9.md": (FRONT + "```toml bar\nid = 'us.inv.x'\n").encode()})


def test_every_problem_is_reported_at_once_in_order_of_line() -> None:
    found = errors(requirement("recipient.a == 'b'", **A), requirement("recipient.c == 'd'", **B))
    assert len(found) == 2
    assert [line.split(":")[1] for line in found] == ["13", "22"]
