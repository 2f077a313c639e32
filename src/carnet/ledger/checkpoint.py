"""Checkpoints as C2SP tlog-checkpoint says, and cosignatures as C2SP tlog-cosignature says: which log had
which size and root, signed by the log, and by witnesses at a time. Who has to cosign, and how lately, is
policy and not here; the time is told.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from msgspec import Struct

from carnet.ledger import note
from carnet.ledger.note import Note, Scheme, Signature, Signer, Verifier, VerifierKey
from carnet.ledger.tree import EMPTY_ROOT, HASH_BYTES
from carnet.model.errors import Malformed, Unverified
from carnet.model.plain import printable, short

MOST_SIZE = 2**63 - 1
"""The largest size, and the latest time in seconds, that a checkpoint or cosignature may give."""

_TIME_BYTES = 8
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_LABEL = b"subtree/v1\n\x00"
_MOST_NAME = 255


class Checkpoint(Struct, frozen=True):
    """What a log says about itself: its origin (who it is), its size in records, its root (32 bytes).

    Raises `Malformed` if that can't be written as a checkpoint.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or any(sign < " " for sign in line):
                raise Malformed(
                    f"`{short(printable(line))}` is no line of a checkpoint: it has to be one, and not empty"
                )
        if not 0 <= self.size <= MOST_SIZE:
            raise Malformed(f"`{self.size}` is no size of a log: give 0 to {MOST_SIZE}")
        if len(self.root) != HASH_BYTES:
            raise Malformed(f"the root has {len(self.root)} bytes, not {HASH_BYTES}: give the SHA-256 root")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise Malformed("the root of an empty log is the SHA-256 of nothing: this one is of another log")

    @property
    def text(self) -> str:
        """The text that is signed, three lines and the extension lines."""
        lines = (self.origin, str(self.size), note.encoded(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


class Cosignature(Struct, frozen=True):
    """That a witness saw the log consistent up to here: its key, and when, in seconds since 1970. A time of 0
    says nothing about when."""

    name: str
    key_id: bytes
    at: int


class Opened(Struct, frozen=True):
    """A checkpoint that its log signed, and the witnesses that cosigned it, each with its time."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]
    cosignatures: tuple[Cosignature, ...]


class Ed25519Cosignature(Struct, frozen=True):
    """A time and an Ed25519 signature over `cosignature/v1`, the time and the text: signature type 0x04."""

    number: int = 0x04
    label: str = "Ed25519 cosignature"
    key_bytes: int = 32

    def verify(self, name: str, public: bytes, text: str, signature: bytes) -> bool:
        del name  # this type does not sign it
        at = _time(signature)
        if at is None or not _reads(text):
            return False
        return note.ed25519_holds(public, _cosigned(text, at), signature[_TIME_BYTES:])


class MLDSA44Cosignature(Struct, frozen=True):
    """A time and an ML-DSA-44 signature (FIPS 204) over names, time, size and root: signature type 0x06."""

    number: int = 0x06
    label: str = "ML-DSA-44 cosignature"
    key_bytes: int = 1312

    def verify(self, name: str, public: bytes, text: str, signature: bytes) -> bool:
        at = _time(signature)
        if at is None:
            return False
        try:
            message = _subtree(name, parsed(text), at)
            MLDSA44PublicKey.from_public_bytes(public).verify(signature[_TIME_BYTES:], message)
        except (InvalidSignature, ValueError, Malformed):
            return False
        return True


SCHEMES: Mapping[int, Scheme] = {**note.SCHEMES, 0x04: Ed25519Cosignature(), 0x06: MLDSA44Cosignature()}
_COSIGNATURES = (0x04, 0x06)


class Ed25519Cosigner(Struct, frozen=True):
    """A `Signer` of type 0x04 that says when it signs: `at`, in seconds since 1970."""

    name: str
    private: Ed25519PrivateKey
    at: int

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, SCHEMES[0x04], self.private.public_key().public_bytes_raw())

    @property
    def key_id(self) -> bytes:
        return self.verifier.key_id

    def sign(self, text: str) -> bytes:
        """Raises `Malformed` if the text is no checkpoint."""
        parsed(text)
        return _stamp(self.at) + self.private.sign(_cosigned(text, self.at))


class MLDSA44Cosigner(Struct, frozen=True):
    """A `Signer` of type 0x06 that says when it signs: `at`, in seconds since 1970. A log signs with it too.
    Extension lines are not signed."""

    name: str
    private: MLDSA44PrivateKey
    at: int

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, SCHEMES[0x06], self.private.public_key().public_bytes_raw())

    @property
    def key_id(self) -> bytes:
        return self.verifier.key_id

    def sign(self, text: str) -> bytes:
        """Raises `Malformed` if the text is no checkpoint, or a name has over 255 bytes."""
        return _stamp(self.at) + self.private.sign(_subtree(self.name, parsed(text), self.at))


def verifier_key(text: str) -> VerifierKey:
    """A public key of a log or a witness, written `name+id+base64`. Raises `Malformed`."""
    return note.verifier_key(text, SCHEMES)


def parsed(text: str) -> Checkpoint:
    """A checkpoint from the text of a note, without its signatures. Raises `Malformed`."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1]:
        raise Malformed("the text is no checkpoint: it has three lines or more, origin, size and root first")
    origin, size, root, *extensions = lines[:-1]
    if not _NUMBER.fullmatch(size):
        raise Malformed(
            f"`{short(printable(size))}` is no size of a log: write it in digits, no zero before it"
        )
    return Checkpoint(origin, int(size), note.decoded(root), tuple(extensions))


def opened(data: bytes, origin: str, log: Sequence[Verifier], witnesses: Iterable[Verifier] = ()) -> Opened:
    """A checkpoint of the log `origin`, signed by one of the keys of `log`.

    Witnesses whose cosignatures are there are given with their times; none has to be. A witness's signature
    never stands in for the log's. Raises `Malformed`, or `Unverified` as `note.verified` and if the origin is
    another or the log did not sign.
    """
    known = (*log, *witnesses)
    found = note.verified(data, known)
    checkpoint = parsed(found.text)
    if checkpoint.origin != origin:
        raise Unverified(
            f"the checkpoint is of `{short(printable(checkpoint.origin))}`, not of `{origin}`: get that one"
        )
    own = {(key.name, key.key_id) for key in log}
    signatures = tuple(one for one in found.signatures if (one.name, one.key_id) in own)
    if not signatures:
        raise Unverified(f"the log `{origin}` did not sign, only witnesses did: get its own checkpoint")
    stamped = {
        (key.name, key.key_id)
        for key in known
        if isinstance(key, VerifierKey) and key.scheme.number in _COSIGNATURES
    } - own
    cosignatures = tuple(
        Cosignature(one.name, one.key_id, int.from_bytes(one.signature[:_TIME_BYTES], "big"))
        for one in found.signatures
        if (one.name, one.key_id) in stamped
    )
    return Opened(checkpoint, signatures, cosignatures)


def signed(checkpoint: Checkpoint, signers: Sequence[Signer]) -> Note:
    """The checkpoint as a note. What is stored is not looked at: `carnet.ledger.log.sign` does that first."""
    return note.signed(checkpoint.text, signers)


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _subtree(name: str, checkpoint: Checkpoint, at: int) -> bytes:
    """The `cosigned_message` of tlog-cosignature for a whole tree: `start` is 0."""
    size = checkpoint.size.to_bytes(8, "big")
    return b"".join(
        (
            _LABEL,
            _opaque(name),
            at.to_bytes(_TIME_BYTES, "big"),
            _opaque(checkpoint.origin),
            bytes(8),
            size,
            checkpoint.root,
        )
    )


def _opaque(text: str) -> bytes:
    data = text.encode()
    if len(data) > _MOST_NAME:
        raise Malformed(f"`{short(text)}` has {len(data)} bytes: ML-DSA-44 cosignatures take {_MOST_NAME}")
    return bytes([len(data)]) + data


def _stamp(at: int) -> bytes:
    if not 0 <= at <= MOST_SIZE:
        raise Malformed(f"`{at}` is no time of a cosignature: give seconds since 1970")
    return at.to_bytes(_TIME_BYTES, "big")


def _time(signature: bytes) -> int | None:
    at = int.from_bytes(signature[:_TIME_BYTES], "big")
    return at if len(signature) > _TIME_BYTES and at <= MOST_SIZE else None


def _reads(text: str) -> bool:
    try:
        parsed(text)
    except Malformed:
        return False
    return True
