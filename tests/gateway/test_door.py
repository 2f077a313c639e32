"""Requests through the real gateway, before, during and after the letter of June 2026."""

import json

import httpx
import pytest
from tests.gateway.house import AFTER, BEFORE, DURING, FABLE, House

ASK = {"model": "claude-fable-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Say stub."}]}


@pytest.fixture(scope="module")
def during(tmp_path_factory):
    with House(tmp_path_factory.mktemp("during"), DURING) as house:
        yield house


@pytest.fixture(autouse=True)
def forgotten(request):
    if "during" in request.fixturenames:
        house = request.getfixturevalue("during")
        house.main.forget()
        house.local.forget()


def post(house, who, body=ASK, path="/v1/messages", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = {"x-api-key": house.keys[who]} if who else {}
    return httpx.post(
        house.url + path,
        content=content,
        headers={"content-type": "application/json", **key, **headers},
        timeout=20,
    )


def test_whoever_may_use_it_gets_the_upstreams_bytes_and_they_get_the_callers(during):
    answer = post(during, "dana")
    assert answer.status_code == 200
    assert answer.json()["model"] == "claude-fable-5"
    (asked,) = during.main.requests
    assert asked.body == json.dumps(ASK).encode()
    assert asked.value(b"x-api-key") == b"sk-upstream"
    assert during.keys["dana"].encode() not in b"".join(value for _, value in asked.headers)
    assert answer.headers["x-carnet-record"].startswith("d_")


def test_whoever_may_not_is_told_why_in_the_form_of_the_api_and_the_upstream_hears_nothing(during):
    answer = post(during, "elodie")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (403, "false")
    error = answer.json()["error"]
    assert error["type"] == "permission_error"
    carnet = error["carnet"]
    assert carnet["code"] == "export_control_denied"
    assert "us.directive.2026-06-12.person" in carnet["rules"]
    assert "744.22(b)" in carnet["directive"]
    assert carnet["effective"] == "2026-06-12T21:21:00Z"
    assert carnet["appeal_url"] == "https://carnet.example/appeal"
    assert carnet["alternatives"] == ["claude-opus-4-8"]
    assert carnet["record"].startswith("d_")
    assert "legal advice" in error["message"]
    assert not during.main.requests
    assert not during.local.requests


def test_whoever_is_unknown_is_told_what_would_settle_it(during):
    carnet = post(during, "somebody").json()["error"]["carnet"]
    assert carnet["code"] == "evidence_needed"
    facts = [ask["fact"] for ask in carnet["asks"]]
    assert {"recipient.us_status", "recipient.location"} <= set(facts)
    assert not [fact for fact in facts if fact.startswith("exporter.")]
    (status,) = (ask for ask in carnet["asks"] if ask["fact"] == "recipient.us_status")
    assert status["evidence"] == "document_check"
    assert "us.directive.2026-06-12.person" in status["rules"]
    assert carnet["ask_url"] == "https://carnet.example/ask"
    assert not during.main.requests


def test_a_model_that_no_rule_names_is_for_everybody(during):
    for who in ("dana", "elodie", "somebody", "unlisted"):
        assert post(during, who, ASK | {"model": "plain-model"}).status_code == 200
    assert len(during.main.requests) == 4


def test_the_record_of_a_controlled_item_is_there_before_the_upstream_is_asked(during):
    before = during.records()
    seen = []
    app = during.main._served
    during.main._served = lambda asked, path: (seen.append(during.records()), app(asked, path))[1]
    try:
        assert post(during, "northwind", **{"x-carnet-end-user": "omar"}).status_code == 200
    finally:
        during.main._served = app
    assert seen == [before + 1]


@pytest.mark.parametrize(
    ("begins", "who", "status"),
    [
        (BEFORE, "elodie", 200),
        (BEFORE, "somebody", 200),
        (AFTER, "elodie", 200),
    ],
)
def test_before_the_letter_and_after_it_was_lifted_everybody_is_served(tmp_path, begins, who, status):
    with House(tmp_path, begins) as house:
        assert post(house, who).status_code == status
        assert len(house.main.requests) == 1


@pytest.mark.parametrize(
    "name", ["CLAUDE-FABLE-5", "claude-fable-5 ", "claude-fable-5-20260101", "cl\u0430ude-fable-5"]
)
def test_a_name_that_is_not_that_of_a_model_is_no_model(during, name):
    answer = post(during, "dana", ASK | {"model": name})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert not during.main.requests


def test_an_alias_is_the_model_that_it_stands_for(during):
    assert post(during, "elodie", ASK | {"model": "fable"}).status_code == 403
    assert post(during, "dana", ASK | {"model": "fable"}).status_code == 200
    assert json.loads(during.main.requests[0].body)["model"] == "claude-fable-5"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "plain-model", "model": "claude-fable-5", "messages": []}',
        b'{"Model": "claude-fable-5", "model": "plain-model", "messages": []}',
        b'{"model": "plain-model", "messages": []',
        b'\xef\xbb\xbf{"model": "plain-model", "messages": []}',
        b'["claude-fable-5"]',
        b'{"messages": []}',
        b"",
    ],
)
def test_a_body_that_could_be_read_in_two_ways_goes_nowhere(during, body):
    answer = post(during, "dana", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["carnet"]["code"] == "invalid_request"
    assert not during.main.requests


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/messages?model=claude-fable-5", {}),
        ("/v1/messages", {"x-model": "claude-fable-5"}),
        ("/v1/%6dessages", {}),
        ("/v1/x/../messages", {}),
        ("/v1/messages", {"content-encoding": "gzip"}),
        ("/v1/messages", {"content-type": "text/plain"}),
    ],
)
def test_a_model_elsewhere_than_in_the_body_goes_nowhere(during, path, headers):
    import http.client  # a client that leaves the path as it is

    at = httpx.URL(during.url)
    connection = http.client.HTTPConnection(at.host, at.port, timeout=20)
    said = {"content-type": "application/json", "x-api-key": during.keys["dana"], **headers}
    connection.request("POST", path, json.dumps(ASK | {"model": "plain-model"}), said)
    assert connection.getresponse().status == 400
    connection.close()
    assert not during.main.requests


