"""A shred run: proposed, approved by two people with keys of their own, recorded, done everywhere; and what
is left of it."""

import datetime as dt
import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.faults.counts import counted
from tests.log.conftest import OPUS, House
from tests.log.people import GONE, LONG_AGO, PASSPHRASE, People, kept_keys, over, propose
from tests.log.test_outside import key_of
from tests.records.traces import found

from carnet.ledger import note
from carnet.model import leaf as leaves
from carnet.model.errors import Absent
from carnet.model.leaf import Shredded
from carnet.service.node import Node
from carnet.store.origins import opened_vault, seen, terms_of
from carnet.store.vault import Vault


def unwrapped(file, wrapping, whose, id_):
    """The keys that can be had from a file and the wrapping key by trying every place in it."""
    data, tried = file.read_bytes(), AESGCM(wrapping)
    bound = b"carnet subject key 1\n" + bytes.fromhex(id_) + "\n".join(whose).encode()
    for at in range(len(data) - 59):
        with suppress(InvalidTag):
            yield tried.decrypt(data[at : at + 12], data[at + 12 : at + 60], bound)


def test_after_a_shred_nothing_is_left_though_the_test_kept_the_keys(old, people, carnet, tmp_path):
    assert carnet("backup", "--to", "b1", "--data", old.data, "--with-keys").exit_code == 0
    assert carnet("backup", "--to", "b2", "--data", old.data).exit_code == 0
    wrapping, keys = kept_keys(old)
    due = over(old)
    assert len(due) == 2
    with seen(old.data) as now:
        sealed = {index: now.reading.record(index).sealed for index in range(now.reading.size)}
        terms = {index: terms_of(now.reading, index) for index in sealed}
    for whose in due:
        wrapped = keys[whose][1]
        assert set(found(tmp_path, wrapped)) == {"vault.db"}
        assert len([file for file in tmp_path.rglob("vault.db") if wrapped in file.read_bytes()]) == 3

    proposal, approvals = propose(carnet, old), []
    for name in ("one", "two"):
        signed = people.typed("records", "approve", "p.json", "--key", f"{name}.key", "--out", f"{name}.json")
        assert signed.exit_code == 0, signed.output
        approvals += ["--approval", f"{name}.json"]
    done = carnet("records", "shred", proposal["id"], *approvals, "--data", old.data)
    assert done.exit_code == 0, done.output
    assert "destroyed 2 keys, and the private parts of 4 records; looked in 2 backups" in done.output

    secrets = [secret for whose in due for secret in keys[whose][:2]]
    assert found(tmp_path, *secrets) == []
    parts = [sealed[index][21:] for index in range(4)]
    assert found(old.data, *parts) == []
    for file in tmp_path.rglob("vault.db"):
        for whose in due:
            assert list(unwrapped(file, wrapping, whose, keys[whose][2])) == []
        with Vault.open(file, wrapping) as vault:
            assert {(each.subject, each.retention) for each in vault.entries() if each.shredded} == due
    with seen(old.data) as now, opened_vault(old.data, now.keyring) as vault:
        for index in range(4):
            record = now.reading.record(index)
            assert (record.sealed, terms_of(now.reading, index)) == (None, frozenset())
            assert terms[index]
            with pytest.raises(Absent):
                vault.opened(record.subject, record.retention, record.id, sealed[index])
        kept = now.reading.record(4)
        assert vault.opened(kept.subject, kept.retention, kept.id, kept.sealed)
    counted("a shred, with two backups", keys=len(due), copies=3, found=0)
    raw = (old.data / "log.db").read_bytes()
    assert not any(term in raw for index in range(4) for term in terms[index] - terms[4])


def test_what_is_left_verifies_replays_on_class_facts_and_says_so(old, people, carnet):
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "three") for arg in ("--approval", people.approve(name))]
    assert carnet("records", "shred", proposal["id"], *approvals, "--data", old.data).exit_code == 0
    done = carnet("log", "audit", "--data", old.data)
    assert done.exit_code == 0, done.output
    assert "1 as committed, 4 destroyed on record" in done.output
    carnet("log", "export", "--data", old.data, "--out", "after.zip", "--with-private")
    done = carnet("log", "verify", "after.zip", "--key", key_of(old))
    assert "1 as committed, 4 destroyed on record, 0 left out" in done.output
    carnet("log", "export", "--data", old.data, "--out", "part.zip", "--with-private", "--to", 5)
    done = carnet("log", "verify", "part.zip", "--key", key_of(old))
    assert "0 destroyed on record, 4 left out" in done.output
    said = json.loads(carnet("log", "replay", "after.zip", "--json").output)["replay"]
    assert (said["alike"], said["on_class_facts"], said["differing"], said["other"]) == (1, 4, 0, 2)
    assert "4 on class facts only" in carnet("log", "replay", "after.zip").output


