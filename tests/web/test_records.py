"""What is on record, over HTTP: found, read, explained, proved; and the log as others check it."""

import datetime as dt
import shutil

import msgspec
import pytest
from tests.records.makers import APPROVERS, both
from tests.web.conftest import FABLE, OPUS, inquiry, problem, serving

from carnet.engine.decide import decide
from carnet.engine.explain import explain
from carnet.ledger import checkpoint, note, proof, tiles, tree
from carnet.model.retention import Standing
from carnet.model.transaction import Party, Transaction
from carnet.policy.enforcement import load_policy
from carnet.store.shelves import load_rulebook
from carnet.web import recalling

PATH = "/v1/determinations"


def recorded(service, tenant="a", **recipient):
    """A new record: its id."""
    return service.post(PATH, inquiry(**recipient), "decide", tenant=tenant).json()["id"]


def test_a_record_is_read_as_it_is_in_the_tree(service):
    id_ = recorded(service, id="p1", us_status="citizen")
    answer = service.get(f"/v1/records/{id_}", "read")
    document = answer.json()
    with service.node.log.reading() as reading:
        leaf = reading.record(document["index"]).leaf
    assert (document["id"], document["node"]) == (id_, 0)
    assert leaf in answer.content, "byte for byte"
    assert b"citizen" not in answer.content
    assert b"p1" not in leaf


def test_records_are_found_by_party_country_and_document(service):
    one = recorded(service, id="p2")
    two = recorded(service, id="p3", location="CA")
    licensed = {**inquiry(id="p4")}
    licensed["transaction"]["licenses"] = ["D1234567"]
    three = service.post(PATH, licensed, "decide").json()["id"]

    def found(query):
        return [each["id"] for each in service.get(f"/v1/records?{query}", "read").json()["records"]]

    assert found("party=p2") == [one]
    assert found("party=p3&country=CA") == [two]
    assert found("party=p2&country=CA") == []
    assert found("document=D1234567") == [three]
    assert found("document=p4") == []


def test_pages_go_through_all_records_and_each_once(service):
    made = [recorded(service, id="paged") for _ in range(7)]
    seen, query = [], "party=paged&limit=3"
    for _ in range(4):
        page = service.get(f"/v1/records?{query}", "read").json()
        assert len(page["records"]) <= 3
        seen += [each["id"] for each in page["records"]]
        if page["next"] is None:
            break
        query = f"party=paged&limit=3&after={page['next']}"
    assert seen == made
    assert page["next"] is None


def test_a_record_is_explained_as_its_transaction_would_be(service):
    asked = inquiry(id="p5", us_status="none", nationalities=["FR"])
    found = service.post(PATH, asked, "decide").json()
    known = dt.datetime.fromisoformat(found["determination"]["known"])
    said = service.get(f"/v1/records/{found['id']}/explanation", "read").json()
    determination = decide(
        msgspec.convert(asked["transaction"], Transaction),
        service.node.determiner.law.rulebook,
        known=known,
    ).determination
    assert (said["basis"], said["missing"]) == ("private_part", None)
    assert said["text"] == explain(determination, service.node.determiner.law.rulebook)
    assert said["explanation"]["headline"] == "License required"
    assert said["explanation"]["advice"] == "Not legal advice."


def test_after_a_shred_a_record_is_explained_by_its_leaf(tmp_path):
    with serving(tmp_path / "data") as service:
        id_ = recorded(service, id="p6", us_status="none", nationalities=["FR"])
        before = service.get(f"/v1/records/{id_}/explanation", "read").json()
        with service.node.log.reading() as reading:
            record = reading.of_id("a", id_)
        destroyed(service.node.vault, record.subject)
        said = service.get(f"/v1/records/{id_}/explanation", "read").json()
        assert (said["basis"], said["missing"]) == ("leaf", "destroyed")
        assert said["explanation"]["headline"] == before["explanation"]["headline"]
        assert "FR" not in said["text"]
        assert "us.directive.2026-06-12" in said["text"]
        assert "Not legal advice." in said["text"]
        assert service.node.log.forget([record.index]) == 1
        assert service.get(f"/v1/records/{id_}/explanation", "read").json() == said
        assert service.get(f"/v1/records/{id_}", "read").status_code == 200
        proved = proof.parsed(service.get(f"/v1/records/{id_}/proof", "read").content)
        assert proved.index == record.index


def destroyed(vault, subject):
    """Destroy a subject's keys, as two people have to."""
    for order in vault.planned([(subject, "ear"), (subject, "ofac")]):
        vault.shred(order, both(order), APPROVERS, standing=Standing("over"))


def test_a_record_of_an_older_policy_is_explained_under_the_law_that_was_kept(tmp_path):
    with serving(tmp_path / "data") as service:
        law = service.node.determiner.law
        strict = load_policy('format = 1\nname = "other"\n[choices]\nstale_after_days = 1\n', file="o.toml")
        service.node.enter(law.rulebook, strict)
        id_ = recorded(service, id="p7", us_status="citizen")
        during = service.get(f"/v1/records/{id_}/explanation", "read").json()
        service.node.enter(law.rulebook, law.policy)
        after = service.get(f"/v1/records/{id_}/explanation", "read").json()
        assert during == after
        assert after["basis"] == "private_part"
        assert after["explanation"]["headline"] == "Facts are missing", "by then every provision was stale"


