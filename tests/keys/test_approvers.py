"""An approver's own key: in a file of theirs, under a passphrase, and nowhere else."""

import pytest
from tests.keys.conftest import NOW

from carnet.ledger import note
from carnet.model.errors import InputError, StoreError, Taken, Unverified
from carnet.store.approvers import make_approver, open_approver

WORDS = "four words that nobody guesses"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "approver.key"


@pytest.fixture
def public(file):
    """The public half of an approver's key in `file`."""
    return make_approver(file, "approver-1", WORDS)


def test_the_key_opens_with_its_passphrase_and_signs(file, public):
    signer = open_approver(file, WORDS)
    assert signer.verifier == public
    signed = note.signed("an approval\n", [signer]).data
    assert note.verified(signed, [public]).text == "an approval\n"


def test_the_file_is_its_owners_alone_and_encrypted(file, public, keyring):
    assert file.stat().st_mode & 0o777 == 0o600
    private = open_approver(file, WORDS).private.private_bytes_raw()
    data = file.read_bytes()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in data
    assert private not in data
    assert note.encoded(private) not in data.decode()
    keyring.register(str(public), NOW)
    for kept in keyring._store.directory.iterdir():
        assert private not in kept.read_bytes()


def test_another_passphrase_does_not_open_it_and_is_not_told(file, public):
    wrong = "four words that somebody guessed"
    with pytest.raises(Unverified, match="does not open with this passphrase") as error:
        open_approver(file, wrong)
    assert wrong not in str(error.value)
    assert WORDS not in str(error.value)


def test_a_file_is_never_replaced(file, public):
    before = file.read_bytes()
    with pytest.raises(Taken, match="is there already"):
        make_approver(file, "approver-1", WORDS)
    assert file.read_bytes() == before


def test_a_short_passphrase_and_a_name_that_is_none_are_refused(file):
    with pytest.raises(InputError, match="of 11 signs is short: take `12` or more"):
        make_approver(file, "approver-1", "x" * 11)
    with pytest.raises(InputError, match="leave out spaces"):
        make_approver(file, "a person", WORDS)
    assert not file.exists()


def test_a_file_that_is_open_to_others_is_refused(file, public):
    file.chmod(0o640)
    with pytest.raises(StoreError, match="is open to others: run `chmod 600"):
        open_approver(file, WORDS)


def test_a_file_that_was_changed_is_refused(file, public, tmp_path):
    right = file.read_bytes()
    title, own, salt, rest = right.split(b"\n", 3)
    other = make_approver(tmp_path / "other.key", "approver-1", WORDS)
    cases = {
        b"\n".join([title, str(other).encode(), salt, rest]): StoreError,
        b"\n".join([title, own, b"AAAA", rest]): Unverified,
        b"\n".join([title, own, salt, rest[:-60]]): Unverified,
        b"\n".join([b"carnet approver key 2", own, salt, rest]): StoreError,
        b"\n".join([title, own[:-4], salt, rest]): StoreError,
        title: StoreError,
        b"": StoreError,
        b"\xff" + right: StoreError,
    }
    for data, kind in cases.items():
        file.write_bytes(data)
        with pytest.raises(kind):
            open_approver(file, WORDS)
    file.write_bytes(right)
    assert open_approver(file, WORDS).verifier == public