def test_only_a_key_with_the_role_opens_anything(during):
    assert post(during, None).status_code == 401
    assert post(during, None, **{"x-api-key": "sk-something"}).status_code == 401
    assert post(during, "reader").status_code == 403
    both = {"authorization": f"Bearer {during.keys['elodie']}"}
    assert post(during, "dana", **both).status_code == 401
    same = {"authorization": f"Bearer {during.keys['dana']}"}
    assert post(during, "dana", **same).status_code == 200
    assert len(during.main.requests) == 1


def test_an_end_user_is_named_by_whoever_may_and_under_the_callers_own_name(during):
    assert post(during, "northwind", **{"x-carnet-end-user": "omar"}).status_code == 200
    refused = post(during, "northwind", **{"x-carnet-end-user": "emea/ines"})
    assert refused.json()["error"]["carnet"]["code"] == "export_control_denied"
    unknown = post(during, "northwind", **{"x-carnet-end-user": "dana"})
    assert unknown.json()["error"]["carnet"]["code"] == "evidence_needed"
    assert post(during, "appbody", ASK | {"metadata": {"user_id": "omar"}}).status_code == 200
    assert post(during, "dana", ASK | {"metadata": {"user_id": "omar"}}).status_code == 200
    for who in ("dana", "elodie", "appbody"):
        answer = post(during, who, **{"x-carnet-end-user": "omar"})
        assert answer.json()["error"]["carnet"]["code"] == "not_permitted"
    for name in ("", "a//b", "a/b/c/d/e", "omar dana", "x" * 200):
        assert post(during, "northwind", **{"x-carnet-end-user": name}).status_code == 400


def test_who_has_end_users_and_names_none_does_not_use_it_as_himself(during):
    """The company may use it; who is behind it may be anybody."""
    answer = post(during, "northwind")
    assert answer.json()["error"]["carnet"]["code"] == "evidence_needed"
    assert post(during, "appbody").json()["error"]["carnet"]["code"] == "evidence_needed"
    assert post(during, "northwind", **{"x-carnet-end-user": "?"}).status_code == 400
    assert not during.main.requests


def test_a_refusal_that_names_another_model_records_no_use_of_that(during):
    for who in ("refusenik", "somebody"):
        post(during, who)
        before = during.records()
        assert post(during, who).json()["error"]["carnet"]["alternatives"] == ["claude-opus-4-8"]
        assert during.records() == before
    with during.node.log.reading() as reading:
        leaves = [json.loads(leaf) for leaf in reading.leaves(0, reading.size)]
    assert not [leaf for leaf in leaves if leaf.get("product") == "anthropic/claude-opus-4-8"]


