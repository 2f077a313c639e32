"""What doors see of a node: verdicts that are durable, what is met from memory, what is said of a refusal."""

import asyncio
import datetime as dt

import pytest
from msgspec import structs
from tests.service.conftest import FABLE
from tests.subjects.conftest import HOUR, said
from tests.web.corpus import CASES

from carnet.engine.decide import decide
from carnet.model.errors import Unavailable
from carnet.model.transaction import Party
from carnet.policy.enforcement import act_on, serves
from carnet.service.api import InProcess, Refusal, Verdict
from carnet.service.grants import Selector
from carnet.service.passes import Passes
from carnet.service.request import Request
from carnet.store.api_keys import ApiKeys
from carnet.store.desk import Desk
from carnet.store.policies import default_policy
from carnet.store.subjects import SubjectTable

OTHER = "anthropic/claude-opus-4-8"
FRENCH = {"us_status": "none", "nationalities": ["FR"], "location": "FR"}


@pytest.fixture
def api(node):
    door = InProcess(node)
    yield door
    door.close()


def verdict(api, request, tenant="a") -> Verdict:
    return asyncio.run(api.verdict(tenant, request))


def size(node):
    with node.log.reading() as reading:
        return reading.size


def test_a_controlled_item_is_served_once_it_is_recorded_and_then_from_memory(api, node, asked):
    request = asked(FABLE, id="dana", us_status="citizen", location="US")
    assert api.met("a", request) is None
    found = verdict(api, request)
    assert (found.action, found.controlled, found.epoch) == ("serve", True, api.epoch)
    with node.log.reading() as reading:
        assert reading.of_id("a", found.record).index == 0
    assert api.met("a", request).record == found.record
    assert size(node) == 1
    assert api.met("b", request) is None


def test_a_refusal_says_what_stands_against_it_and_is_met_again(api, node, asked):
    request = asked(FABLE, id="elodie", **FRENCH)
    found = verdict(api, request)
    assert (found.action, found.outcome, found.missing) == ("refuse", "license_required", ())
    (rule,) = (one for one in found.standing if one.rule == "us.directive.2026-06-12.person")
    assert "744.22(b)" in rule.cite
    assert rule.effective == "2026-06-12T21:21:00Z"
    assert found.headline
    assert api.met("a", request).record == found.record
    assert size(node) == 1


def test_whoever_is_unknown_is_told_what_would_settle_it(api, asked):
    found = verdict(api, asked(FABLE, id="somebody"))
    assert found.action == "ask"
    assert [one.fact for one in found.missing] == ["recipient.us_status"]
    assert "US status" in found.missing[0].text


def test_an_item_that_is_not_controlled_is_met_until_a_fact_or_the_epoch_changes(api, node, rulebook, asked):
    request = asked(OTHER, id="elodie", **FRENCH)
    found = verdict(api, request)
    assert (found.action, found.controlled) == ("serve", False)
    assert api.met("a", request).record == found.record
    assert api.met("a", asked(OTHER, id="elodie", **FRENCH | {"location": "IR"})) is None
    node.enter(rulebook, type(node.determiner.law.policy)(name="another"))
    assert api.met("a", request) is None


def test_whoever_is_not_named_meets_nothing(api, asked):
    request = asked(OTHER, us_status="citizen", location="US")
    assert verdict(api, request).action == "serve"
    assert api.met("a", request) is None


def test_while_nothing_can_be_recorded_nothing_is_met_or_served(api, node, asked):
    request = asked(FABLE, id="dana", us_status="citizen", location="US")
    verdict(api, request)
    node.log.stop("a test stopped it")
    assert api.met("a", request) is None
    with pytest.raises(Unavailable, match="a test stopped it"):
        verdict(api, request)


def test_a_door_is_told_of_an_end_before_it_is_recorded(api, node, rulebook, asked):
    told = []
    api.watch(lambda: told.append(size(node)))
    verdict(api, asked(FABLE, id="dana", us_status="citizen", location="US"))
    node.grants.revoke("a", Selector())
    assert told == [1]
    node.enter(rulebook, type(node.determiner.law.policy)(name="another"))
    assert len(told) == 2


def test_only_so_many_answers_are_kept_and_no_permission_for_a_controlled_item(api, node, asked):
    passes = Passes(most=2)
    for name in ("one", "two", "three"):
        pending = node.determiner.determine("a", asked(OTHER, id=name, **FRENCH))
        passes.keep("a", "api", pending)
    assert len(passes) == 2
    passes.keep(
        "a", "api", node.determiner.determine("a", asked(FABLE, id="d", us_status="citizen", location="US"))
    )
    passes.keep("a", "api", node.determiner.determine("a", asked(OTHER, us_status="citizen", location="US")))
    assert len(passes) == 2


def test_a_pass_is_over_when_its_time_is(api, node, hands, asked):
    request = asked(OTHER, id="elodie", **FRENCH)
    pending = node.determiner.determine("a", request)
    met = pending.met
    passes = Passes()
    passes.keep("a", "api", pending)
    now = node.clock.read()
    assert passes.use("a", "api", met.key, met.epoch, now).determined.given == "before"
    assert passes.use("a", "api", met.key, met.epoch + 1, now) is None
    assert passes.use("a", "api", met.key, met.epoch, now) is None


