"""What a node has taken: it verifies what a source publishes and keeps the last that was good, on its own
disk. When a bundle is enforced is said by an order (`carnet.store.bundles.orders`), not here.

In the directory: `DIGEST.bundle`, each written before it is named by anything, and `trusted.json`, the one
file whose replacement makes a new set the one that is kept. So a crash leaves the old set or the new one.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from carnet.ledger import note
from carnet.ledger.note import VerifierKey
from carnet.model.errors import Damaged, Unavailable
from carnet.model.plain import printable
from carnet.model.time import in_utc
from carnet.store import keyfiles
from carnet.store.bundles import form, trust
from carnet.store.bundles.errors import BundleError
from carnet.store.bundles.form import Bundle
from carnet.store.bundles.listing import Listed, epochs, fetched
from carnet.store.bundles.source import Source
from carnet.store.bundles.trust import Chain, Found, Kept
from carnet.store.keyfiles import KeyFiles

TRUSTED = "trusted.json"

_ANY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""An instant for what depends on none: a pinned root counts also when it is past its date."""


class Taken(Struct, frozen=True, kw_only=True):
    """What a node has. `bundle` and `stop` are the ones of the highest epoch, `bundles` and `stops` all that
    are listed, by digest. `versions` are those of the metadata by role; `until` is when the first part of it
    is past its date; `stale` is the same instant once it is past, else None: deny rules stay enforced
    then."""

    origin: str
    bundle: Bundle
    bundles: Mapping[str, Bundle]
    stop: Bundle | None
    stops: Mapping[str, Bundle]
    activators: tuple[VerifierKey, ...]
    versions: Mapping[str, int]
    until: dt.datetime
    stale: dt.datetime | None

    @property
    def version(self) -> int:
        """That of the metadata which approvers signed."""
        return self.versions["targets"]


class Node:
    """What one node keeps. Several processes may share the directory."""

    def __init__(self, directory: Path, pinned: bytes) -> None:
        """`pinned` is a root that somebody brought here by hand. Raises a `BundleError` if it is none."""
        trust.Chain(pinned, (), _ANY)
        self.directory = directory
        self._pinned = pinned
        self._opened: dict[str, Bundle] = {}

    def taken(self, now: dt.datetime) -> Taken | None:
        """What was taken last, verified again; None before the first time.

        Raises `Damaged` if what is kept does not hold, `Unavailable` if it can't be read.
        """
        kept = self._kept()
        return None if kept.good is None else self._whole(kept, in_utc(now))

    def take(self, source: Source, now: dt.datetime) -> Taken:
        """Take what a source publishes now; gives what is kept afterwards, also if that is nothing new.

        Raises a `BundleError` for what can't be trusted: what was kept still is, see `taken`. Raises
        `Unavailable` if the source can't be read or the disk can't be written, `Damaged` as `taken`.
        """
        now = in_utc(now)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            shown = printable(str(self.directory))
            raise Unavailable(f"`{shown}` can't be made: {keyfiles.why(error)}") from None
        with KeyFiles(self.directory).alone():
            kept = self._kept()
            if kept.good is not None:
                self._again(kept)
            kept, chain = self._follow_roots(kept, source, now)
            found = trust.followed(chain, kept.good, source)
            bundles = {one: self._fetched(one, source) for one in found.listed}
            highest = epochs(bundles, kept.epochs)
            if kept.good is None or found.good != replace(kept.good, at=now):
                self._keep(replace(kept, good=found.good, epochs=highest))
        return self._as_taken(found, bundles, now)

    def _follow_roots(self, kept: Kept, source: Source, now: dt.datetime) -> tuple[Kept, Chain]:
        """New roots are kept at once, whatever comes after them: a key that one of them takes away never
        counts again."""
        chain = self._chain(kept, now)
        try:
            chain.follow(source)
        finally:
            if chain.roots and chain.roots != kept.roots:
                kept = replace(kept, roots=chain.roots)
                self._keep(kept)
        return kept, chain

    def _kept(self) -> Kept:
        try:
            data = (self.directory / TRUSTED).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return Kept()
        except OSError as error:
            raise Unavailable(f"`{self._shown(TRUSTED)}` can't be read: {keyfiles.why(error)}") from None
        try:
            return msgspec.json.decode(data, type=Kept)
        except (ValueError, RecursionError):
            raise self._damaged("it is not what was written") from None

    def _keep(self, kept: Kept) -> None:
        keyfiles.write(self.directory / TRUSTED, msgspec.json.encode(kept))

    def _whole(self, kept: Kept, now: dt.datetime) -> Taken:
        """What is kept, from the disk alone."""
        found, newest = self._again(kept), self._chain(kept, now)
        bundles = {one: self._own(one) for one in found.listed}
        missing = [one.digest for one, bundle in bundles.items() if bundle is None]
        if missing:
            raise self._damaged(f"the bundle `{missing[0]}` is missing")
        whole = {one: bundle for one, bundle in bundles.items() if bundle is not None}
        until = min(found.until, newest.root.expires)
        return self._as_taken(replace(found, feed=newest.feed, until=until), whole, now)

    def _chain(self, kept: Kept, now: dt.datetime) -> Chain:
        try:
            return Chain(self._pinned, kept.roots, now)
        except BundleError as error:
            raise self._damaged(str(error)) from None

    def _again(self, kept: Kept) -> Found:
        try:
            return trust.again(self._pinned, kept)
        except BundleError as error:
            raise self._damaged(str(error)) from None

    def _as_taken(self, found: Found, bundles: Mapping[Listed, Bundle], now: dt.datetime) -> Taken:
        own = {one.digest: bundle for one, bundle in bundles.items() if one.role == "targets"}
        stops = {one.digest: bundle for one, bundle in bundles.items() if one.role == "stop"}
        return Taken(
            origin=found.feed.origin,
            bundle=max(own.values(), key=_epoch),
            bundles=own,
            stop=max(stops.values(), key=_epoch, default=None),
            stops=stops,
            activators=tuple(map(note.verifier_key, found.feed.activators)),
            versions=found.versions,
            until=found.until,
            stale=found.until if found.until <= now else None,
        )

    def _fetched(self, listed: Listed, source: Source) -> Bundle:
        """A bundle that is here already, or is fetched and then kept."""
        bundle = self._own(listed)
        if bundle is None:
            data = fetched(listed, source)
            bundle = form.opened(data)
            keyfiles.write(self._file(listed), data)
            self._opened[listed.digest] = bundle
        return bundle

    def _own(self, listed: Listed) -> Bundle | None:
        """A bundle from the disk; None if it is not there, or not any more what was written."""
        if listed.digest not in self._opened:
            try:
                data = self._file(listed).read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                shown = self._shown(self._file(listed).name)
                raise Unavailable(f"`{shown}` can't be read: {keyfiles.why(error)}") from None
            if form.digest(data) != listed.digest:
                return None
            self._opened[listed.digest] = form.opened(data)
        return self._opened[listed.digest]

    def _file(self, listed: Listed) -> Path:
        return self.directory / f"{listed.digest}.bundle"

    def _shown(self, name: str) -> str:
        return printable(str(self.directory / name))

    def _damaged(self, why: str) -> Damaged:
        return Damaged(
            f"`{self._shown(TRUSTED)}` does not hold, {why}: restore the directory from a backup, or take "
            "into an empty one"
        )


def _epoch(bundle: Bundle) -> int:
    return bundle.epoch
