"""Who calls: from the headers of a request to the subject that its use is decided for, and through whom. Who
that is to the law is decided elsewhere."""

import re

from msgspec import Struct

from carnet.gateway.config import Caller, Directory
from carnet.gateway.headers import Headers, value
from carnet.gateway.telling import told
from carnet.service.api import Api, Refusal

END_USER = b"x-carnet-end-user"
LEVELS = 4
"""At most so many names in the header, from the first customer's customer to whoever uses."""

UNNAMED = "?"
"""Whoever uses through a caller that has end users and names none: somebody else than the caller, of whom
nothing is known. No end user can have this name."""

_LEVEL = re.compile(r"[A-Za-z0-9._@:+=-]{1,120}")
_BEARER = re.compile(r"(?i:bearer) +(\S+)")


class Who(Struct, frozen=True, kw_only=True):
    """`subject` is who uses the model, `through` those who passed it on, the one who holds the key first. A
    name of theirs begins with that of whoever said it: so nobody's customer can be another's."""

    tenant: str
    key: str
    subject: str
    through: tuple[str, ...]
    substitute: bool


def caller(api: Api, directory: Directory, headers: Headers, request_id: str) -> tuple[str, str, Caller]:
    """The tenant, the key's id and what is configured of the caller. A key of which nothing is configured
    stands for a subject of its own name, and speaks for nobody else. Raises Told; `Unavailable` and
    `StoreError` if it can't be found out."""
    principal = api.authenticated(_authorization(headers, request_id))
    if isinstance(principal, Refusal):
        raise told("authentication_failed", principal.message, request_id)
    if not principal.may("call"):
        raise told(
            "not_permitted",
            "the API key has no role `call`: ask an administrator for one that has",
            request_id,
        )
    found = directory.callers.get(principal.key)
    return principal.tenant, principal.key, found or Caller(key=principal.key, subject=principal.key)


def who(tenant: str, key: str, caller: Caller, headers: Headers, in_body: str | None, request_id: str) -> Who:
    """Whose use it is. Raises Told for an end user that the caller may not name, or a name that is none."""
    said = value(headers, END_USER)
    levels: tuple[str, ...] = ()
    if caller.end_users == "header" and said is not None:
        levels = _levels(said.decode("utf-8", "replace"), request_id)
    elif said is not None:
        raise told(
            "not_permitted",
            "`x-carnet-end-user` is not for this API key to say: leave it out, or have `end_users` set",
            request_id,
        )
    if caller.end_users == "body" and in_body is not None:
        levels = _levels(in_body, request_id)
    if caller.end_users != "none" and not levels:
        levels = (UNNAMED,)
    chain = [caller.subject]
    for level in levels:
        chain.append(f"{chain[-1]}/{level}")
    return Who(
        tenant=tenant,
        key=key,
        subject=chain[-1],
        through=tuple(chain[:-1]),
        substitute=caller.substitute,
    )


def _levels(said: str, request_id: str) -> tuple[str, ...]:
    levels = tuple(said.split("/"))
    if len(levels) > LEVELS or not all(_LEVEL.fullmatch(level) for level in levels):
        raise told(
            "invalid_request",
            f"the end user is no name: write at most {LEVELS} of up to 120 letters, digits and `._@:+=-`, "
            "with `/` between",
            request_id,
        )
    return levels


def _authorization(headers: Headers, request_id: str) -> str | None:
    """The one key of a request, as an `Authorization` header. The SDKs of one API send `x-api-key`, those of
    the other a bearer token."""
    bearer, plain = value(headers, b"authorization"), value(headers, b"x-api-key")
    if plain is None:
        return None if bearer is None else bearer.decode("latin-1")
    key = plain.decode("latin-1")
    if bearer is not None:
        match = _BEARER.fullmatch(bearer.decode("latin-1").strip())
        if match is None or match[1] != key.strip():
            raise told(
                "authentication_failed",
                "`x-api-key` and `authorization` say different keys: send one of them",
                request_id,
            )
    return f"Bearer {key}"
