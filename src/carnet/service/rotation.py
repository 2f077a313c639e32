"""A rotation with all that hangs on the key: what is encrypted under the secret `subjects` is encrypted anew,
and an old secret goes only when nothing needs it. The keys themselves are in `carnet.store.keys`.

`data` is the directory that the keyring is in: an installation's, or the home of one of its nodes.
"""

import datetime as dt
from pathlib import Path

from msgspec import Struct

from carnet.model.errors import StoreError, Unverified
from carnet.store.api_keys import ApiKeys
from carnet.store.desk import FILE, Desk
from carnet.store.keyindex import Rotation
from carnet.store.keys import Keyring
from carnet.store.origins import VAULT
from carnet.store.subjects import SubjectTable
from carnet.store.vault import Vault


class Moved(Struct, frozen=True):
    """What is under the current secret now and was not: rows of facts, and keys of private parts."""

    rows: int
    keys: int


def rotate(data: Path, keyring: Keyring, role: str, now: dt.datetime) -> tuple[Rotation, Moved]:
    """Give a role a new key, and for `subjects` move everything to it. What was cut short before is finished
    too. Raises as `Keyring.rotate` and `move`."""
    done = keyring.rotate(role, now)
    return done, move(data, keyring) if done.role == "subjects" else Moved(0, 0)


def move(data: Path, keyring: Keyring) -> Moved:
    """Encrypt under the current secret `subjects` whatever is still under an older one. Done again it changes
    nothing.

    Raises `Unverified` if the vault is under none of the secrets that are kept, `Unavailable` if something
    can't be made durable.
    """
    rows = keys = 0
    if (data / FILE).exists():
        with Desk.open(data) as desk:
            rows = SubjectTable(desk, keyring).reseal()
    if (data / VAULT).exists():
        current = keyring.current("subjects").id
        under, vault = _vault(data / VAULT, keyring)
        with vault:
            keys = vault.rewrap(keyring.secret("subjects", current)) if under != current else 0
    return Moved(rows, keys)


def forget(data: Path, keyring: Keyring, id_: str, now: dt.datetime) -> None:
    """Destroy a retired secret for good. Backups that were made under it can't be read afterwards.

    Raises `StoreError` while something here is still under it, `InputError` as `Keyring.forget`.
    """
    retired = {key.id: key.role for key in keyring.entries() if key.state == "retired"}
    role = retired.get(id_)
    if role == "api" and (data / FILE).exists():
        with Desk.open(data) as desk:
            left = ApiKeys(desk, keyring).under(id_)
        if left:
            raise StoreError(f"`{left}` API keys are hashed under `{id_}`: use each once, or revoke it")
    if role == "subjects":
        _check_moved(data, keyring, id_)
    keyring.forget(id_, now)


def _check_moved(data: Path, keyring: Keyring, id_: str) -> None:
    """Raises `StoreError` while facts or private parts are under this secret."""
    needed = False
    if (data / FILE).exists():
        with Desk.open(data) as desk:
            needed = SubjectTable(desk, keyring).under(id_) > 0
    if (data / VAULT).exists():
        under, vault = _vault(data / VAULT, keyring)
        vault.close()
        needed = needed or under == id_
    if needed:
        raise StoreError(f"facts or private parts are still under `{id_}`: run `carnet keys rotate subjects`")


def _vault(path: Path, keyring: Keyring) -> tuple[str, Vault]:
    """The vault, and the id of the secret that it is under: the current one, or after a rotation that was cut
    short an older one."""
    ids = [key.id for key in keyring.entries() if key.role == "subjects" and not key.gone]
    for id_ in reversed(ids):
        try:
            return id_, Vault.open(path, keyring.secret("subjects", id_))
        except Unverified:
            continue
    raise Unverified(f"`{path.name}` is under none of the secrets `subjects` that are kept: restore the keys")
