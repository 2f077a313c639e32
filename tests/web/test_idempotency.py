"""One answer and one record for one idempotency key: asked again, asked twice at once, after a restart; and
another request under the same key gets neither."""

import multiprocessing
import threading

import pytest
from tests.web.conftest import inquiry, problem, serving

from carnet.service.idempotency import Claims

PATH = "/v1/determinations"
NAME = "order-of-Zoe-Example"


def asked(service, document, key=NAME, path=PATH, tenant="a"):
    return service.post(path, document, "decide", tenant=tenant, headers={"Idempotency-Key": key})


@pytest.fixture
def fresh(tmp_path):
    with serving(tmp_path / "data") as service:
        yield service


def test_the_same_again_gets_the_same_and_no_second_record(fresh):
    first, again = (asked(fresh, inquiry(us_status="citizen")) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    for name in ("carnet-node", "carnet-index", "content-type"):
        assert first.headers[name] == again.headers[name]
    assert fresh.size() == 1


def test_another_request_under_the_key_is_refused_and_leaves_nothing(fresh):
    first = asked(fresh, inquiry(us_status="citizen"))
    problem(asked(fresh, inquiry(us_status="none")), "other_request", 422)
    assert fresh.size() == 1
    assert asked(fresh, inquiry(us_status="citizen")).content == first.content


def test_the_same_body_at_another_endpoint_is_another_request(fresh):
    evaluation = {
        "subject": {"type": "person", "id": "zoe", "properties": {"location": "US"}},
        "action": {"name": "remote_access"},
        "resource": {"type": "hosted", "id": "anthropic/claude-opus-4-8"},
        "context": {"served_from": "US"},
    }
    assert asked(fresh, evaluation, path="/access/v1/evaluation").status_code == 200
    problem(asked(fresh, evaluation, path="/access/v1/evaluations"), "other_request", 422)
    assert fresh.size() == 1


def test_many_at_once_make_one_record_and_get_one_answer(fresh):
    answers = []

    def ask():
        answers.append(asked(fresh, inquiry(us_status="citizen")))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.status_code for each in answers} == {200}
    assert len({each.content for each in answers}) == 1
    assert fresh.size() == 1


def test_a_restart_remembers_what_was_answered(tmp_path):
    answers = []
    for _ in range(2):
        with serving(tmp_path / "data") as service:
            answers.append(asked(service, inquiry(us_status="citizen")).content)
            assert service.size() == 1
    assert answers[0] == answers[1]


def test_what_was_refused_leaves_the_key_free(fresh):
    problem(asked(fresh, inquiry(us_status="nothing")), "malformed", 400)
    problem(asked(fresh, {"transaction": inquiry()["transaction"]}), "not_now", 400)
    assert asked(fresh, inquiry(us_status="citizen")).status_code == 200
    assert fresh.size() == 1


def test_each_of_several_is_kept_under_the_key_of_all(fresh):
    document = {"requests": [inquiry(id="x"), {"purpose": "inquiry"}, inquiry(id="y")]}
    first, again = (asked(fresh, document, path=f"{PATH}/batch") for _ in range(2))
    assert first.content == again.content
    assert [each["status"] for each in first.json()["results"]] == [200, 400, 200]
    assert fresh.size() == 2
    other = {"requests": [inquiry(id="x"), inquiry(id="z")]}
    problem(asked(fresh, other, path=f"{PATH}/batch"), "other_request", 422)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_a_key_that_can_not_be_one_is_malformed(fresh, key):
    problem(asked(fresh, inquiry(), key=key), "malformed", 400)
    assert fresh.size() == 0


def test_neither_the_key_nor_what_was_asked_is_kept_in_the_open(tmp_path):
    with serving(tmp_path / "data") as service:
        assert asked(service, inquiry(id="zoe.example", us_status="citizen")).status_code == 200
    for file in (tmp_path / "data").iterdir():
        if file.is_file():
            data = file.read_bytes()
            assert b"Zoe" not in data, file
            assert b"zoe" not in data, file
            assert b"citizen" not in data, file


def test_a_claim_is_one_callers_and_another_process_sees_it(tmp_path):
    claims = Claims(tmp_path)
    try:
        assert claims.take("one")
        assert not claims.take("one")
        assert claims.take("two")
        assert not taken_elsewhere(tmp_path, "one")
        claims.release("one")
        assert taken_elsewhere(tmp_path, "one")
        assert claims.take("one"), "a process that has ended holds nothing"
    finally:
        claims.close()


def taken_elsewhere(folder, key):
    """Whether another process can have the key."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        got = pool.apply(_takes, (folder, key))
        pool.close()
        pool.join()
    return got


def _takes(folder, key):
    return Claims(folder).take(key)
