"""The private part: how long it is says nothing, what it says is committed to, and keyed names are apart."""

import datetime as dt
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.model.strategies import instances

from carnet.model.errors import Malformed, Unverified
from carnet.model.transaction import Parties, Party, SomeParties, Transaction
from carnet.model.written import Fact, SetFact, StatusSince
from carnet.store.vault_parts import (
    ROOM,
    STEP,
    commitment,
    committed,
    private_part,
    pseudonym,
    read_private,
    term,
)

AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)
SALT, KEY = bytes(range(32)), bytes(range(1, 33))
SALTS = st.binary(min_size=32, max_size=32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def somebody(**given):
    return Transaction(at=AT, event="show", recipient=Party(kind="person", id="user-1", **given))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SALTS, instances(Transaction))
def test_any_transaction_comes_back_from_a_whole_number_of_steps(salt, transaction):
    data = private_part(salt, transaction)
    found = read_private(data)
    assert found.transaction == transaction
    assert found.salt == salt.hex()
    assert len(data) % STEP == 0
    assert private_part(salt, transaction) == data
    assert committed(commitment(salt, data), data) == found


@given(
    st.lists(
        st.tuples(st.sampled_from(["FR", "IN", "US"]), st.sampled_from([None, "1990", "2001-05-01"])),
        max_size=12,
    )
)
def test_the_length_is_the_same_whatever_the_facts_of_status_are(held):
    bare = len(private_part(SALT, somebody()))
    full = somebody(
        us_status="permanent_resident",
        nationalities=tuple(country for country, _ in held),
        statuses=tuple(StatusSince(country=country, since=since) for country, since in held),
    )
    assert len(private_part(SALT, full)) == bare + ROOM
    assert len(private_part(SALT, somebody(us_status="none"))) == bare + ROOM


def test_each_fact_of_status_goes_into_the_room():
    bare = len(private_part(SALT, somebody()))
    for facts in (
        {"us_status": Fact(value="protected", source="s" * 200, recorded=AT, expires=AT)},
        {"nationalities": ("FR", "IN") * 60},
        {"statuses": (StatusSince(country="FR", since="1990-05-01"),) * 20},
    ):
        assert len(private_part(SALT, somebody(**facts))) == bare + ROOM
    assert len(private_part(SALT, somebody(engaged_by=("somebody",) * 50))) > bare


def test_longer_facts_of_status_take_a_whole_room_more():
    sources = tuple(
        SetFact(
            value=(StatusSince(country="FR", since="1990-05-01"),),
            source=f"source-{number:03}",
            assurance="S3",
        )
        for number in range(20)
    )
    bare = len(private_part(SALT, somebody()))
    assert len(private_part(SALT, somebody(statuses=SetFact(facts=sources)))) == bare + 2 * ROOM


def test_every_party_has_room_of_its_own():
    one = Party(us_status="citizen")
    given = {"end_user": (one, one), "purchaser": SomeParties(some=(one,))}
    bare = Transaction(at=AT, event="show", parties=Parties(**dict.fromkeys(given, ())))
    full = Transaction(at=AT, event="show", parties=Parties(**given))
    assert len(private_part(SALT, full)) - len(private_part(SALT, bare)) == 3 * ROOM


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_salt_of_another_length_is_malformed(length):
    with pytest.raises(Malformed, match=f"a salt of {length} bytes"):
        private_part(bytes(length), somebody())


def written(**changes):
    plain = json.loads(private_part(SALT, somebody(us_status="citizen"))) | changes
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def test_the_helper_below_writes_a_private_part():
    assert read_private(written()).transaction == somebody(us_status="citizen")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 60_000,
        written(format=2),
        written(salt="ab"),
        written(padding="1"),
        written(name="Marchand"),
        written() + b" ",
        json.dumps(json.loads(written())).encode(),
        written(transaction={"at": "2026-06-13T00:00:00Z", "recipient": {"us_status": "Marchand"}}),
    ],
    ids=range(11),
)
def test_what_is_no_private_part_is_malformed_and_not_quoted(data):
    with pytest.raises(Malformed) as raised:
        read_private(data)
    assert "Marchand" not in str(raised.value)


@given(st.data())
def test_a_private_part_with_any_bit_changed_is_not_the_committed_one(draw):
    data = private_part(SALT, somebody(us_status="citizen"))
    said = commitment(SALT, data)
    place, bit = draw.draw(st.integers(0, len(data) - 1)), draw.draw(st.integers(0, 7))
    other = bytearray(data)
    other[place] ^= 1 << bit
    with pytest.raises((Malformed, Unverified)):
        committed(said, bytes(other))


def test_another_salt_is_another_commitment_so_nothing_can_be_guessed_from_it():
    found = {commitment(salt, private_part(salt, somebody(us_status="citizen"))) for salt in (SALT, KEY)}
    assert len(found) == 2
    one = private_part(KEY, somebody(us_status="citizen"))
    with pytest.raises(Unverified, match="not the one that the leaf commits to"):
        committed(commitment(SALT, private_part(SALT, somebody(us_status="citizen"))), one)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_two_subjects_have_two_pseudonyms(tenant, subject, other_tenant, other_subject):
    same = (tenant, subject) == (other_tenant, other_subject)
    one, other = pseudonym(KEY, tenant, subject), pseudonym(KEY, other_tenant, other_subject)
    assert (one == other) == same
    assert len(one) == 32
    assert one != pseudonym(SALT, tenant, subject)


@given(TEXTS, TEXTS, TEXTS)
def test_where_one_part_ends_and_the_next_begins_counts(tenant, middle, end):
    if middle:
        assert pseudonym(KEY, tenant + middle, end) != pseudonym(KEY, tenant, middle + end)


@given(TEXTS, TEXTS)
def test_terms_of_two_kinds_tenants_or_keys_have_nothing_in_common(tenant, value):
    found = {term(KEY, tenant, kind, value) for kind in ("party", "country", "document")}
    found |= {term(KEY, f"{tenant}.", "party", value), term(SALT, tenant, "party", value)}
    found.add(bytes.fromhex(pseudonym(KEY, tenant, value)))
    assert len(found) == 6
    assert {len(each) for each in found} == {16}


@pytest.mark.parametrize("length", [0, 16, 64])
def test_an_index_key_of_another_length_is_malformed(length):
    with pytest.raises(Malformed, match=f"an index key of {length} bytes"):
        pseudonym(bytes(length), "acme", "somebody")
