"""What the answers of every API have in common: Carnet's fields, headers that hold what they say, the models
of a list, the model of an answer. The shape that each SDK reads is in the dialects' own modules."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from carnet.gateway.bodies import BadBody
from carnet.gateway.notices import STATUS, Notice

Headers = list[tuple[str, str]]

_HELPED = frozenset({"carnet_unavailable", "too_many_requests", "upstream_failed"})
_SAFE = re.compile(r"[^\x21-\x7e]")
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_DATA = re.compile(rb"data:[ ]?(.*)")
_LINE = re.compile(rb"\r\n|\r|\n")


def carnet_fields(notice: Notice) -> dict[str, Any]:
    """What a program can do something with: nothing of the caller, no key without a value, and nothing of the
    law but in an answer of law or policy, whatever else the notice holds."""
    fields: dict[str, Any] = {"code": notice.code, "model": notice.model, "record": notice.record}
    if notice.legal:
        fields |= {
            "rules": list(notice.rules),
            "directive": notice.directive,
            "scope": notice.scope,
            "effective": notice.effective,
            "review": notice.review,
            "asks": [msgspec.to_builtins(ask) for ask in notice.asks],
            "ask_url": notice.ask_url,
            "appeal_url": notice.appeal_url,
            "authority_url": notice.authority_url,
        }
    fields["alternatives"] = list(notice.alternatives)
    return {key: value for key, value in fields.items() if value not in (None, [])}


def status_of(notice: Notice, blocked_by: str | None) -> int:
    """The HTTP status: 451 for an answer of law or policy where the operator says who blocks."""
    return 451 if notice.legal and blocked_by is not None else STATUS[notice.code]


def headers_of(notice: Notice, blocked_by: str | None, id_header: str) -> Headers:
    """The headers of a refusal. A sign that no header may have is left out of what the notice holds."""
    found = [
        ("content-type", "application/json"),
        ("x-carnet-code", notice.code),
        (id_header, _SAFE.sub("", notice.request_id)),
    ]
    if notice.code not in _HELPED:
        found.append(("x-should-retry", "false"))
    elif notice.retry_after is not None and STATUS[notice.code] in {429, 503}:
        found.append(("retry-after", str(max(0, notice.retry_after))))
    if notice.legal and blocked_by is not None:
        if _URL.fullmatch(blocked_by) is None:
            raise ValueError(f"`{blocked_by!r}` is not the URL of who blocks: write it as https://…")
        found.append(("link", f'<{blocked_by}>; rel="blocked-by"'))
    return found


def said(data: Mapping[str, Any]) -> bytes:
    """JSON in ASCII: one line to every reader of streams, whatever it takes for the end of one."""
    return json.dumps(data, separators=(",", ":")).encode("ascii")


def event(name: str | None, data: Mapping[str, Any]) -> bytes:
    """One event of a stream (SSE), whole."""
    head = b"" if name is None else b"event: " + name.encode("ascii") + b"\n"
    return head + b"data: " + said(data) + b"\n\n"


def _loaded(body: bytes) -> dict[str, Any]:
    """An answer of an upstream; empty for one that is no object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def renamed_answer(body: bytes, model: str, holders: Sequence[str]) -> bytes:
    """A JSON answer that says which model gave it: its own `model` and that of the objects under `holders`.
    What names none, or is no JSON, is returned as it came."""
    document = _loaded(body)
    named = [document] if "model" in document else []
    inner = [document.get(key) for key in holders]
    named += [each for each in inner if isinstance(each, dict) and "model" in each]
    for each in named:
        each["model"] = model
    return said(document) if named else body


def renamed_event(whole: bytes, model: str, holders: Sequence[str]) -> bytes:
    """The same for one whole event of a stream, with the blank line at its end."""
    lines = _LINE.split(whole)
    data = [found[1] for line in lines if (found := _DATA.fullmatch(line))]
    before = b"\n".join(data)
    after = renamed_answer(before, model, holders)
    if after == before:
        return whole
    others = [line for line in lines if line and not line.startswith(b"data:")]
    return b"".join(line + b"\n" for line in (*others, b"data: " + after)) + b"\n"


def allowed(body: bytes, may: Callable[[str], bool]) -> tuple[dict[str, Any], bool]:
    """A list of models without the entries that may not be used, and whether there were any. An entry goes if
    one of its names may not be used, or if it has none. Raises BadBody for what is no list of models."""
    document = _loaded(body)
    if not isinstance(document.get("data"), list):
        raise BadBody("the answer of the upstream is no list of models: ask for a model by its name")
    hidden = False
    for key in ("data", "models"):
        entries = document.get(key)
        if isinstance(entries, list):
            document[key] = [entry for entry in entries if _may(entry, may)]
            hidden = hidden or len(document[key]) < len(entries)
    return document, hidden


def _may(entry: object, may: Callable[[str], bool]) -> bool:
    if not isinstance(entry, dict):
        return False
    names = [entry[key] for key in ("id", "model", "name") if isinstance(entry.get(key), str)]
    return bool(names) and all(may(name) for name in names)
