"""Whatever is wrong with what a source serves has its own error, and what was taken stays."""

import json
import os
import shutil

import pytest
from msgspec.structs import replace
from securesystemslib.signer import Signature
from tests.bundles.conftest import (
    ANNA,
    BEN,
    CARL,
    DAY,
    DORA,
    EVE,
    HOUR,
    MINUTE,
    NEXT_ONLINE,
    NOW,
    ONLINE,
    bundle,
    changed,
    follow,
    refused,
    resigned,
    roles,
    sign_targets,
    signed,
)
from tuf.api.metadata import Metadata

from carnet.model.errors import Unavailable
from carnet.store.bundles import drafts, form, listing, trust
from carnet.store.bundles.errors import (
    AlteredBundle,
    AlteredMetadata,
    BelowThreshold,
    Endless,
    Expired,
    Foreign,
    Incomplete,
    Mixed,
    RolledBack,
    SignedTwice,
    TooLarge,
    Unsigned,
    Unusable,
)
from carnet.store.bundles.node import Node
from carnet.store.bundles.roles import tuf_key
from carnet.store.bundles.source import Overlay


@pytest.mark.parametrize(
    ("signatures", "kind", "said"),
    [
        ([], Unsigned, "`2.targets.json` is not signed"),
        ([ANNA], BelowThreshold, "`1` of `2`"),
        ([ANNA, ANNA], SignedTwice, "two signatures of one key"),
        ([ANNA, EVE], Foreign, "is no key of `targets`"),
        ([EVE], Foreign, "is no key of `targets`"),
        ([DORA], Foreign, "is no key of `targets`"),
    ],
)
def test_signatures_that_are_not_enough(feed, signatures, kind, said):
    feed.next(2)
    sign_targets(feed, "2.targets.json", signatures)
    assert said in refused(feed, kind)


def test_a_signature_too_many_does_no_harm(feed):
    feed.next(2)
    sign_targets(feed, "2.targets.json", [EVE, ANNA, BEN, CARL])
    assert feed.take().version == 2


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json"])
def test_the_online_roles_are_signed_too(feed, name):
    feed.next(2)
    if name == "timestamp.json":
        resigned(feed.directory / name, EVE, lambda plain: None)
        assert "no key of `timestamp`" in refused(feed, Foreign)
    changed(feed.directory / name, lambda plain: plain.update(signatures=[]))
    assert f"`{name}` is not signed" in refused(feed, Unsigned)


def test_one_key_under_two_ids_counts_once(empty):
    feed = empty.begin()
    plain = json.loads(feed.publisher.pinned)
    for id_ in list(plain["signed"]["roles"]["targets"]["keyids"])[:1]:
        plain["signed"]["keys"]["f" * 64] = plain["signed"]["keys"][id_]
        plain["signed"]["roles"]["targets"]["keyids"].append("f" * 64)
        plain["signed"]["roles"]["root"]["threshold"] = 1
    metadata = Metadata.from_bytes(json.dumps(plain).encode())
    metadata.signatures.clear()
    id_ = tuf_key(ANNA.verifier).keyid
    metadata.signatures[id_] = Signature(id_, ANNA.sign(metadata.signed_bytes.decode()).hex())
    with pytest.raises(AlteredMetadata, match="under its own id"):
        Node(feed.home, metadata.to_bytes())


@pytest.mark.parametrize("how", ["changed", "cut", "longer", "empty"])
def test_altered_bytes_of_a_bundle(feed, how):
    data = feed.next(2)
    path = feed.directory / "bundles" / form.digest(data)
    path.write_bytes(
        {"changed": data[:-1] + b"x", "cut": data[:-1], "longer": data + b"x", "empty": b""}[how]
    )
    refused(feed, TooLarge if how == "longer" else AlteredBundle)
    path.write_bytes(data)
    assert feed.take().bundle.epoch == 2


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_altered_metadata(feed, name):
    feed.next(2)
    whole = (feed.directory / name).read_bytes()
    changed(feed.directory / name, lambda plain: plain["signed"].update(expires="2030-01-01T00:00:00Z"))
    assert "`online` on" in (said := refused(feed, AlteredMetadata)) or "`anna` on" in said or "`ben`" in said
    for other in (b"", b"{", whole[:-1], b"[" * 50_000, b"\xff" * 10, b'{"signed":1,"signatures":2}'):
        (feed.directory / name).write_bytes(other)
        refused(feed, AlteredMetadata)


def test_an_older_timestamp_is_a_rollback(feed):
    old = (feed.directory / "timestamp.json").read_bytes()
    feed.publisher.refresh(ONLINE, NOW)
    feed.take()
    (feed.directory / "timestamp.json").write_bytes(old)
    assert "version `1`, and `2` was taken" in refused(feed, RolledBack)


