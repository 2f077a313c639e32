"""A process that leads the log of logs until it is killed, stopped or told that another leads: it says on its
output what was acknowledged. Run as `python -m tests.postgres.child PLAN`, the plan in JSON."""

import json
import os
import sys
import threading
import time

from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import full

from carnet.model.errors import CarnetError, Unavailable
from carnet.store.postgres.connection import Database
from carnet.store.postgres.log import open_log
from carnet.store.postgres.writing import Appending, Lease, Writer


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def halt():
    """Say that the point is reached, and wait for what comes."""
    say("at")
    time.sleep(plan().get("halts", 60))


def plan():
    return json.loads(sys.argv[1])


def halting(point, turn):
    """Let the writer halt in its batch number `turn`: before its commit, after it, or after it was told; or
    after the leaves were written."""
    commit, write, record, turns = Writer.commit, Appending.write, Writer.batch, iter(range(turn))
    state = {"last": False}

    def halted(name):
        if state["last"] and point == name:
            state["last"] = False
            halt()

    def batch(self, entries):
        if state.pop("told", False):
            time.sleep(0.05)  # those who wait say it
            halt()
        state["last"] = next(turns, None) is None and not state.get("done")
        state["done"] = state["last"] or state.get("done")
        last = state["last"]
        found = record(self, entries)
        state["told"] = last and point == "after_acknowledgement"
        return found

    def halted_commit(self, db):
        halted("before_commit")
        commit(self, db)
        halted("after_commit")

    def halted_write(self, first, leaves, complete):
        write(self, first, leaves, complete)
        halted("in_batch")

    Writer.commit, Appending.write, Writer.batch = halted_commit, halted_write, batch


def build(wrong):
    """Make this a build with one mistake: what the tests have to notice."""
    if wrong == "acknowledged_before_commit":
        begun, late = Writer._begun, []

        def begun_late(self):
            while late:
                late.pop().execute("COMMIT")
            return begun(self)

        Writer._begun = begun_late
        Writer.commit = lambda self, db: late.append(db)
    elif wrong == "unsynced":
        made = Database._set

        def unsynced(self, db, lease):
            made(self, db, lease)
            db.execute("SET synchronous_commit = off")

        Database._set = unsynced


def produce(log, name, count):
    for number in range(count):
        id_ = f"{name}-{number}"
        while True:
            try:
                receipt = log.submit(full(id_)).result()
            except Unavailable:
                say("refused", id_)
                if log.fenced:
                    say("fenced")
                    return
                time.sleep(0.02)
            except CarnetError as error:  # it was recorded, and nobody could know
                say("known", id_, type(error).__name__)
                break
            else:
                say("acknowledged", id_, receipt.index, receipt.size)
                break


def main():
    given = plan()
    build(given.get("wrong"))
    database = Database(given["address"], given["schema"])
    lease = Lease(
        seconds=given.get("lease", 2.0), patience=given.get("patience", 20.0), again=given.get("again", 4.0)
    )
    log = open_log(database, ORIGIN, [LOG], [LOG.verifier], lease=lease)
    if given.get("point"):
        halting(given["point"], given["turn"])
    say("open", log.epoch)
    names = [f"{given['run']}-{each}" for each in range(given.get("producers", 4))]
    threads = [
        threading.Thread(target=produce, args=(log, name, given.get("entries", 10**9)), daemon=True)
        for name in names
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    log.close()
    say("end")


if __name__ == "__main__":
    main()
