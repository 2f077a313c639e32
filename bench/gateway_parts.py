"""What the bench of gateways starts and reads: processes pinned to a core, the processor time and the memory
of their trees from /proc, and the questions that every side is asked."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
EVENTS = 52
"""Server-sent events of one streamed answer, the last one included."""

_TICK = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
PROXIES, OTHERS = _CORES[0], _CORES[-1]
"""The core of what is measured, and that of the clients and the upstream."""


class Missing(Exception):
    """A peer is not here or does not start, and why."""


@dataclass(frozen=True)
class Side:
    """A way to the upstream: where it listens, with which headers and for which model it is asked, and the
    processes that make it up. `rewrites` says that it gives an answer a form of its own."""

    name: str
    port: int
    pids: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str = "bench-model"
    rewrites: bool = False

    def body(self, *, stream: bool = False, held: bool = False) -> bytes:
        """A question of 1.2 kB. A `held` answer does not end by itself."""
        text = "Which grid operators does the report name, and what does it say of each? " * 14
        asked = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": f"{text}{'HOLD' if held else ''}"},
            ],
            "max_tokens": 256,
        }
        return json.dumps(asked | ({"stream": True} if stream else {})).encode()

    def request(self, *, stream: bool = False, held: bool = False) -> bytes:
        """All of it, as it goes over the wire."""
        body = self.body(stream=stream, held=held)
        headers = {"host": f"127.0.0.1:{self.port}", **self.sent, "content-length": str(len(body))}
        lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body

    @property
    def sent(self) -> dict[str, str]:
        return {"content-type": "application/json", **self.headers}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def on(core: int) -> Iterator[None]:
    """What is started meanwhile stays on this core, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def process(
    words: Sequence[str], *, core: int, said: Path, environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A program until the end of the block: its process id. What it says goes into a file."""
    with said.open("wb") as out:
        with on(core):
            begun = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(environ or {})}
            )
        try:
            yield begun.pid
        finally:
            begun.terminate()
            try:
                begun.wait(20)
            except subprocess.TimeoutExpired:
                begun.kill()
                begun.wait()


def script(name: str, *words: str, python: str = sys.executable) -> list[str]:
    """One of the programs beside this file."""
    return [python, str(HERE / name), *words]


def until_open(port: int, pid: int, said: Path, *, seconds: float = 60) -> None:
    """Wait until somebody listens. Raises Missing with the last that was said if nobody does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not _ended(pid):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise Missing(f"did not start: {last_of(said)}")


def last_of(said: Path) -> str:
    """The last line that says anything."""
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def program(name: str, *places: Path) -> str:
    """Where a program is. Raises Missing."""
    found = shutil.which(name) or next((str(each / name) for each in places if (each / name).exists()), None)
    if found is None:
        raise Missing(f"`{name}` is not installed")
    return found


def seconds_of(pids: Sequence[int]) -> float:
    """The processor time that these processes and all that came from them have used, user and system."""
    ticks = 0
    for pid in _tree(pids):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(fields[number]) for number in (11, 12, 13, 14))
    return ticks / _TICK


def resident(pids: Sequence[int]) -> float:
    """Their resident memory, in megabytes (10^6); what processes share counts for each."""
    kibibytes = 0
    for pid in _tree(pids):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kibibytes += int(line.split()[1])
    return kibibytes * 1024 / 1e6


def _tree(pids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    left = list(pids)
    while left:
        pid = left.pop()
        found.add(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                left.extend(int(word) for word in (task / "children").read_text().split())
    return found


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
