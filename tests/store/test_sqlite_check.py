"""What no signature covers is checked too, and what is read is compared with its mark."""

import apsw
import pytest
from tests.ledger.memory import LOG, OTHER
from tests.store.logs import Sqlite, appended, full, term

from carnet.model.errors import Damaged, Unavailable
from carnet.store.sqlite import check

KEYS = [LOG.verifier]


@pytest.fixture
def backend(tmp_path):
    made = Sqlite(tmp_path)
    with made.open() as log:
        appended(log, [full(str(number)) for number in range(30)])
        appended(log, [full("last")])
    return made


def changed(backend, text):
    db = apsw.Connection(str(backend.path))
    db.execute(
        "DROP TRIGGER leaf_rewritten; DROP TRIGGER leaf_removed; "
        "DROP TRIGGER checkpoint_rewritten; DROP TRIGGER checkpoint_removed"
    )
    db.execute(text)
    db.close()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("UPDATE records SET id = 'x' WHERE number = 7", "a stored record is not what was written"),
        ("UPDATE records SET sealed = NULL WHERE number = 7", "a stored record is not what was written"),
        ("UPDATE records SET number = 77 WHERE number = 7", "a stored record is not what was written"),
        ("UPDATE grants SET epoch = 9 WHERE number = 7", "a stored grant is not what was written"),
        ("UPDATE answered SET body = x'00' WHERE number = 7", "a stored answer is not what was written"),
        ("UPDATE answered SET number = 99 WHERE number = 7", "`answered` has rows of records that no check"),
        ("DELETE FROM records WHERE number = 7", "there are not `31` records"),
        ("DELETE FROM terms WHERE number = 7", "a term of record `7` is not in the index"),
        ("INSERT INTO terms SELECT zeroblob(16), 7", "the index of terms has some that no record has"),
        ("DELETE FROM nodes WHERE run = 0", "bytes of nodes: they are not those of `31` records"),
        ("INSERT INTO nodes VALUES (900, x'00')", "bytes of nodes: they are not those of `31` records"),
        ("UPDATE checkpoints SET note = x'00' WHERE size = 0", "the checkpoint of `0` records does not hold"),
        ("UPDATE checkpoints SET size = 7 WHERE size = 0", "the checkpoint of `7` records is of another"),
        ("UPDATE origins SET origin = 'x'", "is of another log or state"),
    ],
)
def test_a_change_beside_the_leaves_is_found(backend, text, problem):
    changed(backend, f"PRAGMA foreign_keys = OFF; {text}")
    readers = backend.readers()
    with readers.reading() as reading:
        assert any(problem in each for each in check.problems(reading, KEYS))
    readers.close()


def test_a_whole_log_has_no_problem_and_an_unknown_key_is_one(backend):
    with backend.open() as log, log.reading() as reading:
        assert check.problems(reading, KEYS) == []
        found = check.problems(reading, [OTHER.verifier])
        assert len(found) == len(reading.checkpoints())
        assert "no known key signed" in found[0]


def test_there_is_an_end_to_problems(backend, monkeypatch):
    monkeypatch.setattr(check, "MOST", 3)
    changed(backend, "UPDATE records SET subject = 'x'")
    with backend.open() as log, log.reading() as reading:
        found = check.problems(reading, KEYS)
    assert len(found) == 4
    assert "there are over 3 problems" in found[-1]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("UPDATE records SET leaf = x'00' WHERE number = 7", lambda one: one.record(7)),
        ("DELETE FROM records WHERE number = 7", lambda one: one.record(7)),
        ("UPDATE records SET subject = 'x' WHERE number = 7", lambda one: one.of_id("a", "7")),
        ("UPDATE records SET tenant = 'b' WHERE number = 7", lambda one: one.of_id("b", "7")),
        ("UPDATE records SET tenant = 'b' WHERE number = 7", lambda one: one.found("b", [term("7")])),
        ("UPDATE terms SET number = 8 WHERE number = 7", lambda one: one.found("a", [term("7")])),
        ("UPDATE grants SET until = NULL WHERE number = 7", lambda one: one.grant("a", "grant 7")),
        ("UPDATE grants SET tenant = 'b' WHERE number = 7", lambda one: one.grant("b", "grant 7")),
        ("UPDATE answered SET status = 403 WHERE number = 7", lambda one: one.answered("a", "answer 7")),
    ],
)
def test_what_was_changed_is_not_given(backend, text, read):
    if "terms" in text:
        text = f"DELETE FROM terms WHERE number = 8; {text}"
    changed(backend, f"PRAGMA foreign_keys = OFF; {text}")
    with backend.open() as log, log.reading() as reading:
        with pytest.raises(Damaged, match="run an audit"):
            read(reading)
        assert reading.record(9).id == "9"


def test_a_file_that_is_gone_bad_is_said_so(backend):
    with backend.path.open("r+b") as file:
        file.seek(8192)
        file.write(bytes(range(256)) * 200)
    with pytest.raises((Damaged, Unavailable)):
        backend.open()
