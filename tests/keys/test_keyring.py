"""The keyring: roles, rotation, what verifies afterwards, and what is refused."""

import datetime as dt
import json
import os
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.keys.conftest import LATER, NAME, NOW, assert_no_secret, secrets_of

from carnet.ledger import checkpoint, note
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Ed25519Signer
from carnet.ledger.tree import EMPTY_ROOT
from carnet.model.errors import InputError, Malformed, StoreError, Taken, Unverified
from carnet.store.keyfiles import KeyFiles
from carnet.store.keyindex import SECRETS, SIGNING, read_statement
from carnet.store.keys import Keyring, new_name


def index_of(data):
    return data / "keys" / "keys.json"


def file_of(data, role):
    """The one key file of a role."""
    (found,) = (data / "keys").glob(f"{role}-*")
    return found


def test_a_new_keyring_has_one_current_key_for_each_role(keyring, data):
    assert keyring.name == NAME
    entries = keyring.entries()
    assert {key.role for key in entries} == {*SIGNING, *SECRETS}
    assert all(key.state == "current" and key.created == NOW for key in entries)
    assert len({key.id for key in entries}) == 6
    assert len({keyring.secret(role) for role in SECRETS}) == 3
    assert {len(keyring.secret(role)) for role in SECRETS} == {32}
    assert Keyring.open(data).entries() == entries
    assert keyring.rotations() == ()
    assert keyring.strays() == []


def test_the_files_are_their_owners_alone(keyring, data):
    assert (data / "keys").stat().st_mode & 0o777 == 0o700
    files = list((data / "keys").iterdir())
    assert len(files) == 7
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_wide_umask_does_not_open_the_files(data):
    before = os.umask(0)
    try:
        Keyring.create(data, NAME, NOW).rotate("log", LATER)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (data / "keys").iterdir()} == {0o600}
    assert (data / "keys").stat().st_mode & 0o777 == 0o700


def test_keys_that_are_there_are_not_made_again(keyring, data):
    before = {file.name: file.read_bytes() for file in (data / "keys").iterdir()}
    with pytest.raises(Taken, match="is there already: use it"):
        Keyring.create(data, NAME, LATER)
    assert {file.name: file.read_bytes() for file in (data / "keys").iterdir()} == before


def test_an_empty_directory_is_filled(data):
    (data / "keys").mkdir(parents=True, mode=0o755)
    Keyring.create(data, NAME, NOW)
    assert (data / "keys").stat().st_mode & 0o777 == 0o700


def test_a_directory_without_keys_says_how_they_are_made(data):
    with pytest.raises(InputError, match="carnet keys init"):
        Keyring.open(data)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "ä", "a\n", "x" * 201])
def test_a_name_that_no_key_can_have_is_refused_and_nothing_made(data, name):
    with pytest.raises(InputError):
        Keyring.create(data, name, NOW)
    assert not data.exists()


def test_names_that_are_made_up_differ():
    assert len({new_name() for _ in range(100)}) == 100


def test_what_the_log_signed_verifies_after_two_rotations(keyring, data):
    about = Checkpoint(NAME, 0, EMPTY_ROOT)
    notes = [checkpoint.signed(about, [keyring.signer("log")]).data]
    for days in (1, 2):
        keyring.rotate("log", NOW + dt.timedelta(days=days))
        notes.append(checkpoint.signed(about, [keyring.signer("log")]).data)
    assert len(set(notes)) == 3
    verifiers = Keyring.open(data).verifiers("log")
    assert len(verifiers) == 3
    for data_ in notes:
        assert checkpoint.opened(data_, NAME, verifiers).checkpoint == about
    with pytest.raises(Unverified):
        checkpoint.opened(notes[0], NAME, verifiers[1:])


