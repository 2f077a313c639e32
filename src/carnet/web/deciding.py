"""Determine, and answer only once the record is durable: within a deadline, once for each idempotency key,
several at a time; a use that meets a grant has its record already. How it is decided and recorded is in
`carnet.service`; the forms of requests and answers are in the handlers beside.
"""

import asyncio
from concurrent.futures import Future

import msgspec
from msgspec import Struct
from starlette.responses import Response

from carnet.model.errors import InputError, LedgerError, Malformed, RulesError, StoreError, Taken, Unavailable
from carnet.model.leaves import Path
from carnet.service import idempotency
from carnet.service.meeting import MOST_AWAY
from carnet.service.node import Node
from carnet.service.request import Determined, Idempotent, Pending, Request
from carnet.web import messages, reading
from carnet.web.problems import (
    IN_PROGRESS,
    MALFORMED,
    NOT_NOW,
    OTHER_REQUEST,
    UNUSABLE,
    Stop,
    unavailable,
)
from carnet.web.serving import Call, Serving, answer, inability, place_headers
from carnet.web.tracing import outcome

AT_ONCE = 4
"""Of several requests in one, so many are decided at a time: others are to get their turn."""

MORE_SECONDS = 0.05
"""What each of several adds to the deadline of all."""

_PAUSE = 0.005
_PATIENCE = 0.9
"""How much of the deadline is waited for another request with the same idempotency key."""


class Done(Struct, frozen=True):
    """What was determined, and where its record is."""

    determined: Determined
    node: int
    index: int


async def determine(serving: Serving, call: Call) -> Response:
    """`POST /v1/determinations`."""
    request = await serving.work(_one, call.body, serving.countries)
    done = await decided(serving, call.tenant, request, call.idempotent(serving))
    return answer(done.determined, place_headers(done.node, done.index))


async def determine_batch(serving: Serving, call: Call) -> Response:
    """`POST /v1/determinations/batch`."""
    requests = await serving.work(_several, call.body, serving.countries)
    call.pay(serving, len(requests) - 1)
    found = await all_decided(serving, call.tenant, requests, call.idempotent(serving))
    return answer(messages.Results(results=tuple(_result(each) for each in found)))


async def all_decided(
    serving: Serving, tenant: str, requests: "list[Request | Stop]", to: Idempotent | None
) -> "list[Done | Stop]":
    """Each of several decided by itself: what was determined, or why it could not be. Raises `Stop` if the
    idempotency key was used for something else."""
    turn = asyncio.Semaphore(AT_ONCE)
    seconds = serving.settings.deadline + MORE_SECONDS * len(requests)

    async def one(number: int, request: Request | Stop) -> Done | Stop:
        if isinstance(request, Stop):
            return request
        part = None if to is None else idempotency.part_of(to, number)
        async with turn:
            return await tried(serving, tenant, request, part, seconds)

    found = await asyncio.gather(*(one(number, request) for number, request in enumerate(requests)))
    for each in found:
        if isinstance(each, Stop) and each.kind is OTHER_REQUEST:
            raise each
    return found


async def tried(
    serving: Serving, tenant: str, request: Request, to: Idempotent | None, seconds: float
) -> Done | Stop:
    """What was determined, or why it could not be."""
    try:
        return await decided(serving, tenant, request, to, seconds)
    except Stop as stop:
        return stop
    except (StoreError, LedgerError) as error:
        return inability(error)


async def decided(
    serving: Serving, tenant: str, request: Request, to: Idempotent | None, seconds: float | None = None
) -> Done:
    """Determine, or find the grant that a use meets, and wait until the record is durable.

    Raises `Stop` for a request that can't be decided and when the time is over; `Unavailable` if it could not
    be recorded.
    """
    within = serving.settings.deadline if seconds is None else seconds
    try:
        async with asyncio.timeout(within):
            if to is None:
                await _law_ready(serving, request)
                return await _recorded(serving, serving.submit(_determine, serving, tenant, request, None))
            return await _once(serving, tenant, request, to, within)
    except TimeoutError:
        raise unavailable(
            "the record was not durable in time: ask again, best with the same `Idempotency-Key`"
        ) from None


async def _once(serving: Serving, tenant: str, request: Request, to: Idempotent, within: float) -> Done:
    """The answer that the key has got, or else its first."""
    await _claimed(serving, to.key, within)
    try:
        kept = await serving.work(_kept, serving, tenant, to)
        if kept is not None:
            serving.claims.release(to.key)
            return kept
        await _law_ready(serving, request)
    except BaseException:
        serving.claims.release(to.key)
        raise
    deciding = serving.submit(_determine_and_release, serving, tenant, request, to)
    deciding.add_done_callback(lambda done: serving.claims.release(to.key) if done.cancelled() else None)
    try:
        return await _recorded(serving, deciding)
    except Taken:
        kept = await serving.work(_kept, serving, tenant, to)
        if kept is None:
            raise Unavailable("an idempotency key is taken and has no answer: ask again") from None
        return kept


