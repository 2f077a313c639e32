"""A request that a model is to answer: served by that model, by another one that is permitted, or not. Who
may use what is decided in `carnet.gateway.deciding`; bytes go through `carnet.gateway.proxy`."""

import logging
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from carnet.gateway.bodies import written
from carnet.gateway.callers import Who
from carnet.gateway.calls import Call, Reference
from carnet.gateway.config import Model
from carnet.gateway.connections import Receive, Scope, Send
from carnet.gateway.dialects import APIS
from carnet.gateway.dialects.references import renamed, without
from carnet.gateway.dialects.upstream import upstream_refusal
from carnet.gateway.headers import BadHeaders, Headers, back
from carnet.gateway.notices import Notice
from carnet.gateway.parts import Parts
from carnet.gateway.proxy import MOST_KEPT, Change, Passed, passed
from carnet.gateway.renaming import Events, Whole
from carnet.gateway.requests import Request
from carnet.gateway.telling import Told, refused, told, unavailable
from carnet.gateway.turning import Use
from carnet.gateway.upstreams import UpstreamError
from carnet.service.api import Request as Asking
from carnet.service.api import Verdict
from carnet.words.catalogue import ENGLISH

_NOT_THERE = frozenset({"unreachable", "resting"})
_LOG = logging.getLogger("carnet.gateway")


class Asked(Struct, frozen=True, kw_only=True):
    """A request that was understood, and whose it is."""

    parts: Parts
    scope: Scope
    receive: Receive
    send: Send
    id: str
    who: Who
    call: Call
    method: str
    path: str
    headers: Headers
    body: bytes
    document: Mapping[str, Any] | None


class Decided(Struct, frozen=True, kw_only=True):
    """A model and what its use came to."""

    model: Model
    request: Asking
    verdict: Verdict


class Answering(Struct, frozen=True, kw_only=True):
    """The model that answers, `instead_of` another if it is not the one that was asked for; what the request
    names besides, and what is taken out of it; the turn that was read before all this was decided."""

    turn: int
    chosen: Decided
    besides: tuple[Decided, ...]
    stripped: tuple[Reference, ...]
    instead_of: Model | None = None


async def used(asked: Asked) -> None:
    """Answer it. Raises Told, UpstreamError."""
    parts, call = asked.parts, asked.call
    assert call.model is not None  # or somebody else is asked
    model = parts.model(call.model, asked.id)
    if call.dialect not in model.dialects:
        raise told(
            "invalid_request",
            f"`{model.name}` does not speak this API here: it speaks `{'`, `'.join(model.dialects)}`",
            asked.id,
            model.name,
        )
    turn = parts.api.turn
    request = parts.deciding.request(asked.who, model)
    verdict = await parts.deciding.verdict(asked.who.tenant, request, model, asked.id)
    chosen, instead_of = Decided(model=model, request=request, verdict=verdict), None
    if verdict.action != "serve":
        chosen, instead_of = await other(asked, model, verdict), model
    besides, stripped = await named_besides(asked, chosen.model)
    answering = Answering(turn=turn, chosen=chosen, besides=besides, stripped=stripped, instead_of=instead_of)
    await forwarded(asked, answering)


async def other(asked: Asked, model: Model, verdict: Verdict) -> Decided:
    """The permitted model that answers in place of one that may not. Raises Told if there is none, or if the
    caller wants a refusal rather."""
    deciding, who, call = asked.parts.deciding, asked.who, asked.call
    hands_over = verdict.action == "fall_back" and who.substitute
    found = await deciding.instead(who, model, call.dialect, call.needs, asked.id, recorded=hands_over)
    if found.model is None or found.verdict is None or not hands_over:
        names = (found.model.name,) if found.model is not None else ()
        why = None if names or verdict.action != "fall_back" else found.why_not
        raise Told(refused(verdict, asked.parts.directory, asked.id, model, names, why))
    return Decided(model=found.model, request=deciding.request(who, found.model), verdict=found.verdict)


async def named_besides(
    asked: Asked, answers: Model | None, *, batch: bool = False
) -> tuple[tuple[Decided, ...], tuple[Reference, ...]]:
    """The models that a request names besides the one that answers, each decided; and those that are to be
    taken out of it. Raises Told for one that is not permitted, if that is not to be stripped, and for a name
    that the upstream would read as another model's."""
    parts, strips = asked.parts, asked.parts.directory.config.references == "strip"
    found: dict[str, Decided] = {}
    stripped: list[Reference] = []
    for reference in asked.call.references:
        model = parts.directory.models.get(reference.model)
        if model is None:
            if not strips:
                raise parts.unknown(reference.model, asked.id)
            stripped.append(reference)
            continue
        if answers is not None and (model.upstream != answers.upstream or model.sent_as != reference.model):
            if strips:
                stripped.append(reference)
                continue
            raise told(
                "invalid_request",
                f"`{reference.model}` at `{reference.where}` is not where `{answers.name}` is, or not under "
                "this name: leave it out, and ask it by itself",
                asked.id,
                reference.model,
            )
        if model.name not in found:
            request = parts.deciding.request(asked.who, model, batch=batch)
            verdict = await parts.deciding.verdict(asked.who.tenant, request, model, asked.id)
            found[model.name] = Decided(model=model, request=request, verdict=verdict)
        decided = found[model.name]
        if decided.verdict.action != "serve":
            if not strips:
                raise Told(refused(decided.verdict, parts.directory, asked.id, model))
            stripped.append(reference)
    return tuple(one for one in found.values() if one.verdict.action == "serve"), tuple(stripped)