def test_what_a_stream_is_told_is_not_what_a_request_is_told(api, asked):
    """`needs_facts` cuts a stream and asks before one begins: neither answer stands for the other."""
    before = asked(FABLE, id="somebody")
    under_way = Request(transaction=before.transaction, surface="stream")
    assert verdict(api, under_way).action == "cut"
    assert verdict(api, before).action == "ask"
    assert (api.met("a", under_way).action, api.met("a", before).action) == ("cut", "ask")


def test_each_change_is_another_turn_before_anybody_is_told(api, node, asked):
    seen = []
    api.watch(lambda: seen.append(api.turn))
    before = api.turn
    found = verdict(api, asked(FABLE, id="dana", us_status="citizen", location="US"))
    assert (api.stands(found.record), api.turn) == (True, before)
    node.grants.revoke("a", Selector())
    assert not api.stands(found.record)
    assert seen == [api.turn] != [before]


def test_a_use_under_way_goes_on_as_its_facts_say_and_nothing_is_recorded(api, node, asked):
    citizen = asked(FABLE, id="dana", us_status="citizen", location="US")
    french = asked(FABLE, id="elodie", **FRENCH)
    nobody = asked(FABLE, id="somebody")
    other = asked(OTHER, id="elodie", **FRENCH)
    size_before = size(node)
    found = asyncio.run(api.under_way("a", [citizen, french, nobody, other]))
    assert [one.action for one in found] == ["serve", "cut", "cut", "serve"]
    assert [one.controlled for one in found] == [True, True, True, False]
    assert [one.record for one in found] == [""] * 4
    assert size(node) == size_before
    assert found[1].standing == verdict(api, french).standing


def test_while_the_clock_is_suspect_no_controlled_use_goes_on(api, hands, asked):
    citizen = asked(FABLE, id="dana", us_status="citizen", location="US")
    assert api.hindered() is None
    hands.at += dt.timedelta(seconds=30)
    (found,) = asyncio.run(api.under_way("a", [citizen]))
    assert found.action == "cut"
    assert "clock" in api.hindered()


@pytest.mark.parametrize("other", ["fact", "revoked", "later", "elsewhere"])
def test_what_is_met_from_memory_is_met_no_more_once_anything_of_it_is_another(
    api, node, opened, asked, hands, other
):
    """Facts on record, by this process or another one; a grant; the end of a fact; the transaction itself."""
    facts = said("desk", "S3", us_status="citizen", kind="person", location="US", expires=hands.at + HOUR)
    node.subjects.add("a", [("dana", facts)], hands.at)
    hands.go(1)

    def request(place="US"):
        transaction = structs.replace(asked(FABLE).transaction, recipient=Party(id="dana"), at=hands.at)
        return Request(transaction=structs.replace(transaction, served_from=place))

    found = verdict(api, request())
    assert found.action == "serve"
    for _ in range(3):
        assert api.met("a", request()).record == found.record
    if other == "fact":
        with Desk.open(node.data) as desk:
            SubjectTable(desk, node.keyring).add("a", [("dana", said("desk", "S3", location="FR"))], hands.at)
    elif other == "revoked":
        node.grants.revoke("a", Selector())
    elif other == "later":
        hands.go(3_600)
    assert api.met("a", request("FR" if other == "elsewhere" else "US")) is None


def test_a_key_that_another_process_revokes_opens_nothing_from_then_on(api, node, hands):
    key, text = node.api_keys.add("a", ("call",), hands.at)
    for _ in range(2):
        assert api.authenticated(f"Bearer {text}").key == key.id
    with Desk.open(node.data) as desk:
        ApiKeys(desk, node.keyring).revoke(key.id, hands.at)
    assert isinstance(api.authenticated(f"Bearer {text}"), Refusal)


def test_what_was_worked_out_before_a_law_is_in_force_holds_only_while_no_fact_is_another(
    api, node, hands, rulebook, asked
):
    node.subjects.add(
        "a", [("dana", said("desk", "S3", us_status="citizen", kind="person", location="US"))], hands.at
    )
    hands.go(1)
    transaction = structs.replace(asked(FABLE).transaction, recipient=Party(id="dana"), at=hands.at)
    request = Request(transaction=transaction, surface="stream")
    asked_for = []
    api.opened(lambda: asked_for.append(1) or [("a", request)])
    node.enter(rulebook, structs.replace(node.determiner.law.policy, name="another"))
    assert asked_for
    (found,) = asyncio.run(api.under_way("a", [request]))
    assert (found.action, found.epoch) == ("serve", api.epoch)
    node.subjects.add(
        "a", [("dana", said("desk", "S3", us_status="none", location="FR", nationalities=("FR",)))], hands.at
    )
    hands.go(1)
    (found,) = asyncio.run(api.under_way("a", [request]))
    assert found.action == "cut"


@pytest.mark.parametrize("honour", [False, True])
@pytest.mark.parametrize("open_", ["ask", "serve"])
def test_what_is_told_from_an_answer_alone_is_what_the_policy_does(rulebook, honour, open_):
    careful = default_policy()
    policy = structs.replace(
        careful,
        honour_announced_non_enforcement=honour,
        uncontrolled=structs.replace(careful.uncontrolled, needs_facts=open_),
    )
    outcomes = set()
    for case in CASES:
        decision = decide(case.transaction, rulebook, at=case.transaction.at)
        for controlled in (False, True):
            found = serves(decision.answer, policy, controlled=controlled)
            if found is not None:
                action = act_on(decision.determination, policy, controlled=controlled, surface="stream")
                assert found == (action.kind == "serve")
                outcomes.add(decision.outcome)
    assert len(outcomes) > 2
