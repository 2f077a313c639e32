"""Uses over HTTP that meet a grant: the answer of the record that gave it and no new record, as long as
nothing that it rests on is another."""

import datetime as dt

import msgspec
import pytest
from tests.web.conftest import problem, serving, transaction

from carnet.model.authzen import EVALUATION, EVALUATIONS
from carnet.store.policies import default_policy

PATH, BATCH = "/v1/determinations", "/v1/determinations/batch"
ZOE = {"id": "zoe", "us_status": "citizen"}


@pytest.fixture
def fresh(tmp_path, hands):
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        yield service


@pytest.fixture
def use(hands):
    """A use by somebody, as of now; what is `changed` is said of the transaction."""

    def said(changed=(), **recipient):
        return {"transaction": transaction(at=hands.at.isoformat(), **recipient) | dict(changed)}

    return said


@pytest.fixture
def evaluation(hands):
    def said(context=(), **properties):
        return {
            "subject": {"type": "person", "id": "zoe", "properties": {"location": "US", **properties}},
            "action": {"name": "remote_access"},
            "resource": {
                "type": "hosted",
                "id": "anthropic/claude-fable-5",
                "properties": {"provider": "anthropic"},
            },
            "context": {
                "at": hands.at.isoformat(),
                "served_from": "US",
                "exporter": {"id": "anthropic", "kind": "company"},
                **dict(context),
            },
        }

    return said


def asked(service, document, path=PATH, **more):
    answer = service.post(path, document, "decide", **more)
    assert answer.status_code == 200, answer.text
    return answer


def counted(service):
    """How often each grant was used, as it is recorded now."""
    with service.node.log.reading() as reading:
        before = reading.size
    for receipt in service.node.grants.flush():
        receipt.result(20)
    found = service.get("/v1/records", "read").json()["records"][before:]
    return {each["grant"]: each["count"] for record in found for each in record["leaf"]["uses"]}


def test_the_same_again_gets_the_same_record_and_is_counted(fresh, use):
    first, *later = [asked(fresh, use(**ZOE)) for _ in range(4)]
    given = first.json()
    assert (given["action"], given["grant"], given["given"]) == ("serve", given["id"], "now")
    for answer in later:
        assert answer.json() == given | {"given": "before"}
        for name in ("carnet-node", "carnet-index"):
            assert answer.headers[name] == first.headers[name]
    assert fresh.size() == 1
    assert counted(fresh) == {given["id"]: 3}


def test_what_is_used_under_a_grant_is_counted_apart_from_what_is_determined(fresh, use):
    for _ in range(3):
        asked(fresh, use(**ZOE))
    lines = fresh.get("/metrics").text.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("carnet_uses_total")] == ["2.0"]
    assert [line.split()[-1] for line in lines if line.startswith("carnet_determinations_total")] == ["1.0"]


@pytest.mark.parametrize(
    ("changed", "recipient"),
    [
        ({}, {"id": "eve"}),
        ({}, {"us_status": "permanent_resident"}),
        ({}, {"us_status": "none", "nationalities": ["FR"]}),
        ({}, {"location": "CA"}),
        ({}, {"nationalities": ["US"]}),
        ({}, {"product": "anthropic/claude-mythos-5"}),
        ({}, {"product": "anthropic/claude-opus-4-8"}),
        ({"event": "deemed_export"}, {}),
        ({"served_from": "DE"}, {}),
        ({"exporter": {"id": "northwind", "kind": "company"}}, {}),
        ({"item": {"product": "anthropic/claude-fable-5", "form": "weights"}}, {}),
    ],
    ids=str,
)
def test_each_changed_fact_gives_a_new_record(fresh, use, changed, recipient):
    given = asked(fresh, use(**ZOE)).json()
    answer = fresh.post(PATH, use(changed, **{**ZOE, **recipient}), "decide")
    if answer.status_code == 200:
        assert answer.json()["id"] != given["id"]
        assert answer.json()["given"] in ("now", None)
        assert fresh.size() == 2
    assert asked(fresh, use(**ZOE)).json()["id"] == given["id"]
    assert counted(fresh) == {given["id"]: 1}


