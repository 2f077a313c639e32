"""A determination on a real node: what is recorded before it takes effect, which grants are given and end."""

import datetime as dt
from concurrent.futures import Future

import msgspec
import pytest

from carnet.engine.decide import decide
from carnet.model import leaf as leaves
from carnet.model.errors import InputError, Unavailable
from carnet.model.recorded import recorded
from carnet.service import grants
from carnet.service.grants import Selector
from carnet.service.node import Node
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook
from carnet.store.vault_parts import committed

CITIZEN = {"id": "zoe.example", "us_status": "citizen"}
MAY = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


def determined(node, request, tenant="t1"):
    pending = node.determiner.determine(tenant, request)
    return pending.determined, pending.receipt.result(20)


def record_of(node, found, tenant="t1"):
    with node.log.reading() as reading:
        return reading.of_id(tenant, found.id)


def leaf_at(node, receipt):
    return leaf_number(node, receipt.result(20).index)


def leaf_number(node, index):
    with node.log.reading() as reading:
        return leaves.read(reading.record(index).leaf)


def test_a_citizen_is_served_under_a_grant_whose_record_is_durable_first(node, asked):
    found, receipt = determined(node, asked(**CITIZEN))
    assert (found.action, found.controlled, found.grant) == ("serve", True, found.id)
    record = record_of(node, found)
    assert record.index == receipt.index
    leaf = leaves.read(record.leaf)
    assert leaf.determination == found.determination
    assert (leaf.tenant, leaf.product, leaf.action, leaf.epoch) == (
        "t1",
        "anthropic/claude-fable-5",
        "serve",
        1,
    )
    assert b"zoe" not in record.leaf
    assert b"citizen" not in record.leaf


def test_a_foreign_person_is_refused_and_that_is_recorded_too(node, asked):
    found, _ = determined(node, asked(id="bo", us_status="none", nationalities=["FR"]))
    assert (found.action, found.grant) == ("refuse", None)
    assert found.determination.outcome == "license_required"
    assert record_of(node, found) is not None
    assert len(node.grants) == 0


def test_unknown_status_is_asked_for_and_never_granted(node, asked):
    found, _ = determined(node, asked(id="cy"))
    assert (found.action, found.grant) == ("ask", None)
    assert "recipient.us_status" in found.determination.asked


def test_a_model_that_no_rule_names_is_served_without_a_grant(node, asked):
    found, _ = determined(node, asked("anthropic/claude-opus-4-8", id="dee"))
    assert (found.action, found.controlled, found.grant) == ("serve", False, None)


def test_the_private_part_is_what_the_leaf_commits_to_and_decides_alike(node, asked, rulebook):
    found, _ = determined(node, asked(**CITIZEN))
    record = record_of(node, found)
    leaf = leaves.read(record.leaf)
    private = node.vault.opened(record.subject, record.retention, record.id, record.sealed)
    transaction = committed(leaf.commitment, private).transaction
    at = dt.datetime.fromisoformat(leaf.determination.at)
    again = decide(transaction, rulebook, at=at, known=at, choices=default_policy().choices)
    assert recorded(again.determination) == leaf.determination


def test_a_second_use_is_counted_and_a_use_by_somebody_else_is_not(node, asked):
    found, _ = determined(node, asked(**CITIZEN))
    assert node.meeting.use("t1", asked(**CITIZEN)).determined.id == found.id
    assert node.meeting.use("t2", asked(**CITIZEN)) is None
    assert node.meeting.use("t1", asked(**{**CITIZEN, "id": "eve"})) is None
    (receipt,) = node.grants.flush()
    uses = leaf_at(node, receipt).uses
    assert [(use.grant, use.count) for use in uses] == [(found.id, 1)]
    assert node.grants.flush() == []


def test_a_later_use_gets_the_answer_of_the_record_and_is_told_that_it_is_under_a_grant(node, asked):
    found, receipt = determined(node, asked(**CITIZEN))
    met = node.meeting.use("t1", asked(**CITIZEN))
    assert met.receipt.result(0) == receipt
    assert (found.given, met.determined.given) == ("now", "before")
    assert msgspec.structs.replace(met.determined, given="now") == found


def test_an_inquiry_and_whoever_is_not_named_meet_no_grant(node, asked):
    determined(node, asked(**CITIZEN))
    assert node.meeting.use("t1", asked(purpose="inquiry", **CITIZEN)) is None
    nameless, _ = determined(node, asked(us_status="citizen"))
    assert nameless.given == "now"
    assert node.meeting.use("t1", asked(us_status="citizen")) is None


