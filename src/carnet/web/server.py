"""Nodes that listen: one in this process, or several in processes of their own that share a socket, started
again when they end. What they answer is in `carnet.web.app`.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from msgspec import Struct, structs

from carnet.model.errors import CarnetError, Unavailable
from carnet.model.plain import printable
from carnet.service.node import Node
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook
from carnet.web.app import app
from carnet.web.messages import MOST_REQUESTS
from carnet.web.peers import Peers
from carnet.web.serving import Settings
from carnet.web.tracing import tracing

GRACE_SECONDS = 10
"""How long requests that are under way may take once a server is told to stop."""

_CONNECTIONS = 1_000
_PATIENCE = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LOG = logging.getLogger("carnet.serve")


class Plan(Struct, frozen=True, kw_only=True):
    """What is served: a data directory, shelves of the operator's own, a policy, how; a certificate chain and
    its key if it speaks TLS itself; the address of PostgreSQL if the nodes share one, which is never shown:
    there may be a password in it."""

    data: Path
    law: tuple[Path, ...] = ()
    policy: Path | None = None
    settings: Settings = Settings()
    tls: tuple[Path, Path] | None = None
    postgresql: str | None = None

    def __repr__(self) -> str:
        return f"Plan(data={str(self.data)!r})"


def serve(plan: Plan, sock: socket.socket, ready: Callable[[], None]) -> None:
    """Serve with one node in this process, until a signal ends it: then finish what is under way, record what
    was counted, close. `ready` is called once it answers. Raises as `Node`."""
    _until_signalled()
    _node(plan, None, sock, None, ready)


def serve_several(plan: Plan, count: int, sock: socket.socket, ready: Callable[[], None]) -> None:
    """Serve with several nodes, each in a process of its own, until a signal ends it.

    Raises `Unavailable` if one can't start; one that ends later is started again.
    """
    shared = structs.replace(
        plan.settings, rate=plan.settings.rate / count, burst=max(MOST_REQUESTS, plan.settings.burst // count)
    )
    each = structs.replace(plan, settings=shared)
    _until_signalled()
    with tempfile.TemporaryDirectory(prefix="carnet-") as directory:
        nodes = [_Process(each, number, sock, Path(directory)) for number in range(1, count + 1)]
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                node.expect()
            ready()
            while True:
                _watched(nodes)
        finally:
            _stop(nodes)


class _Process:
    """One of several nodes, and its process."""

    def __init__(self, plan: Plan, number: int, sock: socket.socket, directory: Path) -> None:
        self.number = number
        self.again: float | None = None
        self._of = (plan, number, sock, directory)
        self._pause = _FIRST_PAUSE
        self._started = 0.0
        self._process: BaseProcess | None = None
        self._told: Connection | None = None

    @property
    def process(self) -> BaseProcess:
        assert self._process is not None  # it was started before anybody asks
        return self._process

    def start(self) -> None:
        """Start the process; it goes on by itself."""
        if self._told is not None:
            self._told.close()
        self._told, tell = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(
            target=_in_process, args=(*self._of, tell), name=f"carnet-{self.number}"
        )
        self._process.start()
        self._started = time.monotonic()
        tell.close()
        self.again = None

    def expect(self) -> None:
        """Wait until it answers. Raises `Unavailable` if it does not."""
        assert self._told is not None  # it was started
        wait([self._told, self.process.sentinel], _PATIENCE)
        with contextlib.suppress(EOFError):
            if self._told.poll() and self._told.recv():
                return
        raise Unavailable(f"node `{self.number}` did not start: what it said above says why")

    def ended(self) -> None:
        """Have it started again, later each time that it did not live."""
        self.process.join()
        lived = time.monotonic() - self._started > _LONGEST_PAUSE
        self._pause = _FIRST_PAUSE if lived else min(2 * self._pause, _LONGEST_PAUSE)
        self.again = time.monotonic() + self._pause
        _LOG.error("node `%s` ended with %s and is started again", self.number, self.process.exitcode)

    def close(self) -> None:
        if self._told is not None:
            self._told.close()


def _watched(nodes: list[_Process]) -> None:
    """Wait a while for one that ends, and start again what is due."""
    running = {node.process.sentinel: node for node in nodes if node.again is None}
    for sentinel in wait(list(running), 0.5):
        assert isinstance(sentinel, int)  # the sentinel of a process is a number
        running[sentinel].ended()
    for node in nodes:
        if node.again is not None and node.again <= time.monotonic():
            node.start()


def _stop(nodes: list[_Process]) -> None:
    """End all: first as they would themselves, and after a time without asking."""
    started = [node.process for node in nodes if node._process is not None]  # noqa: SLF001 -- of this module
    for process in started:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS + 5
    for process in started:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    for node in nodes:
        node.close()


def _in_process(plan: Plan, number: int, sock: socket.socket, directory: Path, tell: Connection) -> None:
    """The whole life of one of several nodes."""
    _until_signalled()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that watches is told, and tells
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logged()
    try:
        _node(plan, number, sock, directory, lambda: tell.send(True))
    except CarnetError as error:
        sys.stderr.write(f"node {number}: {printable(str(error))}\n")
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    """A node whose watcher was killed ends too, as if it had been told to."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a spawned process has one
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _node(
    plan: Plan,
    number: int | None,
    sock: socket.socket,
    directory: Path | None,
    ready: Callable[[], None],
) -> None:
    rulebook, policy = load_rulebook(*plan.law), read_policy(plan.policy)
    with (
        Node(plan.data, rulebook, policy, number=number) as node,
        _sharing(plan, node) as figures,
        tracing(number or 0) as trace,
    ):
        peers = Peers(directory, number or 0)
        config = uvicorn.Config(
            app(node, plan.settings, peers, figures, trace),
            http="h11",
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,  # it would name addresses, subjects and parties
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=None if plan.tls is None else str(plan.tls[0]),
            ssl_keyfile=None if plan.tls is None else str(plan.tls[1]),
        )
        _Server(config, ready).run(sockets=[sock])


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


@contextlib.contextmanager
def _sharing(plan: Plan, node: Node) -> Iterator[Callable[[], Mapping[str, float]] | None]:
    """What a node shares in PostgreSQL, if there is one: the figures of how it goes."""
    if plan.postgresql is None:
        yield None
        return
    from carnet.service.sharing import Shared  # noqa: PLC0415 -- its driver is an extra that most do without

    with contextlib.closing(Shared(node, plan.postgresql)) as shared:
        yield shared.figures


def logged() -> None:
    """What goes wrong is written to standard error. Nothing that anybody sent is in it."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _until_signalled() -> None:
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, _stopped)


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    """End in order; what was asked once need not be asked again."""
    del number, frame
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, signal.SIG_IGN)
    raise SystemExit(0)