def test_a_standing_fact_that_comes_to_be_known_gives_a_new_record(fresh, use, hands):
    given = asked(fresh, use(**ZOE)).json()
    facts = {"source": "hr", "assurance": "S3", "facts": {"nationalities": ["FR"]}}
    asked_of = fresh.post("/v1/subjects/zoe/facts", facts, "administer")
    assert asked_of.status_code == 200
    hands.at, hands.passed = hands.at + dt.timedelta(seconds=1), hands.passed + 1_000_000_000
    assert asked(fresh, use(**ZOE)).json()["id"] != given["id"]
    assert fresh.size() == 2


def test_an_inquiry_and_a_request_with_an_idempotency_key_meet_no_grant(fresh, use):
    given = asked(fresh, use(**ZOE)).json()
    for document in (use(**ZOE) | {"purpose": "inquiry"},) * 2:
        found = asked(fresh, document).json()
        assert (found["grant"], found["given"]) == (None, None)
    assert fresh.size() == 3
    key = {"Idempotency-Key": "order-1"}
    first, again = (asked(fresh, use(**ZOE), headers=key) for _ in range(2))
    assert first.content == again.content
    assert (first.json()["id"] != given["id"], first.json()["given"]) == (True, "now")
    assert fresh.size() == 4


def test_after_a_revocation_there_is_a_new_record(fresh, use):
    given = asked(fresh, use(**ZOE)).json()
    assert asked(fresh, use(**ZOE)).json()["id"] == given["id"]
    ended = fresh.post("/v1/revocations", {"subject": "zoe"}, "administer").json()
    assert ended == {"count": 1, "nodes": 1}
    again = asked(fresh, use(**ZOE)).json()
    assert (again["id"] != given["id"], again["given"]) == (True, "now")
    kinds = [each["leaf"]["kind"] for each in fresh.get("/v1/records", "read").json()["records"]]
    assert kinds == ["determination", "revoked", "determination"]


def test_past_its_end_there_is_a_new_record(fresh, use, hands):
    given = asked(fresh, use(**ZOE)).json()
    left = dt.datetime.fromisoformat(given["until"]) - hands.at
    for passed, new in ((left - dt.timedelta(seconds=1), False), (dt.timedelta(seconds=1), True)):
        hands.at += passed
        hands.passed += int(passed.total_seconds() * 1_000_000_000)
        assert (asked(fresh, use(**ZOE)).json()["id"] != given["id"]) == new


def test_under_another_epoch_there_is_a_new_record(fresh, use, rulebook):
    given = asked(fresh, use(**ZOE)).json()
    fresh.node.enter(rulebook, msgspec.structs.replace(default_policy(), name="other"))
    again = asked(fresh, use(**ZOE)).json()
    assert again["id"] != given["id"]
    assert (given["epoch"], again["epoch"], again["given"]) == (1, 2, "now")


def test_after_a_restart_there_is_a_new_record(tmp_path, hands, use):
    ids = []
    for _ in range(2):
        with serving(tmp_path / "data", clock=hands.clock()) as service:
            ids += [asked(service, use(**ZOE)).json()["id"] for _ in range(2)]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_while_nothing_can_be_recorded_a_grant_serves_nobody(fresh, use, evaluation):
    asked(fresh, use(**ZOE))
    assert asked(fresh, use(**ZOE)).json()["given"] == "before"
    fresh.node.log.stop("this is a test")
    problem(fresh.post(PATH, use(**ZOE), "decide"), "carnet_unavailable", 503)
    problem(fresh.post(EVALUATION, evaluation(us_status="citizen"), "decide"), "carnet_unavailable", 503)
    (one,) = asked(fresh, {"requests": [use(**ZOE)]}, BATCH).json()["results"]
    assert (one["status"], one["problem"]["type"]) == (503, "/problems/carnet_unavailable")


