"""The sentences of docs/explanation/decision.md, each by an example, for every engine."""

import datetime as dt
from collections.abc import Callable, Mapping

import pytest
from tests.rules.invented import block, requirement, shelf

from carnet.engine import decide, reference
from carnet.model.determination import Answer, Choices
from carnet.model.facts import Group, Known, Partial, Status, Statuses, Unknown
from carnet.model.time import Days, days
from carnet.rules.check import load

AT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
SHIP: dict[str, Known] = {"transaction.event": "ship", "transaction.sent_to": "FR"}
FOREIGN = block(
    "definition",
    id='"us.inv.foreign"',
    name='"foreign"',
    parameter='"p"',
    of='"party"',
    when="\"p.us_status == 'none'\"",
)
LIST = block("list", id='"us.inv.l"', type='"country"', members='["FR"]', domain='["FR", "DE"]')
NONE = block("requirement", id='"us.inv.none"', reasons='["NS"]', stage='"first"', when="'False'")

Engine = Callable[..., Answer]


@pytest.fixture(params=[reference.answer, decide.answer], ids=["reference", "decide"])
def engine(request: pytest.FixtureRequest) -> Engine:
    made: Engine = request.param
    return made


def ask(
    engine: Engine,
    *blocks: str,
    at: dt.datetime = AT,
    known: dt.datetime | None = None,
    choices: Choices | None = None,
    stated: Mapping[str, Known] | None = None,
    **values: Known,
) -> Answer:
    facts = {**SHIP, **{key.replace("__", "."): value for key, value in values.items()}}
    rulebook = load(shelf(*blocks, NONE, FOREIGN))
    return engine(rulebook, facts, at, known or at, choices or Choices(), stated or {})


def exception(kind: str, when: str, **keys: str) -> str:
    given = {"id": f'"us.inv.e.{kind}"', "class_": f'"{kind}"', "lifts": "[{ requirement = 'us.inv.x' }]"}
    return block("exception", **(given | {"when": repr(when)} | keys))


def needs(when: str, **keys: str) -> str:
    return requirement(when, **({"lifted_by": '["authorization", "carve_out", "AIA"]'} | keys))


def test_nothing_found_is_a_positive_finding(engine: Engine) -> None:
    assert ask(engine).outcome == "no_license_required"


def test_a_stage_without_rules_is_for_a_human(engine: Engine) -> None:
    answer = engine(load(shelf()), SHIP, AT, AT, Choices())
    assert (answer.outcome, answer.undecided) == ("needs_human", ("gap@0",))


def test_a_cited_reason_why_no_rule_reaches_the_act_covers_its_stage(engine: Engine) -> None:
    answer = engine(load(shelf()), {"transaction.event": "use"}, AT, AT, Choices())
    assert answer.outcome == "no_license_required"


def test_what_is_no_act_is_not_an_event(engine: Engine) -> None:
    assert ask(engine, transaction__event="show").outcome == "not_an_event"


def test_an_empty_rulebook_permits_nothing(engine: Engine) -> None:
    assert engine(load(), {}, AT, AT, Choices()).outcome == "needs_human"


def test_a_missing_fact_is_asked_for(engine: Engine) -> None:
    answer = ask(engine, needs("foreign(recipient)"))
    assert (answer.outcome, answer.asks) == ("needs_facts", ("recipient.us_status",))
    assert answer.may_still_be == ("license_required", "permitted")


def test_a_fact_that_cannot_matter_is_not_asked_for(engine: Engine) -> None:
    answer = ask(engine, needs("foreign(recipient) and item.product == 'a'"), item__product="b")
    assert (answer.outcome, answer.asks) == ("no_license_required", ())


def test_a_conflict_is_for_a_human(engine: Engine) -> None:
    answer = ask(engine, needs("foreign(recipient)"), recipient__us_status=Unknown("conflict"))
    assert (answer.outcome, answer.asks) == ("needs_human", ())


def test_a_conflict_that_an_answer_could_make_idle_is_still_an_ask(engine: Engine) -> None:
    rule = needs("foreign(recipient) and exporter.insider")
    answer = ask(engine, rule, recipient__us_status=Unknown("conflict"))
    assert (answer.outcome, answer.asks) == ("needs_facts", ("exporter.insider",))


