"""An application of somebody's own behind `Guarded`, on uvicorn, during the letter of June 2026."""

import asyncio
import contextlib
import json
import threading
import time

import anthropic
import httpx
import openai
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from tests.gateway.house import DURING, House
from tests.gateway.stub import Served, Stub, listening, messages, until
from tests.gateway.test_turning import entered, lettered

from carnet.gateway.connections import Connection
from carnet.gateway.doors.asgi import Guarded
from carnet.model.errors import InputError

ASK = {"model": "claude-fable-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Say stub."}]}
PLAIN = ASK | {"model": "plain-model"}


class Behind:
    """While entered, `app` is behind Carnet: `url` is where. With `link` the server is the gateway's own
    connection, else uvicorn's as it is."""

    def __init__(self, house, app, *, link=True, untouched=("/health",), lifespan="on"):
        self.guarded = Guarded(app, house.api, house.directory, house.going.now, untouched)
        self.keys, self._link, self._lifespan = house.keys, link, lifespan

    def __enter__(self):
        sock = listening()
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        more = {"http": Connection} if self._link else {}
        config = uvicorn.Config(
            self.guarded,
            **more,
            lifespan=self._lifespan,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        self._server, self._sock = uvicorn.Server(config), sock
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [sock]})
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.005)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()
        self._sock.close()

    def post(self, who, body=ASK, path="/v1/messages", **headers):
        said = {"content-type": "application/json", "x-api-key": self.keys[who], **headers}
        return httpx.post(self.url + path, content=json.dumps(body).encode(), headers=said, timeout=20)


class Own:
    """An application that plays the stub's model API and keeps what it was shown. `began` and `left` are how
    many answers it began, and of how many it was told or made to end."""

    def __init__(self):
        self.stub = Stub()
        self.scopes, self.produced, self.left = [], 0, 0

    @property
    def requests(self):
        return self.stub.requests

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)

        async def sending(message):
            await send(message)
            self.produced += 1

        try:
            await self.stub.app(scope, receive, sending)
        except asyncio.CancelledError:
            self.left += 1
            raise


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("house"), DURING, closed="fall_back") as house:
        yield house


@pytest.fixture(scope="module", params=["own connection", "uvicorn's"])
def behind(request, house):
    app = Own()
    with Behind(house, app, link=request.param == "own connection") as behind:
        behind.app = app
        yield behind


@pytest.fixture(autouse=True)
def forgotten(request):
    if "behind" in request.fixturenames:
        request.getfixturevalue("behind").app.stub.forget()


def test_the_sdks_get_what_their_callers_may_have(behind):
    with anthropic.Anthropic(base_url=behind.url, api_key=behind.keys["dana"]) as client:
        assert client.messages.create(**ASK).content[0].text.startswith("stub")
        with client.messages.stream(**ASK) as stream:
            assert "".join(stream.text_stream).startswith("stub")
    with openai.OpenAI(base_url=f"{behind.url}/v1", api_key=behind.keys["dana"]) as client:
        answer = client.chat.completions.create(model=ASK["model"], messages=ASK["messages"])
        assert answer.choices[0].message.content.startswith("stub")
    assert len(behind.app.requests) == 3
    with (
        anthropic.Anthropic(base_url=behind.url, api_key=behind.keys["refusenik"]) as client,
        pytest.raises(anthropic.PermissionDeniedError) as told,
    ):
        client.messages.create(**ASK)
    assert told.value.body["error"]["carnet"]["alternatives"] == ["claude-opus-4-8"]
    assert len(behind.app.requests) == 3


def test_another_model_answers_by_the_name_that_the_application_knows(behind):
    answer = behind.post("elodie")
    assert answer.status_code == 200
    assert answer.json()["model"] == answer.headers["x-carnet-model"] == "claude-opus-4-8"
    stream = behind.post("elodie", ASK | {"stream": True}).text
    assert "opus-as-the-upstream-calls-it" not in stream
    assert '"model":"claude-opus-4-8"' in stream
    models = [json.loads(asked.body)["model"] for asked in behind.app.requests]
    assert models == ["opus-as-the-upstream-calls-it"] * 2


