"""Upstreams to ask, on loopback, each in a thread of its own, with a log of what they were asked; the server
of the gateway, to ask them through; and a caller that sees each byte. No model answers anything here.

`Stub` is an HTTP server that knows two model APIs; `Raw` writes the bytes it is given, as no HTTP server
would. Both play steps: bytes, a function that gives them, seconds to wait, an event of `threading` to wait
for."""

import asyncio
import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import uvicorn

from carnet.gateway.connections import Connection
from carnet.gateway.headers import BadHeaders
from carnet.gateway.proxy import passed
from carnet.gateway.requests import Request, Unread, read_body
from carnet.gateway.upstreams import UpstreamError

MODEL = "stub-not-a-model"
WORDS = "stub "
NUMBERS = itertools.count()
"""Of what is kept: as with a real API, no two things have one id, whatever was forgotten."""

QUIET = {"interface": "asgi3", "ws": "none", "lifespan": "off", "log_config": None, "access_log": False}


@dataclass
class Asked:
    """A request: when it was there, and, if its client left before the end of the answer, when that was."""

    at: float
    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    left: float | None = None

    def value(self, name):
        return next((value for known, value in self.headers if known.lower() == name), None)


@dataclass
class Served:
    """What is answered to a path."""

    steps: Iterable = (b"{}",)
    status: int = 200
    headers: Iterable[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)


async def played(steps):
    for step in steps:
        if isinstance(step, float):
            await asyncio.sleep(step)
        elif isinstance(step, threading.Event):
            await until(step.is_set)
        else:
            yield step() if callable(step) else step


async def until(true, seconds=10.0):
    """Wait for what another thread does; whether it did."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # noqa: ASYNC110 -- the event would be another loop's
        await asyncio.sleep(0.005)
    return true()


def listening():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(2048)
    sock.setblocking(False)
    return sock


class Logging:
    """What both have: an address, a log, and a thread while they are entered."""

    def __init__(self):
        self.requests: list[Asked] = []

    def __enter__(self):
        self._sock = listening()
        self.port = self._sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.run)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._thread.join()
        self._sock.close()


class Stub(Logging):
    """A model API. `POST /v1/messages` and `POST /v1/chat/completions` answer as Anthropic and OpenAI do, in
    `events` pieces of text with `pause` seconds before each, which the headers `stub-events` and `stub-pause`
    of a request change. `paths` are other answers, by path; everything else is 404."""

    def __init__(self, events=3, pause=0.0):
        super().__init__()
        self.events, self.pause = events, pause
        self.paths: dict[str, Served] = {}

    def forget(self):
        self.requests.clear()
        self.paths.clear()

    def run(self):
        config = uvicorn.Config(self.app, server_header=False, date_header=False, **QUIET)
        self._server = uvicorn.Server(config)
        self._server.run(sockets=[self._sock])

    def __enter__(self):
        super().__enter__()
        while not (hasattr(self, "_server") and self._server.started):
            time.sleep(0.005)
        return self

    def stop(self):
        self._server.should_exit = self._server.force_exit = True

    async def app(self, scope, receive, send):
        query = scope["query_string"]
        path = scope["raw_path"].decode() + (f"?{query.decode()}" if query else "")
        asked = Asked(time.monotonic(), scope["method"], path, scope["headers"])
        self.requests.append(asked)
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked.body = bytes(body)
        leaving = asyncio.create_task(self._leaving(receive, asked))
        served = self._served(asked, scope["path"])
        await send({"type": "http.response.start", "status": served.status, "headers": served.headers})
        async for piece in played(served.steps):
            if asked.left is not None:
                break
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        leaving.cancel()
        await send({"type": "http.response.body"})

    async def _leaving(self, receive, asked):
        while (await receive())["type"] != "http.disconnect":
            pass
        asked.left = time.monotonic()

    def _served(self, asked, path):
        if path in self.paths:
            return self.paths[path]
        api = {"/v1/messages": messages, "/v1/chat/completions": completions}.get(path)
        if api is None or asked.method != "POST":
            return Served((b'{"error":"not here"}',), 404)
        body = json.loads(asked.body)
        events = int(asked.value(b"stub-events") or self.events)
        pause = float(asked.value(b"stub-pause") or self.pause)
        whole, parts = api(body, events)
        if not body.get("stream"):
            return Served((events * pause, json.dumps(whole).encode()))
        steps = [step for part in parts for step in (pause, part)]
        return Served(steps, headers=[(b"content-type", b"text/event-stream")])


def messages(body, events):
    """The whole answer of Anthropic's API and the events of its stream."""
    model = body.get("model", MODEL)
    usage = {"input_tokens": 7, "output_tokens": events}
    head = {"id": "msg_stub", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
    said = {"type": "text", "text": WORDS * events}
    whole = head | {"content": [said], "stop_reason": "end_turn", "usage": usage}
    begun = head | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 0}}
    delta = {"type": "text_delta", "text": WORDS}
    parts = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * events,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": events},
        },
        {"type": "message_stop"},
    ]
    return whole, [f"event: {part['type']}\ndata: {json.dumps(part)}\n\n".encode() for part in parts]


