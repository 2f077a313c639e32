"""Two tenants of one service: neither learns that the other has anything."""

import statistics
import time

import pytest
from tests.web.conftest import FABLE, inquiry, problem, serving, transaction

from carnet.service.request import Request

NOTHING = "d_" + "0" * 32


@pytest.fixture(scope="module")
def theirs(service):
    """The id of a record of tenant A."""
    return service.post("/v1/determinations", inquiry(id="zoe", us_status="citizen"), "decide").json()["id"]


@pytest.mark.parametrize("path", ["/v1/records/{}", "/v1/records/{}/explanation", "/v1/records/{}/proof"])
def test_the_record_of_another_tenant_looks_like_none(service, theirs, path):
    assert service.get(path.format(theirs), "read", tenant="a").status_code == 200
    other = service.get(path.format(theirs), "read", tenant="b")
    none = service.get(path.format(NOTHING), "read", tenant="b")
    problem(other, "not_found", 404)
    assert other.content == none.content
    ignored = {"date"}
    assert {k: v for k, v in other.headers.items() if k not in ignored} == {
        k: v for k, v in none.headers.items() if k not in ignored
    }


def test_it_takes_no_longer_to_refuse_what_is_another_tenants(service, theirs):
    took = {theirs: [], NOTHING: []}
    with service.client("read", tenant="b") as client:
        for number in range(400):
            id_ = (theirs, NOTHING)[number % 2]
            started = time.perf_counter()
            assert client.get(f"/v1/records/{id_}").status_code == 404
            took[id_].append(time.perf_counter() - started)
    one, other = (statistics.median(each) for each in took.values())
    assert abs(one - other) < 0.5 * min(one, other)


def test_a_search_finds_what_is_ones_own(service, theirs):
    query = "/v1/records?party=zoe&country=US"
    assert [each["id"] for each in service.get(query, "read", tenant="a").json()["records"]] == [theirs]
    assert service.get(query, "read", tenant="b").json() == {"records": [], "next": None}
    assert service.get("/v1/records", "read", tenant="b").json()["records"] == []


def test_the_facts_of_another_tenants_subject_are_not_there_and_do_not_count(service):
    facts = {"source": "hr", "assurance": "S3", "facts": {"us_status": "citizen"}}
    assert service.post("/v1/subjects/eve/facts", facts, "administer", tenant="a").status_code == 200
    assert service.get("/v1/subjects/eve", "read", tenant="a").status_code == 200
    other = service.get("/v1/subjects/eve", "read", tenant="b")
    assert other.content == service.get("/v1/subjects/nobody", "read", tenant="b").content
    problem(other, "not_found", 404)
    asked = inquiry(id="eve")
    outcomes = [
        service.post("/v1/determinations", asked, "decide", tenant=tenant).json()["determination"]["asked"]
        for tenant in ("a", "b")
    ]
    assert outcomes == [[], ["recipient.us_status"]]


def test_a_revocation_ends_nothing_of_another_tenant(tmp_path, hands):
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        asked = {"transaction": transaction(at=hands.at.isoformat(), id="zoe", us_status="citizen")}
        granted = service.post("/v1/determinations", asked, "decide", tenant="a").json()["grant"]
        assert granted
        for what in ({"subject": "zoe"}, {"item": FABLE}):
            answer = service.post("/v1/revocations", what, "administer", tenant="b")
            assert answer.json() == {"count": 0, "nodes": 1}
        import msgspec

        known = msgspec.convert(asked, Request)
        assert service.node.meeting.use("a", known).determined.id == granted
        answer = service.post("/v1/revocations", {"subject": "zoe"}, "administer", tenant="a")
        assert answer.json() == {"count": 1, "nodes": 1}
        assert service.node.meeting.use("a", known) is None
        kinds = [each["leaf"]["kind"] for each in service.get("/v1/records", "read").json()["records"]]
        assert kinds == ["determination", "revoked"]


def test_an_idempotency_key_is_each_tenants_own(service):
    asked = inquiry(us_status="citizen")
    key = {"Idempotency-Key": "shared"}
    answers = [
        service.post("/v1/determinations", asked, "decide", tenant=tenant, headers=key).json()["id"]
        for tenant in ("a", "b", "a", "b")
    ]
    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]


@pytest.mark.parametrize("what", [{}, {"subject": None, "item": None}])
def test_a_revocation_of_nothing_in_particular_is_refused(service, what):
    problem(service.post("/v1/revocations", what, "administer"), "unusable", 400)
