"""What an upstream keeps for callers under ids of its own, files and batches: each caller reaches what is its
own, and the answers of a batch only as long as it may use the models that gave them. Whose an id is, is kept
by the service."""

import json
import re
from collections.abc import Collection

from msgspec import structs

from carnet.gateway.bodies import BadBody, written
from carnet.gateway.calls import Reference
from carnet.gateway.dialects.references import lines, without
from carnet.gateway.headers import onward
from carnet.gateway.looking import home_of, looked_at, path_of
from carnet.gateway.proxy import Passed, passed
from carnet.gateway.requests import Request
from carnet.gateway.telling import Told, refused, told, unavailable
from carnet.gateway.uses import Asked, as_it_came, named_besides
from carnet.words.catalogue import ENGLISH

_ONE = re.compile(r"/v1/(?:files|batches|messages/batches)/([A-Za-z0-9_-]{1,200})(/[a-z]+)?")
_MANY = frozenset({"/v1/files", "/v1/batches", "/v1/messages/batches"})
_FILE = re.compile(r"[A-Za-z0-9_-]{1,200}")
_GIVEN = ("output_file_id", "error_file_id")


async def handed(asked: Asked) -> None:
    """Answer it. Raises Told, BadBody, UpstreamError; `StoreError` if it can't be found out or kept."""
    path, one = path_of(asked), _ONE.fullmatch(path_of(asked))
    if path in _MANY and asked.method == "GET":
        await _listed(asked)
    elif path == "/v1/files" and asked.method == "POST":
        await as_it_came(asked, await _learned(asked, await looked_at(asked, asked.path, home_of(asked)), ()))
    elif path in _MANY and asked.method == "POST":
        await _batch(asked)
    elif one is not None:
        await _one(asked, one[1], one[2])
    else:
        raise told("invalid_request", ENGLISH.say("door.no_such_path", path=path), asked.id)


async def _one(asked: Asked, id_: str, part: str | None) -> None:
    """One file or batch of the caller's own."""
    kept = asked.parts.api.kept(asked.who.tenant, id_)
    if kept is None or kept.subject != asked.who.subject:
        raise told("not_permitted", ENGLISH.say("door.not_yours", id=id_), asked.id)
    if part in {"/content", "/results"}:
        await _check_items(asked, kept.products)
    if "/batches/" in path_of(asked) and part != "/results":
        answer = await looked_at(asked, asked.path, home_of(asked))
        await as_it_came(asked, await _learned(asked, answer, kept.products))
    else:
        request = Request(asked.method, asked.path, asked.headers, asked.body)
        await passed(asked.scope, asked.receive, asked.send, home_of(asked), request)


async def _check_items(asked: Asked, products: Collection[str]) -> None:
    """Raises Told unless each of the models may be used now, which is on record like any other use; one that
    is not here any more may not."""
    deciding, directory = asked.parts.deciding, asked.parts.directory
    for product in products:
        if product not in directory.items:
            raise Told(unavailable(asked.id))
        model = directory.items[product][0]
        request = deciding.request(asked.who, model, batch=True)
        verdict = await deciding.verdict(asked.who.tenant, request, model, asked.id)
        if verdict.action != "serve":
            raise Told(refused(verdict, directory, asked.id, model))


async def _learned(asked: Asked, answer: Passed, products: Collection[str]) -> Passed:
    """The answer, once it is kept whose the ids in it are. The results of a batch are fetched from here: an
    address of the upstream's own would be asked with the caller's key."""
    if answer.status != 200:
        return answer
    document = _read(answer, asked)
    for name in ("id", *_GIVEN):
        if isinstance(id_ := document.get(name), str):
            await asked.parts.api.keep(asked.who.tenant, id_, asked.who.subject, products)
    return structs.replace(answer, body=written(_from_here(document)))


def _from_here(document: dict[str, object]) -> dict[str, object]:
    if not isinstance(document.get("results_url"), str):
        return document
    return document | {"results_url": f"/v1/messages/batches/{document['id']}/results"}


def _read(answer: Passed, asked: Asked) -> dict[str, object]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise told("upstream_failed", ENGLISH.say("door.unreadable"), asked.id)
    return document


async def _listed(asked: Asked) -> None:
    """The list without what is not the caller's own."""
    answer, who = await looked_at(asked, asked.path, home_of(asked)), asked.who
    if answer.status == 200:
        document = _read(answer, asked)
        entries = document.get("data")
        mine = []
        for entry in entries if isinstance(entries, list) else []:
            kept = asked.parts.api.kept(who.tenant, str(entry.get("id")))
            if kept is not None and kept.subject == who.subject:
                mine.append(_from_here(entry))
        answer = structs.replace(answer, body=written(document | {"data": mine}))
    await as_it_came(asked, answer)


async def _batch(asked: Asked) -> None:
    """A batch, if each of its models may be used: its lines are in the request, or in a file that was
    uploaded before and does not change."""
    document, references = asked.document or {}, asked.call.references
    file = document.get("input_file_id")
    inside = asked.call.dialect == "anthropic"
    if not inside:
        if not isinstance(file, str) or _FILE.fullmatch(file) is None:
            raise BadBody("`input_file_id` is no id of a file: write the one that its upload gave")
        kept = asked.parts.api.kept(asked.who.tenant, file)
        if kept is None or kept.subject != asked.who.subject:
            raise told("not_permitted", ENGLISH.say("door.not_yours", id=file), asked.id)
        references = (*references, *lines(await _content(asked, file)))
    asked = structs.replace(asked, call=structs.replace(asked.call, references=references))
    _check_home(asked, references)
    decided, stripped = await named_besides(asked, None, batch=True)
    body = asked.body
    if stripped and not inside:
        raise told("invalid_request", ENGLISH.say("door.batch_lines"), asked.id, stripped[0].model)
    if stripped:
        left = without(document, stripped)
        if not left.get("requests"):
            raise told("invalid_request", ENGLISH.say("door.batch_empty"), asked.id, stripped[0].model)
        body = written(left)
    answer = await looked_at(asked, asked.path, home_of(asked), body)
    products = sorted({one.model.item for one in decided})
    await as_it_came(asked, await _learned(asked, answer, products))


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
    answer = await home_of(asked).send(
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