def completions(body, events):
    """The whole answer of OpenAI's API and the events of its stream."""
    head = {"id": "chatcmpl-stub", "created": 1_780_000_000, "model": body.get("model", MODEL)}
    usage = {"prompt_tokens": 7, "completion_tokens": events, "total_tokens": 7 + events}
    said = {"role": "assistant", "content": WORDS * events}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    whole = head | {"object": "chat.completion", "choices": [choice], "usage": usage}

    def chunk(delta, reason=None):
        chosen = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return head | {"object": "chat.completion.chunk", "choices": [chosen]}

    parts = [
        chunk({"role": "assistant", "content": ""}),
        *[chunk({"content": WORDS})] * events,
        chunk({}, "stop"),
    ]
    if (body.get("stream_options") or {}).get("include_usage"):
        parts.append(head | {"object": "chat.completion.chunk", "choices": [], "usage": usage})
    return whole, [*[f"data: {json.dumps(part)}\n\n".encode() for part in parts], b"data: [DONE]\n\n"]


class Raw(Logging):
    """An upstream that answers whatever it is asked with these bytes, and then closes the connection."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = steps

    def run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._tasks = set()
        async with await asyncio.start_server(self._answer, sock=self._sock) as server:
            self._ready.set()
            await self._over.wait()
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __enter__(self):
        self._ready = threading.Event()
        super().__enter__()
        self._ready.wait()
        return self

    def stop(self):
        self._loop.call_soon_threadsafe(self._over.set)

    def _answer(self, reader, writer):
        task = asyncio.create_task(self._answered(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, reader, writer):
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
                headers = [tuple(line.split(b": ", 1)) for line in lines]
                method, path, _ = first.decode().split(" ")
                asked = Asked(time.monotonic(), method, path, headers)
                self.requests.append(asked)
                asked.body = await reader.readexactly(int(asked.value(b"content-length") or 0))
                leaving = asyncio.create_task(self._leaving(reader, asked))
                async for piece in played(self.steps):
                    writer.write(piece)
                    await writer.drain()
                leaving.cancel()
        finally:
            writer.close()

    async def _leaving(self, reader, asked):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        asked.left = time.monotonic()


@contextlib.asynccontextmanager
async def serving(app, **more):
    """The gateway's server around an app, in the loop of the test: its port."""
    config = uvicorn.Config(app, **QUIET | {"http": Connection} | more)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with contextlib.closing(listening()) as sock:
        await server.startup(sockets=[sock])
        try:
            yield sock.getsockname()[1]
        finally:
            for one in server.servers:
                one.close()
            state = server.server_state
            for connection in tuple(state.connections):
                connection.shutdown()
            assert await until(lambda: not state.connections and not state.tasks)


async def answer(send, status, text):
    await send({"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": text.encode()})


