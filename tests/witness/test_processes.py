"""The witness in a process of its own: it is killed, started again, stopped, and run twice, and never forgets
what it acknowledged."""

import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from tests.faults.counts import counted
from tests.ledger.memory import LOG, ORIGIN
from tests.witness.logs import Small

from carnet.ledger import checkpoint
from carnet.ledger.quorum import Quorum, Witness
from carnet.ledger.witness import Refused
from carnet.store.cosign import Ahead, Cosigned, Failed, Forked, Runner, Witnessed, asking
from carnet.store.exchange import exchange
from carnet.store.witness_key import read_public

pytestmark = pytest.mark.real

KILLS = 60 if os.environ.get("CARNET_FAULTS") == "nightly" else 20
AT_RANDOM = 200 if os.environ.get("CARNET_FAULTS") == "nightly" else 30

PROGRAM = """
from carnet.cli.main import COMMANDS, main
COMMANDS.setdefault("witness", "carnet.cli.witness")
main()
"""
# Where the process ends itself, as `kill -9` would, when it comes there for the first time.
BEFORE_COMMIT = """
import os, signal
from carnet.store.witness import Memory
signs = Memory._cosigned
def killed(*given):
    signs(*given)
    os.kill(os.getpid(), signal.SIGKILL)
Memory._cosigned = killed
"""
BEFORE_ANSWER = """
import os, signal
from carnet.ledger import witness
def killed(signatures):
    os.kill(os.getpid(), signal.SIGKILL)
witness.lines = killed
"""
# A wrong build, so that the tests below are known to see one: it answers first and commits later.
ANSWERS_FIRST = """
import threading, time
from carnet.ledger import witness
from carnet.store.witness import Memory
adds = Memory.add
def add(self, request, body, keys, now):
    refused = witness.decided(self.remembered(request.origin), request)
    if refused is not None:
        return refused
    def later():
        time.sleep(0.2)
        adds(self, request, body, keys, now)
    threading.Thread(target=later, daemon=True).start()
    return witness.cosigned(request, keys, now())[1]
Memory.add = add
"""


def carnet(*words, patch=""):
    return [sys.executable, "-c", patch + PROGRAM, "witness", *map(str, words)]


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "home"
    subprocess.run(carnet("init", "--data", made, "--name", "witness.example/w1"), check=True)
    return made