def test_the_witness_cosigns_and_its_cosignatures_verify_after_a_rotation(keyring):
    about = Checkpoint(NAME, 0, EMPTY_ROOT)
    log = keyring.signer("log")
    signed = checkpoint.signed(about, [log, keyring.cosigner(1_700_000_000)]).data
    keyring.rotate("witness", LATER)
    found = checkpoint.opened(signed, NAME, keyring.verifiers("log"), keyring.verifiers("witness"))
    assert [each.at for each in found.cosignatures] == [1_700_000_000]
    assert found.cosignatures[0].name == f"{NAME}/witness"


@pytest.mark.parametrize("role", SIGNING)
def test_a_rotation_says_old_and_new_and_both_sign_it(keyring, role):
    old = keyring.current(role)
    done = keyring.rotate(role, LATER)
    assert (done.role, done.old, done.at) == (role, old.id, LATER)
    assert keyring.current(role).id == done.new
    assert str(done.verifier) == keyring.current(role).public
    said = read_statement(done.statement.encode())
    assert (said.role, said.at) == (role, LATER)
    assert [str(said.old), str(said.new)] == [old.public, done.public]
    assert keyring.rotations() == (done,)


@pytest.mark.parametrize("role", SIGNING)
def test_the_old_private_key_is_destroyed(keyring, data, role):
    old = file_of(data, role)
    private = old.read_bytes()
    keyring.rotate(role, LATER)
    assert not old.exists()
    assert all(private not in file.read_bytes() for file in (data / "keys").iterdir())


def test_a_statement_that_lacks_a_signature_is_refused(keyring):
    signed = note.parsed(keyring.rotate("log", LATER).statement.encode())
    for left in signed.signatures:
        with pytest.raises(Unverified):
            read_statement(note.Note(signed.text, (left,)).data)


def test_a_statement_that_was_altered_or_is_none_is_refused(keyring):
    statement = keyring.rotate("log", LATER).statement
    with pytest.raises(Unverified):
        read_statement(statement.replace("\nlog\n", "\nbundle\n").encode())
    signer = Ed25519Signer(NAME, Ed25519PrivateKey.generate())
    public = str(signer.verifier)
    for text in (
        f"carnet key rotation\nlog\n{public}\n{public}\n2026-11-25T00:00:00Z\n",
        "carnet key rotation\nlog\n",
        f"{NAME}\n0\n{note.encoded(EMPTY_ROOT)}\n",
    ):
        with pytest.raises(Malformed):
            read_statement(note.signed(text, [signer]).data)


def test_a_statement_of_a_rotation_is_no_checkpoint(keyring):
    text = note.parsed(keyring.rotate("log", LATER).statement.encode()).text
    with pytest.raises(Malformed):
        checkpoint.parsed(text)


@pytest.mark.parametrize("role", ["subjects", "api"])
def test_an_old_secret_is_kept_until_it_is_told_to_go(keyring, data, role):
    old, before = keyring.current(role), keyring.secret(role)
    done = keyring.rotate(role, LATER)
    assert done.statement is None
    assert done.verifier is None
    assert keyring.secret(role) != before
    assert Keyring.open(data).secret(role, old.id) == before
    keyring.forget(old.id, LATER)
    for each in (keyring, Keyring.open(data)):
        with pytest.raises(StoreError, match=f"`{old.id}` of `{role}` is not kept"):
            each.secret(role, old.id)
        assert each.secret(role) == keyring.secret(role)
    assert len(list((data / "keys").glob(f"{role}-*"))) == 1
    keyring.forget(old.id, LATER)
    (entry,) = [key for key in keyring.entries() if key.id == old.id]
    assert (entry.state, entry.retired, entry.destroyed) == ("retired", LATER, LATER)


def test_what_is_in_use_is_not_forgotten(keyring):
    with pytest.raises(InputError, match="is the current key of `api`: rotate it first"):
        keyring.forget(keyring.current("api").id, LATER)
    with pytest.raises(InputError, match="not the id of such a key"):
        keyring.forget(keyring.current("log").id, LATER)
    assert keyring.secret("api")


def test_a_secret_of_another_role_is_not_given(keyring):
    with pytest.raises(StoreError, match="is not kept"):
        keyring.secret("api", keyring.current("subjects").id)


