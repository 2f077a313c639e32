"""What Envoy is answered, without Envoy: messages as it writes them, decided by a real node."""

import asyncio
import json
import subprocess
import sys

import pytest
from msgspec import structs
from tests.gateway.house import DURING, House

from carnet.gateway.doors import wire
from carnet.gateway.doors.envoy import Checking, elsewhere, serving
from carnet.gateway.parts import Parts
from carnet.model.errors import InputError

ASK = {"model": "claude-fable-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Say stub."}]}
PLAIN = ASK | {"model": "plain-model"}


class Asking:
    """A node, and what its service answers."""

    def __init__(self, house, references="refuse"):
        config = structs.replace(house.directory.config, references=references)
        directory = structs.replace(house.directory, config=config)
        self.keys = house.keys
        self.parts = Parts(house.api, directory, elsewhere(directory), house.going.now)

    def raw(self, message):
        answer = asyncio.run(Checking(self.parts).check(message))
        return wire._MADE["CheckResponse"].FromString(answer)

    def __call__(self, who="dana", body=PLAIN, path="/v1/messages", method="POST", mapped=False, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {":path": path, "x-api-key": self.keys[who], "content-type": "application/json", **headers}
        if mapped:
            more = {"headers": [{"key": name, "value": held} for name, held in said.items()]}
        else:
            found = [{"key": name, "raw_value": held.encode("latin-1")} for name, held in said.items()]
            more = {"header_map": {"headers": found}}
        return self.raw(message(method=method, path=path, raw_body=data, **more))


def message(**http):
    return wire._MADE["CheckRequest"](attributes={"request": {"http": http}}).SerializeToString()


def code(answer):
    """What a program reads in a refusal."""
    assert answer.status.code == 7
    return json.loads(answer.denied_response.body)["error"]["carnet"]["code"]


def lets(answer):
    return answer.status.code == 0 and answer.HasField("ok_response")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("check"), DURING) as house:
        yield house


@pytest.fixture(scope="module")
def ask(house):
    return Asking(house)


@pytest.mark.parametrize("mapped", [False, True])
def test_whoever_may_goes_on_with_our_headers_and_without_a_key(ask, mapped):
    ok = ask("dana", ASK, mapped=mapped, **{"x-carnet-record": "d_forged", "x-carnet-x": "1"}).ok_response
    said = {one.header.key: one.header.value for one in ok.headers}
    assert said["x-carnet-model"] == "claude-fable-5"
    assert said["x-carnet-record"].startswith("d_")
    assert said["x-carnet-record"] != "d_forged"
    assert {one.append_action for one in ok.headers} == {2}
    assert sorted(ok.headers_to_remove) == ["x-api-key", "x-carnet-x"]
    assert ok.response_headers_to_add == ok.headers


def test_whoever_may_not_gets_the_refusal_of_the_api(ask):
    answer = ask("elodie", ASK)
    assert answer.denied_response.status.code == 403
    assert {one.header.key: one.header.value for one in answer.denied_response.headers}[
        "x-should-retry"
    ] == "false"
    assert code(answer) == "export_control_denied"
    assert code(ask("somebody", ASK)) == "evidence_needed"
    chat = json.loads(ask("elodie", ASK, "/v1/chat/completions").denied_response.body)
    assert chat["error"]["code"] == "export_control_denied"


def test_a_model_that_this_door_could_not_have_asked_is_not_offered(ask):
    body = json.loads(ask("elodie", ASK).denied_response.body)
    assert "alternatives" not in body["error"]["carnet"]


@pytest.mark.parametrize("name", ["fable", "claude-opus-4-8", "no-such-model"])
def test_a_name_that_the_upstream_would_not_know_is_refused(ask, name):
    assert code(ask("dana", ASK | {"model": name})) in {"invalid_request", "unknown_model"}
    if name == "fable":
        assert "`claude-fable-5`" in ask("dana", ASK | {"model": name}).denied_response.body


@pytest.mark.parametrize("references", ["refuse", "strip"])
def test_what_would_be_taken_out_elsewhere_is_refused_for_its_own_reason(house, references):
    nested, ask = PLAIN | {"fallbacks": [{"model": "claude-fable-5"}]}, Asking(house, references)
    assert code(ask("elodie", nested)) == "export_control_denied"
    assert code(ask("elodie", PLAIN | {"fallbacks": [{"model": "nobody-knows"}]})) == "unknown_model"
    assert code(ask("dana", PLAIN | {"fallbacks": [{"model": "claude-opus-4-8"}]})) == "invalid_request"
    assert lets(ask("dana", nested))


