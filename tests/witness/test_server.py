"""The witness over HTTP, on a real socket: the statuses of C2SP tlog-witness, and nothing of the inside."""

import hashlib
import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from tests.ledger.memory import LOG, ORIGIN
from tests.witness.logs import KEY, LOGS, NOW, Small, serving

from carnet.ledger import checkpoint, note, witness
from carnet.ledger.witness import MOST_BYTES, Request
from carnet.model.errors import InputError
from carnet.store.witness import Memory
from carnet.web import witness as served
from carnet.web.witness import app, known


@pytest.fixture
def url(memory):
    with serving(app(memory, [KEY], LOGS, now=lambda: NOW)) as address:
        yield address


def ask(url, method, path, body=None, headers=None):
    """Status, content type, body, and all headers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read(), answer.headers
    finally:
        connection.close()


def post(url, body):
    return ask(url, "POST", "/add-checkpoint", body)[:3]


def test_a_growing_log_is_cosigned(url):
    small, old = Small(), 0
    for count in (3, 5, 0, 1):
        status, kind, body = post(url, small.append(count).request(old).data)
        assert (status, kind) == (200, "text/plain; charset=utf-8")
        (made,) = witness.cosignatures(body, note.parsed(small.signed).text, [KEY.verifier])
        assert int.from_bytes(made.signature[:8], "big") == NOW
        old = small.tree.size


def test_a_size_that_is_not_the_one_remembered_gets_the_one_that_is(url):
    small = Small(5)
    assert post(url, Request(2, (bytes(32),), small.signed).data) == (409, "text/x.tlog.size", b"0\n")
    assert post(url, small.request(0).data)[0] == 200
    assert post(url, small.request(0).data) == (409, "text/x.tlog.size", b"5\n")


def test_a_fork_and_a_rolled_back_log_are_refused(url):
    small = Small(4)
    backup = small.copy(mark="after the restore")
    assert post(url, small.append(4).request(0).data)[0] == 200
    assert post(url, backup.request(4).data) == (409, "text/x.tlog.size", b"8\n")
    status, kind, body = post(url, backup.append(4).request(8).data)
    assert (status, kind) == (422, "text/plain; charset=utf-8")
    assert b"forked" in body
    assert post(url, backup.append(4).request(8).data)[0] == 422
    assert post(url, small.append(1).request(8).data)[0] == 200


def test_other_refusals_have_their_status(url):
    other = Small(3, origin="log.example/other")
    assert post(url, other.request(0).data)[:2] == (404, "text/plain; charset=utf-8")
    stranger = checkpoint.signed(checkpoint.parsed(note.parsed(Small(3).signed).text), [KEY.at(NOW)]).data
    assert post(url, Request(0, (), stranger).data)[0] == 403
    assert post(url, Request(4, (), Small(3).signed).data)[0] == 400
    assert post(url, b"old 0\n")[0] == 400
    assert post(url, b"")[0] == 400


def test_monitors_see_the_last_checkpoint_with_both_signatures(url):
    small = Small(3)
    path = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert ask(url, "GET", path)[0] == 404
    post(url, small.request(0).data)
    status, kind, body, headers = ask(url, "GET", path)
    assert (status, kind, headers["Cache-Control"]) == (200, "text/plain; charset=utf-8", "no-cache")
    found = checkpoint.opened(body, ORIGIN, [LOG.verifier], [KEY.verifier])
    assert (found.checkpoint.size, [each.at for each in found.cosignatures]) == (3, [NOW])
    assert ask(url, "GET", f"/{'0' * 64}/checkpoint")[0] == 404


def test_it_says_whether_it_is_well(url, memory):
    assert ask(url, "GET", "/healthz")[:3] == (200, "text/plain; charset=utf-8", b"ok\n")
    memory.close()
    status, _, body, headers = ask(url, "GET", "/healthz")
    assert (status, headers["Retry-After"]) == (503, "5")
    assert b"witness.db" not in body


def test_what_can_not_be_made_durable_is_not_cosigned(url, memory):
    memory._db.pragma("query_only", value=True)
    status, _, body, headers = ask(url, "POST", "/add-checkpoint", Small(3).request(0).data)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert body == b"nothing can be cosigned now, ask again\n"
    memory._db.pragma("query_only", value=False)
    assert memory.remembered(ORIGIN) is None
    assert post(url, Small(3).request(0).data)[0] == 200


def test_a_damaged_memory_cosigns_nothing(url, memory):
    post(url, Small(3).request(0).data)
    memory._db.execute("DROP TRIGGER never_smaller")
    memory._db.execute("UPDATE remembered SET size = 2")
    status, _, body = post(url, Small(5).request(2).data)
    assert (status, b"damaged" in body) == (500, True)


def test_an_unexpected_error_is_one_line(url, memory, caplog, capfd):
    memory.add = lambda *_: 1 / 0
    status, _, body = post(url, Small(3).request(0).data)
    assert (status, body) == (500, b"unexpected error, nothing was cosigned\n")
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("PUT", "/add-checkpoint", 405),
        ("POST", "/healthz", 405),
        ("POST", "/", 404),
        ("GET", "/../witness.key", 404),
        ("GET", "/witness.db", 404),
        ("GET", "/%2e%2e/checkpoint", 404),
        ("GET", "/a/b/checkpoint", 404),
    ],
)
def test_there_is_nothing_else(url, method, path, status):
    found = ask(url, method, path)
    assert (found[0], found[2].count(b"\n")) == (status, 1)


def test_a_body_that_is_too_long_is_not_read_to_its_end(url):
    for size in (MOST_BYTES + 1, 20_000_000):
        assert ask(url, "POST", "/add-checkpoint", b"x" * size)[0] == 413
    assert post(url, b"x" * MOST_BYTES)[0] == 400

    def endless():
        for _ in range(1000):
            yield b"x" * 1000

    assert ask(url, "POST", "/add-checkpoint", endless())[0] == 413
    assert ask(url, "GET", "/healthz")[0] == 200


def test_a_body_that_does_not_come_is_not_waited_for(url, monkeypatch):
    monkeypatch.setattr(served, "BODY_SECONDS", 0.3)
    with socket.create_connection(urlsplit(url).netloc.split(":"), timeout=10) as slow:
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold 0")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_whoever_leaves_in_the_middle_leaves_nothing(url, memory):
    body = Small(3).request(0).data
    for _ in range(20):
        with socket.create_connection(urlsplit(url).netloc.split(":"), timeout=10) as gone:
            head = f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            gone.sendall(head + body[:-5])
    with socket.create_connection(urlsplit(url).netloc.split(":"), timeout=10) as garbage:
        garbage.sendall(b"\x16\x03\x01\x02\x00" * 50 + b"\r\n\r\n")
        assert garbage.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert post(url, body)[0] == 200
    assert memory.remembered(ORIGIN).size == 3


def test_one_connection_serves_many_requests(url):
    """C2SP tlog-witness: witnesses should support keep-alive."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    small, sock = Small(), None
    for old in range(5):
        connection.request("POST", "/add-checkpoint", small.append().request(old).data)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        assert sock in {None, connection.sock}
        sock = connection.sock
    assert sock is not None
    connection.close()


