"""Key files: who may read them, and what a crash leaves."""

import os
import stat
import subprocess
import sys
import textwrap

import pytest
from tests.keys.conftest import LATER, NAME, NOW

from carnet.model.errors import InputError, StoreError, Taken, Unavailable
from carnet.store import keyfiles
from carnet.store.keys import Keyring


def killed(data, where, count, then):
    """A process that kills itself at the `count`th call of `os.WHERE`; what it printed before."""
    program = f"""
        import datetime as dt, os, pathlib, signal
        from carnet.store.keys import Keyring
        calls, real = 0, os.{where}

        def cut(*arguments, **more):
            global calls
            calls += 1
            if calls == {count}:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        data = pathlib.Path({str(data)!r})
        now = dt.datetime(2026, 12, 25, tzinfo=dt.UTC)
        ring = None if {then.startswith("Keyring")!r} else Keyring.open(data)
        os.{where} = cut
        {then}
        print("survived")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -9), done.stderr
    assert done.returncode == -9 or done.stdout == "survived\n"
    return done.returncode == -9


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_file_that_others_may_read_is_refused_with_what_to_do(keyring, data, mode):
    for file in (data / "keys").iterdir():
        file.chmod(mode)
        with pytest.raises(StoreError, match=f"is open to others: run `chmod 600 {file}`"):
            Keyring.open(data)
        file.chmod(0o600)
    Keyring.open(data)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711, 0o777])
def test_a_directory_that_others_may_look_into_is_refused_with_what_to_do(keyring, data, mode):
    (data / "keys").chmod(mode)
    with pytest.raises(StoreError, match=f"is open to others: run `chmod 700 {data / 'keys'}`"):
        Keyring.open(data)
    with pytest.raises(StoreError, match="is open to others"):
        keyring.rotate("log", LATER)


def test_a_file_that_is_only_readable_is_read(keyring, data):
    for file in (data / "keys").iterdir():
        file.chmod(0o400)
    (data / "keys").chmod(0o500)
    Keyring.open(data)
    (data / "keys").chmod(0o700)


def test_a_file_of_another_user_is_refused_but_for_root(keyring, data, monkeypatch):
    for path in (data / "keys", *(data / "keys").iterdir()):
        if path.stat().st_uid == 0:  # root may give it away; others own it and pretend to be another
            os.chown(path, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(StoreError, match="belongs to another user"):
        Keyring.open(data)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Keyring.open(data).entries() == keyring.entries()


def test_what_is_no_file_is_refused_and_not_waited_for(keyring, data):
    (file,) = (data / "keys").glob("api-*")
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(StoreError, match="is no file"):
        Keyring.open(data)
    file.unlink()
    file.mkdir(0o700)
    with pytest.raises(StoreError):
        Keyring.open(data)


def test_a_file_in_the_place_of_the_directory_is_refused(data):
    data.mkdir()
    (data / "keys").touch(0o600)
    with pytest.raises(StoreError, match="is no directory"):
        Keyring.open(data)


def test_writing_anew_never_replaces_and_leaves_nothing_beside(tmp_path):
    file = tmp_path / "key"
    keyfiles.write(file, b"one", new=True)
    with pytest.raises(Taken, match="is there already"):
        keyfiles.write(file, b"two", new=True)
    assert file.read_bytes() == b"one"
    keyfiles.write(file, b"three")
    assert file.read_bytes() == b"three"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_file_is_synced_before_its_name_and_the_directory_after_it(tmp_path, monkeypatch):
    done = []

    def watch(name):
        real = getattr(os, name)

        def call(first, *more, **named):
            is_directory = name == "fsync" and stat.S_ISDIR(os.fstat(first).st_mode)
            done.append("sync directory" if is_directory else name)
            return real(first, *more, **named)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "replace", "link"):
        watch(name)
    keyfiles.write(tmp_path / "key", b"one", new=True)
    keyfiles.write(tmp_path / "key", b"two")
    assert done == ["fsync", "link", "sync directory", "fsync", "replace", "sync directory"]


def test_a_file_is_never_open_to_others_not_even_while_it_is_written(tmp_path, monkeypatch):
    seen = []
    real = os.fchmod

    def watched(descriptor, mode):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    before = os.umask(0)
    try:
        keyfiles.write(tmp_path / "key", b"one")
    finally:
        os.umask(before)
    assert seen == [0o600]


def test_what_can_not_be_written_is_unavailable_and_the_old_one_stays(tmp_path):
    with pytest.raises(Unavailable, match="can't be written"):
        keyfiles.write(tmp_path / "nowhere" / "key", b"one")
    with pytest.raises(Unavailable, match="can't be made"), keyfiles.new_directory(tmp_path / "key" / "x"):
        (tmp_path / "key").write_bytes(b"")
    (tmp_path / "full").mkdir()
    with pytest.raises(ZeroDivisionError), keyfiles.new_directory(tmp_path / "full" / "keys") as made:
        1 / ((made / "x").write_bytes(b"x") - 1)
    assert list((tmp_path / "full").iterdir()) == []


def test_a_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="is not there: make the keys"):
        keyfiles.check_directory(tmp_path / "keys")


def test_a_kill_between_temporary_and_rename_leaves_the_old_keys(keyring, data):
    before = Keyring.open(data).entries()
    assert killed(data, "replace", 1, 'ring.rotate("log", now)')
    after = Keyring.open(data)
    assert after.entries() == before
    assert after.signer("log").key_id == keyring.signer("log").key_id
    assert not list((data / "keys").glob(".*"))
    after.rotate("log", LATER)
    assert len(Keyring.open(data).verifiers("log")) == 2


@pytest.mark.real
@pytest.mark.parametrize("where", ["fsync", "open", "link", "unlink", "close", "fchmod", "replace"])
@pytest.mark.parametrize("role", ["log", "subjects"])
def test_a_kill_anywhere_in_a_rotation_leaves_the_old_or_the_new(tmp_path, where, role):
    kills, seen = 0, set()
    for count in range(1, 100):
        data = tmp_path / str(count)
        before = Keyring.create(data, NAME, NOW)
        old = before.current(role)
        if not killed(data, where, count, f'ring.rotate("{role}", now)'):
            break
        kills += 1
        after = Keyring.open(data)
        seen.add(after.current(role).id == old.id)
        assert after.current(role).id == old.id or after.rotations()[-1].old == old.id
        if role == "log":
            kept = {place for place in after._store.places() if place.startswith("log-")}
            assert kept - set(after.strays()) == {after.current("log").place}
            assert after.verifiers("log")[: len(before.verifiers("log"))] == before.verifiers("log")
        else:
            assert after.secret(role, old.id) == before.secret(role)
    print(f"{role}, {where}: {kills} kills, the old one kept: {sorted(seen)}")
    assert count < 99


@pytest.mark.real
@pytest.mark.parametrize("where", ["fsync", "link", "mkdir", "replace"])
def test_a_kill_anywhere_in_the_making_leaves_all_keys_or_none(tmp_path, where):
    kills = 0
    for count in range(1, 100):
        data = tmp_path / str(count)
        if not killed(data, where, count, f'Keyring.create(data, "{NAME}", now)'):
            break
        kills += 1
        try:
            Keyring.open(data)
        except InputError:
            Keyring.create(data, NAME, NOW)
        assert [each.name for each in data.iterdir()] == ["keys"]
        assert len(Keyring.open(data).entries()) == 6
    print(f"{where}: {kills} kills")
    assert count < 99
