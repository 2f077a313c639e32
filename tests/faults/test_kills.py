"""kill -9 and power cuts: what was acknowledged is there, and the log goes on by itself."""

import random

import pytest
from tests.faults.harness import Counts, abreast, child, judge, make, size, times

pytestmark = pytest.mark.real

POINTS = ("before_commit", "after_commit", "after_acknowledgement")
PER_LOG = 5
"""Kills after which a new log is begun, so that an audit stays short."""


def ended(tmp_path, ends, end, untold=False):
    """Logs, each ended a few times by `end(run, path)`, which gives what was told; the counts. With `untold`
    each end leaves something recorded that nobody was told of."""

    def work(first):
        counts, before = Counts(), 0
        (folder := tmp_path / str(first)).mkdir()
        path = make(folder)
        for run in range(first, min(first + PER_LOG, ends)):
            told = end(run, path)
            found = judge(path, told, counts)
            if counts.bad:
                break  # what comes after it is no wonder
            assert not untold or found - before > len(told.acknowledged), "told before it was recorded"
            before = found + 1
        return counts

    return abreast(work, range(0, ends, PER_LOG))


def killed_at_random(tmp_path, ends, *, disk=None, power=False):
    draws = [random.Random(run) for run in range(ends)]

    def end(run, path):
        plan = {"run": run, "seconds": draws[run].uniform(0, 0.2), "disk": disk}
        if run % 2:  # so that the write-ahead log is often moved and begun anew
            plan["tidy"] = draws[run].choice((20, 60, 200))
        return child(path, power=power, producers=8, **plan)

    return ended(tmp_path, ends, end)


@pytest.mark.parametrize("disk", [None, "loses"], ids=["kept", "dropped"])
@pytest.mark.parametrize("point", POINTS)
def test_nothing_acknowledged_is_lost_by_a_kill_at_a_point(tmp_path, point, disk):
    """With what was written and not synced kept, as a kill leaves it, or dropped, as a power cut may."""

    def end(run, path):
        return child(path, run=run, point=point, turn=run % 7, producers=8, disk=disk)

    ends = times(10 if disk else 20, 100, 8)
    counts = ended(tmp_path, ends, end, untold=point == "after_commit")
    counts.tell(f"kill -9 {point.replace('_', ' ')}" + (", what was not synced dropped" if disk else ""))
    assert counts.ends == ends
    assert counts.acknowledged > 0


def test_nothing_acknowledged_is_lost_by_a_kill_at_random(tmp_path):
    counts = killed_at_random(tmp_path, times(200, 1000, 10))
    counts.tell("kill -9 at random")
    assert counts.ends >= times(200, 1000, 10)
    assert counts.acknowledged > 5 * counts.ends


@pytest.mark.parametrize("power", [False, True], ids=["all of it", "some sectors of it"])
def test_nothing_acknowledged_is_lost_with_what_was_not_synced(tmp_path, power):
    counts = killed_at_random(tmp_path, times(20, 200, 5), disk="loses", power=power)
    counts.tell(f"power cut, {'some sectors' if power else 'all'} of what was not synced dropped")
    assert counts.acknowledged > 5 * counts.ends


def test_a_kill_while_a_log_is_made_or_opened_leaves_one_that_opens(tmp_path):
    ends = times(20, 200)
    draws, there = [random.Random(run) for run in range(ends)], []

    def work(run):
        counts = Counts()
        (folder := tmp_path / str(run)).mkdir()
        path = folder / "log.db"
        for turn in range(2):
            disk = "loses" if run % 2 and turn else None
            seconds = 0.25 * draws[run].random() ** 3
            told = child(path, run=turn, seconds=seconds, since="starting", disk=disk)
            there.append(path.exists())
        judge(path, told, counts)
        return counts

    counts = abreast(work, range(ends))
    counts.tell("kill -9 while a log is made or opened", there=sum(there))
    assert sum(there) > 0


def test_what_halts_before_its_commit_was_not_recorded(tmp_path):
    path = make(tmp_path)
    told = child(path, run=0, point="before_commit", turn=0, producers=8)
    assert not told.acknowledged
    counts = Counts()
    judge(path, told, counts)
    assert counts.bad == 0
    assert size(path) == 1


def test_what_halts_after_its_commit_was_recorded_though_nobody_was_told(tmp_path):
    path = make(tmp_path)
    told = child(path, run=0, point="after_commit", turn=0, producers=8)
    assert not told.acknowledged
    assert size(path) >= 1


def test_a_leaf_that_is_altered_on_its_way_in_is_never_signed(tmp_path):
    counts, altered, refused = Counts(), 0, 0
    for run in range(times(5, 50, 2)):
        (folder := tmp_path / str(run)).mkdir()
        path = make(folder)
        told = child(path, run=run, producers=8, entries=30, disk="alters")
        altered, refused = altered + told.altered, refused + told.refused
        judge(path, told, counts)
    counts.tell("bits flipped on the way to the disk", altered=altered, refused=refused)
    assert altered > 20
    assert refused >= altered
    assert counts.acknowledged > 0
