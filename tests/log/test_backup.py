"""A data directory is copied while it serves, and put back only where nothing is, once all of it was
audited."""

import base64
import datetime as dt
import json
import random
import shutil
import signal
import subprocess
import sys
import threading

import apsw
import pytest
from tests.log.conftest import OPUS, House, elsewhere
from tests.log.copies import backup, restore
from tests.log.test_outside import key_of
from tests.records.traces import found, wrapped_key

from carnet.model.errors import Unavailable
from carnet.service.node import Node
from carnet.store import installation
from carnet.store.backups import Backups
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.store.origins import opened_vault, seen


def secrets_of(data):
    """Every secret that lies in the keys of a data directory, as it is written and as bytes."""
    for file in (data / "keys").iterdir():
        if file.suffix == ".secret":
            yield file.read_bytes().strip()
            yield base64.b64decode(file.read_bytes())
        elif file.suffix == ".pem":
            yield from (line for line in file.read_bytes().split(b"\n") if b"-----" not in line and line)


def test_a_backup_goes_on_while_a_node_records_and_is_whole(house, carnet, tmp_path):
    with house.open() as node:
        stop, made = threading.Event(), []

        def produce():
            while not stop.is_set():
                made.append(house.record(node, OPUS, id=f"s-{len(made)}"))

        thread = threading.Thread(target=produce)
        thread.start()
        while len(made) < 5:
            thread.join(0.01)
        before = len(made)
        elsewhere(tmp_path, "backup", "--to", "copy", "--data", house.data)
        after = len(made)
        stop.set()
        thread.join()
    assert after > before
    restore(carnet, "--alone", "--keys", house.data)
    done = json.loads(carnet("log", "audit", "--data", "back", "--json").output)["logs"][0]
    assert 10 + before <= done["size"] <= 10 + len(made)
    assert done["findings"] == []
    with seen(house.data) as now:
        whole = now.reading.leaves(0, done["size"])
    with seen(tmp_path / "back") as now:
        assert now.reading.leaves(0, done["size"]) == whole


def test_the_keys_are_in_it_only_if_somebody_asks(house, carnet, tmp_path):
    said = backup(carnet, house)
    assert "the keys are not in it" in said.output
    assert not (tmp_path / "copy" / "keys").exists()
    secrets = list(secrets_of(house.data))
    assert len(secrets) > 8
    for file in (tmp_path / "copy").rglob("*"):
        assert file.is_dir() or not any(secret in file.read_bytes() for secret in secrets)
        assert file.stat().st_mode & 0o077 == 0
    public = json.loads((tmp_path / "copy" / "keys.public.json").read_text())
    assert key_of(house) in [key.get("public") for key in public["keys"]]
    restore(carnet, "--alone", code=2)
    backup(carnet, house, "whole", "--with-keys")
    assert list(secrets_of(tmp_path / "whole")) != []
    restore(carnet, "--alone", copy="whole")
    assert Keyring.open(tmp_path / "back").name == Keyring.open(house.data).name


def test_what_was_put_back_goes_on(house, carnet, tmp_path):
    backup(carnet, house, "copy", "--with-keys")
    restore(carnet, "--alone")
    other = House(tmp_path / "back")
    other.hands = house.hands
    with other.open() as node:
        made = other.record(node, OPUS, id="later")
    with seen(tmp_path / "back") as now:
        assert now.reading.of_id("default", made.id).index == 10
    assert carnet("log", "audit", "--data", "back").exit_code == 0


def test_nothing_is_overwritten(house, carnet, tmp_path):
    backup(carnet, house, "copy", "--with-keys")
    before = sorted((file, file.stat().st_size) for file in house.data.rglob("*"))
    for to in (house.data, "copy"):
        done = carnet("restore", "--from", "copy", "--data", to, "--alone")
        assert done.exit_code in (1, 2)
        assert "is there already" in done.output or "the backup itself" in done.output
    assert sorted((file, file.stat().st_size) for file in house.data.rglob("*")) == before
    assert carnet("backup", "--to", "copy", "--data", house.data).exit_code == 1
    assert carnet("backup", "--to", house.data / "in", "--data", house.data).exit_code == 2
    assert carnet("backup", "--data", house.data).exit_code == 2
    assert carnet("restore", "--from", house.data, "--data", "back", "--alone").exit_code == 2
    assert not (tmp_path / "back").exists()


