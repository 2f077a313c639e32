"""A witness over HTTP, as C2SP tlog-witness says: `POST /add-checkpoint`, the checkpoint that it shows to
monitors, and whether it is well. What it decides is in `carnet.ledger.witness`, what it remembers in
`carnet.store.witness`. Nobody is asked who they are: the log's signature says it.
"""

import asyncio
import hashlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from carnet.ledger import witness
from carnet.ledger.note import VerifierKey
from carnet.ledger.witness import Admitted, Cosigner, Refused
from carnet.model.errors import Damaged, InputError, Unavailable
from carnet.store.witness import Memory

BODY_SECONDS = 10.0
"""How long a request may take to arrive."""

RETRY_SECONDS = 5

_CONNECTIONS = 200
_TEXT = "text/plain; charset=utf-8"
_LOG = logging.getLogger("carnet.witness")

Logs = Mapping[str, Sequence[VerifierKey]]


def known(logs: Sequence[VerifierKey], keys: Sequence[Cosigner]) -> Logs:
    """The keys of each origin: the name of a log's key is its origin.

    Raises InputError if there is none, if one is there twice, or if it is the witness's own.
    """
    if not logs:
        raise InputError("there is no log to witness: give its key with `--log`, `name+id+base64`")
    own = {key.verifier.public for key in keys}
    found: dict[str, list[VerifierKey]] = {}
    for log in logs:
        if log.public in own:
            raise InputError(f"the key of the log `{log.name}` is the witness's own: no log witnesses itself")
        if any(log.key_id == each.key_id for each in found.get(log.name, ())):
            raise InputError(f"`{log}` is given twice: give each key once")
        found.setdefault(log.name, []).append(log)
    return found


def app(
    memory: Memory,
    keys: Sequence[Cosigner],
    logs: Logs,
    *,
    now: Callable[[], int] = lambda: int(time.time()),
) -> Starlette:
    """The witness as an ASGI application. `now` gives seconds since 1970."""
    shown = {hashlib.sha256(origin.encode()).hexdigest(): origin for origin in logs}

    def added(body: bytes) -> Response:
        request = witness.admitted(body, logs)
        if isinstance(request, Admitted):
            answer = memory.add(request, body, keys, now)
            if not isinstance(answer, Refused):
                return Response(witness.lines(answer), media_type=_TEXT)
            _LOG.info("refused `%s` at %s: %s", request.origin, request.size, answer.message)
            if answer.kind == "inconsistent":
                _LOG.warning("`%s` at %s contradicts what was cosigned", request.origin, request.size)
        else:
            answer = request
        if answer.kind == "stale":
            return Response(f"{answer.size}\n", answer.status, headers={"Content-Type": witness.SIZE_TYPE})
        return _said(answer.status, answer.message)

    async def add_checkpoint(request: Request) -> Response:
        body = await _body(request)
        return await run_in_threadpool(added, body)

    async def last(request: Request) -> Response:
        origin = shown.get(request.path_params["digest"])
        found = None if origin is None else await run_in_threadpool(memory.remembered, origin)
        if found is None:
            return _said(404, "no checkpoint of such a log was cosigned here")
        return Response(found.note, media_type=_TEXT, headers={"Cache-Control": "no-cache"})

    async def healthz(request: Request) -> Response:
        del request
        await run_in_threadpool(memory.origins)
        return _said(200, "ok")

    return Starlette(
        routes=[
            Route("/add-checkpoint", _answering(add_checkpoint), methods=["POST"]),
            Route("/healthz", _answering(healthz), methods=["GET"]),
            Route("/{digest}/checkpoint", _answering(last), methods=["GET"]),
        ],
        exception_handlers={HTTPException: _unrouted},
    )


def serve(application: Starlette, sock: socket.socket, tls: tuple[Path, Path] | None = None) -> None:
    """Answer on a bound socket until a signal ends it; `tls` is a certificate chain and its key (PEM)."""
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,  # it would name addresses
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        ssl_certfile=None if tls is None else str(tls[0]),
        ssl_keyfile=None if tls is None else str(tls[1]),
    )
    uvicorn.Server(config).run(sockets=[sock])


Handler = Callable[[Request], Awaitable[Response]]


def _answering(handler: Handler) -> Handler:
    """A handler whose every failure is an answer of one line, and nothing of the inside is in it."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except HTTPException as stop:
            return _said(stop.status_code, stop.detail)
        except ClientDisconnect:
            return _said(400, "the request was not finished")
        except Unavailable as error:
            _LOG.error("%s", error)
            return _said(503, "nothing can be cosigned now, ask again", {"Retry-After": str(RETRY_SECONDS)})
        except Damaged as error:
            _LOG.error("%s", error)
            return _said(500, "the memory of this witness is damaged, it cosigns nothing")
        except Exception as error:  # noqa: BLE001 -- the last place where it can be put into an answer
            _LOG.error("unexpected error `%s`", type(error).__name__)
            return _said(500, "unexpected error, nothing was cosigned")

    return answered


async def _body(request: Request) -> bytes:
    """The body, as long as it may be and as slow as it may come."""
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                found += chunk
                if len(found) > witness.MOST_BYTES:
                    raise HTTPException(413, f"a request has at most {witness.MOST_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, "the request took too long") from None
    return bytes(found)


async def _unrouted(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    return _said(error.status_code, "there is nothing here: see C2SP tlog-witness", dict(error.headers or {}))


def _said(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(f"{message}\n", status, headers=dict(headers or {}), media_type=_TEXT)
