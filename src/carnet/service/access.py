"""Who asks, and what they may do: from the header of a request to a principal, or a refusal. Where the keys
are kept is in `carnet.store.api_keys`; what a request does is not here.
"""

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from carnet.store.api_keys import ApiKeys, Role

_HEADER = re.compile(r"(?i:bearer) +ck_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
MOST_KNOWN = 100_000
_NOBODY = ("0" * 12, "0" * 43)


class Principal(Struct, frozen=True, kw_only=True):
    """Who was authenticated: a key by its id, its tenant, and what it is for."""

    key: str
    tenant: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Whether the key has the role. No role holds another."""
        return role in self.roles


class Refusal(Struct, frozen=True, kw_only=True):
    """Why nobody was authenticated: nothing was sent, or not the secret of a key that is in use. Which of the
    ways a key can be wrong is not told."""

    kind: Literal["no_key", "wrong_key"]
    message: str


NO_KEY = Refusal(kind="no_key", message="no API key was sent: send `Authorization: Bearer ck_…`")
WRONG_KEY = Refusal(
    kind="wrong_key", message="the API key is not in use: check it, or ask an administrator for another"
)


class Access:
    """Authentication with API keys. Who was let in is remembered, under a digest of what was sent, until
    `version` gives another value, since a key may have been revoked then, and for an hour at most."""

    def __init__(
        self, keys: ApiKeys, clock: Callable[[], dt.datetime], version: Callable[[], object]
    ) -> None:
        self._keys, self._clock, self._version = keys, clock, version
        self._salt = secrets.token_bytes(32)
        self._known: tuple[object, dict[bytes, Principal]] = None, {}

    def authenticated(self, header: str | None) -> Principal | Refusal:
        """Who sends this `Authorization` header.

        A key that is unknown, wrong, revoked or no key at all gets the same refusal after the same work.
        Raises `Unavailable` or `StoreError` if that can't be found out: nobody is let in then.
        """
        if header is None or not header.strip():
            return NO_KEY
        version = self._version(), self._clock().replace(minute=0, second=0, microsecond=0)
        digest = hashlib.blake2b(header.encode(), key=self._salt).digest()
        if self._known[0] != version or len(self._known[1]) >= MOST_KNOWN:
            self._known = version, {}
        known = self._known[1]
        if digest in known:
            return known[digest]
        found = _HEADER.fullmatch(header.strip())
        id_, secret = (found[1], found[2]) if found is not None else _NOBODY
        key = self._keys.opened(id_, secret, self._clock())
        if key is None or found is None:
            return WRONG_KEY
        principal = Principal(key=key.id, tenant=key.tenant, roles=frozenset(key.roles))
        known[digest] = principal
        return principal
