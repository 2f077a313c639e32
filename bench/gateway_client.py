"""The client of the bench of gateways: how long each answer takes, and how many there are. It is wrk where
that is installed; else raw sockets on asyncio in this process, which add more of their own to each time."""

import asyncio
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway_parts import OTHERS, Side, on

_LUA = """\
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
wrk.path = "/v1/chat/completions"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{{"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What came of one: how many answers, in how many seconds, and how long one took, in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Whole:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def breaks_off() -> bool:
    """Whether it is wrk, which breaks off what is open when its time is over."""
    return shutil.which("wrk") is not None


def name() -> str:
    return "wrk" if breaks_off() else "raw sockets on asyncio"


def load(side: Side, *, at_once: int, seconds: float, stream: bool, whole: bool = False) -> Load:
    """Ask over so many connections for so long; each waits for its answer. Ends the bench if one is no 200.
    With `whole` it is over when the last answer is there."""
    with on(OTHERS):
        if breaks_off() and not whole:
            return _by_wrk(side, at_once, seconds, stream)
        return asyncio.run(_by_sockets(side, at_once, seconds, stream))


def ask(side: Side, *, stream: bool = False) -> Whole:
    """One answer, whatever it is."""
    way = http.client.HTTPConnection("127.0.0.1", side.port, timeout=60)
    try:
        way.request("POST", "/v1/chat/completions", side.body(stream=stream), side.sent)
        answer = way.getresponse()
        headers = {known.lower(): value for known, value in answer.getheaders()}
        return Whole(answer.status, headers, answer.read())
    finally:
        way.close()


def text_of(answer: Whole) -> str:
    """What the model said, whole or in events."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        return str(json.loads(answer.body)["choices"][0]["message"]["content"])
    said = ""
    for line in answer.body.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                said += choice["delta"].get("content") or ""
    return said


@contextmanager
def open_streams(side: Side, count: int) -> Iterator[None]:
    """So many answers that have begun and do not end, until the end of the block."""
    with ExitStack() as opened:
        ways = []
        for _ in range(count):
            way = opened.enter_context(socket.create_connection(("127.0.0.1", side.port), 60))
            way.sendall(side.request(stream=True, held=True))
            ways.append(way)
        for way in ways:
            data = b""
            while b"data: " not in data:
                piece = way.recv(65536)
                if not piece or not data.startswith(b"HTTP/1.1 200"[: len(data)]):
                    raise SystemExit(f"{side.name}: a stream did not begin: {data[:200]!r}")
                data += piece
        yield


def _by_wrk(side: Side, at_once: int, seconds: float, stream: bool) -> Load:
    headers = "\n".join(f'wrk.headers["{known}"] = "{value}"' for known, value in side.sent.items())
    lua = _LUA.format(body=side.body(stream=stream).decode(), headers=headers)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(lua)
        file.flush()
        words = ["wrk", "-t1", f"-c{at_once}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        words += ["-s", str(Path(file.name)), f"http://127.0.0.1:{side.port}"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.strip().splitlines()[-1])
    if found["errors"] or not found["requests"]:
        raise SystemExit(f"{side.name}: {found['errors']} errors and {found['requests']} answers: {said}")
    return Load(found["requests"], found["us"] / 1e6, found["p50"] / 1000, found["p99"] / 1000)


class _Way(asyncio.Protocol):
    """A connection that asks again as soon as it is answered, until the time is over."""

    def __init__(self, request: bytes, end: float) -> None:
        self.request, self.end = request, end
        self.waits: list[float] = []
        self.over = asyncio.get_running_loop().create_future()
        self.data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.data.clear()
        self.begun = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not _whole(self.data):
            return
        now = time.perf_counter()
        if not self.data.startswith(b"HTTP/1.1 200"):
            self.over.set_exception(SystemExit(f"an answer is none: {bytes(self.data[:300])!r}"))
            self.transport.abort()
            return
        self.waits.append((now - self.begun) * 1000)
        if now < self.end:
            self.ask()
        else:
            self.over.set_result(None)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(SystemExit(f"a connection was lost: {exc}"))


def _whole(data: bytearray) -> bool:
    at = data.find(b"\r\n\r\n")
    if at < 0:
        return False
    head = bytes(data[:at]).lower()
    _, found, length = head.partition(b"\r\ncontent-length:")
    if found:
        return len(data) >= at + 4 + int(length.partition(b"\r")[0])
    return data.endswith(b"0\r\n\r\n")


async def _by_sockets(side: Side, at_once: int, seconds: float, stream: bool) -> Load:
    loop, begun = asyncio.get_running_loop(), time.perf_counter()
    request = side.request(stream=stream)
    ways = [
        (await loop.create_connection(lambda: _Way(request, begun + seconds), "127.0.0.1", side.port))[1]
        for _ in range(at_once)
    ]
    await asyncio.gather(*(way.over for way in ways))
    waits = sorted(wait for way in ways for wait in way.waits)
    spent = time.perf_counter() - begun
    return Load(len(waits), spent, waits[len(waits) // 2], waits[int(len(waits) * 0.99)])