def test_the_index_secret_can_not_be_rotated_and_the_error_says_why(keyring):
    before = keyring.secret("index")
    with pytest.raises(InputError, match="pseudonyms and search terms of every record are made with it"):
        keyring.rotate("index", LATER)
    assert keyring.secret("index") == before


def test_a_role_that_is_none_names_the_nearest(keyring):
    with pytest.raises(InputError, match="did you mean `witness`"):
        keyring.rotate("witnes", LATER)
    with pytest.raises(InputError, match="no role that has a key"):
        keyring.rotate("approver", LATER)


def test_another_process_sees_a_rotation_when_it_looks_again(keyring, data):
    other = Keyring.open(data)
    assert not other.refresh()
    done = keyring.rotate("subjects", LATER)
    assert other.secret("subjects", done.new) == keyring.secret("subjects")
    assert not other.refresh()
    keyring.rotate("log", LATER)
    assert other.refresh()
    assert other.signer("log").key_id == keyring.signer("log").key_id


def test_rotations_at_the_same_time_come_one_after_the_other(keyring, data):
    rings = [Keyring.open(data) for _ in range(8)]
    threads = [threading.Thread(target=ring.rotate, args=("log", LATER)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Keyring.open(data)
    assert len(found.verifiers("log")) == 9
    assert [one.new for one in found.rotations()][:-1] == [one.old for one in found.rotations()][1:]
    assert len(list((data / "keys").glob("log-*"))) == 1


def changed(data, change):
    """The index with a change that its writer did not make."""
    document = json.loads(index_of(data).read_bytes())
    change(document)
    index_of(data).write_bytes(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["index"].update(name="carnet.example/node-2"),
        lambda document: document["index"]["keys"][0].update(created="2020-01-01T00:00:00Z"),
        lambda document: document["index"]["keys"].pop(0),
        lambda document: document["index"]["keys"][0].update(id="00000000"),
        lambda document: document["index"]["keys"][0].update(public=document["index"]["keys"][2]["public"]),
        lambda document: document["index"]["keys"][3].update(check="0" * 64),
        lambda document: document["index"]["keys"][3].update(state="retired"),
        lambda document: document["index"]["keys"][3].update(place=document["index"]["keys"][4]["place"]),
        lambda document: document["index"]["rotations"].clear(),
        lambda document: document["index"]["keys"].append(
            {
                "role": "approver",
                "id": "00000000",
                "state": "current",
                "created": "2026-11-25T00:00:00Z",
                "public": str(Ed25519Signer("intruder", Ed25519PrivateKey.generate()).verifier),
            }
        ),
        lambda document: document["index"].update(note="more"),
        lambda document: document.update(mac="0" * 64),
        lambda document: document.pop("mac"),
    ],
)
def test_an_index_that_was_changed_is_refused(keyring, data, change):
    keyring.rotate("log", LATER)
    Keyring.open(data)
    changed(data, change)
    with pytest.raises(StoreError) as error:
        Keyring.open(data)
    assert "restore" in str(error.value)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b"[]", b'{"format": 1}', b"x" * 1_000_001])
def test_an_index_that_is_none_is_refused(keyring, data, text):
    index_of(data).write_bytes(text)
    with pytest.raises(StoreError, match="restore it from a backup"):
        Keyring.open(data)


def test_an_index_of_a_newer_format_says_so(keyring, data):
    index_of(data).write_bytes(b'{"format": 2, "what": []}')
    with pytest.raises(StoreError, match="has format `2`: install a newer Carnet"):
        Keyring.open(data)


