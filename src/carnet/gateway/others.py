"""Requests that no one model answers: the list of models, one of them, batches, files. What may not be passed
on since nobody can say which model it means is refused here."""

import re
from urllib.parse import quote

from msgspec import structs

from carnet.gateway.bodies import BadBody, written
from carnet.gateway.calls import Reference
from carnet.gateway.config import Model
from carnet.gateway.dialects import APIS
from carnet.gateway.dialects.references import lines, without
from carnet.gateway.headers import onward
from carnet.gateway.proxy import Passed, passed
from carnet.gateway.requests import Request
from carnet.gateway.telling import Told, refused, told, unavailable
from carnet.gateway.upstreams import Client
from carnet.gateway.uses import Asked, as_it_came, named_besides
from carnet.service.api import Verdict
from carnet.words.catalogue import ENGLISH

_BATCHES = frozenset({"/v1/batches", "/v1/messages/batches"})
_FILE = re.compile(r"[A-Za-z0-9_-]{1,200}")


async def others(asked: Asked) -> None:
    """Answer it. Raises Told, BadBody, UpstreamError."""
    operation = asked.call.operation
    if operation == "models":
        await _listed(asked)
    elif operation == "model":
        await _one(asked)
    elif operation == "batch" and asked.method == "POST" and _plain(asked) in _BATCHES:
        await _batch(asked)
    elif operation in {"batch", "file"}:
        await _home(asked)
    else:
        raise told(
            "invalid_request",
            f"`{asked.method} {_plain(asked)}` names no model, so nobody can say who may ask it: it is not "
            "passed on here",
            asked.id,
        )


async def _home(asked: Asked, body: bytes | None = None) -> None:
    """Pass it on to where files and batches are."""
    request = Request(asked.method, asked.path, asked.headers, asked.body if body is None else body)
    await passed(asked.scope, asked.receive, asked.send, _client(asked), request)


def _client(asked: Asked) -> Client:
    """The upstream for what names no model. Raises Told if there is none for this API."""
    upstream = asked.parts.directory.home(asked.call.dialect)
    if upstream is None:
        raise told("invalid_request", "no model here speaks this API: look at the other one", asked.id)
    return asked.parts.clients[upstream.name]


async def _now(asked: Asked, models: list[Model]) -> list[Verdict | None]:
    """What a use of each would come to, from memory: to look at a list is no use, and is not recorded."""
    requests = [asked.parts.deciding.request(asked.who, model) for model in models]
    return await asked.parts.api.under_way(asked.who.tenant, requests)


async def _listed(asked: Asked) -> None:
    """The list of the upstream without the models that this caller may not use, or that nobody knows here."""
    models = [model for model in asked.parts.directory.config.model if asked.call.dialect in model.dialects]
    found = zip(models, await _now(asked, models), strict=True)
    may = {
        name
        for model, verdict in found
        if verdict is not None and verdict.action == "serve"
        for name in (model.name, *model.aliases)
    }
    kept = await _kept(asked, asked.path)
    if kept.status == 200:
        try:
            body = APIS[asked.call.dialect].listed(kept.body, may.__contains__)
        except BadBody as error:
            raise told("upstream_failed", str(error), asked.id) from None
        kept = structs.replace(kept, body=body)
    await as_it_came(asked, kept)


async def _one(asked: Asked) -> None:
    """One model of the list, if this caller may use it."""
    assert asked.call.model is not None  # the path has it
    model = asked.parts.model(asked.call.model, asked.id)
    (verdict,) = await _now(asked, [model])
    if verdict is None:
        raise Told(unavailable(asked.id, model.name))
    if verdict.action != "serve":
        raise Told(refused(verdict, asked.parts.directory, asked.id, model))
    await as_it_came(asked, await _kept(asked, f"/v1/models/{quote(model.sent_as, safe='')}"))


async def _kept(asked: Asked, path: str) -> Passed:
    """An answer that is looked at before it goes back."""
    request = Request(asked.method, path, asked.headers, asked.body)
    return await passed(
        asked.scope, asked.receive, asked.send, _client(asked), request, plain=True, keep=lambda *_: True
    )


async def _batch(asked: Asked) -> None:
    """A batch, if each of its models may be used: its lines are in the request, or in a file that was
    uploaded before and does not change."""
    document, references = asked.document or {}, asked.call.references
    file = document.get("input_file_id")
    inside = asked.call.dialect == "anthropic"
    if not inside:
        if not isinstance(file, str) or _FILE.fullmatch(file) is None:
            raise BadBody("`input_file_id` is no id of a file: write the one that its upload gave")
        references = (*references, *lines(await _content(asked, file)))
    asked = structs.replace(asked, call=structs.replace(asked.call, references=references))
    _check_home(asked, references)
    _, stripped = await named_besides(asked, None, batch=True)
    if not stripped:
        await _home(asked)
        return
    if not inside:
        raise told("invalid_request", ENGLISH.say("door.batch_lines"), asked.id, stripped[0].model)
    left = without(document, stripped)
    if not left.get("requests"):
        raise told("invalid_request", ENGLISH.say("door.batch_empty"), asked.id, stripped[0].model)
    await _home(asked, written(left))


def _check_home(asked: Asked, references: tuple[Reference, ...]) -> None:
    """Raises Told for a model that is not where the batch is worked on, or not under this name."""
    home = asked.parts.directory.home(asked.call.dialect)
    for reference in references:
        model = asked.parts.directory.models.get(reference.model)
        if model is not None and (
            home is None or model.upstream != home.name or model.sent_as != reference.model
        ):
            raise told(
                "invalid_request",
                f"`{reference.model}` at `{reference.where}` can't be asked in a batch: ask it alone",
                asked.id,
                reference.model,
            )


async def _content(asked: Asked, file: str) -> bytes:
    """The lines of a batch as its upstream has them. Raises Told if they can't be had whole."""
    most = asked.parts.directory.config.limits.body_bytes
    answer = await _client(asked).send(
        "GET", f"/v1/files/{file}/content", onward(_reading(asked), plain=True), b""
    )
    try:
        data = bytearray()
        async for piece in answer:
            data += piece
            if len(data) > most:
                raise told("request_too_large", f"the file has more than `{most}` bytes: split it", asked.id)
    finally:
        answer.close()
    if answer.status != 200:
        raise told("invalid_request", f"`{file}` can't be read: upload it again", asked.id)
    return bytes(data)


def _reading(asked: Asked) -> list[tuple[bytes, bytes]]:
    """The headers of the caller that are not about its own body."""
    return [one for one in asked.headers if one[0] not in {b"content-length", b"content-type"}]


def _plain(asked: Asked) -> str:
    return asked.path.partition("?")[0].rstrip("/")
