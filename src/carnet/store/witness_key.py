"""The key that a witness cosigns with, as a file that only its owner reads. What is signed with it, and the
keys of a log, are not here; `read_key` is the one place to change for a key that is kept elsewhere."""

from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from carnet.ledger import checkpoint, note
from carnet.ledger.note import VerifierKey
from carnet.ledger.witness import WitnessKey
from carnet.model.errors import InputError, Malformed, StoreError, Taken
from carnet.model.plain import printable
from carnet.store import keyfiles

SECRET = "witness.key"  # noqa: S105 -- the name of a file
PUBLIC = "witness.pub"
"""The file names: the secret key (PEM, or 32 bytes of Ed25519 in base64), and the line to give to others."""

Algorithm = Literal["ed25519", "ml-dsa-44"]

_MOST = 20_000


def make_key(directory: Path, name: str, algorithm: Algorithm = "ed25519") -> WitnessKey:
    """A new key in this directory, durable.

    Raises `Taken` if there is one, InputError for a name that can't be, `Unavailable` if it can't be written.
    """
    made = Ed25519PrivateKey.generate() if algorithm == "ed25519" else MLDSA44PrivateKey.generate()
    key = WitnessKey(name, made)
    try:
        public = str(key.verifier)
    except Malformed as error:
        raise InputError(str(error)) from None
    path = directory / SECRET
    if path.exists():
        raise Taken(f"`{_name(path)}` is there: a witness keeps its key, or begins anew in another directory")
    keyfiles.write(directory / PUBLIC, f"{public}\n".encode())
    keyfiles.write(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), new=True)
    return key


def read_public(directory: Path) -> VerifierKey:
    """The public key of the witness in this directory. Raises InputError."""
    path = directory / PUBLIC
    try:
        return checkpoint.verifier_key(path.read_bytes()[:_MOST].decode().strip())
    except OSError as error:
        why = keyfiles.why(error)
        raise InputError(
            f"`{_name(path)}` can't be read, {why}: make it with `carnet witness init`"
        ) from None
    except (UnicodeDecodeError, Malformed):
        raise InputError(f"`{_name(path)}` is no public key: write it as `name+id+base64`") from None


def read_key(directory: Path) -> WitnessKey:
    """The key of the witness in this directory.

    Raises InputError if it is not that of the public key beside it; `StoreError` if it is none or can't be
    read, or others than its owner can read it.
    """
    public = read_public(directory)
    path = directory / SECRET
    found = WitnessKey(public.name, _private(keyfiles.read(path), path))
    if found.verifier != public:
        raise InputError(f"`{_name(path)}` is not the key of `{public.name}`: put back the one that belongs")
    return found


def _private(data: bytes, path: Path) -> Ed25519PrivateKey | MLDSA44PrivateKey:
    try:
        if data.startswith(b"-----BEGIN"):
            found = load_pem_private_key(data, None)
        else:
            found = Ed25519PrivateKey.from_private_bytes(note.decoded(data.decode("ascii").strip()))
    except (ValueError, TypeError, UnsupportedAlgorithm, Malformed):  # their texts may quote the key
        found = None
    if not isinstance(found, Ed25519PrivateKey | MLDSA44PrivateKey):
        raise StoreError(
            f"`{_name(path)}` is no key of Ed25519 or ML-DSA-44: put PEM there, or 32 bytes in base64"
        )
    return found


def _name(path: Path) -> str:
    return printable(str(path))
