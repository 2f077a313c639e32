"""A shred run that is killed at a point is finished by whoever comes next."""

import signal
import subprocess
import sys

import pytest
from tests.log.people import kept_keys, over, propose
from tests.records.traces import found

from carnet.model.leaf import Shredded
from carnet.service.retention import every
from carnet.store.origins import seen

KILLED = """
import os, signal, sys
from carnet.service import retention, shredding
from carnet.store.sqlite.log import SqliteLog
from carnet.store.vault import Vault
point, arguments = sys.argv[1], sys.argv[2:]
def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)
if point == "recorded":
    Vault.shred_again = die
elif point == "destroyed":
    SqliteLog.forget = die
elif point == "first":
    real = shredding.retention.recorded
    def once(*given):
        real(*given)
        die()
    shredding.retention.recorded = once
sys.argv[1:] = arguments
from carnet.cli import main
main()
"""


@pytest.mark.real
@pytest.mark.parametrize("point", ["first", "recorded", "destroyed"])
@pytest.mark.parametrize("again", ["shred", "start", "finish"])
def test_a_run_that_was_killed_is_finished(old, people, carnet, tmp_path, point, again):
    assert carnet("backup", "--to", "b1", "--data", old.data).exit_code == 0
    _, keys = kept_keys(old)
    due = over(old)
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    args = ["records", "shred", proposal["id"], *approvals, "--data", str(old.data)]
    killed = subprocess.run([sys.executable, "-c", KILLED, point, *args], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    if again == "shred":
        done = carnet("records", "shred", proposal["id"], "--data", old.data)
        assert done.exit_code == 0, done.output
    elif again == "finish":
        done = carnet("records", "finish", "--data", old.data)
        assert done.exit_code == 0, done.output
    else:
        old.open().close()
    if point == "first" and again != "shred":  # only what was recorded is done; the rest is approved still
        assert carnet("records", "shred", proposal["id"], "--data", old.data).exit_code == 0
    assert found(tmp_path, *[secret for whose in due for secret in keys[whose][:2]]) == []
    done = carnet("log", "audit", "--data", old.data)
    assert done.exit_code == 0, done.output
    with seen(old.data) as now:
        orders = [leaf for _, leaf in every(now.reading) if isinstance(leaf, Shredded)]
    assert len(orders) == len({leaf.order.key for leaf in orders}) == 2