def test_candidates_that_agree_decide(engine: Engine) -> None:
    rule = needs("transaction.sent_to in {'FR', 'DE'}")
    both = Unknown("missing", frozenset({"FR", "DE"}))
    assert ask(engine, rule, transaction__sent_to=both).outcome == "license_required"
    some = Unknown("missing", frozenset({"FR", "IT"}))
    assert ask(engine, rule, transaction__sent_to=some).asks == ("transaction.sent_to",)


def test_an_incomplete_set_never_makes_any_of_false_nor_all_of_true(engine: Engine) -> None:
    either = needs("any_of(recipient.nationalities, {'FR'})")
    every = needs("not all_of(recipient.nationalities, {'FR'}, if_empty=True)")
    for value, any_of, all_of in (
        (frozenset({"DE"}), "no_license_required", "license_required"),
        (frozenset({"FR"}), "license_required", "no_license_required"),
        (frozenset(), "no_license_required", "no_license_required"),
        (Partial(frozenset({"DE"})), "needs_facts", "license_required"),
        (Partial(frozenset({"FR"})), "license_required", "needs_facts"),
    ):
        assert ask(engine, either, recipient__nationalities=value).outcome == any_of
        assert ask(engine, every, recipient__nationalities=value).outcome == all_of


def test_no_such_party_and_party_unknown_differ(engine: Engine) -> None:
    rule = needs("any_party({'end_user'}, foreign)")
    assert ask(engine, rule).asks == ("parties.end_user",)
    assert ask(engine, rule, parties__end_user=Group((), True)).outcome == "no_license_required"
    someone = Group(({"us_status": "citizen"}, {}), True)
    assert ask(engine, rule, parties__end_user=someone).asks == ("parties.end_user[1].us_status",)
    more = Group(({"us_status": "citizen"},), False)
    assert ask(engine, rule, parties__end_user=more).asks == ("parties.end_user",)


def test_the_most_recent_residency_counts_and_overlapping_dates_are_candidates(engine: Engine) -> None:
    rule = needs("most_recent(recipient.statuses) == 'CN'")
    first, later = Status("CN", days("1990")), Status("FR", days("2010-05"))
    assert (
        ask(engine, rule, recipient__statuses=Statuses((first, later), True)).outcome == "no_license_required"
    )
    assert ask(engine, rule, recipient__statuses=Statuses((first,), False)).asks == ("recipient.statuses",)
    same = Statuses((Status("CN", days("2010")), later), True)
    assert ask(engine, rule, recipient__statuses=same).outcome == "needs_facts"
    assert ask(engine, rule, recipient__statuses=Statuses((), True)).outcome == "needs_human"


@pytest.mark.parametrize(
    ("signed", "outcome"),
    [
        ("2024", "license_required"),
        ("2025-05", "needs_facts"),
        ("2025-05-15", "no_license_required"),
        ("2026", "no_license_required"),
    ],
)
def test_a_partial_date_is_an_interval(engine: Engine, signed: str, outcome: str) -> None:
    assert (
        ask(
            engine, needs('transaction.signed < date("2025-05-15")'), transaction__signed=days(signed)
        ).outcome
        == outcome
    )


def test_elapsed_is_counted_to_the_instant(engine: Engine) -> None:
    rule = needs("elapsed(recipient.hired, years=1)")
    hired: Days = days("2025-06-01")
    turn = dt.datetime(2026, 6, 1, 4, tzinfo=dt.UTC)
    before = ask(engine, rule, at=turn - dt.timedelta(seconds=1), recipient__hired=hired)
    assert before.outcome == "no_license_required"
    assert ask(engine, rule, at=turn, recipient__hired=hired).outcome == "license_required"


def test_outside_a_lists_domain_membership_is_for_a_human(engine: Engine) -> None:
    rule = needs("act.destination in list('us.inv.l')")
    assert ask(engine, LIST, rule).outcome == "license_required"
    assert ask(engine, LIST, rule, transaction__sent_to="DE").outcome == "no_license_required"
    assert ask(engine, LIST, rule, transaction__sent_to="IT").outcome == "needs_human"


