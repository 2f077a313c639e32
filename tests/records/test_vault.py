"""The vault seals under keys of its own and opens nothing that is not exactly what it sealed."""

import secrets
import stat
import threading
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records.makers import SUBJECT
from tests.records.traces import found, plain_key, wrapped_key

from carnet.model.errors import Damaged, Malformed, StoreError, Taken, Unavailable, Unverified
from carnet.store.vault import SEALED_MORE, Vault

WRAPPING = bytes(range(32))
OTHER = "0123456789abcdef" * 2
PRIVATE = b"what was decided on " * 30
SUBJECTS = st.text("0123456789abcdef", min_size=32, max_size=32)
CLASSES = st.sampled_from(["ear", "ofac"])
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vault.db"


@pytest.fixture
def vault(path):
    with Vault.create(path, WRAPPING) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Vault.create(tmp_path_factory.mktemp("vault") / "vault.db", WRAPPING) as opened:
        yield opened


@settings(max_examples=40, deadline=None)
@given(SUBJECTS, CLASSES, IDS, st.binary(max_size=2000))
def test_what_is_sealed_opens_again(shared, subject, retention, record, private):
    sealed = shared.seal(subject, retention, record, private)
    assert shared.opened(subject, retention, record, sealed) == private
    assert len(sealed) == len(private) + SEALED_MORE


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_refused(shared, draw):
    sealed = bytearray(shared.seal(SUBJECT, "ear", "rec-1", PRIVATE))
    place, bit = draw.draw(st.integers(0, len(sealed) - 1)), draw.draw(st.integers(0, 7))
    sealed[place] ^= 1 << bit
    with pytest.raises(Unverified):
        shared.opened(SUBJECT, "ear", "rec-1", bytes(sealed))


@pytest.mark.parametrize("keep", [0, 1, 8, 9, 21, 36, 37, -1])
def test_what_was_cut_is_refused(vault, keep):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    with pytest.raises(Unverified):
        vault.opened(SUBJECT, "ear", "rec-1", sealed[:keep])
    with pytest.raises(Unverified):
        vault.opened(SUBJECT, "ear", "rec-1", sealed + b"\0")


@pytest.mark.parametrize(
    ("subject", "retention", "record"),
    [(SUBJECT, "ear", "rec-2"), (OTHER, "ear", "rec-1"), (SUBJECT, "ofac", "rec-1")],
)
def test_another_record_subject_or_class_is_refused(vault, subject, retention, record):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    vault.seal(subject, retention, record, PRIVATE)
    with pytest.raises(Unverified):
        vault.opened(subject, retention, record, sealed)


def test_another_vault_opens_nothing(vault, tmp_path):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    with Vault.create(tmp_path / "other.db", WRAPPING) as other, pytest.raises(Unverified):
        other.opened(SUBJECT, "ear", "rec-1", sealed)


def test_the_same_part_is_never_sealed_to_the_same_bytes(vault):
    assert len({vault.seal(SUBJECT, "ear", "rec-1", PRIVATE) for _ in range(50)}) == 50


def test_every_subject_and_class_has_a_key_of_its_own(vault):
    keys = {
        plain_key(vault, subject, retention) for subject in (SUBJECT, OTHER) for retention in ("ear", "ofac")
    }
    assert len(keys) == 4
    assert plain_key(vault, SUBJECT) in keys
    assert len(vault.entries()) == 4
    assert {len(key) for key in keys} == {32}


def test_a_key_is_in_no_file_but_wrapped(vault, tmp_path):
    vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    assert found(tmp_path, plain_key(vault, SUBJECT), WRAPPING, PRIVATE) == []
    assert found(tmp_path, wrapped_key(vault, SUBJECT)) == ["vault.db"]


def test_a_key_is_there_after_the_vault_was_opened_again(path):
    with Vault.create(path, WRAPPING) as first:
        sealed = first.seal(SUBJECT, "ear", "rec-1", PRIVATE)
        id_ = first.id
    with Vault.open(path, WRAPPING) as second:
        assert second.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        assert second.id == id_
        second.seal(SUBJECT, "ear", "rec-2", PRIVATE)
        assert len(second.entries()) == 1


def test_two_that_have_it_open_use_one_key(vault, path):
    with Vault.open(path, WRAPPING) as other:
        sealed = other.seal(SUBJECT, "ear", "rec-1", PRIVATE)
        assert vault.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        assert plain_key(vault, SUBJECT) == plain_key(other, SUBJECT)


