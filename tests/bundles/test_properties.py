"""Whatever is published, changed, held back or rolled back, in any order: a node has only what enough people
signed, and never goes down."""

import datetime as dt
import json
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bundles.conftest import (
    ANNA,
    BEN,
    CARL,
    EVE,
    HOUR,
    MINUTE,
    NOW,
    ONLINE,
    Feed,
    bundle,
    resigned,
    signed,
)
from tuf.api.exceptions import RepositoryError

from carnet.model.errors import Damaged
from carnet.store.bundles import form
from carnet.store.bundles.errors import BundleError
from carnet.store.bundles.node import Node

STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from([(ANNA, BEN), (BEN, CARL), (CARL, ANNA)])),
    st.tuples(st.just("too few"), st.sampled_from([(ANNA,), (), (ANNA, EVE)])),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("refresh"), st.none()),
    st.tuples(st.just("tamper"), st.integers(0, 2**32)),
    st.tuples(st.just("stolen"), st.integers(0, 2**32)),
    st.tuples(st.just("lose"), st.integers(0, 2**32)),
    st.tuples(st.just("wait"), st.sampled_from([MINUTE, HOUR, 30 * HOUR])),
    st.tuples(st.just("roll back"), st.integers(0, 2**32)),
    st.tuples(st.just("mix"), st.integers(0, 2**32)),
)


