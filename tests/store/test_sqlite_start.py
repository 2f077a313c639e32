"""A log starts from its last checkpoint, or says why not; it repairs nothing."""

import os
import shutil
import threading
import time

import apsw
import pytest
from tests.ledger.memory import LOG, ORIGIN, OTHER
from tests.store.logs import Sqlite, appended, entry, full, term

from carnet.ledger import checkpoint
from carnet.ledger.audit import audit
from carnet.ledger.note import Ed25519Signer
from carnet.ledger.tree import consistency_proof, verify_consistency
from carnet.model.errors import Damaged, Malformed, StoreError, Taken, Unavailable, Unverified
from carnet.store.protocols import Receipt
from carnet.store.sqlite import check, schema
from carnet.store.sqlite.log import open_log

KEYS = [LOG.verifier]
NEXT = Ed25519Signer("log.example/next", LOG.private)


@pytest.fixture
def closed(tmp_path):
    """A closed log of 40 records."""
    backend = Sqlite(tmp_path)
    with backend.open() as log:
        appended(log, [full(str(number)) for number in range(40)])
    return backend


def altered(path, text, *values):
    """Change the file as somebody who may write it would."""
    db = apsw.Connection(str(path))
    db.execute("DROP TRIGGER leaf_rewritten; DROP TRIGGER leaf_removed; DROP TRIGGER checkpoint_removed")
    db.execute(text, values)
    db.close()


def test_files_are_the_owners_alone(closed):
    assert {file.name for file in closed.path.parent.iterdir()} == {"log.db", "log.db.lock"}
    for file in closed.path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    with closed.open():
        for file in closed.path.parent.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600


def test_a_log_is_open_once(closed):
    with closed.open() as log:
        with pytest.raises(Unavailable, match="is open in another process"):
            closed.open()
        assert log.append(entry("more"), within=60).index == 40
    closed.open().close()


def test_a_link_to_a_log_is_the_log(closed, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(closed.path)
    with closed.open(), pytest.raises(Unavailable, match="is open in another process"):
        open_log(link, ORIGIN, [LOG], KEYS)


def test_of_two_that_write_the_first_is_shut_out(closed):
    """The lock file was removed, so both could open it."""
    with closed.open() as first:
        closed.path.with_name("log.db.lock").unlink()
        with closed.open() as second:
            assert second.append(entry("second"), within=60) == Receipt(40, 41)
            for _ in range(2):
                with pytest.raises(Unavailable, match="another process writes this log now"):
                    first.append(entry("first"), within=60)
            assert second.append(entry("third"), within=60) == Receipt(41, 42)
    with closed.open() as log, log.reading() as reading:
        assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound
        assert reading.of_id("a", "first") is None


def test_other_keys_or_another_origin_are_refused(closed):
    with pytest.raises(StoreError, match=f"the log is that of `{ORIGIN}`, not of `log.example/other`"):
        open_log(closed.path, "log.example/other", [LOG], KEYS)
    with pytest.raises(Unverified, match="no known key signed the note"):
        open_log(closed.path, ORIGIN, [OTHER], [OTHER.verifier])
    with pytest.raises(StoreError, match="signs and is no verifier"):
        open_log(closed.path, ORIGIN, [OTHER], KEYS)
    with pytest.raises(StoreError, match="has no key to sign with"):
        open_log(closed.path, ORIGIN, [], KEYS)
    closed.open().close()


def test_after_a_rotation_the_old_key_still_verifies(closed):
    both = [LOG.verifier, OTHER.verifier]
    with open_log(closed.path, ORIGIN, [OTHER], both) as log:
        log.append(entry("rotated"), within=60)
    with open_log(closed.path, ORIGIN, [OTHER], both) as log, log.reading() as reading:
        assert checkpoint.opened(reading.checkpoint(), ORIGIN, [OTHER.verifier]).checkpoint.size == 41
        assert check.problems(reading, both) == []


MORE = (
    "INSERT INTO records SELECT {}, 'x', tenant, subject, retention, sealed, terms, mark, leaf "
    "FROM records WHERE number = 1"
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("DELETE FROM checkpoints WHERE size = 40", "is stored after the last checkpoint|last of its"),
        ("DELETE FROM checkpoints", "has no checkpoint"),
        ("UPDATE checkpoints SET size = 39 WHERE size = 40", "is of `40` records and kept as that of `39`"),
        ("UPDATE checkpoints SET note = x'00' WHERE size = 40", "can't be read"),
        ("DELETE FROM records WHERE number = 39", "the last that is stored is `38`"),
        (MORE.format(40), "record `40` is stored after the last checkpoint"),
        (MORE.format(77), "the last that is stored is `77`"),
        ("UPDATE nodes SET hashes = zeroblob(512) WHERE run = 3", "another root"),
        ("DELETE FROM nodes", "is not stored"),
        ("UPDATE origins SET origin = 'x'", "the log is that of `x`"),
        ("DELETE FROM version", "does not say its version"),
    ],
)
def test_a_log_that_does_not_fit_its_checkpoint_is_refused_and_left_as_it_is(closed, text, error):
    db = apsw.Connection(str(closed.path))
    db.execute("DROP TRIGGER checkpoint_rewritten")
    db.close()
    altered(closed.path, f"PRAGMA foreign_keys = OFF; {text}")
    before = closed.path.read_bytes()
    for _ in range(2):
        with pytest.raises((Damaged, StoreError), match=error):
            closed.open()
    assert closed.path.read_bytes() == before


