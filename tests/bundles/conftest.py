"""What the tests of bundles share: a feed with its people, each with a key of their own."""

import datetime as dt
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import Signature
from tuf.api.metadata import Metadata

from carnet.ledger.note import Ed25519Signer
from carnet.store.bundles import drafts, form
from carnet.store.bundles.node import Node
from carnet.store.bundles.publisher import Publisher
from carnet.store.bundles.reading import wrapped
from carnet.store.bundles.roles import Roles, tuf_key
from carnet.store.bundles.source import DirectorySource
from carnet.store.policies import default_policy
from carnet.store.shelves import loaded

NOW = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
ORIGIN = "carnet.example/feed"


def person(name):
    """The key of a person, the same in every run."""
    return Ed25519Signer(name, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


ANNA, BEN, CARL, DORA, OLGA, EVE = map(person, ("anna", "ben", "carl", "dora", "olga", "eve"))
ONLINE, NEXT_ONLINE = person("online"), person("online-2")


def public(*signers):
    """The public halves."""
    return tuple(each.verifier for each in signers)


def roles(**changes):
    """Two of Anna, Ben and Carl approve, Dora may stop, Olga activates."""
    return Roles(
        **{
            "origin": ORIGIN,
            "root": public(ANNA, BEN, CARL),
            "approvers": public(ANNA, BEN, CARL),
            "stop": public(DORA),
            "online": ONLINE.verifier,
            "activators": public(OLGA),
        }
        | changes
    )


def bundle(epoch=1, replaces=None, word="first"):
    """A bundle with a shelf of no rules; `word` stands in its prose."""
    shelf = {"terms.toml": f"format = 1\n# {word}\n".encode()}
    return form.made(loaded((shelf,)), default_policy(), epoch=epoch, replaces=replaces)


def signed(draft, *signers):
    """The draft with these signatures."""
    for signer in signers:
        draft = drafts.add_signature(draft, drafts.sign(draft, signer, draft.digests))
    return draft


def resigned(path, signer, change):
    """Change the signed part of published metadata as somebody does who has this key."""
    metadata = Metadata.from_bytes(path.read_bytes())
    plain = metadata.signed.to_dict()
    change(plain)
    again = wrapped(type(metadata.signed).from_dict(plain))
    id_ = tuf_key(signer.verifier).keyid
    again.signatures[id_] = Signature(id_, signer.sign(again.signed_bytes.decode()).hex())
    path.write_bytes(again.to_bytes())


def changed(path, change):
    """Change a JSON file without signing it again."""
    plain = json.loads(path.read_bytes())
    change(plain)
    path.write_text(json.dumps(plain))


class Feed:
    """A repository, the bundles in it, and a node that takes from it."""

    def __init__(self, directory):
        self.directory = directory / "repository"
        self.publisher = Publisher(self.directory)
        self.source = DirectorySource(self.directory)
        self.online = ONLINE
        self.last = self.pinned = None
        self.home = directory / "node"

    def begin(self, epoch=1, now=NOW):
        root = signed(self.publisher.prepare_root(roles(), now), ANNA, BEN)
        data = bundle(epoch)
        targets = signed(self.publisher.prepare(data, now, root=root), ANNA, BEN)
        self.publisher.publish([root, targets], [data], ONLINE, now)
        self.last, self.pinned = data, self.publisher.pinned
        return self

    def next(self, epoch, now=NOW, by=(ANNA, BEN), *, keep=(), word="next"):
        data = bundle(epoch, form.digest(self.last), word)
        draft = signed(self.publisher.prepare(data, now, keep=keep), *by)
        self.publisher.publish([draft], [data], self.online, now)
        self.last = data
        return data

    def stop(self, epoch, now=NOW, by=DORA):
        data = bundle(epoch, form.digest(self.last), "stop")
        self.publisher.publish([signed(self.publisher.prepare_stop(data, now), by)], [data], self.online, now)
        return data

    @property
    def node(self):
        """The node, as after a start: it knows what is on its disk."""
        return Node(self.home, self.pinned)

    def take(self, now=NOW):
        return self.node.take(self.source, now)

    def copy(self):
        """The repository as it is now."""
        files = (path for path in self.directory.rglob("*") if path.is_file())
        return {path.relative_to(self.directory): path.read_bytes() for path in files}

    def back(self, copied):
        """Serve an older state instead."""
        for path in self.directory.rglob("*"):
            if path.is_file():
                path.unlink()
        for name, data in copied.items():
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_bytes(data)


def refused(feed, kind, now=NOW):
    """The node refuses for this reason, in words, and keeps what it had."""
    before = feed.node.taken(now)
    with pytest.raises(kind) as error:
        feed.take(now)
    assert type(error.value) is kind
    said = str(error.value)
    assert "`" in said
    assert not said[0].isupper()
    assert ": " in said
    assert feed.node.taken(now) == before
    return said


def follow(feed, change=None, signer=ONLINE):
    """Sign what names a changed file again, as somebody does who has the online key."""
    targets = json.loads((feed.directory / "timestamp.json").read_bytes())["signed"]
    version = targets["meta"]["snapshot.json"]["version"]
    snapshot = feed.directory / f"{version}.snapshot.json"

    def inner(plain):
        for role, about in plain["meta"].items():
            path = feed.directory / f"{about['version']}.{role}"
            about["length"] = path.stat().st_size
            about["hashes"] = {"sha256": form.digest(path.read_bytes())}
        if change:
            change(plain)

    resigned(snapshot, signer, inner)

    def outer(plain):
        about = plain["meta"]["snapshot.json"]
        about["length"], about["hashes"] = (
            snapshot.stat().st_size,
            {"sha256": form.digest(snapshot.read_bytes())},
        )

    resigned(feed.directory / "timestamp.json", signer, outer)


def sign_targets(feed, name, signatures):
    """The signatures of a file of targets, replaced; all that names it is signed again."""

    def change(plain):
        ids = {who.name: tuf_key(who.verifier).keyid for who in (ANNA, BEN, CARL, DORA, EVE)}
        metadata = Metadata.from_bytes((feed.directory / name).read_bytes())
        plain["signatures"] = [
            Signature(ids[who.name], who.sign(metadata.signed_bytes.decode()).hex()).to_dict()
            for who in signatures
        ]

    changed(feed.directory / name, change)
    follow(feed)


@pytest.fixture
def empty(tmp_path):
    """A feed in which nothing is published."""
    return Feed(tmp_path)


@pytest.fixture
def feed(empty):
    """A feed with a first bundle, which its node has taken."""
    empty.begin()
    empty.take()
    return empty
