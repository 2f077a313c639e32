"""A database of its own for an installation, and what it shares there as somebody sees it who looks."""

import contextlib
import itertools
import os

import psycopg

from carnet.ledger import checkpoint
from carnet.service.sharing import ALL, LogKeys
from carnet.store.keys import Keyring
from carnet.store.origins import called, homes, seen
from carnet.store.postgres.connection import Database, Pool
from carnet.store.postgres.copies import QueryStore
from carnet.store.postgres.reading import reading
from carnet.store.postgres.sequencer import read

_NUMBERS = itertools.count()


def new_database(server):
    """The URL of an empty database, password and all."""
    name = f"carnet_{os.getpid()}_{next(_NUMBERS)}"
    with psycopg.connect(server.address(), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return f"postgresql://carnet:{server.password}@127.0.0.1:{server.port}/{name}"


@contextlib.contextmanager
def looked(data, url):
    """The copies, as a process sees them that ships nothing."""
    with contextlib.closing(QueryStore(Database(url), LogKeys(data))) as store:
        yield store


def sizes(data):
    """How many records each log has that has some, by its name."""
    found = {}
    for home in homes(data):
        with seen(home) as now:
            found[now.name.origin] = now.reading.size
    return {name: size for name, size in found.items() if size}


def shipped(data, url):
    """Whether every record is there, whole."""
    with looked(data, url) as store:
        for origin, size in sizes(data).items():
            position = store.position(origin)
            if position is None or position.size < size:
                return False
            store.verify(origin)
    return True


def copied(store, tenant="default"):
    """Every copy of a tenant, in the order of their arrival."""
    after = -1
    while page := store.found(tenant, [], after=after, limit=500):
        yield from page
        after = page[-1].place


def logged(data, url):
    """The largest checkpoint of each node in the log of logs, once its own signature is verified."""
    keyring = Keyring.open(data)
    name = called(keyring, [f"{keyring.name}/{ALL}"])
    pool, found = Pool(Database(url)), {}
    with contextlib.closing(pool), reading(pool) as now:
        about = checkpoint.opened(now.checkpoint(), name.origin, name.verifiers).checkpoint
        assert about.size == now.size
        keys = LogKeys(data)
        for leaf in now.leaves(0, now.size):
            said = read(leaf)
            checkpoint.opened(said.note.encode(), said.origin, keys(said.origin))
            found[said.origin] = max(said.size, found.get(said.origin, 0))
    return found
