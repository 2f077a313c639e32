"""The list of models, and one of it, as each caller may see them. What else names no model is in
`carnet.gateway.handed`, or is refused here."""

import json
from urllib.parse import quote

from msgspec import structs

from carnet.gateway.bodies import BadBody, written
from carnet.gateway.calls import Dialect
from carnet.gateway.config import Model
from carnet.gateway.dialects import APIS
from carnet.gateway.handed import handed
from carnet.gateway.looking import home_of, looked_at, path_of, still
from carnet.gateway.telling import Told, refused, told, unavailable
from carnet.gateway.uses import Asked, as_it_came

_UNKNOWN = "1970-01-01T00:00:00Z"
"""When a model was made of which that is not known."""


async def others(asked: Asked) -> None:
    """Answer it. Raises Told, BadBody, UpstreamError."""
    operation = asked.call.operation
    if operation == "models":
        await _listed(asked)
    elif operation == "model":
        await _one(asked)
    elif operation in {"batch", "file"}:
        await handed(asked)
    else:
        raise told(
            "invalid_request",
            f"`{asked.method} {path_of(asked)}` names no model, so nobody can say who may ask it: it is not "
            "passed on here",
            asked.id,
        )


async def _listed(asked: Asked) -> None:
    """The list of the upstream without the models that this caller may not use, or that nobody knows here."""
    models = [model for model in asked.parts.directory.config.model if asked.call.dialect in model.dialects]
    found = zip(models, await still(asked, models), strict=True)
    served = [model for model, verdict in found if verdict is not None and verdict.action == "serve"]
    may = {name for model in served for name in (model.name, *model.aliases)}
    kept = await looked_at(asked, asked.path, home_of(asked))
    if kept.status == 200:
        try:
            body = APIS[asked.call.dialect].listed(kept.body, may.__contains__)
        except BadBody as error:
            raise told("upstream_failed", str(error), asked.id) from None
        kept = structs.replace(kept, body=_with_others(body, asked.call.dialect, served))
    await as_it_came(asked, kept)


def _with_others(body: bytes, dialect: Dialect, served: list[Model]) -> bytes:
    """The list with the models that are at other upstreams or have another name there, as far as they are
    known here. A page of a longer list stays as it is."""
    document = json.loads(body)
    names = {entry.get("id") for entry in document["data"]}
    missing = [] if document.get("has_more") is True else [one for one in served if one.name not in names]
    for model in missing:
        if dialect == "anthropic":
            entry: dict[str, object] = {"type": "model", "display_name": model.name, "created_at": _UNKNOWN}
        else:
            entry = {"object": "model", "created": 0, "owned_by": model.provider}
        document["data"].append({"id": model.name, **entry})
    if missing and "last_id" in document:
        document["first_id"] = document["data"][0]["id"]
        document["last_id"] = missing[-1].name
    return written(document) if missing else body


async def _one(asked: Asked) -> None:
    """One model of the list, if this caller may use it."""
    assert asked.call.model is not None  # the path has it
    model = asked.parts.model(asked.call.model, asked.id)
    (verdict,) = await still(asked, [model])
    if verdict is None:
        raise Told(unavailable(asked.id, model.name))
    if verdict.action != "serve":
        raise Told(refused(verdict, asked.parts.directory, asked.id, model))
    path, client = f"/v1/models/{quote(model.sent_as, safe='')}", asked.parts.clients[model.upstream]
    kept = await looked_at(asked, path, client)
    if kept.status == 200 and model.sent_as != model.name:
        kept = structs.replace(kept, body=written(json.loads(kept.body) | {"id": model.name}))
    await as_it_came(asked, kept)
