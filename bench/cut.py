"""How long it takes until open answers that a directive covers have ended: one gateway process with a
thousand of them, each of another person, and a letter that covers all.

    python bench/cut.py [--streams 1000] [--people 20] [--json FILE]

The gateway is the real one, in a process of its own; so is the upstream. The clock runs from the instant at
which the node's law is another one until each reader has the last event, in the form of the API."""

import argparse
import asyncio
import datetime as dt
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gateway_carnet import CONFIG, LETTER
from gateway_parts import free_port
from msgspec import structs

from carnet.gateway.config import load_config
from carnet.gateway.server import serve
from carnet.model.transaction import Party
from carnet.model.written import Fact, SetFact
from carnet.service.api import InProcess
from carnet.service.clock import utc
from carnet.service.node import Node
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook

HERE = Path(__file__).parent
COUNTRIES = ("FR", "DE", "IN", "ES", "IT", "JP", "KR", "BR", "SE", "NL")
TARGET_SECONDS = 0.25
ASK = {
    "model": "bench-controlled",
    "stream": True,
    "messages": [{"role": "user", "content": "HOLD this one open."}],
}


def person(number: int, people: int) -> Party:
    """One of so many kinds of foreign persons."""

    def said(value: str) -> Fact:  # type: ignore[type-arg] # of whatever the field takes
        return Fact(value=value, source="desk", assurance="S3")

    kind = number % people
    country = COUNTRIES[kind % len(COUNTRIES)]
    nationalities = SetFact(value=(country,), source="desk", assurance="S3")
    place = COUNTRIES[kind // len(COUNTRIES) % len(COUNTRIES)]
    return Party(
        us_status=said("none"), kind=said("person"), location=said(place), nationalities=nationalities
    )


def gateway(folder: Path, upstream: int, port: int, streams: int, people: int) -> None:
    """The gateway: it is ready once it says so, and takes the letter when it reads a line."""
    law = folder / "law" / "us" / "letters"
    law.mkdir(parents=True)
    (law / "bench.md").write_text(LETTER)
    before, after = load_rulebook(), load_rulebook(folder / "law")
    with Node(folder / "data", before, default_policy()) as node:
        api, now = InProcess(node, deadline=60), utc()
        facts = [(f"reseller/u{number}", person(number, people)) for number in range(streams)]
        node.subjects.add("default", facts, now)
        key, text = node.api_keys.add("default", ("call",), now)
        config = CONFIG.format(upstream=upstream, citizen=key.id, foreigner="0" * 12)
        plain = load_config(config.encode())
        caller = structs.replace(plain.callers[key.id], subject="reseller", end_users="header")
        directory = structs.replace(plain, callers={key.id: caller})
        changed: list[float] = []
        api.watch(lambda: changed.append(time.monotonic()))

        def turned() -> None:
            sys.stdin.readline()
            node.enter(after, default_policy())
            print(json.dumps({"changed": changed[0]}), flush=True)

        def ready() -> None:
            threading.Thread(target=turned, daemon=True).start()
            print(json.dumps({"key": text}), flush=True)

        sock = socket.create_server(("127.0.0.1", port), backlog=2048)
        serve(api, directory, sock, ready, again=lambda: None, now=utc)


class Reading:
    """One stream: when its first piece came, when its end, and what that was."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = 0.0
        self.text = b""

    async def read(self, port: int, key: str, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps(ASK).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            f"x-carnet-end-user: u{number}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        while True:
            piece = await reader.read(65536)
            if not piece:
                break
            self.text += piece
            if b"data: " in self.text:
                self.begun.set()
            if b"[DONE]" in piece:
                self.ended = time.monotonic()
                break
        writer.close()


async def clients(port: int, key: str, streams: int, go: "subprocess.Popen[str]") -> list[Reading]:
    """Open all of them, have the letter come, wait until all have ended."""
    readings = [Reading() for _ in range(streams)]
    tasks = []
    for start in range(0, streams, 100):
        part = range(start, min(start + 100, streams))
        tasks += [asyncio.create_task(readings[number].read(port, key, number)) for number in part]
        await asyncio.gather(*(readings[number].begun.wait() for number in part))
    await asyncio.sleep(2)
    assert go.stdin is not None
    go.stdin.write("go\n")
    go.stdin.flush()
    await asyncio.wait_for(asyncio.gather(*tasks), 120)
    return readings


def measured(streams: int, people: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        upstream, port = free_port(), free_port()
        stub = subprocess.Popen([sys.executable, HERE / "gateway_upstream.py", str(upstream)])
        words = [sys.executable, __file__, "--gateway", folder, str(upstream), str(port)]
        words += ["--streams", str(streams), "--people", str(people)]
        served = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert served.stdout is not None
            key = json.loads(served.stdout.readline())["key"]
            readings = asyncio.run(clients(port, key, streams, served))
            changed = json.loads(served.stdout.readline())["changed"]
        finally:
            for process in (served, stub):
                process.terminate()
                process.wait(60)
    took = sorted(reading.ended - changed for reading in readings)
    told = sum(b'"code":"export_control_denied"' in reading.text for reading in readings)
    return {
        "streams": streams,
        "kinds_of_people": people,
        "told_in_the_form_of_the_api": told,
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "max_ms": round(took[-1] * 1000, 1),
        "target_ms": TARGET_SECONDS * 1000,
        "met": took[-1] <= TARGET_SECONDS and told == streams,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--people", type=int, default=20, help="kinds of them that differ in their facts")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--gateway", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.gateway:
        folder, upstream, port = given.gateway
        gateway(Path(folder), int(upstream), int(port), given.streams, given.people)
        return 0
    found = measured(given.streams, given.people)
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