def test_of_many_at_once_each_size_is_cosigned_once(url, memory):
    small = Small(1)
    post(url, small.request(0).data)
    bodies = [small.copy(mark=f"view {index}").append(2).request(1).data for index in range(12)]
    statuses = []
    threads = [threading.Thread(target=lambda one=one: statuses.append(post(url, one)[0])) for one in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 11
    assert memory.remembered(ORIGIN).size == 3


def test_what_was_cosigned_was_on_the_disk_by_then(tmp_path, memory, url):
    """Another connection to the file, opened after the answer, sees it."""
    post(url, Small(6).request(0).data)
    other = Memory.open(tmp_path)
    assert other.remembered(ORIGIN).size == 6
    other.close()


def test_a_witness_knows_its_logs_and_is_none_of_them():
    assert known([LOG.verifier], [KEY]) == LOGS
    with pytest.raises(InputError, match="there is no log"):
        known([], [KEY])
    with pytest.raises(InputError, match="given twice"):
        known([LOG.verifier, LOG.verifier], [KEY])
    with pytest.raises(InputError, match="the witness's own"):
        known([KEY.verifier], [KEY])


def test_the_time_of_the_request_is_the_time_of_the_cosignature(memory):
    with serving(app(memory, [KEY], LOGS)) as address:
        before = int(time.time())
        _, _, body = post(address, Small(3).request(0).data)
        (made,) = witness.cosignatures(body, note.parsed(Small(3).signed).text, [KEY.verifier])
    assert before <= int.from_bytes(made.signature[:8], "big") <= int(time.time())
