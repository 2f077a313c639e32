"""A log that is put back and is behind what others have seen takes nothing until it goes on under a new
name."""

import contextlib
import json
import shutil

import pytest
from tests.log.conftest import OPUS, House
from tests.log.copies import backup, restore
from tests.witness.logs import KEY, serving

from carnet.ledger import checkpoint
from carnet.model.errors import Damaged
from carnet.store.cosign import Ahead, Cosigned, Witnessed, asking
from carnet.store.keys import Keyring
from carnet.store.origins import named, seen
from carnet.store.witness import Memory
from carnet.web.witness import app, known


def witnessed(house, url):
    """Ask the witness once about the log as it is."""
    with seen(house.data) as now:

        class Source:
            def reading(self):
                return contextlib.nullcontext(now.reading)

        name = named(house.data, now.keyring)
        return Witnessed(Source(), name.origin, name.verifiers, KEY.verifier, url, asking(10)).submit()


def listed(folder, url):
    (folder / "w.toml").write_text(f'need = 1\n[[witness]]\nkey = "{KEY.verifier}"\nurl = "{url}"\n')
    return folder / "w.toml"


@pytest.fixture
def memory(tmp_path):
    (tmp_path / "witness").mkdir()
    made = Memory.create(tmp_path / "witness")
    yield made
    made.close()


