"""From a pinned root and files that anybody may have made to what is trusted: TUF's client workflow, told the
time. Pure of the disk; what is kept where is in `carnet.store.bundles.node`.

The workflow itself is `TrustedMetadataSet` of python-tuf, the part of its client without files and network.
It is not public there, so the version is bounded in pyproject.toml; it reads the clock when it is made, and
that is overwritten before anything is compared with it.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

from msgspec import Struct
from tuf.api.exceptions import EqualVersionNumberError
from tuf.api.metadata import MetaFile, Root, Targets  # type: ignore[attr-defined] # tuf exports it unsaid
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from carnet.store.bundles.errors import (
    Endless,
    Expired,
    Incomplete,
    Mixed,
    OutOfPlace,
    RolledBack,
)
from carnet.store.bundles.listing import Carrier, Listed, listed_by
from carnet.store.bundles.reading import FAILURES, Expected, load, parsed
from carnet.store.bundles.roles import STOP, Feed, check_delegations, feed_of
from carnet.store.bundles.source import Source

MOST_METADATA = 100_000
"""Bytes that one file of metadata may have."""

MOST_ROOTS = 32
"""New roots that are followed at one time."""


class Good(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metadata that was verified as one set at the instant `at`, under the root of version `under`."""

    under: int
    at: dt.datetime
    timestamp: bytes
    snapshot: bytes
    targets: bytes
    stop: bytes | None


class Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept: every root after the pinned one, the last set that was good, and the highest epoch that
    each role carried in it."""

    format: Literal[1] = 1
    roots: tuple[bytes, ...] = ()
    good: Good | None = None
    epochs: Mapping[Carrier, int] = {}


class Found(Struct, frozen=True, kw_only=True):
    """A verified set and what it says. `versions` are those of root, timestamp, snapshot, targets and, if
    there is one, stop; `until` is when the first of them is past its date."""

    good: Good
    feed: Feed
    listed: tuple[Listed, ...]
    versions: Mapping[str, int]
    until: dt.datetime


class Chain:
    """The roots, from the pinned one to the newest that is known: nothing is trusted that they do not say."""

    def __init__(self, pinned: bytes, roots: tuple[bytes, ...], now: dt.datetime) -> None:
        """Raises a `BundleError` for a root that does not verify itself or is not signed by the one
        before."""
        parsed("root.json", pinned)
        self.roots: tuple[bytes, ...] = ()
        self.now = now
        self.set = _begun(pinned, now)
        self.feed = feed_of(self.set.root)
        for data in roots:
            if _version("root.json", data) > self.set.root.version:  # the pinned one may be newer
                self.add(data)

    @property
    def root(self) -> Root:
        return self.set.root

    def add(self, data: bytes) -> None:
        """The next root. Raises a `BundleError`."""
        now, version = self.root, self.root.version + 1
        name = f"{version}.root.json"
        delegators = (now, *_itself(data))
        load(Expected(name, "root", delegators, version, version), data, self.set.update_root)
        feed = feed_of(self.root)
        if feed.origin != self.feed.origin:
            raise Mixed(f"`{name}` is a root of another feed: look at the source that is configured")
        self.feed, self.roots = feed, (*self.roots, data)

    def follow(self, source: Source) -> None:
        """Every newer root that a source has. Raises a `BundleError`; `roots` are then those before it."""
        for _ in range(MOST_ROOTS):
            data = source.fetch(f"{self.root.version + 1}.root.json", MOST_METADATA)
            if data is None:
                return
            self.add(_bounded(f"{self.root.version + 1}.root.json", data))
        raise Endless(f"there are more than `{MOST_ROOTS}` new roots: take again, or pin a newer root")


def followed(chain: Chain, good: Good | None, source: Source) -> Found:
    """What a source publishes now, verified and not older than `good`. Uses up the chain.

    Raises a `BundleError`, and what the source raises.
    """
    now, root, trusted = chain.now, chain.root, chain.set
    if root.is_expired(now):
        raise Expired(f"the root of version `{root.version}` is past its date: publish a new root")
    least = _versions(good)
    timestamp = _timestamp(chain, good, source, least)
    about = trusted.timestamp.snapshot_meta
    wanted = Expected(f"{about.version}.snapshot.json", "snapshot", (root,), about.version, least["snapshot"])
    snapshot = _part(
        wanted,
        good.snapshot if good else None,
        source,
        trusted.update_snapshot,
        lambda data: trusted.update_snapshot(data, trusted=True),
    )
    about = _listed_meta(trusted, "targets")
    wanted = Expected(f"{about.version}.targets.json", "targets", (root,), about.version, least["targets"])
    targets = _part(wanted, good.targets if good else None, source, trusted.update_targets)
    stop = None
    check_delegations(trusted.targets, chain.feed)
    if f"{STOP}.json" in trusted.snapshot.meta:
        about = _listed_meta(trusted, STOP)
        wanted = Expected(
            f"{about.version}.{STOP}.json", STOP, (trusted.targets,), about.version, least[STOP]
        )
        stop = _part(
            wanted,
            good.stop if good else None,
            source,
            lambda data: trusted.update_delegated_targets(data, STOP, "targets"),
        )
    elif good is not None and good.stop is not None:
        raise RolledBack(f"`{STOP}` was taken and is left out: look at another source")
    return _found(
        chain,
        Good(under=root.version, at=now, timestamp=timestamp, snapshot=snapshot, targets=targets, stop=stop),
    )


def again(pinned: bytes, kept: Kept) -> Found:
    """What is kept, verified again as it was when it was taken. Raises a `BundleError` if it does not hold
    any more."""
    good = kept.good
    if good is None:
        raise Incomplete("nothing was taken yet: take from a source")
    under = tuple(data for data in kept.roots if _version("root.json", data) <= good.under)
    files = {"timestamp.json": good.timestamp}
    chain = Chain(pinned, under, good.at)
    for role, data in (("snapshot", good.snapshot), ("targets", good.targets), (STOP, good.stop)):
        if data is not None:
            files[f"{_version(role, data)}.{role}.json"] = data
    return followed(chain, None, _Files(files))


class _Files(Struct, frozen=True):
    """A source that has what was kept."""

    files: Mapping[str, bytes]

    def fetch(self, name: str, most: int) -> bytes | None:
        del most  # it was bounded when it was taken
        return self.files.get(name)


def _begun(pinned: bytes, now: dt.datetime) -> TrustedMetadataSet:
    made: list[TrustedMetadataSet] = []
    load(
        Expected("root.json", "root", _itself(pinned)),
        pinned,
        lambda data: made.append(TrustedMetadataSet(data, EnvelopeType.METADATA)),
    )
    made[0].reference_time = now
    return made[0]


def _itself(data: bytes) -> tuple[Root, ...]:
    """A root as one of those that have to verify it."""
    signed = parsed("root.json", data).signed
    return (signed,) if isinstance(signed, Root) else ()


def _timestamp(chain: Chain, good: Good | None, source: Source, least: Mapping[str, int]) -> bytes:
    """The timestamp that counts now, added to the set: the one that is kept, or a newer one."""
    trusted = chain.set
    if good is not None:
        with suppress(*FAILURES):  # past its date, or of keys that a new root took away
            trusted.update_timestamp(good.timestamp)
    data = _bounded("timestamp.json", source.fetch("timestamp.json", MOST_METADATA))
    expected = Expected("timestamp.json", "timestamp", (chain.root,), None, least["timestamp"])
    try:
        load(expected, data, trusted.update_timestamp)
    except EqualVersionNumberError:
        if good is None or data != good.timestamp:
            raise Mixed(
                f"`timestamp.json` is another version `{least['timestamp']}` than the one that was taken: "
                "find out who has the online key"
            ) from None
        if trusted.timestamp.is_expired(chain.now):
            raise Expired(
                "`timestamp.json` is past its date: nothing newer was published, or it is held back from "
                "here; publish anew, or look at another source"
            ) from None
    return data


def _part(
    expected: Expected,
    kept: bytes | None,
    source: Source,
    add: Callable[[bytes], object],
    add_kept: Callable[[bytes], object] | None = None,
) -> bytes:
    """The file that is expected, added to the set: the one that is kept, or what the source has."""
    if kept is not None:
        with suppress(*FAILURES):  # it is not the one of this set
            (add_kept or add)(kept)
            return kept
    data = _bounded(expected.name, source.fetch(expected.name, MOST_METADATA))
    load(expected, data, add)
    return data


def _bounded(name: str, data: bytes | None) -> bytes:
    if data is None:
        raise Incomplete(f"`{name}` is not there: it is being published, or was lost; take again in a moment")
    if len(data) > MOST_METADATA:
        raise Endless(
            f"`{name}` has over `{MOST_METADATA}` bytes and may have no end: look at another source"
        )
    return data


def _listed_meta(trusted: TrustedMetadataSet, role: str) -> MetaFile:
    found = trusted.snapshot.meta.get(f"{role}.json")
    if found is None:
        raise Incomplete(f"the snapshot has no `{role}`: publish it again")
    return found


def _found(chain: Chain, good: Good) -> Found:
    trusted = chain.set
    carriers: dict[Carrier, Targets] = {"targets": trusted.targets}
    if good.stop is not None:
        stop = trusted[STOP]
        if not isinstance(stop, Targets) or stop.delegations is not None:
            raise OutOfPlace(f"`{STOP}` delegates to others, and may not: prepare the stop again")
        carriers["stop"] = stop
    listed = tuple(each for role, targets in carriers.items() for each in listed_by(role, targets))
    if not any(each.role == "targets" for each in listed):
        raise Incomplete("`targets` lists no bundle: prepare one")
    signed = (trusted.root, trusted.timestamp, trusted.snapshot, *carriers.values())
    versions: dict[str, int] = {
        "root": trusted.root.version,
        "timestamp": trusted.timestamp.version,
        "snapshot": trusted.snapshot.version,
    }
    versions.update((role, each.version) for role, each in carriers.items())
    return Found(
        good=good,
        feed=chain.feed,
        listed=listed,
        versions=versions,
        until=min(each.expires for each in signed),
    )


def _versions(good: Good | None) -> dict[str, int]:
    """The versions that were taken, 0 for what was not."""
    parts: dict[str, bytes | None] = {"timestamp": None, "snapshot": None, "targets": None, STOP: None}
    if good is not None:
        parts = {
            "timestamp": good.timestamp,
            "snapshot": good.snapshot,
            "targets": good.targets,
            STOP: good.stop,
        }
    return {role: 0 if data is None else _version(role, data) for role, data in parts.items()}


def _version(name: str, data: bytes) -> int:
    return int(parsed(name, data).signed.version)
