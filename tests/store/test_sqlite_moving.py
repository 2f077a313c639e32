"""A long write-ahead log is moved into the file beside the batches: they go on, up to a length, and nothing
depends on it."""

import os
import threading

import apsw
import pytest
from tests.ledger.memory import LOG
from tests.store.logs import Sqlite, appended, entry

from carnet.ledger.audit import audit
from carnet.store.sqlite import moving
from carnet.store.sqlite.moving import Mover

PAGES = 64


class Held:
    """What moves the write-ahead log is held up, or fails."""

    def __init__(self, monkeypatch):
        self.go, self.there, self.fails = threading.Event(), threading.Event(), False
        move = Mover._move

        def held_up(mover):
            self.there.set()
            assert self.go.wait(20)
            if self.fails:
                mover._path = mover._path.with_name("gone.db")
            move(mover)

        monkeypatch.setattr(Mover, "_move", held_up)
        monkeypatch.setattr(moving, "TIDY_PAGES", PAGES)


@pytest.fixture
def held(monkeypatch):
    return Held(monkeypatch)


def some(name):
    return [entry(f"{name} {at}", leaf=os.urandom(4000)) for at in range(20)]


def length(folder):
    return (folder / "log.db-wal").stat().st_size // 4096


def test_batches_go_on_while_the_log_is_moved(tmp_path, held):
    with Sqlite(tmp_path).open() as log:
        for number in range(4):
            appended(log, some(number))
        assert held.there.wait(20)
        appended(log, some("meanwhile"))
        assert not held.go.is_set()
        held.go.set()
        for number in range(4, 40):
            appended(log, some(number))
        assert length(tmp_path) < 10 * PAGES
        with log.reading() as reading:
            assert audit(reading, reading.checkpoint(), log.origin, [LOG.verifier]).sound
            assert reading.size == 41 * 20


def test_a_log_that_is_far_too_long_waits_until_it_is_moved(tmp_path, held, monkeypatch):
    waited = []
    wait = Mover.wait

    def let_go(mover):
        waited.append(mover._pages - mover._moved)
        held.go.set()
        wait(mover)

    with Sqlite(tmp_path).open() as log:
        monkeypatch.setattr(Mover, "wait", let_go)
        for number in range(40):
            appended(log, some(number))
        assert waited[0] >= moving.MOST_PAGES * PAGES
        assert length(tmp_path) < 10 * PAGES


def test_what_can_not_be_moved_stays_durable_where_it_is(tmp_path, held):
    held.fails = True
    held.go.set()
    with Sqlite(tmp_path).open() as log:
        for number in range(8):
            appended(log, some(number))
    with Sqlite(tmp_path).open() as log, log.reading() as reading:
        assert reading.size == 160


def test_forgetting_waits_for_what_is_being_moved(tmp_path, held):
    secret = os.urandom(200)
    with Sqlite(tmp_path).open() as log:
        appended(log, [entry("secret", sealed=secret)])
        for number in range(4):
            appended(log, some(number))
        assert held.there.wait(20)
        threading.Timer(0.2, held.go.set).start()
        assert log.forget([0]) == 1
        files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert secret[:16] not in files
    db = apsw.Connection(str(tmp_path / "log.db"))
    assert db.execute("PRAGMA integrity_check").get == "ok"
    db.close()
