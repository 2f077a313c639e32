"""The log of logs as only several who lead and a database over a line can try it; what every log promises is
in `tests/store`."""

import time

import psycopg
import pytest
from tests.ledger.memory import LOG, ORIGIN, OTHER
from tests.postgres.leading import KEYS, ended, opened, put_back, sound
from tests.postgres.nodes import Line, until
from tests.postgres.server import new_schema
from tests.store.logs import entry, full, leaf

from carnet.ledger.audit import audit
from carnet.model.errors import Damaged, StoreError, Taken, Unavailable, Unverified
from carnet.store.postgres import schema, writing
from carnet.store.postgres.connection import Database
from carnet.store.postgres.log import open_log
from carnet.store.postgres.writing import Lease
from carnet.store.protocols import Receipt


def put(log, id_):
    return log.submit(full(id_)).result(60)


@pytest.fixture
def line(server):
    made = Line(server.port)
    yield made
    made.close()


@pytest.fixture
def over_line(server, line):
    """The database, through a line that can be cut."""
    return Database(server.tcp(line.port), new_schema())


def test_one_leads_and_another_is_told_so(database):
    with opened(database) as first:
        put(first, "one")
        with pytest.raises(Unavailable, match="another process keeps the log of logs"):
            opened(database)
        assert put(first, "two") == Receipt(1, 2)
    with opened(database) as second:
        assert second.epoch == first.epoch + 1
        assert sound(second) == ["one", "two"]


def test_who_waits_leads_as_soon_as_the_other_ends(database):
    first = opened(database)
    put(first, "one")
    first.close()
    with opened(database, lease=Lease(seconds=1, patience=10)) as second:
        assert put(second, "two") == Receipt(1, 2)


def test_a_leader_that_says_nothing_keeps_its_place(database):
    with opened(database) as log:
        put(log, "one")
        time.sleep(2.5)
        with pytest.raises(Unavailable):
            opened(database)
        assert put(log, "two") == Receipt(1, 2)
        assert log.trouble is None


def test_an_old_leader_appends_nothing_after_another_took_over(database):
    old = opened(database, lease=Lease(seconds=60))
    put(old, "one")
    ended(database)
    new = until(lambda: tried(database))
    put(new, "two")
    future = old.submit(full("late"))
    with pytest.raises(Unavailable, match="another process keeps"):
        future.result(60)
    new.close()
    with pytest.raises(Unavailable, match="another process keeps"):
        put(old, "later, and nobody leads")
    assert old.fenced
    assert "another process keeps" in old.trouble
    old.close()
    with opened(database) as again:
        assert sound(again) == ["one", "two"]


def tried(database):
    try:
        return opened(database)
    except Unavailable:
        return None


def test_the_epoch_alone_refuses_an_old_leader(database, monkeypatch):
    """As if the lock were lost on the way: a pooler, or a server that forgot it."""
    monkeypatch.setattr(writing.Writer, "_locked", lambda self, db, seconds, again: None)
    old, new = opened(database), opened(database)
    assert put(new, "one") == Receipt(0, 1)
    with pytest.raises(Unavailable, match="nothing was recorded, another process"):
        put(old, "two")
    assert put(new, "three") == Receipt(1, 2)
    assert sound(new) == ["one", "three"]
    old.close()
    new.close()


def test_a_session_that_the_server_ended_is_taken_up_again_by_itself(database):
    with opened(database) as log:
        for number in range(5):
            assert put(log, str(number)) == Receipt(number, number + 1)
            ended(database)
        assert not log.fenced
        assert sound(log) == list("01234")


@pytest.mark.parametrize("text", [b"INSERT INTO leaves", b"INSERT INTO checkpoints", b"COMMIT"])
@pytest.mark.parametrize("passed", [True, False], ids=["done", "lost"])
def test_a_line_that_breaks_in_a_batch_leaves_all_of_it_or_nothing(over_line, line, text, passed):
    with opened(over_line, lease=Lease(seconds=60, again=20)) as log:
        put(log, "one")
        line.arm(text, passed=passed)
        future = log.submit(full("two"))
        if text == b"COMMIT" and passed:
            assert future.result(60) == Receipt(1, 2)
        else:
            with pytest.raises(Unavailable, match="nothing was recorded"):
                future.result(60)
            assert put(log, "two") == Receipt(1, 2)
        assert line.cuts == 1
        with pytest.raises(Taken):
            put(log, "two")
        assert sound(log) == ["one", "two"]


def test_a_line_that_is_cut_while_idle_costs_nothing(over_line, line):
    with opened(over_line) as log:
        put(log, "one")
        line.cut()
        assert put(log, "two") == Receipt(1, 2)