def in_threads(count, work):
    """Run in so many threads at once; what each returned or raised."""
    start, came = threading.Barrier(count), [None] * count

    def run(number):
        start.wait()
        try:
            came[number] = work(number)
        except Exception as error:  # noqa: BLE001 -- what a thread raised is what the test looks at
            came[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_threads_that_need_one_new_key_get_the_same(vault):
    sealed = in_threads(16, lambda number: vault.seal(SUBJECT, "ear", f"rec-{number}", PRIVATE))
    assert len(vault.entries()) == 1
    for number, each in enumerate(sealed):
        assert vault.opened(SUBJECT, "ear", f"rec-{number}", each) == PRIVATE


def test_threads_that_need_many_new_keys_share_commits(vault):
    commits = []
    vault._connection.set_commit_hook(lambda: bool(commits.append(1)))
    sealed = in_threads(
        32,
        lambda number: [vault.seal(f"{number:030x}{turn:02x}", "ear", "rec", PRIVATE) for turn in range(8)],
    )
    assert len(vault.entries()) == 32 * 8
    assert len(commits) < 32 * 8
    for number, each in enumerate(sealed):
        for turn, part in enumerate(each):
            assert vault.opened(f"{number:030x}{turn:02x}", "ear", "rec", part) == PRIVATE


def test_a_key_that_cannot_be_kept_is_told_to_all_and_the_vault_goes_on_later(vault):
    kept = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    pages = vault._connection.execute("PRAGMA page_count").get
    vault._connection.execute(f"PRAGMA max_page_count = {pages}")
    came = []
    for turn in range(20):
        came += in_threads(
            8, lambda number, turn=turn: vault.seal(f"{turn:030x}{number:02x}", "ear", "r", PRIVATE)
        )
    refused = [each for each in came if isinstance(each, Exception)]
    assert refused
    assert {type(each) for each in refused} == {Unavailable}
    assert "`full`" in str(refused[0])
    assert len(vault.entries()) == 1 + len(came) - len(refused)
    assert vault.opened(SUBJECT, "ear", "rec-1", kept) == PRIVATE
    vault._connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    vault.seal(f"{19:030x}{7:02x}", "ear", "r", PRIVATE)


def test_a_vault_is_readable_by_its_owner_only(vault, path, tmp_path):
    vault.backup(tmp_path / "copy.db")
    for file in (path, tmp_path / "copy.db"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_wrapping_key_of_another_length_is_malformed(path, length):
    with pytest.raises(Malformed, match=f"a wrapping key of {length} bytes"):
        Vault.create(path, bytes(length))
    assert not path.exists()


def test_another_wrapping_key_opens_no_vault(vault, path):
    with pytest.raises(Unverified, match="wrapped under another key"):
        Vault.open(path, secrets.token_bytes(32))


def test_a_vault_that_is_there_is_not_made_again(vault, path):
    vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    before = path.read_bytes()
    with pytest.raises(Taken, match="is there already"):
        Vault.create(path, WRAPPING)
    assert path.read_bytes() == before


def test_a_missing_vault_is_not_replaced_by_an_empty_one(path):
    with pytest.raises(Unavailable, match="is not there"):
        Vault.open(path, WRAPPING)
    assert not path.exists()


def test_a_place_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="can't be made"):
        Vault.create(tmp_path / "no" / "vault.db", WRAPPING)


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\0" + bytes(4080)])
def test_what_is_no_sound_database_is_said_to_be_damaged(path, content):
    path.write_bytes(content)
    with pytest.raises(Damaged, match="not a sound vault"):
        Vault.open(path, WRAPPING)


@pytest.mark.parametrize(
    ("pragma", "said"),
    [("application_id = 1", "is not a vault"), ("user_version = 2", "is of version `2`")],
)
def test_a_file_of_something_else_or_of_a_newer_version_is_refused(path, pragma, said):
    Vault.create(path, WRAPPING).close()
    raw = apsw.Connection(str(path))
    raw.execute(f"PRAGMA {pragma}")
    raw.close()
    with pytest.raises(StoreError, match=said):
        Vault.open(path, WRAPPING)


def test_a_write_ahead_log_that_somebody_else_turned_on_is_turned_off(path):
    Vault.create(path, WRAPPING).close()
    raw = apsw.Connection(str(path))
    assert raw.execute("PRAGMA journal_mode = WAL").get == "wal"
    raw.execute("SELECT * FROM about").fetchall()
    with pytest.raises(Unavailable):
        Vault.open(path, WRAPPING)
    raw.close()
    with Vault.open(path, WRAPPING) as vault:
        vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
        assert not Path(f"{path}-wal").exists()


def test_a_stored_key_that_was_altered_is_damaged(vault, path):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    raw = apsw.Connection(str(path))
    raw.execute("UPDATE keys SET wrapped = randomblob(60)")
    raw.close()
    with pytest.raises(Damaged, match="is not what was stored"):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)
    with pytest.raises(Damaged, match="is not what was stored"):
        vault.seal(SUBJECT, "ear", "rec-2", PRIVATE)


