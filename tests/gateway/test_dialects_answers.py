"""The answers of upstreams: lists without what may not be used, answers that say which model gave them, and
refusals understood."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.gateway.bodies import BadBody
from carnet.gateway.dialects import APIS
from carnet.gateway.dialects.upstream import upstream_refusal

ANTHROPIC, OPENAI = APIS["anthropic"], APIS["openai"]


def may(name):
    return "fable" not in name


def page(*names, **more):
    data = [{"type": "model", "id": name, "display_name": name} for name in names]
    return json.dumps({"data": data, "first_id": names[0], "last_id": names[-1], **more}).encode()


def test_a_list_that_hides_nothing_is_passed_on_as_it_is():
    body = b'{ "object":"list", "data":[{"id":"gpt-x"}] }'
    assert OPENAI.listed(body, may) is body
    body = page("claude-x", has_more=False)
    assert ANTHROPIC.listed(body, may) is body


def test_a_list_loses_the_models_that_may_not_be_used():
    body = page("fable-5", "claude-x", "claude-y", "fable-6", has_more=False)
    found = json.loads(ANTHROPIC.listed(body, may))
    assert [each["id"] for each in found["data"]] == ["claude-x", "claude-y"]
    assert (found["first_id"], found["last_id"]) == ("claude-x", "claude-y")
    body = json.dumps({"object": "list", "data": [{"id": "fable-5"}, {"id": "gpt-x"}]}).encode()
    assert json.loads(OPENAI.listed(body, may)) == {"object": "list", "data": [{"id": "gpt-x"}]}


def test_a_page_of_hidden_models_alone_still_leads_to_the_next():
    found = json.loads(ANTHROPIC.listed(page("fable-5", "fable-6", has_more=True), may))
    assert found == {"data": [], "first_id": None, "last_id": "fable-6", "has_more": True}
    found = json.loads(ANTHROPIC.listed(page("fable-5", has_more=False), may))
    assert found == {"data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    "entry", [{"object": "model"}, "gpt-x", {"id": 5}, {"id": "gpt-x", "name": "fable-5"}]
)
def test_an_entry_that_has_no_name_or_another_one_goes(entry):
    body = json.dumps({"data": [entry], "models": [entry]}).encode()
    assert json.loads(OPENAI.listed(body, may)) == {"data": [], "models": []}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": {}}', b"[" * 100_000, b"\xff"])
@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_what_is_no_list_of_models_is_not_passed_on(api, body):
    with pytest.raises(BadBody, match="no list of models"):
        api.listed(body, may)


@pytest.mark.parametrize(
    ("api", "body", "after"),
    [
        (ANTHROPIC, {"id": "m", "model": "a", "content": [{"model": "a"}]}, ("model",)),
        (OPENAI, {"id": "c", "model": "a", "choices": [{"message": {"content": "a"}}]}, ("model",)),
        (OPENAI, {"object": "response", "model": "a", "tools": [{"model": "a"}]}, ("model",)),
    ],
)
def test_an_answer_names_the_model_that_gave_it(api, body, after):
    found = json.loads(api.substituted(json.dumps(body).encode(), "b"))
    assert found == {**body, after[0]: "b"}


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{ "error": {"message": "x"} }'])
@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_what_names_no_model_is_passed_on_as_it_is(api, body):
    assert api.substituted(body, "b") is body


def test_half_a_sign_in_an_answer_stays_what_it_is():
    body = b'{"model": "a", "text": "\\ud83d"}'
    assert json.loads(OPENAI.substituted(body, "b")) == {"model": "b", "text": "\ud83d"}


@pytest.mark.parametrize(
    ("api", "event", "after"),
    [
        (
            ANTHROPIC,
            b'event: message_start\ndata: {"type":"message_start","message":{"model":"a"}}\n\n',
            b'event: message_start\ndata: {"type":"message_start","message":{"model":"b"}}\n\n',
        ),
        (OPENAI, b'data: {"id":"c","model":"a"}\n\n', b'data: {"id":"c","model":"b"}\n\n'),
        (
            OPENAI,
            b'id: 3\r\ndata:{"model":"a",\r\ndata: "x":1}\r\n\r\n',
            b'id: 3\ndata: {"model":"b","x":1}\n\n',
        ),
        (
            OPENAI,
            b'event: response.created\ndata: {"type":"response.created","response":{"model":"a"}}\n\n',
            b'event: response.created\ndata: {"type":"response.created","response":{"model":"b"}}\n\n',
        ),
    ],
)
def test_an_event_names_the_model_that_gave_it(api, event, after):
    assert api.substituted_event(event, "b") == after


@pytest.mark.parametrize(
    "event", [b"data: [DONE]\n\n", b": comment\n\n", b'event: ping\ndata: {"type":"ping"}\n\n', b"\n", b""]
)
@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_an_event_that_names_no_model_is_passed_on_as_it_is(api, event):
    assert api.substituted_event(event, "b") is event


@given(st.text(max_size=20), st.sampled_from(["\n", "\r\n", "\r"]))
def test_the_text_of_an_event_stays_whatever_it_is(text, end):
    body = {"model": "a", "text": text}
    event = f"data: {json.dumps(body, ensure_ascii=False)}{end}{end}".encode("utf-8", "surrogatepass")
    found = OPENAI.substituted_event(event, "b")
    assert json.loads(found.decode().removeprefix("data: ")) == {**body, "model": "b"}


def error(**words):
    return json.dumps({"error": words}).encode()


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (403, error(code="unsupported_country_region_territory", type="request_forbidden"), "region"),
        (403, error(type="request_forbidden"), "region"),
        (403, error(type="permission_error", message="no access"), None),
        (403, error(type="forbidden", message="Request not allowed"), "region"),
        (
            400,
            error(status="FAILED_PRECONDITION", message="User location is not supported for the API"),
            "region",
        ),
        (400, error(message="the request is not valid"), None),
        (403, b"<html>", None),
        (401, error(code="invalid_api_key"), None),
        (404, error(type="not_found_error", message="model: claude-fable-5"), "not_found"),
        (404, error(code="model_not_found"), "not_found"),
        (404, error(message="The model `x` does not exist"), "not_found"),
        (404, b'{"error": "model \\"x\\" not found"}', "not_found"),
        (404, error(message="no such file"), None),
        (410, error(message="the model is retired"), "not_found"),
        (404, b"", None),
        (404, error(code="request_forbidden"), None),
        (500, b'{"stop_reason": "refusal"}', None),
        (404, error(code=["model_not_found"]), None),
        (451, b"", "legal"),
        (451, b"<html>", "legal"),
        (200, b'{"stop_reason": "refusal"}', "refusal"),
        (200, b'{"stop_reason": "end_turn"}', None),
        (200, b'{"choices": [{"finish_reason": "content_filter"}]}', "refusal"),
        (200, b'{"choices": [{"finish_reason": "stop"}, 1]}', None),
        (200, b'{"incomplete_details": {"reason": "content_filter"}}', "refusal"),
        (200, b'{"incomplete_details": null}', None),
        (200, b"[]", None),
        (500, error(type="api_error", message="model overloaded"), None),
        (429, error(type="rate_limit_error"), None),
        (200, b"[" * 100_000, None),
    ],
)
def test_a_refusal_of_an_upstream_is_understood(status, body, found):
    assert upstream_refusal(status, body) == found
