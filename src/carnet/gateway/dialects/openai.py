"""The APIs of OpenAI, Chat Completions, Responses and Models: what is asked in them, and how their SDKs read
a refusal. How the models of a body are found is in `references`."""

from collections.abc import Callable, Mapping
from typing import Any

from carnet.gateway.bodies import BadBody
from carnet.gateway.calls import Call, Needs, Operation
from carnet.gateway.dialects.needing import format_of, needs
from carnet.gateway.dialects.paths import asked, model_of_path, model_of_query, route, unknown
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

_CHAT = "/v1/chat/completions"
_RESPONSES = "/v1/responses"
_ASKED: dict[str, Operation] = {
    _CHAT: "generate",
    _RESPONSES: "generate",
    f"{_RESPONSES}/compact": "generate",
    f"{_RESPONSES}/input_tokens": "count",
}
_KEPT: tuple[tuple[Operation, str], ...] = (("file", "/v1/files"), ("batch", "/v1/batches"))
_HOLDERS = ("response",)
_STRUCTURED = frozenset({"json_object", "json_schema"})
_ABOUT_MODEL = frozenset({"export_control_denied", "evidence_needed", "policy_denied", "unknown_model"})
_TYPES: dict[Code, str] = {
    "export_control_denied": "permission_error",
    "evidence_needed": "permission_error",
    "policy_denied": "permission_error",
    "carnet_unavailable": "server_error",
    "invalid_request": "invalid_request_error",
    "unknown_model": "invalid_request_error",
    "authentication_failed": "authentication_error",
    "not_permitted": "permission_error",
    "too_many_requests": "rate_limit_error",
    "request_too_large": "invalid_request_error",
    "upstream_failed": "server_error",
}


def read(method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Call:
    """What a request asks. `path` has its query, `body` is what `carnet.gateway.bodies.parsed` gave, None
    where there is none or it is no JSON (the upload of a file). Raises BadBody for what can't be understood
    in one way; a path that is not known is `other`, with the model that its body names. The lines of a batch
    are in the file that it names: `references.lines` reads them as it is uploaded."""
    plain, query = route(path)
    queried = model_of_query(query, headers)
    user = _end_user(body)
    posts = method.upper() == "POST"
    if posts and plain in _ASKED:
        if queried is not None:
            raise BadBody("`model` is in the query: write it into the body alone")
        if body is None:
            raise BadBody("the body is missing: send one JSON object")
        return asked("openai", _ASKED[plain], body, _needs(plain, body), user)
    if not posts and plain == "/v1/models":
        return Call(dialect="openai", operation="models")
    if not posts and (model := model_of_path(plain)) is not None:
        return Call(dialect="openai", operation="model", model=model)
    for operation, start in _KEPT:
        if plain == start or plain.startswith(f"{start}/"):
            return unknown("openai", operation, body, queried, user)
    return unknown("openai", "other", body, queried, user)


def _needs(path: str, body: Mapping[str, Any]) -> Needs:
    if path == _CHAT:
        json = format_of(body, "response_format") in _STRUCTURED
        most = ("max_completion_tokens", "max_tokens")
        return needs(body, ("messages",), ("tools", "functions"), most, json)
    json = format_of(body.get("text")) in _STRUCTURED
    return needs(body, ("instructions", "input"), ("tools",), ("max_output_tokens",), json)


def _end_user(body: Mapping[str, Any] | None) -> str | None:
    names = [] if body is None else [body.get("safety_identifier"), body.get("user")]
    return next((name for name in names if isinstance(name, str) and name), None)


def _error(notice: Notice) -> dict[str, Any]:
    """`APIError.body` of the SDK is this; what stands beside `error` in an answer is lost in it."""
    return {
        "message": notice.message,
        "type": _TYPES[notice.code],
        "param": "model" if notice.code in _ABOUT_MODEL else None,
        "code": notice.code,
        "carnet": carnet_fields(notice),
    }


def refusal(notice: Notice, *, blocked_by: str | None = None) -> tuple[int, Headers, bytes]:
    """The status, the headers and the body of a refusal. With `blocked_by`, the URL of whoever runs this
    gateway, an answer of law or policy is 451 and links it (RFC 7725, which wants who blocks and not who
    ordered it)."""
    headers = headers_of(notice, blocked_by, "x-request-id")
    return status_of(notice, blocked_by), headers, said({"error": _error(notice)})


def cut(notice: Notice, *, path: str, at_boundary: bool, sequence: int = 0) -> bytes:
    """What ends an open stream of `path`; `sequence` is the number of the event, which Responses gives to
    each. Where it broke off inside of an event, a blank line ends that: half a JSON text, which no client
    takes for a whole one. Nothing in this API can take it back, so whoever relays a stream does better to
    hold back what is not a whole event."""
    half = b"" if at_boundary else b"\n\n"
    error = _error(notice)
    if path.partition("?")[0].startswith(_RESPONSES):
        plain = {key: error[key] for key in ("code", "message", "param")}
        return half + event("error", {"type": "error", "sequence_number": sequence, **plain, "error": error})
    return half + event(None, {"error": error}) + b"data: [DONE]\n\n"


def listed(body: bytes, may: Callable[[str], bool]) -> bytes:
    """A list of models with those that `may` be used alone. Raises BadBody for what is no list of models."""
    document, hidden = allowed(body, may)
    return said(document) if hidden else body


def substituted(body: bytes, model: str) -> bytes:
    """An answer in JSON that names the model that gave it."""
    return renamed_answer(body, model, _HOLDERS)


def substituted_event(whole: bytes, model: str) -> bytes:
    """The same for one whole event of a stream: every chunk of Chat Completions has the name, and the events
    of Responses that hold the response."""
    return renamed_event(whole, model, _HOLDERS)
