"""What is said to whoever is not served, or is served by another model: the facts of it, once, for every API.
How an API's own SDK reads it is in `carnet.gateway.dialects`."""

from typing import Literal

from msgspec import Struct

Code = Literal[
    "export_control_denied",
    "evidence_needed",
    "policy_denied",
    "carnet_unavailable",
    "invalid_request",
    "unknown_model",
    "authentication_failed",
    "not_permitted",
    "too_many_requests",
    "request_too_large",
    "upstream_failed",
]
"""Stable words for programs. The first three are answers of law or policy; no other code names a law."""

LEGAL: frozenset[Code] = frozenset({"export_control_denied", "evidence_needed", "policy_denied"})

STATUS: dict[Code, int] = {
    "export_control_denied": 403,
    "evidence_needed": 403,
    "policy_denied": 403,
    "carnet_unavailable": 503,
    "invalid_request": 400,
    "unknown_model": 400,
    "authentication_failed": 401,
    "not_permitted": 403,
    "too_many_requests": 429,
    "request_too_large": 413,
    "upstream_failed": 502,
}
"""The HTTP status of each. A legal answer is never 404, 410, 429 or 5xx; an inability is never 403."""


class Ask(Struct, frozen=True, kw_only=True):
    """A fact that would help to settle it, who can say it, the rules that need it, and the cheapest proof
    that is taken for it."""

    fact: str
    text: str
    who: str = "user"
    rules: tuple[str, ...] = ()
    evidence: str | None = None


class Notice(Struct, frozen=True, kw_only=True):
    """`message` is for people, one or two sentences. `model` is the one that was asked for; `record` the id
    of the determination; `rules` are what stands against it; `effective` and `review` instants (RFC 3339) or
    what a rule says instead; `alternatives` models that this caller may use now; `retry_after` seconds, of an
    inability alone."""

    code: Code
    message: str
    request_id: str
    model: str | None = None
    record: str | None = None
    rules: tuple[str, ...] = ()
    directive: str | None = None
    scope: str | None = None
    effective: str | None = None
    review: str | None = None
    asks: tuple[Ask, ...] = ()
    ask_url: str | None = None
    appeal_url: str | None = None
    authority_url: str | None = None
    alternatives: tuple[str, ...] = ()
    retry_after: int | None = None

    @property
    def legal(self) -> bool:
        """Whether it is an answer of law or policy."""
        return self.code in LEGAL
