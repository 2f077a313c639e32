"""The gateway as a process that listens: a node that decides, and a server before it. What it answers is in
`carnet.gateway.door`."""

import asyncio
import ctypes
import datetime as dt
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial

import uvicorn

from carnet.gateway.config import Directory
from carnet.gateway.connections import Connection
from carnet.gateway.door import Door
from carnet.gateway.parts import Parts
from carnet.gateway.reaching import clients
from carnet.model.errors import CarnetError
from carnet.service.api import Api

DRAIN_SECONDS = 30
"""How long answers that are open may go on once a gateway is told to stop."""

_CONNECTIONS = 20_000
_KEEP_SECONDS = 30
_LOG = logging.getLogger("carnet.gateway")


def serve(
    api: Api,
    directory: Directory,
    sock: socket.socket,
    ready: Callable[[], None],
    *,
    again: Callable[[], None],
    now: Callable[[], dt.datetime],
    tls: tuple[str, str] | None = None,
) -> None:
    """Answer on a socket until it is told to stop. On SIGHUP, `again` takes the law and the policy as they
    are then, or raises and leaves them. `tls` are the files of a certificate chain and its key. Raises
    InputError for an upstream that can't be used as it is configured."""
    upstreams = clients(directory.config)
    parts = Parts(api, directory, upstreams, now)
    checked = [upstreams[one.name] for one in directory.config.upstream if one.check_path is not None]
    beside: list[Callable[[], Coroutine[None, None, None]]] = [partial(_reloading, again)]
    beside += [one.keep_checked for one in checked]
    config = uvicorn.Config(
        Door(parts, beside),
        http=Connection,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,  # it would name addresses
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=None if tls is None else tls[0],
        ssl_keyfile=None if tls is None else tls[1],
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    _Server(config, ready).run(sockets=[sock])


async def _reloading(again: Callable[[], None]) -> None:
    """Take the law again on each SIGHUP; one that can't be taken leaves everything as it was."""
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, wanted.set)
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await asyncio.to_thread(again)
        except CarnetError as error:
            _LOG.error("nothing was changed: %s", error)


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settled()
        self._ready()


def settled() -> None:
    """Give back what loading the law took and needs no more, and have the collector look no more at what
    stays: a pass over all of it holds up every answer for 60 ms."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
