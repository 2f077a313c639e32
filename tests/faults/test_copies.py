"""One log, two of it: an old copy put back, a fork, two processes that append. Each is noticed."""

import random
import shutil
import signal
import subprocess
import sys

import pytest
from tests.faults.counts import counted
from tests.faults.disk import Disk
from tests.faults.harness import KEYS, ROOT, Counts, child, judge, kept_by_disk, make, size, times
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import Sqlite, appended, full

from carnet.ledger import checkpoint
from carnet.ledger.audit import audit
from carnet.model.errors import CarnetError, Damaged, Unavailable
from carnet.store.sqlite.log import open_log

pytestmark = pytest.mark.real


def signed(reading):
    return checkpoint.opened(reading.checkpoint(), ORIGIN, KEYS).checkpoint


def test_a_log_rolled_back_to_an_old_copy_is_noticed_by_a_checkpoint_kept_outside(tmp_path):
    draw, count = random.Random(2026), times(20, 100)
    with Sqlite(tmp_path).open() as log:
        for number in range(count):
            receipts = appended(log, [full(f"{number}-{each}") for each in range(draw.randrange(1, 9))])
            copied = log.backup(tmp_path / f"copy-{number}")
            assert copied.size == receipts[-1].size, "what is acknowledged is not in the copy"
        with log.reading() as reading:
            outside = reading.checkpoint()
            last = reading.size
    for number in range(count):
        shutil.copy(tmp_path / f"copy-{number}", tmp_path / "log.db")
        rolled_back = size_of(tmp_path / f"copy-{number}") < last
        if rolled_back:
            with pytest.raises(Damaged, match=f"and had `{last}`"):
                Sqlite(tmp_path).open()
        with Sqlite(tmp_path).open(behind=True) as log, log.reading() as reading:
            report = audit(reading, reading.checkpoint(), ORIGIN, KEYS, older=outside)
            assert [finding.kind for finding in report.findings] == (["rolled_back"] if rolled_back else [])
    counted("an old copy put back", copies=count, unnoticed=0)


def size_of(path):
    with open_log(path, ORIGIN, [LOG], KEYS) as log, log.reading() as reading:
        found = reading.size
    path.with_name(f"{path.name}.lock").unlink()
    return found


def test_a_fork_of_one_log_is_noticed_from_either_side(tmp_path):
    for count, (before, left, right) in enumerate(
        [(0, 1, 1), (1, 1, 1), (40, 1, 30), (64, 64, 1), (255, 3, 3)]
    ):
        (folder := tmp_path / str(count)).mkdir()
        with Sqlite(folder).open() as log:
            appended(log, [full(str(number)) for number in range(before)])
            copied = log.backup(folder / "fork.db")
            assert copied.size == before, "what is acknowledged is not in the copy"
        kept = []
        for path, side, more in ((folder / "log.db", "left", left), (folder / "fork.db", "right", right)):
            with open_log(path, ORIGIN, [LOG], KEYS) as log:
                appended(log, [full(f"{side} {number}") for number in range(more)])
                with log.reading() as reading:
                    kept.append(reading.checkpoint())
        for path, other in ((folder / "log.db", kept[1]), (folder / "fork.db", kept[0])):
            with open_log(path, ORIGIN, [LOG], KEYS) as log, log.reading() as reading:
                report = audit(reading, reading.checkpoint(), ORIGIN, KEYS, older=other)
                assert {finding.kind for finding in report.findings} <= {"forked", "rolled_back"}
                assert not report.sound
    counted("a log forked", forks=count + 1, unnoticed=0)


def test_while_a_process_has_a_log_no_other_gets_it_and_after_its_death_one_does(tmp_path):
    path, counts = make(tmp_path), Counts()
    command = [sys.executable, "-c", SECOND, str(path)]
    for run in range(times(5, 30)):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as first:
            assert first.stdout.readline() == b"open\n"
            with pytest.raises(Unavailable, match="is open in another process"):
                open_log(path, ORIGIN, [LOG], KEYS)
            second = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
            assert b"is open in another process" in second.stderr
            first.send_signal(signal.SIGKILL)
        judge(path, child(path, run=run, seconds=0.1, producers=2), counts)
    counts.tell("two processes with one log", refused=2 * counts.ends)


SECOND = """
import sys, time
from pathlib import Path
from tests.ledger.memory import LOG, ORIGIN
from carnet.store.sqlite.log import open_log
log = open_log(Path(sys.argv[1]), ORIGIN, [LOG], [LOG.verifier])
print("open", flush=True)
time.sleep(60)
"""


def test_of_two_sequencers_the_first_is_shut_out_and_the_tree_stays_one(tmp_path):
    """Somebody removed the lock file under a process that goes on appending."""
    path, shut_out, acknowledged = make(tmp_path), 0, 0
    disk = Disk(loses=True)
    for run in range(times(5, 30)):
        first = open_log(path, ORIGIN, [LOG], KEYS, vfs=disk.name)
        mine = [first.append(full(f"{run} first {number}"), within=60) for number in range(3)]
        path.with_name("log.db.lock").unlink()
        with first, open_log(path, ORIGIN, [LOG], KEYS, vfs=disk.name) as second:
            futures = [
                (log, log.submit(full(f"{run} {name} {number}")))
                for number in range(40)
                for name, log in (("old", first), ("new", second))
            ]
            for log, future in futures:
                try:
                    mine.append(future.result(60))
                    assert log is second
                except Unavailable:
                    assert log is first
                    shut_out += 1
            kept_by_disk(path, tmp_path / f"cut-{run}", [receipt.index for receipt in mine])
        assert len({receipt.index for receipt in mine}) == len(mine) == 43
        acknowledged += len(mine)
    with open_log(path, ORIGIN, [LOG], KEYS) as log, log.reading() as reading:
        assert reading.size == acknowledged
        assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound
    counted("two sequencers", acknowledged=acknowledged, refused=shut_out, lost=0)
    assert shut_out == 40 * times(5, 30)
    assert size(path) == acknowledged
    with pytest.raises(CarnetError):
        first.append(full("late"), within=60)
    disk.unregister()
