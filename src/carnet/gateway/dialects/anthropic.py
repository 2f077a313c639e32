"""The Messages API of Anthropic: what is asked in it, and how its SDKs read a refusal. How the models of a
body are found is in `references`."""

from collections.abc import Callable, Mapping
from typing import Any

from carnet.gateway.bodies import BadBody
from carnet.gateway.calls import Call, Needs, Operation, Reference
from carnet.gateway.dialects.needing import format_of, needs
from carnet.gateway.dialects.paths import asked, model_of_path, model_of_query, route, unknown
from carnet.gateway.dialects.references import nested, object_at, own_model, pointer
from carnet.gateway.dialects.shaping import (
    Headers,
    allowed,
    carnet_fields,
    event,
    headers_of,
    renamed_answer,
    renamed_event,
    said,
    status_of,
)
from carnet.gateway.notices import Code, Notice

_HOLDERS = ("message",)
_TYPES: dict[Code, str] = {
    "export_control_denied": "permission_error",
    "evidence_needed": "permission_error",
    "policy_denied": "permission_error",
    "carnet_unavailable": "api_error",
    "invalid_request": "invalid_request_error",
    "unknown_model": "invalid_request_error",
    "authentication_failed": "authentication_error",
    "not_permitted": "permission_error",
    "too_many_requests": "rate_limit_error",
    "request_too_large": "request_too_large",
    "upstream_failed": "api_error",
}


def read(method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Call:
    """What a request asks. `path` has its query, `body` is what `carnet.gateway.bodies.parsed` gave, None
    where there is none or it is no JSON (the upload of a file). Raises BadBody for what can't be understood
    in one way; a path that is not known is `other`, with the model that its body names."""
    plain, query = route(path)
    queried = model_of_query(query, headers)
    user = _end_user(body)
    posts = method.upper() == "POST"
    if posts and plain in {"/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"}:
        if queried is not None:
            raise BadBody("`model` is in the query: write it into the body alone")
        if body is None:
            raise BadBody("the body is missing: send one JSON object")
        if plain == "/v1/messages/batches":
            return Call(dialect="anthropic", operation="batch", references=_batch(body))
        operation: Operation = "generate" if plain == "/v1/messages" else "count"
        return asked("anthropic", operation, body, _needs(body), user)
    if not posts and plain == "/v1/models":
        return Call(dialect="anthropic", operation="models")
    if not posts and (model := model_of_path(plain)) is not None:
        return Call(dialect="anthropic", operation="model", model=model)
    if plain == "/v1/files" or plain.startswith("/v1/files/"):
        return unknown("anthropic", "file", body, queried, user)
    if plain == "/v1/messages/batches" or plain.startswith("/v1/messages/batches/"):
        return unknown("anthropic", "batch", body, queried, user)
    return unknown("anthropic", "other", body, queried, user)


def _batch(body: Mapping[str, Any]) -> tuple[Reference, ...]:
    requests = body.get("requests")
    if not isinstance(requests, list):
        raise BadBody("`requests` is no list: write the requests of the batch")
    found = list(nested(body, own=("requests",)))
    for number, line in enumerate(requests):
        at = ("requests", number)
        try:
            params = object_at(line, "params")
            found.append(Reference(pointer((*at, "params", "model")), own_model(params)))
            found += nested(params, (*at, "params"))
            found += nested(line, at, own=("params",))
        except BadBody as error:
            raise BadBody(f"request `{number}` of the batch: {error}") from None
    return tuple(found)


def _needs(body: Mapping[str, Any]) -> Needs:
    json = (format_of(body.get("output_config")) or format_of(body, "output_format")) is not None
    return needs(body, ("system", "messages"), ("tools",), ("max_tokens",), json)


def _end_user(body: Mapping[str, Any] | None) -> str | None:
    metadata = None if body is None else body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user if isinstance(user, str) and user else None


def _error(notice: Notice) -> dict[str, Any]:
    """`APIStatusError.body` of the SDK is all of it."""
    kind = _TYPES[notice.code]
    error = {"type": kind, "message": notice.message, "carnet": carnet_fields(notice)}
    return {"type": "error", "error": error, "request_id": notice.request_id}


def refusal(notice: Notice, *, blocked_by: str | None = None) -> tuple[int, Headers, bytes]:
    """The status, the headers and the body of a refusal. With `blocked_by`, the URL of whoever runs this
    gateway, an answer of law or policy is 451 and links it (RFC 7725, which wants who blocks and not who
    ordered it)."""
    headers = headers_of(notice, blocked_by, "request-id")
    return status_of(notice, blocked_by), headers, said(_error(notice))


def cut(
    notice: Notice,
    *,
    path: str,  # noqa: ARG001 (one end for every path; OpenAI has two)
    at_boundary: bool,
    sequence: int = 0,  # noqa: ARG001 (no numbers here; OpenAI has them)
) -> bytes:
    """What ends an open stream. Where it broke off inside of an event, that event is made a `ping`, which
    every client of this API leaves out: the last `event` line counts, and a `:` ends no event where a line
    begins. Against a sign cut in half nothing helps, no SDK reads on behind it: whoever relays a stream does
    better to hold back what is not a whole event."""
    half = b"" if at_boundary else b":\nevent: ping\n\n"
    return half + event("error", _error(notice))


def listed(body: bytes, may: Callable[[str], bool]) -> bytes:
    """A list of models with those that `may` be used alone. The cursor to a next page stays. Raises BadBody
    for what is no list of models."""
    document, hidden = allowed(body, may)
    if not hidden:
        return body
    names = [entry.get("id") for entry in document["data"]]
    document["first_id"] = names[0] if names else None
    if document.get("has_more") is not True:
        document["last_id"] = names[-1] if names else None
    return said(document)


def substituted(body: bytes, model: str) -> bytes:
    """An answer in JSON that names the model that gave it."""
    return renamed_answer(body, model, _HOLDERS)


def substituted_event(whole: bytes, model: str) -> bytes:
    """The same for one whole event of a stream: `message_start` has the name."""
    return renamed_event(whole, model, _HOLDERS)