LETTER = """+++
format = 1
title = "An invented letter"
source = "Invented"
dated = 2026-01-01
verified = 2026-01-01
+++

```toml requirement
id = "us.letter.pledge"
cite = "letter, 1"
from = 2026-01-01
gate = "own"
binds = ["anthropic"]
reasons = ["notice"]
lifted_by = ["pledge", "authorization"]
review = "none stated"
when = 'item.product == "anthropic/atlas-3" and recipient.us_status == "citizen"'
```

```toml exception
id = "us.letter.pledged"
cite = "letter, 2"
from = 2026-01-01
class = "authorization"
path = "pledge"
lifts = [{ requirement = "us.letter.pledge" }]
when = 'item.product == "anthropic/atlas-3"'
tasks = [{ due = "before", key = "pledge", cite = "letter, 2" }]
```
"""


def test_a_task_that_was_done_for_the_grant_has_to_be_done_for_the_use(tmp_path, hands, asked):
    file = tmp_path / "law" / "us" / "letters" / "pledge.md"
    file.parent.mkdir(parents=True)
    file.write_text(LETTER)
    with Node(tmp_path / "data", load_rulebook(tmp_path / "law"), default_policy(), hands.clock()) as node:
        without = asked("anthropic/atlas-3", **CITIZEN)
        pledged = msgspec.structs.replace(without, done=("pledge",))
        assert determined(node, without)[0].tasks == ("pledge",)
        assert determined(node, pledged)[0].action == "serve"
        assert node.meeting.use("t1", pledged) is not None
        assert node.meeting.use("t1", without) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"us_status": "permanent_resident"},
        {"location": "CA"},
        {"nationalities": ["US"]},
        {"military_intelligence_end_user": True},
        {"nondisclosure_signed": True},
    ],
    ids=str,
)
def test_a_fact_that_the_rules_can_read_makes_the_grant_miss(node, asked, changed):
    determined(node, asked(**CITIZEN))
    assert node.meeting.use("t1", asked(**CITIZEN)) is not None
    assert node.meeting.use("t1", asked(**{**CITIZEN, **changed})) is None


def test_a_fact_that_no_rule_in_force_can_read_does_not(node, asked):
    found, _ = determined(node, asked(**CITIZEN))
    assert node.meeting.use("t1", asked(employer="acme", **CITIZEN)).determined.id == found.id


def test_a_grant_ends_with_the_law_it_was_given_under(node, asked, hands):
    found, _ = determined(node, asked(**CITIZEN))
    until = dt.datetime.fromisoformat(found.until)
    hands.go((until - hands.at).total_seconds() - 1)
    assert node.meeting.use("t1", asked(**CITIZEN)) is not None
    hands.go(1)
    assert node.meeting.use("t1", asked(**CITIZEN)) is None
    node.grants.flush()
    assert len(node.grants) == 0


def test_a_revocation_ends_what_it_selects_at_once_and_is_recorded(node, asked):
    determined(node, asked(**CITIZEN))
    other, _ = determined(node, asked(**{**CITIZEN, "id": "eve"}))
    subject = record_of(node, other).subject
    count, (receipt,) = node.grants.revoke("t1", Selector(subject=subject))
    assert count == 1
    assert leaf_at(node, receipt).grants == (other.id,)
    assert node.meeting.use("t1", asked(**CITIZEN)) is not None
    assert node.meeting.use("t1", asked(**{**CITIZEN, "id": "eve"})) is None
    assert node.grants.revoke("t2", Selector())[0] == 0


def test_a_grant_that_is_revoked_before_it_is_durable_never_counts(node, asked):
    pending = node.determiner.determine("t1", asked(**CITIZEN))
    node.grants.revoke("t1", Selector())
    pending.receipt.result(20)
    assert node.meeting.use("t1", asked(**CITIZEN)) is None


def test_a_new_policy_is_a_new_epoch_and_ends_every_grant(node, asked, rulebook):
    determined(node, asked(**CITIZEN))
    policy = msgspec.structs.replace(default_policy(), name="other")
    assert node.enter(rulebook, policy) == 2
    assert node.meeting.use("t1", asked(**CITIZEN)) is None
    assert determined(node, asked(**CITIZEN))[0].epoch == 2
    assert node.enter(rulebook, policy) == 2
    assert node.meeting.use("t1", asked(**CITIZEN)) is not None
    with node.log.reading() as reading:
        kinds = [leaves.read(reading.record(number).leaf) for number in range(reading.size)]
    assert [type(leaf).__name__ for leaf in kinds] == ["Determined", "AllEnded", "Determined"]
    assert kinds[1].why == "epoch"