class Relay:
    """An app that passes each request on, and keeps what became of it (`became`, an error too) and what was
    handed to the connection, and when (`handed`)."""

    def __init__(self, upstream, streams=None, most=10_000_000, seconds=20.0, **more):
        self.upstream, self.streams, self.more = upstream, streams, more
        self.most, self.seconds = most, seconds
        self.became, self.handed = [], []

    async def __call__(self, scope, receive, send):
        async def handing(message):
            self.handed.append((time.monotonic(), message))
            await send(message)

        try:
            self.became.append(await self.passed(scope, receive, handing))
        except (UpstreamError, BadHeaders, Unread) as error:
            self.became.append(error)
            await answer(send, 502, str(error))

    async def passed(self, scope, receive, send):
        limits = {"most": self.most, "pause_seconds": self.seconds, "seconds": 20.0}
        body = await read_body(receive, scope["headers"], **limits)
        path = scope["raw_path"].decode()
        request = Request(scope["method"], path, scope["headers"], body)
        if self.streams is None:
            return await passed(scope, receive, send, self.upstream, request, **self.more)
        whose = {"tenant": "t", "dialect": "openai", "turn": 0}
        with self.streams.open(path=path, **whose) as stream:
            became = await passed(scope, receive, send, self.upstream, request, stream, **self.more)
            if became.how == "unsent":
                await answer(send, 403, "refused")
                stream.ended(told=True)
            return became


