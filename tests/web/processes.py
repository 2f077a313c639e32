"""`carnet serve` in a process of its own, as an operator starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx


class Running:
    """A server that was started, what it said, and its first key."""

    def __init__(self, process, log, key):
        self.process, self.log, self._key = process, log, key

    @property
    def said(self):
        return self.log.read_text("utf-8")

    @property
    def url(self):
        return re.search(r"^Carnet listens on (\S+)$", self.said, re.MULTILINE)[1]

    @property
    def key(self):
        found = re.search(r"shown this once: (ck_\S+)", self.said)
        return found[1] if found else self._key

    def ask(self, method, path, **more):
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **more)

    def post(self, path, document, **more):
        return self.ask("POST", path, json=document, **more)

    def children(self):
        """The processes that it has started."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        rows = [line.split(None, 1) for line in listed.stdout.splitlines()]
        return [int(pid) for pid, args in rows if "spawn_main" in args]


@contextmanager
def running(folder, *words, key=None, data="carnet-data", env=None):
    """`carnet serve` in a folder, ready; killed at the end if it has not ended."""
    log = Path(folder) / f"serve-{time.monotonic_ns()}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "carnet"),
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data",
                data,
                *words,
            ],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **(env or {})},
        )
    server = Running(process, log, key)
    try:
        until = time.monotonic() + 60
        while "Not legal advice." not in server.said:
            assert process.poll() is None, server.said
            assert time.monotonic() < until, server.said
            time.sleep(0.1)
        yield server
    finally:
        children = server.children()
        process.kill()
        process.wait()
        for child in children:
            gone(child)


def stop(server, seconds=30):
    """End it as a service manager would; its exit code."""
    server.process.send_signal(signal.SIGTERM)
    return server.process.wait(seconds)


def gone(pid, seconds=30):
    """Wait until a process has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} goes on")
