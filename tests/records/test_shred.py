"""A shred destroys a key for good, wherever it was, and nothing that it must not."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import apsw
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.faults.counts import counted
from tests.records import makers
from tests.records.makers import APPROVERS, FIRST, SECOND, SUBJECT, both, shredded
from tests.records.shredding import OVER
from tests.records.traces import found, plain_key, wrapped_key

from carnet.ledger.note import Ed25519Signer
from carnet.model.errors import Absent, Damaged, StoreError, Unverified
from carnet.model.leaf import Order
from carnet.model.retention import Standing
from carnet.store import vault_file
from carnet.store.vault import Vault
from carnet.store.vault_approval import approval, pair

ROOT = Path(__file__).parents[2]
WRAPPING = bytes(range(32))
OTHER = "0123456789abcdef" * 2
PRIVATE = b"what was decided on " * 30


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "vault.db"


@pytest.fixture
def vault(path):
    path.parent.mkdir()
    with Vault.create(path, WRAPPING) as opened:
        yield opened


@pytest.fixture
def sealed(vault):
    return vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)


def order_of(vault, subject=SUBJECT, retention="ear"):
    (order,) = vault.planned([(subject, retention)])
    return order


def shred(vault, subject=SUBJECT, retention="ear", **given):
    order = order_of(vault, subject, retention)
    vault.shred(order, both(order), APPROVERS, **{"standing": OVER, **given})
    return order


def unwrapped(path, order):
    """The keys that can be had from a file and the wrapping key by trying every place in it."""
    data, tried = path.read_bytes(), AESGCM(WRAPPING)
    told = f"{order.subject}\n{order.retention}".encode()
    for at in range(len(data) - 59):
        with suppress(InvalidTag):
            bound = b"carnet subject key 1\n" + bytes.fromhex(order.key) + told
            yield tried.decrypt(data[at : at + 12], data[at + 12 : at + 60], bound)


def test_after_a_shred_nothing_is_left_though_the_test_kept_the_key(vault, path, sealed):
    kept, wrapped, order = plain_key(vault, SUBJECT), wrapped_key(vault, SUBJECT), order_of(vault)
    assert AESGCM(kept).decrypt(sealed[9:21], sealed[21:], b"carnet sealed part 1\nrec-1") == PRIVATE
    assert list(unwrapped(path, order)) == [kept]
    shred(vault)
    assert found(path.parent, kept, wrapped) == []
    assert [file.name for file in path.parent.iterdir()] == ["vault.db"]
    assert list(unwrapped(path, order)) == []
    with pytest.raises(Absent, match="`rec-1` was destroyed"):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)


def test_what_was_shredded_stays_so_after_the_vault_was_opened_again(vault, path, sealed):
    shred(vault)
    vault.close()
    with Vault.open(path, WRAPPING) as again, pytest.raises(Absent):
        again.opened(SUBJECT, "ear", "rec-1", sealed)


def test_another_process_that_has_the_vault_open_loses_the_key_at_once(vault, path, sealed):
    with Vault.open(path, WRAPPING) as other:
        assert other.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        shred(vault)
        with pytest.raises(Absent):
            other.opened(SUBJECT, "ear", "rec-1", sealed)


def test_other_subjects_and_classes_are_untouched(vault, sealed):
    rest = [(OTHER, "ear"), (SUBJECT, "ofac"), (OTHER, "ofac")]
    parts = [vault.seal(*each, "rec-2", PRIVATE) for each in rest]
    shred(vault)
    for each, part in zip(rest, parts, strict=True):
        assert vault.opened(*each, "rec-2", part) == PRIVATE
    with pytest.raises(Absent):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)


def test_a_bit_flipped_in_a_shredded_part_is_still_seen_where_it_can_be(vault, sealed):
    shred(vault)
    other = bytearray(sealed)
    other[3] ^= 1
    with pytest.raises(Unverified):
        vault.opened(SUBJECT, "ear", "rec-1", bytes(other))


def test_a_subject_that_comes_back_gets_a_new_key_and_the_old_part_stays_closed(vault, sealed):
    old = plain_key(vault, SUBJECT)
    shred(vault)
    again = vault.seal(SUBJECT, "ear", "rec-2", PRIVATE)
    assert plain_key(vault, SUBJECT) != old
    assert vault.opened(SUBJECT, "ear", "rec-2", again) == PRIVATE
    with pytest.raises(Absent):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)
    assert [entry.shredded for entry in vault.entries()] == [True, False]


def test_approvals_destroy_no_key_that_was_made_later(vault, sealed):
    order = shred(vault)
    again = vault.seal(SUBJECT, "ear", "rec-2", PRIVATE)
    vault.shred(order, both(order), APPROVERS, standing=OVER)
    assert vault.opened(SUBJECT, "ear", "rec-2", again) == PRIVATE


@pytest.mark.parametrize(
    ("state", "said"),
    [("held", "under a hold"), ("running", "a grant that goes on"), ("kept", "to be kept still")],
)
def test_what_must_be_kept_is_not_destroyed(vault, sealed, state, said):
    with pytest.raises(StoreError, match=said):
        shred(vault, standing=Standing(state))
    assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE


def wrong_approvals(order):
    """What is not two people's approval of this order, and who approves."""
    twin = Ed25519Signer(SECOND.name, FIRST.private)
    second_key = Ed25519Signer(FIRST.name, SECOND.private)
    one, other = approval(order, FIRST), approval(order, SECOND)
    return {
        "none": ((), APPROVERS),
        "one": ((one,), APPROVERS),
        "three": ((one, other, other), APPROVERS),
        "the same twice": ((one, one), APPROVERS),
        "of another order": (makers.forged(order), APPROVERS),
        "by a stranger": (pair(one, makers.unknown_approval(order)), APPROVERS),
        "by one who no longer approves": ((one, other), (FIRST.verifier,)),
        "two keys of one person": (
            (one, approval(order, second_key)),
            (FIRST.verifier, second_key.verifier),
        ),
        "one key under two names": ((one, approval(order, twin)), (FIRST.verifier, twin.verifier)),
    }


