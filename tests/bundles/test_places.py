"""A role carries only what it may, and gives away no more than the root says."""

import json

import pytest
from tests.bundles.conftest import (
    ANNA,
    BEN,
    DORA,
    follow,
    refused,
    resigned,
    sign_targets,
)

from carnet.store.bundles import form
from carnet.store.bundles.errors import (
    Foreign,
    OutOfPlace,
    Unsigned,
)


@pytest.mark.parametrize(
    "path", ["bundles/{}", "stop/../bundles/{}", "{}", "stop/x/{}", "stop/{}x", "STOP/{}"]
)
def test_a_stop_outside_its_prefix(feed, path):
    data = feed.stop(2)

    def change(plain):
        about = plain["targets"].pop(f"stop/{form.digest(data)}")
        plain["targets"][path.format(form.digest(data))] = about

    resigned(feed.directory / "1.stop.json", DORA, change)
    follow(feed)
    assert "can't be carried by `stop`" in refused(feed, OutOfPlace)


def test_targets_do_not_carry_stops(feed):
    data = feed.next(2)

    def change(plain):
        about = plain["targets"].pop(f"bundles/{form.digest(data)}")
        plain["targets"][f"stop/{form.digest(data)}"] = about

    resigned(feed.directory / "2.targets.json", ANNA, change)
    sign_targets(feed, "2.targets.json", [ANNA, BEN])
    assert "can't be carried by `targets`" in refused(feed, OutOfPlace)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda role: role.update(paths=["*"]), OutOfPlace),
        (lambda role: role.update(paths=["stop/*", "bundles/*"]), OutOfPlace),
        (lambda role: role.update(name="other"), OutOfPlace),
        (lambda role: role.update(threshold=2), OutOfPlace),
        (lambda role: role.pop("paths") and role.update(path_hash_prefixes=["a"]), OutOfPlace),
        (lambda role: role.update(keyids=[]), Foreign),
    ],
)
def test_approvers_can_not_delegate_more_than_the_root_says(feed, change, kind):
    feed.next(2)
    resigned(feed.directory / "2.targets.json", ANNA, lambda plain: change(plain["delegations"]["roles"][0]))
    sign_targets(feed, "2.targets.json", [ANNA, BEN])
    refused(feed, kind)


def test_a_stop_delegates_nothing(feed):
    feed.stop(2)
    whole = json.loads((feed.directory / "1.targets.json").read_bytes())["signed"]["delegations"]
    resigned(feed.directory / "1.stop.json", DORA, lambda plain: plain.update(delegations=whole))
    follow(feed)
    assert "delegates to others" in refused(feed, OutOfPlace)


def test_a_stop_that_is_not_signed_by_its_signer(feed):
    feed.stop(2)
    for signatures, kind in (([], Unsigned), ([ANNA], Foreign)):
        sign_targets(feed, "1.stop.json", signatures)
        refused(feed, kind)