def test_while_the_clock_is_suspect_a_grant_serves_nobody(fresh, use, hands):
    given = asked(fresh, use(**ZOE)).json()
    hands.passed += 3_600 * 1_000_000_000
    problem(fresh.post(PATH, use(**ZOE), "decide"), "carnet_unavailable", 503)
    hands.passed -= 3_600 * 1_000_000_000
    assert asked(fresh, use(**ZOE)).json() == given | {"given": "before"}


def test_a_use_that_is_not_now_is_refused_though_there_is_a_grant(fresh, use, hands):
    late = use(**ZOE)
    asked(fresh, late)
    hands.at, hands.passed = hands.at + dt.timedelta(seconds=61), hands.passed + 61_000_000_000
    problem(fresh.post(PATH, late, "decide"), "not_now", 400)


def test_no_tenant_meets_the_grant_of_another(fresh, use):
    ids = [asked(fresh, use(**ZOE), tenant=tenant).json()["id"] for tenant in ("a", "b", "a", "b")]
    assert ids[0] != ids[1]
    assert ids[:2] == ids[2:]
    assert fresh.size() == 2


def test_each_of_several_meets_its_own_grant(fresh, use):
    first = asked(fresh, use(**ZOE))
    several = {
        "requests": [use(**ZOE), use(**ZOE, nationalities=["US"]), use(**ZOE) | {"purpose": "inquiry"}]
    }
    results = asked(fresh, several, BATCH).json()["results"]
    assert [each["determined"]["given"] for each in results] == ["before", "now", None]
    assert results[0]["determined"]["id"] == first.json()["id"]
    assert str(results[0]["index"]) == first.headers["carnet-index"]
    assert fresh.size() == 3
    key = {"Idempotency-Key": "order-1"}
    again = asked(fresh, {"requests": [use(**ZOE)]}, BATCH, headers=key).json()["results"]
    assert again[0]["determined"]["given"] == "now"
    assert fresh.size() == 4


def test_an_evaluation_meets_the_grant_too(fresh, use, evaluation):
    first = asked(fresh, evaluation(us_status="citizen"), EVALUATION)
    again = asked(fresh, evaluation(us_status="citizen"), EVALUATION)
    assert (first.json()["context"]["given"], again.json()["context"]["given"]) == ("now", "before")
    assert again.json()["decision"] is True
    assert again.json()["context"]["record"] == first.json()["context"]["record"]
    assert again.headers["carnet-index"] == first.headers["carnet-index"]
    assert asked(fresh, use(**ZOE)).json()["id"] == first.json()["context"]["record"]
    assert fresh.size() == 1
    part = evaluation(us_status="citizen")
    several = asked(
        fresh,
        part | {"evaluations": [{}, {"context": part["context"] | {"purpose": "inquiry"}}]},
        EVALUATIONS,
    ).json()["evaluations"]
    assert [each["context"].get("given") for each in several] == ["before", None]
    assert fresh.size() == 2


def test_what_is_counted_at_a_stop_is_on_record(tmp_path, hands, use):
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        (given,) = {asked(service, use(**ZOE)).json()["id"] for _ in range(3)}
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        leaves = [each["leaf"] for each in service.get("/v1/records", "read").json()["records"]]
    assert [leaf["kind"] for leaf in leaves] == ["determination", "uses"]
    assert [(each["grant"], each["count"]) for each in leaves[1]["uses"]] == [(given, 2)]


def test_a_grant_that_was_given_a_second_time_is_met_for_what_it_was_given_for(fresh, use):
    """Whoever asks with a key gets a record of its own, which the next use then meets."""
    asked(fresh, use(**ZOE))
    second = asked(fresh, use(**ZOE), headers={"Idempotency-Key": "order-1"}).json()
    assert asked(fresh, use(**ZOE)).json() == second | {"given": "before"}