def test_what_is_no_log_is_refused(tmp_path):
    path = tmp_path / "log.db"
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="is not a log"):
        open_log(path, ORIGIN, [LOG], KEYS)
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Damaged, match="is damaged"):
        open_log(path, ORIGIN, [LOG], KEYS)
    path.unlink()
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE leaves (number, leaf)")
    other.close()
    with pytest.raises(StoreError, match="is not a log"):
        open_log(path, ORIGIN, [LOG], KEYS)
    with pytest.raises(StoreError, match="make the data directory first"):
        open_log(tmp_path / "nowhere" / "log.db", ORIGIN, [LOG], KEYS)


def test_a_log_whose_file_is_gone_is_not_begun_anew(closed):
    closed.path.unlink()
    with pytest.raises(StoreError, match="is gone and a log was there: restore it"):
        closed.open()
    closed.path.with_name("log.db.lock").unlink()
    with closed.open() as log:
        assert log.append(entry("first"), within=60) == Receipt(0, 1)


def test_a_start_that_was_interrupted_leaves_nothing_in_the_way(tmp_path):
    for ending in ("-new", "-new-journal"):
        (tmp_path / f"log.db{ending}").write_bytes(b"half")
    with Sqlite(tmp_path).open() as log:
        assert log.append(entry("first"), within=60) == Receipt(0, 1)
    assert {file.name for file in tmp_path.iterdir()} == {"log.db", "log.db.lock"}


def test_a_newer_version_is_refused(closed):
    altered(closed.path, "INSERT INTO version VALUES (?)", len(schema.MIGRATIONS) + 1)
    with pytest.raises(
        StoreError, match=r"has version `2` and this program reads up to `1`: install a newer"
    ):
        closed.open()


def test_a_migration_is_made_once_and_changes_no_leaf(closed, monkeypatch):
    more = (*schema.MIGRATIONS, "ALTER TABLE records ADD COLUMN note TEXT")
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    for _ in range(2):
        with closed.open() as log, log.reading() as reading:
            assert reading.size == 40
            assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound
            assert reading.db.execute("SELECT count(note) FROM records").get == 0
            assert reading.db.execute("SELECT count(*) FROM version").get == 2


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("UPDATE records SET leaf = x'00' WHERE number = 3", "a leaf is never rewritten"),
        ("DELETE FROM records WHERE number = 3", "a leaf is never removed"),
        ("DELETE FROM checkpoints WHERE size = 0", "a checkpoint is never removed"),
        (
            "DROP TRIGGER leaf_rewritten; UPDATE records SET leaf = x'00' WHERE number = 3",
            "would change records",
        ),
    ],
)
def test_a_migration_that_rewrites_a_leaf_is_undone(closed, monkeypatch, script, error):
    with monkeypatch.context() as wrong:
        wrong.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, script))
        with pytest.raises((StoreError, Damaged), match=error):
            closed.open()
    with closed.open() as log, log.reading() as reading:
        assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound


def test_an_old_copy_put_back_is_refused_until_it_is_continued(closed, tmp_path):
    old = tmp_path / "old"
    shutil.copy(closed.path, old)
    with closed.open() as log:
        appended(log, [entry(f"later {number}") for number in range(5)])
    shutil.copy(old, closed.path)
    with pytest.raises(Damaged, match="has `40` records and had `45`: restore what is missing, or continue"):
        closed.open()
    with closed.open(behind=True) as log:
        with pytest.raises(Unavailable, match="continue the log under a new origin"):
            log.append(entry("more"), within=60)
        assert "had `45`" in log.trouble
        receipt = log.continue_as(NEXT.name, [NEXT], [NEXT.verifier], entry("continued", leaf=b"was main"))
        assert receipt == Receipt(40, 41)
        assert (log.origin, log.trouble) == (NEXT.name, None)
        assert log.append(entry("more"), within=60) == Receipt(41, 42)
    with pytest.raises(StoreError, match=f"the log is that of `{NEXT.name}`"):
        closed.open()
    with open_log(closed.path, NEXT.name, [NEXT], [NEXT.verifier]) as log, log.reading() as reading:
        assert audit(reading, reading.checkpoint(), NEXT.name, [NEXT.verifier]).sound
        assert check.problems(reading, [LOG.verifier, NEXT.verifier]) == []
        assert reading.origins() == [(0, ORIGIN), (40, NEXT.name)]
        before, after = (
            checkpoint.parsed(each.decode().partition("\n\n")[0] + "\n")
            for each in (reading.checkpoints()[-3], reading.checkpoint())
        )
        path = consistency_proof(reading, before.size, after.size)
        verify_consistency(before.size, after.size, before.root, after.root, path)


