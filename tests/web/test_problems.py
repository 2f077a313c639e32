"""What bad input gets: a problem of a type that never changes, nothing of what was sent, and no record."""

import json
import logging
import socket
import time

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.web.conftest import PLENTY, inquiry, problem, serving, transaction, use

from carnet.web import app as application
from carnet.web import problems

SECRET = "Xyzzy"
"""A word that no message of ours has."""

PATH = "/v1/determinations"


def raw(service, body, path=PATH, *roles, kind="application/json", headers=None):
    return service.ask(
        "POST", path, *(roles or ("decide",)), content=body, headers={"Content-Type": kind, **(headers or {})}
    )


def deep(depth):
    return b'{"transaction": ' + b"[" * depth + b"]" * depth + b"}"


MALFORMED = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "two documents": b"{} {}",
    "not UTF-8": b'{"transaction": "\xff"}',
    "a comma too many": b'{"purpose": "use",}',
    "a key twice": b'{"purpose": "use", "purpose": "inquiry", "transaction": {}}',
    "a key twice deep inside": json.dumps(inquiry())
    .replace('"kind": "person"', '"kind": "person", "kind": "company"')
    .encode(),
    "a deep nest": deep(150),
    "a very deep nest": deep(200_000),
    "NaN": b'{"transaction": {"at": "2026-06-13T14:00:00Z", "item": {"value": NaN}}}',
    "too many digits": b'{"transaction": {"at": "2026-06-13T14:00:00Z", "item": {"value": %s}}}'
    % (b"9" * 5_000),
    "half a surrogate pair": b'{"transaction": {"at": "2026-06-13T14:00:00Z", "id": "\\ud800"}}',
    "no transaction": b'{"purpose": "inquiry"}',
    "an unknown field": json.dumps({**inquiry(), SECRET: 1}).encode(),
    "an unknown field deep inside": json.dumps(inquiry(**{SECRET: SECRET})).encode(),
    "a wrong value": json.dumps(inquiry(us_status=SECRET)).encode(),
    "a number for a text": json.dumps(inquiry(us_status=17)).encode(),
    "a bare instant": json.dumps({"transaction": {**transaction(), "at": "2026-06-13T14:00:00"}}).encode(),
    "a wrong purpose": json.dumps({**inquiry(), "purpose": SECRET}).encode(),
    "a fact in two forms": json.dumps(inquiry(us_status={"value": "citizen", "unknown": "missing"})).encode(),
}

