"""A bundle: the files of a rulebook, a policy, the epoch that they are meant for and the bundle that they
replace, as one byte string with one form. Who signed it is in `carnet.store.bundles.trust`.

It is a `carnet.ledger.archive`, its law stands in it as in an export: `laws/DIGEST/N/` are the files of shelf
N, `policies/DIGEST.json` the policy. The digests are those of `carnet.rules.bundle` and `carnet.policy`,
computed again when it is opened. A bundle is named by SHA-256 of its bytes.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from carnet.ledger.archive import Archive, packed, shown
from carnet.ledger.export import LAWS, POLICIES
from carnet.model.errors import InputError, LedgerError
from carnet.policy.enforcement import Policy
from carnet.policy.enforcement import digest as policy_digest
from carnet.rules.rulebook import Rulebook
from carnet.store.bundles.errors import Unusable
from carnet.store.laws import canonical, lawful, lawful_policy
from carnet.store.shelves import files_of

MANIFEST = "bundle.json"

MOST_BYTES = 32_000_000
"""What a bundle may have: a hundred times the shipped law."""

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Epoch = Annotated[int, Meta(ge=1, le=2**53)]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle is: `rulebook` and `policy` are digests, `replaces` is that of the bundle that was
    enforced when this one was made, None for the first."""

    format: Literal[1] = 1
    epoch: Epoch
    rulebook: Digest
    policy: Digest
    replaces: Digest | None


class Bundle(Struct, frozen=True, kw_only=True):
    """A bundle that was opened: everything in it has the digest that it is named by."""

    digest: str
    manifest: Manifest
    rulebook: Rulebook
    policy: Policy

    @property
    def epoch(self) -> int:
        return self.manifest.epoch


class _Format(Struct, frozen=True):
    format: int


def made(rulebook: Rulebook, policy: Policy, *, epoch: int, replaces: str | None) -> bytes:
    """The bytes of a bundle.

    Raises `InputError` for an epoch or a digest that can't be one, and if it is over `MOST_BYTES`;
    `StoreError` for a rulebook that does not know its files; `Malformed` for a file name that no bundle can
    have.
    """
    plain = {
        "epoch": epoch,
        "rulebook": rulebook.digest,
        "policy": policy_digest(policy),
        "replaces": replaces,
    }
    try:
        manifest = msgspec.convert(plain, Manifest)
    except msgspec.ValidationError as error:
        raise InputError(f"`{epoch}` and `{replaces}` are no epoch and digest of a bundle: {error}") from None
    members = {
        f"{LAWS}{manifest.rulebook}/{number}/{name}": data
        for number, shelf in enumerate(files_of(rulebook).shelves)
        for name, data in shelf.items()
    }
    members[MANIFEST] = _written(manifest)
    members[f"{POLICIES}{manifest.policy}.json"] = canonical(policy)
    data = b"".join(packed(sorted(members.items())))
    if len(data) > MOST_BYTES:
        raise InputError(f"the bundle has `{len(data)}` bytes, over `{MOST_BYTES}`: leave out a shelf")
    return data


def digest(data: bytes) -> str:
    """What a bundle is named by: SHA-256 of its bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def opened(data: bytes) -> Bundle:
    """A bundle from its bytes, its rulebook loaded. Raises `Unusable` for what is none, or another form of
    one, or a rulebook or policy that this Carnet can't load."""
    try:
        archive = Archive(memoryview(data))
        manifest = _manifest(archive.read(MANIFEST))
        shelves = _shelves(archive, f"{LAWS}{manifest.rulebook}/")
        policy = f"{POLICIES}{manifest.policy}.json"
        rulebook = lawful(manifest.rulebook, shelves)
        found = Bundle(
            digest=digest(data),
            manifest=manifest,
            rulebook=rulebook,
            policy=lawful_policy(manifest.policy, archive.read(policy)),
        )
    except LedgerError as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"the bundle `{digest(data)}` can't be used, {error}") from None
    for name in archive.members:
        if name not in (MANIFEST, policy) and not name.startswith(f"{LAWS}{manifest.rulebook}/"):
            raise Unusable(f"`{shown(name)}` is no part of a bundle: make the bundle again with Carnet")
    return found


def _manifest(data: bytes) -> Manifest:
    try:
        number = msgspec.json.decode(data, type=_Format).format
        if number != 1:
            raise Unusable(f"the bundle has format `{number}`, and `1` is known here: take a newer Carnet")
        found = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError):  # of msgspec, or of a text that is not UTF-8
        raise Unusable(f"`{MANIFEST}` can't be read: make the bundle again with Carnet") from None
    if _written(found) != data:
        raise Unusable(f"`{MANIFEST}` is not in its canonical form: make the bundle again with Carnet")
    return found


def _written(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest, order="sorted")


def _shelves(archive: Archive, prefix: str) -> list[Mapping[str, bytes]]:
    """The shelves of the rulebook, numbered from 0 without a gap."""
    found: dict[str, dict[str, bytes]] = {}
    for name in archive.names(prefix):
        number, _, path = name.removeprefix(prefix).partition("/")
        found.setdefault(number, {})[path] = archive.read(name)
    wanted = [str(number) for number in range(len(found))]
    if not found or set(wanted) != found.keys() or any("" in shelf for shelf in found.values()):
        raise Unusable(f"`{shown(prefix)}` is not the files of a rulebook: make the bundle again with Carnet")
    return [found[number] for number in wanted]
