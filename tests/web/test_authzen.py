"""AuthZEN 1.0: what its text says of requests and answers, and how an evaluation stands for a transaction."""

import datetime as dt

import msgspec
import pytest
from tests.web.conftest import FABLE, JUNE, OPUS, problem, serving
from tests.web.corpus import CASES, evaluation

from carnet.model import authzen
from carnet.model.authzen import Beside, Evaluation
from carnet.model.transaction import Transaction

ONE, SEVERAL = authzen.EVALUATION, authzen.EVALUATIONS
NOW = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)


def asked(product=OPUS, kind="hosted", context=None, **subject):
    return {
        "subject": {"type": "person", "id": "zoe", **subject},
        "action": {"name": "remote_access"},
        "resource": {"type": kind, "id": product, "properties": {"provider": "anthropic"}},
        "context": {"served_from": "US", **(context or {})},
    }


def in_june(product=FABLE, **properties):
    return asked(
        product, context={"time": JUNE, "purpose": "inquiry"}, properties={"location": "US", **properties}
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_evaluation_says_the_transaction_that_it_was_made_from(case):
    read = msgspec.convert(evaluation(case.transaction), Evaluation, strict=True)
    assert authzen.problem_of(read) is None
    assert authzen.transaction_of(read, NOW) == case.transaction


def test_every_fact_of_a_transaction_has_one_place_in_an_evaluation():
    context = set(authzen.Context.__struct_fields__) - set(Beside.__struct_fields__)
    elsewhere = {"at", "format", "item", "recipient", "event"}
    assert context | elsewhere == set(Transaction.__struct_fields__)
    assert not context & elsewhere


def test_a_decision_is_true_where_the_door_serves(service):
    answer = service.post(ONE, asked(), "decide")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["decision"] is True
    context = document["context"]
    assert (context["action"], context["reason"]) == ("serve", "permitted")
    with service.node.log.reading() as reading:
        assert reading.record(int(answer.headers["carnet-index"])).id == context["record"]


def test_a_controlled_item_is_served_under_a_grant_and_an_inquiry_about_it_lets_nobody_in(tmp_path, hands):
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        citizen = {"us_status": "citizen", "location": "US"}
        found = service.post(ONE, asked(FABLE, properties=citizen), "decide").json()
        assert found["decision"] is True
        assert found["context"]["grant"] == found["context"]["record"]
        assert found["context"]["until"]
        only = asked(FABLE, properties=citizen, context={"purpose": "inquiry"})
        found = service.post(ONE, only, "decide").json()
        assert found["decision"] is False
        assert (found["context"]["action"], "grant" in found["context"]) == ("serve", False)
        assert len(service.node.grants) == 1


def test_a_denial_says_what_would_help(service):
    found = service.post(ONE, in_june(), "decide").json()
    assert found["decision"] is False
    assert found["context"]["asks"] == ["exporter.id", "recipient.us_status"]
    assert found["context"]["outcome"] == "needs_facts"


def test_a_request_id_comes_back_with_an_answer_and_with_a_problem(service):
    for document, status in ((asked(), 200), ({}, 400)):
        headers = {"X-Request-ID": "bfe9eb29-ab87"}
        answer = service.post(ONE, document, "decide", headers=headers)
        assert (answer.status_code, answer.headers["x-request-id"]) == (status, "bfe9eb29-ab87")
    assert "x-request-id" not in service.post(ONE, asked(), "decide").headers


def test_what_the_objects_of_the_specification_do_not_name_is_passed_over(service):
    document = asked()
    document["page"] = {"limit": 3}
    document["subject"]["nickname"] = "z"
    document["subject"]["properties"] = {"ip_address": "192.0.2.1", "device_id": "8:65:ee"}
    document["action"]["urn"] = "x"
    assert service.post(ONE, document, "decide").status_code == 200


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d["subject"].update(properties={"us_statsu": "citizen"}), "`subject.properties`"),
        (lambda d: d["resource"].update(properties={"colour": "red"}), "`resource.properties`"),
        (lambda d: d["context"].update(servedfrom="US"), "`context`"),
        (lambda d: d["action"].update(properties={"method": "GET"}), "`action.properties`"),
        (lambda d: d.pop("subject"), "`subject` is missing"),
        (lambda d: d["subject"].pop("id"), "`id` is missing"),
        (lambda d: d["subject"].update(type="robot"), "`subject.type`: write one of `user`, `anonymous`"),
        (lambda d: d["resource"].update(type="document"), "`resource.type`: write one of `model`, `hosted`"),
        (lambda d: d["action"].update(name="can_read"), "`action.name`: write one of `remote_access`"),
        (lambda d: d["subject"].update(properties={"kind": "person"}), "`subject.properties.kind`"),
        (lambda d: d["subject"].update(properties={"id": "y"}), "`subject.properties.id`"),
        (lambda d: d["resource"].update(properties={"form": "weights"}), "`resource.properties.form`"),
        (lambda d: d["resource"].update(properties={"product": "x"}), "`resource.properties.product`"),
        (lambda d: d["context"].update(time=JUNE, at=JUNE), "`context.time`"),
    ],
)
def test_a_fact_that_is_misspelt_missing_or_said_twice_is_refused(service, change, place):
    document, before = asked(), service.size()
    change(document)
    said = problem(service.post(ONE, document, "decide"), "malformed", 400)["detail"]
    assert place in said
    assert service.size() == before