@pytest.mark.parametrize("which", wrong_approvals(makers.ORDER))
def test_without_two_peoples_approval_nothing_is_destroyed(vault, sealed, which):
    order = order_of(vault)
    approvals, approvers = wrong_approvals(order)[which]
    with pytest.raises(Unverified):
        vault.shred(order, approvals, approvers, standing=OVER)
    assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE


def test_two_peoples_approval_is_enough_in_either_order(vault, sealed):
    order = order_of(vault)
    vault.shred(order, tuple(reversed(both(order))), tuple(reversed(APPROVERS)), standing=OVER)
    with pytest.raises(Absent):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)


def test_an_order_of_a_key_or_a_vault_that_is_not_this_is_absent(vault, sealed):
    right = order_of(vault)
    for wrong in (
        Order(right.vault, right.subject, right.retention, "0" * 16),
        Order("0" * 32, right.subject, right.retention, right.key),
        Order(right.vault, OTHER, right.retention, right.key),
    ):
        with pytest.raises(Absent):
            vault.shred(wrong, both(wrong), APPROVERS, standing=OVER)
    assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE


def test_a_dry_run_lists_what_would_go_and_changes_nothing(vault, path, sealed):
    vault.seal(OTHER, "ofac", "rec-2", PRIVATE)
    before = path.read_bytes()
    nobody = "f" * 32
    planned = vault.planned([(OTHER, "ofac"), (nobody, "ear"), (SUBJECT, "ear"), (SUBJECT, "ofac")])
    assert [(each.subject, each.retention, each.vault) for each in planned] == [
        (OTHER, "ofac", vault.id),
        (SUBJECT, "ear", vault.id),
    ]
    assert {each.key for each in planned} == {entry.key for entry in vault.entries()}
    assert path.read_bytes() == before
    shred(vault)
    assert vault.planned([(SUBJECT, "ear")]) == ()


@pytest.mark.parametrize("seed", range(4))
def test_after_any_history_no_piece_of_a_shredded_key_is_left(path, seed):
    r = random.Random(seed)
    path.parent.mkdir()
    living, gone, wrapping = {}, [], WRAPPING
    with Vault.create(path, wrapping) as vault:
        for _ in range(r.choice((60, 120))):
            step = r.random()
            if step < 0.7 or not living:
                whose = f"{r.getrandbits(128):032x}", r.choice(("ear", "ofac"))
                living[whose] = vault.seal(*whose, "rec", PRIVATE)
            elif step < 0.97:
                whose = r.choice(sorted(living))
                gone += [plain_key(vault, *whose), wrapped_key(vault, *whose)]
                shred(vault, *whose)
                del living[whose]
            else:
                gone += [wrapped_key(vault, *whose) for whose in living]
                wrapping = r.randbytes(32)
                vault.rewrap(wrapping)
        assert len(gone) > 10
        assert found(path.parent, *gone) == []
        data = path.read_bytes()
        for whose, part in living.items():
            assert vault.opened(*whose, "rec", part) == PRIVATE
            assert data.count(wrapped_key(vault, *whose)) == 1