def test_what_names_no_model_and_could_mean_one_is_not_passed_on(during):
    for path in ("/v1/threads/runs", "/v1/completions/x", "/"):
        assert post(during, "dana", {"assistant_id": "asst_1"}, path).status_code == 400
    assert not during.main.requests


def test_a_model_named_inside_is_decided_as_well(during):
    nested = ASK | {"model": "plain-model", "fallbacks": [{"model": "claude-fable-5"}]}
    answer = post(during, "elodie", nested)
    assert answer.status_code == 403
    assert answer.json()["error"]["carnet"]["model"] == "claude-fable-5"
    assert not during.main.requests
    assert post(during, "dana", nested).status_code == 200


def test_or_is_taken_out_with_a_notice_where_the_operator_wants_that(tmp_path):
    nested = ASK | {
        "model": "plain-model",
        "fallbacks": [{"model": "claude-fable-5"}, {"model": "plain-model"}],
    }
    with House(tmp_path, references="strip") as house:
        answer = post(house, "elodie", nested)
        assert answer.status_code == 200
        assert answer.headers["x-carnet-stripped"] == "claude-fable-5"
        (asked,) = house.main.requests
        assert json.loads(asked.body) == nested | {"fallbacks": [{"model": "plain-model"}]}


def test_another_model_answers_where_policy_and_caller_want_that_and_it_says_so(tmp_path):
    with House(tmp_path, closed="fall_back") as house:
        answer = post(house, "elodie")
        assert answer.status_code == 200
        assert answer.json()["model"] == answer.headers["x-carnet-model"] == "claude-opus-4-8"
        assert answer.headers["x-carnet-substituted-for"] == "claude-fable-5"
        (asked,) = house.local.requests
        assert json.loads(asked.body) == ASK | {"model": "opus-as-the-upstream-calls-it"}
        assert not house.main.requests
        stream = post(house, "elodie", ASK | {"stream": True}).text
        assert "opus-as-the-upstream-calls-it" not in stream
        assert '"model":"claude-opus-4-8"' in stream
        assert post(house, "refusenik").status_code == 403
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
        pictured = post(house, "elodie", ASK | {"messages": [{"role": "user", "content": [image]}]})
        assert pictured.status_code == 403
        assert "`images`" in pictured.json()["error"]["message"]
        assert len(house.local.requests) == 2


def test_451_says_who_blocks_where_the_operator_wants_that(tmp_path):
    with House(tmp_path, status=451) as house:
        answer = post(house, "elodie")
        assert (answer.status_code, answer.headers["link"]) == (
            451,
            '<https://carnet.example/appeal>; rel="blocked-by"',
        )


def test_while_nothing_can_be_recorded_what_is_controlled_is_503_and_the_rest_goes_on(tmp_path):
    with House(tmp_path) as house:
        house.going.jump(3600)
        answer = post(house, "dana")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        carnet = answer.json()["error"]["carnet"]
        assert carnet["code"] == "carnet_unavailable"
        assert "rules" not in carnet
        assert FABLE not in answer.text
        assert httpx.get(house.url + "/carnet/readyz").status_code == 503
        assert httpx.get(house.url + "/carnet/healthz").status_code == 200


def test_too_many_requests_of_one_key_are_429_and_those_of_another_are_not(tmp_path):
    house = House(tmp_path)
    house.limits = {"rate": 0.5, "burst": 2}
    with house:
        assert [post(house, "dana").status_code for _ in range(3)] == [200, 200, 429]
        refused = post(house, "dana")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert post(house, "elodie").status_code == 403
        assert len(house.main.requests) == 2


def test_past_what_can_be_determined_at_once_only_what_is_known_is_served(tmp_path):
    house = House(tmp_path)
    house.limits = {"determinations": 1}
    with house:
        assert post(house, "dana").status_code == 200
        house.parts.deciding._waited = 1
        shed = post(house, "northwind", **{"x-carnet-end-user": "omar"})
        assert (shed.status_code, shed.json()["error"]["carnet"]["code"]) == (503, "carnet_unavailable")
        assert post(house, "dana").status_code == 200
        assert len(house.main.requests) == 2


def test_the_gateways_own_figures_name_nobody(during):
    post(during, "elodie")
    text = httpx.get(during.url + "/carnet/metrics").text
    assert 'carnet_gateway_refusals_total{rule="us.directive.2026-06-12.person"}' in text
    assert "elodie" not in text
