"""An export and a proof are checked by somebody outside: with a public key, and nothing else of this
machine."""

import datetime as dt
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.log.conftest import House
from tests.witness.logs import KEY, KEY_2, NOW

from carnet.ledger import checkpoint, note
from carnet.ledger.archive import Archive, packed
from carnet.ledger.export import CHECKPOINT, KEYS, Export
from carnet.store.exports import mapped
from carnet.store.keys import Keyring
from carnet.store.origins import COSIGNED, seen

OFFLINE = """
import sys
def deaf(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(event)
sys.addaudithook(deaf)
from carnet.cli import main
main()
"""


def alone(folder, *arguments, code=0):
    """The program in a process that has no sockets, in a folder, with nothing of this installation."""
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def key_of(house):
    return str(Keyring.open(house.data).verifiers("log")[-1])


def members_of(file):
    with mapped(file) as view:
        archive = Archive(view)
        return {name: archive.read(name) for name in archive.names()}


def packed_as(file, members):
    file.write_bytes(b"".join(packed(sorted(members.items()))))
    return file


@pytest.fixture
def file(house, carnet, tmp_path):
    """An export of everything, private parts included."""
    done = carnet("log", "export", "--data", house.data, "--out", "all.zip", "--with-private")
    assert done.exit_code == 0, done.output
    return tmp_path / "all.zip"


@pytest.mark.real
def test_nothing_but_the_file_and_the_key_is_needed(house, carnet, tmp_path, file):
    first = json.loads(carnet("log", "export", "--data", house.data, "--out", "b.zip", "--json").output)
    done = carnet("log", "show", "--data", house.data, "--json", house.made[0].id)
    proof = carnet("log", "prove", "--data", house.data, house.made[0].id)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "one.tlog-proof").write_text(proof.stdout)
    shutil.move(file, empty / "all.zip")
    shutil.rmtree(house.data)
    assert json.loads(done.output)["index"] == 0
    key = first["key"]
    assert "verified" in alone(empty, "log", "verify", "one.tlog-proof", "--key", key)
    assert "verified" in alone(empty, "log", "verify", "all.zip", "--key", key)
    assert "8 decided again alike" in alone(empty, "log", "replay", "all.zip", "--key", key)
    alone(empty, "log", "prove", house.made[1].id, "--from-export", "all.zip", "--out", "two.tlog-proof")
    assert "verified" in alone(empty, "log", "verify", "two.tlog-proof", "--key", key)
    assert sorted(each.name for each in empty.iterdir()) == ["all.zip", "one.tlog-proof", "two.tlog-proof"]


def test_the_same_range_is_always_the_same_bytes(house, carnet, tmp_path, file):
    carnet("log", "export", "--data", house.data, "--out", "again.zip", "--with-private")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()
    with zipfile.ZipFile(file) as other:
        assert other.testzip() is None
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_private_is_only_in_an_export_that_was_asked_to_have_it(house, carnet, tmp_path, file):
    carnet("log", "export", "--data", house.data, "--out", "open.zip")
    said, private = (tmp_path / "open.zip").read_bytes(), file.read_bytes()
    for word in (b"zoe-0.example", b"citizen", b"nationalities", b'"FR"'):
        assert word not in said
        assert word in private
    with mapped(tmp_path / "open.zip") as view:
        names = Archive(view).names()
    assert [name for name in names if name.startswith(("laws/", "private/", "policies/", "builds/"))] == []


@pytest.mark.parametrize(("first", "stop"), [(0, 1), (3, 7), (9, 10), (0, 10)])
def test_any_range_verifies(house, carnet, first, stop):
    file = f"{first}.zip"
    done = carnet("log", "export", "--data", house.data, "--out", file, "--from", first, "--to", stop)
    assert done.exit_code == 0, done.output
    said = json.loads(carnet("log", "verify", file, "--key", key_of(house), "--json").output)
    assert (said["first"], said["stop"], said["size"]) == (first, stop, 10)


@pytest.mark.parametrize("ends", [(3, 3), (5, 4), (0, 11), (10, 10), (20, 30)])
def test_a_range_that_is_not_there_is_refused(house, carnet, tmp_path, ends):
    done = carnet("log", "export", "--data", house.data, "--out", "x.zip", "--from", ends[0], "--to", ends[1])
    assert done.exit_code == 2
    assert "no range of a log of `10` records" in done.output
    assert not (tmp_path / "x.zip").exists()


def test_nothing_is_overwritten(house, carnet, file):
    before = file.read_bytes()
    done = carnet("log", "export", "--data", house.data, "--out", "all.zip")
    assert (done.exit_code, file.read_bytes()) == (1, before)
    assert "is there already" in done.output


def test_every_flipped_bit_of_an_export_is_reported(house, carnet, tmp_path, file):
    whole, key, r = file.read_bytes(), key_of(house), random.Random(7)
    accepted = []
    for at in r.sample(range(8 * len(whole)), 150):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        (tmp_path / "changed.zip").write_bytes(changed)
        if carnet("log", "verify", "changed.zip", "--key", key).exit_code != 5:
            accepted.append(at)
    assert accepted == []


