"""The gateway as a process that listens: a node that decides, and a server before it. What it answers is in
`carnet.gateway.door`."""

import datetime as dt
import socket
import ssl
from collections.abc import Callable

import uvicorn

from carnet.gateway.config import Directory
from carnet.gateway.connections import Connection
from carnet.gateway.door import Door
from carnet.gateway.parts import Parts
from carnet.gateway.reaching import clients
from carnet.service.api import Api

DRAIN_SECONDS = 30
"""How long answers that are open may go on once a gateway is told to stop."""

_CONNECTIONS = 20_000
_KEEP_SECONDS = 30


def serve(
    api: Api,
    directory: Directory,
    sock: socket.socket,
    ready: Callable[[], None],
    *,
    tls: tuple[str, str] | None = None,
    now: Callable[[], dt.datetime],
) -> None:
    """Answer on a socket until it is told to stop. `tls` are the files of a certificate chain and its key.
    Raises InputError for an upstream that can't be used as it is configured."""
    upstreams = clients(directory.config)
    parts = Parts(api, directory, upstreams, now)
    beside = [
        upstreams[one.name].keep_checked for one in directory.config.upstream if one.check_path is not None
    ]
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


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
