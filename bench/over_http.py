"""Determinations over HTTP: a real `carnet serve` and real connections, how long each request takes.

What is asked: a use by a new subject each time, which takes a new key, is recorded and gives a grant; a use
under a grant that was given before, which is counted; an inquiry by somebody known, which is recorded. The
item is a controlled one, by an invented letter. Beside it stand two endpoints on the same server without any
law (`bare.py`).
"""

import contextlib
import datetime as dt
import http.client
import json
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import report

from carnet.service.clock import utc
from carnet.store.api_keys import ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import Keyring, new_name

AT_ONCE = (1, 16)
KEYS = 64
"""One API key may ask a hundred times a second: together they may ask more often than a node answers."""

LETTER = """+++
format = 1
title = "An invented letter"
source = "Invented"
dated = 2026-01-01
verified = 2026-01-01
+++

```toml requirement
id = "us.letter.bench"
cite = "letter"
from = 2026-01-01
gate = "own"
binds = ["northwind"]
reasons = ["notice"]
lifted_by = ["authorization"]
review = "none stated"
when = 'item.product == "northwind/atlas-3" and foreign_person(recipient)'
```
"""

Ask = Callable[[int], tuple[str, bytes]]
"""The path and the body of a request, by its number."""


def asked(subject: str, purpose: str = "use") -> bytes:
    """A citizen of the United States at the model that the letter controls."""
    transaction = {
        "at": dt.datetime.now(dt.UTC).isoformat(),
        "event": "remote_access",
        "served_from": "US",
        "item": {"product": "northwind/atlas-3", "form": "hosted", "provider": "northwind"},
        "exporter": {"id": "northwind", "kind": "company"},
        "recipient": {"id": subject, "kind": "person", "location": "US", "us_status": "citizen"},
    }
    return json.dumps({"purpose": purpose, "transaction": transaction}).encode()


def determined(name: str, run: str) -> Ask:
    """What is asked of ours. A grant is new for a subject that nobody has heard of; the eight regular ones
    get theirs with their first use."""
    subjects: dict[str, Callable[[int], bytes]] = {
        "new subject": lambda number: asked(f"{run}-{number}"),
        "under a grant": lambda number: asked(f"regular-{number % 8}"),
        "inquiry": lambda number: asked(f"regular-{number % 8}", "inquiry"),
    }
    return lambda number: ("/v1/determinations", subjects[name](number))


OURS = ("new subject", "under a grant", "inquiry")
BARE = {"one INSERT and commit": "/audited", "nothing": "/nothing"}


class Clients:
    """As many connections as ask at once; the API keys take turns."""

    def __init__(self, port: int, keys: list[str]) -> None:
        self.ways = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(max(AT_ONCE))]
        self.keys, self.lock, self.turn = keys, threading.Lock(), 0

    def key(self) -> str:
        with self.lock:
            self.turn += 1
            return self.keys[self.turn % len(self.keys)]

    def ask(self, way: http.client.HTTPConnection, path: str, body: bytes) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self.key()}", "Content-Type": "application/json"}
        way.request("POST", path, body, headers)
        answer = way.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise SystemExit(f"`{path}` answered {answer.status}: {data.decode()}")
        found: dict[str, object] = json.loads(data)
        return found

    def waits(self, ask: Ask, at_once: int, each: int) -> list[float]:
        """How long each request took, in milliseconds: every connection waits for its answer."""

        def produced(first: int) -> list[float]:
            mine, way = [], self.ways[first]
            way.close()  # it may have been idle for too long
            way.connect()
            for number in range(each):
                path, body = ask(first * each + number)
                start = time.perf_counter_ns()
                self.ask(way, path, body)
                mine.append((time.perf_counter_ns() - start) / 1e6)
            return mine

        with ThreadPoolExecutor(at_once) as pool:
            return [wait for waits in pool.map(produced, range(at_once)) for wait in waits]

    def close(self) -> None:
        for way in self.ways:
            way.close()


@contextlib.contextmanager
def carnet(folder: Path) -> Iterator[Clients]:
    """`carnet serve` on a new data directory, with keys for those who ask."""
    data, letter = folder / "data", folder / "law" / "us" / "letters" / "bench.md"
    letter.parent.mkdir(parents=True)
    letter.write_text(LETTER)
    Keyring.create(data, new_name(), utc())
    with Desk.open(data) as desk:
        made = ApiKeys(desk, Keyring.open(data))
        keys = [made.add("default", ("decide",), utc())[1] for _ in range(KEYS)]
    program = str(Path(sys.executable).parent / "carnet")
    words = [program, "serve", "--listen", "127.0.0.1:0", "--data", str(data), "--law", str(folder / "law")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while "Not legal advice." not in said:
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"it did not start: {said}")
                said += line
            port = int(re.findall(r"listens on \S+:(\d+)", said)[0])
            with contextlib.closing(Clients(port, keys)) as clients:
                yield clients
        finally:
            process.terminate()


@contextlib.contextmanager
def bare(folder: Path) -> Iterator[Clients]:
    """The endpoints without any law."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, str(Path(__file__).with_name("bare.py")), str(port), str(folder / "bare.db")]
    with subprocess.Popen(words) as process:
        try:
            until = time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit("the bare endpoints did not start")
                time.sleep(0.05)
            with contextlib.closing(Clients(port, ["none"])) as clients:
                yield clients
        finally:
            process.terminate()


def measured(folder: Path, *, rounds: int, each: int) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds by what was asked and how many asked at once: the median, and the ninety-ninth of a
    hundred. The sides take turns in each round."""
    found: dict[str, list[float]] = {}
    with carnet(folder) as ours, bare(folder) as peer:
        for given in ("now", "before"):
            uses = [ours.ask(ours.ways[0], *determined("under a grant", "")(number)) for number in range(8)]
            if not all(answer["action"] == "serve" and answer["given"] == given for answer in uses):
                raise SystemExit(f"a citizen was not served under a grant that was given {given}")
        for number in range(rounds):
            for at_once in AT_ONCE:
                for name in OURS:
                    ask = determined(name, f"s{number}-{at_once}")
                    found.setdefault(f"{name}@{at_once}", []).extend(ours.waits(ask, at_once, each))
                for name, path in BARE.items():
                    body = asked("somebody")
                    waits = peer.waits(lambda _, path=path, body=body: (path, body), at_once, each)
                    found.setdefault(f"{name}@{at_once}", []).extend(waits)
    p50 = {name: statistics.median(waits) for name, waits in found.items()}
    p99 = {name: sorted(waits)[int(len(waits) * 0.99)] for name, waits in found.items()}
    rows = [[name, len(found[name]), f"{p50[name]:.1f}", f"{p99[name]:.1f}"] for name in found]
    title = "over HTTP, ms: a first use, a use under a grant, an inquiry; one INSERT, nothing"
    report.table(title, ["what @ at once", "requests", "p50", "p99"], rows)
    return p50, p99
