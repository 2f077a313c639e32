"""The whole service while its disk fails or its witness is away: whoever can't be recorded is not served, and
it goes on without hands."""

import datetime as dt
import itertools
import subprocess
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from tests.faults import serving
from tests.faults.counts import counted
from tests.faults.disk import mounted
from tests.faults.harness import times
from tests.faults.serving import DATA, FREE, asked, ready, recorded, refused, served, serves, until
from tests.web.processes import stop
from tests.witness.test_processes import carnet as witness

from carnet.model.leaf import Determined
from carnet.store.keys import Keyring
from carnet.store.witness_key import read_public

pytestmark = pytest.mark.real

STOP = 4
"""Seconds without a witness after which nothing controlled is served."""


_numbers = itertools.count()


def serves_anew(server):
    """Whether somebody is served whom it has not heard of: so it has to be recorded."""
    return serves(server, id=f"anew-{next(_numbers)}.example")


def granted(answers):
    """The ids of those that were let at something."""
    return {answer.json()["grant"] for answer in answers if answer.status_code == 200}


def on_record(data, answers):
    """How many answers have no record that gives what they gave."""
    gave = {leaf.id for leaf in recorded(data) if isinstance(leaf, Determined) and leaf.grant is not None}
    return len(granted(answers) - gave)


@pytest.mark.parametrize("fault", ["slow", "broken", "full"])
def test_whoever_can_not_be_recorded_is_not_served(tmp_path, fault):
    """A sync of eight seconds where two may pass, one that fails, a disk that takes nothing more."""
    answers, turned_away = [], 0
    with served(tmp_path, prelude=serving.DISK) as server:
        until(lambda: serves(server, id="zoe.example"))
        for turn in range(times(1, 3)):
            answers.append(asked(server, id="zoe.example"))
            assert answers[-1].json()["given"] == "before"
            (tmp_path / "fault").write_text(fault)
            for number in range(2):
                assert refused(asked(server, id=f"new-{turn}-{number}.example"))
                turned_away += 1
                if fault == "slow":  # the log takes records: what is used can be counted
                    assert asked(server, id="zoe.example").json()["given"] == "before"
                else:
                    assert refused(asked(server, id="zoe.example")), "it could not be counted"
                    turned_away += 1
            assert refused(asked(server, FREE, id="dee.example"))
            if fault != "slow":
                assert "the log takes no records" in ready(server)
            (tmp_path / "fault").unlink()
            until(lambda: serves_anew(server), 60)
            answers.append(asked(server, id=f"after-{turn}.example"))
            assert ready(server) is None
        assert stop(server) == 0
    assert all(granted([answer]) for answer in answers)
    lost = on_record(tmp_path / DATA, answers)
    counted(
        f"carnet serve on a disk that is {fault}", acknowledged=len(answers), refused=turned_away, lost=lost
    )
    assert lost == 0


def test_on_a_full_file_system_nobody_new_is_served_until_there_is_room(tmp_path):
    (small := tmp_path / "small").mkdir()
    answers, turned_away = [], 0
    with mounted(small, "16m") as folder:
        with served(tmp_path, data=folder / DATA) as server:
            until(lambda: serves(server, id="zoe.example"))
            answers.append(asked(server, id="zoe.example"))
            with (folder / "ballast").open("wb", buffering=0) as ballast:
                fill(ballast, 1 << 16)
            for number in range(100):
                answer = asked(server, id=f"new-{number}.example")
                answers.append(answer)
                if answer.status_code != 200:
                    assert refused(answer)
                    turned_away += 1
                if turned_away >= 5:
                    break
            assert turned_away >= 5
            (folder / "ballast").unlink()
            until(lambda: serves_anew(server))
            assert stop(server) == 0
        lost = on_record(folder / DATA, answers)
    acknowledged = len(granted(answers))
    counted("carnet serve on a full tmpfs", acknowledged=acknowledged, refused=turned_away, lost=lost)
    assert lost == 0


def fill(ballast, piece):
    while True:
        try:
            ballast.write(bytes(piece))
        except OSError:
            if piece == 1:
                return
            piece //= 16


@contextmanager
def witnessing(home, log, port):
    """The process of a witness, and where it listens."""
    command = witness("serve", "--data", home, "--listen", f"127.0.0.1:{port}", "--log", log)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


def test_while_the_witness_is_down_nothing_controlled_is_served_and_then_it_goes_on(tmp_path):
    home, away, turned_away = tmp_path / "witness", times(5.0, 150.0), 0
    subprocess.run(witness("init", "--data", home, "--name", "witness.example/w1"), check=True)
    keyring = Keyring.create(tmp_path / DATA, "log.example/node", dt.datetime.now(dt.UTC))
    (log,) = keyring.verifiers("log")
    with ExitStack() as running:
        with witnessing(home, log, 0) as url:
            (tmp_path / DATA / "witnesses.toml").write_text(
                f"need = 1\nwithin_seconds = 1\nalarm_seconds = 3\nstop_seconds = {STOP}\n"
                f'[[witness]]\nkey = "{read_public(home)}"\nurl = "{url}"\n'
            )
            server = running.enter_context(served(tmp_path))
            until(lambda: serves(server, id="zoe.example"))
            assert ready(server) is None
        until(lambda: not serves(server, id="zoe.example"), STOP + 20)
        end = time.monotonic() + away
        while time.monotonic() < end:
            assert refused(asked(server, id="zoe.example"))
            assert refused(asked(server, id=f"new-{turned_away}.example"))
            turned_away += 2
            assert serves(server, FREE, id="dee.example")
            assert asked(server, purpose="inquiry").status_code == 200
            assert "not witnessed for too long" in ready(server)
        with witnessing(home, log, httpx.URL(url).port):
            until(lambda: serves(server, id="zoe.example"), 60)
            answers = [asked(server, id="after.example")]
            assert ready(server) is None
            assert stop(server) == 0
    lost = on_record(tmp_path / DATA, answers)
    counted("the witness is down", seconds=round(away), refused=turned_away, served=0, lost=lost)
    assert granted(answers)
    assert lost == 0
