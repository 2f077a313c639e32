"""A citizen's, a permanent resident's and a protected person's records can't be told apart: the real law, any
dates and countries."""

import datetime as dt
import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.records.makers import SUBJECT, determined

from carnet.engine.decide import decide
from carnet.model.leaf import Given, Reference, canonical, instant_text, references
from carnet.model.recorded import recorded
from carnet.model.transaction import Exporter, Item, Parties, Party, Transaction
from carnet.model.written import Fact, SetFact, StatusSince
from carnet.policy.enforcement import act_on, digest
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook
from carnet.store.vault import Vault
from carnet.store.vault_parts import commitment, private_part

BOOK = load_rulebook()
POLICY = default_policy()
US_PERSONS = ("citizen", "permanent_resident", "protected")
COUNTRIES = ("AF", "CA", "CN", "CU", "DE", "FR", "IN", "IR", "KP", "RU", "VE")
SINCE = st.none() | st.dates(dt.date(1950, 1, 1), dt.date(2026, 6, 1)).flatmap(
    lambda day: st.sampled_from([day.isoformat(), day.isoformat()[:7], day.isoformat()[:4]])
)
NOBODY = Parties(
    applicant=(),
    purchaser=(),
    intermediate_consignee=(),
    ultimate_consignee=(),
    end_user=(),
    forwarding_agent=(),
)
DRESS = {
    "source": "idv.example",
    "assurance": "S3",
    "recorded": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "expires": dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
}
USED = [Reference("document_check", "S3", instant_text(DRESS["expires"]))]


@st.composite
def persons(draw, status, dressed, rest):
    """Somebody of this status, with whatever countries and dates go with it; `rest` is what is not status."""
    others = draw(st.lists(st.sampled_from(COUNTRIES), max_size=3, unique=True))
    held = [StatusSince(country=country, since=draw(SINCE)) for country in others]
    nationalities = list(others)
    if status == "citizen":
        nationalities.append("US")
        held.append(StatusSince(country="US", since=draw(SINCE)))
    if status == "permanent_resident":
        held.append(StatusSince(country="US", kind="permanent_residency", since=draw(SINCE)))
    held = draw(st.permutations(held))
    given = {"nationalities": tuple(nationalities), "statuses": tuple(held)}
    given = {name: given[name] for name in draw(st.sets(st.sampled_from(sorted(given))))}
    if not dressed:
        return Party(us_status=status, **given, **rest)
    return Party(
        us_status=Fact(value=status, **DRESS),
        **{name: SetFact(value=members, **DRESS) for name, members in given.items()},
        **rest,
    )


TRANSACTIONS = st.fixed_dictionaries(
    {
        "at": st.sampled_from(
            ["2026-06-12T21:20:00Z", "2026-06-13T14:00:00Z", "2026-06-28T00:00:00Z", "2026-09-01T00:00:00Z"]
        ).map(dt.datetime.fromisoformat),
        "event": st.sampled_from(
            ["remote_access", "show", "transmit", "deliver_access_information", "support"]
        ),
        "served_from": st.sampled_from(["US", "DE"]),
        "sent_from": st.sampled_from(["US", "DE"]),
        "sent_to": st.sampled_from(["DE", "CN"]),
        "release_place": st.sampled_from(["US", "FR"]),
        "access_information_releases": st.just(True),
        "releaser_authorized": st.sampled_from([True, None]),
        "item": st.builds(
            Item,
            product=st.sampled_from(["anthropic/claude-fable-5", "anthropic/claude-mythos-5"]),
            provider=st.just("anthropic"),
            form=st.sampled_from(["hosted", "weights", "technology"]),
            eccn=st.sampled_from(["4E091", "EAR99", None]),
            in_us=st.sampled_from([True, None]),
            published=st.just(False),
        ),
        "exporter": st.just(Exporter(id="anthropic", kind="company", incorporated="US")),
        "parties": st.just(NOBODY),
    }
)
REST = st.fixed_dictionaries(
    {
        "kind": st.just("person"),
        "id": st.just("user-1"),
        "location": st.sampled_from(["US", "FR", "CN", None]),
        "employer": st.sampled_from(["harborlight-grid", None]),
        "permanent_regular_employee": st.sampled_from([True, None]),
    }
)


def leaf_of(transaction, salt):
    """The leaf of a decision and its private part, made as they would be for the same ids and salt."""
    found = decide(transaction, BOOK).determination
    action = act_on(found, POLICY, controlled=True, product="anthropic/claude-fable-5")
    private = private_part(salt, transaction)
    leaf = determined(
        at=instant_text(transaction.at),
        event=transaction.event,
        product=transaction.item.product,
        form=transaction.item.form,
        action=action.kind,
        reason=action.reason,
        fallback=action.fallback,
        grant=Given(recorded(found).good_until) if action.kind == "serve" else None,
        determination=recorded(found),
        policy=digest(POLICY),
        commitment=commitment(salt, private),
        evidence=references(USED),
    )
    return leaf, private


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    with Vault.create(tmp_path_factory.mktemp("vault") / "vault.db", secrets.token_bytes(32)) as opened:
        yield opened


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TRANSACTIONS, REST, st.booleans(), st.binary(min_size=32, max_size=32), st.data())
def test_the_records_of_us_persons_are_the_same_but_for_the_commitment(
    vault, shared, rest, dressed, salt, draw
):
    leaves, lengths, privates = set(), set(), set()
    for status in US_PERSONS:
        person = draw.draw(persons(status, dressed, rest))
        leaf, private = leaf_of(Transaction(recipient=person, **shared), salt)
        data = canonical(leaf)
        assert data.count(leaf.commitment.encode()) == 1
        leaves.add(data.replace(leaf.commitment.encode(), b""))
        privates.add(private)
        lengths.add(len(vault.seal(SUBJECT, leaf.retention, leaf.id, private)))
    assert len(privates) == len(US_PERSONS)
    assert len(leaves) == 1
    assert len(lengths) == 1


def test_a_foreign_person_is_another_answer_so_the_test_above_can_fail():
    shared = {
        "at": dt.datetime(2026, 6, 13, tzinfo=dt.UTC),
        "event": "remote_access",
        "served_from": "US",
        "item": Item(product="anthropic/claude-fable-5", provider="anthropic", form="hosted"),
        "exporter": Exporter(id="anthropic", kind="company"),
        "parties": NOBODY,
    }
    made = [
        leaf_of(
            Transaction(recipient=Party(kind="person", us_status=status, location="US"), **shared), bytes(32)
        )[0]
        for status in ("protected", "none")
    ]
    assert [each.action for each in made] == ["serve", "refuse"]


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(US_PERSONS), st.booleans(), st.data())
def test_nothing_of_a_person_is_in_the_leaf(status, dressed, draw):
    rest = {"kind": "person", "id": "elodie.marchand@example.org", "location": "PT"}
    person = draw.draw(persons(status, dressed, rest))
    shared = {
        "at": dt.datetime(2026, 6, 13, tzinfo=dt.UTC),
        "event": "remote_access",
        "served_from": "US",
        "item": Item(product="anthropic/claude-mythos-5", provider="anthropic", form="hosted"),
        "exporter": Exporter(id="anthropic", kind="company"),
    }
    leaf, _ = leaf_of(Transaction(recipient=person, **shared), bytes(32))
    text = canonical(leaf).decode()
    for told in (status, "elodie", '"PT"', '"US"', "idv.example", *(f'"{country}"' for country in COUNTRIES)):
        assert told not in text
