"""Standing facts beside those of a transaction: both are weighed, and a disagreement is a conflict."""

import datetime as dt

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.subjects.conftest import HOUR, NOW, said, seen

from carnet.engine.decide import decide
from carnet.model.errors import InputError
from carnet.model.facts import Unknown
from carnet.model.merge import CONFLICT
from carnet.model.transaction import (
    Exporter,
    Item,
    Parties,
    Party,
    SomeParties,
    Transaction,
    read_transaction,
)
from carnet.model.written import Fact, SetFact, StatusSince
from carnet.service.subjects import gathered
from carnet.store.shelves import load_rulebook

KNOWN = NOW + HOUR
DAY = dt.timedelta(days=1)


def use(**recipient):
    """A use of a controlled model, the day after the letter of June 2026."""
    return Transaction(
        at=dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC),
        event="remote_access",
        served_from="US",
        item=Item(product="anthropic/claude-mythos-5", provider="anthropic", form="hosted"),
        exporter=Exporter(id="anthropic"),
        recipient=Party(**{"id": "u-1", "kind": "person", "location": "US"} | recipient),
    )


def joined(table, transaction, known=KNOWN):
    return gathered(transaction, table, tenant="acme", known=known)


def value(table, transaction, path="recipient.us_status", known=KNOWN):
    return seen(joined(table, transaction, known), known).values.get(path)


def test_a_standing_fact_fills_what_the_transaction_leaves_out(table):
    table.add("acme", [("u-1", said("passport-desk", "S3", us_status="citizen"))], NOW)
    assert value(table, use()) == "citizen"
    assert value(table, use(id="u-2")) is None
    assert value(table, use(id=None)) is None


def test_a_standing_fact_is_that_of_every_party_that_is_named(table):
    """Who buys, and who stands between, may be listed as well as who uses (15 CFR 744.11(a), 748.5)."""
    table.add("acme", [("reseller", said("screening", "S3", lists=["entity_list"]))], NOW)
    chain = Parties(
        purchaser=(Party(id="reseller"),), intermediate_consignee=SomeParties(some=(Party(id="reseller"),))
    )
    found = joined(table, structs.replace(use(), parties=chain)).parties
    for (party,) in (found.purchaser, found.intermediate_consignee.some):
        assert party.lists.some or party.lists.value
    assert found.end_user is None


def test_what_the_transaction_says_and_the_table_does_not_stays_as_it_was(table):
    table.add("acme", [("u-1", said("passport-desk", "S3", us_status="citizen"))], NOW)
    one = use(employer="northwind")
    assert joined(table, one).recipient.employer == "northwind"
    assert joined(table, use(id="u-2")) == use(id="u-2")
    assert one == use(employer="northwind")


@pytest.mark.parametrize(
    "own",
    [
        "citizen",
        Fact(value="citizen", source="hr-roster"),
        Fact(value="citizen", source="hr-roster", assurance="S4"),
        Fact(value="citizen", source="hr-roster", assurance="S4", recorded=NOW + HOUR),
        Fact(value="citizen", source="hr-roster", recorded=NOW - HOUR),
        Fact(value="citizen", recorded=NOW + HOUR),
        Fact(facts=(Fact(value="citizen", source="hr-roster"), Fact(value="citizen", source="other"))),
        Fact(candidates=("citizen", "permanent_resident")),
    ],
)
@pytest.mark.parametrize("level", ["S1", "S2", "S3", "S4"])
def test_a_disagreement_is_a_conflict_whatever_the_transaction_calls_its_source(table, own, level):
    table.add("acme", [("u-1", said("hr-roster", level, us_status="none"))], NOW)
    assert value(table, use(us_status="none")) == "none"
    assert value(table, use(us_status=own)) == CONFLICT


def test_no_use_of_a_controlled_model_is_permitted_on_a_conflict(table):
    table.add("acme", [("u-1", said("passport-desk", "S3", us_status="none"))], NOW)
    transaction = joined(table, use(us_status="citizen"))
    assert decide(use(us_status="citizen"), load_rulebook()).outcome == "no_license_required"
    assert decide(transaction, load_rulebook(), known=KNOWN).outcome == "needs_human"


def test_sets_and_statuses_that_disagree_are_conflicts_too(table):
    table.add("acme", [("u-1", said("passport-desk", "S3", nationalities=("FR",)))], NOW)
    statuses = (StatusSince(country="FR", since="2010"),)
    table.add("acme", [("u-1", said("passport-desk", "S3", statuses=statuses))], NOW)
    assert value(table, use(nationalities=("FR",)), "recipient.nationalities") == frozenset({"FR"})
    assert value(table, use(nationalities=SetFact(some=("FR",))), "recipient.nationalities") == frozenset(
        {"FR"}
    )
    assert value(table, use(nationalities=("FR", "DE")), "recipient.nationalities") == CONFLICT
    assert value(table, use(nationalities=SetFact(some=("DE",))), "recipient.nationalities") == CONFLICT
    other = (StatusSince(country="FR", since="2012"),)
    assert value(table, use(statuses=other), "recipient.statuses") == CONFLICT