def test_outside_a_lists_content_the_operator_is_asked(engine: Engine) -> None:
    old = block("list", id='"us.inv.l"', type='"country"', members='["FR"]', complete_until="2026-01-01")
    answer = ask(engine, old, needs("act.destination in list('us.inv.l')"))
    assert (answer.outcome, answer.asks) == ("needs_facts", ("list:us.inv.l",))


def test_a_list_that_prevails_replaces_the_other(engine: Engine) -> None:
    other = block("list", id='"us.inv.m"', type='"country"', members='["DE"]', prevails='"us.inv.l"')
    rule = needs("act.destination in list('us.inv.l')")
    assert ask(engine, LIST, other, rule).outcome == "no_license_required"
    assert ask(engine, LIST, other, rule, transaction__sent_to="DE").outcome == "license_required"


def test_an_overlay_takes_a_member_out(engine: Engine) -> None:
    end = block("overlay", id='"us.inv.o"', kind='"end"', target='"us.inv.l#FR"', from_="2026-01-01")
    assert (
        ask(engine, LIST, end, needs("act.destination in list('us.inv.l')")).outcome == "no_license_required"
    )


def test_a_rule_not_yet_known_is_not_there(engine: Engine) -> None:
    rule = needs("True", known="2026-05-01")
    before = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    assert ask(engine, rule, known=before).outcome == "no_license_required"
    assert ask(engine, rule).outcome == "license_required"


def test_force_is_half_open_and_unknown_inside_a_window(engine: Engine) -> None:
    rule = needs(
        "True", from_="{ earliest = 2026-05-31T00:00:00Z, latest = 2026-06-02T00:00:00Z }", known="2026-01-01"
    )
    assert ask(engine, rule).outcome == "needs_human"
    assert ask(engine, rule, at=AT + dt.timedelta(days=1)).outcome == "license_required"
    assert ask(engine, rule, at=AT - dt.timedelta(days=1, seconds=1)).outcome == "no_license_required"
    ended = needs("True", until="2026-06-01T00:00:00Z")
    assert ask(engine, ended).outcome == "no_license_required"
    assert ask(engine, ended, at=AT - dt.timedelta(seconds=1)).outcome == "license_required"


def test_stays_are_a_union_and_a_supersession_goes_by_product(engine: Engine) -> None:
    one = block("overlay", id='"us.inv.o"', kind='"stay"', target='"us.inv.x"', until="2026-01-01")
    two = block("overlay", id='"us.inv.p"', kind='"stay"', target='"us.inv.x"', from_="2025-01-01")
    assert ask(engine, one, two, needs("True")).outcome == "no_license_required"
    part = block("overlay", id='"us.inv.o"', kind='"supersession"', target='"us.inv.x"', products='["a"]')
    assert ask(engine, part, needs("True"), item__product="a").outcome == "no_license_required"
    assert ask(engine, part, needs("True"), item__product="b").outcome == "license_required"
    assert ask(engine, part, needs("True")).asks == ("item.product",)


def test_announced_non_enforcement_changes_no_outcome(engine: Engine) -> None:
    announced = block("overlay", id='"us.inv.o"', kind='"not_enforced"', target='"us.inv.x"')
    assert ask(engine, announced, needs("True")).outcome == "license_required"


def test_a_stale_provision_opens_nothing_and_closes_all_the_same(engine: Engine) -> None:
    stale = Choices(stale_after_days=30)
    answer = ask(engine, needs("exporter.insider"), choices=stale, exporter__insider=False)
    assert answer.outcome == "needs_facts"
    assert "provision:us.inv.x" in answer.asks
    closing = ask(engine, needs("exporter.insider"), choices=stale, exporter__insider=True)
    assert closing.outcome == "license_required"
    lifted = ask(engine, needs("True"), exception("carve_out", "True"), choices=stale)
    assert lifted.outcome == "needs_facts"
    assert "provision:us.inv.e.carve_out" in lifted.asks