def test_an_older_repository_is_a_rollback(feed):
    old = feed.copy()
    feed.next(2)
    feed.take()
    feed.back(old)
    refused(feed, RolledBack)


@pytest.mark.parametrize("part", ["snapshot", "targets"])
def test_a_stolen_online_key_does_not_roll_back(feed, part):
    """The newest timestamp, signed rightly, names an older snapshot or older targets."""
    feed.next(2)
    feed.take()
    feed.publisher.refresh(ONLINE, NOW + DAY)
    if part == "snapshot":
        old = feed.directory / "1.snapshot.json"
        about = {
            "version": 1,
            "length": old.stat().st_size,
            "hashes": {"sha256": form.digest(old.read_bytes())},
        }
        resigned(
            feed.directory / "timestamp.json",
            ONLINE,
            lambda plain: plain["meta"].update({"snapshot.json": about}),
        )
    else:
        follow(feed, lambda plain: plain["meta"]["targets.json"].update(version=1))
    refused(feed, RolledBack, NOW + DAY)


def test_a_stolen_online_key_can_not_leave_a_stop_out(feed):
    feed.stop(2)
    feed.take()
    feed.publisher.refresh(ONLINE, NOW + DAY)
    follow(feed, lambda plain: plain["meta"].pop("stop.json"))
    refused(feed, RolledBack, NOW + DAY)


def test_not_even_with_a_new_key(feed):
    feed.stop(2)
    feed.take()
    root = signed(feed.publisher.prepare_root(roles(online=NEXT_ONLINE.verifier), NOW), ANNA, BEN)
    feed.publisher.publish([root], [], NEXT_ONLINE, NOW)
    follow(feed, lambda plain: plain["meta"].pop("stop.json"), NEXT_ONLINE)
    assert "is left out" in refused(feed, RolledBack)


def test_a_lower_epoch_under_a_newer_version_is_a_rollback(feed):
    feed.next(5)
    feed.take()
    publisher, data = feed.publisher, bundle(3)
    draft = signed(publisher.prepare(data, NOW), ANNA, BEN)
    publisher._epochs = dict
    publisher.publish([draft], [data], ONLINE, NOW)
    assert "epoch `5`" in refused(feed, RolledBack)


def test_two_bundles_of_one_epoch_are_mixed(feed):
    publisher, data = feed.publisher, bundle(1, word="other")
    draft = signed(publisher.prepare(data, NOW, keep=[form.digest(feed.last)]), ANNA, BEN)
    with pytest.raises(Mixed, match="one epoch"):
        publisher.publish([draft], [data], ONLINE, NOW)


@pytest.mark.parametrize(
    ("name", "other"), [("3.snapshot.json", "2.snapshot.json"), ("3.targets.json", "2.targets.json")]
)
def test_files_of_two_publications_are_mixed(feed, name, other):
    feed.next(2)
    feed.next(3)
    shutil.copy(feed.directory / other, feed.directory / name)
    assert "mixed" in refused(feed, Mixed)


def test_two_timestamps_of_one_version_are_mixed(feed):
    resigned(
        feed.directory / "timestamp.json", ONLINE, lambda plain: plain.update(expires="2026-12-01T12:30:00Z")
    )
    assert "who has the online key" in refused(feed, Mixed)


def test_a_frozen_timestamp_is_refused_and_what_is_kept_is_stale_since_then(feed):
    last = NOW + HOUR
    assert feed.take(last - MINUTE).stale is None
    assert "`timestamp.json` is past its date" in refused(feed, Expired, last)
    taken = feed.node.taken(last + DAY)
    assert (taken.stale, taken.until, taken.bundle.epoch) == (last, last, 1)
    feed.publisher.refresh(ONLINE, last + DAY)
    assert feed.take(last + DAY).stale is None


def test_a_newer_timestamp_is_refused_too_once_it_is_past_its_date(feed):
    feed.publisher.refresh(ONLINE, NOW + MINUTE)
    refused(feed, Expired, NOW + MINUTE + HOUR)


@pytest.mark.parametrize("days", [90, 365])
def test_targets_and_a_root_past_their_date_are_refused(feed, days):
    publisher = feed.publisher
    late = NOW + days * DAY
    with pytest.raises(Expired):
        publisher.refresh(ONLINE, late)
    refused(feed, Expired, late)
    assert feed.node.taken(late).stale == NOW + HOUR


def test_a_bundle_that_is_too_large(feed, monkeypatch):
    data = feed.next(2)
    monkeypatch.setattr(listing, "MOST_BYTES", len(data) - 1)
    assert f"`{len(data)}` bytes" in refused(feed, TooLarge)


