"""The tables and the connections: made once, never rewritten, and refused without a secret in the text."""

import threading

import psycopg
import pytest
from tests.postgres.nodes import batch, keys, until
from tests.postgres.server import new_schema

from carnet.model.errors import InputError, StoreError, Unavailable
from carnet.store.postgres import schema
from carnet.store.postgres.connection import Database
from carnet.store.postgres.copies import QueryStore


def test_no_statement_rewrites_or_removes_what_is_recorded(store, node, database):
    node.record("one")
    store.receive(batch(node.log))
    with database.connected() as db:
        for text in (
            "UPDATE copies SET leaf = 'x'",
            "UPDATE copies SET tenant = 'b'",
            "DELETE FROM copies",
            "TRUNCATE copies CASCADE",
            "UPDATE leaves SET leaf = 'x'",
            "DELETE FROM leaves",
            "TRUNCATE leaves CASCADE",
            "UPDATE nodes SET hash = 'x'",
            "DELETE FROM checkpoints",
            "UPDATE checkpoints SET size = 3",
            "DELETE FROM reports",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="never rewritten"):
                db.execute(text)


def test_a_schema_is_made_once_by_any_number_that_start_at_once(server):
    database = Database(server.address(), new_schema())
    found, threads = [], []
    for _ in range(6):
        threads.append(threading.Thread(target=lambda: found.append(schema.prepare(database))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 1, 1, 1, 1]


def test_a_migration_is_all_or_nothing_and_changes_no_leaf(store, node, database, monkeypatch):
    node.record("one")
    store.receive(batch(node.log))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "UPDATE copies SET leaf = 'x'"))
    with pytest.raises(StoreError, match="version `2` and are as they were"):
        schema.prepare(database)
    assert store.verify(node.origin).size == 1
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:1], "CREATE TABLE more (n integer)"))
    assert [schema.prepare(database), schema.prepare(database)] == [1, 2]
    monkeypatch.undo()
    with pytest.raises(StoreError, match="version `2` and this program reads up to `1`"):
        QueryStore(database, keys)


def test_an_address_or_a_name_that_can_not_be_one_is_refused_unprinted():
    with pytest.raises(InputError, match="can't be read") as caught:
        Database("postgresql://u:hidden@host:x=1/?nonsense")
    assert "hidden" not in str(caught.value)
    for name in ("", "Upper", "a b", 'a"b', "pg_own", "x" * 64):
        with pytest.raises(InputError, match="no name of a schema"):
            Database("host=/tmp", name)
    assert "hidden" not in repr(Database("host=/tmp password=hidden"))


def test_a_server_that_is_not_there_or_refuses_is_told_without_its_password(server):
    wrong = server.tcp().replace(server.password, "hidden")
    for address in ("host=127.0.0.1 port=1 password=hidden", wrong):
        with pytest.raises(Unavailable, match="PostgreSQL can't be used now") as caught:
            QueryStore(Database(address), keys)
        assert "hidden" not in str(caught.value)


def test_a_connection_that_broke_while_idle_is_made_anew(store, node, database):
    node.record("one")
    store.receive(batch(node.log))
    with database.connected() as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'carnet' AND pid <> pg_backend_pid() AND query LIKE 'COMMIT%%'"
        )
    assert until(lambda: store.found("a", []))[0].record.id == "one"


def test_a_closed_store_says_so(database):
    store = QueryStore(database, keys)
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.position("node.example/1")
