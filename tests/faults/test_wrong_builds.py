"""Each fault test of the ledger fails under the wrong builds that it is there for, and by what it asserts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults import counts, wrong
from tests.faults.disk import mounted

pytestmark = pytest.mark.real

HERE = Path(__file__).parent
LEDGER = ("test_copies.py", "test_disks.py", "test_kills.py")
"""The fault tests of the ledger: none of them is there without a build that it catches."""

SERVED = "test_serving.py::test_whoever_can_not_be_recorded_is_not_served"
FULL = "test_disks.py::test_a_full_file_system_refuses_and_once_there_is_room_the_log_goes_on"
KILL = "test_kills.py::test_nothing_acknowledged_is_lost"
CAUGHT = {
    "synchronous_off": (
        f"{KILL}_by_a_kill_at_a_point[before_commit-dropped]",
        f"{KILL}_by_a_kill_at_a_point[after_commit-dropped]",
        f"{KILL}_by_a_kill_at_a_point[after_acknowledgement-dropped]",
        f"{KILL}_with_what_was_not_synced[all of it]",
        f"{KILL}_with_what_was_not_synced[some sectors of it]",
        "test_kills.py::test_a_kill_while_a_log_is_made_or_opened_leaves_one_that_opens",
        "test_copies.py::test_of_two_sequencers_the_first_is_shut_out_and_the_tree_stays_one",
        "test_disks.py::test_with_a_sync_of_eight_seconds_who_asks_is_told_in_time",
        "test_disks.py::test_a_sync_that_fails_records_nothing_and_the_log_goes_on",
        "test_disks.py::test_while_every_sync_fails_the_id_tells_what_became_of_it",
        "test_disks.py::test_a_commit_that_fails_after_it_was_durable_is_acknowledged",
        "test_disks.py::test_entries_that_are_not_durable_are_not_seen",
        f"{SERVED}[slow]",
        f"{SERVED}[broken]",
    ),
    "acknowledged_before_commit": (
        f"{KILL}_by_a_kill_at_a_point[before_commit-kept]",
        f"{KILL}_by_a_kill_at_a_point[before_commit-dropped]",
        f"{KILL}_by_a_kill_at_a_point[after_commit-kept]",
        f"{KILL}_by_a_kill_at_a_point[after_acknowledgement-kept]",
        f"{KILL}_by_a_kill_at_a_point[after_acknowledgement-dropped]",
        f"{KILL}_by_a_kill_at_random",
        f"{KILL}_with_what_was_not_synced[all of it]",
        f"{KILL}_with_what_was_not_synced[some sectors of it]",
        "test_kills.py::test_what_halts_before_its_commit_was_not_recorded",
        "test_kills.py::test_what_halts_after_its_commit_was_recorded_though_nobody_was_told",
        "test_copies.py::test_a_log_rolled_back_to_an_old_copy_is_noticed_by_a_checkpoint_kept_outside",
        "test_copies.py::test_a_fork_of_one_log_is_noticed_from_either_side",
        "test_copies.py::test_while_a_process_has_a_log_no_other_gets_it_and_after_its_death_one_does",
        FULL,
        "test_disks.py::test_a_disk_that_says_it_is_full_refuses_and_once_there_is_room_the_log_goes_on",
        "test_disks.py::test_of_a_damaged_write_ahead_log_what_was_before_the_damage_is_kept",
        "test_disks.py::test_a_flipped_bit_in_the_file_is_never_taken_for_what_was_written",
        f"{SERVED}[broken]",
    ),
    "signed_unverified": ("test_kills.py::test_a_leaf_that_is_altered_on_its_way_in_is_never_signed",),
}
"""By build, the tests that have to fail."""

QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "400"}
ASSERTED = ("AssertionError", "assert ", "Failed: DID NOT RAISE")
LINE = re.compile(r"^FAILED tests/faults/(\S.*?\]|\S+)(?: - (.*))?$", re.MULTILINE)


def run(*words, build=None):
    """What pytest says about some fault tests, under a build."""
    without = (counts.FILE, wrong.VARIABLE, "CARNET_FAULTS")
    env = {name: value for name, value in os.environ.items() if name not in without}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command,
        cwd=HERE.parents[1],
        env=env | ({} if build is None else {wrong.VARIABLE: build}) | QUICK,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mounts(folder):
    """Whether this process may mount a file system; else the test of a full one is skipped, and said so."""
    try:
        with mounted(folder, "1m"):
            return True
    except pytest.skip.Exception:
        return False


def test_every_fault_test_of_the_ledger_has_a_build_that_it_catches():
    said = run("--collect-only", "-q", *(f"tests/faults/{name}" for name in LEDGER))
    there = {line.removeprefix("tests/faults/") for line in said.splitlines() if "::" in line}
    assert {test for tests in CAUGHT.values() for test in tests if test.startswith(LEDGER)} == there
    assert CAUGHT.keys() == wrong.BUILDS.keys()


@pytest.mark.parametrize("build", CAUGHT)
def test_a_wrong_build_is_caught_by_each_test_that_is_there_for_it(build, tmp_path):
    there = {test for test in CAUGHT[build] if test != FULL or mounts(tmp_path)}
    said = run("-q", "-rf", "--tb=no", *(f"tests/faults/{test}" for test in sorted(there)), build=build)
    failed = dict(LINE.findall(said))
    assert failed.keys() == there, said
    assert all(why.startswith(ASSERTED) for why in failed.values()), said
    counts.counted(f"wrong build {build.replace('_', ' ')}", tests=len(failed), caught=len(failed))