def test_too_many_bundles(feed, monkeypatch):
    feed.next(2, keep=[form.digest(feed.last)])
    monkeypatch.setattr(listing, "MOST_LISTED", 1)
    refused(feed, TooLarge)


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json"])
def test_metadata_without_an_end(feed, name):
    feed.next(2)
    (feed.directory / name).write_bytes(b" " * (trust.MOST_METADATA + 1))
    assert "no end" in refused(feed, Endless)


def test_a_source_that_never_ends_is_not_read_to_its_end(feed):
    class Asked:
        most = 0

        def fetch(self, name, most):
            self.most = max(most, self.most)
            return None if name.endswith("root.json") else b" " * (most + 1)

    asked = Asked()
    with pytest.raises(Endless):
        feed.node.take(asked, NOW)
    assert asked.most <= trust.MOST_METADATA


def test_roots_without_an_end(feed, monkeypatch):
    monkeypatch.setattr(trust, "MOST_ROOTS", 2)
    for _ in range(2):
        feed.publisher.publish(
            [signed(feed.publisher.prepare_root(roles(), NOW), ANNA, BEN)], [], ONLINE, NOW
        ) if _ == 0 else None
    root = feed.publisher.prepare_root(roles(), NOW)
    (feed.directory / "3.root.json").write_bytes(drafts.finished(signed(root, ANNA, BEN)))
    refused(feed, Endless)


def test_a_special_file_is_not_waited_for(feed):
    (feed.directory / "timestamp.json").unlink()
    os.mkfifo(feed.directory / "timestamp.json")
    with pytest.raises(Unavailable, match="is no file"):
        feed.take()


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json", "bundle"])
def test_a_half_written_repository(feed, name):
    data = feed.next(2)
    path = feed.directory / (f"bundles/{form.digest(data)}" if name == "bundle" else name)
    path.unlink()
    assert "is not there" in refused(feed, Incomplete)


def test_nothing_at_all_is_incomplete(feed):
    shutil.rmtree(feed.directory / "bundles")
    for path in feed.directory.glob("*.json"):
        if path.name != "1.root.json":
            path.unlink()
    refused(feed, Incomplete)


def test_a_signed_file_that_is_no_bundle(feed):
    junk = b"signed, and no bundle"
    feed.next(2)

    def change(plain):
        about = {"length": len(junk), "hashes": {"sha256": form.digest(junk)}}
        plain["targets"] = {f"bundles/{form.digest(junk)}": about}

    resigned(feed.directory / "2.targets.json", ANNA, change)
    sign_targets(feed, "2.targets.json", [ANNA, BEN])
    (feed.directory / "bundles" / form.digest(junk)).write_bytes(junk)
    refused(feed, Unusable)


def test_a_bundle_that_is_listed_with_another_digest_than_its_name(feed):
    data = feed.next(2)
    name = f"bundles/{form.digest(data)}"
    other = {"sha256": "ab" * 32}
    resigned(
        feed.directory / "2.targets.json", ANNA, lambda plain: plain["targets"][name].update(hashes=other)
    )
    sign_targets(feed, "2.targets.json", [ANNA, BEN])
    assert "another digest than its name" in refused(feed, AlteredMetadata)


def test_targets_that_list_nothing_take_nothing_away(feed):
    feed.next(2)
    resigned(feed.directory / "2.targets.json", ANNA, lambda plain: plain.update(targets={}))
    sign_targets(feed, "2.targets.json", [ANNA, BEN])
    assert "lists no bundle" in refused(feed, Incomplete)


def test_a_root_that_the_old_one_did_not_sign_is_refused(feed):
    draft = feed.publisher.prepare_root(roles(root=(EVE.verifier, DORA.verifier)), NOW)
    own = replace(draft, wanted=draft.wanted[:1])
    (feed.directory / "2.root.json").write_bytes(drafts.finished(signed(own, EVE, DORA)))
    refused(feed, Foreign)


def test_a_root_of_another_feed_is_refused(feed):
    draft = feed.publisher.prepare_root(roles(), NOW)
    other = replace(draft, to_sign=draft.to_sign.replace(b"carnet.example/feed", b"carnet.example/else"))
    (feed.directory / "2.root.json").write_bytes(drafts.finished(signed(other, ANNA, BEN)))
    assert "another feed" in refused(feed, Mixed)


def test_a_pinned_root_that_is_none_is_refused(feed, tmp_path):
    for pinned in (b"", b"{}", (feed.directory / "timestamp.json").read_bytes()):
        with pytest.raises(AlteredMetadata):
            Node(tmp_path / "other", pinned)


def test_what_is_published_over_another_source_is_seen(feed):
    old = (feed.directory / "timestamp.json").read_bytes()
    feed.next(2)
    with pytest.raises((Expired, Mixed, RolledBack)):
        feed.node.take(Overlay({"timestamp.json": old}, feed.source), NOW + HOUR)
