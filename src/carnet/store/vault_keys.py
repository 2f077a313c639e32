"""How a subject's key is wrapped under the installation's wrapping key, as bytes. Where wrapped keys are
kept is in `carnet.store.vault`."""

import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carnet.model.errors import Malformed, Unverified
from carnet.model.leaf import Retention

KEY_BYTES = 32
ID_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES

Whose = tuple[str, Retention]
"""A subject, by pseudonym, and a retention class."""

_KEY = b"carnet subject key 1\n"
_WRAPPING = b"carnet vault wrapping key 1\n"
_PIECE = 16


def wrapped(wrapping: bytes, id_: bytes, whose: Whose, key: bytes) -> bytes:
    """A nonce and AES-256-GCM of the key; it can be unwrapped for this id, subject and class only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(wrapping).encrypt(nonce, key, _bound(id_, whose))


def unwrapped(wrapping: bytes, id_: bytes, whose: Whose, data: bytes) -> bytes:
    """The key. Raises `Unverified` if this is not what `wrapped` gave for the same arguments."""
    try:
        return AESGCM(wrapping).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _bound(id_, whose))
    except (InvalidTag, ValueError):
        raise Unverified(
            f"the key `{id_.hex()}` can't be unwrapped: it was altered, or wrapped anew"
        ) from None


def pieces(data: bytes) -> list[bytes]:
    """The halves of a wrapped key without its nonce and tag: none of them may be left of a destroyed one."""
    secret = data[NONCE_BYTES:-TAG_BYTES]
    return [secret[at : at + _PIECE] for at in range(0, len(secret), _PIECE)]


def mark(wrapping: bytes, vault: bytes) -> bytes:
    """What tells one wrapping key from another and says nothing about it."""
    return hmac.digest(wrapping, _WRAPPING + vault, "sha256")[:_PIECE]


def check_key(wrapping: bytes) -> None:
    """Raises `Malformed` for a wrapping key of another length."""
    if len(wrapping) != KEY_BYTES:
        raise Malformed(
            f"a wrapping key of {len(wrapping)} bytes is none: give the {KEY_BYTES} of the keyring"
        )


def _bound(id_: bytes, whose: Whose) -> bytes:
    return _KEY + id_ + "\n".join(whose).encode()