def test_while_nothing_can_be_recorded_no_grant_is_used(node, asked):
    determined(node, asked(**CITIZEN))
    assert node.meeting.use("t1", asked(**CITIZEN)) is not None
    node.log.stop("this is a test")
    assert node.meeting.use("t1", asked(**CITIZEN)) is None


def test_nothing_that_is_not_durable_is_granted(node, asked):
    node.log.stop("this is a test")
    with pytest.raises(Unavailable):
        determined(node, asked(**CITIZEN))
    assert len(node.grants) == 0
    assert node.meeting.use("t1", asked(**CITIZEN)) is None


def test_while_the_clock_is_suspect_nothing_controlled_is_served(node, asked, hands):
    determined(node, asked(**CITIZEN))
    hands.at += dt.timedelta(hours=3)
    assert node.meeting.use("t1", asked(**CITIZEN)) is None
    with pytest.raises(Unavailable, match="clock is suspect"):
        determined(node, asked(**CITIZEN))
    assert determined(node, asked("anthropic/claude-opus-4-8"))[0].action == "serve"
    hands.at -= dt.timedelta(hours=3)
    assert node.meeting.use("t1", asked(**CITIZEN)) is not None


def test_a_start_goes_on_and_grants_are_to_be_given_again(opened, asked, hands):
    with opened() as node:
        first, _ = determined(node, asked(**CITIZEN))
    hands.go(60)
    with opened() as node:
        assert record_of(node, first) is not None
        assert node.meeting.use("t1", asked(**CITIZEN)) is None
        assert determined(node, asked(**CITIZEN))[1].index == 2
        assert leaf_number(node, 1).why == "stopped"


def test_the_grants_of_a_node_that_was_killed_are_over_at_the_next_start(opened, asked, hands):
    with opened() as node:
        determined(node, asked(**CITIZEN))
        node.grants.stop = list  # as if it had no time to
    hands.go(60)
    with opened() as node:
        assert determined(node, asked("anthropic/claude-opus-4-8"))[1].index == 2
        assert leaf_number(node, 1).why == "found"
    with opened() as node:
        assert determined(node, asked("anthropic/claude-opus-4-8"))[1].index == 3


def test_a_revocation_that_could_not_be_recorded_is_recorded_later(node, asked, monkeypatch):
    found, _ = determined(node, asked(**CITIZEN))
    refused = Future()
    refused.set_exception(Unavailable("this is a test"))
    with monkeypatch.context() as patch:
        patch.setattr(node.log, "submit", lambda entry: refused)
        assert node.grants.revoke("t1", Selector())[0] == 1
        (again,) = node.grants.flush()
        assert again.exception() is not None
    assert node.meeting.use("t1", asked(**CITIZEN)) is None
    (receipt,) = node.grants.flush()
    assert leaf_at(node, receipt).grants == (found.id,)
    assert node.grants.flush() == []


def test_a_revocation_of_many_grants_is_recorded_in_parts(node, asked):
    for number in range(3):
        determined(node, asked(**{**CITIZEN, "id": f"zoe-{number}"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grants, "MOST_REVOKED", 2)
        count, receipts = node.grants.revoke("t1", Selector())
    assert count == 3
    assert [len(leaf_at(node, receipt).grants) for receipt in receipts] == [2, 1]


def test_a_use_is_now_and_an_inquiry_is_whenever_and_lets_nobody_in(node, asked, hands):
    late = asked(**CITIZEN)
    hands.go(61)
    with pytest.raises(InputError, match="is not now"):
        node.determiner.determine("t1", late)
    found, _ = determined(node, asked(purpose="inquiry", **CITIZEN))
    assert (found.action, found.grant) == ("serve", None)
    assert len(node.grants) == 0


def test_another_tenants_transaction_is_refused(node, asked):
    with pytest.raises(InputError, match="tenant"):
        node.determiner.determine("t1", asked(more=', "tenant": "t2"', **CITIZEN))


def test_records_are_found_by_party_and_place_and_only_by_their_tenant(node, asked):
    found, _ = determined(node, asked(**CITIZEN))
    determined(node, asked(**{**CITIZEN, "id": "eve"}))
    terms = [node.recorder.term("t1", "party", "zoe.example"), node.recorder.term("t1", "country", "US")]
    with node.log.reading() as reading:
        assert [record.id for record in reading.found("t1", terms)] == [found.id]
        assert reading.found("t2", terms) == []
        assert len(reading.found("t1", terms[1:])) == 2