def test_the_application_is_shown_the_request_without_whose_key_it_was(behind):
    assert (
        behind.post("dana", PLAIN, "/v1/messages?beta=true", cookie="a=b", **{"x-own": "1"}).status_code
        == 200
    )
    scope, (asked,) = behind.app.scopes[-1], behind.app.requests
    headers = dict(scope["headers"])
    assert (scope["path"], scope["query_string"]) == ("/v1/messages", b"beta=true")
    assert scope["client"][0] == "127.0.0.1"
    assert "extensions" not in scope
    assert headers[b"host"] == behind.url.removeprefix("http://").encode()
    assert headers[b"x-own"] == b"1"
    assert int(headers[b"content-length"]) == len(asked.body)
    assert {b"x-api-key", b"authorization", b"cookie"}.isdisjoint(headers)


@pytest.mark.parametrize(
    "path", ["/", "/own", "/v1/threads", "/healthy", "/health/../v1/messages", "/v2/messages"]
)
def test_what_is_no_request_that_is_known_does_not_reach_the_application(behind, path):
    at = httpx.URL(behind.url)
    import http.client  # a client that leaves the path as it is

    with contextlib.closing(http.client.HTTPConnection(at.host, at.port, timeout=20)) as connection:
        said = {"content-type": "application/json", "x-api-key": behind.keys["dana"]}
        connection.request("POST", path, json.dumps({"assistant_id": "a"}), said)
        status = connection.getresponse().status
    assert status == 400
    assert not behind.app.requests


def test_an_untouched_path_needs_no_key_and_is_not_touched(behind):
    behind.app.stub.paths["/health"] = Served((b"well",), headers=[(b"set-cookie", b"a=b")])
    answer = httpx.get(behind.url + "/health", headers={"x-api-key": "mine"})
    assert (answer.text, answer.headers["set-cookie"]) == ("well", "a=b")
    assert behind.app.requests[-1].value(b"x-api-key") == b"mine"
    assert httpx.get(behind.url + "/health/below").status_code == 404


@pytest.mark.parametrize("path", ["/", "", "health", "/v1", "/V1/messages", "/a/../v1", "/a//b", "/%761"])
def test_a_path_that_could_let_a_model_through_is_not_left_untouched(house, path):
    with pytest.raises(InputError, match="untouched"):
        Guarded(Own(), house.api, house.directory, house.going.now, [path])


def test_a_reader_who_leaves_ends_the_applications_work(behind):
    before = behind.app.left
    body, said = PLAIN | {"stream": True}, {"x-api-key": behind.keys["dana"]}
    said |= {"stub-events": "3000", "stub-pause": "0.01"}
    with httpx.stream("POST", behind.url + "/v1/messages", json=body, headers=said) as answer:
        next(answer.iter_raw())
    end = time.monotonic() + 5
    while behind.app.left == before and time.monotonic() < end:
        time.sleep(0.01)
    assert behind.app.left == before + 1


async def test_an_open_answer_is_cut_when_the_law_changes_and_its_reader_is_told(tmp_path):
    """Also under a server that is not the gateway's own, and that tells of no lifespan."""
    with (
        House(tmp_path / "house") as house,
        Behind(house, Own()) as one,
        Behind(house, Own(), link=False, lifespan="off") as other,
    ):
        texts = {(behind, who): "" for behind in (one, other) for who in ("elodie", "dana")}

        async def read(client, behind, who):
            events = "3000" if who == "elodie" else "150"
            headers = {"x-api-key": behind.keys[who], "stub-events": events, "stub-pause": "0.01"}
            url, body = behind.url + "/v1/messages", PLAIN | {"stream": True}
            async with client.stream("POST", url, json=body, headers=headers) as answer:
                async for piece in answer.aiter_text():
                    texts[behind, who] += piece

        async with httpx.AsyncClient(timeout=20) as client:
            reading = [asyncio.create_task(read(client, *one)) for one in texts]
            assert await until(lambda: all("delta" in text for text in texts.values()))
            await entered(house, lettered(tmp_path / "letter"))
            await asyncio.gather(*reading)
        for behind in (one, other):
            assert '"code":"export_control_denied"' in texts[behind, "elodie"]
            assert "message_stop" not in texts[behind, "elodie"]
            assert "message_stop" in texts[behind, "dana"]
            assert '"carnet"' not in texts[behind, "dana"]
            assert await until(lambda behind=behind: behind.guarded._app.left == 1)