async def forwarded(asked: Asked, answering: Answering) -> None:
    """Pass the request on and its answer back; once more, to another model, where the upstream can't be
    reached or says that it does not offer the one that was asked for."""
    try:
        found = await _passed_on(asked, answering)
    except UpstreamError as error:
        again = await _after_suspension(asked, answering) if error.kind in _NOT_THERE else None
        if again is None:
            raise
        found = await _passed_on(asked, again)
    if found.how == "kept" and answering.instead_of is None:
        model = answering.chosen.model
        kind = upstream_refusal(found.status or 0, found.body)
        if kind is not None:
            _LOG.warning("possible_upstream_suspension: `%s` of `%s`, %s", model.name, model.upstream, kind)
            asked.parts.counts.suspected(model.name, kind)
            again = await _after_suspension(asked, answering)
            if again is not None:
                found = await _passed_on(asked, again)
    if found.how == "kept":
        await as_it_came(asked, found)


async def _passed_on(asked: Asked, answering: Answering) -> Passed:
    """One time to one upstream. Raises Told if it was decided otherwise before any of it was sent."""
    found = await passed_on(asked, answering)
    if found.how == "unsent":
        raise await _changed(asked, answering)
    return found


async def _after_suspension(asked: Asked, answering: Answering) -> Answering | None:
    """The permitted model that answers where the upstream does not; None if there is none."""
    model, deciding = answering.chosen.model, asked.parts.deciding
    if not asked.who.substitute or answering.instead_of is not None:
        return None
    turn = asked.parts.api.turn
    instead = await deciding.instead(asked.who, model, asked.call.dialect, asked.call.needs, asked.id)
    if instead.model is None or instead.verdict is None:
        return None
    chosen = Decided(
        model=instead.model, request=deciding.request(asked.who, instead.model), verdict=instead.verdict
    )
    besides, stripped = await named_besides(asked, instead.model)
    return Answering(turn=turn, chosen=chosen, besides=besides, stripped=stripped, instead_of=model)


async def _changed(asked: Asked, answering: Answering) -> Told:
    """What is told where it was decided otherwise before the answer began."""
    for one in (answering.chosen, *answering.besides):
        request = asked.parts.deciding.request(asked.who, one.model)
        verdict = await asked.parts.deciding.verdict(asked.who.tenant, request, one.model, asked.id)
        if verdict.action != "serve":
            return Told(refused(verdict, asked.parts.directory, asked.id, one.model))
    return Told(unavailable(asked.id, answering.chosen.model.name))


async def passed_on(asked: Asked, answering: Answering) -> Passed:
    """One time to one upstream."""
    parts, call, model = asked.parts, asked.call, answering.chosen.model
    api, decided = APIS[call.dialect], (answering.chosen, *answering.besides)
    use = Use(
        request_id=asked.id,
        models=tuple(one.model for one in decided),
        requests=tuple(one.request for one in decided),
        verdicts=tuple(one.verdict for one in decided),
    )
    change: Change | None = None
    if answering.instead_of is not None:
        if call.stream:
            change = Events(lambda event: api.substituted_event(event, model.name))
        else:
            change = Whole(lambda body: api.substituted(body, model.name))
    stream = parts.turning.streams.open(
        tenant=asked.who.tenant,
        dialect=call.dialect,
        path=asked.path,
        turn=answering.turn,
    )

    def broken(at_boundary: bool) -> bytes:
        notice = Notice(
            code="upstream_failed",
            message=str(UpstreamError(model.upstream, "broke_off")),
            request_id=asked.id,
            model=model.name,
        )
        return api.cut(notice, path=asked.path, at_boundary=at_boundary)

    parts.counts.answered("serve" if answering.instead_of is None else "fall_back", model.item)
    with stream, parts.turning.entered(stream, use):
        return await passed(
            asked.scope,
            asked.receive,
            asked.send,
            parts.clients[model.upstream],
            Request(asked.method, asked.path, asked.headers, _body(asked, answering)),
            stream,
            change,
            added=_announced(answering),
            plain=call.stream,
            broken=broken,
            keep=lambda status, _: status >= 400,
        )


def _body(asked: Asked, answering: Answering) -> bytes:
    """The caller's own bytes, unless something in them has to be another."""
    body, model = asked.document, answering.chosen.model
    if body is None or (not answering.stripped and model.sent_as == asked.call.model):
        return asked.body
    if answering.stripped:
        body = without(body, answering.stripped)
    return written(renamed(body, model.sent_as))


def _announced(answering: Answering) -> Headers:
    """What the answer says of itself."""
    chosen = answering.chosen
    said = [("x-carnet-record", chosen.verdict.record), ("x-carnet-model", chosen.model.name)]
    if answering.instead_of is not None:
        said.append(("x-carnet-substituted-for", answering.instead_of.name))
    if answering.stripped:
        names = sorted({reference.model for reference in answering.stripped})
        said.append(("x-carnet-stripped", ", ".join(names)))
    return [(name.encode("ascii"), text.encode("ascii")) for name, text in said if text]


async def as_it_came(asked: Asked, found: Passed) -> None:
    """An answer that was looked at and is passed back as it is. Raises Told where it is too long to have been
    kept whole, or can't be passed back."""
    if len(found.body) >= MOST_KEPT:
        raise told("upstream_failed", ENGLISH.say("door.too_long"), asked.id)
    try:
        left = back(found.headers, status=found.status or 502, changed=True)
    except BadHeaders:
        raise told("upstream_failed", ENGLISH.say("door.unreadable"), asked.id) from None
    headers = [*left, (b"content-length", str(len(found.body)).encode("ascii"))]
    await asked.send({"type": "http.response.start", "status": found.status, "headers": headers})
    await asked.send({"type": "http.response.body", "body": found.body, "more_body": False})
