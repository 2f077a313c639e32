"""`carnet serve` with a PostgreSQL, as an operator starts it: what comes to be there, PostgreSQL killed under
load, and a start that can't be."""

import os
import re
import threading
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.postgres.nodes import until
from tests.postgres.server import free_port
from tests.postgres.sharing import copied, logged, looked, new_database, shipped, sizes
from tests.web.conftest import inquiry
from tests.web.processes import running, stop
from tests.web.test_serve import warm

from carnet.web.server import Plan

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("postgres")]

PATH = "/v1/determinations"
DEADLINE = 1.9
KILLS = 10 if os.environ.get("CARNET_FAULTS") == "nightly" else 3


def served(folder, url, *words, **more):
    return running(folder, "--workers", "2", *words, env={"CARNET_POSTGRESQL": url}, **more)


def figures(server, name):
    """A figure of each node, by its number; None if it has none."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    found = re.findall(rf'^carnet_{name}\{{node="(\d)"\}} (\S+)', text, re.MULTILINE)
    return {int(node): float(value) for node, value in found}


def test_with_one_setting_the_nodes_share_a_postgresql(tmp_path, server):
    url, data = new_database(server), tmp_path / "carnet-data"
    with served(tmp_path, url) as carnet:
        warm(carnet, 2)
        ids = [carnet.post(PATH, inquiry(id=f"p{number}")).json()["id"] for number in range(20)]
        until(lambda: shipped(data, url))
        with looked(data, url) as store:
            there = [copy.record.id for copy in copied(store)]
            assert len(there) == len(set(there)) == sum(sizes(data).values())
            assert set(ids) < set(there)
            assert {copy.origin for copy in copied(store)} == set(sizes(data))
            assert list(copied(store, "another")) == []
        until(lambda: logged(data, url) == sizes(data))
        until(lambda: figures(carnet, "copies_behind") == {1: 0, 2: 0})
        assert sorted(figures(carnet, "log_of_logs_leads").values()) == [0, 1]
        for name in ("copies_trouble", "log_of_logs_trouble"):
            assert figures(carnet, name) == {1: 0, 2: 0}
        assert httpx.get(f"{carnet.url}/readyz").status_code == 200
        started = [carnet.process.pid, *carnet.children()]
        for pid in started:
            assert server.password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert stop(carnet) == 0
        assert server.password not in carnet.said
    for file in data.rglob("*"):
        assert not file.is_file() or server.password.encode() not in file.read_bytes(), file


def test_another_leads_after_the_leader_was_killed(tmp_path, server):
    url, data = new_database(server), tmp_path / "carnet-data"
    with served(tmp_path, url) as carnet:
        until(lambda: 1 in figures(carnet, "log_of_logs_leads").values())
        for _ in range(2):
            carnet.post(PATH, inquiry(id="amy"))
            (leader,) = [node for node, leads in figures(carnet, "log_of_logs_leads").items() if leads]
            os.kill(process_of(carnet, leader), 9)
            until(lambda: figures(carnet, "log_of_logs_leads").get(3 - leader) == 1)  # noqa: B023 -- it is called at once
            until(lambda: len(figures(carnet, "log_of_logs_leads")) == 2)
        carnet.post(PATH, inquiry(id="ben"))
        until(lambda: shipped(data, url) and logged(data, url) == sizes(data))
        assert stop(carnet) == 0


def process_of(carnet, node):
    """The process that has the log of a node open to write."""
    for pid in carnet.children():
        files = [each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
        if any(each.match(f"nodes/{node}/log.db.lock") for each in files):
            return pid
    raise AssertionError(f"node {node} runs nowhere")


def test_postgresql_killed_under_load_keeps_nobody_waiting_and_loses_nothing(tmp_path, own_server):
    """They answer while it is away; afterwards every record is there, and nobody has helped. An answer that
    took too long for want of a processor is none, and its record is there all the same or never was."""
    url, data = new_database(own_server), tmp_path / "carnet-data"
    with served(tmp_path, url) as carnet:
        warm(carnet, 2)
        key, answers, late, end = carnet.key, [], [], threading.Event()

        def ask(name):
            with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
                while not end.is_set():
                    began = time.monotonic()
                    found = client.post(carnet.url + PATH, json=inquiry(id=f"{name}-{len(answers)}"))
                    took = time.monotonic() - began
                    if found.status_code == 200:
                        answers.append((found.json()["id"], took))
                    else:
                        late.append((found.status_code, took))
                    time.sleep(0.02)

        threads = [threading.Thread(target=ask, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(1)
                own_server.kill()
                before = len(answers)
                until(lambda: len(answers) > before + 10)  # noqa: B023 -- it is called at once
                assert httpx.get(f"{carnet.url}/readyz", timeout=30).status_code == 200
                until(lambda: 1 in figures(carnet, "copies_trouble").values())  # of one that has what to ship
                assert sum(figures(carnet, "copies_behind").values()) > 0
                own_server.start(own_server.port)
        finally:
            end.set()
            for thread in threads:
                thread.join()
        until(lambda: shipped(data, url), 90)
        until(lambda: figures(carnet, "copies_behind") == {1: 0, 2: 0})
        until(lambda: logged(data, url) == sizes(data), 90)
        until(lambda: figures(carnet, "copies_trouble") == {1: 0, 2: 0})
        assert all(status == 503 and took > DEADLINE for status, took in late), late
        with looked(data, url) as store:
            there = [copy.record.id for copy in copied(store)]
            assert store.reports() == []
        assert len(there) == len(set(there)) == sum(sizes(data).values())
        assert {id_ for id_, _ in answers} <= set(there)
        slowest = max(took for _, took in answers)
        print(f"\n{KILLS} kills: {len(answers)} answered, {len(late)} late, slowest {slowest:.2f} s, 0 lost")
        own_server.kill()
        assert stop(carnet, 60) == 0
        assert "the copies: PostgreSQL can't be used now" in carnet.said
        assert own_server.password not in carnet.said
    with served(tmp_path, url, key=key) as carnet:
        assert "the nodes go on, and catch up" in carnet.said
        warm(carnet, 2)
        later = carnet.post(PATH, inquiry(id="later")).json()["id"]
        own_server.start(own_server.port)
        until(lambda: shipped(data, url), 90)
        with looked(data, url) as store:
            assert store.of_id("default", later) is not None
        assert stop(carnet) == 0


def test_a_postgresql_that_says_nothing_any_more_holds_up_nobody(tmp_path, own_server):
    """Every process of it is halted: connections are open, and no answer comes."""
    url = new_database(own_server)
    with running(tmp_path, env={"CARNET_POSTGRESQL": url}) as carnet:
        warm(carnet, 1)
        until(lambda: figures(carnet, "copies_behind") == {0: 0})
        halted = own_server.halt()
        try:
            for number in range(5):
                assert carnet.post(PATH, inquiry(id=f"p{number}")).status_code == 200
            assert figures(carnet, "copies_behind")[0] >= 5
            began = time.monotonic()
            assert stop(carnet) == 0
            assert time.monotonic() - began < 10
        finally:
            halted()


def test_what_can_not_be_shared_is_one_sentence_at_the_first_start(tmp_path, own_server):
    url = new_database(own_server)
    nowhere = url.replace(f":{own_server.port}/", f":{free_port()}/")
    refused(tmp_path, nowhere, "PostgreSQL can't be used now, `OperationalError`", "the first start")
    refused(tmp_path, "secret-word://x", "the address of PostgreSQL can't be read")
    refused(tmp_path, url.replace(own_server.password, "secret-word"), "PostgreSQL can't be used now")
    with psycopg.connect(own_server.address(), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET fsync = off")
        db.execute("SELECT pg_reload_conf()")
    until(lambda: setting(own_server, "fsync") == "off")
    refused(tmp_path, url, "PostgreSQL runs with `fsync` off")
    assert not (tmp_path / "carnet-data").exists()


def test_an_address_that_is_new_has_to_be_reached_once(tmp_path, server):
    """So a typing error is found by whoever made it."""
    url = new_database(server)
    with served(tmp_path, url) as carnet:
        key = carnet.key
        assert stop(carnet) == 0
    refused(tmp_path, url.replace(f":{server.port}/", f":{free_port()}/"), "the first start")
    with served(tmp_path, url, key=key) as carnet:
        assert stop(carnet) == 0


def test_without_the_extra_it_is_said_which_one_is_needed(tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "psycopg.py").write_text("raise ModuleNotFoundError(name='psycopg')\n")
    said = "PostgreSQL needs the extra `postgres`: `pip install 'carnet[postgres]'`"
    refused(tmp_path, "postgresql://secret-word@nowhere/x", said, PYTHONPATH=str(tmp_path / "hidden"))


def test_the_address_is_not_shown_where_the_plan_is():
    assert "secret-word" not in repr(Plan(data=Path("x"), postgresql="postgresql://secret-word@x/x"))


def refused(folder, url, *said, **env):
    """It does not start, says so in one line, and nothing of the address."""
    with pytest.raises(AssertionError) as caught, running(folder, env={"CARNET_POSTGRESQL": url, **env}):
        pass
    text = str(caught.value).split("\nassert ")[0]
    for each in said:
        assert each in text
    assert "Traceback" not in text
    assert "secret-word" not in text
    assert len([line for line in text.splitlines() if "PostgreSQL" in line]) == 1


def setting(server, name):
    with psycopg.connect(server.address()) as db:
        return db.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]