class Caller:
    """A client with one connection: `async with Caller(port) as caller`."""

    def __init__(self, port, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port = port

    async def __aenter__(self):
        self.sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self.sock, ("127.0.0.1", self.port))
        self.reader, self.writer = await asyncio.open_connection(sock=self.sock, limit=65_536)
        return self

    async def __aexit__(self, *_):
        self.leave()

    def leave(self):
        self.writer.close()

    def ask(self, path="/x", method="POST", headers=(), body=b"{}"):
        lines = [f"{method} {path} HTTP/1.1".encode(), b"host: gateway"]
        lines += [name + b": " + value for name, value in headers]
        if not any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers):
            lines.append(b"content-length: %d" % len(body))
        self.writer.write(b"\r\n".join([*lines, b"", body]))

    async def head(self):
        """The status and the headers."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        self.headers = [tuple(line.split(b": ", 1)) for line in lines]
        return int(first.split()[1])

    async def pieces(self):
        """The chunks of the body; raises IncompleteReadError or ConnectionError if it is not whole."""
        length = dict(self.headers).get(b"content-length")
        if length is not None:
            yield await self.reader.readexactly(int(length))
            return
        while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def rest(self):
        """What comes of the body, and whether that is all of it."""
        body = b""
        try:
            async for piece in self.pieces():
                body += piece
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            return body + getattr(error, "partial", b""), False
        return body, True


TOOL = "look_up"
"""A tool of this name is called once, with `CALLED`; what it gives is answered in words."""

CALLED = {"place": "Lyon"}
_TIME = "2026-06-01T00:00:00Z"
_SECOND = 1_780_000_000


class Apis(Stub):
    """The rest of both APIs, as far as their SDKs ask for it: lists of models (`names`), counts of tokens,
    tools, Responses, files, and batches whose answers are there at once."""

    def __init__(self, *names, **more):
        super().__init__(**more)
        self.names = names
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict] = {}

    def _served(self, asked, path):
        if path in self.paths:
            return self.paths[path]
        if path == "/v1/responses" or (path in TOOLED and _calls(asked.body)):
            body = json.loads(asked.body)
            events = int(asked.value(b"stub-events") or self.events)
            pause = float(asked.value(b"stub-pause") or self.pause)
            api = responses if path == "/v1/responses" else TOOLED[path]
            whole, parts = api(body, events)
            if not body.get("stream"):
                return _json(whole)
            steps = [step for part in parts for step in (pause, part)]
            return Served(steps, headers=[(b"content-type", b"text/event-stream")])
        if path == "/v1/messages/count_tokens":
            return _json({"input_tokens": len(asked.body)})
        if path.startswith("/v1/models"):
            return self._models(asked, path.removeprefix("/v1/models").removeprefix("/"))
        if path.startswith("/v1/messages/batches"):
            return self._messages_batches(asked, path.split("/")[4:])
        if path.startswith("/v1/files"):
            return self._files(asked, path.split("/")[3:])
        if path.startswith("/v1/batches"):
            return self._batches(asked, path.split("/")[3:])
        return super()._served(asked, path)

    def _models(self, asked, name):
        if asked.value(b"anthropic-version") is not None:
            kind = {"type": "model", "created_at": _TIME}
            more = {"has_more": False, "first_id": self.names[0], "last_id": self.names[-1]}
        else:
            kind, more = {"object": "model", "created": _SECOND, "owned_by": "stub"}, {"object": "list"}
        found = {each: {"id": each, "display_name": each, **kind} for each in self.names}
        if not name:
            return _json({"data": list(found.values()), **more})
        return _json(found[name]) if name in found else _not_found(f"model: {name}")

    def _messages_batches(self, asked, rest):
        if not rest and asked.method == "POST":
            name = f"msgbatch_{len(self.batches)}"
            self.batches[name] = json.loads(asked.body)
            return _json(self._messages_batch(name, ended=False))
        if not rest:
            found = [self._messages_batch(name) for name in self.batches]
            return _json({"data": found, "has_more": False, "first_id": None, "last_id": None})
        if rest[0] not in self.batches:
            return _not_found("batch")
        if rest[1:] != ["results"]:
            return _json(self._messages_batch(rest[0]))
        lines = [
            {
                "custom_id": line["custom_id"],
                "result": {"type": "succeeded", "message": messages(line["params"], 2)[0]},
            }
            for line in self.batches[rest[0]]["requests"]
        ]
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return Served((data,), headers=[(b"content-type", b"application/x-jsonl")])

    def _messages_batch(self, name, *, ended=True):
        """It says where its results are as the real one does: with the address of the API itself."""
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        results = f"{self.url}/v1/messages/batches/{name}/results"
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": _TIME,
            "expires_at": _TIME,
            "ended_at": _TIME if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": results if ended else None,
        }

    def _files(self, asked, rest):
        if not rest:
            name = f"file-{next(NUMBERS)}"
            self.files[name] = _uploaded(asked)
            return _json(self._file(name))
        if rest[0] not in self.files:
            return _not_found("file")
        if rest[1:] == ["content"]:
            return Served((self.files[rest[0]],), headers=[(b"content-type", b"application/octet-stream")])
        if asked.method == "DELETE":
            del self.files[rest[0]]
            return _json({"id": rest[0], "object": "file", "deleted": True})
        return _json(self._file(rest[0]))

    def _file(self, name):
        size = len(self.files[name])
        about = {"filename": "lines.jsonl", "purpose": "batch", "status": "processed"}
        return {"id": name, "object": "file", "bytes": size, "created_at": _SECOND, **about}

    def _batches(self, asked, rest):
        if not rest:
            name, body = f"batch_{next(NUMBERS)}", json.loads(asked.body)
            lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
            answered = [
                {
                    "custom_id": line["custom_id"],
                    "response": {"status_code": 200, "body": completions(line["body"], 2)[0]},
                }
                for line in lines
            ]
            self.files[f"{name}-output"] = b"".join(json.dumps(one).encode() + b"\n" for one in answered)
            self.batches[name] = {
                "id": name,
                "object": "batch",
                "endpoint": body["endpoint"],
                "input_file_id": body["input_file_id"],
                "completion_window": body["completion_window"],
                "status": "completed",
                "output_file_id": f"{name}-output",
                "created_at": _SECOND,
            }
            return _json(self.batches[name])
        return _json(self.batches[rest[0]]) if rest[0] in self.batches else _not_found("batch")


def _json(whole):
    return Served((json.dumps(whole).encode(),))


def _not_found(what):
    error = {"type": "not_found_error", "code": "not_found", "message": what}
    return Served((json.dumps({"type": "error", "error": error}).encode(),), 404)


def _uploaded(asked):
    """The file in a form."""
    boundary = asked.value(b"content-type").partition(b"boundary=")[2].strip(b'"')
    for part in asked.body.split(b"--" + boundary):
        head, _, data = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return data.removesuffix(b"\r\n")
    return b""


def _calls(data):
    """Whether the tool is called: it is there, and was not called yet."""
    body = json.loads(data) if data else {}
    tools = [tool.get("function", tool).get("name") for tool in body.get("tools") or ()]
    return TOOL in tools and "stub_call" not in json.dumps(body.get("messages") or body.get("input"))


def _sse(parts):
    return [f"event: {part['type']}\ndata: {json.dumps(part)}\n\n".encode() for part in parts]


def messages_tool(body, events):
    """A call of the tool, in Anthropic's API."""
    call = {"type": "tool_use", "id": "stub_call", "name": TOOL, "input": CALLED}
    whole = messages(body, events)[0] | {"content": [call], "stop_reason": "tool_use"}
    stopped = {"stop_reason": "tool_use", "stop_sequence": None}
    text = json.dumps(CALLED)
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in (text[:5], text[5:])]
    return whole, _sse(
        [
            {"type": "message_start", "message": whole | {"content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": call | {"input": {}}},
            *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": events}},
            {"type": "message_stop"},
        ]
    )


def completions_tool(body, events):
    """The same in Chat Completions."""
    whole = completions(body, events)[0]
    function = {"name": TOOL, "arguments": json.dumps(CALLED)}
    call = {"id": "stub_call", "type": "function", "function": function}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    whole["choices"] = [{"index": 0, "message": said, "finish_reason": "tool_calls", "logprobs": None}]
    head = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    begun = call | {"index": 0, "function": function | {"arguments": ""}}
    deltas = [
        ({"role": "assistant", "content": None, "tool_calls": [begun]}, None),
        *[
            ({"tool_calls": [{"index": 0, "function": {"arguments": one}}]}, None)
            for one in (function["arguments"][:5], function["arguments"][5:])
        ],
        ({}, "tool_calls"),
    ]
    chunks = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": why, "logprobs": None}]}
        for delta, why in deltas
    ]
    return whole, [*[f"data: {json.dumps(one)}\n\n".encode() for one in chunks], b"data: [DONE]\n\n"]


