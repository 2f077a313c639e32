"""AuthZEN over HTTP: one evaluation or several, by the same way as every determination. How an evaluation and
a transaction stand for each other is in `carnet.model.authzen`.
"""

import datetime as dt

from starlette.responses import Response

from carnet.model import authzen
from carnet.model.authzen import Evaluated, Evaluation, Evaluations, PartOfEvaluation, Purpose
from carnet.service import idempotency
from carnet.service.request import Idempotent, Request
from carnet.web import reading
from carnet.web.deciding import Done, all_decided, decided, tried
from carnet.web.problems import MALFORMED, OTHER_REQUEST, Stop
from carnet.web.serving import Call, Serving, answer, place_headers


async def evaluate(serving: Serving, call: Call) -> Response:
    """`POST /access/v1/evaluation`."""
    part = await serving.work(lambda: reading.converted(reading.plain_of(call.body), Evaluation))
    return await _single(serving, call, part)


async def evaluate_all(serving: Serving, call: Call) -> Response:
    """`POST /access/v1/evaluations`."""
    all_ = await serving.work(lambda: reading.converted(reading.plain_of(call.body), Evaluations))
    parts = authzen.parts_of(all_)
    if not all_.evaluations:
        return await _single(serving, call, all_)
    call.pay(serving, len(parts) - 1)
    now = serving.node.clock.read().wall
    requests = await serving.work(
        lambda: [_request_or_stop(serving, part, now, number) for number, part in enumerate(parts)]
    )
    to = call.idempotent(serving)
    if all_.options.evaluations_semantic == "execute_all":
        found = await all_decided(serving, call.tenant, requests, to)
    else:
        until = all_.options.evaluations_semantic == "permit_on_first_permit"
        found = await _in_turn(serving, call.tenant, requests, to, until=until)
    answers = [_evaluated(each, request) for each, request in zip(found, requests, strict=False)]
    return answer(authzen.AllEvaluated(evaluations=tuple(answers)))


async def authzen_configuration(serving: Serving, call: Call) -> Response:
    """`GET /.well-known/authzen-configuration`."""
    del call
    return answer(authzen.metadata(serving.settings.url))


async def _single(serving: Serving, call: Call, part: Evaluation | PartOfEvaluation) -> Response:
    now = serving.node.clock.read().wall
    request = await serving.work(_request_of, serving, part, now, ())
    done = await decided(serving, call.tenant, request, call.idempotent(serving))
    return answer(authzen.evaluated(done.determined, request.purpose), place_headers(done.node, done.index))


async def _in_turn(
    serving: Serving, tenant: str, requests: "list[Request | Stop]", to: Idempotent | None, *, until: bool
) -> "list[Done | Stop]":
    """One after the other, up to the first whose decision is `until`. Those after it are not decided and not
    recorded."""
    found: list[Done | Stop] = []
    for number, request in enumerate(requests):
        part = None if to is None else idempotency.part_of(to, number)
        each = (
            request
            if isinstance(request, Stop)
            else await tried(serving, tenant, request, part, serving.settings.deadline)
        )
        if isinstance(each, Stop) and each.kind is OTHER_REQUEST:
            raise each
        found.append(each)
        if _evaluated(each, request).decision == until:
            break
    return found


def _request_or_stop(
    serving: Serving, part: PartOfEvaluation, now: dt.datetime, number: int
) -> Request | Stop:
    try:
        return _request_of(serving, part, now, ("evaluations", number))
    except Stop as stop:
        return stop


def _request_of(
    serving: Serving,
    part: Evaluation | PartOfEvaluation,
    now: dt.datetime,
    within: tuple[str | int, ...],
) -> Request:
    """The request that an evaluation stands for. Raises `Stop`."""
    problem = authzen.problem_of(part)
    if problem is not None:
        raise Stop(MALFORMED, f"{reading.place((*within, *problem[0]))}: {problem[1]}")
    transaction, beside = authzen.transaction_of(part, now), authzen.beside(part)
    reading.usable(transaction, serving.countries, within)
    return Request(transaction=transaction, purpose=beside.purpose, surface=beside.surface, done=beside.done)


def _evaluated(found: Done | Stop, request: Request | Stop) -> Evaluated:
    if isinstance(found, Stop):
        return authzen.refused(found.kind.status, found.detail)
    purpose: Purpose = "inquiry" if isinstance(request, Stop) else request.purpose
    return authzen.evaluated(found.determined, purpose)
