"""Upstreams to ask, on loopback, each in a thread of its own, with a log of what they were asked; the server
of the gateway, to ask them through; and a caller that sees each byte. No model answers anything here.

`Stub` is an HTTP server that knows two model APIs; `Raw` writes the bytes it is given, as no HTTP server
would. Both play steps: bytes, a function that gives them, seconds to wait, an event of `threading` to wait
for."""

import asyncio
import contextlib
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
        whose = {"tenant": "t", "subject": "s", "item": "i", "dialect": "openai", "turn": 0, "record": "r"}
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