def sql(text):
    def damage(copy):
        db = apsw.Connection(str(copy / "log.db"))
        db.execute("PRAGMA ignore_check_constraints = ON")
        for trigger in ("leaf_rewritten", "leaf_removed", "checkpoint_rewritten", "checkpoint_removed"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(text)
        db.close()

    return damage


def flipped(name):
    def damage(copy):
        file = next(copy.rglob(name))
        data = bytearray(file.read_bytes())
        r = random.Random(name)
        for _ in range(40):
            data[r.randrange(200, len(data))] ^= 1
        file.write_bytes(data)

    return damage


def law(copy):
    file = next(copy.rglob("2026-06-12-fable-mythos.md"))
    file.write_bytes(file.read_bytes().replace(b"anthropic/claude-fable-5", b"anthropic/claude-fable-6"))


DAMAGES = {
    "a leaf": sql("UPDATE records SET leaf = x'7b7d' WHERE number = 3"),
    "a sealed part": sql("UPDATE records SET sealed = zeroblob(length(sealed)) WHERE number = 3"),
    "a part of another record": sql(
        "UPDATE records SET sealed = (SELECT sealed FROM records WHERE number = 0) WHERE number = 1"
    ),
    "no part": sql("UPDATE records SET sealed = NULL WHERE number = 3"),
    "a term": sql("DELETE FROM terms WHERE number = 3"),
    "the last records": sql("DELETE FROM records WHERE number > 6"),
    "the checkpoint": sql("UPDATE checkpoints SET note = x'00' WHERE size = 10"),
    "bits of the log": flipped("log.db"),
    "bits of the vault": flipped("vault.db"),
    "bits of the desk": flipped("desk.db"),
    "a rule": law,
    "no rules": lambda copy: shutil.rmtree(copy / "laws"),
    "no vault": lambda copy: (copy / "vault.db").unlink(),
    "no log": lambda copy: (copy / "log.db").unlink(),
    "no manifest": lambda copy: (copy / "backup.json").unlink(),
    "a manifest of tomorrow": lambda copy: (copy / "backup.json").write_text('{"format": 2}'),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_backup_that_is_not_whole_is_not_put_in_place(house, carnet, tmp_path, what):
    backup(carnet, house, "copy", "--with-keys")
    DAMAGES[what](tmp_path / "copy")
    done = carnet("restore", "--from", "copy", "--data", "back", "--alone")
    assert done.exit_code in (1, 2, 5), done.output
    assert "unexpected" not in done.output
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy", "house"]


def test_the_vault_of_another_moment_or_key_is_not_put_in_place(house, carnet, tmp_path):
    backup(carnet, house, "copy", "--with-keys")
    other = House(tmp_path / "other")
    other.fill(1)
    backup(carnet, other, "strange", "--with-keys")
    shutil.copy(tmp_path / "strange" / "vault.db", tmp_path / "copy" / "vault.db")
    assert carnet("restore", "--from", "copy", "--data", "back", "--alone").exit_code in (1, 5)
    assert not (tmp_path / "back").exists()


KILLED = """
import os, signal, sys
from carnet.store import installation
def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(installation, sys.argv[1], die)
sys.argv[1:] = sys.argv[2:]
from carnet.cli import main
main()
"""


@pytest.mark.parametrize("point", ["_copied_database", "_shown", "_synced"])
def test_a_backup_that_was_killed_is_no_backup_and_is_on_the_list(house, carnet, tmp_path, point):
    args = ["backup", "--to", "copy", "--data", str(house.data)]
    done = subprocess.run([sys.executable, "-c", KILLED, point, *args], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "copy").exists()
    with seen(house.data) as now, opened_vault(house.data, now.keyring) as vault:
        entry = vault.entries()[0]
        wrapped = wrapped_key(vault, entry.subject, entry.retention)
        with Desk.open(house.data) as desk:
            files = [file for each in Backups(desk).listed() for file in each.files]
    left = [file for file in tmp_path.rglob("vault.db") if house.data not in file.parents]
    assert files == left
    assert bool(left) == (point != "_shown")  # that is before the vault is copied
    assert all(wrapped in file.read_bytes() for file in left)
    for directory in {file.parent for file in left}:
        shutil.rmtree(directory)
    assert carnet("backup", "gone", "copy", "--data", house.data).exit_code == 0
    backup(carnet, house)


def test_a_backup_that_fails_leaves_nothing(house, carnet, tmp_path, monkeypatch):
    scrubbed = []
    real = installation.vault_file.scrub

    def scrub(file):
        scrubbed.append((file.name, file.is_file()))
        real(file)

    monkeypatch.setattr(installation.vault_file, "scrub", scrub)
    with seen(house.data) as now, opened_vault(house.data, now.keyring) as vault:
        entry = vault.entries()[0]
        wrapped = wrapped_key(vault, entry.subject, entry.retention)

    def full(*given):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(installation, "_copied_database", full)
    done = carnet("backup", "--to", "copy", "--data", house.data)
    assert done.exit_code == 1, done.output
    assert found(tmp_path, wrapped) == ["vault.db"]
    assert ("vault.db", True) in scrubbed
    assert sorted(each.name for each in tmp_path.iterdir()) == ["house"]
    monkeypatch.undo()
    assert carnet("backup", "list", "--data", house.data).output == ""


def test_a_backup_from_before_a_rotation_is_readable_after_it_was_put_back(house, carnet, tmp_path):
    backup(carnet, house)
    assert carnet("keys", "rotate", "subjects", "--data", house.data).exit_code == 0
    assert carnet("keys", "rotate", "log", "--data", house.data).exit_code == 0
    restore(carnet, "--alone", "--keys", house.data / "keys")
    other = House(tmp_path / "back")
    other.hands = house.hands
    with other.open() as node:
        other.record(node, OPUS, id="later")
    assert carnet("log", "audit", "--data", "back").exit_code == 0


def test_several_nodes_are_copied_and_put_back_together(tmp_path, carnet):
    house = House(tmp_path / "house")
    for number in (1, 2):
        with Node(house.data, house.rulebook, house.policy, house.hands.clock(), number=number) as node:
            house.record(node, OPUS, id=f"of-{number}")
    assert "copied 1 record of" in backup(carnet, house).output
    assert "backup has no keys" not in restore(carnet, "--alone", "--keys", house.data).output
    with Node(tmp_path / "back", house.rulebook, house.policy, house.hands.clock(), number=2) as node:
        house.record(node, OPUS, id="later")
    said = json.loads(carnet("log", "audit", "--data", "back", "--json").output)["logs"]
    assert [(each["size"], each["findings"]) for each in said] == [(1, []), (2, [])]
    done = carnet("log", "export", "--data", "back", "--out", "x.zip")
    assert done.exit_code == 2
    assert "name one of them" in done.output
    assert carnet("log", "export", "--data", "back/nodes/2", "--out", "x.zip").exit_code == 0


def test_the_time_of_a_copy_is_told_and_listed(house, carnet):
    said = backup(carnet, house, "copy", "--keep", 7)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=7)
    assert f"keep it until {until.date()}" in said.output
    assert f"until {until.date()}" in carnet("backup", "list", "--data", house.data).output
    with Desk.open(house.data) as desk, desk.writing():
        desk.write("UPDATE backups SET until = 0")
    done = carnet("backup", "list", "--data", house.data)
    assert done.exit_code == 1
    assert "destroy it" in done.output
