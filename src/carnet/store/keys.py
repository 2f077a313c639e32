"""The keyring of an installation: its signing keys and secrets by role, their rotation, and the public halves
of its approvers. Where the keys lie is a `KeyStore` (`carnet.store.keyfiles`); no approver's key is here.

When a signing key is rotated, the old and the new one sign a statement; then the old one is destroyed and its
public half kept, so that what it signed verifies forever. An old secret is kept until `forget`.
"""

import datetime as dt
import hmac
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from carnet.ledger import note
from carnet.ledger.checkpoint import Ed25519Cosigner
from carnet.ledger.note import Ed25519Signer, VerifierKey
from carnet.model.errors import InputError, Malformed, StoreError, Taken
from carnet.model.near import nearest, one_of
from carnet.model.plain import printable, short
from carnet.model.time import in_utc
from carnet.store import keyindex
from carnet.store.keyfiles import KeyFiles, KeyStore, new_directory
from carnet.store.keyindex import SECRETS, SIGNING, Index, Key, Rotation, SecretRole, SigningRole

DIRECTORY = "keys"
"""Where the keys lie below the data directory."""


class Keyring:
    """The keys of one installation, all of them read and compared with the index when it is opened."""

    def __init__(self, store: KeyStore) -> None:
        """Open what a store keeps. Raises `StoreError` for what is missing, open to others, or not what the
        index says; the store's own errors as they are."""
        self._store = store
        with store.alone():
            self._loaded = _Loaded(store)
            self._sweep()

    def __repr__(self) -> str:
        return f"Keyring({self.name!r})"

    @classmethod
    def create(cls, data: Path, name: str, now: dt.datetime) -> "Keyring":
        """New keys in `data/keys`, all or none. `name` is the log's origin, and the name of its key.

        Raises `InputError` for a name that can't be one, `Taken` if there are keys already.
        """
        keyindex.check_name(name)
        with new_directory(data / DIRECTORY) as directory:
            store = KeyFiles(directory)
            keys, made = [], {}
            for signing in SIGNING:
                place, private = store.make_private(signing)
                keys.append(keyindex.signing_key(signing, name, place, private, now))
            for role in SECRETS:
                place, made[role] = store.make_secret(role)
                keys.append(keyindex.secret_key(role, place, made[role], now))
            store.write_index(keyindex.written(Index(name=name, keys=tuple(keys)), made["index"]))
        return cls.open(data)

    @classmethod
    def open(cls, data: Path) -> "Keyring":
        """The keys in `data/keys`. Raises `InputError` if there are none."""
        return cls(KeyFiles(data / DIRECTORY))

    @property
    def name(self) -> str:
        return self._loaded.index.name

    def entries(self) -> tuple[Key, ...]:
        """Every key and approver, current and retired, in the order in which they came."""
        return self._loaded.index.keys

    def rotations(self) -> tuple[Rotation, ...]:
        """Every rotation, the oldest first: what a log has to have on record."""
        return self._loaded.index.rotations

    def current(self, role: SigningRole | SecretRole) -> Key:
        """The key of a role."""
        return self._loaded.current(role)

    def signer(self, role: Literal["log", "bundle"]) -> Ed25519Signer:
        """What signs for a role now. A witness signs with `cosigner`."""
        return Ed25519Signer(*self._loaded.signing(role))

    def cosigner(self, at: int) -> Ed25519Cosigner:
        """The witness's key, for cosignatures that say `at`, in seconds since 1970."""
        return Ed25519Cosigner(*self._loaded.signing("witness"), at)

    def verifiers(self, role: SigningRole | Literal["approver"]) -> tuple[VerifierKey, ...]:
        """The public halves of a role, current and retired: what was signed before a rotation verifies."""
        return tuple(key.verifier for key in self.entries() if key.role == role and key.verifier is not None)

    def approvers(self) -> tuple[VerifierKey, ...]:
        """The public halves of those who may approve now."""
        return tuple(
            key.verifier
            for key in self.entries()
            if key.role == "approver" and key.state == "current" and key.verifier is not None
        )

    def secret(self, role: SecretRole, id_: str | None = None) -> bytes:
        """The 32 bytes of a role: the current ones, or those of a retired `id_` that is still kept. Raises
        `StoreError` for any other."""
        found = self._loaded.secret(role, id_)
        if found is None:  # another process may have rotated
            self.refresh()
            found = self._loaded.secret(role, id_)
        if found is None:
            raise StoreError(
                f"the key `{short(printable(str(id_)))}` of `{role}` is not kept: restore it from a backup"
            )
        return found

    def refresh(self) -> bool:
        """Read again what is kept; whether it has changed, by this process or another."""
        with self._store.alone():
            before, self._loaded = self._loaded, _Loaded(self._store)
        return before.index != self._loaded.index

    def rotate(self, role: str, now: dt.datetime) -> Rotation:
        """A new key for a role, durable when this returns.

        Raises `InputError` for `index`, which can't be rotated, and for what is no role.
        """
        if role == "index":
            raise InputError(
                "`index` can't be rotated: the pseudonyms and search terms of every record are made with it,"
                " and a record never changes; if it leaked, begin a new installation"
            )
        for signing in SIGNING:
            if role == signing:
                return self._rotate_signing(signing, now)
        for secret in SECRETS:
            if role == secret:
                return self._rotate_secret(secret, now)
        roles = {*SIGNING, *SECRETS} - {"index"}
        raise InputError(f"`{short(printable(role))}` is no role that has a key{one_of(role, roles)}")

    def forget(self, id_: str, now: dt.datetime) -> None:
        """Destroy a retired secret, once nothing is encrypted or hashed under it any more: the caller knows.

        Raises `InputError` for a key that is current, signs, or is not there.
        """
        with self._store.alone():
            self._loaded = _Loaded(self._store)
            found = self._key(id_, SECRETS)
            if found.state == "current":
                raise InputError(f"`{found.id}` is the current key of `{found.role}`: rotate it first")
            if found.destroyed is None:
                self._change(found, replace(found, destroyed=in_utc(now)))
            self._sweep()

    def register(self, public: str, now: dt.datetime) -> Key:
        """Add an approver by the public half of their own key, `name+id+base64`.

        Raises `InputError` if it is no such key, `Taken` if the key is there or its name is in use.
        """
        try:
            verifier = note.verifier_key(public)
        except Malformed as error:
            raise InputError(str(error)) from None
        keyindex.check_name(verifier.name)
        key = Key(
            role="approver", id=verifier.key_id.hex(), state="current", created=in_utc(now), public=public
        )
        with self._store.alone():
            self._loaded = _Loaded(self._store)
            for other in self.entries():
                theirs = other.verifier
                if other.id == key.id or (theirs is not None and theirs.public == verifier.public):
                    raise Taken(f"the key `{key.id}` is there already: each approver has a key of their own")
                if theirs in self.approvers() and theirs is not None and theirs.name == verifier.name:
                    raise Taken(f"`{verifier.name}` is in use by `{other.id}`: retire that key first")
            self._write(replace(self._loaded.index, keys=(*self.entries(), key)))
        return key

    def retire(self, id_: str, now: dt.datetime) -> Key:
        """End an approver: what they signed verifies, and they approve nothing more. Raises `InputError` if
        there is no such approver."""
        with self._store.alone():
            self._loaded = _Loaded(self._store)
            found = self._key(id_, ("approver",))
            if found.state == "current":
                self._change(found, replace(found, state="retired", retired=in_utc(now)))
            return self._key(id_, ("approver",))

    def strays(self) -> list[str]:
        """What the store keeps and no index names: of a rotation that was cut off, or of another index.
        Nothing destroys it."""
        return sorted(self._store.places() - {key.place for key in self.entries() if key.place is not None})

    def _rotate_signing(self, role: SigningRole, now: dt.datetime) -> Rotation:
        with self._store.alone():
            self._loaded = _Loaded(self._store)
            old, (_, before) = self.current(role), self._loaded.signing(role)
            place, after = self._store.make_private(role)
            new = keyindex.signing_key(role, self.name, place, after, now)
            statement = keyindex.make_statement(role, self.name, before, after, new.created)
            done = Rotation(
                role=role, old=old.id, new=new.id, at=new.created, public=new.public, statement=statement
            )
            self._commit(old, new, done)
            self._sweep()
        return done

    def _rotate_secret(self, role: SecretRole, now: dt.datetime) -> Rotation:
        with self._store.alone():
            self._loaded = _Loaded(self._store)
            old = self.current(role)
            place, secret = self._store.make_secret(role)
            new = keyindex.secret_key(role, place, secret, now)
            done = Rotation(role=role, old=old.id, new=new.id, at=new.created)
            self._commit(old, new, done)
        return done

    def _commit(self, old: Key, new: Key, done: Rotation) -> None:
        """The one write that makes the new key the current one."""
        index, retired = self._loaded.index, replace(old, state="retired", retired=new.created)
        keys = tuple(retired if key is old else key for key in index.keys)
        self._write(replace(index, keys=(*keys, new), rotations=(*index.rotations, done)))

    def _change(self, old: Key, new: Key) -> None:
        keys = tuple(new if key is old else key for key in self.entries())
        self._write(replace(self._loaded.index, keys=keys))

    def _write(self, index: Index) -> None:
        """Write the index, then read everything again: what is used is what is stored."""
        if len({key.id for key in index.keys}) != len(index.keys):
            raise Taken("the new key has the id of another: do it again")
        self._store.write_index(keyindex.written(index, self.secret("index")))
        self._loaded = _Loaded(self._store)

    def _key(self, id_: str, roles: Collection[str]) -> Key:
        keys = {key.id: key for key in self.entries() if key.role in roles}
        if id_ not in keys:
            raise InputError(f"`{short(printable(id_))}` is not the id of such a key{nearest(id_, keys)}")
        return keys[id_]

    def _sweep(self) -> None:
        """Destroy what the index says is no longer kept; so also after a crash between the two."""
        kept = self._store.places()
        for key in self.entries():
            if key.gone and key.place in kept:
                self._store.destroy(key.place)


