"""A repository of bundles in a directory: what is prepared for signing, and what is published once enough
signed. No person's key is here, only the online key signs; no network: who serves the directory is elsewhere.

Everything that is going to be published is first taken as a node takes it: what a node would refuse is never
written. `timestamp.json` is written last; until then nobody sees the rest.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from securesystemslib.signer import Signature as TufSignature  # type: ignore[attr-defined] # tuf exports it unsaid
from tuf.api.metadata import (  # type: ignore[attr-defined] # tuf exports it unsaid
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from carnet.ledger import note
from carnet.ledger.note import Ed25519Signer
from carnet.model.errors import InputError, Unavailable
from carnet.model.plain import printable
from carnet.model.time import in_utc
from carnet.store import keyfiles
from carnet.store.bundles import drafts, form, trust
from carnet.store.bundles.drafts import Draft
from carnet.store.bundles.errors import Incomplete
from carnet.store.bundles.listing import MOST_LISTED, PREFIXES, Carrier, epochs, fetched, listed_by
from carnet.store.bundles.reading import parsed, wrapped
from carnet.store.bundles.roles import (
    BUNDLES,
    FIELD,
    STOP,
    STOPS,
    Feed,
    Roles,
    delegations,
    feed_of,
    keys_of,
    tuf_key,
)
from carnet.store.bundles.source import DirectorySource, Overlay
from carnet.store.bundles.trust import MOST_METADATA, Chain, Found, Good


class Lives(Struct, frozen=True, kw_only=True):
    """How long metadata is good for. The short ones are renewed by `Publisher.refresh`."""

    root: dt.timedelta = dt.timedelta(days=365)
    targets: dt.timedelta = dt.timedelta(days=90)
    stop: dt.timedelta = dt.timedelta(days=365)
    snapshot: dt.timedelta = dt.timedelta(days=1)
    timestamp: dt.timedelta = dt.timedelta(hours=1)


class Publisher:
    """The repository of one feed."""

    def __init__(self, directory: Path, lives: Lives | None = None) -> None:
        self.directory = directory
        self.lives = lives or Lives()
        self._source = DirectorySource(directory)

    @property
    def pinned(self) -> bytes:
        """The first root, which nodes are given by hand. Raises `Incomplete` before it is published."""
        return self._read("1.root.json")

    def prepare_root(self, roles: Roles, now: dt.datetime) -> Draft:
        """The first root, or the next one: a rotation. Raises `InputError` for roles that can't be."""
        roles.checked()
        before = self._root()
        root = Root(
            version=before.version + 1 if before else 1,
            expires=_ends(now, self.lives.root),
            unrecognized_fields={FIELD: _plain(roles.feed)},
        )
        groups = {
            "root": (roles.root, roles.root_threshold),
            "targets": (roles.approvers, roles.threshold),
            "snapshot": ((roles.online,), 1),
            "timestamp": ((roles.online,), 1),
        }
        for name, (keys, threshold) in groups.items():
            root.roles[name] = Role([], 1)
            for key in keys:
                root.add_key(tuf_key(key), name)
            root.roles[name].threshold = threshold
        wanted = [(roles.root, roles.root_threshold)]
        if before is not None:
            if feed_of(before).origin != roles.origin:
                raise InputError(f"`{roles.origin}` is another feed: make a repository of its own")
            wanted.append((keys_of(before, "root"), before.roles["root"].threshold))
        return drafts.draft("root", root, wanted)

    def prepare(
        self, bundle: bytes, now: dt.datetime, *, keep: Sequence[str] = (), root: Draft | None = None
    ) -> Draft:
        """The bytes that approvers sign for a bundle. `keep` are digests of bundles that stay listed beside
        it; `root` is a draft that is published together with it.

        Raises `Unusable` for what is no bundle, `InputError` for too many to list.
        """
        made = self._new_root(root)
        before = self._published("targets")
        targets = Targets(
            version=before.version + 1 if before else 1,
            expires=_ends(now, self.lives.targets),
            targets=self._listing(BUNDLES, bundle, keep, before),
            delegations=delegations(map(note.verifier_key, feed_of(made).stop)),
        )
        return drafts.draft("targets", targets, [(keys_of(made, "targets"), made.roles["targets"].threshold)])

    def prepare_stop(
        self, bundle: bytes, now: dt.datetime, *, keep: Sequence[str] = (), root: Draft | None = None
    ) -> Draft:
        """The bytes that one signer signs for a stop. What a stop may say is checked elsewhere.

        A stop stays listed until another one is, also if it was lifted: it is signed again before its date,
        as a bundle is. Raises as `prepare`.
        """
        before = self._published(STOP)
        stop = Targets(
            version=before.version + 1 if before else 1,
            expires=_ends(now, self.lives.stop),
            targets=self._listing(STOPS, bundle, keep, before),
        )
        signers = tuple(map(note.verifier_key, feed_of(self._new_root(root)).stop))
        return drafts.draft("stop", stop, [(signers, 1)])

    def publish(
        self, signed: Sequence[Draft], bundles: Sequence[bytes], online: Ed25519Signer, now: dt.datetime
    ) -> Found:
        """Publish drafts that enough people signed, all at once, with the bundles that they list.

        Raises `BelowThreshold` if signatures are missing, `InputError` for a draft that something else was
        published after, a `BundleError` for whatever a node would refuse, `Unavailable` if it can't be
        written.
        """
        files = {f"{each.version}.{each.role}.json": drafts.finished(each) for each in signed}
        if len({each.role for each in signed}) != len(signed):
            raise InputError("two drafts are of one role: publish one after the other")
        for each in signed:
            self._check_next(each)
        given = {form.digest(data): data for data in bundles}
        for each in signed:
            prefix = STOPS if each.role == "stop" else BUNDLES
            files |= {f"{prefix}{one}": given[one] for one in each.digests if one in given}
        return self._out(files, {each.role: each.version for each in signed}, online, now)

    def refresh(self, online: Ed25519Signer, now: dt.datetime) -> Found:
        """Renew what has a short life. Raises as `publish`."""
        return self._out({}, {}, online, now)

    def _out(
        self, files: dict[str, bytes], changed: Mapping[str, int], online: Ed25519Signer, now: dt.datetime
    ) -> Found:
        source, good = Overlay(files, self._source), self._good(in_utc(now))
        before = self._published("snapshot")
        snapshot = before if isinstance(before, Snapshot) else None
        if (
            snapshot is None
            or changed
            or not self._has_signed(online)
            or snapshot.expires < _ends(now, self.lives.snapshot / 2)
        ):
            snapshot = self._snapshot(snapshot, files, changed, now)
            files[f"{snapshot.version}.snapshot.json"] = self._signed(snapshot, online)
        data = source.fetch(f"{snapshot.version}.snapshot.json", MOST_METADATA) or b""
        last = self._timestamp()
        timestamp = Timestamp(
            version=last.version + 1 if last else 1,
            expires=_ends(now, self.lives.timestamp),
            snapshot_meta=_meta(snapshot.version, data),
        )
        files["timestamp.json"] = self._signed(timestamp, online)
        first = files.get("1.root.json") if self._root() is None else self.pinned
        if first is None:
            raise InputError("there is no root yet: publish it together with the first bundle")
        chain = Chain(first, (), in_utc(now))
        chain.follow(source)
        found = trust.followed(chain, good, source)
        bundles = {each: form.opened(fetched(each, source)) for each in found.listed}
        epochs(bundles, self._epochs())
        self._write(files)
        return found

    def _snapshot(
        self,
        before: Snapshot | None,
        files: Mapping[str, bytes],
        changed: Mapping[str, int],
        now: dt.datetime,
    ) -> Snapshot:
        meta = dict(before.meta) if before else {}
        for role in ("targets", STOP):
            if role in changed:
                meta[f"{role}.json"] = _meta(changed[role], files[f"{changed[role]}.{role}.json"])
        return Snapshot(
            version=before.version + 1 if before else 1,
            expires=_ends(now, self.lives.snapshot),
            meta=meta,
        )

    def _write(self, files: Mapping[str, bytes]) -> None:
        """Bundles first, then metadata that nobody looks for yet, then a new root, then what makes it all
        seen."""
        try:
            for below in ("", BUNDLES, STOPS):
                (self.directory / below).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            shown = printable(str(self.directory))
            raise Unavailable(f"`{shown}` can't be made: {keyfiles.why(error)}") from None
        for name in sorted(files, key=lambda name: ("/" not in name, name.endswith(".root.json"), name)):
            if name != "timestamp.json":
                keyfiles.write(self.directory / name, files[name])
        keyfiles.write(self.directory / "timestamp.json", files["timestamp.json"])

    def _listing(
        self, prefix: str, bundle: bytes, keep: Sequence[str], before: Signed | None
    ) -> dict[str, TargetFile]:
        opened = form.opened(bundle)
        found = {
            f"{prefix}{opened.digest}": TargetFile.from_data(f"{prefix}{opened.digest}", bundle, ["sha256"])
        }
        listed = before.targets if isinstance(before, Targets) else {}
        for digest in keep:
            if f"{prefix}{digest}" not in listed:
                raise InputError(f"`{digest}` is not listed now, so it can't be kept: give another")
            found[f"{prefix}{digest}"] = listed[f"{prefix}{digest}"]
        if len(found) > MOST_LISTED:
            raise InputError(f"`{len(found)}` bundles are over `{MOST_LISTED}`: keep fewer of them")
        return found

    def _check_next(self, found: Draft) -> None:
        """Raises `InputError` if this is not the version that comes next."""
        before = self._root() if found.role == "root" else self._published(found.role)
        version = before.version + 1 if before else 1
        if found.version != version:
            raise InputError(
                f"the draft is version `{found.version}` of `{found.role}`, and `{version}` comes next: "
                "prepare it again"
            )

    def _new_root(self, root: Draft | None) -> Root:
        """The root that is going to count."""
        made = drafts.signed_of(root) if root is not None else self._root()
        if not isinstance(made, Root):
            raise InputError("there is no root yet: give its draft with `root`")
        return made

    def _root(self) -> Root | None:
        """The newest root that is published."""
        found, version = None, 1
        while (data := self._source.fetch(f"{version}.root.json", MOST_METADATA)) is not None:
            found, version = parsed(f"{version}.root.json", data).signed, version + 1
        return found if isinstance(found, Root) and self._timestamp() is not None else None

    def _timestamp(self) -> Timestamp | None:
        data = self._source.fetch("timestamp.json", MOST_METADATA)
        signed = None if data is None else parsed("timestamp.json", data).signed
        return signed if isinstance(signed, Timestamp) else None

    def _published(self, role: str) -> Signed | None:
        """What is published of a role, None if nothing is."""
        name = self._name(role)
        return None if name is None else parsed(name, self._read(name)).signed

    def _name(self, role: str) -> str | None:
        """The file of a role that counts now."""
        timestamp = self._timestamp()
        if timestamp is None:
            return None
        name = f"{timestamp.snapshot_meta.version}.snapshot.json"
        if role == "snapshot":
            return name
        snapshot = parsed(name, self._read(name)).signed
        about = snapshot.meta.get(f"{role}.json") if isinstance(snapshot, Snapshot) else None
        return None if about is None else f"{about.version}.{role}.json"

    def _good(self, now: dt.datetime) -> Good | None:
        """What is published, so that nothing older follows it."""
        if (root := self._root()) is None:
            return None
        names = {role: self._name(role) for role in ("snapshot", "targets", STOP)}
        files = {role: None if name is None else self._read(name) for role, name in names.items()}
        return Good(
            under=root.version,
            at=now,
            timestamp=self._read("timestamp.json"),
            snapshot=files["snapshot"] or b"",
            targets=files["targets"] or b"",
            stop=files[STOP],
        )

    def _has_signed(self, online: Ed25519Signer) -> bool:
        """Whether the snapshot that is published is signed with this key."""
        name = self._name("snapshot")
        return (
            name is not None and tuf_key(online.verifier).keyid in parsed(name, self._read(name)).signatures
        )

    def _epochs(self) -> dict[Carrier, int]:
        """The highest epochs that are published."""
        published = {role: self._published(role) for role in PREFIXES}
        listed = [
            each
            for role, targets in published.items()
            if isinstance(targets, Targets)
            for each in listed_by(role, targets)
        ]
        return epochs({each: form.opened(fetched(each, self._source)) for each in listed}, {})

    def _read(self, name: str) -> bytes:
        data = self._source.fetch(name, MOST_METADATA)
        if data is None:
            raise Incomplete(f"`{name}` is not in the repository: publish, or restore it from a backup")
        return data

    def _signed(self, signed: Signed, online: Ed25519Signer) -> bytes:
        metadata, id_ = wrapped(signed), tuf_key(online.verifier).keyid
        signature = online.sign(metadata.signed_bytes.decode())
        metadata.signatures[id_] = TufSignature(id_, signature.hex())
        return metadata.to_bytes()


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile.from_data(version, data, ["sha256"])


def _ends(now: dt.datetime, life: dt.timedelta) -> dt.datetime:
    """The end of a life, in whole seconds, as TUF writes it."""
    return in_utc(now + life).replace(microsecond=0)


def _plain(feed: Feed) -> dict[str, object]:
    return {
        "format": feed.format,
        "origin": feed.origin,
        "activators": list(feed.activators),
        "stop": list(feed.stop),
    }
