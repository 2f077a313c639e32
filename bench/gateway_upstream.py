"""The upstream of the bench of gateways: a fast stand-in for a model API, without any framework. It answers
every question with the same words, whole or in 52 events, each handed to the system by itself; one that says
HOLD gets its first event at once and the next ones slowly, until whoever asked leaves.

Run with a port."""

import asyncio
import json
import sys
from collections.abc import Callable

from gateway_parts import EVENTS

WORDS = "The report names no operator. "
_HEAD = {"id": "chatcmpl-bench", "created": 1_780_000_000, "model": "bench-model"}
_USAGE = {"prompt_tokens": 300, "completion_tokens": EVENTS, "total_tokens": 300 + EVENTS}
_HELD_SECONDS = 1.0


def whole() -> bytes:
    said = {"role": "assistant", "content": WORDS * 16}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    return json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def events() -> list[bytes]:
    """The pieces of a stream: the role, the words, the end."""

    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        said = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
        return f"data: {json.dumps(said)}\n\n".encode()

    middle = [event({"content": WORDS})] * (EVENTS - 3)
    return [event({"role": "assistant", "content": ""}), *middle, event({}, "stop"), b"data: [DONE]\n\n"]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(whole()),
    whole(),
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
CHUNKS = [*map(chunk, events()), b"0\r\n\r\n"]


class Upstream(asyncio.Protocol):
    """One connection, one question after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.data = b""
        self.slow: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data
        while True:
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if not found:
                return
            body, left = asked(head, rest)
            if body is None:
                return
            self.data = left
            self.answer(body)

    def answer(self, body: bytes) -> None:
        write: Callable[[bytes], None] = self.transport.write
        if b'"stream": true' not in body and b'"stream":true' not in body:
            write(PLAIN)
            return
        write(STREAM_HEAD)
        if b"HOLD" in body:
            self.hold()
            return
        for each in CHUNKS:
            write(each)

    def hold(self) -> None:
        self.transport.write(CHUNKS[1])
        self.slow = asyncio.get_running_loop().call_later(_HELD_SECONDS, self.hold)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow is not None:
            self.slow.cancel()


def asked(head: bytes, rest: bytes) -> tuple[bytes | None, bytes]:
    """The body of a question, None if it is not all there, and what comes after it."""
    lower = head.lower()
    if b"\ntransfer-encoding:" in lower:
        body, at = b"", 0
        while (end := rest.find(b"\r\n", at)) >= 0:
            size = int(rest[at:end], 16)
            if len(rest) < end + size + 4:
                break
            body, at = body + rest[end + 2 : end + 2 + size], end + size + 4
            if not size:
                return body, rest[at:]
        return None, rest
    _, found, after = lower.partition(b"\ncontent-length:")
    length = int(after.partition(b"\r")[0]) if found else 0
    return (None, rest) if len(rest) < length else (rest[:length], rest[length:])


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