@contextmanager
def running(home, patch="", port=0, log=LOG.verifier, words=()):
    """The process and the URL of a witness."""
    process = subprocess.Popen(
        carnet("serve", "--data", home, "--listen", f"127.0.0.1:{port}", "--log", log, *words, patch=patch),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline()
        assert said.startswith("witness `witness.example/w1` listens on http"), process.stderr.read()
        yield process, said.split()[-1]
    finally:
        process.kill()
        process.communicate()


def client(small, home, url):
    return Witnessed(small, ORIGIN, [LOG.verifier], read_public(home), url, asking(10))


def remembered(home):
    """The size that the witness has of the log, by its own command."""
    done = subprocess.run(
        carnet("show", "--data", home, "--json"), check=True, capture_output=True, text=True
    )
    rows = json.loads(done.stdout)["logs"]
    return rows[0]["size"] if rows else 0


def test_a_log_is_cosigned_by_another_process_and_a_restart_keeps_it(home):
    small = Small(3)
    backup = small.copy(mark="after the restore")
    with running(home) as (process, url):
        answer = client(small.append(4), home, url).submit()
        assert isinstance(answer, Cosigned)
        assert exchange("GET", f"{url}/healthz").body == b"ok\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    assert remembered(home) == 7
    with running(home) as (process, url):
        assert isinstance(client(backup, home, url).submit(), Ahead)
        assert isinstance(client(backup.append(4), home, url).submit(), Forked)
        assert isinstance(client(small.append(1), home, url).submit(), Cosigned)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert err == f"`{ORIGIN}` at 7 contradicts what was cosigned\n"
    done = subprocess.run(carnet("show", "--data", home), check=True, capture_output=True, text=True)
    assert f"{ORIGIN}: 8 records" in done.stdout
    assert "1 signed requests contradict it" in done.stdout


@pytest.mark.parametrize(("patch", "kept"), [(BEFORE_COMMIT, False), (BEFORE_ANSWER, True)])
def test_killed_at_a_point_it_knows_all_or_nothing(home, patch, kept):
    """Killed before the commit, nothing happened; killed before the answer, it stands by what it decided."""
    small, size = Small(), 0
    for turn in range(KILLS):
        fork = small.copy(mark=f"fork {turn}")
        small.append(turn % 3 + 1)
        with running(home, patch) as (process, url):
            assert isinstance(client(small, home, url).submit(), Failed)
            assert process.wait(20) == -signal.SIGKILL
        size = small.tree.size if kept else 0
        assert remembered(home) == size
        if kept and turn % 5 == 0:
            with running(home) as (_, url):
                forked = fork.append(turn % 3 + 1)
                assert isinstance(client(forked, home, url).submit(), Forked)
                assert isinstance(client(small, home, url).submit(), Cosigned)
    counted(
        f"the witness killed, {'decided' if kept else 'undecided'}", ends=KILLS, acknowledged=size, lost=0
    )


def acknowledged_and_remembered(home, kills, patch="", seed=7):
    """Kill at random while a log grows; for each kill, the size last acknowledged and the one remembered."""
    chance, small, found = random.Random(seed), Small(), []
    for _ in range(kills):
        acknowledged = 0
        with running(home, patch) as (process, url):
            one = client(small, home, url)
            timer = threading.Timer(chance.uniform(0.02, 0.3), process.kill)
            timer.start()
            while True:
                answer = one.submit()
                if not isinstance(answer, Cosigned):
                    break
                acknowledged = answer.about.size
                small.append()
            timer.join()
        found.append((acknowledged, remembered(home)))
    return found


def test_killed_at_random_it_remembers_all_that_it_acknowledged(home):
    found = acknowledged_and_remembered(home, AT_RANDOM)
    lost = [(said, kept) for said, kept in found if kept < said]
    grown = [kept for _, kept in found]
    counted("the witness killed at random", ends=AT_RANDOM, acknowledged=grown[-1], lost=len(lost))
    assert lost == []
    assert grown == sorted(grown)
    assert sum(said > 0 for said, _ in found) > AT_RANDOM // 2


def test_a_witness_that_answers_before_it_commits_would_be_seen(home):
    found = acknowledged_and_remembered(home, 6, ANSWERS_FIRST)
    assert any(kept < said for said, kept in found)


def test_two_processes_on_one_directory_cosign_one_log(home):
    """Whoever starts a second server by mistake gets no second view."""
    small = Small(3)
    fork = small.copy(mark="fork")
    with running(home) as (_, here), running(home) as (_, there):
        assert isinstance(client(small.append(2), home, here).submit(), Cosigned)
        assert isinstance(client(fork.append(2), home, there).submit(), Forked)
        assert isinstance(client(small.append(2), home, there).submit(), Cosigned)
        assert isinstance(client(small.append(2), home, here).submit(), Cosigned)
    assert remembered(home) == 9


def test_while_the_witness_is_down_the_log_goes_on_and_is_caught_up_with(home):
    """The process ends, the log grows, time passes (told), the process is back on the same port."""
    seconds, small = [0.0], Small(3)
    with running(home) as (_, url):
        quorum = Quorum(need=1, witness=(Witness(key=str(read_public(home)), url=url),), stop_seconds=1800)
        start = int(time.time())
        runner = Runner(
            small,
            ORIGIN,
            [LOG.verifier],
            quorum,
            ask=asking(5),
            clock=lambda: seconds[0],
            wall=lambda: start + int(seconds[0]),
        )
        assert [type(each) for each in runner.round()] == [Cosigned]
        assert runner.standing().kind == "fresh"
    kinds = set()
    for _ in range(70):
        seconds[0] += 30
        small.append(10)
        assert {type(each) for each in runner.round()} <= {Failed}
        kinds.add(runner.standing().kind)
    assert kinds == {"fresh", "late", "alarm", "stopped"}
    assert not runner.standing().allows
    with running(home, port=int(url.rpartition(":")[2])):
        runner._wall = lambda: int(time.time())
        seconds[0] += 60
        (answer,) = runner.round()
        assert isinstance(answer, Cosigned)
        assert (runner.standing().kind, runner.standing().size) == ("fresh", 703)
    found = checkpoint.opened(runner.cosigned, ORIGIN, [LOG.verifier], [read_public(home)])
    assert found.checkpoint.root == small.tree.root
    assert not isinstance(answer, Refused)


def test_it_speaks_tls_itself(home, certificate):
    chain, key = certificate
    with running(home, words=("--tls", chain, key)) as (_, url):
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(chain))
        one = Witnessed(Small(3), ORIGIN, [LOG.verifier], read_public(home), url, asking(10, trusting))
        assert isinstance(one.submit(), Cosigned)
        assert "certificate is not trusted" in str(client(Small(3), home, url).submit())
    done = subprocess.run(
        carnet("serve", "--data", home, "--log", LOG.verifier, "--tls", key, chain),
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "are no certificate chain and its key" in done.stderr) == (2, True)


def test_a_wrong_command_line_is_told(home):
    done = subprocess.run(carnet("serve", "--data", home), check=False, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "--log" in done.stderr
    done = subprocess.run(
        carnet("serve", "--data", home, "--log", "x+y"), check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        2,
        "`x+y` is not a public key: write `name+id+base64`, the id in 8 hex digits\n",
    )
