"""What those see who watch a node: there, ready, figures without anybody in them; what a witness stops."""

import contextlib
import statistics
import time

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.web.conftest import OPUS, Hands, inquiry, listening, problem, transaction

from carnet.ledger.witness import SIZE_TYPE
from carnet.model.errors import Damaged
from carnet.service.node import Node
from carnet.store.exchange import Reply
from carnet.store.policies import default_policy

WITNESS = "witness.example/w1+60863310+BDOep39CWsyK5uvSLa/heFr3XkKhTac0Z/MMVBDwpEwb"
PATH = "/v1/determinations"


def figures(service):
    """Every figure by its name and labels."""
    text = httpx.get(f"{service.url}/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(service, name, **labels):
    found = figures(service)
    return found.get((name, frozenset({**labels, "node": "0"}.items())), 0.0)


def test_it_is_there_and_ready_for_whoever_asks(service):
    for path in ("/healthz", "/readyz"):
        answer = httpx.get(service.url + path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert httpx.head(service.url + path).status_code == 200


def test_an_answer_leaves_in_one_piece_and_waits_for_nobody(service):
    took = []
    with service.client("decide") as client:
        for _ in range(40):
            started = time.perf_counter()
            client.post(PATH, json={})
            took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.035, "40 ms are what the other side waits before it says that it heard"


def test_a_log_that_takes_nothing_is_not_ready_and_says_no_path(tmp_path, rulebook):
    with Node(tmp_path / "data", rulebook, default_policy()) as node, listening(node) as service:
        node.log.stop("a witness knows more")
        said = problem(httpx.get(f"{service.url}/readyz"), "carnet_unavailable", 503)
        assert said["detail"] == "node 0: the log takes no records"
        assert httpx.get(f"{service.url}/healthz").status_code == 200
        assert figure(service, "carnet_log_trouble") == 1.0


def test_a_vault_that_is_gone_is_not_ready(tmp_path, rulebook):
    with Node(tmp_path / "data", rulebook, default_policy()) as node, listening(node) as service:
        (tmp_path / "data" / "vault.db").write_bytes(b"no vault" * 1_000)
        said = problem(httpx.get(f"{service.url}/readyz"), "carnet_unavailable", 503)
        assert said["detail"] == "node 0: the vault can't be read"
        answer = service.post(PATH, inquiry(id="new"), "decide")
        problem(answer, "carnet_unavailable", 503)
        assert service.size() == 0


def test_what_is_determined_is_counted_by_outcome_and_action(service):
    labels = {"outcome": "needs_facts", "action": "ask", "controlled": "true"}
    before = figure(service, "carnet_determinations_total", **labels)
    for _ in range(3):
        service.post(PATH, inquiry(id="zoe.example"), "decide")
    assert figure(service, "carnet_determinations_total", **labels) == before + 3
    assert figure(service, "carnet_log_records") == service.size()
    assert figure(service, "carnet_epoch") == 1.0
    assert figure(service, "carnet_request_seconds_count", endpoint="determine", status="200") >= 3


def test_problems_are_counted_by_their_type(service):
    before = figure(service, "carnet_problems_total", type="malformed")
    service.post(PATH, {}, "decide")
    assert figure(service, "carnet_problems_total", type="malformed") == before + 1


def test_nobody_and_nothing_of_a_tenant_is_in_the_figures(service):
    service.post(PATH, inquiry(id="zoe.example", us_status="citizen"), "decide", tenant="acme-corporation")
    text = httpx.get(f"{service.url}/metrics").text
    for word in ("zoe", "acme", "citizen", "fable", "US"):
        assert word not in text


def test_the_types_that_are_not_there_have_no_page(service):
    problem(httpx.get(f"{service.url}/problems/nothing"), "not_found", 404)


LIST = f"""
need = 1
within_seconds = 1
alarm_seconds = 1
stop_seconds = 1

[[witness]]
key = "{WITNESS}"
url = "http://127.0.0.1:9"
"""
"""A witness whom nobody can reach, and a log that is not to serve without it."""


@contextlib.contextmanager
def june(data, rulebook, **more):
    """A service in June, when the model was controlled."""
    hands = Hands()
    with Node(data, rulebook, default_policy(), hands.clock(), **more) as node, listening(node) as service:
        yield service, hands.at.isoformat()


def test_a_log_without_its_witness_serves_no_controlled_item(tmp_path, rulebook):
    with june(tmp_path / "data", rulebook) as (service, at):
        citizen = {"transaction": transaction(at=at, us_status="citizen")}
        free = {"transaction": transaction(at=at, product=OPUS)}
        assert service.post(PATH, citizen, "decide").json()["action"] == "serve"
        assert figure(service, "carnet_witness_trouble") == 0.0
    (tmp_path / "data" / "witnesses.toml").write_text(LIST)
    with june(tmp_path / "data", rulebook) as (service, _):
        before = service.size()
        said = problem(service.post(PATH, citizen, "decide"), "carnet_unavailable", 503)
        assert "CFR" not in said["detail"]
        assert service.size() == before
        assert service.post(PATH, free, "decide").json()["action"] == "serve"
        assert service.post(PATH, inquiry(us_status="citizen"), "decide").status_code == 200
        said = problem(httpx.get(f"{service.url}/readyz"), "carnet_unavailable", 503)
        assert said["detail"] == "node 0: the log was not witnessed for too long"
        assert figure(service, "carnet_witness_trouble") == 1.0


def test_a_log_that_a_witness_contradicts_takes_nothing_and_is_read(tmp_path, rulebook, caplog):
    with june(tmp_path / "data", rulebook) as (service, _):
        id_ = service.post(PATH, inquiry(product=OPUS), "decide").json()["id"]
    (tmp_path / "data" / "witnesses.toml").write_text(LIST)

    def ask(method, url, body=None):
        found = (404, "text/plain", b"") if method == "GET" else (409, SIZE_TYPE, b"99\n")
        return Reply(*found)

    with june(tmp_path / "data", rulebook, ask=ask) as (service, _):
        before = service.size()
        problem(service.post(PATH, inquiry(product=OPUS), "decide"), "carnet_unavailable", 503)
        problem(service.post("/v1/revocations", {"item": OPUS}, "administer"), "carnet_unavailable", 503)
        assert service.size() == before
        assert "continue it under a new origin" in caplog.text
        said = problem(httpx.get(f"{service.url}/readyz"), "carnet_unavailable", 503)
        assert "a witness contradicts the log, it had more: continue it under a new origin" in said["detail"]
        assert service.get(f"/v1/records/{id_}", "read").status_code == 200


def test_a_log_that_is_damaged_is_inability_and_is_written_down(service, monkeypatch, caplog):
    def damaged(tenant, id_):
        raise Damaged("record `3` is not stored as it was: run an audit")

    from carnet.service.archives import Archives

    monkeypatch.setattr(Archives, "of_id", lambda self, tenant, id_: damaged(tenant, id_))
    answer = service.get("/v1/records/d_1", "read")
    problem(answer, "carnet_unavailable", 503)
    assert "audit" not in answer.text
    assert [each.getMessage() for each in caplog.records if each.name == "carnet.web"] == [
        "record `3` is not stored as it was: run an audit"
    ]