UNUSABLE = {
    "a country that is none": inquiry(nationalities=["QX"]),
    "facts that exclude each other": inquiry(us_status="citizen", nationalities=["FR"]),
    "another tenant": {**inquiry(), "transaction": {**transaction(), "tenant": "b"}},
    "a sign that nobody sees": inquiry(id=f"{SECRET}\u200b"),
    "a subject that is several": inquiry(id={"candidates": ["x", "y"]}),
    "more parties than a record has room for": {
        **inquiry(),
        "transaction": {
            **transaction(),
            "parties": {"end_user": [{"id": f"u{number}"} for number in range(4_000)]},
        },
    },
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_can_not_be_read_is_malformed_and_leaves_nothing(service, name):
    before = service.size()
    answer = raw(service, MALFORMED[name])
    problem(answer, "malformed", 400)
    assert SECRET not in answer.text
    assert service.size() == before


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_can_not_be_so_is_unusable_and_leaves_nothing(service, name):
    before = service.size()
    answer = service.post(PATH, UNUSABLE[name], "decide")
    problem(answer, "unusable", 400)
    assert SECRET not in answer.text
    assert service.size() == before


def test_the_place_of_a_mistake_is_told_and_not_what_stands_there(service):
    said = problem(raw(service, MALFORMED["a wrong value"]), "malformed", 400)["detail"]
    assert said == "`transaction.recipient.us_status`: it is none of the values that the schema lists"
    said = problem(raw(service, MALFORMED["an unknown field deep inside"]), "malformed", 400)["detail"]
    assert said == "`transaction.recipient`: it has a field that is not known, see the schema"
    said = problem(raw(service, MALFORMED["a key twice deep inside"]), "malformed", 400)["detail"]
    assert said == "line 1 of the body: a key stands twice in one object, keep one"
    said = problem(service.post(PATH, UNUSABLE["facts that exclude each other"], "decide"), "unusable", 400)[
        "detail"
    ]
    assert said == "`transaction.recipient.us_status`: it can't be so, alone or with the facts beside it"


def test_a_use_at_another_instant_is_told_to_be_an_inquiry(service):
    said = problem(service.post(PATH, {"transaction": transaction()}, "decide"), "not_now", 400)
    assert "inquiry" in said["detail"]


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer x", "Basic Zm9vOmJhcg==", f"Bearer ck_{'0' * 12}_{'x' * 43}"],
)
def test_who_is_nobody_is_not_let_in(service, header):
    import httpx

    headers = {} if header is None else {"Authorization": header}
    answer = httpx.post(service.url + PATH, json=inquiry(), headers=headers)
    problem(answer, "no_key" if not header else "wrong_key", 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_two_keys_in_one_request_are_none(service):
    import httpx

    keys = [("Authorization", each) for each in service.bearer("decide").values()] * 2
    problem(httpx.post(service.url + PATH, json=inquiry(), headers=keys), "wrong_key", 401)


def test_a_revoked_key_is_out_at_once(service):
    text = service.key("decide", tenant="short-lived")
    assert service.post(PATH, inquiry(), "decide", tenant="short-lived").status_code == 200
    service.node.api_keys.revoke(text.split("_")[1], service.node.clock.read().wall)
    problem(service.post(PATH, inquiry(), "decide", tenant="short-lived"), "wrong_key", 401)


@pytest.mark.parametrize(
    "endpoint", [each for each in application.ENDPOINTS if each.role], ids=lambda each: each.name
)
def test_a_key_with_every_other_role_is_for_something_else(service, endpoint):
    others = [role for role in ("decide", "read", "review", "approve", "administer") if role != endpoint.role]
    path = endpoint.path.replace("{id}", "x").replace("{node}", "0").replace("{tile}", "0/000")
    before = service.size()
    answer = service.ask(endpoint.method, path, *others)
    assert f"`{endpoint.role}`" in problem(answer, "wrong_role", 403)["detail"]
    assert service.size() == before


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/determinations/", "/v1/records/x/y", "/problems/nope", "/v2/x"]
)
def test_where_nothing_is_nothing_is_found(service, path):
    problem(service.get(path), "not_found", 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_is_not_taken_is_told_which_are(service, method):
    answer = service.ask(method, PATH, "decide")
    problem(answer, "method_not_allowed", 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/json; charset=latin-1", "application/xml", "multipart/form-data"]
)
def test_what_is_not_json_by_its_header_is_not_read(service, kind):
    problem(raw(service, json.dumps(inquiry()), kind=kind), "not_json", 415)


def test_what_is_compressed_is_not_read(service):
    answer = raw(service, json.dumps(inquiry()), headers={"Content-Encoding": "gzip"})
    problem(answer, "not_json", 415)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_however_it_is_written(service, kind):
    assert raw(service, json.dumps(inquiry()), kind=kind).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["?x=1", "?party=a&party=b", "?limit=0", "?limit=101", "?limit=x", "?after=x", "?%ff=1", "?party"],
)
def test_a_query_that_can_not_be_read_is_malformed(service, query):
    problem(service.get(f"/v1/records{query}", "read"), "malformed", 400)


