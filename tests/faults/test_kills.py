"""kill -9 and power cuts: what was acknowledged is there, and the log goes on by itself."""

import random

import pytest
from tests.faults.harness import Counts, child, judge, make, size, times

pytestmark = pytest.mark.real

POINTS = ("before_commit", "after_commit", "after_acknowledgement")
PER_LOG = 10
"""Kills after which a new log is begun, so that an audit stays short."""


def killed_at(tmp_path, point, kills, wrong=None):
    counts = Counts()
    for run in range(kills):
        if wrong or run % PER_LOG == 0:
            (folder := tmp_path / f"{point}-{wrong}-{run}").mkdir()
            path = make(folder)
        told = child(path, run=run, point=point, turn=run % 7, producers=8, wrong=wrong)
        judge(path, told, counts)
    print(f"\n{point}: {counts}")
    return counts


def killed_at_random(tmp_path, kills, *, disk=None, power=False, wrong=None):
    counts, draw = Counts(), random.Random(2026)
    for run in range(kills):
        if wrong or run % PER_LOG == 0:
            (folder := tmp_path / f"{disk}-{power}-{wrong}-{run}").mkdir()
            path = make(folder)
        plan = {"run": run, "seconds": draw.uniform(0, 0.3), "disk": disk, "wrong": wrong}
        if run % 2:
            plan["tidy"] = draw.choice(
                (20, 60, 200)
            )  # so that the write-ahead log is often moved and begun anew
        told = child(path, power=power, producers=8, **plan)
        judge(path, told, counts)
    print(f"\n{disk or 'disk'}{', power cut' if power else ''}: {counts}")
    return counts


@pytest.mark.parametrize("point", POINTS)
def test_nothing_acknowledged_is_lost_by_a_kill_at_a_point(tmp_path, point):
    counts = killed_at(tmp_path, point, times(20, 100))
    assert counts.ends >= 20
    assert counts.acknowledged > 0
    assert counts.bad == 0


def test_nothing_acknowledged_is_lost_by_a_kill_at_random(tmp_path):
    counts = killed_at_random(tmp_path, times(200, 1000))
    assert counts.ends >= 200
    assert counts.acknowledged > 1000
    assert counts.bad == 0


@pytest.mark.parametrize("power", [False, True], ids=["all of it", "some sectors of it"])
def test_nothing_acknowledged_is_lost_with_what_was_not_synced(tmp_path, power):
    counts = killed_at_random(tmp_path, times(20, 200), disk="loses", power=power)
    assert counts.acknowledged > 100
    assert counts.bad == 0


def test_a_kill_while_a_log_is_made_or_opened_leaves_one_that_opens(tmp_path):
    counts, draw, there = Counts(), random.Random(2026), 0
    for run in range(times(20, 200)):
        (folder := tmp_path / str(run)).mkdir()
        path = folder / "log.db"
        for turn in range(2):
            told = child(path, run=turn, seconds=0.25 * draw.random() ** 3, since="starting")
            there += path.exists()
        judge(path, told, counts)
    print(f"\nwhile it starts, {there} times it was there: {counts}")
    assert there > 0
    assert counts.bad == 0


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


def test_a_build_that_does_not_sync_is_caught(tmp_path):
    counts = killed_at_random(tmp_path, 5, disk="loses", wrong="synchronous_off")
    assert counts.lost > 0
    counts = killed_at_random(tmp_path, 5, disk="loses", power=True, wrong="synchronous_off")
    assert counts.lost > 0


def test_a_build_that_acknowledges_before_it_commits_is_caught(tmp_path):
    counts = killed_at(tmp_path, "after_acknowledgement", 5, wrong="acknowledged_before_commit")
    assert counts.lost > 0


def altered(tmp_path, runs, wrong=None):
    counts, changes, refused = Counts(), 0, 0
    for run in range(runs):
        (folder := tmp_path / f"{wrong}-{run}").mkdir()
        path = make(folder)
        told = child(path, run=run, producers=8, entries=30, disk="alters", wrong=wrong)
        changes, refused = changes + told.altered, refused + told.refused
        judge(path, told, counts)
    print(f"\n{changes} leaves altered on their way in, {refused} entries refused: {counts}")
    return counts, changes, refused


def test_a_leaf_that_is_altered_on_its_way_in_is_never_signed(tmp_path):
    counts, changes, refused = altered(tmp_path, times(5, 50))
    assert changes > 20
    assert refused >= changes
    assert counts.acknowledged > 0
    assert counts.bad == 0


def test_a_build_that_signs_unverified_is_caught(tmp_path):
    counts, changes, _ = altered(tmp_path, 2, wrong="signed_unverified")
    assert changes > 0
    assert counts.changed > 0
    assert counts.unsound > 0