def test_the_record_says_who_ordered_it_and_can_be_checked(old, people, carnet):
    proposal = propose(carnet, old)
    approvals = [arg for name in ("two", "three") for arg in ("--approval", people.approve(name))]
    carnet("records", "shred", proposal["id"], *approvals, "--data", old.data)
    with seen(old.data) as now:
        found_ = [leaves.read(leaf) for leaf in now.reading.leaves(0, now.reading.size)]
        approvers = {key.key_id.hex(): key for key in now.keyring.verifiers("approver")}
    orders = [leaf for leaf in found_ if isinstance(leaf, Shredded)]
    assert [leaf.order.text for leaf in orders] == proposal["texts"]
    for leaf in orders:
        names = {approvers[each.key].name for each in leaf.approvals}
        assert names == {"two.example", "three.example"}
        assert all(
            approvers[each.key].verify(leaf.order.text, note.decoded(each.signature))
            for each in leaf.approvals
        )


def untouched(old, before):
    with seen(old.data) as now, opened_vault(old.data, now.keyring) as vault:
        return now.reading.size == before and not any(each.shredded for each in vault.entries())


def test_one_person_is_not_enough_and_who_chose_can_not_approve(old, people, carnet):
    proposal = propose(carnet, old)
    one = people.approve("one")
    done = carnet("records", "shred", proposal["id"], "--approval", one, "--data", old.data)
    assert done.exit_code == 5
    assert "1 of 2 approvals" in done.output
    again = people.approve("one")
    carnet("records", "shred", proposal["id"], "--approval", again, "--data", old.data)
    assert untouched(old, 5)

    refused = carnet("records", "propose", "--subject", GONE[0], "--out", "q.json", "--data", old.data)
    assert refused.exit_code == 2
    asked = ("--subject", GONE[0], "--key", "one.key", "--out", "q.json", "--data", old.data, "--json")
    done = people.typed("records", "propose", *asked)
    (chosen,) = json.loads(done.output)["proposals"]
    assert len(chosen["texts"]) == 1
    mine, two = people.approve("one", "q.json"), people.approve("two", "q.json")
    done = carnet("records", "shred", chosen["id"], "--approval", two, "--approval", mine, "--data", old.data)
    assert done.exit_code == 5
    assert "who asked can't approve" in done.output
    assert untouched(old, 5)
    three = people.approve("three", "q.json")
    done = carnet("records", "shred", chosen["id"], "--approval", three, "--data", old.data)
    assert done.exit_code == 0, done.output
    assert "destroyed 1 key," in done.output


def test_a_dry_run_changes_nothing(old, people, carnet):
    proposal = propose(carnet, old)
    before = {path: path.read_bytes() for path in old.data.glob("*.db")}
    done = carnet("records", "shred", proposal["id"], "--dry-run", "--data", old.data)
    assert done.exit_code == 0
    assert done.output.count("2 records: would be destroyed") == 2
    assert {path: path.read_bytes() for path in old.data.glob("*.db")} == before


def test_a_hold_that_came_after_the_approvals_keeps_what_it_covers(old, people, carnet, tmp_path):
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    (tmp_path / "letter").write_bytes(b"keep")
    asked = ("--manner", "informal", "--request", "letter", "--data", old.data)
    assert carnet("records", "hold", "--subject", GONE[0], *asked).exit_code == 0
    done = carnet("records", "shred", proposal["id"], *approvals, "--data", old.data)
    assert done.exit_code == 0, done.output
    assert "destroyed 1 key," in done.output
    assert "is held: it stays" in done.output


