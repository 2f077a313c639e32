"""The bundles that verified metadata lists, and their bytes. Whether the metadata is to be trusted is in
`carnet.store.bundles.trust`."""

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from tuf.api.metadata import Targets  # type: ignore[attr-defined] # tuf exports it unsaid

from carnet.model.plain import printable, short
from carnet.store.bundles.errors import (
    AlteredBundle,
    AlteredMetadata,
    Incomplete,
    Mixed,
    OutOfPlace,
    RolledBack,
    TooLarge,
)
from carnet.store.bundles.form import MOST_BYTES, Bundle
from carnet.store.bundles.form import digest as digest_of
from carnet.store.bundles.roles import BUNDLES, STOPS
from carnet.store.bundles.source import Source

MOST_LISTED = 8
"""Bundles that one role may list."""

Carrier = Literal["targets", "stop"]

PREFIXES: Mapping[Carrier, str] = {"targets": BUNDLES, "stop": STOPS}

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Listed(Struct, frozen=True):
    """A bundle that a role lists: where it is, its digest and its length."""

    role: Carrier
    path: str
    digest: str
    length: int


def listed_by(role: Carrier, targets: Targets) -> list[Listed]:
    """What a role lists. Raises `OutOfPlace` for what it may not carry, `TooLarge` for a bundle over the
    limit or too many of them, `AlteredMetadata` for a digest that is not the name."""
    prefix = PREFIXES[role]
    if len(targets.targets) > MOST_LISTED:
        raise TooLarge(f"`{role}` lists over `{MOST_LISTED}` bundles: keep fewer of them")
    found = []
    for path, about in sorted(targets.targets.items()):
        digest = path.removeprefix(prefix)
        if not path.startswith(prefix) or not _DIGEST.fullmatch(digest):
            raise OutOfPlace(
                f"`{short(printable(path))}` can't be carried by `{role}`: only `{prefix}DIGEST` can"
            )
        if about.hashes.get("sha256") != digest:
            raise AlteredMetadata(f"`{path}` is listed with another digest than its name: prepare it again")
        if about.length > MOST_BYTES:
            raise TooLarge(f"`{path}` has `{about.length}` bytes, over `{MOST_BYTES}`: leave out a shelf")
        found.append(Listed(role, path, digest, about.length))
    return found


def epochs(bundles: Mapping[Listed, Bundle], before: Mapping[Carrier, int]) -> dict[Carrier, int]:
    """The highest epoch of each role. Raises `Mixed` if two bundles of a role have one epoch, `RolledBack`
    if it was higher before."""
    found: dict[Carrier, int] = {}
    for role in PREFIXES:
        each = [bundle.epoch for listed, bundle in bundles.items() if listed.role == role]
        if len(set(each)) != len(each):
            raise Mixed(f"two bundles of `{role}` have one epoch: keep only the right one")
        highest, was = max(each, default=0), before.get(role, 0)
        if highest < was:
            raise RolledBack(
                f"`{role}` had a bundle of epoch `{was}`, and `{highest}` is older: "
                "make one with a higher epoch"
            )
        found[role] = highest
    return found


def fetched(listed: Listed, source: Source) -> bytes:
    """The bytes of a bundle, those that were signed. Raises `Incomplete`, `TooLarge`, `AlteredBundle`."""
    data = source.fetch(listed.path, listed.length)
    if data is None:
        raise Incomplete(f"`{listed.path}` is not there: publish it, or take again in a moment")
    if len(data) > listed.length:
        raise TooLarge(
            f"`{listed.path}` has over the `{listed.length}` bytes that were signed: fetch it again"
        )
    if len(data) != listed.length or digest_of(data) != listed.digest:
        raise AlteredBundle(f"`{listed.path}` is not what was signed: it was cut or changed, fetch it again")
    return data
