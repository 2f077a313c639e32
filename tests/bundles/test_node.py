"""What a node keeps on its disk: whole whatever happens, and found again after a start."""

import json
import subprocess
import sys
import textwrap
import threading

import pytest
from tests.bundles.conftest import (
    ANNA,
    BEN,
    DAY,
    EVE,
    MINUTE,
    NEXT_ONLINE,
    NOW,
    ORIGIN,
    bundle,
    changed,
    public,
    roles,
    signed,
)

from carnet.model.errors import Damaged, StoreError
from carnet.store.bundles import form
from carnet.store.bundles.errors import Expired, Foreign, Incomplete
from carnet.store.bundles.node import TRUSTED, Node


def test_nothing_is_taken_before_the_first_time(empty):
    empty.begin()
    assert empty.node.taken(NOW) is None
    assert empty.take().bundle.digest == form.digest(empty.last)


def test_what_was_taken_is_there_after_a_start(feed):
    feed.stop(2)
    data = feed.next(3, keep=[form.digest(feed.last)])
    taken = feed.take()
    assert feed.node.taken(NOW) == taken
    assert (taken.origin, taken.bundle.digest, taken.version) == (ORIGIN, form.digest(data), 2)
    assert {each.epoch for each in (*taken.bundles.values(), *taken.stops.values())} == {1, 2, 3}
    assert [key.name for key in taken.activators] == ["olga"]


def test_taking_twice_writes_nothing_the_second_time(feed):
    before = {path: path.stat().st_mtime_ns for path in feed.home.iterdir()}
    assert feed.take(NOW + MINUTE) == feed.node.taken(NOW)
    assert {path: path.stat().st_mtime_ns for path in feed.home.iterdir()} == before


def test_the_files_are_the_owners_alone(feed):
    assert {path.stat().st_mode & 0o777 for path in feed.home.iterdir()} == {0o600}
    assert feed.home.stat().st_mode & 0o777 == 0o700
    feed.home.chmod(0o755)
    with pytest.raises(StoreError, match="open to others"):
        feed.take()


def test_a_node_that_is_killed_anywhere_has_the_old_or_the_new(feed):
    """A process that ends at its first, second, … fsync, as in a power cut; the last run is not cut off."""
    feed.stop(2)
    feed.next(3)
    program = """
        import datetime as dt, os, pathlib, sys
        from carnet.store.bundles.node import Node
        from carnet.store.bundles.source import DirectorySource
        home, repository, pinned, count = sys.argv[1:]
        real, left = os.fsync, int(count)
        def fsync(descriptor):
            global left
            if not left:
                os._exit(9)
            left -= 1
            real(descriptor)
        os.fsync = fsync
        node = Node(pathlib.Path(home), pathlib.Path(pinned).read_bytes())
        node.take(DirectorySource(pathlib.Path(repository)), dt.datetime.fromisoformat("2026-12-01T12:00Z"))
    """
    seen = []
    for count in range(20):
        arguments = (feed.home, feed.directory, feed.directory / "1.root.json", count)
        command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
        code = subprocess.run(command, check=False).returncode
        taken = feed.node.taken(NOW)
        seen.append((taken.bundle.epoch, None if taken.stop is None else taken.stop.epoch))
        if code == 0:
            break
        assert code == 9
    assert set(seen) == {(1, None), (3, 2)}
    assert seen == sorted(seen, key=lambda each: each[0])
    assert not [path for path in feed.home.iterdir() if path.name.endswith(".new")]


def test_a_bundle_that_the_disk_lost_is_said_and_fetched_again(feed):
    path = feed.home / f"{form.digest(feed.last)}.bundle"
    for break_it in (path.unlink, lambda: path.write_bytes(b"x")):
        break_it()
        with pytest.raises(Damaged, match="is missing"):
            feed.node.taken(NOW)
        assert feed.take().bundle.digest == form.digest(feed.last)


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain["good"].update(targets=plain["good"]["snapshot"]),
        lambda plain: plain["good"].update(timestamp=""),
        lambda plain: plain["good"].update(at="2036-12-01T12:00:00Z"),
        lambda plain: plain.update(roots=["e30="]),
        lambda plain: plain.update(format=2),
        lambda plain: plain.update(more=1),
    ],
)
def test_metadata_that_somebody_changed_on_the_disk_is_not_trusted(feed, change):
    changed(feed.home / TRUSTED, change)
    for act in (feed.node.taken, lambda now: feed.take()):
        with pytest.raises(Damaged, match="take into an empty one"):
            act(NOW)


def test_a_new_root_counts_at_once_even_if_the_rest_is_not_good(feed):
    """The root takes Olga and a key of the server away; what follows it is held back."""
    old = (feed.directory / "timestamp.json").read_bytes()
    root = feed.publisher.prepare_root(roles(online=NEXT_ONLINE.verifier, activators=public(EVE)), NOW)
    feed.publisher.publish([signed(root, ANNA, BEN)], [], NEXT_ONLINE, NOW)
    new = (feed.directory / "timestamp.json").read_bytes()
    (feed.directory / "timestamp.json").write_bytes(old)
    with pytest.raises(Foreign):
        feed.take()
    (feed.directory / "2.root.json").rename(feed.directory / "hidden")
    with pytest.raises(Foreign):
        feed.take()
    taken = feed.node.taken(NOW)
    assert (taken.bundle.epoch, [key.name for key in taken.activators]) == (1, ["eve"])
    (feed.directory / "timestamp.json").write_bytes(new)
    assert feed.take().versions["root"] == 2


def test_a_newer_root_can_be_pinned(feed):
    feed.publisher.publish(
        [signed(feed.publisher.prepare_root(roles(), NOW), ANNA, BEN)], [], feed.online, NOW
    )
    feed.take()
    node = Node(feed.home, (feed.directory / "2.root.json").read_bytes())
    assert node.taken(NOW).bundle.epoch == node.take(feed.source, NOW).bundle.epoch == 1
    assert json.loads((feed.home / TRUSTED).read_bytes())["format"] == 1


def test_two_threads_take_one_after_the_other(feed):
    feed.next(2)
    found = []
    threads = [threading.Thread(target=lambda: found.append(feed.take().bundle.epoch)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [2] * 4


def test_the_time_is_what_the_node_is_told(feed):
    for now in (NOW - 10_000 * DAY, NOW):
        assert feed.take(now).stale is None
    with pytest.raises(Expired):
        feed.take(NOW + 10_000 * DAY)


def test_the_clock_of_the_machine_does_not_count(empty):
    """All of this is long past its date by the time that the test runs."""
    then = NOW.replace(year=2001)
    assert empty.begin(now=then).take(then).stale is None
    empty.next(2, then + MINUTE)
    assert empty.take(then + MINUTE).bundle.epoch == 2


def test_a_source_that_lost_a_part_says_which(feed):
    data = bundle(2, form.digest(feed.last))
    draft = signed(feed.publisher.prepare(data, NOW), ANNA, BEN)
    with pytest.raises(Incomplete, match=form.digest(data)):
        feed.publisher.publish([draft], [], feed.online, NOW)
