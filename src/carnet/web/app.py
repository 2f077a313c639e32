"""The service as an ASGI application: from the table of routes to handlers, and what happens to every request
before and after one: who asks, whether they may, how much, what is told if it goes wrong. What is answered is
in the handlers.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import time
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from carnet.model.errors import LedgerError, RulesError, StoreError
from carnet.service.access import Principal, Refusal
from carnet.service.node import Node
from carnet.store.api_keys import Role
from carnet.web import (
    deciding,
    evaluating,
    lawful,
    managing,
    openapi,
    problems,
    reading,
    recalling,
    tracing,
    watching,
)
from carnet.web.peers import Peers, Question
from carnet.web.problems import Stop, unavailable
from carnet.web.routes import ENDPOINTS, IDEMPOTENCY_KEY, REQUEST_ID, Endpoint
from carnet.web.serving import Call, Serving, Settings, idempotency_key, inability

_LOG = logging.getLogger("carnet.web")

Handler = Callable[[Serving, Call], Awaitable[Response]]

HANDLERS: Mapping[str, Handler] = {
    "determine": deciding.determine,
    "determine_batch": deciding.determine_batch,
    "evaluate": evaluating.evaluate,
    "evaluate_all": evaluating.evaluate_all,
    "authzen_configuration": evaluating.authzen_configuration,
    "find_records": recalling.find_records,
    "read_record": recalling.read_record,
    "explain_record": recalling.explain_record,
    "prove_record": recalling.prove_record,
    "nodes": recalling.nodes,
    "checkpoint": recalling.checkpoint,
    "tile": recalling.tile,
    "checkpoint_of_node": recalling.checkpoint,
    "tile_of_node": recalling.tile,
    "revoke": managing.revoke,
    "read_subject": managing.read_subject,
    "add_facts": managing.add_facts,
    "rulebook": lawful.rulebook,
    "rulebook_slice": lawful.rulebook_slice,
    "healthz": watching.healthz,
    "readyz": watching.readyz,
    "metrics": watching.metrics,
    "schema": openapi.schema,
    "problem_page": watching.problem_page,
}
"""What answers each endpoint, by its name in the table."""

AHEAD = dt.timedelta(seconds=60)

_TAILS = ("/{tile}", "/{tile:path}")
"""A parameter that takes the rest of a path, and how the router writes it."""


def app(
    node: Node,
    settings: Settings | None = None,
    peers: Peers | None = None,
    figures: Callable[[], Mapping[str, float]] | None = None,
    trace: tracing.Trace | None = None,
) -> ASGIApp:
    """The service on an open node. `peers` are the other nodes of its installation, `figures` those of what
    it shares with them elsewhere, `trace` takes each request that was answered."""
    serving = Serving(node, settings or Settings(), peers, figures)

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        del application
        await serving.peers.start(lambda question: _peer(serving, question))
        flushing = asyncio.create_task(_flush(serving))
        try:
            yield
        finally:
            flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flushing
            await serving.peers.stop()
            await asyncio.get_running_loop().run_in_executor(None, serving.close)

    paths: dict[str, list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, []).append(endpoint)
    routes = [
        Route(
            path.replace(*_TAILS),
            _answering(serving, endpoints, trace),
            methods=[e.method for e in endpoints],
        )
        for path, endpoints in sorted(paths.items(), key=lambda each: ("{" in each[0], each[0]))
    ]
    application = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _unrouted})
    application.router.redirect_slashes = False
    return _Encoded(application)


class _Encoded:
    """Routes by the path as it was sent, percent-encoded: an id may have a slash in it."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw: bytes = scope.get("raw_path") or scope["path"].encode()
            scope = {**scope, "path": raw.partition(b"?")[0].decode("latin-1")}
        await self._application(scope, receive, send)


