"""A rotation with what hangs on it: facts and private parts move, and nothing is lost if it is cut off."""

import subprocess
import sys
import textwrap

import pytest
from tests.keys.conftest import LATER, NAME, NOW

from carnet.model.errors import InputError, StoreError, Unverified
from carnet.model.transaction import Party
from carnet.model.written import Fact
from carnet.service import rotation
from carnet.service.rotation import Moved
from carnet.store.api_keys import ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.store.origins import NODES, VAULT
from carnet.store.subjects import SubjectTable
from carnet.store.vault import Vault

RETENTION = "ear"
SECRET = b"a private part" * 40


@pytest.fixture
def sealed(keyring, data):
    """One fact in the desk and one private part in the vault; the part as it was sealed."""
    fact = Fact(value="FR", source="hr", assurance="S2")
    with Desk.open(data) as desk:
        SubjectTable(desk, keyring).add("acme", [("u-1", Party(location=fact))], NOW)
    with Vault.create(data / VAULT, keyring.secret("subjects")) as vault:
        return vault.seal("pseudonym", RETENTION, "record-1", SECRET)


def assert_readable(data, sealed):
    """The fact and the private part, with the current secret alone."""
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        table = SubjectTable(desk, keyring)
        assert table.under(keyring.current("subjects").id) == 1
        assert table.facts("acme", "u-1", NOW).location.value == "FR"
    with Vault.open(data / VAULT, keyring.secret("subjects")) as vault:
        assert vault.opened("pseudonym", RETENTION, "record-1", sealed) == SECRET


def test_facts_and_private_parts_move_to_the_new_secret(keyring, data, sealed):
    done, moved = rotation.rotate(data, keyring, "subjects", LATER)
    assert moved == Moved(rows=1, keys=1)
    assert_readable(data, sealed)
    with pytest.raises(Unverified):
        Vault.open(data / VAULT, keyring.secret("subjects", done.old))
    assert rotation.move(data, keyring) == Moved(0, 0)


def test_a_node_has_keys_and_a_vault_of_its_own(keyring, data, sealed):
    home = data / NODES / "1"
    own = Keyring.create(home, f"{NAME}/nodes/1", NOW)
    with Vault.create(home / VAULT, own.secret("subjects")) as vault:
        part = vault.seal("pseudonym", RETENTION, "record-1", SECRET)
    assert rotation.rotate(data, keyring, "subjects", LATER)[1] == Moved(rows=1, keys=1)
    done, moved = rotation.rotate(home, own, "subjects", LATER)
    assert moved == Moved(rows=0, keys=1)
    rotation.forget(home, own, done.old, LATER)
    with Vault.open(home / VAULT, Keyring.open(home).secret("subjects")) as vault:
        assert vault.opened("pseudonym", RETENTION, "record-1", part) == SECRET
    assert_readable(data, sealed)


@pytest.mark.parametrize("role", ["log", "api"])
def test_other_roles_move_nothing(keyring, data, sealed, role):
    assert rotation.rotate(data, keyring, role, LATER)[1] == Moved(0, 0)
    assert_readable(data, sealed)


def test_an_installation_that_has_only_keys_yet_is_rotated(keyring, data):
    assert rotation.rotate(data, keyring, "subjects", LATER)[1] == Moved(0, 0)
    assert [each.name for each in data.iterdir()] == ["keys"]


@pytest.mark.parametrize("where", ["move", "Vault.rewrap", "SubjectTable.reseal", "Desk.open"])
def test_a_rotation_that_was_cut_off_is_finished_by_the_next(keyring, data, sealed, where):
    program = f"""
        import os, pathlib, signal
        from tests.keys.conftest import LATER
        from carnet.service import rotation
        from carnet.store.keys import Keyring

        def cut(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        *owner, name = "{where}".split(".")
        setattr(getattr(rotation, owner[0]) if owner else rotation, name, cut)
        data = pathlib.Path({str(data)!r})
        rotation.rotate(data, Keyring.open(data), "subjects", LATER)
    """
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
        assert done.returncode == -9
    found = Keyring.open(data)
    assert len(found.rotations()) == 2
    with Desk.open(data) as desk:
        assert SubjectTable(desk, found).facts("acme", "u-1", NOW).location.value == "FR"
    rotation.rotate(data, found, "subjects", LATER)
    assert_readable(data, sealed)


def test_a_secret_that_is_needed_is_not_forgotten(keyring, data, sealed):
    old = keyring.rotate("subjects", LATER).old
    with pytest.raises(StoreError, match=f"are still under `{old}`: run `carnet keys rotate subjects`"):
        rotation.forget(data, keyring, old, LATER)
    with Desk.open(data) as desk:
        SubjectTable(desk, keyring).reseal()
    with pytest.raises(StoreError, match=f"are still under `{old}`"):
        rotation.forget(data, keyring, old, LATER)
    rotation.move(data, keyring)
    rotation.forget(data, keyring, old, LATER)
    assert_readable(data, sealed)
    with pytest.raises(StoreError, match="is not kept"):
        keyring.secret("subjects", old)


def test_a_pepper_that_is_needed_is_not_forgotten(keyring, data):
    with Desk.open(data) as desk:
        keys = ApiKeys(desk, keyring)
        used, text = keys.add("acme", ["read"], NOW)
        unused, _ = keys.add("acme", ["read"], NOW)
        old = keyring.rotate("api", LATER).old
        with pytest.raises(StoreError, match=f"`2` API keys are hashed under `{old}`"):
            rotation.forget(data, keyring, old, LATER)
        assert keys.opened(used.id, text[-43:], LATER).id == used.id
        keys.revoke(unused.id, LATER)
    rotation.forget(data, keyring, old, LATER)
    with Desk.open(data) as desk:
        assert ApiKeys(desk, Keyring.open(data)).opened(used.id, text[-43:], LATER).id == used.id


def test_a_current_secret_and_a_signing_key_are_not_forgotten(keyring, data, sealed):
    old = keyring.rotate("log", LATER).old
    for id_ in (keyring.current("subjects").id, keyring.current("log").id, old, "00000000"):
        with pytest.raises(InputError):
            rotation.forget(data, keyring, id_, LATER)
    assert_readable(data, sealed)


def test_a_vault_of_another_installation_is_told(keyring, data, sealed, tmp_path):
    other = Keyring.create(tmp_path / "other", NAME, NOW)
    (tmp_path / "other" / VAULT).write_bytes((data / VAULT).read_bytes())
    with pytest.raises(Unverified, match="under none of the secrets `subjects` that are kept"):
        rotation.rotate(tmp_path / "other", other, "subjects", LATER)
