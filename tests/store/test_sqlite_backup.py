"""A copy is one state of a log that goes on, and is put back only if it is whole."""

import threading

import apsw
import pytest
from tests.ledger.memory import LOG, ORIGIN, OTHER
from tests.store.logs import Sqlite, appended, entry, full

from carnet.ledger.audit import audit
from carnet.model.errors import Damaged, StoreError, Unavailable, Unverified
from carnet.store.sqlite import backup, check
from carnet.store.sqlite.log import open_log

KEYS = [LOG.verifier]


@pytest.fixture
def copy(tmp_path):
    """A copy of a log of 60 records, with its checkpoint."""
    (tmp_path / "first").mkdir()
    with Sqlite(tmp_path / "first").open() as log:
        appended(log, [full(str(number)) for number in range(60)])
        about = log.backup(tmp_path / "copy.db")
    assert about.size == 60
    return tmp_path / "copy.db"


def test_a_copy_is_one_plain_file(copy):
    assert [file.name for file in copy.parent.iterdir() if file.is_file()] == ["copy.db"]
    assert copy.stat().st_mode & 0o777 == 0o600
    db = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
    assert db.pragma("journal_mode") == "delete"
    db.close()
    assert [file.name for file in copy.parent.iterdir() if file.is_file()] == ["copy.db"]


def test_a_log_goes_on_while_it_is_copied(tmp_path):
    with Sqlite(tmp_path).open() as log:
        appended(log, [entry(f"before {number}", leaf=bytes(20_000)) for number in range(400)])
        told, during, done = [], [], threading.Event()

        def produce():
            while not done.is_set():
                during.append(log.append(entry(f"during {len(during)}"), within=60))

        def progress(pages, of):
            told.append((pages, of))
            count = len(during)
            while len(during) < count + 3:
                assert thread.is_alive()

        thread = threading.Thread(target=produce)
        thread.start()
        about = log.backup(tmp_path / "copy.db", progress)
        done.set()
        thread.join()
        assert len(told) > 2
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]
        assert 400 <= about.size < 400 + len(during)
        with log.reading() as reading:
            assert reading.size == 400 + len(during)
    assert backup.restored(tmp_path / "copy.db", tmp_path / "other.db", ORIGIN, KEYS) == about


def test_a_copy_put_back_is_the_log(copy, tmp_path):
    (tmp_path / "second").mkdir()
    path = tmp_path / "second" / "log.db"
    assert backup.restored(copy, path, ORIGIN, KEYS).size == 60
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]
    assert path.stat().st_mode & 0o777 == 0o600
    with Sqlite(path.parent).open() as log, log.reading() as reading:
        assert reading.record(59).leaf == full("59").leaf
        assert reading.grant("a", "grant 3") == (full("3").grant, 3)
        assert reading.answered("a", "answer 3") == full("3").answered
        assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound
        assert log.append(entry("more"), within=60).index == 60


def test_nothing_is_overwritten(copy, tmp_path):
    there = tmp_path / "first" / "log.db"
    before = there.read_bytes()
    with pytest.raises(StoreError, match="is there already: move it away first"):
        backup.restored(copy, there, ORIGIN, KEYS)
    with Sqlite(there.parent).open() as log:
        with pytest.raises(StoreError, match="is there already"):
            log.backup(copy)
        (tmp_path / "busy-partial").touch()
        with pytest.raises(StoreError, match="choose a path where nothing is"):
            log.backup(tmp_path / "busy")
        with pytest.raises(StoreError, match="choose a path where nothing is"):
            log.backup(tmp_path / "nowhere" / "copy.db")
    (tmp_path / "left.db-wal").touch()
    with pytest.raises(StoreError, match=r"left\.db-wal` is there already"):
        backup.restored(copy, tmp_path / "left.db", ORIGIN, KEYS)
    assert there.stat().st_size == len(before)


def test_the_files_of_an_open_log_are_no_copy(tmp_path):
    with Sqlite(tmp_path).open() as log:
        appended(log, [entry("1")])
        with pytest.raises(StoreError, match="was open, not a copy"):
            backup.restored(tmp_path / "log.db", tmp_path / "other.db", ORIGIN, KEYS)
    with pytest.raises(StoreError, match="is not there"):
        backup.restored(tmp_path / "none.db", tmp_path / "other.db", ORIGIN, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE records SET leaf = x'00' WHERE number = 7",
        "UPDATE records SET tenant = 'b' WHERE number = 7",
        "UPDATE grants SET until = NULL WHERE number = 7",
        "UPDATE answered SET status = 403 WHERE number = 7",
        "UPDATE nodes SET hashes = zeroblob(512) WHERE run = 1",
        "DELETE FROM terms WHERE number = 7",
        "INSERT INTO terms SELECT zeroblob(16), 7",
        "DELETE FROM checkpoints WHERE size = 60",
    ],
)
def test_a_copy_that_was_changed_is_not_put_back(copy, tmp_path, text):
    db = apsw.Connection(str(copy))
    db.execute(f"DROP TRIGGER leaf_rewritten; DROP TRIGGER checkpoint_removed; {text}")
    db.close()
    with pytest.raises(Damaged, match="is not whole"):
        backup.restored(copy, tmp_path / "log.db", ORIGIN, KEYS)
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} == {"copy.db"}


def test_a_copy_of_another_log_or_an_older_state_is_not_put_back(copy, tmp_path):
    to = tmp_path / "log.db"
    with pytest.raises(Damaged, match=r"not of `log\.example/other`"):
        backup.restored(copy, to, "log.example/other", KEYS)
    with pytest.raises(Damaged, match="no known key signed"):
        backup.restored(copy, to, ORIGIN, [OTHER.verifier])
    with Sqlite(tmp_path / "first").open() as log:
        appended(log, [entry("later")])
        with log.reading() as reading:
            later = reading.checkpoint()
    with pytest.raises(Damaged, match="the log has 60 records and had 61"):
        backup.restored(copy, to, ORIGIN, KEYS, older=later)
    assert not to.exists()


def test_what_was_put_back_over_a_later_log_has_to_be_continued(copy, tmp_path):
    there = tmp_path / "first"
    with Sqlite(there).open() as log:
        appended(log, [entry("later")])
    (there / "log.db").rename(tmp_path / "broken.db")
    backup.restored(copy, there / "log.db", ORIGIN, KEYS)
    with pytest.raises(Damaged, match="has `60` records and had `61`"):
        Sqlite(there).open()
    with Sqlite(there).open(behind=True) as log, pytest.raises(Unavailable):
        log.append(entry("more"), within=60)


def test_a_copy_that_fails_leaves_no_file(tmp_path):
    with Sqlite(tmp_path).open() as log:
        appended(log, [entry("1")])
        before = {file.name for file in tmp_path.iterdir()}

        def progress(pages, of):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            log.backup(tmp_path / "copy.db", progress)
        assert {file.name for file in tmp_path.iterdir()} == before
        with log.reading() as reading:
            assert check.problems(reading, KEYS) == []
    with open_log(tmp_path / "log.db", ORIGIN, [OTHER], [OTHER.verifier, *KEYS]) as log:
        log._writer.name = type(log._writer.name)(ORIGIN, (OTHER,), (OTHER.verifier,))
        with pytest.raises(Unverified):
            log.backup(tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()