def test_a_requirement_with_two_reasons_and_an_exception_for_one_stays_open(engine: Engine) -> None:
    rule = needs("True", reasons='["RS", "AT"]')
    half = exception(
        "license_exception", "True", path='"AIA"', lifts="[{ requirement = 'us.inv.x', reasons = ['RS'] }]"
    )
    answer = ask(engine, rule, half)
    assert (answer.outcome, answer.certain) == ("license_required", ("us.inv.x#AT@0",))


def test_the_least_burdensome_class_names_the_permission(engine: Engine) -> None:
    aia = exception("license_exception", "True", path='"AIA"')
    letter, carved = exception("authorization", "True"), exception("carve_out", "True")
    assert ask(engine, needs("True"), aia).outcome == "license_exception"
    assert ask(engine, needs("True"), aia, letter).outcome == "authorized"
    assert ask(engine, needs("True"), aia, letter, carved).outcome == "no_license_required"


def test_an_exception_not_known_true_lifts_nothing(engine: Engine) -> None:
    answer = ask(engine, needs("True"), exception("carve_out", "exporter.insider"))
    assert (answer.outcome, answer.asks) == ("needs_facts", ("exporter.insider",))


def test_a_bar_blocks_by_class_or_path_save_those_it_excepts(engine: Engine) -> None:
    aia = exception("license_exception", "True", path='"AIA"')
    by_class = block("bar", id='"us.inv.b"', blocks='["license_exception"]')
    by_path = block("bar", id='"us.inv.b"', blocks='["AIA"]', when="'exporter.insider'")
    spared = block("bar", id='"us.inv.b"', blocks='["license_exception"]', except_='["AIA"]').replace(
        "except =", "except ="
    )
    assert ask(engine, needs("True"), aia, by_class).outcome == "license_required"
    assert ask(engine, needs("True"), aia, by_path, exporter__insider=False).outcome == "license_exception"
    assert ask(engine, needs("True"), aia, by_path).asks == ("exporter.insider",)
    assert ask(engine, needs("True"), aia, spared).outcome == "license_exception"


def test_exceptions_never_reach_a_prohibition(engine: Engine) -> None:
    ban = block("prohibition", id='"us.inv.ban"', when="'exporter.insider'")
    assert ask(engine, ban, exporter__insider=True).outcome == "prohibited"
    answer = ask(engine, ban, needs("True"))
    assert (answer.outcome, answer.may_still_be, answer.asks) == (
        "license_required",
        ("prohibited",),
        ("exporter.insider",),
    )


def test_readings_that_lead_apart_are_for_a_human_and_a_choice_settles_them(engine: Engine) -> None:
    rule = block(
        "requirement", reasons='["NS"]', axis='"reach"', readings="{ wide = 'True', narrow = 'False' }"
    )
    answer = ask(engine, rule)
    assert answer.outcome == "needs_human"
    assert answer.by_reading == {"reach=narrow": "no_license_required", "reach=wide": "license_required"}
    assert answer.may_still_be == ("license_required", "permitted")
    wide = ask(engine, rule, choices=Choices(readings={"reach": "wide"}))
    assert (wide.outcome, wide.by_reading) == ("license_required", {})


def test_readings_are_evaluated_jointly(engine: Engine) -> None:
    one = block(
        "requirement",
        id='"us.inv.y"',
        reasons='["NS"]',
        axis='"reach"',
        readings="{ wide = 'True', narrow = 'False' }",
    )
    two = block(
        "requirement", reasons='["NS"]', axis='"reach"', readings="{ wide = 'False', narrow = 'True' }"
    )
    answer = ask(engine, one, two)
    assert (answer.outcome, answer.by_reading) == ("license_required", {})


def test_prohibited_under_some_and_required_under_the_rest_is_required(engine: Engine) -> None:
    ban = block(
        "prohibition", id='"us.inv.ban"', axis='"reach"', readings="{ wide = 'True', narrow = 'False' }"
    )
    answer = ask(engine, ban, needs("True"))
    assert (answer.outcome, answer.may_still_be) == ("license_required", ("prohibited",))


