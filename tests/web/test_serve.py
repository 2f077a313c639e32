"""`carnet serve` as a program: on an empty machine, killed and started again, with several nodes, and what it
writes down."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import httpx
import pytest
from tests.faults.counts import counted
from tests.web.conftest import FABLE, OPUS, inquiry, now, problem, transaction
from tests.web.processes import gone, running, stop

from carnet.ledger import checkpoint, note, proof
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.store.origins import LOG, named
from carnet.store.sqlite.log import open_log

pytestmark = pytest.mark.real

PATH = "/v1/determinations"
KILLS = 100 if os.environ.get("CARNET_FAULTS") == "nightly" else 8


def test_an_empty_machine_needs_nothing_and_the_first_key_is_shown_once(tmp_path):
    with running(tmp_path) as server:
        assert "made the data directory carnet-data and its keys" in server.said
        key = server.key
        assert server.post(PATH, inquiry()).json()["action"] == "ask"
        assert oct((tmp_path / "carnet-data").stat().st_mode)[-3:] == "700"
        assert stop(server) == 0
    with running(tmp_path, key=key) as server:
        assert key not in server.said
        assert "ck_..." in server.said
        found = server.ask("GET", "/v1/records").json()["records"]
        assert len(found) == 1
        assert stop(server) == 0
    with Desk.open(tmp_path / "carnet-data") as desk:
        (row,) = desk.rows("SELECT hash, roles FROM api_keys")
    assert row[1] == "call decide read review approve administer"
    assert key.rpartition("_")[2].encode() not in (tmp_path / "carnet-data" / "desk.db").read_bytes()


def test_the_first_determination_is_made_as_it_says(tmp_path):
    with running(tmp_path) as server:
        command = re.search(r"  (curl .*?\}\}')\n", server.said, re.DOTALL)[1]
        done = subprocess.run(
            ["bash", "-c", command],
            env={"PATH": os.environ["PATH"], "CARNET_KEY": server.key},
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        assert (answer["action"], answer["controlled"]) == ("ask", True)


def test_what_was_answered_is_there_after_a_kill(tmp_path):
    """Killed at any instant while others ask: every answer that came has its record, and the start needs no
    help."""
    key, answered, kills = None, [], 0
    while kills < KILLS:
        with running(tmp_path, key=key) as server:
            key = server.key
            warm(server, 1)
            before = len(answered)
            threads = [
                threading.Thread(target=asking, args=(server, answered, f"{kills}-{n}")) for n in range(4)
            ]
            for thread in threads:
                thread.start()
            while len(answered) < before + 3:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.2))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            for thread in threads:
                thread.join()
            kills += 1
    with running(tmp_path, key=key) as server:
        (log,) = server.ask("GET", "/v1/nodes").json()["nodes"]
        keys = [note.verifier_key(each) for each in log["keys"]]
        for path in answered:
            found = server.ask("GET", f"{path}/proof")
            assert found.status_code == 200, path
            proof.verify(proof.parsed(found.content), log["origin"], keys)
        signed = server.ask("GET", "/v1/checkpoint").content
        assert checkpoint.opened(signed, log["origin"], keys).checkpoint.size >= len(answered)
        counted("carnet serve killed at random", ends=kills, acknowledged=len(answered), lost=0)
        assert stop(server) == 0


def asking(server, answered, name):
    url, headers, number = server.url, {"Authorization": f"Bearer {server.key}"}, 0
    while True:
        number += 1
        try:
            answer = httpx.post(url + PATH, json=inquiry(id=f"{name}-{number}"), headers=headers, timeout=30)
        except httpx.TransportError:
            return
        assert answer.status_code in (200, 503)
        if answer.status_code == 200:
            answered.append(f"/v1/records/{answer.json()['id']}")


def test_told_to_stop_it_finishes_what_is_under_way(tmp_path):
    with running(tmp_path) as server:
        warm(server, 1)
        before = len(server.ask("GET", "/v1/records").json()["records"])
        answers = []
        document = {"requests": [inquiry(id=f"p{number}") for number in range(60)]}
        thread = threading.Thread(target=lambda: answers.append(server.post(f"{PATH}/batch", document)))
        thread.start()
        time.sleep(0.2)
        assert stop(server) == 0
        thread.join()
        (answer,) = answers
        assert [each["status"] for each in answer.json()["results"]] == [200] * 60
    keyring = Keyring.open(tmp_path / "carnet-data")
    name = named(tmp_path / "carnet-data", keyring)
    path = tmp_path / "carnet-data" / LOG
    with open_log(path, name.origin, name.signers, name.verifiers) as log, log.reading() as reading:
        assert reading.size == before + 60


def test_several_nodes_serve_one_installation(tmp_path):
    with running(tmp_path, "--workers", "2") as server:
        warm(server, 2)
        ids = [each["id"] for each in server.ask("GET", "/v1/records").json()["records"]]
        seen = set()
        for number in range(30):
            answer = server.post(PATH, inquiry(id=f"p{number}"))
            ids.append(answer.json()["id"])
            seen.add(answer.headers["carnet-node"])
        assert seen == {"1", "2"}
        for id_ in ids[:8]:
            for _ in range(2):
                assert server.ask("GET", f"/v1/records/{id_}").json()["id"] == id_
                assert server.ask("GET", f"/v1/records/{id_}/explanation").json()["basis"] == "private_part"
        found, after = [], ""
        while after is not None:
            page = server.ask("GET", f"/v1/records?limit=7{after}").json()
            found += [each["id"] for each in page["records"]]
            after = page["next"] and f"&after={page['next']}"
        assert sorted(found) == sorted(ids)
        for number in range(5):
            (record,) = server.ask("GET", f"/v1/records?party=p{number}").json()["records"]
            assert record["id"] == ids[number - 30]
        nodes = server.ask("GET", "/v1/nodes").json()["nodes"]
        assert [each["node"] for each in nodes] == [1, 2]
        assert len({each["origin"] for each in nodes}) == 2
        problem(server.ask("GET", "/v1/checkpoint"), "not_found", 404)
        for each in nodes:
            keys = [note.verifier_key(key) for key in each["keys"]]
            signed = server.ask("GET", f"/v1/nodes/{each['node']}/checkpoint").content
            checkpoint.opened(signed, each["origin"], keys)
        text = httpx.get(f"{server.url}/metrics").text
        sizes = re.findall(r'^carnet_log_records\{node="(\d)"\} (\d+)', text, re.MULTILINE)
        assert dict(sizes).keys() == {"1", "2"}
        assert sum(int(size) for _, size in sizes) == len(ids)
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        facts = {"source": "hr", "assurance": "S3", "facts": {"us_status": "citizen"}}
        assert server.post("/v1/subjects/amy/facts", facts).status_code == 200
        actions = {server.post(PATH, inquiry(id="amy")).json()["action"] for _ in range(12)}
        assert actions == {"serve"}, "one desk for all"
        assert server.post("/v1/revocations", {"item": FABLE}).json() == {"count": 0, "nodes": 2}
        assert stop(server) == 0


def test_an_idempotency_key_is_one_answer_whichever_node_is_asked(tmp_path):
    with running(tmp_path, "--workers", "3") as server:
        warm(server, 3)
        before = len(server.ask("GET", "/v1/records").json()["records"])
        answers = []

        def ask(key):
            headers = {"Idempotency-Key": key}
            answers.append((key, server.post(PATH, inquiry(id="zoe"), headers=headers)))

        threads = [threading.Thread(target=ask, args=(f"k{n % 5}",)) for n in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for _, answer in answers} == {200}
        for key in {key for key, _ in answers}:
            assert len({answer.content for name, answer in answers if name == key}) == 1
        assert len(server.ask("GET", "/v1/records").json()["records"]) == before + 5
        headers = {"Idempotency-Key": "k0"}
        for _ in range(6):
            problem(server.post(PATH, inquiry(id="bo"), headers=headers), "other_request", 422)


def test_a_node_that_is_killed_is_started_again_and_has_what_it_had(tmp_path):
    with running(tmp_path, "--workers", "2") as server:
        warm(server, 2)
        ids = [server.post(PATH, inquiry(id=f"p{number}")).json()["id"] for number in range(10)]
        victim = server.children()[0]
        os.kill(victim, signal.SIGKILL)
        gone(victim)
        until = time.monotonic() + 40
        while len(server.children()) < 2 or victim in server.children():
            assert time.monotonic() < until
            time.sleep(0.2)
        seen = set()
        while seen != {"1", "2"}:
            assert time.monotonic() < until
            try:
                seen.add(server.post(PATH, inquiry(product=OPUS)).headers["carnet-node"])
            except httpx.TransportError:
                time.sleep(0.2)
        for id_ in ids:
            assert server.ask("GET", f"/v1/records/{id_}").status_code == 200
        assert re.search(r"node `\d` ended with -9 and is started again", server.said)
        assert stop(server) == 0


def test_nodes_end_when_the_process_that_watches_them_is_killed(tmp_path):
    with running(tmp_path, "--workers", "2") as server:
        children = server.children()
        assert len(children) == 2
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for child in children:
            gone(child)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "nowhere"], "`nowhere` is no place to listen: write it like `127.0.0.1:8470`"),
        (["--law", "gone"], "`gone` is not there"),
        (["--policy", "gone.toml"], "`gone.toml` can't be read"),
        (["--url", "ftp://x"], "`ftp://x` is no URL"),
        (["--workers", "0"], "--workers"),
        (["--tls", "a.pem", "b.pem"], "are no certificate chain and its key"),
    ],
)
def test_what_can_not_be_served_is_one_sentence_and_makes_nothing(tmp_path, words, said):
    with pytest.raises(AssertionError) as caught, running(tmp_path, *words):
        pass
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "carnet-data").exists()


def test_a_node_that_can_not_start_is_told_and_nothing_goes_on(tmp_path):
    with running(tmp_path, "--workers", "2") as server:
        assert stop(server) == 0
    log = tmp_path / "carnet-data" / "nodes" / "2" / "log.db"
    log.write_bytes(b"\0" * log.stat().st_size)
    with pytest.raises(AssertionError) as caught, running(tmp_path, "--workers", "2"):
        pass
    assert "node `2` did not start" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def warm(server, count):
    """Have every node compile the law of the day that is asked about."""
    seen = set()
    while len(seen) < count:
        seen.add(server.post(PATH, inquiry()).headers.get("carnet-node"))
        seen.discard(None)


NAMES = ("zoe.example", "Zoë", "FR", "QX", "citizen", "secret-word", "acme-tenant", "D1234567")


def test_nothing_of_anybody_is_written_to_the_log(tmp_path):
    """A run with answers, every kind of mistake and a log that takes nothing: names, nationality and secrets
    are in no line."""
    with running(tmp_path) as server:
        key = server.key
        quiet = server.said
        who = {"id": "zoe.example", "us_status": "citizen"}
        documents = [
            inquiry(**who),
            inquiry(id="Zoë\u200b", nationalities=["FR"]),
            inquiry(id="zoe.example", nationalities=["QX"]),
            {"transaction": {**transaction(at=now(), **who), "tenant": "acme-tenant"}},
            {"transaction": {**transaction(**who), "licenses": ["D1234567"]}},
            {"secret-word": "zoe.example"},
        ]
        for document in documents:
            for path in (
                PATH,
                f"{PATH}/batch",
                "/access/v1/evaluation",
                "/access/v1/evaluations",
                "/v1/revocations",
            ):
                server.post(path, document, headers={"Idempotency-Key": "secret-word zoe.example"})
        for path in (
            "/v1/records?party=zoe.example&country=FR&document=D1234567",
            "/v1/records/zoe.example",
            "/v1/subjects/zoe.example?reveal=true",
            "/zoe.example",
            "/v1/records?zoe.example=FR",
        ):
            server.ask("GET", path)
        server.post(
            "/v1/subjects/zoe.example/facts", {"facts": {"nationalities": ["FR"]}, "source": "secret-word"}
        )
        httpx.get(server.url + "/v1/records", headers={"Authorization": "Bearer secret-word"})
        httpx.request("BREW", server.url + "/zoe.example")
        broken(server)
        assert stop(server) == 0
        said = server.said.removeprefix(quiet)
    for word in (*NAMES, key, key.rpartition("_")[2]):
        assert word not in said, word
    assert "Traceback" not in said


def broken(server):
    """A request that is no HTTP."""
    import socket

    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"GET /zoe.example HTTP/9.9\r\nsecret-word\r\n\r\n")
        sock.recv(1_000)


def test_it_speaks_tls_itself(tmp_path, certificate):
    import ssl

    chain, private = certificate
    with running(tmp_path, "--tls", str(chain), str(private)) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(chain))
        answer = httpx.get(f"{server.url}/.well-known/authzen-configuration", verify=context)
        assert answer.json()["policy_decision_point"] == server.url
