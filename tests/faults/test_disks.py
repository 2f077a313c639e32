"""Disks that are slow, full, broken or damaged under a log: nothing acknowledged is lost or changed, and
whatever can't be made durable is told in time."""

import contextlib
import random
import shutil
import threading
import time

import apsw
import pytest
from tests.faults.counts import counted
from tests.faults.disk import Disk, mounted
from tests.faults.harness import KEYS, Counts, Told, imaged, judge, kept_by_disk, make, times
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import Sqlite, appended, entry, full

from carnet.ledger.audit import audit
from carnet.model.errors import CarnetError, Unavailable
from carnet.store.sqlite import check, writing
from carnet.store.sqlite.log import open_log

pytestmark = pytest.mark.real

DEADLINE = 0.5


@pytest.fixture
def disk():
    made = Disk()
    yield made
    made.unregister()


@pytest.fixture
def losing():
    """One whose files have only what was synced."""
    made = Disk(loses=True)
    yield made
    made.unregister()


def acknowledged(log, ids):
    """Append full entries; those that were acknowledged, with their indices."""
    told = Told({}, [])
    futures = [(id_, log.submit(full(id_))) for id_ in ids]
    for id_, future in futures:
        with contextlib.suppress(Unavailable):
            told.acknowledged[id_] = future.result(60).index
    told.refused = len(ids) - len(told.acknowledged)
    return told


def judged(path, told):
    counts = Counts()
    judge(path, told, counts)
    assert counts.bad == 0, str(counts)


def test_with_a_sync_of_eight_seconds_who_asks_is_told_in_time(tmp_path, disk):
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        told = acknowledged(log, ["before"])
        disk.on_sync = lambda path: time.sleep(8)
        late, waits = [], []

        def ask(number):
            start = time.monotonic()
            try:
                log.append(full(f"slow {number}"), within=DEADLINE)
            except Unavailable:
                late.append(time.monotonic() - start)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            start = time.monotonic()
            with log.reading() as reading:
                assert reading.of_id("a", "before").index == 0
            waits.append(time.monotonic() - start)
            time.sleep(0.01)
        disk.on_sync = lambda path: None
        told.acknowledged["after"] = log.append(full("after"), within=60).index
        with log.reading() as reading:
            recorded = [reading.of_id("a", f"slow {number}") for number in range(20)]
            assert reading.size == 2 + sum(each is not None for each in recorded)
    counted(
        "a disk whose sync takes 8 s",
        asked=len(late),
        told_late=sum(each > DEADLINE + 1.5 for each in late),
        readings=len(waits),
        lost=0,
    )
    assert len(late) == 20, "something was acknowledged before it was synced"
    assert max(late) < DEADLINE + 1.5
    assert max(waits) < 1
    judged(tmp_path / "log.db", told)


def test_a_sync_that_fails_records_nothing_and_the_log_goes_on(tmp_path, disk):
    """Even if the power goes right after: what the failed commit left in the write-ahead log is no commit."""
    path = tmp_path / "log.db"
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        told = acknowledged(log, ["before"])
        fails = iter([True])

        def on_sync(file):
            if next(fails, False):
                raise OSError(5, "the disk is broken")

        disk.on_sync = on_sync
        assert acknowledged(log, ["failed"]).refused == 1
        (folder := tmp_path / "cut").mkdir()
        cut = imaged(path, folder)
        told.acknowledged |= acknowledged(log, ["after"]).acknowledged
    judged(path, told)
    with open_log(cut, ORIGIN, [LOG], KEYS) as log, log.reading() as reading:
        assert reading.of_id("a", "before") is not None
        assert reading.of_id("a", "failed") is None


def test_while_every_sync_fails_the_id_tells_what_became_of_it(tmp_path, disk):
    path = tmp_path / "log.db"
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        told = acknowledged(log, ["before"])
        disk.broken = True
        with pytest.raises(Unavailable, match="its id tells once the disk works again"):
            log.append(full("failed"), within=60)
        for number in range(3):
            with pytest.raises(Unavailable):
                log.append(full(f"more {number}"), within=60)
        disk.broken = False
        told.acknowledged |= acknowledged(log, ["after"]).acknowledged
        with log.reading() as reading:
            recorded = reading.of_id("a", "failed") is not None
            assert told.acknowledged["after"] == 1 + recorded == reading.size - 1
    judged(path, told)


