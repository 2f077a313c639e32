"""A draft: metadata that people have to sign before it is published. Each signs on their own machine with
their own key; only the signature travels. What is published of it is in `carnet.store.bundles.publisher`."""

import json
from collections.abc import Collection, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from securesystemslib.signer import Signature as TufSignature  # type: ignore[attr-defined] # tuf exports it unsaid
from tuf.api.metadata import Root, Signed, Targets  # type: ignore[attr-defined] # tuf exports it unsaid

from carnet.ledger import note
from carnet.ledger.note import Signature, Signer, VerifierKey
from carnet.model.errors import InputError
from carnet.model.plain import printable, short
from carnet.store.bundles.errors import AlteredMetadata, BelowThreshold, Foreign, OutOfPlace, SignedTwice
from carnet.store.bundles.reading import wrapped
from carnet.store.bundles.roles import tuf_key

DraftRole = Literal["root", "targets", "stop"]


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose signatures count, as `name+id+base64`, and how many are needed."""

    keys: tuple[str, ...]
    threshold: int


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metadata to sign. `to_sign` are the bytes, canonical JSON; `wanted` is met when each of its entries is:
    a new root is signed by the old root's keys and by its own; `signatures` are lines of a signed note."""

    format: Literal[1] = 1
    role: DraftRole
    version: int
    to_sign: bytes
    wanted: tuple[Wanted, ...]
    signatures: tuple[str, ...] = ()

    @property
    def digests(self) -> tuple[str, ...]:
        """The bundles that it lists. An approver compares them with the bundle that they read."""
        if self.role == "root":
            return ()
        return tuple(path.rpartition("/")[2] for path in json.loads(self.to_sign)["targets"])

    @property
    def missing(self) -> int:
        """How many signatures are missing at least."""
        signed = {(each.name, each.key_id) for each in map(_line, self.signatures)}
        keys = [{(key.name, key.key_id) for key in map(note.verifier_key, one.keys)} for one in self.wanted]
        needs = [
            max(0, one.threshold - len(ids & signed)) for one, ids in zip(self.wanted, keys, strict=True)
        ]
        return max(needs, default=0)


def draft(role: DraftRole, signed: Signed, wanted: Sequence[tuple[Sequence[VerifierKey], int]]) -> Draft:
    """The draft of metadata that nobody signed yet."""
    return Draft(
        role=role,
        version=signed.version,
        to_sign=wrapped(signed).signed_bytes,
        wanted=tuple(Wanted(tuple(map(str, keys)), threshold) for keys, threshold in wanted),
    )


def sign(found: Draft, signer: Signer, seen: Collection[str] = ()) -> Signature:
    """An approver's signature, made where their key is. `seen` are the digests of the bundles that they read,
    now or before.

    Raises `OutOfPlace` if the draft lists another one.
    """
    for digest in found.digests:
        if digest not in seen:
            raise OutOfPlace(
                f"the draft lists `{short(printable(digest), 64)}`, which you did not read: read it, "
                "or ask for a draft without it"
            )
    return Signature(signer.name, signer.key_id, signer.sign(found.to_sign.decode()))


def add_signature(found: Draft, signature: Signature) -> Draft:
    """The draft with one more signature, checked.

    Raises `Foreign` for a key that does not count, `SignedTwice` if it signed already, `AlteredMetadata` if
    the signature is wrong.
    """
    who = f"{short(printable(signature.name))}+{signature.key_id.hex()}"
    verifier = _keys(found).get((signature.name, signature.key_id))
    if verifier is None:
        raise Foreign(f"`{who}` is no key of `{found.role}`: have it signed by those that the root names")
    if any(
        (each.name, each.key_id) == (verifier.name, verifier.key_id) for each in map(_line, found.signatures)
    ):
        raise SignedTwice(f"`{who}` signed already: have it signed by another")
    if not verifier.verify(found.to_sign.decode(), signature.signature):
        raise AlteredMetadata(f"the signature of `{who}` is not of this draft: send the draft again")
    return replace(found, signatures=(*found.signatures, signature.line.removesuffix("\n")))


def finished(found: Draft) -> bytes:
    """The file that is published. Raises `BelowThreshold`, and as `add_signature`."""
    whole = replace(found, signatures=())
    for line in found.signatures:
        whole = add_signature(whole, _line(line))
    if whole.missing:
        raise BelowThreshold(
            f"the draft of `{found.role}` has `{len(found.signatures)}` signatures, and at least "
            f"`{whole.missing}` is missing: have it signed by another"
        )
    metadata, keys = wrapped(signed_of(found)), _keys(found)
    for each in map(_line, found.signatures):
        id_ = tuf_key(keys[each.name, each.key_id]).keyid
        metadata.signatures[id_] = TufSignature(id_, each.signature.hex())
    return metadata.to_bytes()


def signed_of(found: Draft) -> Root | Targets:
    """What a draft says. Raises `InputError` for one that Carnet did not make."""
    kind = Root if found.role == "root" else Targets
    try:
        signed: Root | Targets = kind.from_dict(json.loads(found.to_sign))
        right = wrapped(signed).signed_bytes == found.to_sign and signed.version == found.version
    except (ValueError, TypeError, KeyError, RecursionError):
        right = False
    if not right:
        raise InputError(f"the draft of `{found.role}` can't be read: prepare it again")
    return signed


def written(found: Draft) -> bytes:
    """A draft as it is sent to those who sign it, JSON."""
    return msgspec.json.encode(found, order="sorted")


def read(data: bytes) -> Draft:
    """A draft that was sent. Raises `InputError` if it is none."""
    try:
        return msgspec.json.decode(data, type=Draft)
    except (ValueError, RecursionError):
        raise InputError("this is no draft: send the file that was prepared") from None


def _keys(found: Draft) -> dict[tuple[str, bytes], VerifierKey]:
    keys = (note.verifier_key(text) for one in found.wanted for text in one.keys)
    return {(key.name, key.key_id): key for key in keys}


def _line(text: str) -> Signature:
    return note.signature_line(text)
