"""The desk as a file: its mode, what is refused, and what is durable."""

import subprocess
import sys
import textwrap

import apsw
import pytest
from tests.keys.conftest import NOW

from carnet.model.errors import StoreError, Unavailable
from carnet.store.api_keys import ApiKeys
from carnet.store.desk import VERSION, Desk

INSERT = "INSERT INTO facts (tenant, subject, recorded, key, sealed) VALUES ('a', 'b', 1, 'c', x'00')"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "desk.db"


def test_a_new_desk_is_its_owners_alone(file):
    with Desk(file) as desk:
        with desk.writing():
            desk.write(INSERT)
        assert {each.stat().st_mode & 0o777 for each in file.parent.iterdir()} == {0o600}
        assert len(list(file.parent.iterdir())) == 3


def test_the_desk_waits_for_the_disk_and_deletes_for_good(file):
    with Desk(file) as desk:
        assert desk.rows("PRAGMA synchronous") == [(2,)]
        assert desk.rows("PRAGMA secure_delete") == [(1,)]
        assert desk.rows("PRAGMA journal_mode") == [("wal",)]
        assert desk.rows("PRAGMA user_version") == [(VERSION,)]


def test_a_desk_of_a_newer_carnet_is_refused_and_not_changed(file):
    Desk(file).close()
    connection = apsw.Connection(str(file))
    connection.pragma("user_version", VERSION + 1)
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match=f"has version `{VERSION + 1}`: install a newer Carnet"):
        Desk(file)
    assert file.read_bytes() == before


def test_another_database_is_refused(file):
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(StoreError, match="is no desk of Carnet"):
        Desk(file)
    connection = apsw.Connection(str(file))
    connection.pragma("application_id", 1)
    connection.close()
    with pytest.raises(StoreError, match="is a database of another program"):
        Desk(file)


def test_what_is_no_database_is_refused(file):
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="is damaged: restore it from a backup"):
        Desk(file)
    with pytest.raises(Unavailable, match="can't be opened"):
        Desk(file.parent / "nowhere" / "desk.db")


def test_what_is_raised_within_a_transaction_undoes_it(file):
    with Desk(file) as desk:
        with pytest.raises(ZeroDivisionError), desk.writing():
            1 / (desk.write(INSERT) - 1)
        assert desk.rows("SELECT * FROM facts") == []
        with pytest.raises(Unavailable), desk.writing():
            desk.write("INSERT INTO nowhere VALUES (1)")
        with desk.writing():
            desk.write(INSERT)
        assert len(desk.rows("SELECT * FROM facts")) == 1


def test_a_fact_is_neither_deleted_nor_dated_anew(file):
    with Desk(file) as desk:
        with desk.writing():
            desk.write(INSERT)
        for sql in ("DELETE FROM facts", "UPDATE facts SET recorded = 0", "UPDATE facts SET tenant = 'x'"):
            with pytest.raises(Unavailable, match="a fact is corrected by a new one"), desk.writing():
                desk.write(sql)
        assert desk.rows("SELECT tenant, recorded FROM facts") == [("a", 1)]


def test_many_processes_open_a_new_desk_at_once(file):
    program = f"""
        import pathlib
        from carnet.store.desk import Desk
        Desk(pathlib.Path({str(file)!r})).close()
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    started = [subprocess.Popen(run, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    ended = [(each.communicate()[1], each.returncode) for each in started]
    assert ended == [("", 0)] * 6


def test_a_key_that_was_given_out_lives_through_a_kill(keyring, data):
    program = f"""
        import datetime as dt, os, pathlib, signal
        from carnet.store.api_keys import ApiKeys
        from carnet.store.desk import Desk
        from carnet.store.keys import Keyring
        data = pathlib.Path({str(data)!r})
        keys = ApiKeys(Desk.open(data), Keyring.open(data))
        print(keys.add("acme", ["read"], dt.datetime.now(dt.UTC))[1], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9
    _, id_, secret = done.stdout.strip().split("_", 2)
    with Desk.open(data) as desk:
        assert ApiKeys(desk, keyring).opened(id_, secret, NOW).tenant == "acme"
