"""The key of one approver, in a file of their own, encrypted under a passphrase. No keyring and no server has
it: they know its public half only; what an approver signs is not here.
"""

import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from carnet.ledger import note
from carnet.ledger.note import Ed25519Signer, VerifierKey
from carnet.model.errors import InputError, Malformed, StoreError, Unverified
from carnet.model.plain import printable
from carnet.store import keyfiles
from carnet.store.keyindex import check_name

SHORTEST = 12
"""Signs that a passphrase has at least."""

_TITLE = "carnet approver key 1"
_SALT_BYTES = 16
_COST = 2**17


def make_approver(file: Path, name: str, passphrase: str) -> VerifierKey:
    """A new key in a new file; gives its public half.

    Raises `InputError` for a name that can't be one or a short passphrase, `Taken` if the file is there.
    """
    check_name(name)
    if len(passphrase) < SHORTEST:
        raise InputError(f"a passphrase of {len(passphrase)} signs is short: take `{SHORTEST}` or more")
    private, salt = Ed25519PrivateKey.generate(), secrets.token_bytes(_SALT_BYTES)
    signer = Ed25519Signer(name, private)
    encrypted = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(_stretched(passphrase, salt)),
    )
    head = f"{_TITLE}\n{signer.verifier}\n{note.encoded(salt)}\n"
    keyfiles.write(file, head.encode() + encrypted, new=True)
    return signer.verifier


def open_approver(file: Path, passphrase: str) -> Ed25519Signer:
    """What signs as the approver. Raises `Unverified` for a wrong passphrase, `StoreError` for a file that is
    open to others or is not what was written."""
    shown = printable(str(file))
    data = keyfiles.read(file)
    title, public, salt, encrypted = (*data.split(b"\n", 3), b"", b"", b"")[:4]
    try:
        verifier = note.verifier_key(public.decode())
        stretched = _stretched(passphrase, note.decoded(salt.decode()))
    except (Malformed, UnicodeDecodeError):
        title = b""
    if title != _TITLE.encode():
        raise StoreError(f"`{shown}` is no key of an approver: restore it from your backup")
    try:
        private = serialization.load_pem_private_key(encrypted, stretched)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unverified(
            f"`{shown}` does not open with this passphrase: type it again, or restore the file"
        ) from None
    if (
        not isinstance(private, Ed25519PrivateKey)
        or private.public_key().public_bytes_raw() != verifier.public
    ):
        raise StoreError(f"`{shown}` has another public half than its key: restore it from your backup")
    return Ed25519Signer(verifier.name, private)


def _stretched(passphrase: str, salt: bytes) -> bytes:
    """What the file is encrypted under: a guess costs 128 MB and a good part of a second."""
    return Scrypt(salt, 32, n=_COST, r=8, p=1).derive(passphrase.encode()).hex().encode()