def test_a_commit_that_fails_after_it_was_durable_is_acknowledged(tmp_path, losing, monkeypatch):
    commit = writing.Writer.commit

    def failing(self, db):
        commit(self, db)
        raise apsw.IOError("late")

    make(tmp_path)
    with Sqlite(tmp_path).open(vfs=losing.name) as log:
        with monkeypatch.context() as wrong:
            wrong.setattr(writing.Writer, "commit", failing)
            told = acknowledged(log, ["late", "later"])
        assert told.acknowledged == {"late": 0, "later": 1}
        kept_by_disk(tmp_path / "log.db", tmp_path / "cut", told.acknowledged.values())
        told.acknowledged |= acknowledged(log, ["after"]).acknowledged
    judged(tmp_path / "log.db", told)


def filled(path, told):
    """Append until nothing more is taken, and some more; how many were refused."""
    refused = 0
    with open_log(path, ORIGIN, [LOG], KEYS) as log:
        for number in range(100_000):
            new = acknowledged(log, [f"{path.parent.name} {number}-{each}" for each in range(20)])
            told.acknowledged |= new.acknowledged
            refused += new.refused
            if refused >= 100:
                break
        with log.reading() as reading:
            assert reading.size == len(told.acknowledged)
            assert check.problems(reading, KEYS) == []
        yield refused
        told.acknowledged |= acknowledged(log, [f"after {number}" for number in range(20)]).acknowledged
        assert log.trouble is None


def test_a_full_file_system_refuses_and_once_there_is_room_the_log_goes_on(tmp_path):
    (small := tmp_path / "small").mkdir()
    with mounted(small, "4m") as folder:
        (folder / "ballast").write_bytes(bytes(2 << 20))
        told = Told({}, [])
        steps = filled(folder / "log.db", told)
        refused = next(steps)
        (folder / "ballast").unlink()
        assert next(steps, None) is None
        judged(folder / "log.db", told)
        counted("a full tmpfs of 4 MB", acknowledged=len(told.acknowledged), refused=refused, lost=0)


def test_a_disk_that_says_it_is_full_refuses_and_once_there_is_room_the_log_goes_on(tmp_path):
    told = Told({}, [])
    with Sqlite(tmp_path).open(vfs=(disk := Disk()).name) as log:
        for turn in range(20):
            disk.full = bool(turn % 2)
            new = acknowledged(log, [f"{turn}-{each}" for each in range(30)])
            told.acknowledged |= new.acknowledged
            told.refused += new.refused
    disk.unregister()
    assert told.refused > 100
    assert len(told.acknowledged) >= 300
    judged(tmp_path / "log.db", told)
    counted("a disk that says it is full", acknowledged=len(told.acknowledged), refused=told.refused, lost=0)


def damaged(data, draw, at):
    """The write-ahead log cut, zeroed or garbled from or around `at`."""
    count = draw.choice([1, 24, 512, 4096, 20_000])
    kind = draw.choice(["cut", "zeroed", "garbled", "flipped"])
    if kind == "cut":
        return kind, data[:at]
    if kind == "zeroed":
        return kind, data[:at] + bytes(len(data[at : at + count])) + data[at + count :]
    if kind == "garbled":
        return kind, data[:at] + draw.randbytes(len(data[at : at + count])) + data[at + count :]
    return kind, data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def test_of_a_damaged_write_ahead_log_what_was_before_the_damage_is_kept(tmp_path):
    """What comes after it was acknowledged too: so what is remembered beside the log has to notice."""
    path, ends, kept = tmp_path / "log.db", [(0, 0)], []
    with Sqlite(tmp_path).open() as log:
        for batch in range(40):
            appended(log, [full(f"{batch}-{each}") for each in range(5)])
            with log.reading() as reading:
                assert reading.size == 5 * batch + 5, "what is acknowledged is not in the log"
                kept.append(reading.checkpoint())
                ends.append((path.with_name("log.db-wal").stat().st_size, reading.size))
        (folder := tmp_path / "image").mkdir()
        image = imaged(path, folder)
        whole = image.with_name("log.db-wal").read_bytes()
        lock = path.with_name("log.db.lock").read_bytes()
    draw, count, short = random.Random(2026), times(150, 3000), 0
    for number in range(count):
        (folder := tmp_path / str(number)).mkdir()
        shutil.copy(image, folder / "log.db")
        at = draw.randrange(len(whole))
        kind, data = damaged(whole, draw, at)
        (folder / "log.db-wal").write_bytes(data)
        with Sqlite(folder).open() as log, log.reading() as reading:
            least = max(size for end, size in ends if end <= at)
            assert reading.size >= least, kind
            rolled_back = reading.size < 200
            report = audit(reading, reading.checkpoint(), ORIGIN, KEYS, older=kept[-1])
            assert {finding.kind for finding in report.findings} == (
                {"rolled_back"} if rolled_back else set()
            )
            assert check.problems(reading, KEYS) == []
            assert reading.size == 0 or reading.record(reading.size - 1) is not None
            short += rolled_back
        shutil.copy(image, folder / "log.db")
        (folder / "log.db-wal").write_bytes(data)
        (folder / "log.db.lock").write_bytes(lock)
        if rolled_back:
            with pytest.raises(CarnetError, match="and had `200`"):
                Sqlite(folder).open()
        shutil.rmtree(folder)
    counted("a torn, cut or garbled WAL", damages=count, rolled_back=short, unnoticed=0, lost=0)
    assert short > count // 2


