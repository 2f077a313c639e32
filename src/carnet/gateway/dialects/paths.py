"""The path, the query and the headers of a request, as every server behind the gateway reads them. What an
operation's body says is in the dialects' own modules."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from carnet.gateway.bodies import BadBody, quoted
from carnet.gateway.calls import Call, Dialect, Needs, Operation
from carnet.gateway.dialects.references import model_name, names_models, nested, own_model, own_stream

_PLAIN = re.compile(r"(?:/[A-Za-z0-9\-._~:@!$&'()*+,;=]+)*/?")
MODELS = "/v1/models"


def route(path: str) -> tuple[str, str]:
    """The path without a slash at its end, and the query. Raises BadBody for a path that a server could take
    for another: with escapes, with empty or dotted parts. The id of a model alone may have escapes."""
    plain, _, query = path.partition("?")
    model = plain.removeprefix(f"{MODELS}/")
    meant = f"{MODELS}/{unquote(model)}" if model != plain and "%" in model else plain
    if _PLAIN.fullmatch(meant) is None or {".", ".."} & set(meant.split("/")):
        raise BadBody(f"{quoted(plain)} could be read as another path: write it without escapes and dots")
    return plain.rstrip("/"), query


def model_of_path(path: str) -> str | None:
    """The model that `/v1/models/{id}` names; None for any other path."""
    if not path.startswith(f"{MODELS}/"):
        return None
    return model_name(unquote(path.removeprefix(f"{MODELS}/")), "path")


def model_of_query(query: str, headers: Mapping[str, str]) -> str | None:
    """The model that the query names, if any. Raises BadBody for two, and for a model in a header: some
    servers would take it from there."""
    for name in headers:
        if names_models(name):
            raise BadBody(f"the header {quoted(name)} names a model: write it into the body alone")
    found = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if names_models(key)]
    if len(found) > 1 or (found and found[0][0] != "model"):
        raise BadBody(f"{quoted(found[-1][0])} in the query names a model: write it into the body alone")
    return model_name(found[0][1], "model") if found else None


def asked(
    dialect: Dialect, operation: Operation, body: Mapping[str, Any], needs: Needs, end_user: str | None
) -> Call:
    """A call that a model is to answer, which its body names."""
    return Call(
        dialect=dialect,
        operation=operation,
        model=own_model(body),
        stream=own_stream(body),
        references=tuple(nested(body)),
        needs=needs,
        end_user=end_user,
    )


def unknown(
    dialect: Dialect,
    operation: Operation,
    body: Mapping[str, Any] | None,
    queried: str | None,
    user: str | None,
) -> Call:
    """A call that need not name a model, and does so by the ways that are known: its body or its query."""
    if body is None:
        return Call(dialect=dialect, operation=operation, model=queried, end_user=user)
    plain = isinstance(body.get("model"), str) or any(
        key.casefold() == "model" for key in body if key != "model"
    )
    model = own_model(body) if plain else queried
    if queried not in {None, model}:
        raise BadBody(
            f"{quoted(queried or '')} in the query is not the `model` of the body: write it there alone"
        )
    return Call(
        dialect=dialect,
        operation=operation,
        model=model,
        stream=own_stream(body),
        references=tuple(nested(body, own=("model",) if plain else ())),
        end_user=user,
    )
