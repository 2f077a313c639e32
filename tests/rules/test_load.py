"""What the loader makes of a shelf, and the digest of it."""

import datetime as dt

from tests.rules.invented import FRONT, SCOPE, TERMS, block, requirement, shelf

from carnet.rules import blocks, tree
from carnet.rules.check import load


def test_a_bare_date_is_midnight_of_the_authority_and_a_window_is_kept() -> None:
    window = "{ earliest = 2026-06-30T22:26:00Z, latest = 2026-06-30T22:55:00Z }"
    rulebook = load(
        shelf(requirement("True", id='"us.inv.a"'), requirement("True", id='"us.inv.b"', from_=window))
    )
    a, b = (rule.span.start for rule in rulebook.of(blocks.Requirement))
    assert a.earliest == a.latest == dt.datetime(2020, 1, 1, 5, tzinfo=dt.UTC)
    assert (b.latest - b.earliest) == dt.timedelta(minutes=29)


def test_binds_restricts_a_rule_to_those_bound_and_raises_a_flag_for_others() -> None:
    rulebook = load(shelf(requirement("item.operations >= 1e26", binds='["acme"]')))
    (rule,) = rulebook.of(blocks.Requirement)
    (flag,) = rulebook.of(blocks.RedFlag)
    ours = tree.In(tree.Term("exporter", "id"), tree.Literals(frozenset({"acme"})))
    many = tree.Compare(tree.Term("item", "operations"), ">=", 10**8)
    assert rule.when == tree.And((ours, many))
    assert (flag.id, flag.open_when_unknown) == ("us.inv.x#bound", True)


def test_a_condition_is_read_as_written() -> None:
    text = "not (recipient.us_status != 'citizen' or item.product not in {'a', 'b'}) and elapsed(recipient.hired, years=2)"  # noqa: E501 -- a condition and its message, side by side
    (rule,) = load(shelf(requirement(text))).of(blocks.Requirement)
    status = tree.Equals(tree.Term("recipient", "us_status"), "citizen")
    product = tree.In(tree.Term("item", "product"), tree.Literals(frozenset({"a", "b"})))
    either = tree.Or((tree.Not(status), tree.Not(product)))
    assert rule.when == tree.And((tree.Not(either), tree.Elapsed(tree.Term("recipient", "hired"), 2)))


def test_roles_that_are_entities_are_called_and_the_others_looped_over() -> None:
    definition = block(
        "definition",
        id='"us.inv.d"',
        name='"d"',
        parameter='"p"',
        of='"party"',
        when="\"p.us_status == 'none'\"",
    )
    text = "all_party({'recipient', 'end_user'}, d, if_empty=False)"
    (rule,) = load(shelf(definition, requirement(text))).of(blocks.Requirement)
    group = tree.Parties("all", ("end_user",), "d", True)
    assert rule.when == tree.And((tree.Call("d", "recipient"), group))


def test_a_table_makes_one_list_per_column_and_a_dash_is_outside_the_domain() -> None:
    table = "id,name,NS 1,A:1\nFR,France,X,\nDE,Germany,,X\nCU,Cuba,-,-\n"
    text = block(
        "list",
        type='"country"',
        csv='"t.csv"',
        columns='["NS 1", "A:1"]',
        follows='{ MC = "FR" }',
        dated='[{ column = "A:1", id = "FR", from = 2024-01-01, until = 2025-01-01 }]',
    )
    rulebook = load({**shelf(text), "us/inv/t.csv": table.encode()})
    found = {block.id: block for block in rulebook.of(blocks.List)}
    assert sorted(found) == ["us.inv.x.A_1", "us.inv.x.NS_1"]
    assert [row.id for row in found["us.inv.x.NS_1"].members] == ["FR", "MC"]
    assert found["us.inv.x.NS_1"].domain == {"FR", "DE", "MC"}
    dated = {row.id: row.span for row in found["us.inv.x.A_1"].members}
    assert dated["FR"].end is not None
    assert dated["DE"].end is None


def test_a_domain_may_be_another_list() -> None:
    world = block("list", id='"us.inv.world"', type='"country"', members='["FR", "DE", "IT"]')
    rulebook = load(shelf(world, block("list", type='"country"', members='["FR"]', domain='"us.inv.world"')))
    assert {block.id: block.domain for block in rulebook.of(blocks.List)}["us.inv.x"] == {"FR", "DE", "IT"}


def test_the_digest_is_of_what_is_said_and_not_of_where() -> None:
    one, two = requirement("True", id='"us.inv.a"'), requirement("False", id='"us.inv.b"')
    together = load(shelf(one, two)).digest
    apart = {"terms.toml": TERMS.encode(), "us/inv/x.md": (FRONT + "words\n" + two).encode()}
    apart |= {"us/inv/1.md": (FRONT + SCOPE).encode(), "us/inv/y.md": (FRONT + one).encode()}
    assert load(apart).digest == together
    assert load(shelf(two, one)).digest == together
    assert load(shelf(one, requirement("True", id='"us.inv.b"'))).digest != together


def test_two_shelves_are_one_rulebook() -> None:
    whole = shelf(requirement("True", id='"us.inv.a"'))
    own = {"us/notices/n.md": (FRONT + requirement("True", id='"us.notice"', gate='"own"')).encode()}
    assert [rule.id for rule in load(whole, own).of(blocks.Requirement)] == ["us.inv.a", "us.notice"]


def test_an_untranslatable_text_keeps_its_outer_bound() -> None:
    text = block("requirement", reasons='["NS"]', untranslatable="true", outer="'exporter.insider'")
    (rule,) = load(shelf(text)).of(blocks.Requirement)
    assert rule.when == tree.And((tree.Holds(tree.Term("exporter", "insider")), tree.Open("untranslatable")))


def test_a_case_keeps_its_facts_and_its_instants() -> None:
    text = block(
        "case",
        id="",
        cite="",
        from_="",
        note='"n"',
        at="2021-01-01",
        given="{ 'exporter.insider' = true }",
        expect="{ outcome = 'not_an_event' }",
    )
    (case,) = load(shelf(text)).cases
    wanted = ({"exporter.insider": True}, {"outcome": "not_an_event"}, case.at)
    assert (case.given, case.expect, case.known) == wanted
