"""A process that shreds one key and is killed at a point, or as soon as it is told to."""

import os
import signal
import sys
from pathlib import Path

from tests.records.makers import APPROVERS, SUBJECT, both

from carnet.model.retention import Standing
from carnet.store import vault_file
from carnet.store.vault import Vault

OVER = Standing("over")


def killed_at(point):
    """Kill this process before a journal is scrubbed, once its header is, or once all of it is."""

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def scrub(file):
        if point == "before":
            die()
        if point == "header":
            with file.open("r+b") as opened:
                opened.write(bytes(4096))
                opened.flush()
                os.fsync(opened.fileno())
            die()
        real(file)
        die()

    real, vault_file.scrub = vault_file.scrub, scrub


def main(path, wrapping, point):
    with Vault.open(Path(path), bytes.fromhex(wrapping)) as vault:
        (order,) = vault.planned([(SUBJECT, "ear")])
        if point != "any":
            killed_at(point)
        print("now", flush=True)
        vault.shred(order, both(order), APPROVERS, standing=OVER)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