def test_a_stray_copy_in_free_pages_goes_too(vault, path, sealed):
    for number in range(100):
        vault.seal(f"{number:032x}", "ear", "rec", PRIVATE)
    wrapped = wrapped_key(vault, SUBJECT)
    raw = apsw.Connection(str(path))
    raw.execute(
        "CREATE TABLE stray (copy BLOB); INSERT INTO stray SELECT wrapped FROM keys; DROP TABLE stray"
    )
    raw.close()
    assert path.read_bytes().count(wrapped) > 1
    shred(vault)
    assert found(path.parent, wrapped) == []
    with pytest.raises(Absent):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)


def test_a_copy_that_cannot_be_removed_is_told_and_nothing_counts_as_destroyed(vault, path, sealed):
    raw = apsw.Connection(str(path))
    raw.execute("CREATE TABLE stray (copy BLOB); INSERT INTO stray SELECT wrapped FROM keys")
    raw.close()
    with pytest.raises(Damaged, match="a copy of the key"):
        shred(vault)
    assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE


def test_the_journal_held_the_key_and_is_zeros_when_it_goes(vault, sealed, monkeypatch):
    wrapped, seen = wrapped_key(vault, SUBJECT), []
    real = vault_file.scrub

    def scrub(file):
        before = file.read_bytes()
        real(file)
        seen.append((wrapped[:16] in before, set(file.read_bytes()), len(before) == file.stat().st_size))

    monkeypatch.setattr(vault_file, "scrub", scrub)
    shred(vault)
    assert seen == [(True, {0}, True)]


def test_a_journal_ends_with_its_header_before_anything_else_of_it_goes(tmp_path, monkeypatch):
    """A crash between leaves a journal that counts for nothing, never half of one that is rolled back."""
    file, steps = tmp_path / "vault.db-journal", []
    file.write_bytes(b"x" * 3_000_000)
    write, sync = os.pwrite, os.fsync
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, at: steps.append((at, at + len(data))) or write(fd, data[:700_000], at)
    )
    monkeypatch.setattr(os, "fsync", lambda fd: steps.append("durable") or sync(fd))
    vault_file.scrub(file)
    assert steps[:2] == [(0, 4096), "durable"]
    assert steps[-1] == "durable"
    assert min(start for start, _ in steps[2:-1]) == 4096
    assert file.read_bytes() == bytes(3_000_000)


def write_ahead(connection, shown):
    """In place of the check that it is no write-ahead log."""
    del shown
    assert connection.execute("PRAGMA journal_mode").get == "wal"


def test_with_a_write_ahead_log_the_key_would_stay_in_it(path, monkeypatch):
    """Why the journal is one that ends with the commit; and that the search finds what is there."""
    monkeypatch.setattr(vault_file, "PRAGMAS", (("secure_delete", "ON"), ("journal_mode", "WAL")))
    monkeypatch.setattr(vault_file, "_check_journal", write_ahead)
    path.parent.mkdir()
    with Vault.create(path, WRAPPING) as vault:
        vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
        wrapped = wrapped_key(vault, SUBJECT)
        shred(vault)
        assert found(path.parent, wrapped) == ["vault.db-wal"]


def test_in_every_backup_that_is_named_the_key_is_destroyed_too(vault, path, sealed):
    copies = [path.parent / f"backup-{number}.db" for number in range(2)]
    vault.backup(copies[0])
    vault.seal(OTHER, "ear", "rec-2", PRIVATE)
    vault.backup(copies[1])
    wrapped = wrapped_key(vault, SUBJECT)
    assert found(path.parent, wrapped) == ["backup-0.db", "backup-1.db", "vault.db"]
    shred(vault, backups=copies)
    assert found(path.parent, wrapped) == []
    with Vault.open(copies[1], WRAPPING) as restored, pytest.raises(Absent):
        restored.opened(SUBJECT, "ear", "rec-1", sealed)
    kept = wrapped_key(vault, OTHER)
    shred(vault, OTHER, backups=copies)  # the first backup is older than the key
    assert found(path.parent, kept) == []


def test_in_a_backup_from_before_a_rewrap_its_own_wrapped_key_is_destroyed(vault, path, sealed):
    copy = path.parent / "backup.db"
    vault.backup(copy)
    wrapped = wrapped_key(vault, SUBJECT)
    vault.rewrap(secrets.token_bytes(32))
    shred(vault, backups=[copy])
    assert found(path.parent, wrapped) == []


