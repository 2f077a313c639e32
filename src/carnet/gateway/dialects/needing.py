"""What a question needs of the model that is to answer it, read from its conversation. Which keys hold the
conversation is in the dialects' own modules."""

from collections.abc import Mapping
from typing import Any

from carnet.gateway.calls import Needs

_IMAGES = frozenset({"image", "image_url", "input_image"})
_DOCUMENTS = frozenset({"document", "file", "input_file", "container_upload"})
_ATTACHED = frozenset({"data", "file_data", "image_url", "url", "file_url"})


def needs(
    body: Mapping[str, Any],
    conversation: tuple[str, ...],
    tools: tuple[str, ...],
    most: tuple[str, ...],
    json: bool,
) -> Needs:
    """`conversation`, `tools` and `most` are the keys that hold the question, its tools, and the most tokens
    of the answer; the first of `most` that is a number counts. Text is counted in bytes of UTF-8, and
    attached files are no text."""
    text = 0
    kinds: set[str] = set()
    waiting: list[Any] = [body.get(key) for key in (*conversation, *tools)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            text += len(value) if value.isascii() else len(value.encode())
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            kind = value.get("type")
            if isinstance(kind, str):
                kinds.add(kind)
            waiting += [each for key, each in value.items() if key not in _ATTACHED]
    numbers = [body[key] for key in most if type(body.get(key)) is int]
    return Needs(
        tools=any(bool(body.get(key)) for key in tools),
        images=not kinds.isdisjoint(_IMAGES),
        documents=not kinds.isdisjoint(_DOCUMENTS),
        json=json,
        input_bytes=text,
        output_tokens=max(0, numbers[0]) if numbers else 0,
    )


def format_of(holder: object, key: str = "format") -> str | None:
    """The `type` of a format that is asked for."""
    found = holder.get(key) if isinstance(holder, Mapping) else None
    kind = found.get("type") if isinstance(found, Mapping) else None
    return kind if isinstance(kind, str) else None