def test_a_log_behind_its_witness_takes_nothing_until_it_is_continued(house, carnet, tmp_path, memory):
    keys = Keyring.open(house.data).verifiers("log")
    with serving(app(memory, [KEY], known(list(keys), [KEY]))) as url:
        assert isinstance(witnessed(house, url), Cosigned)
        backup(carnet, house, "copy", "--with-keys")
        restore(carnet, "--witnesses", listed(tmp_path, url), to="early")
        with house.open() as node:
            house.record(node, OPUS, id="lost")
        assert isinstance(witnessed(house, url), Cosigned)
        done = restore(carnet, "--witnesses", listed(tmp_path, url))
    assert (
        "it is behind, the witness `witness.example/w1` has seen 11 records and the log has 10" in done.output
    )
    other = House(tmp_path / "back")
    other.hands = house.hands
    with pytest.raises(Damaged, match="has `10` records and had `11`"):
        other.open()
    assert carnet("log", "audit", "--data", "back").exit_code == 0

    done = carnet("log", "continue", "--as", "carnet.example/second", "--data", "back", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert (said["before"], said["size"], said["index"]) == (keys[0].name, 10, 10)
    with other.open() as node:
        made = other.record(node, OPUS, id="again")
    with seen(tmp_path / "back") as now:
        assert now.reading.of_id("default", made.id).index == 11
    carnet("log", "export", "--data", "back", "--out", "back.zip")
    done = carnet("log", "verify", "back.zip", "--key", said["key"])
    assert done.exit_code == 0, done.output
    assert f"the log goes on from {keys[0].name}" in done.output
    assert carnet("log", "verify", "back.zip", "--key", keys[0]).exit_code == 5
    assert carnet("log", "audit", "--data", "back").exit_code == 0
    new = checkpoint.verifier_key(said["key"])
    with serving(app(memory, [KEY], known([*keys, new], [KEY]))) as url:
        assert isinstance(witnessed(other, url), Cosigned)
        assert isinstance(witnessed(house, url), Cosigned)


def test_a_log_that_was_put_back_by_hand_is_found_by_its_witness(house, carnet, tmp_path, memory):
    keys = list(Keyring.open(house.data).verifiers("log"))
    shutil.copytree(house.data, tmp_path / "before")
    with house.open() as node:
        house.record(node, OPUS, id="lost")
    with serving(app(memory, [KEY], known(keys, [KEY]))) as url:
        assert isinstance(witnessed(house, url), Cosigned)
        old = House(tmp_path / "before")
        answer = witnessed(old, url)
    assert isinstance(answer, Ahead)
    carnet("log", "prove", house.made[0].id, "--data", house.data, "--out", "late.tlog-proof")
    done = carnet("log", "audit", "--data", tmp_path / "before", "--older", "late.tlog-proof")
    assert done.exit_code == 5
    assert "the log has 10 records and had 11" in done.output


def test_a_fork_is_put_back_and_takes_nothing(house, carnet, tmp_path, memory):
    keys = list(Keyring.open(house.data).verifiers("log"))
    shutil.copytree(house.data, tmp_path / "fork")
    for data, name in ((house.data, "here"), (tmp_path / "fork", "there")):
        other = House(data)
        other.hands = house.hands
        with other.open() as node:
            other.record(node, OPUS, id=name)
            other.record(node, OPUS, id=name)
    with serving(app(memory, [KEY], known(keys, [KEY]))) as url:
        assert isinstance(witnessed(House(tmp_path / "fork"), url), Cosigned)
        backup(carnet, house, "copy", "--with-keys")
        done = restore(carnet, "--witnesses", listed(tmp_path, url))
    assert "that are not the log's" in done.output
    with pytest.raises(Damaged, match="has others than the `12` records"):
        House(tmp_path / "back").open()


def test_a_witness_that_can_not_be_asked_keeps_the_backup_from_its_place(house, carnet, tmp_path, memory):
    with serving(app(memory, [KEY], known(list(Keyring.open(house.data).verifiers("log")), [KEY]))) as url:
        pass
    backup(carnet, house, "copy", "--with-keys")
    done = restore(carnet, "--witnesses", listed(tmp_path, url), code=1)
    assert "nobody says what they have seen" in done.output
    assert not (tmp_path / "back").exists()
    restore(carnet, code=2)


def test_the_witnesses_of_the_backup_are_asked_if_nobody_says_otherwise(house, carnet, tmp_path, memory):
    keys = list(Keyring.open(house.data).verifiers("log"))
    with serving(app(memory, [KEY], known(keys, [KEY]))) as url:
        shutil.copy(listed(tmp_path, url), house.data / "witnesses.toml")
        backup(carnet, house, "copy", "--with-keys")
        with house.open() as node:
            house.record(node, OPUS, id="lost")
        witnessed(house, url)
        assert "it is behind" in restore(carnet).output
        assert (tmp_path / "back" / "witnesses.toml").is_file()


def test_a_checkpoint_that_was_kept_says_so_too(house, carnet, tmp_path):
    backup(carnet, house, "copy", "--with-keys")
    carnet("log", "prove", house.made[0].id, "--data", house.data, "--out", "early.tlog-proof")
    with house.open() as node:
        house.record(node, OPUS, id="lost")
    carnet("log", "export", "--data", house.data, "--out", "late.zip")
    assert "behind" not in restore(carnet, "--older", "early.tlog-proof", to="early").output
    done = restore(carnet, "--older", "late.zip")
    assert "a checkpoint of `11` records was kept" in done.output
    with pytest.raises(Damaged):
        House(tmp_path / "back").open()
    stranger = House(tmp_path / "stranger")
    stranger.fill(1)
    carnet("log", "export", "--data", stranger.data, "--out", "strange.zip")
    done = restore(carnet, "--older", "strange.zip", to="x", code=1)
    assert "no checkpoint given is of this log" in done.output


def test_an_older_checkpoint_of_the_name_before_is_compared_after_a_continuation(house, carnet, tmp_path):
    backup(carnet, house, "copy", "--with-keys")
    carnet("log", "prove", house.made[0].id, "--data", house.data, "--out", "early.tlog-proof")
    with house.open() as node:
        house.record(node, OPUS, id="lost")
    carnet("log", "prove", house.made[0].id, "--data", house.data, "--out", "late.tlog-proof")
    restore(carnet, "--older", "late.tlog-proof")
    assert carnet("log", "continue", "--as", "carnet.example/2", "--data", "back").exit_code == 0
    assert carnet("log", "audit", "--data", "back", "--older", "early.tlog-proof").exit_code == 0
    done = carnet("log", "audit", "--data", "back", "--older", "late.tlog-proof")
    assert done.exit_code == 5
    assert "the others were lost when it was put back" in done.output
    for name in ("carnet.example/2", Keyring.open(house.data).name, "two words", ""):
        assert carnet("log", "continue", "--as", name, "--data", "back").exit_code == 2
