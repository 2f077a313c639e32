"""Nodes with real logs that ship, and a line to PostgreSQL that can be cut."""

import contextlib
import datetime as dt
import hashlib
import socket
import threading
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.store.logs import full

from carnet.ledger import checkpoint, note, tree
from carnet.ledger.note import Ed25519Signer
from carnet.store.postgres.copies import Batch
from carnet.store.postgres.shipper import Pace
from carnet.store.sqlite.log import open_log

AT = "2026-07-01T12:00:00Z"
PACE = Pace(batch=64, pause=0.02, longest=0.2)


def signer(name):
    secret = hashlib.sha256(name.encode()).digest()
    return Ed25519Signer(name, Ed25519PrivateKey.from_private_bytes(secret))


def keys(origin):
    """The keys of the nodes' logs, by origin; any name that begins so is one."""
    return [signer(origin).verifier] if origin.startswith("node.example/") else []


def now():
    return dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


class Node:
    """A node's own log."""

    def __init__(self, folder, name="1"):
        self.origin = f"node.example/{name}"
        self.path = folder / f"{name}.db"
        self.log = self.opened()

    def opened(self, **more):
        key = signer(self.origin)
        return open_log(self.path, self.origin, [key], [key.verifier], **more)

    def record(self, *ids, tenant="a"):
        for each in ids:
            self.log.append(full(each, tenant), within=60)

    def many(self, count, prefix=""):
        for start in range(0, count, 256):
            some = [full(f"{prefix}{number}") for number in range(start, min(count, start + 256))]
            self.log.submit_all(some).result(60)


def batch(log, first=0, stop=None, noted=0, **more):
    """The records of a node's log from `first` up to `stop`, under its last checkpoint."""
    with log.reading() as reading:
        size = checkpoint.parsed(note.parsed(reading.checkpoint()).text).size
        stop = size if stop is None else stop
        ids = [reading.record(number).id for number in range(first, stop)]
        given = {
            "origin": log.origin,
            "first": first,
            "entries": tuple(full(each) for each in ids),
            "note": reading.checkpoint(),
            "covers": tree.consistency_proof(reading, stop, size),
            "noted": noted,
            "follows": tree.consistency_proof(reading, noted, size),
            "at": AT,
        }
        return Batch(**{**given, **more})


def until(true, within=60.0):
    """Wait until something is true, and give it."""
    end = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return found


class Line:
    """A TCP line to a server. `cut` ends what is on it. Armed, it is cut as soon as a text is asked: `passed`
    on to the server, whose answer is lost, or not."""

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends = []
        self.armed, self.passed, self.cuts = None, True, 0
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def arm(self, text, *, passed):
        self.passed, self.armed = passed, text

    def cut(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self.threads:
            thread.join(10)
        for end in self._ends:
            end.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [near, far]
            for pair in ((near, far), (far, near)):
                thread = threading.Thread(target=self._carry, args=(*pair, pair[0] is near), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _carry(self, source, target, asks):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asks and self.armed and self.armed in data:
                    self.armed, self.cuts = None, self.cuts + 1
                    source.shutdown(socket.SHUT_RDWR)  # so the answer is lost
                    if self.passed:
                        target.sendall(data)
                        time.sleep(0.1)
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
