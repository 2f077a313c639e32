"""`carnet serve` in a process of its own whose clock, disk or program a test can make fail, under a letter of
ours that controls one model now, whatever day it is."""

import datetime as dt
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import msgspec
from tests.faults import wrong
from tests.faults.harness import ROOT
from tests.web.processes import Running

from carnet.model import leaf as leaves
from carnet.model.transaction import read_transaction
from carnet.service.request import Request
from carnet.store.keys import Keyring
from carnet.store.origins import LOG, named
from carnet.store.sqlite.log import open_log

ATLAS, FREE = "northwind/atlas-3", "northwind/atlas-free"
PATH = "/v1/determinations"
DATA = "carnet-data"

LETTER = """\
+++
format = 1
title = "An invented letter"
source = "Letter of an invented office"
dated = {day}
verified = {day}
+++

# An invented letter

```toml list
id = "us.directive.invented.models"
cite = "invented letter, annex"
from = {begins}
type = "id"
members = ["northwind/atlas-3"]
```

```toml requirement
id = "us.directive.invented.person"
cite = "invented letter, paragraph 2"
from = {begins}
gate = "own"
binds = ["northwind"]
reasons = ["notice"]
lifted_by = ["authorization", "carve_out"]
review = "none stated"
when = 'item.product in list("us.directive.invented.models") and foreign_person(recipient)'
```

```toml requirement
id = "us.directive.invented.later"
cite = "invented letter, paragraph 3"
from = {later}
gate = "own"
binds = ["northwind"]
reasons = ["notice"]
lifted_by = ["authorization", "carve_out"]
review = "none stated"
when = 'item.product in list("us.directive.invented.models") and recipient.us_status == "none"'
```
"""

WRONG = "from tests.faults import wrong\nwrong.build()\n"

CLOCK = """
import datetime
from pathlib import Path
from carnet.service import clock
def jumping():
    file = Path("jump")
    seconds = float(file.read_text()) if file.exists() else 0.0
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
clock.utc = jumping
clock.Clock.__init__.__defaults__ = (jumping, *clock.Clock.__init__.__defaults__[1:])
"""
"""The wall clock is off by the seconds in the file `jump`; the other clock is the machine's."""

DISK = """
import errno, functools, time
from pathlib import Path
import apsw
from tests.faults.disk import Disk
from carnet.store.sqlite import log
def fault():
    file = Path("fault")
    return file.read_text() if file.exists() else ""
def on_sync(path):
    if fault() == "slow":
        time.sleep(8)
    if fault() == "broken":
        raise OSError(errno.EIO, "the disk is broken")
def on_write(path, data, offset):
    if fault() == "full":
        raise apsw.FullError("database or disk is full")
    return data
disk = Disk()
disk.on_sync, disk.on_write = on_sync, on_write
log.open_log = functools.partial(log.open_log, vfs=disk.name)
"""
"""The disk below the log fails in the way that is written in the file `fault`."""


def letter(folder, begun=12.0, later=2.0):
    """A shelf with the letter, in force since so many hours, and with a change in so many more."""
    now = dt.datetime.now(dt.UTC)
    text = LETTER.format(
        day=(now - dt.timedelta(days=2)).date(),
        begins=written(now - dt.timedelta(hours=begun)),
        later=written(now + dt.timedelta(hours=later)),
    )
    file = folder / "letters" / "us" / "directives" / "2026" / "invented.md"
    file.parent.mkdir(parents=True)
    file.write_text(text, "utf-8")
    return folder / "letters"


def written(at):
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def served(folder, *words, prelude="", key=None, data=DATA):
    """`carnet serve` with the letter, after the prelude; killed at the end if it has not ended."""
    log = folder / f"serve-{time.monotonic_ns()}.log"
    law = folder / "letters" if (folder / "letters").exists() else letter(folder)
    program = f"{WRONG}{prelude}\nfrom carnet.cli import main\nmain()\n"
    command = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--law", law, *words]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, command)],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={name: os.environ[name] for name in ("PATH", wrong.VARIABLE) if name in os.environ}
            | {"HOME": str(folder), "PYTHONPATH": str(ROOT)},
        )
    server = Running(process, log, key)
    try:
        until(lambda: "Not legal advice." in server.said or process.poll() is not None, 60)
        assert process.poll() is None, server.said
        yield server
    finally:
        process.kill()
        process.wait()


def until(true, within=30.0, pause=0.05):
    """Wait until it is true; what it gave."""
    end = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(pause)
    return found


def transaction(product=ATLAS, at=None, **recipient):
    return {
        "at": (at or dt.datetime.now(dt.UTC)).isoformat(),
        "event": "remote_access",
        "served_from": "US",
        "item": {"product": product, "form": "hosted", "provider": "northwind"},
        "exporter": {"id": "northwind", "kind": "company"},
        "recipient": {"kind": "person", "location": "US", "us_status": "citizen", **recipient},
    }


def read(said):
    """The request for a use that a document says."""
    return Request(transaction=read_transaction(msgspec.json.encode(said)))


def asked(server, product=ATLAS, purpose="use", at=None, **recipient):
    """The answer to one request."""
    document = {"purpose": purpose, "transaction": transaction(product, at, **recipient)}
    return server.post(PATH, document)


def serves(server, product=ATLAS, **more):
    """Whether somebody is served now, with a grant for what is controlled."""
    answer = asked(server, product, **more)
    if answer.status_code != 200:
        return False
    found = answer.json()
    return found["action"] == "serve" and (found["grant"] is not None) == found["controlled"]


def refused(answer):
    """That it is inability: 503, when to ask again, no law named and nobody let at anything."""
    assert answer.status_code == 503, answer.text
    found = answer.json()
    assert found["type"] == "/problems/carnet_unavailable"
    assert int(answer.headers["retry-after"]) > 0
    assert "CFR" not in answer.text
    assert "grant" not in found
    return True


def ready(server):
    """What `/readyz` says, None if it is ready."""
    answer = server.ask("GET", "/readyz")
    return None if answer.status_code == 200 else answer.json()["detail"]


def recorded(data):
    """Every leaf of a log whose node has ended."""
    name = named(data, Keyring.open(data))
    with open_log(data / LOG, name.origin, name.signers, name.verifiers) as log, log.reading() as reading:
        return [leaves.read(leaf) for leaf in reading.leaves(0, reading.size)]