def test_a_key_that_was_put_under_another_subject_is_damaged(vault, path):
    vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    raw = apsw.Connection(str(path))
    raw.execute("UPDATE keys SET subject = ?", (OTHER,))
    raw.close()
    with pytest.raises(Damaged):
        vault.seal(OTHER, "ear", "rec-2", PRIVATE)


def test_a_closed_vault_is_unavailable(path):
    vault = Vault.create(path, WRAPPING)
    vault.close()
    vault.close()
    with pytest.raises(Unavailable):
        vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)


def test_after_a_rewrap_only_the_new_wrapping_key_opens_and_everything_does(vault, path, tmp_path):
    new = secrets.token_bytes(32)
    sealed = {f"{number:032x}": vault.seal(f"{number:032x}", "ear", "rec", PRIVATE) for number in range(60)}
    old = [wrapped_key(vault, subject) for subject in sealed]
    assert vault.rewrap(new) == 60
    assert found(tmp_path, *old) == []
    vault.seal(OTHER, "ofac", "rec", PRIVATE)
    vault.close()
    with pytest.raises(Unverified):
        Vault.open(path, WRAPPING)
    with Vault.open(path, new) as again:
        for subject, part in sealed.items():
            assert again.opened(subject, "ear", "rec", part) == PRIVATE


def test_a_process_that_missed_a_rewrap_makes_no_key_that_nobody_could_unwrap(vault, path):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    with Vault.open(path, WRAPPING) as other:
        other.rewrap(secrets.token_bytes(32))
    with pytest.raises(Unverified, match="wrapped under another key"):
        vault.seal(OTHER, "ear", "rec-2", PRIVATE)
    with pytest.raises(Damaged, match="open the vault again"):
        vault.opened(SUBJECT, "ear", "rec-1", sealed)
    assert len(vault.entries()) == 1


def test_a_rewrap_that_cannot_be_finished_changes_nothing(vault, path):
    for number in range(40):
        vault.seal(f"{number:032x}", "ear", "rec", PRIVATE)
    raw = apsw.Connection(str(path))
    raw.execute("UPDATE keys SET wrapped = randomblob(60) WHERE number = 40")
    raw.close()
    with pytest.raises(Damaged):
        vault.rewrap(secrets.token_bytes(32))
    vault.seal(f"{1:032x}", "ear", "rec", PRIVATE)
    vault.close()
    Vault.open(path, WRAPPING).close()


def test_a_backup_opens_what_was_sealed_before_it(vault, tmp_path):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    copy = tmp_path / "copy.db"
    vault.backup(copy)
    with pytest.raises(Taken):
        vault.backup(copy)
    with Vault.open(copy, WRAPPING) as restored:
        assert restored.opened(SUBJECT, "ear", "rec-1", sealed) == PRIVATE
        assert restored.id == vault.id


def test_no_error_says_a_key_or_what_was_sealed(vault, path):
    sealed = vault.seal(SUBJECT, "ear", "rec-1", PRIVATE)
    texts = []
    for work in (
        lambda: vault.opened(SUBJECT, "ear", "rec-2", sealed),
        lambda: vault.opened(OTHER, "ear", "rec-1", sealed),
        lambda: Vault.open(path, bytes(32)),
        lambda: Vault.create(path, WRAPPING),
    ):
        with pytest.raises((Unverified, Taken)) as raised:
            work()
        texts.append(str(raised.value))
    for secret in (WRAPPING, plain_key(vault, SUBJECT), wrapped_key(vault, SUBJECT), PRIVATE):
        assert not any(secret.hex()[:16] in text or secret[:8].decode("latin-1") in text for text in texts)
