"""A proposal is approved by enough people with keys of their own, and by nobody who asked."""

import datetime as dt

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.log.people import FIRST, SECOND, THIRD

from carnet.ledger import note
from carnet.ledger.note import Ed25519Signer
from carnet.model.errors import InputError, StoreError, Unverified
from carnet.service.review import MOST_DAYS, Approval, Reviews, approve, principal_of
from carnet.store.desk import Desk

NOW = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TEXTS = ("do this\n", "and that\n")
PEOPLE = (FIRST, SECOND, THIRD)


@pytest.fixture
def desk(tmp_path):
    with Desk.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def approvers():
    """Those who may approve now; a test takes some away."""
    return [each.verifier for each in PEOPLE]


@pytest.fixture
def reviews(desk, approvers):
    return Reviews(desk, lambda: approvers)


def propose(reviews, **given):
    asked = {"by": "key:0123456789ab", "need": 2, "until": NOW + 3 * DAY, "now": NOW, **given}
    return reviews.propose("acme", "thing", asked.pop("texts", TEXTS), **asked)


def test_it_is_approved_once_enough_people_have_signed(reviews):
    proposal = propose(reviews)
    assert reviews.reviewed(proposal.id, NOW).state == "open"
    assert reviews.bring(approve(proposal, FIRST), NOW).state == "open"
    with pytest.raises(Unverified, match="1 of 2 approvals"):
        reviews.begin(proposal.id, NOW)
    found = reviews.bring(approve(proposal, SECOND), NOW)
    assert (found.state, len(found.approvals)) == ("approved", 2)
    assert reviews.begin(proposal.id, NOW).approvals == found.approvals
    reviews.finish(proposal.id)
    assert reviews.reviewed(proposal.id, NOW).state == "done"


def test_what_is_done_is_not_done_again_and_what_was_cut_short_is(reviews):
    proposal = propose(reviews, need=1)
    reviews.bring(approve(proposal, FIRST), NOW)
    reviews.begin(proposal.id, NOW)
    assert reviews.begin(proposal.id, NOW + 10 * DAY).state == "begun"
    reviews.finish(proposal.id)
    with pytest.raises(Unverified, match="is done"):
        reviews.begin(proposal.id, NOW)
    with pytest.raises(StoreError, match="is done"):
        reviews.bring(approve(proposal, SECOND), NOW)


