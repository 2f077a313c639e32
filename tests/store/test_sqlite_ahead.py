"""The next batch is made ready while the disk has the one before: nothing else changes by it."""

import threading

import pytest
from tests.ledger.memory import LOG
from tests.store.logs import Sqlite, entry

from carnet.ledger.audit import audit
from carnet.model.errors import Taken, Unavailable
from carnet.store.sqlite.batches import Batch
from carnet.store.sqlite.writing import Writer

SIZE = 256


class Slow:
    """A disk that is held up at a commit until the queue is full, and may fail there."""

    def __init__(self, monkeypatch):
        self.go, self.there, self.fail = threading.Event(), threading.Event(), False
        commit = Writer.commit

        def held_up(writer, db):
            self.there.set()
            assert self.go.wait(20)
            if self.fail:
                self.fail = False
                db.execute("ROLLBACK")
                raise OSError("the disk failed")
            commit(writer, db)

        monkeypatch.setattr(Writer, "commit", held_up)


@pytest.fixture
def slow(monkeypatch):
    return Slow(monkeypatch)


@pytest.fixture
def made(monkeypatch):
    """How many batches were made, by the size of the log that they follow."""
    sizes, of = [], Batch.of.__func__

    def counted(cls, first, entries, free):
        sizes.append(first)
        return of(cls, first, entries, free)

    monkeypatch.setattr(Batch, "of", classmethod(counted))
    return sizes


def batch(name):
    return [entry(f"{name}-{number}") for number in range(SIZE)]


def sound(log, size):
    with log.reading() as reading:
        report = audit(reading, reading.checkpoint(), log.origin, [LOG.verifier])
        assert report.sound
        assert report.size == size


def three(log, slow, *batches):
    """Three batches, of which all are there before the first is committed."""
    first = log.submit(entry("first"))
    assert slow.there.wait(20)
    futures = [log.submit_all(each) for each in batches]
    slow.go.set()
    assert first.result(20).index == 0
    return futures


def test_a_batch_that_is_ready_is_made_once(tmp_path, slow, made):
    with Sqlite(tmp_path).open() as log:
        futures = three(log, slow, batch("a"), batch("b"), batch("c"))
        assert [future.result(20)[0].index for future in futures] == [1, 1 + SIZE, 1 + 2 * SIZE]
        sound(log, 1 + 3 * SIZE)
    assert made == [0, 1, 1 + SIZE, 1 + 2 * SIZE]


def test_a_batch_that_was_ready_after_one_that_failed_is_made_anew(tmp_path, slow):
    with Sqlite(tmp_path).open() as log:
        lost = log.submit(entry("lost"))
        assert slow.there.wait(20)
        futures = [log.submit_all(batch("a")), log.submit_all(batch("b"))]
        slow.fail = True
        slow.go.set()
        with pytest.raises(Unavailable):
            lost.result(20)
        assert [future.result(20)[0].index for future in futures] == [0, SIZE]
        sound(log, 2 * SIZE)


def test_an_id_that_the_batch_before_has_is_taken(tmp_path, slow):
    with Sqlite(tmp_path).open() as log:
        again = [*batch("b")[:-1], entry("a-7")]
        first, second = (future.result(20) for future in three(log, slow, batch("a"), again))
        assert first[7].index == 8
        assert isinstance(second[-1], Taken)
        assert [each.index for each in second[:-1]] == list(range(1 + SIZE, 2 * SIZE))
        sound(log, 2 * SIZE)


def test_what_was_ready_when_the_log_went_on_under_another_name_is_recorded_there(tmp_path, slow):
    with Sqlite(tmp_path).open() as log:
        futures = three(log, slow, batch("a"), batch("b"), batch("c"), batch("d"))
        log.stop("this is a test")
        told = [future.exception(20) for future in futures]
        assert all(each is None or isinstance(each, Unavailable) for each in told)
        with log.reading() as reading:
            recorded = sum(1 for each in told if each is None)
            assert reading.size == 1 + SIZE * recorded


def test_a_log_that_is_closed_finishes_what_was_ready(tmp_path, slow):
    with Sqlite(tmp_path).open() as log:
        futures = three(log, slow, batch("a"), batch("b"))
    assert [future.result(0)[0].index for future in futures] == [1, 1 + SIZE]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("carnet-log")]