def request_head(service, length, *more):
    lines = [
        f"POST {PATH} HTTP/1.1",
        "Host: carnet",
        "Content-Type: application/json",
        f"Authorization: Bearer {service.key('decide')}",
        length,
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def connected(service):
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_twenty_megabytes_are_refused_before_they_are_read(service):
    before = service.size()
    with connected(service) as sock:
        sock.sendall(request_head(service, "Content-Length: 20000000", "Expect: 100-continue"))
        answer = sock.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"100 Continue" not in answer
        assert b"/problems/too_large" in answer + sock.recv(10_000)
    assert service.size() == before


def test_twenty_megabytes_that_nobody_announced_are_not_read_to_their_end(service):
    piece = b"%x\r\n" % 65_536 + b" " * 65_536 + b"\r\n"
    sent = 0
    with connected(service) as sock:
        sock.sendall(request_head(service, "Transfer-Encoding: chunked"))
        try:
            while sent < 20_000_000:
                sock.sendall(piece)
                sent += 65_536
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 15_000_000


def test_a_body_that_does_not_come_is_too_slow(tmp_path):
    slow = msgspec.structs.replace(PLENTY, body_seconds=0.3)
    with serving(tmp_path / "data", slow) as service, connected(service) as sock:
        started = time.monotonic()
        sock.sendall(request_head(service, "Content-Length: 100") + b'{"tr')
        answer = sock.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started < 10


def test_too_many_requests_wait_and_are_told_how_long(tmp_path):
    few = msgspec.structs.replace(PLENTY, rate=0.5, burst=4)
    with serving(tmp_path / "data", few) as service:
        before = service.size()
        for _ in range(4):
            assert service.get("/v1/rulebook", "read").status_code == 200
        answer = service.get("/v1/rulebook", "read")
        problem(answer, "too_many", 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        assert service.get("/v1/rulebook", "read", tenant="b").status_code == 200
        document = {"requests": [inquiry()] * 5}
        problem(service.post("/v1/determinations/batch", document, "decide"), "too_many", 429)
        assert service.size() == before


def test_too_many_under_way_is_inability(tmp_path):
    none = msgspec.structs.replace(PLENTY, most_waiting=0)
    with serving(tmp_path / "data", none) as service:
        answer = service.post(PATH, inquiry(), "decide")
        problem(answer, "carnet_unavailable", 503)
        assert service.get("/healthz").status_code == 200


def test_a_defect_of_ours_says_nothing_of_what_was_sent(service, monkeypatch, caplog):
    def broken(serving, call):
        raise RuntimeError(call.body.decode())

    monkeypatch.setitem(application.HANDLERS, "determine", broken)
    with caplog.at_level(logging.DEBUG):
        answer = service.post(PATH, inquiry(id=SECRET), "decide")
    problem(answer, "internal", 500)
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("carnet"))
    assert said == "unexpected error `RuntimeError` at `determine`"
    assert SECRET not in answer.text
    assert SECRET not in caplog.text


def test_every_type_of_problem_has_a_page_and_a_status_of_its_own_meaning(service):
    for kind in problems.KINDS:
        page = service.get(kind.type)
        assert page.status_code == 200
        assert page.text.startswith(f"# {kind.title}")
        assert f"Status {kind.status}" in page.text
    assert len({kind.name for kind in problems.KINDS}) == len(problems.KINDS)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(SECRET),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text() | st.just(SECRET), below, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def spoilt(draw):
    """A request with something of it replaced by anything."""
    document = json.loads(json.dumps(use(id=SECRET, us_status="citizen", nationalities=["US"])))
    node, key = document, draw(st.sampled_from(sorted(document)))
    while isinstance(node[key], dict) and draw(st.booleans()):
        node = node[key]
        key = draw(st.sampled_from([*sorted(node), SECRET]))
        if key == SECRET:
            break
    node[key] = draw(JSON)
    return document


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoilt())
def test_whatever_is_spoilt_in_a_request_the_answer_repeats_nothing_of_it(service, caplog, document):
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        answer = service.post(PATH, document, "decide")
    assert answer.status_code in (200, 400), answer.text
    assert SECRET not in answer.text
    assert not [record for record in caplog.records if SECRET in record.getMessage()]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_answered_with_a_problem(service, data):
    answer = raw(service, data)
    assert answer.status_code == 400
    assert answer.json()["type"] in ("/problems/malformed", "/problems/unusable")
