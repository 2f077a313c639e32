"""Recorded determinations under the shipped law, of many people at many instants, come out alike in another
process after the rulebook gained ten more slices."""

import datetime as dt
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from tests.faults.counts import counted
from tests.faults.harness import times
from tests.log.conftest import House
from tests.log.test_replay import exported
from tests.web.corpus import CASES, plain

from carnet.model.leaf import Determined, read
from carnet.model.transaction import read_transaction
from carnet.service.request import Request
from carnet.store.shelves import load_rulebook

pytestmark = pytest.mark.real

SUBJECTS = 400
RECORDS, STEPS = times(120, 10_000), times(3, 24)
"""In a nightly run ten thousand: under the shipped law each takes some milliseconds, twice, and each instant
at which the law is another one a second. Ten thousand under a small law: `test_replay.py`."""

LATER = RECORDS // 10
BATCH = RECORDS // STEPS
BEGINS, DAYS = dt.datetime(2026, 6, 11, 9, tzinfo=dt.UTC), 24
STATUSES = ("citizen", "permanent_resident", "protected", "none", None)
PLACES = ("US", "FR", "IN", "KP", None)
COUNTRIES = ("FR", "IN", "CN", "IR", "DE")
MORE = """\
+++
format = 1
title = "Letter {number} of an invented office"
source = "Letter of an invented office"
dated = 2026-06-{day}
verified = 2026-06-{day}
+++

# Letter {number}

```toml requirement
id = "us.directive.invented.letter-{number}"
cite = "invented letter {number}"
from = 2026-06-{day}T0{number}:30:00-04:00
gate = "own"
binds = ["anthropic"]
reasons = ["notice"]
lifted_by = ["authorization", "carve_out"]
review = "none stated"
when = 'item.product == "anthropic/claude-opus-4-8" and recipient.location == "{place}"'
```
"""


def grown(folder):
    """The shipped law and ten letters more, each with an instant of its own among those of the records."""
    for number in range(10):
        file = folder / "us" / "directives" / "2026" / f"letter-{number}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = MORE.format(number=number, day=12 + number, place=("US", "FR", "IN", "DE")[number % 4])
        file.write_text(text, "utf-8")
    return load_rulebook(folder)


def somebody(r):
    """A person with some facts, some of them unknown."""
    facts = {"us_status": r.choice(STATUSES), "location": r.choice(PLACES)}
    known = {name: value for name, value in facts.items() if value is not None}
    said = {"kind": "person", "id": f"subject-{r.randrange(SUBJECTS)}.example", **known}
    if said.get("us_status") == "none":
        said["nationalities"] = r.sample(COUNTRIES, r.choice((1, 1, 2)))
    return said


def asked(r, now):
    """A use now or an inquiry about the instant of a case: of what happened in June 2026, or of somebody else
    at the same."""
    case = r.choice(CASES)
    said = plain(case.transaction)
    if r.random() < 0.7:
        said["recipient"] = somebody(r)
    purpose = r.choice(("use", "inquiry"))
    if purpose == "use":
        said["at"] = now.isoformat()
    return Request(transaction=read_transaction(msgspec.json.encode(said)), purpose=purpose)


def fill(house, node, count, r):
    """Records while the clock goes on, a batch at a time."""
    receipts = []
    for number in range(count):
        if number % BATCH == 0:
            house.hands.go(DAYS * 86_400 / STEPS)
        receipts.append(node.determiner.determine("default", asked(r, house.hands.at)).receipt)
    return [receipt.result(60) for receipt in receipts]


def replayed(file, folder):
    """What a new process finds in the file alone, however long it takes."""
    done = subprocess.run(
        [Path(sys.executable).parent / "carnet", "log", "replay", file, "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["replay"]


def test_what_was_recorded_comes_out_alike_after_the_rulebook_gained_ten_more_slices(tmp_path):
    house, r = House(tmp_path / "house"), random.Random(2026)
    house.hands.at = BEGINS
    began = time.monotonic()
    with house.open() as node:
        fill(house, node, RECORDS - LATER, r)
        node.enter(grown(tmp_path / "letters"), house.policy)
        fill(house, node, LATER, r)
        with node.log.reading() as reading:
            made = [read(leaf) for leaf in reading.leaves(0, reading.size)]
    recorded = time.monotonic() - began
    file = exported(house, tmp_path)
    began = time.monotonic()
    found = replayed(file, tmp_path)
    seconds = time.monotonic() - began
    counted(
        "records replayed",
        records=found["determinations"],
        alike=found["alike"],
        differing=found["differing"],
        seconds_to_record=round(recorded),
        seconds_to_replay=round(seconds),
    )
    assert (found["determinations"], found["alike"], found["differing"]) == (RECORDS, RECORDS, 0)
    assert house.rulebook.digest in found["rulebooks"]
    assert len(found["rulebooks"]) == 2
    varied([leaf for leaf in made if isinstance(leaf, Determined)])


def varied(made):
    """It is not one record again and again."""
    assert {leaf.purpose for leaf in made} == {"use", "inquiry"}
    assert len({leaf.determination.outcome for leaf in made}) >= 4
    assert len({leaf.action for leaf in made}) >= 3
    assert len({leaf.subject for leaf in made}) > min(RECORDS, SUBJECTS) // 3
    assert len({leaf.determination.at for leaf in made}) > 10
    assert any(leaf.grant is not None for leaf in made)