def test_every_flipped_bit_of_a_proof_is_reported(house, carnet, tmp_path):
    carnet("log", "prove", "--data", house.data, house.made[2].id, "--out", "one.tlog-proof")
    whole, key = (tmp_path / "one.tlog-proof").read_bytes(), key_of(house)
    assert carnet("log", "verify", "one.tlog-proof", "--key", key).exit_code == 0
    accepted = []
    for at in range(0, 8 * len(whole), 37):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        (tmp_path / "changed").write_bytes(changed)
        done = carnet("log", "verify", "changed", "--key", key)
        if done.exit_code != 5:
            accepted.append((at // 8, done.output))
    assert accepted == []


def test_a_wrong_key_verifies_nothing(house, carnet, tmp_path, file):
    other = Keyring.create(tmp_path / "other", Keyring.open(house.data).name, dt.datetime.now(dt.UTC))
    stranger = Keyring.create(tmp_path / "stranger", "stranger.example", dt.datetime.now(dt.UTC))
    done = carnet("log", "verify", file, "--key", other.verifiers("log")[0])
    assert done.exit_code == 5
    assert "no known key signed" in done.output
    done = carnet("log", "verify", file, "--key", stranger.verifiers("log")[0])
    assert done.exit_code == 5
    assert "the key is of `stranger.example`" in done.output
    assert carnet("log", "verify", file).exit_code == 2
    assert carnet("log", "verify", file, "--key", "nonsense").exit_code == 2


def test_a_key_that_the_export_names_itself_counts_for_nothing(house, carnet, tmp_path, file):
    """Who forges a log can put a key of his own into the file; only the key that is given counts."""
    forger = Keyring.create(tmp_path / "forger", Keyring.open(house.data).name, dt.datetime.now(dt.UTC))
    members = members_of(file)
    about = checkpoint.parsed(note.parsed(members[CHECKPOINT]).text)
    members[CHECKPOINT] = checkpoint.signed(about, [forger.signer("log")]).data
    keys = json.loads(members[KEYS]) | {"log": [str(forger.verifiers("log")[0])]}
    members[KEYS] = json.dumps(keys, separators=(",", ":"), sort_keys=True).encode()
    forged = packed_as(tmp_path / "forged.zip", members)
    assert carnet("log", "verify", forged, "--key", key_of(house)).exit_code == 5
    done = carnet("log", "replay", forged)
    assert done.exit_code == 0
    assert "give `--key` to know whose it is" in done.output
    assert carnet("log", "replay", forged, "--key", key_of(house)).exit_code == 5


def test_who_trusts_the_old_key_trusts_its_successor(house, carnet, tmp_path):
    old = key_of(house)
    with house.open() as node:
        house.record(node, id="before")
    said = carnet("keys", "rotate", "log", "--data", house.data)
    (tmp_path / "statement.txt").write_text(said.output)
    with house.open() as node:
        after = house.record(node, id="after")
    carnet("log", "export", "--data", house.data, "--out", "after.zip")
    assert carnet("log", "verify", "after.zip", "--key", old).exit_code == 0
    carnet("log", "prove", "--data", house.data, after.id, "--out", "after.tlog-proof")
    done = carnet("log", "verify", "after.tlog-proof", "--key", old)
    assert done.exit_code == 5
    stated = carnet("log", "verify", "after.tlog-proof", "--key", old, "--statement", "statement.txt")
    assert stated.exit_code == 0, stated.output
    assert carnet("log", "verify", "after.tlog-proof", "--key", key_of(house)).exit_code == 0


def test_a_statement_that_the_old_key_did_not_sign_is_refused(house, carnet, tmp_path, file):
    other = Keyring.create(tmp_path / "other", Keyring.open(house.data).name, dt.datetime.now(dt.UTC))
    old, mine = key_of(house), str(other.verifiers("log")[0])
    statement = other.rotate("log", dt.datetime.now(dt.UTC)).statement
    (tmp_path / "forged.txt").write_text(statement.replace(mine, old))
    done = carnet("log", "verify", file, "--key", old, "--statement", "forged.txt")
    assert done.exit_code == 5
    (tmp_path / "none.txt").write_text("no statement\n")
    assert carnet("log", "verify", file, "--key", old, "--statement", "none.txt").exit_code != 0


def cosign(house, *keys):
    """As the node does it once its witnesses have answered."""
    with seen(house.data) as now:
        signed = note.parsed(now.reading.checkpoint())
    made = note.signed(signed.text, [key.at(NOW) for key in keys]).signatures
    (house.data / COSIGNED).write_bytes(note.joined(signed, made).data)
    (house.data / COSIGNED).chmod(0o600)


def test_witnesses_that_are_asked_for_have_to_have_cosigned(house, carnet):
    first, second, key = str(KEY.verifier), str(KEY_2.verifier), key_of(house)
    carnet("log", "export", "--data", house.data, "--out", "bare.zip")
    done = carnet("log", "verify", "bare.zip", "--key", key, "--witness", first)
    assert done.exit_code == 5
    assert "`witness.example/w1` did not" in done.output
    cosign(house, KEY)
    carnet("log", "export", "--data", house.data, "--out", "seen.zip")
    carnet("log", "prove", "--data", house.data, house.made[0].id, "--out", "seen.tlog-proof")
    for file in ("seen.zip", "seen.tlog-proof"):
        done = carnet("log", "verify", file, "--key", key, "--witness", first)
        assert done.exit_code == 0, done.output
        assert "cosigned by witness.example/w1 at 2026-" in done.output
        both = ("--witness", first, "--witness", second)
        assert carnet("log", "verify", file, "--key", key, *both).exit_code == 5
        assert carnet("log", "verify", file, "--key", key, *both, "--need", 1).exit_code == 0
        assert carnet("log", "verify", file, "--key", key, "--witness", second).exit_code == 5


def test_a_cosigned_checkpoint_is_used_while_it_covers_what_is_asked(house, carnet):
    cosign(house, KEY)
    with house.open() as node:
        house.record(node, id="later")
    carnet("log", "export", "--data", house.data, "--out", "early.zip", "--to", 10)
    carnet("log", "export", "--data", house.data, "--out", "late.zip")
    sizes = {}
    for file in ("early.zip", "late.zip"):
        with mapped(Path(file)) as view:
            sizes[file] = Export(Archive(view)).manifest.size
    assert sizes == {"early.zip": 10, "late.zip": 11}
    witness = ("--witness", str(KEY.verifier))
    assert carnet("log", "verify", "early.zip", "--key", key_of(house), *witness).exit_code == 0
    assert carnet("log", "verify", "late.zip", "--key", key_of(house), *witness).exit_code == 5


def test_a_later_export_has_to_begin_with_what_was_kept(house, carnet, tmp_path, file):
    shutil.copytree(house.data, tmp_path / "fork")
    key = key_of(house)
    for data, name in ((house.data, "later"), (tmp_path / "fork", "forked")):
        other = House(data)
        other.hands = house.hands
        with other.open() as node:
            for number in range(6):
                other.record(node, id=f"{name}-{number}")
        carnet("log", "export", "--data", data, "--out", f"{name}-all.zip")
        for first in (5, 10, 12):
            done = carnet("log", "export", "--data", data, "--out", f"{name}-{first}.zip", "--from", first)
            assert done.exit_code == 0, done.output
    older = ("--key", key, "--older", "all.zip")
    for name in ("later-all.zip", "later-5.zip", "later-10.zip", "forked-10.zip"):
        assert carnet("log", "verify", name, *older).exit_code == 0
    done = carnet("log", "verify", "later-12.zip", *older)
    assert done.exit_code == 5
    assert "ask for one from record `10` on" in done.output
    older = ("--key", key, "--older", "later-all.zip")
    for name in ("forked-all.zip", "forked-10.zip", "forked-12.zip"):
        done = carnet("log", "verify", name, *older)
        assert done.exit_code == 5
        assert "forked or changed" in done.output
    assert carnet("log", "verify", "later-10.zip", *older).exit_code == 0
    assert carnet("log", "verify", "all.zip", *older).exit_code == 5


def test_a_record_of_another_tenant_is_no_record(house, carnet):
    id_ = house.made[0].id
    for command in (["show", id_], ["prove", id_]):
        done = carnet("log", *command, "--data", house.data, "--tenant", "other")
        absent = carnet("log", command[0], "d_nothing", "--data", house.data)
        assert done.exit_code == absent.exit_code == 1
        assert done.output.replace(id_, "d_nothing") == absent.output


def test_show_opens_the_private_part_only_if_it_is_asked_to(house, carnet):
    done = carnet("log", "show", house.made[0].id, "--data", house.data)
    assert "zoe" not in done.output
    assert "private part: sealed" in done.output
    done = carnet("log", "show", house.made[0].id, "--data", house.data, "--reveal")
    assert '"zoe-0.example"' in done.output


def test_a_file_that_is_something_else_is_not_verified(house, carnet, tmp_path):
    key = key_of(house)
    for name, data in (
        ("empty", b""),
        ("text", b"hello\n"),
        ("zip", b"PK\x03\x04"),
        ("old", b"c2sp.org/tlog-proof@v9\n"),
    ):
        (tmp_path / name).write_bytes(data)
        done = carnet("log", "verify", name, "--key", key)
        assert done.exit_code in (1, 5), done.output
    assert carnet("log", "verify", "nowhere", "--key", key).exit_code == 2


def test_an_export_goes_on_while_a_node_records(house, carnet):
    with house.open() as node:
        house.record(node, id="meanwhile")
        done = carnet("log", "export", "--data", house.data, "--out", "running.zip", "--with-private")
        assert done.exit_code == 0, done.output
        assert "determination 9, uses 1" in done.output
        house.record(node, id="after")
    assert carnet("log", "verify", "running.zip", "--key", key_of(house)).exit_code == 0