def test_two_sources_of_the_table_that_disagree_are_a_conflict_and_a_correction_ends_it(table):
    table.add("acme", [("u-1", said("hr-roster", "S3", us_status="none"))], NOW)
    table.add("acme", [("u-1", said("passport-desk", "S3", us_status="citizen"))], NOW)
    assert value(table, use()) == CONFLICT
    table.add("acme", [("u-1", said("hr-roster", "S3", us_status="citizen"))], NOW + HOUR)
    assert value(table, use()) == "citizen"
    assert value(table, use(), known=NOW + HOUR / 2) == CONFLICT


def test_a_standing_fact_counts_while_it_is_known_valid_and_not_expired(table):
    at = NOW + HOUR
    table.add("acme", [("u-1", said("a", "S3", us_status="citizen", expires=at + DAY))], NOW)
    assert value(table, use(), known=NOW - HOUR) is None
    assert value(table, use(), known=at) == "citizen"
    assert value(table, use(), known=at + DAY) == Unknown("expired")
    assert seen(joined(table, use()), at).until == at + DAY


def test_a_standing_fact_is_no_surer_than_the_id_it_hangs_on(table):
    table.add("acme", [("u-1", said("passport-desk", "S3", us_status="citizen"))], NOW)
    for level, expected in (("S4", "citizen"), ("S3", "citizen"), ("S1", Unknown("below_assurance"))):
        assert value(table, use(id=Fact(value="u-1", assurance=level))) == expected
    assert value(table, use(us_status="none", id=Fact(value="u-1", assurance="S0"))) == CONFLICT


def test_a_standing_fact_lasts_no_longer_than_the_id_it_hangs_on(table):
    table.add("acme", [("u-1", said("a", "S3", us_status="citizen", valid_until=KNOWN + 9 * DAY))], NOW)
    for own in (
        Fact(value="u-1", expires=KNOWN + DAY),
        Fact(value="u-1", valid_until=KNOWN + DAY),
    ):
        assert value(table, use(id=own)) == "citizen"
        assert seen(joined(table, use(id=own), KNOWN)).edges["recipient.us_status"] == KNOWN + DAY
        assert value(table, use(id=own), known=KNOWN + DAY) != "citizen"
    assert value(table, use(id=Fact(value="u-1", valid_from=KNOWN + DAY))) is None
    assert value(table, use(id=Fact(value="u-1", valid_from=KNOWN + 9 * DAY))) is None
    assert value(table, use(id=Fact(value="u-1", recorded=KNOWN + DAY))) is None


def test_an_id_that_names_no_single_subject_is_refused_and_an_unknown_one_names_none(table):
    table.add("acme", [("u-1", said("a", "S3", us_status="none"))], NOW)
    for own in (
        Fact(candidates=("u-1", "u-2")),
        Fact(facts=(Fact(value="u-1", source="a"), Fact(value="u-2", source="b"))),
    ):
        with pytest.raises(InputError, match="names no single subject"):
            joined(table, use(id=own))
    assert joined(table, use(id=Fact(unknown="missing"))) == use(id=Fact(unknown="missing"))


def test_another_tenants_facts_are_never_joined(table):
    table.add("globex", [("u-1", said("a", "S3", us_status="none"))], NOW)
    assert joined(table, use()) == use()
    named = msgspec.structs.replace(use(), tenant="globex")
    with pytest.raises(InputError, match="`tenant` is not the tenant of whoever asks") as error:
        joined(table, named)
    assert "globex" not in str(error.value)
    assert joined(table, msgspec.structs.replace(use(), tenant="acme")).recipient == use().recipient


def test_what_is_gathered_is_a_transaction_that_can_be_written_and_read_again(table):
    long = "x" * 200
    table.add("acme", [("u-1", said(long, "S3", us_status="none", nationalities=("FR",)))], NOW)
    own = Fact(value="none", source=long, assurance="S1")
    transaction = joined(table, use(us_status=own, nationalities=("FR",)))
    assert read_transaction(msgspec.json.encode(transaction)) == transaction
    sources = [fact.source for fact in transaction.recipient.us_status.facts]
    assert len(set(sources)) == 2
    assert all(len(source) <= 200 for source in sources)


STATUS = st.sampled_from(["citizen", "permanent_resident", "protected", "none"])
LEVEL = st.sampled_from(["S1", "S2", "S3", "S4"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    standing=st.lists(st.tuples(st.sampled_from("ab"), LEVEL, STATUS), max_size=3),
    own=st.none() | st.tuples(st.sampled_from(["a", "b", None]), st.none() | LEVEL, STATUS, st.booleans()),
)
def test_no_voice_is_lost(table, standing, own):
    subject = f"u-{len(table.listed('acme'))}"
    table.add("acme", [(subject, said(kind="person"))], NOW)
    last = {}
    for source, level, status in standing:
        table.add("acme", [(subject, said(source, level, us_status=status))], NOW)
        last[source] = status
    mine = None
    if own is not None:
        source, level, status, late = own
        mine = Fact(value=status, source=source, assurance=level, recorded=KNOWN if late else None)
        last["own"] = status
    found = seen(joined(table, use(id=subject, us_status=mine)))
    voices = set(last.values())
    heard = found.values.get("recipient.us_status")
    if len(voices) > 1:
        assert heard in (CONFLICT, Unknown("below_assurance"))
        assert "recipient.us_status" not in found.stated
    elif voices:
        assert heard in (*voices, Unknown("below_assurance"))
    else:
        assert heard is None