def test_where_a_text_is_unclear_a_human_decides(engine: Engine) -> None:
    rule = needs("exporter.insider", unclear_when="\"item.product == 'a'\"")
    for insider, outcome in ((True, "license_required"), (False, "no_license_required")):
        assert ask(engine, rule, exporter__insider=insider, item__product="a").outcome == "needs_human"
        assert ask(engine, rule, exporter__insider=insider, item__product="b").outcome == outcome


def test_an_untranslatable_rule_never_allows_inside_its_bound(engine: Engine) -> None:
    rule = block("requirement", reasons='["NS"]', untranslatable="true", outer="'exporter.insider'")
    assert ask(engine, rule, exporter__insider=True).outcome == "needs_human"
    assert ask(engine, rule, exporter__insider=False).outcome == "no_license_required"


def test_a_presumption_stands_until_a_red_flag_is_true_and_unresolved(engine: Engine) -> None:
    rule = needs("exporter.knowledge == 'actual'")
    flag = block("red_flag", id='"us.inv.f"', defeats='["exporter.knowledge"]', when="'exporter.insider'")
    assert ask(engine, rule, flag).outcome == "no_license_required"
    assert ask(engine, rule, flag, exporter__insider=True).outcome == "needs_human"
    resolved: dict[str, Known] = {"exporter__resolved_red_flags": frozenset({"us.inv.f"})}
    assert ask(engine, rule, flag, exporter__insider=True, **resolved).outcome == "no_license_required"
    assert ask(engine, rule, exporter__knowledge="actual").outcome == "license_required"


def test_another_exporter_of_a_bound_persons_item_is_a_red_flag(engine: Engine) -> None:
    rule = needs("foreign(recipient)", binds='["acme"]', gate='"own"')
    theirs: dict[str, Known] = {"exporter__id": "cloud", "item__provider": "acme"}
    assert ask(engine, rule, recipient__us_status="none", **theirs).outcome == "needs_human"
    assert ask(engine, rule, recipient__us_status="citizen", **theirs).outcome == "no_license_required"
    assert ask(engine, rule, **theirs).asks == ("recipient.us_status",)
    assert ask(engine, rule, recipient__us_status="none", exporter__id="acme").outcome == "license_required"
    assert ask(engine, rule, exporter__id="cloud", item__provider="other").outcome == "no_license_required"


def test_what_ends_a_notice_ends_its_red_flag(engine: Engine) -> None:
    rule = needs("foreign(recipient)", binds='["acme"]', gate='"own"')
    end = block("overlay", id='"us.inv.o"', kind='"end"', target='"us.inv.x"', from_="2026-01-01")
    theirs: dict[str, Known] = {"exporter__id": "cloud", "item__provider": "acme"}
    assert ask(engine, rule, end, recipient__us_status="none", **theirs).outcome == "no_license_required"


def test_stated_facts_close_the_way_and_never_open_it(engine: Engine) -> None:
    below = Unknown("below_assurance")
    rule = needs("foreign(recipient)")
    closing = ask(engine, rule, stated={"recipient.us_status": "none"}, recipient__us_status=below)
    assert (closing.outcome, closing.basis, closing.asks) == (
        "license_required",
        "stated",
        ("recipient.us_status",),
    )
    opening = ask(engine, rule, stated={"recipient.us_status": "citizen"}, recipient__us_status=below)
    assert (opening.outcome, opening.basis) == ("needs_facts", "assured")


def test_a_rule_reads_each_act_by_itself(engine: Engine) -> None:
    rule = needs("act.kind == 'export' and act.destination == 'FR' and not act.deemed")
    answer = ask(engine, rule, transaction__event=Unknown("missing"))
    assert answer.asks == ("transaction.event",)
    assert ask(engine, rule).certain == ("us.inv.x#NS@0",)
    assert ask(engine, rule, transaction__event="use").outcome == "no_license_required"


def test_an_own_gate_needs_no_act(engine: Engine) -> None:
    rule = needs("True", gate='"own"')
    answer = ask(engine, rule, transaction__event="show")
    assert (answer.outcome, answer.certain) == ("license_required", ("us.inv.x#NS",))