TOOLED = {"/v1/messages": messages_tool, "/v1/chat/completions": completions_tool}


def responses(body, events):
    """The whole answer of Responses and the events of its stream; a call of the tool, if there is one."""
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": body.get("tools") or []}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 7, "output_tokens": events, "total_tokens": 7 + events, **details}
    head = {
        "id": "resp_stub",
        "object": "response",
        "created_at": _SECOND,
        "model": body.get("model", MODEL),
        **settings,
    }
    at = {"item_id": "item_stub", "output_index": 0}
    if _calls(json.dumps(body).encode()):
        call = {"type": "function_call", "id": "item_stub", "call_id": "stub_call", "name": TOOL}
        text = json.dumps(CALLED)
        begun, item = (
            call | {"arguments": "", "status": "in_progress"},
            call | {"arguments": text, "status": "completed"},
        )
        kind = "response.function_call_arguments"
        inner = [{"type": f"{kind}.delta", "delta": piece, **at} for piece in (text[:5], text[5:])]
        inner.append({"type": f"{kind}.done", "arguments": text, "name": TOOL, **at})
    else:
        message = {"type": "message", "id": "item_stub", "role": "assistant"}
        text, at = WORDS * events, at | {"content_index": 0}
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        begun, item = (
            message | {"status": "in_progress", "content": []},
            message | {"status": "completed", "content": [part]},
        )
        inner = [
            {"type": "response.content_part.added", "part": part | {"text": ""}, **at},
            *[{"type": "response.output_text.delta", "delta": WORDS, "logprobs": [], **at}] * events,
            {"type": "response.output_text.done", "text": text, "logprobs": [], **at},
            {"type": "response.content_part.done", "part": part, **at},
        ]
    whole = head | {"status": "completed", "output": [item], "usage": usage}
    open_ = head | {"status": "in_progress", "output": []}
    parts = [
        {"type": "response.created", "response": open_},
        {"type": "response.in_progress", "response": open_},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        *inner,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return whole, _sse([part | {"sequence_number": number} for number, part in enumerate(parts)])
