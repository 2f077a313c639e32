"""What requests that no one model answers have in common: which upstream they go to, an answer that is looked
at before it goes back, what a use would come to."""

from collections.abc import Sequence

from carnet.gateway.config import Model
from carnet.gateway.proxy import Passed, passed
from carnet.gateway.requests import Request
from carnet.gateway.telling import told
from carnet.gateway.upstreams import Client
from carnet.gateway.uses import Asked
from carnet.service.api import Verdict


def path_of(asked: Asked) -> str:
    """The path without its query and without a slash at its end."""
    return asked.path.partition("?")[0].rstrip("/")


def home_of(asked: Asked) -> Client:
    """The upstream for what names no model. Raises Told if there is none for this API."""
    upstream = asked.parts.directory.home(asked.call.dialect)
    if upstream is None:
        raise told("invalid_request", "no model here speaks this API: look at the other one", asked.id)
    return asked.parts.clients[upstream.name]


async def still(asked: Asked, models: Sequence[Model]) -> list[Verdict | None]:
    """What a use of each would come to, from memory: to look at a list is no use, and is not recorded."""
    requests = [asked.parts.deciding.request(asked.who, model) for model in models]
    return await asked.parts.api.under_way(asked.who.tenant, requests)


async def looked_at(asked: Asked, path: str, client: Client, body: bytes | None = None) -> Passed:
    """An answer that is looked at before it goes back."""
    request = Request(asked.method, path, asked.headers, asked.body if body is None else body)
    return await passed(
        asked.scope, asked.receive, asked.send, client, request, plain=True, keep=lambda *_: True
    )
