"""Determinations over HTTP: nothing is answered before its record is durable, and each of several gets its
own answer."""

import threading
import time

import msgspec
import pytest
from tests.web.conftest import PLENTY, inquiry, problem, serving, transaction, use

from carnet.model import leaf as leaves
from carnet.service.request import Determined, Request


def test_an_answer_has_its_record_and_says_where_it_is(service):
    answer = service.post("/v1/determinations", inquiry(us_status="citizen"), "decide")
    assert answer.status_code == 200
    found = msgspec.json.decode(answer.content, type=Determined)
    assert (found.action, found.controlled, found.grant) == ("serve", True, None)
    with service.node.log.reading() as reading:
        record = reading.record(int(answer.headers["Carnet-Index"]))
    assert answer.headers["Carnet-Node"] == "0"
    assert record.id == found.id
    assert leaves.read(record.leaf).determination == found.determination
    assert answer.headers["cache-control"] == "no-store"


def test_a_use_now_of_what_no_rule_names_is_served(service):
    answer = service.post("/v1/determinations", use(id="dee"), "decide").json()
    assert (answer["action"], answer["reason"]) == ("serve", "permitted")


def test_the_surface_and_the_tasks_that_are_done_are_heard(service):
    asked = {**inquiry(), "surface": "stream", "done": ["tsr-assurance"]}
    assert service.post("/v1/determinations", asked, "decide").json()["action"] == "cut"
    assert service.post("/v1/determinations", inquiry(), "decide").json()["action"] == "ask"


def test_nothing_is_served_when_nothing_can_be_recorded(tmp_path):
    with serving(tmp_path / "data") as service:
        before = service.size()
        service.node.log.stop("this is a test")
        for asked in (use(), inquiry(us_status="citizen")):
            answer = service.post("/v1/determinations", asked, "decide")
            said = problem(answer, "carnet_unavailable", 503)
            assert int(answer.headers["retry-after"]) > 0
            assert "this is a test" not in answer.text
            assert not {"CFR", "license", "law", "directive"} & set(said["detail"].split())
        assert service.size() == before


def test_a_record_that_is_not_durable_in_time_is_no_answer_and_no_record(tmp_path):
    settings = msgspec.structs.replace(PLENTY, deadline=0.5)
    with serving(tmp_path / "data", settings) as service:
        known = msgspec.convert(inquiry(), Request)
        service.node.determiner.determine("a", known).receipt.result(60)  # the slice is compiled from here on
        before = service.size()
        with service.node.log._turn:  # as a disk whose sync takes long
            answer = service.post("/v1/determinations", inquiry(us_status="citizen"), "decide")
            problem(answer, "carnet_unavailable", 503)
        service.node.log.append(_noticed(), 20)
        assert service.size() == before + 1


def _noticed():
    from carnet.store.protocols import Entry

    leaf = leaves.Noticed(id="n_1", at="2026-06-13T14:00:00Z", boot=1, what="test", figures={})
    return Entry(id="n_1", leaf=leaves.canonical(leaf), tenant="a")


def test_each_of_several_gets_its_own_answer_or_problem(service):
    wrong = {"purpose": "inquiry", "transaction": {**transaction(), "servedfrom": "US"}}
    late = {"transaction": transaction()}
    document = {"requests": [inquiry(us_status="citizen"), wrong, inquiry(), late]}
    before = service.size()
    answer = service.post("/v1/determinations/batch", document, "decide")
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [200, 400, 200, 400]
    assert [each["determined"]["action"] for each in results if "determined" in each] == ["serve", "ask"]
    assert [each["problem"]["type"] for each in results if "problem" in each] == [
        "/problems/malformed",
        "/problems/not_now",
    ]
    assert results[1]["problem"]["detail"].startswith("`requests[1].transaction`")
    assert service.size() == before + 2
    with service.node.log.reading() as reading:
        for each in (results[0], results[2]):
            assert reading.record(each["index"]).id == each["determined"]["id"]


@pytest.mark.parametrize(
    "document",
    [{"requests": []}, {"requests": [inquiry()] * 101}, {"requests": {}}, [inquiry()], {"asked": []}, {}],
    ids=["none", "too many", "an object", "an array", "another word", "nothing"],
)
def test_what_is_no_batch_is_refused_as_a_whole(service, document):
    before = service.size()
    problem(service.post("/v1/determinations/batch", document, "decide"), "malformed", 400)
    assert service.size() == before


def test_a_hundred_at_once_are_decided_and_recorded(service):
    before = service.size()
    document = {"requests": [inquiry(id=f"p{number}") for number in range(100)]}
    results = service.post("/v1/determinations/batch", document, "decide").json()["results"]
    assert len({each["determined"]["id"] for each in results}) == 100
    assert service.size() == before + 100


def test_a_controlled_item_is_served_under_a_grant_and_its_uses_are_recorded_by_and_by(tmp_path, hands):
    settings = msgspec.structs.replace(PLENTY, flush_seconds=0.05)
    with serving(tmp_path / "data", settings, clock=hands.clock()) as service:
        asked = {"transaction": transaction(at=hands.at.isoformat(), id="zoe", us_status="citizen")}
        found = service.post("/v1/determinations", asked, "decide").json()
        assert (found["action"], found["controlled"], found["grant"]) == ("serve", True, found["id"])
        assert found["until"] > hands.at.isoformat()
        known = msgspec.convert(asked, Request)
        assert service.node.meeting.use("a", known).determined.id == found["id"]
        until = time.monotonic() + 20
        while service.size() == 1 and time.monotonic() < until:
            time.sleep(0.05)
        leaf = service.get("/v1/records", "read").json()["records"][1]["leaf"]
        assert leaf["kind"] == "uses"
        assert [(each["grant"], each["count"]) for each in leaf["uses"]] == [(found["id"], 1)]


def test_while_the_clock_is_suspect_nothing_controlled_is_served(tmp_path, hands):
    with serving(tmp_path / "data", clock=hands.clock()) as service:
        asked = {"transaction": transaction(at=hands.at.isoformat(), us_status="citizen")}
        assert service.post("/v1/determinations", asked, "decide").json()["action"] == "serve"
        hands.passed += 3_600 * 1_000_000_000
        problem(service.post("/v1/determinations", asked, "decide"), "carnet_unavailable", 503)
        said = problem(service.get("/readyz"), "carnet_unavailable", 503)
        assert said["detail"] == "node 0: the clock is suspect"


def test_many_at_once_are_all_answered(service):
    before, answers = service.size(), []

    def ask(number):
        answers.append(service.post("/v1/determinations", inquiry(id=f"q{number}"), "decide").status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 30
    assert service.size() == before + 30
