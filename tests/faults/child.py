"""A process that keeps a real log until it is killed: it says on its output what was acknowledged. Run as
`python -m tests.faults.child PLAN`, the plan in JSON."""

import base64
import json
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

from tests.faults import wrong
from tests.faults.disk import Disk
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import full, leaf

from carnet.model.errors import Unavailable
from carnet.store.sqlite import moving
from carnet.store.sqlite.log import open_log
from carnet.store.sqlite.writing import Writer

LEAF = re.compile(rb"(run-[0-9]+-[0-9]+-[0-9]+) ")


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def halt():
    """Say that the point is reached, and wait for the end."""
    say("at")
    time.sleep(60)
    os._exit(1)


def halting(point, turn):
    """Let the writer halt in its batch number `turn`: before its commit, after it, or after it was told."""
    recorded, commit, tidy, turns = Writer._recorded, Writer.commit, Writer.tidy, iter(range(turn))
    last = []

    def numbered(self, *given, **named):
        if next(turns, None) is None:
            last.append(True)
        return recorded(self, *given, **named)

    def halted_commit(self, db):
        if last and point == "before_commit":
            halt()
        commit(self, db)
        if last and point == "after_commit":
            halt()

    def halted_tidy(self):
        if last and point == "after_acknowledgement":
            time.sleep(0.02)  # those who wait say it
            halt()
        tidy(self)

    Writer._recorded, Writer.commit, Writer.tidy = numbered, halted_commit, halted_tidy


def altering(disk, draw):
    """Let the disk change one bit of some new leaves on their way in."""
    seen = set()

    def on_write(path, data, offset):
        new = [found for found in LEAF.finditer(data) if found[0] not in seen and begins(data, found)]
        seen.update(found[0] for found in new)
        if not new or draw.random() < 0.5:
            return data
        found = draw.choice(new)
        changed = bytearray(data)
        at = min(found.end() + draw.randrange(300), len(data) - 1)
        changed[at] ^= 1 << draw.randrange(8)
        say("altered", path)
        return bytes(changed)

    disk.on_write = on_write


def begins(data, found):
    """Whether what looks like a leaf is one: an index has ids too."""
    return data[found.start() : found.end() + 32] == leaf(found[1].decode())[: len(found[0]) + 32]


def produce(log, name, plan):
    """Append one after the other, and say what was acknowledged; the first says the checkpoint too."""
    for number in range(plan.get("entries", 10**9)):
        entry = full(f"{name}-{number}")
        try:
            receipt = log.submit(entry).result()
        except Unavailable:
            say("refused", entry.id)
            time.sleep(0.001)
            continue
        say("acknowledged", entry.id, receipt.index, receipt.size)
        if name.endswith("-0"):
            with log.reading() as reading:
                say("checkpoint", base64.b64encode(reading.checkpoint()).decode())


def main():
    plan = json.loads(sys.argv[1])
    draw = random.Random(plan["run"])
    disk = Disk(loses=plan.get("disk") == "loses")
    if plan.get("disk") == "alters":
        altering(disk, draw)
    moving.TIDY_PAGES = plan.get("tidy", moving.TIDY_PAGES)
    if plan.get("point"):
        halting(plan["point"], plan["turn"])
    wrong.build()  # after the above: what it does before a commit is done before the point is reached
    say("starting")
    log = open_log(Path(plan["path"]), ORIGIN, [LOG], [LOG.verifier], vfs=disk.name)
    signal.signal(signal.SIGTERM, lambda number, frame: disk.cut(draw))
    say("open")
    names = [f"run-{plan['run']}-{each}" for each in range(plan.get("producers", 4))]
    threads = [threading.Thread(target=produce, args=(log, name, plan), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    log.close()


if __name__ == "__main__":
    main()