def test_files_and_batches_are_for_nobody_where_whose_they_are_can_not_be_known(ask):
    """No answer is seen here: so `elodie` could read what a model gave to `dana`."""
    batch = {"requests": [{"custom_id": "1", "params": PLAIN}]}
    upload = {"content-type": "multipart/form-data; boundary=x"}
    for who in ("dana", "elodie"):
        assert code(ask(who, batch, "/v1/messages/batches")) == "invalid_request"
        assert code(ask(who, b"--x--", "/v1/files", **upload)) == "invalid_request"
        for path in (
            "/v1/messages/batches/msgbatch_1/results",
            "/v1/batches/batch_1",
            "/v1/files/file-1/content",
            "/v1/files",
        ):
            assert code(ask(who, b"", path, "GET")) == "invalid_request"


def test_a_list_of_models_is_refused_and_one_of_them_is_not_if_it_may_be_used(ask):
    assert code(ask("dana", b"", "/v1/models", "GET")) == "invalid_request"
    assert lets(ask("dana", b"", "/v1/models/claude-fable-5", "GET"))
    assert code(ask("elodie", b"", "/v1/models/claude-fable-5", "GET")) == "export_control_denied"
    assert code(ask("dana", b"", "/v1/models/fable", "GET")) == "invalid_request"


def test_what_names_no_model_does_not_go_on(ask):
    upload = {"content-type": "multipart/form-data; boundary=x"}
    assert code(ask("dana", b"--x--", "/v1/messages", **upload)) == "invalid_request"
    assert code(ask("dana", {"assistant_id": "a"}, "/v1/threads/runs")) == "invalid_request"
    assert code(ask("dana", b"", "/", "GET")) == "invalid_request"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-envoy-auth-partial-body": "true"}, 413),
        ({"x-envoy-auth-partial-body": "false, true"}, 413),
        ({"x-envoy-auth-partial-body": "false"}, None),
        ({"content-length": "9999"}, 413),
        ({"content-length": "x"}, 400),
        ({"content-encoding": "gzip"}, 400),
        ({"authorization": "Bearer another"}, 401),
    ],
)
def test_a_body_that_is_not_all_of_it_or_not_plain_opens_nothing(ask, headers, status):
    answer = ask(**headers)
    assert lets(answer) if status is None else answer.denied_response.status.code == status


def test_what_is_no_request_is_an_inability_and_opens_nothing(ask):
    for wrong in (b"", b"\xff\xff", message(method="POST"), message(method="POST", path="/x", body="{}")):
        assert code(ask.raw(wrong)) == "carnet_unavailable"


def test_a_defect_serves_nobody(house, monkeypatch):
    ask = Asking(house)
    monkeypatch.setattr(ask.parts.deciding, "verdict", None)
    assert code(ask("dana")) == "carnet_unavailable"


def test_too_many_requests_of_one_key_are_told_so(house):
    ask = Asking(house)
    config = structs.replace(
        ask.parts.directory.config,
        limits=structs.replace(ask.parts.directory.config.limits, burst=1, rate=0.01),
    )
    directory = structs.replace(ask.parts.directory, config=config)
    ask.parts = Parts(house.api, directory, elsewhere(directory), house.going.now)
    assert lets(ask("dana"))
    assert ask("dana").denied_response.status.code == 429


async def test_an_address_that_is_taken_is_said_so(ask):
    async with serving(ask.parts, "127.0.0.1:0") as port:
        with pytest.raises(InputError, match="can't be listened on"):
            async with serving(ask.parts, f"127.0.0.1:{port}"):
                pass


def test_carnet_and_its_gateway_load_neither_grpc_nor_aiohttp_by_themselves():
    said = (
        "import sys, carnet, carnet.cli.main; "
        "print(sorted({'grpc', 'aiohttp', 'google'} & {one.split('.')[0] for one in sys.modules}))"
    )
    assert subprocess.check_output([sys.executable, "-c", said], text=True).strip() == "[]"
