"""A PostgreSQL, and an empty schema in it for each test; a node, and the copies of what it ships."""

import pytest
from tests.postgres.nodes import Node, keys
from tests.postgres.server import Server, new_schema, shared

from carnet.store.postgres.connection import Database
from carnet.store.postgres.copies import QueryStore


@pytest.fixture
def server():
    """The server that the tests share; nothing bad is done to it."""
    return shared()


@pytest.fixture
def own_server():
    """A server of the test's own, to be killed."""
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def database(server):
    return Database(server.address(), new_schema())


@pytest.fixture
def store(database):
    made = QueryStore(database, keys)
    yield made
    made.close()


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.log.close()


from tests.log.conftest import carnet, made_keys, old, people  # noqa: E402,F401 -- fixtures that both have
