"""Run a child with a real log, end it, and judge what is left: what was acknowledged has to be there, as it
was given, under the checkpoints that were seen outside."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import full

from carnet.ledger.audit import audit
from carnet.model.errors import CarnetError, LedgerError
from carnet.store.sqlite import check
from carnet.store.sqlite.log import open_log

ROOT = Path(__file__).parents[2]
KEYS = [LOG.verifier]
NIGHTLY = os.environ.get("CARNET_FAULTS") == "nightly"


def times(usual, nightly):
    """How often: `CARNET_FAULTS=nightly` asks for more."""
    return nightly if NIGHTLY else usual


class Told(Struct):
    """What a child said: where each acknowledged entry is, the checkpoints seen outside, and how often its
    disk altered something and entries were refused."""

    acknowledged: dict[str, int] = {}
    checkpoints: list[bytes] = []
    altered: int = 0
    refused: int = 0


class Counts(Struct):
    """What was found. All but `ends` and `acknowledged` have to stay 0."""

    ends: int = 0
    acknowledged: int = 0
    lost: int = 0
    changed: int = 0
    unsound: int = 0
    not_open: int = 0
    first: str = ""

    @property
    def bad(self):
        return self.lost + self.changed + self.unsound + self.not_open

    def note(self, kind, why):
        setattr(self, kind, getattr(self, kind) + 1)
        self.first = self.first or f"{kind}: {why}"

    def __str__(self):
        counts = [f"{getattr(self, name)} {name}" for name in self.__struct_fields__[:-1]]
        return ", ".join([*counts, self.first])


def make(folder):
    """A log without records, on a disk that works."""
    path = folder / "log.db"
    open_log(path, ORIGIN, [LOG], KEYS).close()
    return path


def child(path, *, seconds=None, power=False, since="open", **plan):
    """Run a child to its point, for so long since it said `open` or `starting`, or to its end; then kill it,
    or cut its power."""
    command = [sys.executable, "-m", "tests.faults.child", json.dumps({"path": str(path), **plan})]
    told = Told({}, [])
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            if line.decode() == f"{since}\n" and seconds is not None:
                time.sleep(seconds)
                process.send_signal(signal.SIGTERM if power else signal.SIGKILL)
            if line == b"at\n":
                process.kill()
            heard(told, line)
        errors = process.stderr.read().decode()
    assert process.returncode == (0 if seconds is None and not plan.get("point") else -9), errors
    return told


def heard(told, line):
    """Take in one line; one that was cut off by the end says nothing."""
    match line.split() if line.endswith(b"\n") else []:
        case [b"acknowledged", id_, index, _]:
            told.acknowledged[id_.decode()] = int(index)
        case [b"checkpoint", data]:
            told.checkpoints.append(base64.b64decode(data))
        case [b"altered", _]:
            told.altered += 1
        case [b"refused", _]:
            told.refused += 1


def judge(path, told, counts, *, goes_on=True):
    """Open the log as a start does, and look for everything that was acknowledged; then it has to go on."""
    counts.ends += 1
    counts.acknowledged += len(told.acknowledged)
    try:
        log = open_log(path, ORIGIN, [LOG], KEYS)
    except CarnetError as error:
        counts.note("not_open", error)
        try:
            log = open_log(path, ORIGIN, [LOG], KEYS, behind=True)
        except CarnetError:
            counts.lost += len(told.acknowledged)
            return
        goes_on = False
    with log:
        with log.reading() as reading:
            older = told.checkpoints[-1] if told.checkpoints else None
            report = audit(reading, reading.checkpoint(), ORIGIN, KEYS, older=older)
            for why in [finding.message for finding in report.findings] + check.problems(reading, KEYS):
                counts.note("unsound", why)
            for id_, index in told.acknowledged.items():
                look(reading, id_, index, counts)
        if goes_on:
            log.append(full(f"after {counts.ends} {time.monotonic_ns()}"), within=60)


def size(path):
    """How many records a closed log has."""
    with open_log(path, ORIGIN, [LOG], KEYS) as log, log.reading() as reading:
        return reading.size


def look(reading, id_, index, counts):
    """One acknowledged entry, with all that hangs on it."""
    given = full(id_)
    try:
        record = reading.record(index)
        kept = reading.grant("a", given.grant.key), reading.answered("a", given.answered.key)
    except LedgerError as error:
        counts.note("changed", error)
        return
    if record is None:
        counts.note("lost", id_)
    elif (record.id, record.leaf, record.sealed) != (id_, given.leaf, given.sealed) or kept != (
        (given.grant, index),
        given.answered,
    ):
        counts.note("changed", id_)