def test_whether_it_was_recorded_is_told_as_unknown_while_nobody_can_know(over_line, line, monkeypatch):
    log = opened(over_line, lease=Lease(seconds=60, again=20))
    put(log, "one")
    start = writing.Writer.start
    monkeypatch.setattr(writing.Writer, "start", unreachable)
    line.arm(b"COMMIT", passed=True)
    with pytest.raises(Unavailable, match="its id tells once it works again"):
        put(log, "two")
    monkeypatch.setattr(writing.Writer, "start", start)
    with pytest.raises(Taken):
        put(log, "two")
    assert sound(log) == ["one", "two"]
    log.close()


def unreachable(self):
    raise Unavailable("nobody answers")


def test_another_name_or_key_is_refused(database):
    with opened(database) as log:
        put(log, "one")
    with pytest.raises(StoreError, match="is that of"):
        open_log(database, "log.example/other", [LOG], KEYS)
    with pytest.raises(Unverified):
        open_log(database, ORIGIN, [OTHER], [OTHER.verifier])
    with pytest.raises(StoreError, match="signs and is no verifier"):
        open_log(database, ORIGIN, [OTHER], KEYS)
    with opened(database) as log:
        assert sound(log) == ["one"]


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM leaves WHERE number = 2; DELETE FROM nodes WHERE place = 3",
        "UPDATE nodes SET hash = sha256('x') WHERE place = 2",
        "DELETE FROM checkpoints WHERE size = 3",
        "INSERT INTO leaves VALUES (3, 'x')",
        "UPDATE checkpoints SET note = 'x' WHERE size = 3",
        "DELETE FROM records WHERE number = 2",
    ],
)
def test_what_does_not_fit_its_checkpoint_is_not_gone_on_from(database, text):
    with opened(database) as log:
        for id_ in ("one", "two", "three"):
            put(log, id_)
    with database.connected() as db:
        db.execute("SET session_replication_role = replica")
        db.execute(text)
    with pytest.raises(Damaged):
        opened(database)


def test_a_database_put_back_under_a_leader_is_noticed(database):
    with opened(database) as log:
        for id_ in ("one", "two"):
            put(log, id_)
        put_back(database)
        ended(database)
        for _ in range(2):
            with pytest.raises(Unavailable, match="was put back"):
                put(log, "three")


def altering(database):
    """The database changes every leaf on its way in."""
    with database.connected() as db:
        db.execute(
            "CREATE FUNCTION alter_it() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.leaf = NEW.leaf || 'x'; RETURN NEW; END $$"
        )
        db.execute("CREATE TRIGGER altered BEFORE INSERT ON leaves FOR EACH ROW EXECUTE FUNCTION alter_it()")


def test_a_build_that_signs_unverified_is_caught(database, monkeypatch):
    with opened(database) as log:
        put(log, "one")
        altering(database)
        monkeypatch.setattr("carnet.ledger.log.verify", lambda storage, signed, after, complete: None)
        put(log, "two")
        with log.reading() as reading:
            report = audit(reading, reading.checkpoint(), ORIGIN, KEYS)
        assert [finding.kind for finding in report.findings] == ["record_changed"]


def test_what_the_database_alters_on_its_way_in_is_never_signed(database):
    with opened(database) as log:
        put(log, "one")
        altering(database)
        with pytest.raises(Unavailable, match="nothing was recorded"):
            put(log, "two")
        with database.connected() as db:
            db.execute("DROP TRIGGER altered ON leaves")
        assert put(log, "two") == Receipt(1, 2)
        assert sound(log) == ["one", "two"]


def test_a_record_altered_beside_its_leaf_is_not_taken_or_told(database):
    with opened(database) as log:
        put(log, "one")
        with database.connected() as db:
            db.execute("SET session_replication_role = replica")
            db.execute("UPDATE records SET sealed = 'x'")
        with log.reading() as reading, pytest.raises(Damaged):
            reading.record(0)


@pytest.mark.parametrize("changes", ["UPDATE leaves SET leaf = 'x'", "DELETE FROM leaves WHERE number = 1"])
def test_a_migration_that_changes_a_leaf_is_undone(database, monkeypatch, changes):
    with opened(database) as log:
        put(log, "one")
        put(log, "two")
    bad = f"SET LOCAL session_replication_role = replica; {changes}"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, bad))
    with pytest.raises(StoreError, match="would change what is recorded"):
        opened(database)
    monkeypatch.undo()
    with opened(database) as log:
        assert sound(log) == ["one", "two"]


def test_no_text_of_an_error_quotes_what_was_recorded(database):
    with opened(database) as log:
        put(log, "secret-id")
        with database.connected() as db:
            db.execute("ALTER TABLE records ADD CONSTRAINT no CHECK (id <> 'secret-two')")
        with pytest.raises(Unavailable) as caught:
            log.submit(entry("secret-two", leaf=leaf("x"))).result(60)
        assert "CheckViolation 23514" in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_server_that_does_not_sync_is_refused(own_server):
    database = Database(own_server.address())
    with psycopg.connect(own_server.address(), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET fsync = off")
        db.execute("SELECT pg_reload_conf()")
    with pytest.raises(StoreError, match="runs with `fsync` off"):
        until(lambda: opened(database).close())