def test_a_log_that_was_continued_opens_though_it_ended_before_that_was_noted(closed, tmp_path, monkeypatch):
    old = tmp_path / "old"
    shutil.copy(closed.path, old)
    with closed.open() as log:
        appended(log, [entry("later")])
    shutil.copy(old, closed.path)
    with closed.open(behind=True) as log:
        monkeypatch.setattr(log._owner, "remember", lambda origin, tree: None)
        log.continue_as(NEXT.name, [NEXT], [NEXT.verifier], entry("continued"))
    shutil.copy(closed.path, old)
    for _ in range(2):
        with open_log(closed.path, NEXT.name, [NEXT], [NEXT.verifier]) as log:
            log.append(entry(f"more {time.monotonic_ns()}"), within=60)
    shutil.copy(old, closed.path)
    with pytest.raises(Damaged, match="has `41` records and had `43`"):
        open_log(closed.path, NEXT.name, [NEXT], [NEXT.verifier])


def test_a_log_that_forked_from_what_it_was_is_refused(closed, tmp_path):
    shutil.copy(closed.path, tmp_path / "old")
    with closed.open() as log:
        log.append(entry("one way"), within=60)
    with open_log(tmp_path / "old", ORIGIN, [LOG], KEYS) as log:
        appended(log, [entry("another way"), entry("and more")])
    (tmp_path / "old").rename(closed.path)
    with pytest.raises(Damaged, match="has others than the `41` records that it had"):
        closed.open()


def test_a_log_that_is_stopped_records_nothing_until_it_is_continued(closed):
    with closed.open() as log:
        log.stop("the witness has seen `50` records")
        with pytest.raises(Unavailable, match="the witness has seen `50` records"):
            log.append(entry("more"), within=60)
        with pytest.raises(StoreError, match=f"the log has been `{ORIGIN}` before"):
            log.continue_as(ORIGIN, [LOG], KEYS, entry("continued"))
        with pytest.raises(Taken):
            log.continue_as(NEXT.name, [NEXT], [NEXT.verifier], entry("3"))
        with pytest.raises(Malformed):
            log.continue_as(NEXT.name, [NEXT], [NEXT.verifier], entry("large", leaf=bytes(70_000)))
        with pytest.raises(Unavailable):
            log.append(entry("more"), within=60)
        assert log.origin == ORIGIN
        log.continue_as(NEXT.name, [NEXT], [NEXT.verifier], entry("continued"))
        assert log.append(entry("more"), within=60) == Receipt(41, 42)


def test_what_is_remembered_beside_the_log_may_be_missing_or_unreadable(closed):
    lock = closed.path.with_name("log.db.lock")
    for data in (b"", b"\0" * 128, b"-1 00", b"5 zz", b"x" * 4096):
        lock.write_bytes(data)
        with closed.open() as log, log.reading() as reading:
            assert reading.size == 40


def test_forgotten_parts_are_nowhere_in_the_files(tmp_path):
    backend = Sqlite(tmp_path)
    secret, word = os.urandom(200), term("a word")
    with backend.open() as log:
        appended(log, [full("0"), entry("1", sealed=secret, terms=(word, term("x"))), full("2")])
        assert secret[:100] in b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert log.forget([1, 1, 99]) == 1
        assert log.forget([1]) == 0
        with log.reading() as reading:
            assert reading.record(1).sealed is None
            assert reading.record(1).leaf == entry("1").leaf
            assert reading.found("a", [word]) == []
            assert reading.record(2).sealed is not None
            assert check.problems(reading, KEYS) == []
            assert audit(reading, reading.checkpoint(), ORIGIN, KEYS).sound
        files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert secret[:16] not in files
        assert word not in files
        assert log.append(entry("3"), within=60) == Receipt(3, 4)


def test_while_a_reading_keeps_forgotten_parts_they_are_said_to_be_there(tmp_path):
    secret = os.urandom(200)
    with Sqlite(tmp_path).open() as log:
        appended(log, [entry("1", sealed=secret)])
        with log.reading() as reading:
            with pytest.raises(Unavailable, match="still in the write-ahead log: end long readings"):
                log.forget([0])
            assert reading.record(0).sealed == secret
            assert log.append(entry("2"), within=60) == Receipt(1, 2)
        assert log.forget([0]) == 0
        assert secret[:16] not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_a_long_write_ahead_log_is_moved_into_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("carnet.store.sqlite.moving.TIDY_PAGES", 64)
    with Sqlite(tmp_path).open() as log:
        for number in range(40):
            appended(log, [entry(f"{number} {at}", leaf=bytes(4000)) for at in range(20)])
        assert (tmp_path / "log.db-wal").stat().st_size < 64 * 8192 * 3
        assert (tmp_path / "log.db").stat().st_size > 2_000_000


def test_no_thread_is_left(closed):
    before = threading.active_count()
    log = closed.open()
    assert threading.active_count() == before + 1
    log.close()
    assert threading.active_count() == before
