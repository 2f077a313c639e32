"""The index of a keyring, which is not secret: which keys there are and were, their public halves, and the
statements of their rotations, as bytes that nobody can change without the secret `index`. The keys themselves
are not here.
"""

import datetime as dt
import hashlib
import hmac
from typing import Literal, get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from carnet.ledger import checkpoint, note
from carnet.ledger.note import Ed25519Signer, VerifierKey
from carnet.model.errors import InputError, Malformed, StoreError, Unverified
from carnet.model.plain import printable, short
from carnet.model.time import in_utc, instant
from carnet.model.written import Instant
from carnet.words.catalogue import stamp

SigningRole = Literal["log", "witness", "bundle"]
SecretRole = Literal["subjects", "index", "api"]
Role = Literal["log", "witness", "bundle", "subjects", "index", "api", "approver"]

SIGNING: tuple[SigningRole, ...] = get_args(SigningRole)
SECRETS: tuple[SecretRole, ...] = get_args(SecretRole)

FORMAT = 1
_TITLE = "carnet key rotation"
_MOST_NAME = 200
_ED25519, _COSIGNATURE = checkpoint.SCHEMES[0x01], checkpoint.SCHEMES[0x04]


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key as the index has it: nothing in it is secret.

    `id` is that of its signatures (8 hex digits), or of the secret. `public` is the public half, written
    `name+id+base64`; `check` is what the secret has to come to. `place` is where its store keeps it.
    """

    role: Role
    id: str
    state: Literal["current", "retired"]
    created: Instant
    retired: Instant | None = None
    destroyed: Instant | None = None
    public: str | None = None
    check: str | None = None
    place: str | None = None

    @property
    def verifier(self) -> VerifierKey | None:
        return None if self.public is None else checkpoint.verifier_key(self.public)

    @property
    def gone(self) -> bool:
        """Whether nothing but its public half may be kept."""
        return self.destroyed is not None or (self.state == "retired" and self.role in SIGNING)


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """That a role has a new key: the ids, and for a signing key the new public half and the statement, a note
    signed by both."""

    role: Role
    old: str
    new: str
    at: Instant
    public: str | None = None
    statement: str | None = None

    @property
    def verifier(self) -> VerifierKey | None:
        return None if self.public is None else checkpoint.verifier_key(self.public)


class Statement(Struct, frozen=True):
    """What a rotation's statement says, its two signatures verified. Whether `old` is the key of whom one
    believes it to be is for the reader to know."""

    role: str
    old: VerifierKey
    new: VerifierKey
    at: dt.datetime


class Index(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is known of an installation's keys; `name` is the log's origin."""

    name: str
    keys: tuple[Key, ...]
    rotations: tuple[Rotation, ...] = ()


class Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The index as it is stored; `mac` is over the bytes of `index`, under the secret `index`."""

    format: int
    index: msgspec.Raw
    mac: str


class _Format(Struct, frozen=True):
    format: int


def check_name(name: str) -> None:
    """Raises `InputError` if this can't be the name of an installation or an approver."""
    try:
        note.check_name(name)
    except Malformed as error:
        raise InputError(str(error)) from None
    if len(name) > _MOST_NAME or not name.isascii() or not name.isprintable():
        raise InputError(f"`{short(printable(name))}` is no name of a key: write up to {_MOST_NAME} of ASCII")


def name_of(name: str, role: str) -> str:
    """What the key of a role is called in its signatures: the log's as the installation."""
    return name if role == "log" else f"{name}/{role}"


def public_half(role: str, name: str, private: Ed25519PrivateKey) -> str:
    """The public half as it is written. A witness's key is of the type that cosigns."""
    scheme = _COSIGNATURE if role == "witness" else _ED25519
    return str(VerifierKey(name_of(name, role), scheme, private.public_key().public_bytes_raw()))


def check_of(role: str, secret: bytes) -> str:
    """What tells whether a secret is the one of the index, and gives nothing of it away."""
    return hmac.new(secret, f"carnet key check\n{role}".encode(), hashlib.sha256).hexdigest()