class World:
    """A feed, all that was ever published in it rightly, and what its node has."""

    def __init__(self, directory):
        self.feed = Feed(directory).begin()
        self.directory = directory
        self.now = NOW
        self.approved = {form.digest(self.feed.last)}
        self.stops = set()
        self.epoch = 1
        self.states = []
        self.had = None
        self.remember()

    def remember(self):
        """The repository as it is, whole; a later attack starts from it."""
        self.states.append(self.feed.copy())

    def restore(self):
        """The publisher's own disk is not what is attacked: it goes on from what it published last."""
        self.feed.back(self.states[-1])

    def step(self, what, how):
        chance, files = (
            random.Random(how if isinstance(how, int) else 0),
            sorted(self.feed.directory.rglob("*")),
        )
        file = chance.choice([path for path in files if path.is_file()])
        if what in {"publish", "too few", "stop", "refresh"}:
            self.restore()
            self.publish(what, how)
        elif what == "wait":
            self.now += how
        elif what == "roll back":
            self.feed.back(chance.choice(self.states))
        elif what == "lose":
            file.unlink()
        elif what == "mix":
            other = chance.choice(self.states)
            file.write_bytes(other.get(file.relative_to(self.feed.directory), b""))
        elif what == "tamper":
            data = bytearray(file.read_bytes())
            if data:
                data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
            file.write_bytes(data)
        elif what == "stolen":
            self.stolen(chance)

    def publish(self, what, how):
        feed, publisher = self.feed, self.feed.publisher
        data = bundle(self.epoch + 1, form.digest(feed.last), what)
        try:
            if what == "refresh":
                publisher.refresh(ONLINE, self.now)
            elif what == "stop":
                feed.stop(self.epoch + 1, self.now)
                self.stops.add(form.digest(bundle(self.epoch + 1, form.digest(feed.last), "stop")))
                self.epoch += 1
            else:
                draft = signed(publisher.prepare(data, self.now), *how)
                publisher.publish([draft], [data], ONLINE, self.now)
                self.approved.add(form.digest(data))
                feed.last, self.epoch = data, self.epoch + 1
        except BundleError:
            assert what == "too few"
            return
        assert what != "too few"
        self.remember()

    def stolen(self, chance):
        """Somebody has the key of the server, and names other versions than were signed."""
        try:
            path = chance.choice(sorted(self.feed.directory.glob("*snapshot.json")) or [None])
            versions = {f"{role}.json": chance.randrange(1, 4) for role in ("targets", "stop")}
            about = {name: {"version": version} for name, version in versions.items()}
            if chance.random() < 0.5:
                del about["stop.json"]
            resigned(path, ONLINE, lambda plain: plain.update(meta=about, version=chance.randrange(1, 9)))
            version = json.loads(path.read_bytes())["signed"]["version"]
            shutil.copy(path, path.with_name(f"{version}.snapshot.json"))
            expires = (self.now + HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")

            def outer(plain):
                plain.update(
                    meta={"snapshot.json": {"version": version}},
                    version=chance.randrange(1, 30),
                    expires=expires,
                )

            resigned(self.feed.directory / "timestamp.json", ONLINE, outer)
        except (OSError, AttributeError, ValueError, RepositoryError):
            pass  # an earlier step left nothing to change

    def look(self):
        """Take, and check what is there then; on the disk too."""
        try:
            self.feed.take(self.now)
        except BundleError as error:
            said = str(error)
            assert "`" in said
        taken = self.feed.node.taken(self.now)
        if taken is None:
            assert self.had is None
            return
        assert set(taken.bundles) <= self.approved
        assert set(taken.stops) <= self.stops
        assert taken.bundle.digest in taken.bundles
        assert (taken.stale is None) == (self.now < taken.until)
        if self.had is not None:
            for role, version in self.had.versions.items():
                assert taken.versions[role] >= version
            assert taken.bundle.epoch >= self.had.bundle.epoch
            assert self.had.stop is None or taken.stop.epoch >= self.had.stop.epoch
        self.had = taken


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=7))
def test_a_node_has_what_enough_people_signed_and_never_goes_down(steps):
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        for what, how in steps:
            world.step(what, how)
            world.look()
        world.restore()
        world.publish("publish", (ANNA, BEN))
        world.look()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    feed = Feed(tmp_path_factory.mktemp("feed")).begin()
    feed.take()
    feed.stop(2)
    feed.next(3)
    return feed


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_no_metadata_that_anybody_makes_up_raises_anything_else(published, data):
    """One value anywhere in a file, replaced; where that is possible, signed again by the server's key."""
    names = ["timestamp.json", "2.snapshot.json", "2.targets.json", "1.stop.json", "1.root.json"]
    name = data.draw(st.sampled_from(names))
    whole = (published.directory / name).read_bytes()
    plain = json.loads(whole)
    places = list(_places(plain))
    inside, key = places[data.draw(st.integers(0, len(places) - 1))]
    inside[key] = data.draw(VALUES)
    made = json.dumps(plain).encode()
    if data.draw(st.booleans()):
        made = _signed_again(plain) or made

    class Over:
        def fetch(self, asked, most):
            return made[: most + 1] if asked == name else published.source.fetch(asked, most)

    try:
        node = Node(published.home, made if name == "1.root.json" else published.pinned)
        taken = node.take(Over(), NOW)
    except BundleError:
        return
    except Damaged:
        assert name == "1.root.json"  # the pinned root is another one than that of what is kept
        return
    assert taken.bundle.epoch in {1, 3}


def _signed_again(plain):
    """The metadata as the holder of the server's key makes it; None if TUF can't even write it."""
    from securesystemslib.formats import encode_canonical
    from tests.bundles.conftest import tuf_key

    try:
        text = encode_canonical(plain["signed"])
        signature = ONLINE.sign(text).hex()
    except Exception:  # noqa: BLE001 -- whatever it is: it can't be signed
        return None
    plain = dict(plain, signatures=[{"keyid": tuf_key(ONLINE.verifier).keyid, "sig": signature}])
    return json.dumps(plain).encode()


def _places(value):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def test_the_property_is_not_empty(tmp_path):
    """The steps do lead to new bundles and to refusals."""
    world = World(tmp_path)
    world.look()
    for what, how in (
        ("publish", (ANNA, BEN)),
        ("stop", None),
        ("roll back", 2**31),
        ("publish", (BEN, CARL)),
    ):
        world.step(what, how)
        world.look()
    assert (world.had.bundle.epoch, world.had.stop.epoch, world.had.version) == (4, 3, 3)
    assert world.had.until > world.now - dt.timedelta(1)
