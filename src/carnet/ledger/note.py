"""Signed notes as C2SP signed-note says: a text, and lines that say which keys signed it. What a text
means is not here (`carnet.ledger.checkpoint` knows one kind), and no key is kept here.

A signature type is a `Scheme`; a new one is a new entry in a table that is handed to `verifier_key`.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from carnet.model.errors import Malformed, Unverified
from carnet.model.plain import printable, short

MOST_BYTES = 1_000_000
MOST_SIGNATURES = 100
"""Sixteen have to be accepted; a signature of ML-DSA-44 takes 3.3 kB."""

_DASH = "\N{EM DASH} "
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_ID_BYTES = 4


class Signature(Struct, frozen=True):
    """One signature line: the key's name and id (4 bytes), and what its type makes of the text."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {encoded(self.key_id + self.signature)}\n"


class Note(Struct, frozen=True):
    """A text and its signatures. Nothing says that they are right: see `verified`."""

    text: str
    signatures: tuple[Signature, ...]

    @property
    def data(self) -> bytes:
        """The note as it is stored and sent, UTF-8."""
        return f"{self.text}\n{''.join(one.line for one in self.signatures)}".encode()


class Verified(Struct, frozen=True):
    """A text that at least one known key signed. `signatures` are those of known keys, every one of them
    right; `unknown` are the others, of which nothing is known."""

    text: str
    signatures: tuple[Signature, ...]
    unknown: tuple[Signature, ...]


class Verifier(Protocol):
    """A key that signatures are checked with."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell this key and its signature type from others of the same name."""

    def verify(self, text: str, signature: bytes) -> bool: ...


class Signer(Protocol):
    """A key that signs texts: in memory, or an adapter to where it is kept."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def sign(self, text: str) -> bytes: ...


class Scheme(Protocol):
    """A signature type: its byte, its name, how long its public keys are, and its check."""

    @property
    def number(self) -> int: ...

    @property
    def label(self) -> str: ...

    @property
    def key_bytes(self) -> int: ...

    def verify(self, name: str, public: bytes, text: str, signature: bytes) -> bool: ...


class VerifierKey(Struct, frozen=True):
    """A public key with its name; a `Verifier`."""

    name: str
    scheme: Scheme
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != self.scheme.key_bytes:
            raise Malformed(
                f"the key of `{self.name}` has {len(self.public)} bytes: "
                f"{self.scheme.label} has {self.scheme.key_bytes}"
            )

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.scheme.number, self.public)

    def verify(self, text: str, signature: bytes) -> bool:
        return self.scheme.verify(self.name, self.public, text, signature)

    def __str__(self) -> str:
        typed = encoded(bytes([self.scheme.number]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{typed}"


class Ed25519(Struct, frozen=True):
    """Ed25519 (RFC 8032) over the text: signature type 0x01."""

    number: int = 0x01
    label: str = "Ed25519"
    key_bytes: int = 32

    def verify(self, name: str, public: bytes, text: str, signature: bytes) -> bool:
        del name  # this type does not sign it
        return ed25519_holds(public, text.encode(), signature)


SCHEMES: Mapping[int, Scheme] = {0x01: Ed25519()}


class Ed25519Signer(Struct, frozen=True):
    """A `Signer` with a key in memory."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, SCHEMES[0x01], self.private.public_key().public_bytes_raw())

    @property
    def key_id(self) -> bytes:
        return self.verifier.key_id

    def sign(self, text: str) -> bytes:
        return self.private.sign(text.encode())


def key_id(name: str, number: int, public: bytes) -> bytes:
    """The four bytes that signed-note recommends: the beginning of SHA-256 over name, type and key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([number]) + public).digest()[:_ID_BYTES]


def verifier_key(text: str, schemes: Mapping[int, Scheme] = SCHEMES) -> VerifierKey:
    """A public key written `name+id+base64`. Raises `Malformed`; so does an id that is not this key's."""
    name, _, rest = text.partition("+")
    written, _, typed = rest.partition("+")
    shown = short(printable(text))
    if not _KEY_ID.fullmatch(written):
        raise Malformed(f"`{shown}` is not a public key: write `name+id+base64`, the id in 8 hex digits")
    data = decoded(typed)
    if not data or data[0] not in schemes:
        raise Malformed(f"`{shown}` has a signature type that is not known here: use {_known(schemes)}")
    found = VerifierKey(name, schemes[data[0]], data[1:])
    if found.key_id.hex() != written:
        raise Malformed(f"`{shown}` has the id of another key: copy the whole line again")
    return found


