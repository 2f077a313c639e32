"""The official SDKs read what the dialects write, over HTTP, from a server that answers with those bytes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest
from msgspec import structs

from carnet.gateway.dialects import APIS
from carnet.gateway.notices import Notice

pytestmark = pytest.mark.real

DENIED = Notice(
    code="export_control_denied",
    message="gpt-x may not be released to you. You may appeal.",
    request_id="req_01",
    model="gpt-x",
    record="rec_01",
    appeal_url="https://status.example.org/appeal",
    alternatives=("gpt-y",),
)
UNAVAILABLE = Notice(code="carnet_unavailable", message="Ask again soon.", request_id="req_02", retry_after=1)
CHAT = "/v1/chat/completions"
PATHS = {"anthropic": "/v1/messages", "openai": CHAT}
ASK = {"model": "gpt-x", "messages": [{"role": "user", "content": "hello"}]}
MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "gpt-x",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-x",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}
RESPONSE = {"id": "r1", "object": "response", "model": "gpt-x", "output": [], "status": "in_progress"}
ANSWERS = {"anthropic": MESSAGE, "openai": COMPLETION}


class Server:
    """It gives its answers in their order, the last one for good, and keeps what was asked."""

    def __init__(self):
        server = self
        self.answers, self.asked = [], []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                number = min(len(server.asked), len(server.answers)) - 1
                status, headers, body = server.answers[number]
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def streams(self, *parts):
        self.answers = [(200, [("content-type", "text/event-stream")], b"".join(parts))]


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def asking(server):
    """How to ask with each SDK, as its users do: with its own retries."""
    claude = anthropic.Anthropic(base_url=server.url, api_key="k")
    gpt = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k")
    ways = {
        "anthropic": lambda **more: claude.messages.create(max_tokens=5, **ASK, **more),
        "openai": lambda **more: gpt.chat.completions.create(**ASK, **more),
        "responses": lambda **more: gpt.responses.create(model="gpt-x", input="hello", **more),
    }
    yield ways
    claude.close()
    gpt.close()


def carnet_of(error):
    """Carnet's fields, where each SDK's users find them."""
    return error.body["error"]["carnet"] if "error" in error.body else error.body["carnet"]


SDKS = {"anthropic": anthropic, "openai": openai}


@pytest.mark.parametrize("dialect", SDKS)
def test_a_refusal_is_a_permission_error_that_is_not_retried(server, asking, dialect):
    server.answers = [APIS[dialect].refusal(DENIED)]
    with pytest.raises(SDKS[dialect].PermissionDeniedError) as refused:
        asking[dialect]()
    error = refused.value
    assert carnet_of(error)["code"] == "export_control_denied"
    assert carnet_of(error)["appeal_url"] == DENIED.appeal_url
    assert error.request_id == "req_01"
    assert DENIED.message in str(error)
    assert error.response.headers["x-carnet-code"] == "export_control_denied"
    assert len(server.asked) == 1


def test_the_fields_that_each_sdk_knows_are_set(server, asking):
    server.answers = [APIS["openai"].refusal(DENIED)]
    with pytest.raises(openai.PermissionDeniedError) as refused:
        asking["openai"]()
    error = refused.value
    assert (error.code, error.type, error.param) == ("export_control_denied", "permission_error", "model")
    server.answers = [APIS["anthropic"].refusal(DENIED)]
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        asking["anthropic"]()
    assert (refused.value.type, refused.value.api_message) == ("permission_error", DENIED.message)


@pytest.mark.parametrize("dialect", SDKS)
def test_a_refusal_for_legal_reasons_is_a_status_error_that_is_not_retried(server, asking, dialect):
    server.answers = [APIS[dialect].refusal(DENIED, blocked_by="https://gateway.example.org")]
    with pytest.raises(SDKS[dialect].APIStatusError) as refused:
        asking[dialect]()
    assert refused.value.status_code == 451
    assert carnet_of(refused.value)["code"] == "export_control_denied"
    assert refused.value.response.links["blocked-by"]["url"] == "https://gateway.example.org"
    assert len(server.asked) == 1


@pytest.mark.parametrize("dialect", SDKS)
def test_an_inability_is_retried_after_the_time_that_was_said(server, asking, dialect, monkeypatch):
    waits = []
    base = SDKS[dialect]._base_client
    monkeypatch.setattr(base.time, "sleep", waits.append)
    answer = json.dumps(ANSWERS[dialect]).encode()
    server.answers = [
        APIS[dialect].refusal(UNAVAILABLE),
        (200, [("content-type", "application/json")], answer),
    ]
    assert asking[dialect]().model == "gpt-x"
    assert len(server.asked) == 2
    assert waits == [1.0]


@pytest.mark.parametrize(
    "code", ["invalid_request", "authentication_failed", "not_permitted", "unknown_model"]
)
@pytest.mark.parametrize("dialect", SDKS)
def test_what_asking_again_does_not_help_is_asked_once(server, asking, dialect, code):
    server.answers = [APIS[dialect].refusal(structs.replace(UNAVAILABLE, code=code))]
    with pytest.raises(SDKS[dialect].APIStatusError) as refused:
        asking[dialect]()
    assert carnet_of(refused.value)["code"] == code
    assert len(server.asked) == 1


def sse(name, **data):
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


STARTS = {
    "anthropic": [
        sse("message_start", type="message_start", message={**MESSAGE, "content": [], "stop_reason": None}),
        sse(
            "content_block_start",
            type="content_block_start",
            index=0,
            content_block={"type": "text", "text": ""},
        ),
        sse(
            "content_block_delta",
            type="content_block_delta",
            index=0,
            delta={"type": "text_delta", "text": "hé"},
        ),
    ],
    "openai": [
        sse(
            None,
            id="c1",
            object="chat.completion.chunk",
            created=1,
            model="gpt-x",
            choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        )
        for text in ("h", "e", "llo")
    ],
    "responses": [
        sse("response.created", type="response.created", sequence_number=0, response=RESPONSE),
        sse("response.in_progress", type="response.in_progress", sequence_number=1, response=RESPONSE),
    ],
}


def api_of(way):
    dialect = "anthropic" if way == "anthropic" else "openai"
    path = "/v1/responses" if way == "responses" else PATHS[dialect]
    return APIS[dialect], SDKS[dialect], path


@pytest.mark.parametrize("way", STARTS)
def test_a_stream_that_is_cut_says_why_after_what_was_sent(server, asking, way):
    api, sdk, path = api_of(way)
    server.streams(*STARTS[way], api.cut(DENIED, path=path, at_boundary=True, sequence=2))
    got = []
    with pytest.raises(sdk.APIError) as refused:
        got.extend(asking[way](stream=True))
    assert carnet_of(refused.value)["code"] == "export_control_denied"
    assert len(server.asked) == 1
    assert len(got) == len(STARTS[way])


@pytest.mark.parametrize("kept", range(1, len(STARTS["anthropic"][2])))
def test_a_half_event_of_messages_is_never_taken_for_a_whole_one(kept):
    api, _, path = api_of("anthropic")
    half = STARTS["anthropic"][2][:kept]
    data = b"".join([*STARTS["anthropic"][:2], half, api.cut(DENIED, path=path, at_boundary=False)])
    got = [
        each for each in anthropic._streaming.SSEDecoder().iter_bytes(iter([data])) if each.event != "ping"
    ]
    *sent, last = got
    assert [each.event for each in sent] == ["message_start", "content_block_start"]
    assert last.event == "error"
    assert last.json()["error"]["carnet"]["code"] == "export_control_denied"


@pytest.mark.parametrize("kept", [3, 30, 31, 60, -3, -2, -1])
def test_a_stream_of_messages_cut_inside_of_an_event_says_why(server, asking, kept):
    api, sdk, path = api_of("anthropic")
    cut = api.cut(DENIED, path=path, at_boundary=False)
    server.streams(*STARTS["anthropic"][:2], STARTS["anthropic"][2][:kept], cut)
    got = []
    with pytest.raises(sdk.APIStatusError) as refused:
        got.extend(asking["anthropic"](stream=True))
    assert [each.type for each in got] == ["message_start", "content_block_start"]
    assert carnet_of(refused.value)["code"] == "export_control_denied"


@pytest.mark.parametrize("way", ["openai", "responses"])
def test_a_stream_of_openai_cut_inside_of_an_event_ends_in_an_error_and_not_in_half_of_it(
    server, asking, way
):
    api, _, path = api_of(way)
    cut = api.cut(DENIED, path=path, at_boundary=False)
    server.streams(STARTS[way][0], STARTS[way][1][:60], cut)
    got = []
    with pytest.raises(json.JSONDecodeError):
        got.extend(asking[way](stream=True))
    assert len(got) == 1


@pytest.mark.parametrize("way", ["openai", "responses"])
@pytest.mark.parametrize("kept", [-2, -1])
def test_a_stream_of_openai_cut_before_the_blank_line_says_why(server, asking, way, kept):
    api, sdk, path = api_of(way)
    server.streams(STARTS[way][0][:kept], api.cut(DENIED, path=path, at_boundary=False))
    got = []
    with pytest.raises(sdk.APIError) as refused:
        got.extend(asking[way](stream=True))
    assert len(got) == 1
    assert refused.value.code == "export_control_denied"


def test_a_cut_stream_of_responses_is_an_error_event_to_those_who_read_events(server):
    api, _, path = api_of("responses")
    server.streams(STARTS["responses"][0], api.cut(DENIED, path=path, at_boundary=True, sequence=1))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k") as client:
        events = list(
            client.post(
                "/responses",
                cast_to=openai.types.responses.Response,
                body={"model": "gpt-x", "input": "hello", "stream": True},
                options={"stream_mode": "events"},
                stream=True,
                stream_cls=openai.Stream[openai.types.responses.ResponseStreamEvent],
            )
        )
    assert (events[-1].type, events[-1].code) == ("error", "export_control_denied")
    assert events[-1].sequence_number == 1


@pytest.mark.parametrize("way", STARTS)
def test_a_stream_that_another_model_gave_says_so(server, asking, way):
    api, _, _ = api_of(way)
    server.streams(*[api.substituted_event(each, "gpt-y") for each in STARTS[way]])
    events = list(asking[way](stream=True))
    assert len(events) == len(STARTS[way])
    first = events[0]
    holder = {"anthropic": "message", "responses": "response"}.get(way)
    assert (getattr(first, holder) if holder else first).model == "gpt-y"


@pytest.mark.parametrize("dialect", SDKS)
def test_an_answer_that_another_model_gave_says_so(server, asking, dialect):
    body = APIS[dialect].substituted(json.dumps(ANSWERS[dialect]).encode(), "gpt-y")
    server.answers = [(200, [("content-type", "application/json")], body)]
    assert asking[dialect]().model == "gpt-y"


@pytest.mark.parametrize("way", STARTS)
def test_what_the_sdks_send_is_read(server, asking, way):
    api, _, path = api_of(way)
    server.streams(*STARTS[way])
    list(asking[way](stream=True))
    call = api.read("POST", path, {}, server.asked[0])
    assert (call.operation, call.model, call.stream, call.references) == ("generate", "gpt-x", True, ())