def test_who_asked_can_not_approve_whichever_key_they_take(reviews, approvers):
    proposal = propose(reviews, by=principal_of(FIRST.verifier))
    with pytest.raises(Unverified, match="who asked"):
        reviews.bring(approve(proposal, FIRST), NOW)
    second_key = Ed25519Signer(FIRST.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    approvers.append(second_key.verifier)
    with pytest.raises(Unverified, match="who asked"):
        reviews.bring(approve(proposal, second_key), NOW)
    reviews.bring(approve(proposal, SECOND), NOW)
    assert reviews.bring(approve(proposal, THIRD), NOW).state == "approved"


def test_a_principal_that_asked_can_not_bring_an_approval_nor_one_bring_two(reviews):
    proposal = propose(reviews, by="key:aaa")
    with pytest.raises(Unverified, match="who asked"):
        reviews.bring(approve(proposal, FIRST), NOW, by="key:aaa")
    reviews.bring(approve(proposal, FIRST), NOW, by="key:bbb")
    with pytest.raises(Unverified, match="only once"):
        reviews.bring(approve(proposal, SECOND), NOW, by="key:bbb")
    assert reviews.bring(approve(proposal, SECOND), NOW, by="key:ccc").state == "approved"


def test_the_same_person_counts_once_with_two_keys_or_two_names(reviews, approvers):
    proposal = propose(reviews)
    reviews.bring(approve(proposal, FIRST), NOW)
    twins = (
        Ed25519Signer(FIRST.name, Ed25519PrivateKey.from_private_bytes(bytes(32))),
        Ed25519Signer("another.example", FIRST.private),
    )
    approvers += [twin.verifier for twin in twins]
    for twin in (FIRST, *twins):
        with pytest.raises(Unverified, match="only once"):
            reviews.bring(approve(proposal, twin), NOW)
    assert reviews.reviewed(proposal.id, NOW).state == "open"


def test_a_stranger_approves_nothing(reviews, approvers):
    proposal = propose(reviews)
    stranger = Ed25519Signer("stranger.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(Unverified, match="not the key of somebody who may approve"):
        reviews.bring(approve(proposal, stranger), NOW)
    approvers.clear()
    with pytest.raises(Unverified):
        reviews.bring(approve(proposal, FIRST), NOW)


def test_an_approval_of_something_else_counts_for_nothing(reviews):
    proposal, other = propose(reviews), propose(reviews, texts=("do that\n",))
    right = approve(proposal, FIRST)
    for wrong in (
        msgspec.structs.replace(approve(other, FIRST), review=proposal.id),
        msgspec.structs.replace(right, review=other.id),
        msgspec.structs.replace(right, signatures=right.signatures[:-1]),
        msgspec.structs.replace(right, signatures=("x", "x", "x")),
        msgspec.structs.replace(right, key=SECOND.key_id.hex()),
    ):
        with pytest.raises(Unverified):
            reviews.bring(wrong, NOW)
    with pytest.raises(InputError, match="is no proposal"):
        reviews.bring(Approval(review="p_none", key="0" * 8, signatures=()), NOW)


@pytest.mark.parametrize(
    "change",
    [
        "need = 1",
        "kind = 'other'",
        "tenant = 'other'",
        "asked_by = 'key:other'",
        "until = until + 86400",
        'texts = \'["do else\\n","and that\\n"]\'',
        "texts = '[\"do this\\n\"]'",
    ],
)
def test_what_is_changed_after_it_was_signed_is_approved_by_nobody(reviews, desk, change):
    proposal = propose(reviews)
    reviews.bring(approve(proposal, FIRST), NOW)
    reviews.bring(approve(proposal, SECOND), NOW)
    with desk.writing():
        desk.write(f"UPDATE reviews SET {change}")
    found = reviews.reviewed(proposal.id, NOW)
    assert (found.state, found.approvals) == ("open", ())
    with pytest.raises(Unverified):
        reviews.begin(proposal.id, NOW)


def test_approvals_written_into_the_desk_by_hand_count_for_nothing(reviews, desk):
    proposal = propose(reviews)
    signatures = msgspec.json.encode([note.encoded(bytes(64))] * 3).decode()
    with desk.writing():
        for person in (FIRST, SECOND):
            row = (proposal.id, person.key_id.hex(), "", signatures, 0)
            desk.write("INSERT INTO approvals VALUES (?, ?, ?, ?, ?)", row)
    assert reviews.reviewed(proposal.id, NOW).approvals == ()


@pytest.mark.parametrize("state", ["begun", "approved"])
def test_a_state_written_into_the_desk_by_hand_counts_for_nothing(reviews, desk, state):
    proposal = propose(reviews)
    reviews.bring(approve(proposal, FIRST), NOW)
    with desk.writing():
        desk.write("UPDATE reviews SET state = ?", [state])
    with pytest.raises(Unverified, match="1 of 2"):
        reviews.begin(proposal.id, NOW)


def test_who_may_approve_no_more_by_the_time_it_is_done_does_not_count(reviews, approvers):
    proposal = propose(reviews)
    reviews.bring(approve(proposal, FIRST), NOW)
    reviews.bring(approve(proposal, SECOND), NOW)
    approvers.remove(SECOND.verifier)
    with pytest.raises(Unverified, match="1 of 2"):
        reviews.begin(proposal.id, NOW)


def test_it_expires_and_can_be_taken_back(reviews):
    proposal, other = propose(reviews), propose(reviews)
    for person in (FIRST, SECOND):
        reviews.bring(approve(proposal, person), NOW)
    assert reviews.reviewed(proposal.id, NOW + 3 * DAY - dt.timedelta(seconds=1)).state == "approved"
    assert reviews.reviewed(proposal.id, NOW + 3 * DAY).state == "expired"
    with pytest.raises(Unverified, match="expired"):
        reviews.begin(proposal.id, NOW + 3 * DAY)
    with pytest.raises(StoreError, match="is expired"):
        reviews.bring(approve(proposal, THIRD), NOW + 3 * DAY)
    assert reviews.withdraw(other.id, NOW).state == "withdrawn"
    with pytest.raises(StoreError, match="is withdrawn"):
        reviews.bring(approve(other, FIRST), NOW)


@pytest.mark.parametrize(
    "given",
    [
        {"texts": ()},
        {"need": 0},
        {"until": NOW},
        {"until": NOW + (MOST_DAYS + 1) * DAY},
        {"by": "a\nneed 1"},
    ],
    ids=str,
)
def test_what_can_not_be_proposed_is_refused(reviews, given):
    with pytest.raises(InputError):
        propose(reviews, **given)


def test_it_is_there_after_a_start(tmp_path, approvers):
    with Desk.open(tmp_path) as desk:
        proposal = propose(Reviews(desk, lambda: approvers))
        Reviews(desk, lambda: approvers).bring(approve(proposal, FIRST), NOW)
    with Desk.open(tmp_path) as desk:
        (found,) = Reviews(desk, lambda: approvers).listed(NOW, "thing")
        assert (found.proposal, len(found.approvals)) == (proposal, 1)
        assert Reviews(desk, lambda: approvers).listed(NOW, "else") == []


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(0, 3), max_size=8), st.sampled_from([None, 0, 1, 2, 3]))
def test_it_is_approved_exactly_when_enough_others_have_signed(tmp_path_factory, need, order, asker):
    people = [*PEOPLE, Ed25519Signer("fourth.example", Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))]
    with Desk.open(tmp_path_factory.mktemp("desk")) as desk:
        reviews = Reviews(desk, lambda: [each.verifier for each in people])
        by = "retention" if asker is None else principal_of(people[asker].verifier)
        proposal = propose(reviews, need=need, by=by)
        signed = set()
        for number in order:
            try:
                reviews.bring(approve(proposal, people[number]), NOW)
            except Unverified:
                assert number in signed or number == asker
            else:
                assert number not in signed
                assert number != asker
                signed.add(number)
        assert (reviews.reviewed(proposal.id, NOW).state == "approved") == (len(signed) >= need)