def contents(reading):
    """All that anybody may read of a log."""
    ids = [full(str(number)) for number in range(120)]
    return (
        reading.checkpoint(),
        reading.checkpoints(),
        [reading.record(number) for number in range(reading.size)],
        [reading.of_id("a", each.id) for each in ids],
        [reading.found("a", each.terms) for each in ids],
        [reading.grant("a", each.grant.key) for each in ids],
        [reading.answered("a", each.answered.key) for each in ids],
        reading.origins(),
    )


def test_a_flipped_bit_in_the_file_is_never_taken_for_what_was_written(tmp_path):
    (folder := tmp_path / "image").mkdir()
    with Sqlite(tmp_path).open() as log:
        appended(log, [full(str(number)) for number in range(120)])
        path = imaged(tmp_path / "log.db", folder)
    with Sqlite(folder).open() as log, log.reading() as reading:
        right = contents(reading)
        assert reading.size == 120, "what is acknowledged is not in the log"
    whole = path.read_bytes()
    draw, count = random.Random(2026), times(300, 9500)
    found = {"start": 0, "reading": 0, "audit": 0, "unused": 0}
    for _ in range(count):
        bit = draw.randrange(len(whole) * 8)
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        path.write_bytes(data)
        found[noticed(folder, right)] += 1
    counted(
        "a bit flipped in the file",
        flipped=count,
        noticed=count - found["unused"],
        in_unused_bytes=found["unused"],
        altered_accepted=0,
    )
    assert found["start"] + found["reading"] + found["audit"] > count // 2


def noticed(folder, right):
    """Where a changed bit was noticed; if nowhere, all that can be read has to be as it was."""
    try:
        log = Sqlite(folder).open()
    except CarnetError:
        return "start"
    with log:
        try:
            with log.reading() as reading:
                signed = reading.checkpoint()
                sound = audit(reading, signed, ORIGIN, KEYS).sound and not check.problems(reading, KEYS)
                try:
                    same = contents(reading) == right
                except CarnetError:
                    return "reading"
        except CarnetError:
            return "reading"
    assert same or not sound, "something else was read, and nothing noticed it"
    return "unused" if sound else "audit"


def test_entries_that_are_not_durable_are_not_seen(tmp_path, disk):
    """A reading never shows what a power cut could still take back."""
    with Sqlite(tmp_path).open(vfs=disk.name) as log:
        appended(log, [entry("before")])
        goes, waits = threading.Event(), threading.Event()

        def on_sync(path):
            waits.set()
            assert goes.wait(30)

        disk.on_sync = on_sync
        future = log.submit(entry("running"))
        while not (waits.wait(0.01) or future.done()):
            pass
        assert waits.is_set(), "nothing was synced"
        with log.reading() as reading:
            assert reading.of_id("a", "running") is None
            assert reading.size == 1
        goes.set()
        assert future.result(60).index == 1
        with log.reading() as reading:
            assert reading.size == 2
