"""API keys in the desk: an id, a tenant, roles, and what the secret is hashed to, never the secret. Who sends
one and what they may do with it is in `carnet.service.access`.

A secret has 256 random bits, so a slow hash would add nothing: nobody guesses one. It is hashed with
HMAC-SHA256 under the keyring's pepper, together with id, tenant and roles: so a row that somebody changed or
moved, without the pepper, opens nothing.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Collection
from typing import Any, Literal, cast, get_args

import msgspec
from msgspec import Struct

from carnet.model.errors import InputError, Unavailable
from carnet.model.near import one_of
from carnet.model.plain import odd_name, printable, short
from carnet.model.time import in_utc
from carnet.store.desk import Desk
from carnet.store.keys import Keyring

Role = Literal["call", "decide", "read", "review", "approve", "administer"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a key may be for. None of them holds another. `call` is for whoever calls models through a gateway: it
opens nothing else."""

_COLUMNS = "id, tenant, roles, pepper, hash, created, seen, revoked"
_HOUR = 3_600


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key without its secret. `seen` is when it was last used, to the hour."""

    id: str
    tenant: str
    roles: tuple[Role, ...]
    created: dt.datetime
    seen: dt.datetime | None = None
    revoked: dt.datetime | None = None


class ApiKeys:
    """The API keys of an installation."""

    def __init__(self, desk: Desk, keyring: Keyring) -> None:
        self._desk, self._keyring = desk, keyring
        self._nobody = secrets.token_bytes(32)

    def add(self, tenant: str, roles: Collection[str], now: dt.datetime) -> tuple[ApiKey, str]:
        """A new key and its text, which is nowhere but in this answer. Raises `InputError` for a tenant or a
        role that can't be."""
        check_tenant(tenant)
        given = tuple(role for role in ROLES if role in roles)
        for role in sorted(set(roles) - set(ROLES)):
            raise InputError(f"`{short(printable(role))}` is not a role{one_of(role, ROLES)}")
        if not given:
            raise InputError(f"a key without a role opens nothing: give one of `{'`, `'.join(ROLES)}`")
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        pepper = self._keyring.current("api").id
        hash_ = self._hash(pepper, id_, tenant, given, secret)
        created = _seconds(now)
        row = (id_, tenant, " ".join(given), pepper, hash_, created, None, None)
        with self._desk.writing():
            self._desk.write(f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 -- our own columns
        return ApiKey(id=id_, tenant=tenant, roles=given, created=_instant(created)), f"ck_{id_}_{secret}"

    def listed(self, tenant: str | None = None) -> list[ApiKey]:
        """The keys of a tenant, or of all, the oldest first; revoked ones too."""
        sql = f"SELECT {_COLUMNS} FROM api_keys WHERE ?1 IS NULL OR tenant = ?1 ORDER BY created, id"  # noqa: S608 -- our own columns
        return [_key(row) for row in self._desk.rows(sql, [tenant])]

    def revoke(self, id_: str, now: dt.datetime, tenant: str | None = None) -> ApiKey:
        """End a key, durably. The next use of it is refused, in every process. Raises `InputError` if there
        is none, or if it is another tenant's than the one given."""
        with self._desk.writing():
            self._desk.write(
                "UPDATE api_keys SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL"
                " AND (?3 IS NULL OR tenant = ?3)",
                [id_, _seconds(now), tenant],
            )
            found = next((key for key in self.listed(tenant) if key.id == id_), None)
        if found is None:
            raise InputError(
                f"`{short(printable(id_))}` is not the id of a key: look at `carnet keys api list`"
            )
        return found

    def opened(self, id_: str, secret: str, now: dt.datetime) -> ApiKey | None:
        """The key that has this secret, if it is not revoked. An id that is not there takes the same steps as
        a secret that is wrong.

        Raises `StoreError` if the pepper is gone, `Unavailable` if the desk can't be read.
        """
        rows = self._desk.rows(f"SELECT {_COLUMNS} FROM api_keys WHERE id = ?", [id_])  # noqa: S608 -- our own columns
        pepper, created = self._keyring.current("api").id, _seconds(now)
        nobody = (id_, "default", "decide", pepper, self._nobody, created, created, None)
        row = rows[0] if rows else nobody
        key, pepper, kept = _key(row), row[3], row[4]
        right = hmac.compare_digest(self._hash(pepper, id_, key.tenant, key.roles, secret), kept)
        if not right or not rows or key.revoked is not None:
            return None
        self._note(key, pepper, secret, now)
        return key

    def under(self, pepper: str) -> int:
        """How many keys that open something are hashed under a pepper, by its id: zero before it may go."""
        sql = "SELECT count(*) FROM api_keys WHERE pepper = ? AND revoked IS NULL"
        return int(self._desk.rows(sql, [pepper])[0][0])

    def _note(self, key: ApiKey, pepper: str, secret: str, now: dt.datetime) -> None:
        """Keep when a key was used, and hash it under the new pepper after a rotation. Who is let in does not
        hang on it: if the desk takes nothing now, the next use does it."""
        hour = _seconds(now) // _HOUR * _HOUR
        current = self._keyring.current("api").id
        if pepper == current and key.seen is not None and _seconds(key.seen) >= hour:
            return
        hash_ = self._hash(current, key.id, key.tenant, key.roles, secret)
        try:
            with self._desk.writing():
                self._desk.write(
                    "UPDATE api_keys SET pepper = ?, hash = ?, seen = ? WHERE id = ? AND revoked IS NULL",
                    [current, hash_, hour, key.id],
                )
        except Unavailable:
            return

    def _hash(self, pepper: str, id_: str, tenant: str, roles: tuple[str, ...], secret: str) -> bytes:
        said = msgspec.json.encode(["carnet api key", id_, tenant, roles, secret])
        return hmac.digest(self._keyring.secret("api", pepper), said, hashlib.sha256)


def check_tenant(tenant: str) -> None:
    """Raises `InputError` if this can't be the name of a tenant."""
    problem = odd_name(tenant)
    if problem is None and len(tenant) > 200:
        problem = "is too long: write 1 to 200 characters"
    if problem is not None:
        raise InputError(f"`{short(printable(tenant))}` as a tenant {problem}")


def _key(row: tuple[Any, ...]) -> ApiKey:
    id_, tenant, roles, _, _, created, seen, revoked = row
    return ApiKey(
        id=id_,
        tenant=tenant,
        roles=cast(tuple[Role, ...], tuple(roles.split())),  # the hash speaks for them
        created=_instant(created),
        seen=None if seen is None else _instant(seen),
        revoked=None if revoked is None else _instant(revoked),
    )


def _seconds(instant: dt.datetime) -> int:
    return int(in_utc(instant).timestamp())


def _instant(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
