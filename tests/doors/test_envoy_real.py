"""Requests of the official SDKs through a real Envoy that asks Carnet, during the letter of June 2026."""

import contextlib
import gzip
import http.client
import json

import anthropic
import httpx
import openai
import pytest
from msgspec import structs
from tests.doors.proxy import Service, envoy, free_port, program
from tests.gateway.house import DURING, House

from carnet.gateway.doors.envoy import elsewhere
from carnet.gateway.parts import Parts

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("envoy")]

ASK = {"model": "claude-fable-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Say stub."}]}
PLAIN = ASK | {"model": "plain-model"}


def as_envoy_reaches(directory):
    """The configuration in which every model is known to its upstream by its own name."""
    models = tuple(structs.replace(one, upstream_model=None) for one in directory.config.model)
    config = structs.replace(directory.config, model=models)
    by_name = {name: one for one in models for name in (one.name, *one.aliases)}
    items = {one.item: (one,) for one in models}
    return structs.replace(directory, config=config, models=by_name, items=items)


class Through:
    """A node, its service, and Envoy before both and a stub."""

    def __init__(self, house, service, url):
        self.house, self.service, self.url = house, service, url
        self.keys, self.asked = house.keys, house.main.requests


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    program()
    folder = tmp_path_factory.mktemp("envoy")
    with House(folder, DURING, closed="fall_back") as house:
        directory = as_envoy_reaches(house.directory)
        parts = Parts(house.api, directory, elsewhere(directory), house.going.now)
        with Service(parts) as service, envoy(folder, house.main.port, service.port) as url:
            yield Through(house, service, url)


@pytest.fixture
def through(running):
    running.house.main.forget()
    return running


def post(through, who, body=ASK, path="/v1/messages", url=None, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"content-type": "application/json", "x-api-key": through.keys[who], **headers}
    return httpx.post((url or through.url) + path, content=content, headers=said, timeout=20)


def test_a_citizen_is_served_by_both_sdks_and_streamed_to(through):
    with anthropic.Anthropic(base_url=through.url, api_key=through.keys["dana"]) as client:
        assert client.messages.create(**ASK).content[0].text.startswith("stub")
        with client.messages.stream(**ASK) as stream:
            assert "".join(stream.text_stream).startswith("stub")
    with openai.OpenAI(base_url=f"{through.url}/v1", api_key=through.keys["dana"]) as client:
        answer = client.chat.completions.create(model=ASK["model"], messages=ASK["messages"])
        assert answer.choices[0].message.content.startswith("stub")
    assert len(through.asked) == 3


def test_the_upstream_gets_the_callers_bytes_our_headers_and_nobodys_key_but_the_operators(through):
    forged = {"x-carnet-record": "d_forged", "x-carnet-anything": "1", "x-carnet-end-user": "omar"}
    answer = post(through, "northwind", authorization=f"Bearer {through.keys['northwind']}", **forged)
    assert answer.status_code == 200
    assert answer.headers["x-carnet-record"].startswith("d_")
    assert answer.headers["x-carnet-model"] == "claude-fable-5"
    (asked,) = through.asked
    assert asked.body == json.dumps(ASK).encode()
    ours = {name: held for name, held in asked.headers if name.startswith(b"x-carnet")}
    assert ours == {
        b"x-carnet-model": b"claude-fable-5",
        b"x-carnet-record": answer.headers["x-carnet-record"].encode(),
    }
    assert [held for name, held in asked.headers if name == b"x-api-key"] == [b"sk-upstream"]
    assert asked.value(b"authorization") is None
    assert through.keys["northwind"].encode() not in b"".join(held for _, held in asked.headers)


def test_a_french_national_gets_the_sdks_own_error_and_is_told_what_is_permitted(through):
    with anthropic.Anthropic(base_url=through.url, api_key=through.keys["elodie"]) as client:
        with pytest.raises(anthropic.PermissionDeniedError) as told:
            client.messages.create(**ASK)
        carnet = told.value.body["error"]["carnet"]
        assert carnet["code"] == "export_control_denied"
        assert "us.directive.2026-06-12.person" in carnet["rules"]
        assert carnet["appeal_url"] == "https://carnet.example/appeal"
        assert carnet["alternatives"] == ["claude-opus-4-8"]
        assert carnet["record"].startswith("d_")
        assert told.value.response.headers["x-should-retry"] == "false"
        assert not through.asked
        assert client.messages.create(**ASK | {"model": "claude-opus-4-8"}).model == "claude-opus-4-8"
    with (
        openai.OpenAI(base_url=f"{through.url}/v1", api_key=through.keys["elodie"]) as client,
        pytest.raises(openai.PermissionDeniedError),
    ):
        client.chat.completions.create(model=ASK["model"], messages=ASK["messages"])
    assert len(through.asked) == 1