def an_answer(kind):
    """Applications that do not do what they should, as Starlette would have them."""

    async def broken(scope, receive, send):
        head = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json")],
        }
        events = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/event-stream")],
        }
        part = {"type": "http.response.body", "body": b"{}", "more_body": True}
        if kind == "raises":
            raise ValueError("secret")
        if kind == "silent":
            return
        if kind == "short":
            await send(head | {"headers": [(b"content-length", b"10")]})
            await send(part | {"more_body": False})
        elif kind == "long":
            await send(head | {"headers": [(b"content-length", b"1")]})
            await send(part)
        elif kind == "early":
            await send(head)
            await send(part)
        elif kind == "status":
            await send(head | {"status": 101})
        elif kind == "wrong":
            await send(part)
        elif kind == "events":
            await send(events)
            await send(part | {"body": messages(PLAIN, 3)[1][0]})
            raise ValueError("secret")

    return broken


@pytest.mark.parametrize("kind", ["raises", "silent", "status", "wrong"])
def test_an_application_that_gives_no_answer_is_an_upstream_that_failed(house, kind, caplog):
    with Behind(house, an_answer(kind), lifespan="off") as behind:
        answer = behind.post("dana", PLAIN)
    assert answer.status_code == 502
    assert answer.json()["error"]["carnet"]["code"] == "upstream_failed"
    assert "secret" not in answer.text


@pytest.mark.parametrize("kind", ["short", "long", "early"])
@pytest.mark.parametrize("link", [True, False])
def test_an_answer_that_is_not_whole_is_not_passed_off_as_one(house, kind, link):
    with (
        Behind(house, an_answer(kind), link=link, lifespan="off") as behind,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        behind.post("dana", PLAIN)


def test_a_stream_that_breaks_off_says_so_in_its_last_event(house):
    with Behind(house, an_answer("events"), lifespan="off") as behind:
        text = behind.post("dana", PLAIN | {"stream": True}).text
    assert "event: error" in text
    assert '"code":"upstream_failed"' in text


def starlette(done):
    """What an application of somebody's own looks like, with a lifespan and work after the answer."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        done.append("began")
        yield {"pool": "a pool"}
        done.append("ended")

    async def after():
        await asyncio.sleep(0.2)
        done.append("after")

    async def answered(request):
        body = await request.json()
        if body.get("stream"):
            parts = messages(body, 3)[1]

            async def events():
                for part in parts:
                    yield part

            return StreamingResponse(events(), media_type="text/event-stream")
        assert request.state.pool == "a pool"
        return JSONResponse(messages(body, 1)[0], background=BackgroundTask(after))

    return Starlette(routes=[Route("/v1/messages", answered, methods=["POST"])], lifespan=lifespan)


def test_an_application_of_starlette_keeps_its_lifespan_its_state_and_its_background_work(house):
    done = []
    app = starlette(done)
    with Behind(house, app) as behind:
        assert behind.post("dana", PLAIN).json()["model"] == "plain-model"
        assert "message_stop" in behind.post("dana", PLAIN | {"stream": True}).text
        time.sleep(0.5)
        assert done == ["began", "after"]
    assert done == ["began", "after", "ended"]


def test_as_a_middleware_of_starlette(house):
    done = []
    app = starlette(done)
    app.add_middleware(Guarded, api=house.api, directory=house.directory, now=house.going.now)
    sock = listening()
    config = uvicorn.Config(app, http=Connection, lifespan="on", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1/messages"
        said = {"x-api-key": house.keys["dana"]}
        assert httpx.post(url, json=PLAIN, headers=said, timeout=20).json()["model"] == "plain-model"
        said = {"x-api-key": house.keys["refusenik"]}
        assert httpx.post(url, json=ASK, headers=said, timeout=20).status_code == 403
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
    assert done[0] == "began"
    assert "ended" in done


async def test_a_websocket_is_closed_unless_its_path_is_untouched(house):
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope["path"])

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    guarded = Guarded(app, house.api, house.directory, house.going.now, ["/chat"])
    for path in ("/v1/realtime", "/chat/1"):
        await guarded({"type": "websocket", "path": path}, receive, send)
    assert reached == ["/chat/1"]
    assert sent == [{"type": "websocket.close", "code": 1008}]