def signing_key(
    role: SigningRole, name: str, place: str, private: Ed25519PrivateKey, now: dt.datetime
) -> Key:
    """The entry of a new signing key."""
    public = public_half(role, name, private)
    id_ = checkpoint.verifier_key(public).key_id.hex()
    return Key(role=role, id=id_, state="current", created=in_utc(now), public=public, place=place)


def secret_key(role: SecretRole, place: str, secret: bytes, now: dt.datetime) -> Key:
    """The entry of a new secret."""
    check = check_of(role, secret)
    return Key(role=role, id=check[:8], state="current", created=in_utc(now), check=check, place=place)


def written(index: Index, secret: bytes) -> bytes:
    """The index as it is stored."""
    raw = msgspec.json.format(msgspec.json.encode(index), indent=1)
    return msgspec.json.encode(Written(format=FORMAT, index=msgspec.Raw(raw), mac=_mac(secret, raw))) + b"\n"


def read_index(data: bytes) -> tuple[Index, Written]:
    """The index, not verified yet: that needs a secret which it names. Raises `StoreError`."""
    broken = StoreError("the index of the keys can't be read: restore it from a backup")
    try:
        number = msgspec.json.decode(data, type=_Format).format
        file = msgspec.json.decode(data, type=Written) if number == FORMAT else None
        index = None if file is None else msgspec.json.decode(file.index, type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise broken from None
    if file is None or index is None:
        raise StoreError(f"the index of the keys has format `{number}`: install a newer Carnet")
    for role in (*SIGNING, *SECRETS):
        current = [key for key in index.keys if key.role == role and key.state == "current"]
        if len(current) != 1 or current[0].gone or current[0].place is None:
            raise broken
    if len({key.id for key in index.keys}) != len(index.keys):
        raise broken
    return index, file


def verify_index(file: Written, secret: bytes) -> None:
    """Raises `StoreError` if the index is not what was written under this secret."""
    if not hmac.compare_digest(_mac(secret, bytes(file.index)), file.mac):
        raise StoreError("the index of the keys was changed by hand: restore it from a backup")


def make_statement(
    role: SigningRole, name: str, before: Ed25519PrivateKey, after: Ed25519PrivateKey, at: dt.datetime
) -> str:
    """The note which says that `after` takes the place of `before`, signed by both."""
    old, new = public_half(role, name, before), public_half(role, name, after)
    text = f"{_TITLE}\n{role}\n{old}\n{new}\n{stamp(at)}\n"
    signers = [Ed25519Signer(name_of(name, role), private) for private in (before, after)]
    return note.signed(text, signers).data.decode()


def read_statement(data: bytes) -> Statement:
    """What a statement of a rotation says. Raises `Malformed` if it is none, `Unverified` if not both keys
    signed it."""
    lines = note.parsed(data).text.split("\n")
    if len(lines) != 6 or lines[0] != _TITLE or lines[1] not in SIGNING:
        raise Malformed(f"the note is no statement of a rotation: its first line is `{_TITLE}`")
    old, new = checkpoint.verifier_key(lines[2]), checkpoint.verifier_key(lines[3])
    # A witness's key has another type in its cosignatures; it signs a plain note as any other.
    plain = [VerifierKey(key.name, _ED25519, key.public) for key in (old, new)]
    if old.public == new.public:
        raise Malformed("the statement names one key twice: a rotation has an old and a new one")
    verified = note.verified(data, plain)
    signed = {(each.name, each.key_id) for each in verified.signatures}
    if signed != {(key.name, key.key_id) for key in plain}:
        raise Unverified("the statement is not signed by both keys: get it from who rotated the key")
    try:
        at = instant(lines[4])
    except InputError as error:
        raise Malformed(str(error)) from None
    return Statement(lines[1], old, new, at)


def _mac(secret: bytes, raw: bytes) -> str:
    return hmac.new(secret, b"carnet index of keys\n" + raw, hashlib.sha256).hexdigest()