def test_a_file_that_is_no_backup_of_this_vault_stops_the_shred(vault, path, sealed):
    Vault.create(path.parent / "other.db", WRAPPING).close()
    with pytest.raises(StoreError, match="no backup of this vault"):
        shred(vault, backups=[path.parent / "other.db"])
    with pytest.raises(StoreError, match="is not there"):
        shred(vault, backups=[path.parent / "gone.db"])
    assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE


def test_a_key_that_an_old_copy_brought_back_is_destroyed_again_as_recorded(vault, path, sealed):
    copy = path.parent / "backup.db"
    vault.backup(copy)
    wrapped = wrapped_key(vault, SUBJECT)
    order = shred(vault)
    vault.close()
    copy.replace(path)
    with Vault.open(path, WRAPPING) as restored:
        assert restored.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        leaves = [shredded(order), shredded(makers.ORDER)]
        assert restored.shred_again(leaves, APPROVERS, holds=()) == 1
        assert restored.shred_again(leaves, APPROVERS, holds=()) == 0
        with pytest.raises(Absent):
            restored.opened(SUBJECT, "ear", "rec-1", sealed)
    assert found(path.parent, wrapped) == []


def test_what_a_hold_covers_by_now_is_not_destroyed_again(vault, path, sealed):
    """15 CFR 762.6(b): whatever there is of a record when an agency asks stays."""
    copy = path.parent / "backup.db"
    vault.backup(copy)
    leaf = shredded(shred(vault))
    with Vault.open(copy, WRAPPING) as restored:
        for held in (makers.hold(), makers.hold(subject=None)):
            assert restored.shred_again([leaf], APPROVERS, holds=[held]) == 0
        assert restored.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        assert restored.shred_again([leaf], APPROVERS, holds=[makers.hold(tenant="other")]) == 1


def test_what_is_on_record_with_wrong_approvals_is_not_done_again(vault, sealed):
    order = order_of(vault)
    with pytest.raises(Unverified):
        vault.shred_again([shredded(order, makers.forged(order))], APPROVERS, holds=())
    assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE


def start(path, point):
    """A process that shreds, at the moment when it begins to."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.records.shredding", str(path), WRAPPING.hex(), point],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "now\n"
    return child


def left(path, sealed, wrapped):
    """Whether the key is still there once the vault was opened after a crash. If it is not, nothing of it
    is; and whatever it is, the vault goes on."""
    with Vault.open(path, WRAPPING) as again:
        again.seal(OTHER, "ear", "rec-2", PRIVATE)
        try:
            assert again.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        except Absent:
            assert found(path.parent, wrapped) == []
            return False
        shred(again)
    assert found(path.parent, wrapped) == []
    return True


@pytest.mark.real
@pytest.mark.parametrize(("point", "there"), [("before", True), ("header", False), ("after", False)])
def test_a_shred_that_was_killed_is_done_or_not_done(vault, path, sealed, point, there):
    wrapped = wrapped_key(vault, SUBJECT)
    vault.close()
    with start(path, point) as child:
        assert child.wait() == -signal.SIGKILL
    assert Path(f"{path}-journal").exists()
    if point != "after":
        assert found(path.parent, wrapped) != []
    with Vault.open(path, WRAPPING):
        assert found(path.parent, wrapped) == (["vault.db"] if there else [])
        assert not Path(f"{path}-journal").exists()
    assert left(path, sealed, wrapped) == there


@pytest.mark.real
def test_a_shred_that_was_killed_at_any_time_is_done_or_not_done(tmp_path):
    came, lasts = {True: 0, False: 0}, 0.0
    for turn in range(21):
        path = tmp_path / str(turn) / "vault.db"
        path.parent.mkdir()
        with Vault.create(path, WRAPPING) as vault:
            sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
            wrapped = wrapped_key(vault, SUBJECT)
        with start(path, "any") as child:
            began = time.monotonic()
            if turn == 0:
                assert child.stdout.readline() == "done\n"
                lasts = time.monotonic() - began
            else:
                time.sleep(1.2 * lasts * turn / 20)
                child.kill()
        came[left(path, sealed, wrapped)] += 1
    counted("a shred killed", ends=20, not_done=came[True], done=came[False] - 1, lost=0)
    assert came[True] + came[False] == 21
    assert came[False] >= 1