def _answering(
    serving: Serving, endpoints: Iterable[Endpoint], trace: tracing.Trace | None
) -> Callable[[Request], Awaitable[Response]]:
    """What answers one path. Whatever goes wrong is a problem, and nothing of the inside is in it."""
    by_method: dict[str, Endpoint] = {endpoint.method: endpoint for endpoint in endpoints}

    async def answered(request: Request) -> Response:
        started, began = time.perf_counter(), time.time_ns()
        endpoint = by_method["GET" if request.method == "HEAD" else request.method]
        try:
            response = await _handled(serving, endpoint, request)
        except Stop as stop:
            response = _problem(serving, stop)
        except (StoreError, LedgerError) as error:
            response = _problem(serving, inability(error))
        except ClientDisconnect:
            response = _problem(serving, Stop(problems.TOO_SLOW, "the request was not finished"))
        except Exception as error:  # noqa: BLE001 -- the last place where it can be put into an answer
            _LOG.error("unexpected error `%s` at `%s`", type(error).__name__, endpoint.name)
            response = _problem(
                serving, Stop(problems.INTERNAL, "this is a defect of Carnet: serve nobody on this answer")
            )
        _echo(request, response)
        took = time.perf_counter() - started
        serving.metrics.requests.labels(endpoint.name, str(response.status_code)).observe(took)
        if trace is not None:
            parent, epoch = request.headers.get(tracing.TRACEPARENT), serving.node.determiner.law.epoch
            trace(endpoint, parent, began, response.status_code, epoch)
        return response

    return answered


async def _handled(serving: Serving, endpoint: Endpoint, request: Request) -> Response:
    if endpoint.role is not None and serving.waiting >= serving.settings.most_waiting:
        raise unavailable("too many requests are under way: ask again", 1)
    serving.waiting += 1
    try:
        principal = (
            None if endpoint.role is None else await _let_in(serving, endpoint, endpoint.role, request)
        )
        call = await _call(serving, endpoint, request, principal)
        return await HANDLERS[endpoint.name](serving, call)
    finally:
        serving.waiting -= 1


async def _let_in(serving: Serving, endpoint: Endpoint, role: Role, request: Request) -> Principal:
    """Who asks. Raises `Stop` if nobody is known, if they may not, or if it is too much."""
    headers = request.headers.getlist("authorization")
    header = headers[0] if len(headers) == 1 else None if not headers else "several"
    found = await serving.work(serving.node.access.authenticated, header)
    if isinstance(found, Refusal):
        kind = problems.NO_KEY if found.kind == "no_key" else problems.WRONG_KEY
        raise Stop(kind, found.message, {"WWW-Authenticate": 'Bearer realm="carnet"'})
    if not found.may(role):
        raise Stop(problems.WRONG_ROLE, f"it takes a key with the role `{role}`")
    Call(endpoint=endpoint, principal=found, params={}, query={}, body=b"").pay(serving, 1)
    return found


async def _call(serving: Serving, endpoint: Endpoint, request: Request, principal: Principal | None) -> Call:
    """What was asked, its body read. Raises `Stop`."""
    query = reading.query_of(request, [parameter.name for parameter in endpoint.query])
    try:
        params = {
            name: urllib.parse.unquote(value, errors="strict") for name, value in request.path_params.items()
        }
    except UnicodeDecodeError:
        raise Stop(problems.NOT_FOUND, "the path is not UTF-8") from None
    body, key = b"", None
    if endpoint.body is not None:
        if endpoint.idempotent:
            key = idempotency_key(request.headers.getlist(IDEMPOTENCY_KEY))
        body = await reading.body_of(request, serving.settings.most_bytes, serving.settings.body_seconds)
    return Call(endpoint=endpoint, principal=principal, params=params, query=query, body=body, key=key)


async def _flush(serving: Serving) -> None:
    """Record every few seconds which grants were used and which are over; what can't be recorded now is
    recorded the next time. The law of the next minute is made ready, so that at the instant of a change
    nobody waits for it."""
    while True:
        await asyncio.sleep(serving.settings.flush_seconds)
        now = serving.node.clock.read().wall
        with contextlib.suppress(RulesError, OverflowError):
            await serving.hold(now, now + AHEAD, known=now)
        try:
            await serving.work(serving.node.grants.flush)
        except (StoreError, LedgerError) as error:
            inability(error)


async def _peer(serving: Serving, question: Question) -> object:
    return await watching.asked_by_peer(serving, question)


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == problems.METHOD.status:
        allowed = ", ".join(sorted(dict(error.headers or {}).get("Allow", "").split(", ")))
        stop = Stop(problems.METHOD, f"it takes {allowed}", {"Allow": allowed})
    else:
        stop = Stop(problems.NOT_FOUND, "there is no such endpoint: see `/openapi.json`")
    response = problems.written(stop)
    _echo(request, response)
    return response


def _problem(serving: Serving, stop: Stop) -> Response:
    serving.metrics.problems.labels(stop.kind.name).inc()
    tracing.outcome.set(stop.kind.name)
    return problems.written(stop)


def _echo(request: Request, response: Response) -> None:
    if (given := request.headers.get(REQUEST_ID)) is not None:
        response.headers[REQUEST_ID] = given
