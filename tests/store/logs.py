"""Logs for the tests of the contract: one class for each kind of store, and entries to put into them."""

import hashlib

from tests.ledger.memory import LOG, ORIGIN

from carnet.store.protocols import Answered, Entry, GrantRow
from carnet.store.sqlite.log import open_log
from carnet.store.sqlite.reading import Readers


class Sqlite:
    """The embedded store, in a directory of its own."""

    def __init__(self, folder):
        self.path = folder / "log.db"

    def open(self, **more):
        return open_log(self.path, ORIGIN, [LOG], [LOG.verifier], **more)

    def readers(self):
        """Readings of a log that could not be opened."""
        return Readers(self.path, None)


class Postgres:
    """The log of logs, in a schema of its own. What it takes is imported by who asks for it."""

    def __init__(self, folder):
        from tests.postgres.server import new_schema, shared

        from carnet.store.postgres.connection import Database

        self.database = Database(shared().address(), new_schema())

    def open(self, **more):
        from carnet.store.postgres.log import open_log

        return open_log(self.database, ORIGIN, [LOG], [LOG.verifier], **more)


BACKENDS = {"sqlite": Sqlite, "postgres": Postgres}
"""By name; another store that keeps a `Log` is another line."""


def leaf(id_, size=600):
    """The leaf of an id: always the same, and no other's."""
    return (f"{id_} ".encode() + hashlib.sha512(id_.encode()).digest() * (size // 64 + 1))[:size]


def entry(id_, **more):
    return Entry(**{"id": id_, "leaf": leaf(id_), "tenant": "a", **more})


def full(id_, tenant="a"):
    """An entry with all that it may have."""
    return entry(
        id_,
        tenant=tenant,
        subject=f"subject of {id_}",
        retention="five-years",
        sealed=leaf(f"sealed {id_}", 512),
        terms=(term("every"), term(id_)),
        grant=GrantRow(key=f"grant {id_}", subject="s", item="i", epoch=3, until="2026-07-01T00:00:00Z"),
        answered=Answered(key=f"answer {id_}", request=b"digest", status=200, body=b"{}"),
    )


def term(text):
    return hashlib.sha256(text.encode()).digest()[:16]


def appended(log, entries):
    """Submit them all, then wait for all."""
    return [future.result(60) for future in [log.submit(each) for each in entries]]