def test_who_is_anonymous_has_no_id_and_no_standing_facts(service):
    facts = {"source": "hr", "assurance": "S3", "facts": {"us_status": "citizen"}}
    service.post("/v1/subjects/cyd/facts", facts, "administer")
    document = in_june()
    document["subject"]["id"] = "cyd"
    known = service.post(ONE, document, "decide").json()
    document["subject"]["type"] = "anonymous"
    unknown = service.post(ONE, document, "decide").json()
    assert "asks" not in known["context"]
    assert "recipient.us_status" in unknown["context"]["asks"]


def both(*changes, **options):
    """Several evaluations of one subject: of a model that no rule names, and of one that a letter names."""
    common = {"subject": in_june()["subject"], "action": {"name": "remote_access"}}
    context = {"served_from": "US", "time": JUNE}
    parts = [
        {"resource": {"type": "hosted", "id": each, "properties": {"provider": "anthropic"}}}
        for each in changes
    ]
    return {**common, "context": context, "evaluations": parts, **({"options": options} if options else {})}


def test_what_is_said_for_all_is_filled_in_and_what_each_says_goes_before(service):
    document = both(OPUS, FABLE)
    document["context"]["purpose"] = "inquiry"
    document["evaluations"].append(
        {
            **document["evaluations"][1],
            "subject": {
                "type": "person",
                "id": "bo",
                "properties": {"us_status": "citizen", "location": "US"},
            },
        }
    )
    found = service.post(SEVERAL, document, "decide").json()["evaluations"]
    assert [each["context"]["action"] for each in found] == ["serve", "ask", "serve"]
    assert len({each["context"]["record"] for each in found}) == 3


def test_an_error_in_one_of_several_denies_that_one(service):
    document = both(OPUS, FABLE)
    document["context"]["purpose"] = "inquiry"
    document["evaluations"].insert(1, {"resource": {"type": "route", "id": "/"}})
    before = service.size()
    answer = service.post(SEVERAL, document, "decide")
    assert answer.status_code == 200
    found = answer.json()["evaluations"]
    assert found[1]["decision"] is False
    assert found[1]["context"]["error"]["status"] == 400
    assert found[1]["context"]["error"]["message"].startswith("`evaluations[1].resource.type`")
    assert service.size() == before + 2


@pytest.mark.parametrize(
    ("semantic", "products", "decisions"),
    [
        ("execute_all", [OPUS, FABLE, OPUS], [True, False, True]),
        ("deny_on_first_deny", [OPUS, FABLE, OPUS], [True, False]),
        ("deny_on_first_deny", [OPUS, OPUS], [True, True]),
        ("permit_on_first_permit", [FABLE, OPUS, OPUS], [False, True]),
        ("permit_on_first_permit", [FABLE, FABLE], [False, False]),
    ],
)
def test_several_are_evaluated_by_the_semantic_that_is_asked_for(
    tmp_path, hands, semantic, products, decisions
):
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        document = both(*products, evaluations_semantic=semantic)
        found = service.post(SEVERAL, document, "decide").json()["evaluations"]
        assert [each["decision"] for each in found] == decisions
        assert service.size() == len(decisions), "what is not evaluated is not recorded"


@pytest.mark.parametrize("document", [asked(), {**asked(), "evaluations": []}])
def test_without_an_array_several_is_one(service, document):
    found = service.post(SEVERAL, document, "decide").json()
    assert set(found) == {"decision", "context"}
    assert found["decision"] is True


def test_a_missing_subject_for_all_is_bad(service):
    document = both(OPUS)
    del document["subject"]
    found = service.post(SEVERAL, document, "decide").json()["evaluations"]
    assert found[0]["context"]["error"]["message"].startswith("`evaluations[0].subject`")
    document.pop("evaluations")
    problem(service.post(SEVERAL, document, "decide"), "malformed", 400)


def test_more_than_a_hundred_are_too_many(service):
    problem(service.post(SEVERAL, both(*[OPUS] * 101), "decide"), "malformed", 400)


def test_an_evaluation_without_an_instant_is_one_of_now(service):
    document = asked()
    found = service.post(ONE, document, "decide").json()
    with service.node.log.reading() as reading:
        leaf = msgspec.json.decode(reading.of_id("a", found["context"]["record"]).leaf)
    assert abs(dt.datetime.fromisoformat(leaf["at"]) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=60)


def test_the_decision_point_says_where_it_is_asked_without_a_key(tmp_path):
    import httpx

    from carnet.web.serving import Settings

    settings = Settings(url="https://carnet.example/pdp/")
    with serving(tmp_path / "data", settings) as service:
        answer = httpx.get(f"{service.url}/.well-known/authzen-configuration")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "policy_decision_point": "https://carnet.example/pdp",
            "access_evaluation_endpoint": "https://carnet.example/pdp/access/v1/evaluation",
            "access_evaluations_endpoint": "https://carnet.example/pdp/access/v1/evaluations",
        }


def test_a_replay_of_an_evaluation_gets_the_same_answer(service):
    headers, before = {"Idempotency-Key": "evaluated once"}, service.size()
    first, again = (service.post(ONE, asked(), "decide", headers=headers) for _ in range(2))
    assert first.content == again.content
    assert service.size() == before + 1