def test_whoever_is_unknown_is_asked(through):
    carnet = post(through, "somebody").json()["error"]["carnet"]
    assert carnet["code"] == "evidence_needed"
    assert "recipient.us_status" in [ask["fact"] for ask in carnet["asks"]]
    assert not through.asked


def padded():
    return json.dumps({"messages": PLAIN["messages"], "pad": "x" * 102_400, "model": ASK["model"]}).encode()


ADVERSARIAL = {
    "the model after 100 KiB": (padded(), {}),
    "two keys": (b'{"model": "plain-model", "messages": [], "model": "claude-fable-5"}', {}),
    "an escape in the key": (
        b'{"model": "plain-model", "mod\\u0065l": "claude-fable-5", "messages": []}',
        {},
    ),
    "a decoy inside": (json.dumps({"metadata": {"model": "plain-model"}, **ASK}).encode(), {}),
    "gzip": (gzip.compress(json.dumps(ASK).encode()), {"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("how", ADVERSARIAL)
def test_a_body_that_is_to_mislead_goes_nowhere(through, how):
    body, headers = ADVERSARIAL[how]
    for who in ("elodie", "somebody"):
        for path in ("/v1/messages", "/v1/chat/completions"):
            assert post(through, who, body, path, **headers).status_code in {400, 403}
    assert not through.asked


def test_the_escape_alone_is_the_key_that_it_means(through):
    body = json.dumps(ASK).replace('"model"', '"mod\\u0065l"').encode()
    assert post(through, "elodie", body).status_code == 403
    assert not through.asked


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/messages?model=claude-fable-5", {}),
        ("/v1/messages", {"x-model": "claude-fable-5"}),
        ("/v1/messages", {"x-carnet-model": "claude-fable-5"}),
        ("/v1/%6dessages", {}),
        ("/v1%2fmessages", {}),
        ("/v1/messages", {"x_carnet_model": "claude-fable-5"}),
        ("/v1/messages", {"content-type": "text/plain"}),
    ],
)
def test_a_model_elsewhere_than_in_the_body_goes_nowhere(through, path, headers):
    at = httpx.URL(through.url)
    said = {"content-type": "application/json", "x-api-key": through.keys["dana"], **headers}
    with contextlib.closing(http.client.HTTPConnection(at.host, at.port, timeout=20)) as connection:
        connection.request("POST", path, json.dumps(PLAIN), said)
        status = connection.getresponse().status
    assert status == 400
    assert not through.asked


def test_a_body_of_some_megabytes_is_read_whole_and_in_chunks_too(through):
    large = PLAIN | {"messages": [{"role": "user", "content": "x" * 3_000_000}]}
    assert post(through, "dana", large).status_code == 200
    data = json.dumps(large).encode()

    def chunks():
        for start in range(0, len(data), 200_000):
            yield data[start : start + 200_000]

    said = {"content-type": "application/json", "x-api-key": through.keys["dana"]}
    answer = httpx.post(through.url + "/v1/messages", content=chunks(), headers=said, timeout=20)
    assert answer.status_code == 200
    assert [asked.body for asked in through.asked] == [data, data]


def test_while_the_service_is_down_nobody_gets_anything_and_no_law_is_told(through, tmp_path):
    with envoy(tmp_path, through.house.main.port, free_port()) as url:
        for who in ("dana", "elodie"):
            assert post(through, who, PLAIN, url=url).status_code == 503
    assert not through.asked


def test_a_body_that_envoy_cuts_short_is_refused_by_it_and_by_us(through, tmp_path):
    most = ("max_request_bytes: 32000000", "max_request_bytes: 65536")
    partial = ("allow_partial_message: false", "allow_partial_message: true")
    with envoy(tmp_path, through.house.main.port, through.service.port, most=most) as url:
        assert post(through, "dana", padded(), url=url).status_code == 413
    with envoy(tmp_path, through.house.main.port, through.service.port, most=most, partial=partial) as url:
        assert post(through, "dana", PLAIN, url=url).status_code == 200
        answer = post(through, "dana", padded(), url=url)
        assert answer.status_code == 413
        assert answer.json()["error"]["carnet"]["code"] == "request_too_large"
    assert len(through.asked) == 1


def test_an_envoy_that_sends_no_body_or_a_text_of_it_opens_nothing(through, tmp_path):
    text = ("pack_as_bytes: true", "pack_as_bytes: false")
    with envoy(tmp_path, through.house.main.port, through.service.port, text=text) as url:
        assert post(through, "dana", PLAIN, url=url).status_code == 503
    assert not through.asked