class _Loaded:
    """What a store keeps, read and compared at one time. It shows nothing of itself."""

    def __init__(self, store: KeyStore) -> None:
        self.index, file = keyindex.read_index(store.read_index())
        self._privates: dict[str, Ed25519PrivateKey] = {}
        self._secrets: dict[str, bytes] = {}
        for key in self.index.keys:
            if key.place is None or key.gone:
                continue
            if key.role in SIGNING:
                private = self._privates[key.id] = store.private(key.place)
                right = keyindex.public_half(key.role, self.index.name, private) == key.public
            else:
                secret = self._secrets[key.id] = store.secret(key.place)
                right = hmac.compare_digest(keyindex.check_of(key.role, secret), key.check or "")
            if not right:
                raise StoreError(
                    f"the key `{key.id}` of `{key.role}` is not the one of the index: restore from a backup"
                )
        keyindex.verify_index(file, self._secrets[self.current("index").id])

    def current(self, role: str) -> Key:
        return next(key for key in self.index.keys if key.role == role and key.state == "current")

    def signing(self, role: SigningRole) -> tuple[str, Ed25519PrivateKey]:
        """The name that a role signs with, and its private key."""
        return keyindex.name_of(self.index.name, role), self._privates[self.current(role).id]

    def secret(self, role: SecretRole, id_: str | None = None) -> bytes | None:
        wanted = self.current(role).id if id_ is None else id_
        own = any(key.role == role and key.id == wanted for key in self.index.keys)
        return self._secrets.get(wanted) if own else None


def new_name() -> str:
    """A name for an installation that nobody has named, unlike any other."""
    return f"carnet.local/{secrets.token_hex(4)}"