def parsed(data: bytes) -> Note:
    """A note, with nothing verified: its text must not be trusted, only shown or passed on.

    Raises `Malformed` for what is not a signed note: over a million bytes, no UTF-8, a control character, no
    signature or over 100 of them, a line that is none. A line that is there twice is kept once.
    """
    if len(data) > MOST_BYTES:
        raise Malformed(f"a note of {len(data)} bytes is over {MOST_BYTES}: it is not one of a log")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise Malformed("the note is not UTF-8: fetch it again as bytes") from None
    split = whole.rfind("\n\n")
    if split < 0:
        raise Malformed("the note has no signatures: they follow an empty line")
    text, block = whole[: split + 1], whole[split + 2 :]
    _check_text(whole)
    if not block.endswith("\n"):
        raise Malformed("the note does not end with a signature line: it was cut, fetch it again")
    lines = block[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise Malformed(f"the note has {len(lines)} signatures, over {MOST_SIGNATURES}: leave some out")
    return Note(text, tuple(dict.fromkeys(signature_line(line) for line in lines)))


def signature_line(line: str) -> Signature:
    """One line without its newline. Raises `Malformed` if it is no signature line."""
    name, space, rest = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise Malformed(f"`{short(printable(line))}` is no signature line: write `{_DASH}name base64`")
    check_name(name)
    data = decoded(rest)
    if len(data) <= _ID_BYTES:
        raise Malformed(f"the signature of `{name}` has {len(data)} bytes: it was cut, fetch it again")
    return Signature(name, data[:_ID_BYTES], data[_ID_BYTES:])


def verified(data: bytes, verifiers: Iterable[Verifier]) -> Verified:
    """A note whose text may be trusted as far as its signers are.

    Every signature of a known key, by name and id, is checked, also when the same key signed twice.
    Raises `Malformed` as `parsed`; `Unverified` if one of them is wrong, if none of them is there, or if two
    different known keys have the same name and id.
    """
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise Unverified(f"two known keys are `{_key(verifier)}`: give only the right one")
    note = parsed(data)
    right, unknown = [], []
    for each in note.signatures:
        key = known.get((each.name, each.key_id))
        if key is None:
            unknown.append(each)
        elif key.verify(note.text, each.signature):
            right.append(each)
        else:
            raise Unverified(
                f"the signature of `{_key(each)}` is wrong: the note was changed, trust none of it"
            )
    if not right:
        signers = ", ".join(f"`{_key(each)}`" for each in unknown[:5])
        raise Unverified(f"no known key signed the note, only {signers}: get the key from its owner")
    return Verified(note.text, tuple(right), tuple(unknown))


def signed(text: str, signers: Sequence[Signer]) -> Note:
    """A note with one signature of each signer. Raises `Malformed` if the text is none of a note, or no
    signer is given."""
    if not signers:
        raise Malformed("a note without a signature is none: give a signer")
    if not text.endswith("\n"):
        raise Malformed("the text of a note ends with a newline: add one")
    _check_text(text)
    for signer in signers:
        check_name(signer.name)
    made = tuple(Signature(one.name, one.key_id, one.sign(text)) for one in signers)
    return Note(text, made)


def joined(note: Note, signatures: Iterable[Signature]) -> Note:
    """The note with more signatures after its own; one that it has already is not repeated."""
    return Note(note.text, tuple(dict.fromkeys((*note.signatures, *signatures))))


def check_name(name: str) -> None:
    """Raises `Malformed` if this can't be the name of a key."""
    if not name or "+" in name or any(sign.isspace() or sign < " " for sign in name):
        raise Malformed(f"`{short(printable(name))}` is not the name of a key: leave out spaces and `+`")


def encoded(data: bytes) -> str:
    """Standard base64 (RFC 4648 section 4)."""
    return base64.b64encode(data).decode()


def decoded(text: str) -> bytes:
    """The bytes of standard base64. Raises `Malformed` for every other way to write them: so a note that is
    read and written again is the same bytes."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        data = None
    if data is None or encoded(data) != text:
        raise Malformed(f"`{short(printable(text))}` is not base64: copy the whole line again")
    return data


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this Ed25519 key signed these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_text(text: str) -> None:
    found = _CONTROLS.search(text)
    if found:
        raise Malformed(f"the note has the control character `{ascii(found[0])[1:-1]}`: leave it out")


def _key(key: Verifier | Signature) -> str:
    return f"{printable(key.name)}+{key.key_id.hex()}"


def _known(schemes: Mapping[int, Scheme]) -> str:
    return ", ".join(f"`{one.label}`" for one in schemes.values())
