"""Run a child with a real log, end it, and judge what is left: what was acknowledged has to be there, as it
was given, under the checkpoints that were seen outside."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct
from tests.faults import wrong
from tests.faults.counts import counted
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import full

from carnet.ledger.audit import audit
from carnet.model.errors import CarnetError, LedgerError
from carnet.store.sqlite import check
from carnet.store.sqlite.log import open_log

ROOT = Path(__file__).parents[2]
KEYS = [LOG.verifier]
NIGHTLY = os.environ.get("CARNET_FAULTS") == "nightly"


ABREAST = 4
"""Logs that are worked on at a time: most of the time is waiting."""


def times(usual, nightly, wrongly=None):
    """How often: `CARNET_FAULTS=nightly` asks for more, and a wrong build is caught sooner."""
    if wrong.NAME is not None and wrongly is not None:
        return wrongly
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

    def add(self, other):
        for name in self.__struct_fields__[:-1]:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first = self.first or other.first

    def tell(self, fault, **more):
        """Have it counted, and nothing bad in it."""
        numbers = {name: getattr(self, name) for name in self.__struct_fields__[:-1]}
        counted(fault, **numbers, **more)
        assert self.bad == 0, self.first


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
    """Open the log as a start does, and look for everything that was acknowledged; then it has to go on, with
    one record more. The size that was found, None if it is not open."""
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
            return None
        goes_on = False
    with log:
        with log.reading() as reading:
            found = reading.size
            older = told.checkpoints[-1] if told.checkpoints else None
            report = audit(reading, reading.checkpoint(), ORIGIN, KEYS, older=older)
            for why in [finding.message for finding in report.findings] + check.problems(reading, KEYS):
                counts.note("unsound", why)
            for id_, index in told.acknowledged.items():
                look(reading, id_, index, counts)
        if goes_on:
            log.append(full(f"after {counts.ends} {time.monotonic_ns()}"), within=60)
    return found


def abreast(work, jobs):
    """The counts of some jobs, a few at a time."""
    counts = Counts()
    with ThreadPoolExecutor(ABREAST) as pool:
        for found in pool.map(work, jobs):
            counts.add(found)
    return counts


def kept_by_disk(path, folder, indices):
    """That a power cut now would leave what was acknowledged, by what a losing disk has synced so far."""
    folder.mkdir()
    with open_log(imaged(path, folder), ORIGIN, [LOG], KEYS) as log, log.reading() as reading:
        assert [index for index in indices if reading.record(index) is None] == [], "these are lost"


def imaged(path, folder):
    """The files of an open log as they are on the disk now, without what is remembered beside it."""
    for ending in ("", "-wal"):
        source = path.with_name(path.name + ending)
        if source.exists():
            # another process copies: opening and closing the file in this one would drop SQLite's locks
            subprocess.run(["cp", str(source), str(folder / source.name)], check=True)
    return folder / path.name


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
