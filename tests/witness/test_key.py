"""The key of a witness is its own, and only its owner can read it."""

import base64
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.witness.logs import KEY

from carnet.model.errors import InputError, StoreError, Taken
from carnet.store.witness_key import PUBLIC, SECRET, make_key, read_key, read_public


@pytest.mark.parametrize(("algorithm", "number"), [("ed25519", 0x04), ("ml-dsa-44", 0x06)])
def test_a_key_that_was_made_is_read_again(tmp_path, algorithm, number):
    made = make_key(tmp_path, "witness.example/w1", algorithm)
    assert read_key(tmp_path).verifier == made.verifier == read_public(tmp_path)
    assert made.verifier.scheme.number == number
    assert stat.S_IMODE((tmp_path / SECRET).stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".new")] == []


def test_a_key_is_never_written_over(tmp_path):
    made = make_key(tmp_path, "witness.example/w1")
    with pytest.raises(Taken, match="is there"):
        make_key(tmp_path, "witness.example/w2")
    assert read_key(tmp_path).verifier == made.verifier


@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_a_name_that_can_not_be_makes_no_key(tmp_path, name):
    with pytest.raises(InputError, match="is not the name of a key"):
        make_key(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_use_is_not_used(tmp_path, mode):
    make_key(tmp_path, "witness.example/w1")
    (tmp_path / SECRET).chmod(mode)
    with pytest.raises(StoreError, match="chmod 600"):
        read_key(tmp_path)


def test_thirty_two_bytes_in_base64_are_a_key_too(tmp_path):
    (tmp_path / PUBLIC).write_text(f"{KEY.verifier}\n")
    (tmp_path / SECRET).write_text(base64.b64encode(bytes(32)).decode() + "\n")
    (tmp_path / SECRET).chmod(0o600)
    assert read_key(tmp_path).verifier == KEY.verifier


def test_what_is_no_key_is_told_and_not_shown(tmp_path):
    secret = base64.b64encode(bytes(range(100, 131))).decode()
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / PUBLIC).write_text(f"{KEY.verifier}\n")
    for data in (b"", secret.encode(), f"{secret}?".encode(), b"-----BEGIN PRIVATE KEY-----\nAAAA\n", other):
        (tmp_path / SECRET).write_bytes(data)
        (tmp_path / SECRET).chmod(0o600)
        with pytest.raises(StoreError, match="is no key of Ed25519 or ML-DSA-44") as error:
            read_key(tmp_path)
        assert secret[:8] not in str(error.value)
        assert error.value.__cause__ is None


def test_the_key_of_another_name_is_not_taken(tmp_path):
    make_key(tmp_path, "witness.example/w1")
    other = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / SECRET).write_bytes(other)
    with pytest.raises(InputError, match=r"is not the key of `witness\.example/w1`"):
        read_key(tmp_path)
    (tmp_path / PUBLIC).write_text("no key\n")
    with pytest.raises(InputError, match="is no public key"):
        read_key(tmp_path)
    (tmp_path / PUBLIC).unlink()
    with pytest.raises(InputError, match="make it with `carnet witness init`"):
        read_key(tmp_path)