LETTER = """\
+++
format = 1
title = "An invented letter"
source = "Invented"
dated = 2026-06-01
verified = 2026-06-01
+++

An invented letter.

```toml prohibition
id = "us.letter.x"
cite = "letter"
gate = "own"
from = 2026-06-01
when = "item.provider == 'anthropic'"
```
"""


def test_a_record_of_an_older_rulebook_is_explained_by_it(tmp_path):
    letter = tmp_path / "law" / "us" / "letters" / "x.md"
    letter.parent.mkdir(parents=True)
    letter.write_text(LETTER)
    with serving(tmp_path / "data") as service:
        law = service.node.determiner.law
        service.node.enter(load_rulebook(tmp_path / "law"), law.policy)
        id_ = recorded(service, id="p7", us_status="citizen")
        service.node.enter(law.rulebook, law.policy)
        said = service.get(f"/v1/records/{id_}/explanation", "read").json()
        assert said["basis"] == "private_part"
        assert "us.letter.x" in said["text"]


def test_a_record_of_a_law_that_is_not_kept_is_explained_by_its_leaf(tmp_path):
    with serving(tmp_path / "data") as service:
        law = service.node.determiner.law
        other = msgspec.structs.replace(law.policy, name="other")
        id_ = recorded(service, id="p8", us_status="citizen")
        service.node.enter(law.rulebook, other)
        shutil.rmtree(tmp_path / "data" / "laws" / "policies")
        said = service.get(f"/v1/records/{id_}/explanation", "read").json()
        assert (said["basis"], said["missing"]) == ("leaf", "law")


def test_a_record_that_is_decided_otherwise_now_is_told_to_the_operator(service, monkeypatch, caplog):
    id_ = recorded(service, id="p11", us_status="none", nationalities=["FR"])

    def changed(transaction, rulebook, **given):
        return decide(msgspec.structs.replace(transaction, recipient=Party()), rulebook, **given)

    monkeypatch.setattr(recalling, "decide", changed)
    answer = service.get(f"/v1/records/{id_}/explanation", "read")
    problem(answer, "carnet_unavailable", 503)
    assert f"record `{id_}` is decided otherwise now: run an audit" in caplog.text
    assert "FR" not in answer.text


def test_what_is_no_determination_has_no_explanation(tmp_path):
    with serving(tmp_path / "data") as service:
        service.post("/v1/revocations", {"item": FABLE}, "administer")
        (record,) = service.get("/v1/records", "read").json()["records"]
        assert record["leaf"]["kind"] == "revoked"
        problem(service.get(f"/v1/records/{record['id']}/explanation", "read"), "not_found", 404)


def test_a_proof_is_checked_with_nothing_but_the_public_key(service):
    id_ = recorded(service, id="p9", product=OPUS)
    answer = service.get(f"/v1/records/{id_}/proof", "read")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    (log,) = service.get("/v1/nodes", "read").json()["nodes"]
    keys = [note.verifier_key(each) for each in log["keys"]]
    found = proof.parsed(answer.content)
    opened = proof.verify(found, log["origin"], keys)
    assert opened.checkpoint.size > found.index == int(answer.headers["carnet-index"])
    assert msgspec.json.decode(found.extra)["id"] == id_


def test_the_tiles_make_the_root_that_the_checkpoint_signs(service):
    for number in range(3):
        recorded(service, id=f"tiled{number}")
    signed = service.get("/v1/checkpoint", "read").content
    (log,) = service.get("/v1/nodes", "read").json()["nodes"]
    keys = [note.verifier_key(each) for each in log["keys"]]
    about = checkpoint.opened(signed, log["origin"], keys).checkpoint

    def fetch(path):
        answer = service.get(f"/v1/{path}", "read")
        return answer.content if answer.status_code == 200 else None

    assert tree.tree_at(tiles.TileNodes(fetch, about.size), about.size).root == about.root
    assert service.get("/v1/nodes/0/checkpoint", "read").status_code == 200
    path = tiles.Tile(0, 0, about.size).path
    assert service.get(f"/v1/nodes/0/{path}", "read").content == fetch(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/tile/0/000",
        "/v1/tile/0/999.p/1",
        "/v1/tile/x/000",
        "/v1/tile/0/0",
        "/v1/tile/../0/000",
        "/v1/nodes/7/checkpoint",
        "/v1/nodes/x/tile/0/000",
        "/v1/tile/entries/000.p/1",
        "/v1/nodes/0/tile/entries/000.p/1",
    ],
)
def test_a_tile_that_is_not_there_or_holds_records_of_others_is_not_found(service, path):
    recorded(service, id="p10")
    problem(service.get(path, "read"), "not_found", 404)


@pytest.mark.parametrize("id_", ["nope", "%00", "d_%F0%9F%98%80", "%ff", "a%2Fb", "x" * 2_000])
def test_an_id_that_is_none_is_not_found(service, id_):
    problem(service.get(f"/v1/records/{id_}", "read"), "not_found", 404)
