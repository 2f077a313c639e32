"""Many entries, one transaction: who waits, who is told, and what becomes of the rest."""

import threading
import time

import pytest
from tests.faults.disk import Disk
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import Sqlite, appended, entry, full

from carnet.ledger.audit import audit
from carnet.ledger.note import Ed25519Signer
from carnet.model.errors import Malformed, Taken, Unavailable
from carnet.store.protocols import Receipt
from carnet.store.sqlite import check
from carnet.store.sqlite.log import open_log
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.sqlite.waiting import Limits

KEYS = [LOG.verifier]


@pytest.fixture
def disk():
    made = Disk()
    yield made
    made.unregister()


@pytest.fixture
def slow(disk):
    """A disk whose syncs wait until `goes` is set, and `waits` says that one does."""
    disk.goes, disk.waits = threading.Event(), threading.Event()

    def on_sync(path):
        disk.waits.set()
        assert disk.goes.wait(30)

    yield lambda: setattr(disk, "on_sync", on_sync)
    disk.goes.set()


def sound(log, size):
    with log.reading() as reading:
        assert reading.size == size
        assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound
        if isinstance(reading, SqliteReading):
            assert check.problems(reading, KEYS) == []


def test_what_waits_together_is_one_checkpoint(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        slow()
        first = log.submit(entry("first"))
        assert disk.waits.wait(30)
        futures = [log.submit(entry(str(number))) for number in range(300)]
        disk.goes.set()
        assert first.result(60) == Receipt(0, 1)
        assert [future.result(60).size for future in futures] == [257] * 256 + [301] * 44
        with log.reading() as reading:
            assert len(reading.checkpoints()) == 4
            assert len(reading.checkpoints(since=257)) == 2


def test_submitting_and_reading_never_wait_for_the_disk(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        appended(log, [full("before")])
        slow()
        futures = [log.submit(entry("first"))]
        assert disk.waits.wait(30)
        start = time.monotonic()
        futures += [log.submit(entry(str(number))) for number in range(500)]
        with log.reading() as reading:
            assert reading.record(0).id == "before"
            assert reading.record(1) is None
        assert time.monotonic() - start < 5
        assert not any(future.done() for future in futures)
        disk.goes.set()
        assert futures[-1].result(60).index == 501


def test_a_full_queue_is_told_at_once(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name, limits=Limits(waiting=10, batch=4)) as log:
        slow()
        futures = [log.submit(entry("first"))]
        assert disk.waits.wait(30)
        futures += [log.submit(entry(str(number))) for number in range(10)]
        with pytest.raises(Unavailable, match="`10` entries wait already"):
            log.submit(entry("late")).result(0)
        disk.goes.set()
        assert [future.result(60).index for future in futures] == list(range(11))
        assert log.submit(entry("late")).result(60).index == 11


def test_the_bytes_that_wait_are_bounded_too(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name, limits=Limits(waiting_bytes=10_000)) as log:
        slow()
        log.submit(entry("first"))
        assert disk.waits.wait(30)
        futures = [log.submit(entry(str(number), leaf=bytes(3_000))) for number in range(5)]
        with pytest.raises(Unavailable):
            futures[4].result(0)
        assert not futures[2].done()
        disk.goes.set()
        assert futures[2].result(60)


def test_who_waits_too_long_is_told_and_the_id_tells_the_rest(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        slow()
        with pytest.raises(Unavailable, match="whether `running` was recorded, its id tells later"):
            log.append(entry("running"), within=1)
        with pytest.raises(Unavailable, match="nothing was recorded"):
            log.append(entry("waiting"), within=0.05)
        disk.goes.set()
        assert log.append(entry("after"), within=60) == Receipt(1, 2)
        with log.reading() as reading:
            assert reading.of_id("a", "running").index == 0
            assert reading.of_id("a", "waiting") is None


def test_a_batch_that_fails_is_told_to_all_and_the_log_goes_on(tmp_path, disk):
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        appended(log, [full("before")])
        disk.full = True
        futures = [log.submit(full(str(number))) for number in range(40)]
        for future in futures:
            with pytest.raises(Unavailable, match="full`"):
                future.result(60)
        assert "full" in log.trouble
        sound(log, 1)
        disk.full = False
        assert [receipt.index for receipt in appended(log, [full(str(number)) for number in range(40)])] == [
            *range(1, 41)
        ]
        assert log.trouble is None
        sound(log, 41)


def test_one_that_is_taken_does_not_spoil_the_batch(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        appended(log, [full("before")])
        slow()
        log.submit(entry("running"))
        assert disk.waits.wait(30)
        futures = [log.submit(full(id_)) for id_ in ("1", "before", "2", "1", "running", "3")]
        disk.goes.set()
        for taken in (1, 3, 4):
            with pytest.raises(Taken):
                futures[taken].result(60)
        assert [futures[at].result(60) for at in (0, 2, 5)] == [Receipt(2, 5), Receipt(3, 5), Receipt(4, 5)]
        with pytest.raises(Taken):
            log.submit(full("2")).result(60)
        sound(log, 5)


def test_entries_submitted_together_are_one_batch_each_with_its_outcome(tmp_path):
    with Sqlite(tmp_path).open() as log:
        appended(log, [full("before")])
        given = [full("1"), full("before"), full("2"), full("1"), full("3")]
        found = log.submit_all(given).result(60)
        assert [type(each) for each in found] == [Receipt, Taken, Receipt, Taken, Receipt]
        assert [found[at] for at in (0, 2, 4)] == [Receipt(1, 4), Receipt(2, 4), Receipt(3, 4)]
        assert [type(each) for each in log.submit_all(given).result(60)] == [Taken] * 5
        for wrong in ([], [entry(str(number)) for number in range(257)], [entry("4"), entry("", leaf=b"")]):
            with pytest.raises(Malformed):
                log.submit_all(wrong).result(60)
        sound(log, 4)


def test_calls_of_any_size_are_all_answered_and_kept_whole(tmp_path, disk, slow):
    with Sqlite(tmp_path).open(vfs=disk.name, limits=Limits(batch=10)) as log:
        slow()
        futures = [
            log.submit_all([entry(f"{number} {at}") for at in range(number)]) for number in range(1, 11)
        ]
        one = log.submit(entry("one"))
        disk.goes.set()
        for number, future in enumerate(futures, start=1):
            found = future.result(60)
            assert len(found) == number
            assert len({receipt.size for receipt in found}) == 1
        assert one.result(60).index == 55
        sound(log, 56)


class Failing:
    """A signer that is sometimes not there; what it says may be secret."""

    name, key_id, works = LOG.name, LOG.key_id, True

    def sign(self, text):
        if not self.works:
            raise OSError("token 123-secret was refused")
        return LOG.sign(text)


def test_without_its_signer_nothing_is_recorded_until_it_is_back(tmp_path):
    signer = Failing()
    with open_log(tmp_path / "log.db", ORIGIN, [signer], KEYS) as log:
        appended(log, [entry("before")])
        signer.works = False
        with pytest.raises(Unavailable, match="nothing was recorded, `OSError`") as told:
            log.submit(entry("1")).result(60)
        assert "secret" not in str(told.value) + log.trouble
        sound(log, 1)
        signer.works = True
        assert log.submit(entry("1")).result(60) == Receipt(1, 2)


def test_a_signature_that_does_not_hold_is_not_stored(tmp_path):
    class Wrong(Failing):
        def sign(self, text):
            return LOG.sign(text if self.works else f"{text}\n")

    signer = Wrong()
    with open_log(tmp_path / "log.db", ORIGIN, [signer], KEYS) as log:
        signer.works = False
        with pytest.raises(Unavailable, match=r"the signature of .* is wrong"):
            log.submit(entry("1")).result(60)
        signer.works = True
        assert log.submit(entry("1")).result(60) == Receipt(0, 1)
        sound(log, 1)


def test_every_signer_signs(tmp_path):
    second = Ed25519Signer("second", LOG.private)
    with open_log(tmp_path / "log.db", ORIGIN, [LOG, second], [*KEYS, second.verifier]) as log:
        appended(log, [entry("1")])
        with log.reading() as reading:
            assert reading.checkpoint().count(b"\n\xe2\x80\x94 ") == 2
    with Sqlite(tmp_path).open() as log:
        sound(log, 1)


@pytest.mark.parametrize("jump", [86_400, -86_400, 315_360_000, -315_360_000])
def test_a_clock_that_jumps_changes_nothing(tmp_path, jump):
    ticks = [0.0]

    def clock():
        ticks[0] += jump if len(ticks) % 7 == 0 else 0.0001
        ticks.append(0)
        return ticks[0]

    with Sqlite(tmp_path).open(clock=clock) as log:
        futures = []
        for number in range(300):
            futures.append(log.submit(entry(str(number))))
            time.sleep(0.001 if number % 10 == 0 else 0)
        assert [future.result(60).index for future in futures] == list(range(300))
        sound(log, 300)


def test_many_producers_are_all_served(log):
    got = [[] for _ in range(32)]

    def produce(mine, number):
        mine.extend(log.submit(full(f"{number} {at}")).result(60).index for at in range(20))

    threads = [threading.Thread(target=produce, args=(mine, number)) for number, mine in enumerate(got)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(index for mine in got for index in mine) == list(range(640))
    assert all(mine == sorted(mine) for mine in got)
    sound(log, 640)