async def _claimed(serving: Serving, key: str, seconds: float) -> None:
    """Wait until nobody else is answering to this key. Raises `Stop` when most of the time is over."""
    now = asyncio.get_running_loop().time
    until = now() + _PATIENCE * seconds
    while not serving.claims.take(key):
        if now() >= until:
            raise Stop(IN_PROGRESS, "another request with this key is under way", {"Retry-After": "1"})
        await asyncio.sleep(_PAUSE)


async def _recorded(serving: Serving, deciding: "Future[Pending]") -> Done:
    try:
        pending = await asyncio.wrap_future(deciding)
        receipt = await asyncio.wrap_future(pending.receipt)
    except Malformed:  # what a log takes is known to it alone
        raise Stop(UNUSABLE, "`transaction`: it says too much for one record, split it up") from None
    found = pending.determined
    if found.given == "before":
        serving.metrics.uses.inc()
    else:
        serving.metrics.determined.labels(
            found.determination.outcome, found.action, str(found.controlled).lower()
        ).inc()
    outcome.set(found.determination.outcome)
    return Done(found, serving.archives.own.number, receipt.index)


async def _law_ready(serving: Serving, request: Request) -> None:
    """Wait for the law that is going to be asked, before a thread is taken. Raises `Stop` for one that can't
    be resolved."""
    now = serving.node.clock.read().wall
    try:
        await serving.ready(request.transaction.at if request.purpose == "inquiry" else now, now)
    except RulesError:
        raise Stop(
            UNUSABLE, "`transaction.at`: more readings of the law are open then than can be decided at once"
        ) from None


def _determine_and_release(serving: Serving, tenant: str, request: Request, to: Idempotent) -> Pending:
    """Determine; the key is released once it is known whether there is a record."""
    try:
        pending = _determine(serving, tenant, request, to)
    except BaseException:
        serving.claims.release(to.key)
        raise
    pending.receipt.add_done_callback(lambda _: serving.claims.release(to.key))
    return pending


def _determine(serving: Serving, tenant: str, request: Request, to: Idempotent | None) -> Pending:
    """What a grant that the use meets has answered, else a new determination; always a new one for an
    idempotency key, since that is kept beside its own record."""
    node = serving.node
    try:
        met = node.meeting.use(tenant, request) if to is None else None
        return met if met is not None else node.determiner.determine(tenant, request, to)
    except InputError:
        raise _refusal(serving.node, tenant, request) from None


def _refusal(node: Node, tenant: str, request: Request) -> Stop:
    """Why a transaction was refused, without a word of what it says."""
    said = request.transaction
    if said.tenant not in (None, tenant):
        return Stop(UNUSABLE, "`transaction.tenant`: it is not yours, leave it out")
    if request.purpose == "use" and abs(said.at - node.clock.read().wall) > MOST_AWAY:
        return Stop(
            NOT_NOW, '`transaction.at`: it is not now, ask with `"purpose": "inquiry"` about another instant'
        )
    return Stop(UNUSABLE, "`transaction`: it can't be used, see what a transaction may say")


def _kept(serving: Serving, tenant: str, to: Idempotent) -> Done | None:
    """What was answered to the key. Raises `Stop` if that was another request."""
    found = idempotency.answered(serving.archives, tenant, to)
    if found is None:
        return None
    archive, kept = found
    if not idempotency.same(kept, to):
        raise Stop(OTHER_REQUEST, "the key belongs to another request: take a new one")
    determined = msgspec.json.decode(kept.body, type=Determined)
    with archive.reading() as at:
        record = at.of_id(tenant, determined.id)
    if record is None:
        raise Unavailable("the record of an answer can't be found: look at the log")
    return Done(determined, archive.number, record.index)


def _one(body: bytes, countries: frozenset[str] | None) -> Request:
    return request_of(reading.plain_of(body), countries, ())


def request_of(plain: object, countries: frozenset[str] | None, within: Path) -> Request:
    """The request that plain objects say. Raises `Stop`."""
    request = reading.converted(plain, Request, within)
    reading.usable(request.transaction, countries, (*within, "transaction"))
    return request


def _several(body: bytes, countries: frozenset[str] | None) -> "list[Request | Stop]":
    """Each of several, or why it is none. Raises `Stop` if the whole is wrong."""
    plain = reading.plain_of(body)
    parts = plain.get("requests") if isinstance(plain, dict) else None
    if not isinstance(plain, dict) or not isinstance(parts, list) or len(plain) > 1:
        raise Stop(MALFORMED, "the body: write `requests`, an array, and nothing else")
    if not 0 < len(parts) <= messages.MOST_REQUESTS:
        raise Stop(MALFORMED, f"`requests`: write 1 to {messages.MOST_REQUESTS} at once")
    found: list[Request | Stop] = []
    for number, part in enumerate(parts):
        try:
            found.append(request_of(part, countries, ("requests", number)))
        except Stop as stop:
            found.append(stop)
    return found


def _result(found: Done | Stop) -> messages.Result:
    if isinstance(found, Stop):
        return messages.Result(status=found.kind.status, problem=found.problem)
    return messages.Result(status=200, determined=found.determined, node=found.node, index=found.index)