def test_a_backup_that_was_moved_stops_the_run_until_somebody_says_it_is_gone(old, people, carnet, tmp_path):
    assert carnet("backup", "--to", "b1", "--data", old.data).exit_code == 0
    assert carnet("backup", "--to", "b2", "--data", old.data).exit_code == 0
    shutil.move(tmp_path / "b1", tmp_path / "elsewhere")
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    done = carnet("records", "shred", proposal["id"], *approvals, "--data", old.data)
    assert done.exit_code == 1
    assert "b1` is not there: bring it back" in done.output
    assert untouched(old, 5)
    listed = carnet("backup", "list", "--data", old.data)
    assert (listed.exit_code, "not where it was" in listed.output) == (1, True)
    assert carnet("backup", "gone", "b2", "--data", old.data).exit_code == 1
    assert carnet("backup", "gone", "nowhere", "--data", old.data).exit_code == 2
    assert carnet("backup", "gone", "b1", "--data", old.data).exit_code == 0
    done = carnet("backup", "destroy", "b2", "--data", old.data)
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "b2").exists()
    assert carnet("backup", "list", "--data", old.data).output == ""
    done = carnet("records", "shred", proposal["id"], "--data", old.data)
    assert done.exit_code == 0, done.output
    assert "looked in 0 backups" in done.output


def test_a_proposal_that_says_something_else_is_not_signed(old, people, carnet, tmp_path):
    proposal = propose(carnet, old)
    for change in (
        {"kind": "other"},
        {"texts": ["carnet key rotation\nlog\n"]},
        {"texts": [proposal["texts"][0] + "and more\n"]},
        {"texts": [proposal["texts"][0].replace("retention ear", "retention all")]},
    ):
        (tmp_path / "q.json").write_text(json.dumps(proposal | change))
        done = people.typed("records", "approve", "q.json", "--key", "one.key", "--out", "a.json")
        assert done.exit_code == 1
        assert "don't sign it" in done.output
        assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("days", [-1, 100, 3650])
def test_who_approves_by_a_clock_that_says_another_time_is_told(old, people, carnet, tmp_path, days):
    """A node whose clock is years ahead finds everything over; whoever approves has another clock."""
    proposal = propose(carnet, old)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    (tmp_path / "q.json").write_text(json.dumps(proposal | {"until": until.strftime("%Y-%m-%dT%H:%M:%SZ")}))
    done = people.typed("records", "approve", "q.json", "--key", "one.key", "--out", "a.json")
    assert done.exit_code == 2
    assert "clocks is wrong, or it is over" in done.output


def test_each_node_has_a_proposal_of_its_own(tmp_path, carnet, made_keys):
    house = House(tmp_path / "house")
    house.hands.at = LONG_AGO
    for number in (1, 2):
        with Node(house.data, house.rulebook, house.policy, house.hands.clock(), number=number) as node:
            house.record(node, OPUS, id=GONE[0])
    people = People(tmp_path, house.data, carnet, made_keys)
    done = carnet("records", "propose", "--out", "p.json", "--data", house.data, "--json")
    ids = [each["id"] for each in json.loads(done.output)["proposals"]]
    assert len(ids) == 2
    for id_, file, data in ((ids[0], "p.json", house.data), (ids[1], "p.json.2", house.data / "nodes" / "2")):
        args = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name, file))]
        done = carnet("records", "shred", id_, *args, "--data", data)
        assert done.exit_code == 0, done.output
        assert "destroyed 1 key, and the private parts of 1 record" in done.output
    said = json.loads(carnet("log", "audit", "--data", house.data, "--json").output)["logs"]
    assert [(each["destroyed"], each["findings"]) for each in said] == [(1, []), (1, [])]
    assert not (house.data / "nodes" / "2" / "desk.db").exists()


def test_an_audit_finds_a_key_that_went_without_an_order(old, carnet):
    with seen(old.data) as now, opened_vault(old.data, now.keyring) as vault:
        entry = vault.entries()[0]
        vault._connection.execute(
            "UPDATE keys SET shredded = 1, wrapped = zeroblob(60) WHERE id = ?", (bytes.fromhex(entry.key),)
        )
    done = carnet("log", "audit", "--data", old.data)
    assert done.exit_code == 5
    assert "is gone and no record orders it" in done.output


def test_no_name_and_no_secret_is_printed(old, people, carnet):
    said = []
    proposal = carnet("records", "propose", "--out", "p.json", "--data", old.data)
    said.append(proposal.output)
    id_ = json.loads(Path("p.json").read_text())["id"]
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    said += [
        carnet("records", "shred", id_, "--dry-run", "--data", old.data).output,
        carnet("records", "proposals", "--data", old.data).output,
        carnet("records", "shred", id_, *approvals, "--data", old.data).output,
        carnet("records", "due", "--data", old.data).output,
        carnet("log", "audit", "--data", old.data).output,
    ]
    whole = "\n".join(said)
    for word in (*GONE, "kim.example", "citizen", PASSPHRASE):
        assert word not in whole
