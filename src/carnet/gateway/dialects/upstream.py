"""What an upstream means when it does not answer: the place, the model, the law, or the question. What is
done about it is elsewhere."""

import json
from typing import Any, Literal

Refused = Literal["region", "not_found", "legal", "refusal"]

_REGION = frozenset({"unsupported_country_region_territory", "request_forbidden", "unsupported_country"})
_REGION_SAID = ("request not allowed", "location is not supported", "unsupported countries")
_NOT_FOUND = frozenset({"model_not_found", "not_found_error"})


def upstream_refusal(status: int, body: bytes) -> Refused | None:
    """How an upstream refused, from its status and its whole body: `region`, the place is not served;
    `not_found`, the model is not there (any more); `legal`, 451; `refusal`, a model that declined inside of
    an answer. None for everything else, such as a wrong key or a fault. To be asked about calls that name a
    model alone: the same words are said about a file that is not there."""
    if status == 451:
        return "legal"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    said = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    words = {word for word in said if isinstance(word, str)}
    if status == 403 and words & _REGION:
        return "region"
    if status in {400, 403} and any(phrase in _message(error) for phrase in _REGION_SAID):
        return "region"
    if status in {404, 410} and (words & _NOT_FOUND or "model" in _message(error)):
        return "not_found"
    return "refusal" if status == 200 and _declined(document) else None


def _message(error: object) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return said.lower() if isinstance(said, str) else ""


def _declined(answer: dict[str, Any]) -> bool:
    """`stop_reason` of Messages, `finish_reason` of Chat Completions, `incomplete_details` of Responses."""
    if answer.get("stop_reason") == "refusal":
        return True
    choices = answer.get("choices")
    if isinstance(choices, list):
        return any(isinstance(one, dict) and one.get("finish_reason") == "content_filter" for one in choices)
    why = answer.get("incomplete_details")
    return isinstance(why, dict) and why.get("reason") == "content_filter"
