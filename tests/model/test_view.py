"""What the facts of a transaction come to at an instant."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.model.errors import InputError
from carnet.model.facts import Group, Partial, Status, Statuses, Unknown
from carnet.model.time import ANY_DAY, days
from carnet.model.transaction import (
    Exporter,
    Item,
    Parties,
    Party,
    SomeParties,
    Transaction,
    check_transaction,
)
from carnet.model.view import View, view
from carnet.model.written import Fact, SetFact, StatusSince

from .strategies import INSTANTS, instances

AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LEVELS = {"party.us_status": "S3", "party.nationalities": "S3"}


def of(recipient=None, *, at=AT, known=AT, levels=LEVELS, **rest) -> View:
    return view(Transaction(at=AT, recipient=recipient or Party(), **rest), at=at, known=known, levels=levels)


def status(*facts, **when):
    return of(Party(us_status=facts[0] if len(facts) == 1 else Fact(facts=facts)), **when)


def value(*facts, **when):
    return status(*facts, **when).values.get("recipient.us_status")


def test_a_short_value_is_assured_at_the_level_needed():
    assert value("none") == "none"


def test_a_fact_without_a_level_is_vouched_for():
    assert value(Fact(value="none", source="payroll")) == "none"


def test_a_fact_left_out_is_not_in_the_view():
    seen = of()
    assert (seen.values, seen.stated, seen.held, seen.until) == ({}, {}, {}, None)


@pytest.mark.parametrize(("level", "enough"), [("S0", False), ("S2", False), ("S3", True), ("S4", True)])
def test_only_what_reaches_the_level_opens(level, enough):
    seen = status(Fact(value="citizen", assurance=level))
    if enough:
        assert (seen.values["recipient.us_status"], seen.stated, seen.held) == ("citizen", {}, {})
    else:
        assert seen.values["recipient.us_status"] == Unknown("below_assurance")
        assert seen.stated == {"recipient.us_status": "citizen"}
        assert seen.held == {"recipient.us_status": level}


def test_a_level_for_one_path_goes_before_the_level_of_the_word():
    seen = status(
        Fact(value="citizen", assurance="S1"), levels={"party.us_status": "S3", "recipient.us_status": "S1"}
    )
    assert seen.values["recipient.us_status"] == "citizen"


def test_the_held_level_is_the_highest_one():
    facts = (Fact(value="none", assurance="S1", source="a"), Fact(value="none", assurance="S2", source="b"))
    assert status(*facts).held == {"recipient.us_status": "S2"}


def test_a_stated_fact_against_an_assured_one_is_a_conflict():
    seen = status(Fact(value="citizen", assurance="S3"), Fact(value="none", assurance="S1"))
    assert (seen.values["recipient.us_status"], seen.stated) == (Unknown("conflict"), {})


def test_a_stated_fact_that_agrees_changes_nothing():
    seen = status(Fact(value="citizen", assurance="S3"), Fact(value="citizen", assurance="S1"))
    assert (seen.values["recipient.us_status"], seen.stated, seen.held) == ("citizen", {}, {})


def test_a_stated_fact_does_not_narrow_assured_candidates():
    assured = Fact(candidates=("none", "citizen"), assurance="S3")
    assert value(assured, Fact(value="citizen", assurance="S1")) == Unknown(
        "missing", frozenset({"none", "citizen"})
    )


def test_two_assured_facts_that_disagree_are_a_conflict():
    assert value(Fact(value="citizen", assurance="S3"), Fact(value="none", assurance="S4")) == Unknown(
        "conflict"
    )


def test_two_stated_facts_that_disagree_state_nothing():
    seen = status(Fact(value="citizen", assurance="S1"), Fact(value="none", assurance="S2"))
    assert (seen.values["recipient.us_status"], seen.stated) == (Unknown("below_assurance"), {})


def test_a_recorded_conflict_stays_one_whatever_else_is_said():
    assert value(Fact(unknown="conflict"), Fact(value="citizen")) == Unknown("conflict")


def test_a_source_that_can_not_say_leaves_the_word_to_others():
    assert value(Fact(unknown="stale")) == Unknown("stale")
    assert value(Fact(unknown="stale"), Fact(value="citizen")) == "citizen"


def test_the_newest_word_of_one_source_counts():
    older, newer = AT - 2 * DAY, AT - DAY
    facts = (
        Fact(value="citizen", source="hr", recorded=newer),
        Fact(value="none", source="hr", recorded=older),
    )
    assert value(*facts) == "citizen"
    assert value(*facts, known=older) == "none"
    assert value(
        Fact(value="citizen", source="a", recorded=newer), Fact(value="none", recorded=older)
    ) == Unknown("conflict")


def test_a_fact_counts_from_when_it_was_recorded():
    fact = Fact(value="none", recorded=AT + DAY)
    assert (value(fact), value(fact, known=AT + DAY)) == (None, "none")


def test_a_fact_counts_in_its_half_open_interval():
    fact = Fact(value="none", valid_from=AT, valid_until=AT + DAY)
    tick = dt.timedelta(microseconds=1)
    seen = [value(fact, at=at) for at in (AT - tick, AT, AT + DAY - tick, AT + DAY)]
    assert seen == [None, "none", "none", None]


def test_an_expired_fact_has_to_be_proved_anew():
    fact = Fact(value="citizen", assurance="S3", expires=AT + DAY)
    assert value(fact) == "citizen"
    assert value(fact, at=AT + DAY) == Unknown("expired")
    assert value(fact, Fact(value="citizen", assurance="S3"), at=AT + DAY) == "citizen"
    assert status(fact, at=AT + DAY).stated == {}


def test_knowledge_is_what_was_recorded_by_then():
    exporter = Exporter(knowledge=Fact(value="actual", recorded=AT + DAY))
    later = AT + 2 * DAY
    early = of(exporter=exporter, at=AT, known=later)
    assert "exporter.knowledge" not in early.values
    assert early.until == AT + DAY
    assert of(exporter=exporter, at=later, known=later).values["exporter.knowledge"] == "actual"
    other = of(Party(location=Fact(value="FR", recorded=AT + DAY)), at=AT, known=later)
    assert other.values["recipient.location"] == "FR"


def test_the_view_says_until_when_it_stays():
    party = Party(
        us_status=Fact(value="none", expires=AT + 3 * DAY),
        location=Fact(value="FR", valid_until=AT + 2 * DAY),
    )
    seen = of(party)
    assert seen.until == AT + 2 * DAY
    assert seen.edges == {"recipient.us_status": AT + 3 * DAY, "recipient.location": AT + 2 * DAY}


def test_an_edge_that_has_passed_is_none():
    fact = Fact(value="FR", valid_from=AT, valid_until=AT + 2 * DAY, expires=AT + DAY)
    assert of(Party(location=fact)).edges == {"recipient.location": AT + DAY}
    assert of(Party(location=Fact(value="FR", valid_from=AT))).until is None


def test_knowledge_recorded_at_the_very_instant_counts():
    exporter = Exporter(knowledge=Fact(value="actual", recorded=AT + DAY))
    assert of(exporter=exporter, at=AT, known=AT + DAY).until == AT + DAY
    assert of(exporter=exporter, at=AT, known=AT).until is None
    assert of(exporter=exporter, at=AT + DAY, known=AT + DAY).values == {"exporter.knowledge": "actual"}


def test_sets_say_whether_they_are_complete():
    def nationalities(leaf):
        return of(Party(nationalities=leaf)).values["recipient.nationalities"]

    part, whole = SetFact(some=("FR",)), SetFact(value=("FR", "DE"))
    assert nationalities(("FR",)) == frozenset({"FR"})
    assert nationalities(()) == frozenset()
    assert nationalities(part) == Partial(frozenset({"FR"}))
    assert nationalities(SetFact(facts=(part, SetFact(some=("DE",))))) == Partial(frozenset({"FR", "DE"}))
    assert nationalities(SetFact(facts=(part, whole))) == frozenset({"FR", "DE"})
    assert nationalities(SetFact(facts=(SetFact(some=("CA",)), whole))) == Unknown("conflict")
    assert nationalities(SetFact(facts=(SetFact(value=("FR",)), whole))) == Unknown("conflict")


def test_dates_that_overlap_narrow_each_other():
    def hired(*texts):
        fact = Fact(facts=tuple(Fact(value=text) for text in texts))
        return of(Party(hired=fact)).values["recipient.hired"]

    assert hired("2025", "2025-05") == days("2025-05")
    assert hired("2025-04", "2025-05") == Unknown("conflict")
    assert (
        of(Party(hired=Fact(candidates=("2025-04-02", "2025-05")))).values["recipient.hired"].first
        == days("2025-04-02").first
    )


def test_statuses_begin_when_they_begin():
    french = StatusSince(country="FR", since="1990-05-02")
    indian = StatusSince(country="IN", since="2026-07")
    seen = of(Party(statuses=(french, indian)))
    held = Status("FR", days("1990-05-02"))
    assert seen.values["recipient.statuses"] == Statuses((held,), complete=True)
    assert seen.until == dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    later = of(Party(statuses=(french, indian)), at=seen.until).values["recipient.statuses"]
    assert later.entries == (held, Status("IN", days("2026-07")))


def test_a_status_without_its_date_may_have_begun_any_day():
    leaf = SetFact(some=(StatusSince(country="FR"),))
    assert of(Party(statuses=leaf)).values["recipient.statuses"] == Statuses(
        (Status("FR", ANY_DAY),), complete=False
    )


def test_statuses_of_two_sources_narrow_each_other_or_conflict():
    def statuses(left, right):
        return of(Party(statuses=SetFact(facts=(left, right)))).values["recipient.statuses"]

    vague = SetFact(value=(StatusSince(country="FR", since="1990"),))
    exact = SetFact(value=(StatusSince(country="FR", since="1990-05-02"),))
    assert statuses(vague, exact) == Statuses((Status("FR", days("1990-05-02")),), complete=True)
    for other in ("1991", None):
        entry = StatusSince(country="FR" if other else "IN", since=other)
        assert statuses(vague, SetFact(value=(entry,))) == Unknown("conflict")


def test_numbers_are_whole_units():
    assert of(item=Item(operations="1.5e26", value=10000)).values == {
        "item.operations": 150_000_000,
        "item.value": 10_000,
    }
    with pytest.raises(InputError, match="not a whole number of 1e18"):
        of(item=Item(operations="1.5"))


def test_parties_in_a_role_are_a_group():
    parties = Parties(purchaser=(), end_user=SomeParties(some=(Party(location="FR"),)))
    assert of(parties=parties).values == {
        "parties.purchaser": Group((), complete=True),
        "parties.end_user": Group(({"location": "FR"},), complete=False),
    }


def test_what_is_stated_of_a_party_in_a_role_makes_a_group_of_its_own():
    party = Party(location="FR", us_status=Fact(value="none", assurance="S1"))
    seen = of(parties=Parties(end_user=(party,)))
    assured = {"location": "FR", "us_status": Unknown("below_assurance")}
    assert seen.values["parties.end_user"] == Group((assured,), complete=True)
    assert seen.stated["parties.end_user"] == Group(({**assured, "us_status": "none"},), complete=True)
    assert seen.held == {"parties.end_user[0].us_status": "S1"}


def test_one_stated_party_among_several_is_enough_for_a_stated_group():
    stated = Party(us_status=Fact(value="none", assurance="S1"))
    seen = of(parties=Parties(end_user=(Party(location="FR"), stated)))
    assert seen.stated["parties.end_user"].members == ({"location": "FR"}, {"us_status": "none"})


def test_stated_facts_that_can_not_both_be_true_state_nothing():
    party = Party(
        us_status=Fact(value="none", assurance="S1"), nationalities=SetFact(value=("US",), assurance="S1")
    )
    seen = of(party)
    assert seen.stated == {}
    assert set(seen.values.values()) == {Unknown("below_assurance")}


def test_a_stated_fact_stays_below_assurance_when_it_contradicts_an_assured_one():
    party = Party(
        us_status=Fact(value="none", assurance="S3"), nationalities=SetFact(value=("US",), assurance="S1")
    )
    seen = of(party)
    assert seen.values["recipient.nationalities"] == Unknown("below_assurance")
    assert seen.stated == {"recipient.nationalities": frozenset({"US"})}


def test_facts_of_one_party_that_can_not_both_be_true_are_in_conflict():
    assured = {"assurance": "S3"}
    party = Party(
        us_status=Fact(value="none", **assured), nationalities=SetFact(value=("FR", "US"), **assured)
    )
    seen = of(party)
    assert seen.values == {
        "recipient.us_status": Unknown("conflict"),
        "recipient.nationalities": Unknown("conflict"),
    }
    stated = Party(
        us_status=Fact(value="none", **assured), nationalities=SetFact(value=("US",), assurance="S1")
    )
    assert of(stated).values["recipient.us_status"] == Unknown("conflict")


VALID_LEVELS = {"party.us_status": "S3", "party.location": "S1", "item.product": "S2"}


def seen_at(transaction, at, known):
    try:
        check_transaction(transaction)
        return view(transaction, at=at, known=known, levels=VALID_LEVELS)
    except InputError:
        return None


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(transaction=instances(Transaction), at=INSTANTS, known=INSTANTS, share=st.floats(0, 1))
def test_the_view_is_constant_until_it_says_so(transaction, at, known, share):
    seen = seen_at(transaction, at, known)
    if seen is None:
        return
    end = seen.until or at + 365 * DAY
    later = view(transaction, at=at + share * (end - at) * 0.999, known=known, levels=VALID_LEVELS)
    assert (later.values, later.stated, later.held) == (seen.values, seen.stated, seen.held)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(transaction=instances(Transaction), at=INSTANTS, known=INSTANTS)
def test_nothing_is_stated_where_an_assured_fact_speaks(transaction, at, known):
    seen = seen_at(transaction, at, known)
    for path in seen.stated if seen else ():
        assert path.startswith("parties.") or seen.values[path] == Unknown("below_assurance")
        assert path.startswith("parties.") or path in seen.held


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(transaction=instances(Transaction), at=INSTANTS, known=INSTANTS)
def test_a_fact_below_the_level_never_opens(transaction, at, known):
    top = dict.fromkeys(["party.us_status", "party.location", "item.product"], "S4")
    try:
        strict = view(transaction, at=at, known=known, levels=top)
    except InputError:
        return
    loose = view(transaction, at=at, known=known, levels={})
    for path, value in strict.values.items():
        if isinstance(value, str) and path in loose.values and not isinstance(loose.values[path], Unknown):
            assert loose.values[path] == value