@pytest.mark.parametrize("role", [*SIGNING, *SECRETS])
def test_a_key_file_that_is_missing_cut_or_exchanged_is_refused(keyring, data, tmp_path, role):
    file = file_of(data, role)
    right = file.read_bytes()
    other = file_of(Keyring.create(tmp_path / "other", NAME, NOW)._store.directory.parent, role)
    for wrong in (other.read_bytes(), right[:20], b"", right.replace(right[30:34], b"AAAA")):
        file.write_bytes(wrong)
        with pytest.raises(StoreError, match="restore"):
            Keyring.open(data)
    file.unlink()
    with pytest.raises(StoreError, match="is missing: restore it from a backup"):
        Keyring.open(data)
    file.touch(0o600)
    file.write_bytes(right)
    assert Keyring.open(data).entries() == keyring.entries()


def test_a_key_that_no_index_names_is_left_alone_and_told(keyring, data):
    place, _ = KeyFiles(data / "keys").make_private("log")
    found = Keyring.open(data)
    assert found.strays() == [place]
    assert found.signer("log").key_id == keyring.signer("log").key_id
    found.rotate("log", LATER)
    assert found.strays() == [place]


def test_an_approver_is_a_public_half_and_nothing_more(keyring, data):
    private = Ed25519PrivateKey.generate()
    signer = Ed25519Signer("approver-1", private)
    key = keyring.register(str(signer.verifier), NOW)
    assert (key.role, key.state, key.place) == ("approver", "current", None)
    assert keyring.approvers() == (signer.verifier,)
    assert len(list((data / "keys").iterdir())) == 7
    signed = note.signed("an approval\n", [signer]).data
    keyring.retire(key.id, LATER)
    assert Keyring.open(data).approvers() == ()
    assert note.verified(signed, Keyring.open(data).verifiers("approver")).text == "an approval\n"
    assert keyring.retire(key.id, LATER + dt.timedelta(days=1)).retired == LATER


def test_one_key_and_one_name_is_one_approver(keyring):
    first = Ed25519Signer("approver-1", Ed25519PrivateKey.generate())
    key = keyring.register(str(first.verifier), NOW)
    with pytest.raises(Taken, match="each approver has a key of their own"):
        keyring.register(str(first.verifier), NOW)
    with pytest.raises(Taken, match="each approver has a key of their own"):
        keyring.register(str(Ed25519Signer("approver-2", first.private).verifier), NOW)
    again = Ed25519Signer("approver-1", Ed25519PrivateKey.generate())
    with pytest.raises(Taken, match="retire that key first"):
        keyring.register(str(again.verifier), NOW)
    keyring.retire(key.id, NOW)
    keyring.register(str(again.verifier), NOW)
    assert keyring.approvers() == (again.verifier,)
    with pytest.raises(Taken, match="each approver has a key of their own"):
        keyring.register(keyring.current("bundle").public, NOW)
    for wrong in ("approver-1", "", "a+00000000+AAAA"):
        with pytest.raises(InputError):
            keyring.register(wrong, NOW)
    with pytest.raises(InputError, match="not the id of such a key"):
        keyring.retire(keyring.current("log").id, NOW)


def test_nothing_that_a_keyring_shows_is_secret(keyring, data):
    keyring.rotate("api", LATER)
    said = [repr(keyring), str(keyring), repr(keyring._loaded), repr(keyring._store)]
    said += [repr(keyring.entries()), repr(keyring.rotations()), index_of(data).read_text()]
    said += [repr(keyring.signer("log")), repr(keyring.cosigner(1)), repr(keyring.rotate("bundle", LATER))]
    assert_no_secret("\n".join(said), secrets_of(data / "keys"))


def test_no_error_text_has_a_secret_in_it(keyring, data):
    keyring.rotate("subjects", LATER)
    secrets = secrets_of(data / "keys")
    said = []
    for file in sorted((data / "keys").iterdir()):
        right = file.read_bytes()
        for wrong in (right[:-9], right[9:], right.swapcase(), right[::-1], right[:40] * 2):
            file.write_bytes(wrong)
            with pytest.raises(StoreError) as error:
                Keyring.open(data)
            said.append(f"{error.value!r} {error.value.__cause__!r}")
        file.write_bytes(right)
    assert len(said) == 40
    assert_no_secret("\n".join(said), secrets)
