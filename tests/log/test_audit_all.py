"""An audit looks at everything that is kept: whoever can write the files and knows how rows are marked is
found out all the same."""

import json
import shutil

import apsw
import pytest
from tests.log.conftest import OPUS, House
from tests.log.test_outside import cosign
from tests.records.makers import both
from tests.witness.logs import KEY

from carnet.model.leaf import Order, Shredded
from carnet.service.retention import recorded, writing
from carnet.store.origins import opened_vault
from carnet.store.sqlite import rows


def audit(carnet, house, *more):
    done = carnet("log", "audit", "--data", house.data, "--json", *more)
    (report,) = json.loads(done.output.partition("\n}\n")[0] + "\n}")["logs"]
    return done.exit_code, report["findings"]


def rewritten(house, number, **columns):
    """A record's row with other columns and the mark that belongs to them, terms in the index too."""
    db = apsw.Connection(str(house.data / "log.db"))
    row = db.execute(f"SELECT {rows.RECORD} FROM records WHERE number = ?", (number,)).fetchone()
    names = rows.RECORD.split(", ")[:-1]
    values = dict(zip(names, row, strict=False)) | columns
    new = rows._marked("record", *values.values())
    sets = ", ".join(f"{name} = ?" for name in (*names[1:], "mark"))
    with db:
        db.execute(f"UPDATE records SET {sets} WHERE number = ?", (*new[1:], number))
        db.execute("DELETE FROM terms WHERE number = ?", (number,))
        for term in rows.terms(values["terms"]):
            db.execute("INSERT INTO terms VALUES (?, ?)", (term, number))
    db.close()
    return row


def test_a_whole_log_is_sound(house, carnet):
    assert audit(carnet, house) == (0, [])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"tenant": "other"}, "kept under another id or tenant"),
        ({"id": "d_other"}, "kept under another id or tenant"),
        ({"subject": "0" * 32}, "kept for another subject or class"),
        ({"retention": "ofac"}, "kept for another subject or class"),
        ({"sealed": None, "terms": b""}, "is gone and no record orders it"),
        ({"sealed": bytes(600)}, "not of a form that is known here"),
        ({"terms": bytes(16)}, "found by other terms"),
        ({"terms": b""}, "found by other terms"),
    ],
    ids=str,
)
def test_a_row_that_was_rewritten_with_its_mark_is_found(house, carnet, columns, said):
    rewritten(house, 3, **columns)
    code, findings = audit(carnet, house)
    assert code == 5
    assert any(said in each for each in findings), findings


def test_private_parts_that_were_exchanged_are_found(house, carnet):
    first = rewritten(house, 1)[5]
    rewritten(house, 1, sealed=rewritten(house, 5, sealed=first)[5])
    code, findings = audit(carnet, house)
    assert code == 5
    assert sum("was altered" in each for each in findings) == 2


def changed(name, old, new):
    def change(house):
        file = next(file for file in (house.data / "laws").rglob(name))
        data = file.read_bytes()
        assert old in data
        file.write_bytes(data.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("2026-06-12-fable-mythos.md", b"claude-fable-5", b"claude-fable-6"), "is another one now"),
        (changed("2026-06-12-fable-mythos.md", b"```toml", b"```toml nothing"), "can't be loaded any more"),
        (changed("policies/*.json", b'"name"', b'"nome"'), "is not what was kept"),
        (lambda house: next(house.data.glob("laws/policies/*")).unlink(), "is not kept here"),
    ],
    ids=["a rule", "a block", "a policy", "no policy"],
)
def test_a_law_that_is_not_what_was_enforced_is_found(house, carnet, change, said):
    change(house)
    code, findings = audit(carnet, house)
    assert code == 5
    assert any(said in each for each in findings), findings


def test_an_order_that_two_people_did_not_sign_is_found(house, carnet):
    with writing(house.data) as (keyring, log), opened_vault(house.data, keyring) as vault:
        entry = vault.entries()[0]
        order = Order(vault.id, entry.subject, entry.retention, entry.key)
        leaf = Shredded(
            id="s_forged",
            at="2026-06-13T14:00:00Z",
            boot=1,
            tenant="default",
            order=order,
            approvals=both(order),
        )
        recorded(log, leaf, "default")
    code, findings = audit(carnet, house)
    assert code == 5
    assert any("was not approved by two people" in each for each in findings)
    assert any("was ordered to be destroyed and is still there" in each for each in findings)
    done = carnet("records", "finish", "--data", house.data)
    assert done.exit_code == 5
    assert [each for each in audit(carnet, house)[1] if "still there" in each] != []


def test_an_audit_goes_on_while_a_node_records(house, carnet):
    with house.open() as node:
        for number in range(5):
            house.record(node, OPUS, id=f"s-{number}")
            assert audit(carnet, house) == (0, [])


def test_what_witnesses_cosigned_is_compared_too(house, carnet, tmp_path):
    shutil.copy(house.data / "log.db", tmp_path / "old.db")
    with house.open() as node:
        house.record(node, OPUS, id="later")
    cosign(house, KEY)
    witness = ("--witness", str(KEY.verifier))
    assert audit(carnet, house, *witness) == (0, [])
    shutil.copy(tmp_path / "old.db", house.data / "log.db")
    code, findings = audit(carnet, house)
    assert code == 5
    assert any("by the cosigned checkpoint and has `10` of them" in each for each in findings), findings
    cosigned = house.data / "cosigned"
    cosigned.write_bytes(cosigned.read_bytes().replace(b"\n11\n", b"\n10\n"))
    assert any("cosigned checkpoint does not hold" in each for each in audit(carnet, house)[1])


def test_another_logs_checkpoint_is_no_older_one(house, carnet, tmp_path):
    other = House(tmp_path / "other")
    made = other.fill(1)
    carnet("log", "prove", made[0].id, "--data", other.data, "--out", "o.tlog-proof")
    code, findings = audit(carnet, house, "--older", "o.tlog-proof")
    assert code == 5
    assert "a name that this log never had" in findings[0]


def test_what_an_audit_prints_names_nobody(house, carnet):
    rewritten(house, 3, sealed=None)
    rewritten(house, 1, tenant="other")
    done = carnet("log", "audit", "--data", house.data)
    for word in ("zoe", "bo.example", "cy.example", "citizen", "FR"):
        assert word not in done.output
