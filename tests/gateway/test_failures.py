"""What happens when something is away: each line of the table in docs/reference/gateway.md, the gateway in
a process of its own. The lines about clocks, breaking off and too many determinations are in `test_turning`,
`test_proxy` and `test_door`."""

import json
import resource
import signal
import sqlite3
import threading
import time

import httpx
import pytest
from tests.gateway.process import ASK, Gateway
from tests.gateway.stub import Served
from tests.web.test_watching import LIST

from carnet.store.keys import Keyring
from carnet.store.origins import LOG, named
from carnet.store.sqlite.log import open_log

pytestmark = pytest.mark.real
OTHER = ASK | {"model": "claude-fable-5"}
NOT_FOUND = json.dumps(
    {"type": "error", "error": {"type": "not_found_error", "message": "model: plain-model"}}
)


@pytest.fixture
def gateway(tmp_path):
    with Gateway(tmp_path) as gateway:
        yield gateway


def code(answer):
    return answer.json()["error"]["carnet"]["code"]


def reading(gateway, who, lines, **more):
    """A stream that is read in a thread."""
    with httpx.stream(
        "POST",
        gateway.url + "/v1/messages",
        json=ASK | {"stream": True} | more,
        headers={"x-api-key": gateway.keys[who], "stub-events": "3000", "stub-pause": "0.02"},
        timeout=30,
    ) as answer:
        for line in answer.iter_lines():
            lines.append(line)


def opened(gateway, who="dana", **more):
    lines = []
    thread = threading.Thread(target=reading, args=(gateway, who, lines), kwargs=more)
    thread.start()
    until(lambda: len(lines) > 10)
    return thread, lines


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_served_is_on_record_when_the_gateway_is_killed_and_it_starts_again_without_hands(gateway):
    gateway.start()
    assert gateway.ask("dana").status_code == 200
    assert gateway.ask("elodie").status_code == 403
    gateway.kill(signal.SIGKILL)
    gateway.start()
    assert gateway.ask("dana").status_code == 200
    gateway.kill(signal.SIGTERM)
    assert [leaf["action"] for leaf in _leaves(gateway) if "action" in leaf] == ["serve", "refuse", "serve"]


def _leaves(gateway):
    home = gateway.folder / "data"
    name = named(home, Keyring.open(home))
    with open_log(home / LOG, name.origin, name.signers, name.verifiers) as log, log.reading() as reading:
        return [json.loads(leaf) for leaf in reading.leaves(0, reading.size)]


def test_while_the_log_can_not_record_controlled_items_are_503_and_open_answers_of_them_are_cut(gateway):
    gateway.start()
    assert gateway.ask("elodie", OTHER).status_code == 200
    thread, lines = opened(gateway)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (1, 1))
    assert (gateway.ask("elodie").status_code, code(gateway.ask("elodie"))) == (503, "carnet_unavailable")
    assert gateway.ask("dana").status_code == 503
    thread.join(30)
    assert any('"code":"carnet_unavailable"' in line for line in lines)
    assert not any("message_stop" in line for line in lines)


def test_law_with_a_mistake_changes_nothing_and_law_without_cuts_at_once(gateway):
    gateway.write(when='recipient.location == "KP"')
    gateway.start()
    thread, lines = opened(gateway, "elodie")
    gateway.write(when="recipient.locatoin == 'FR'")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says("nothing was changed")
    assert gateway.ask("elodie").status_code == 200
    gateway.write()
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says("is in force")
    thread.join(30)
    assert any('"code":"export_control_denied"' in line for line in lines)
    assert gateway.ask("elodie").status_code == 403
    assert gateway.ask("dana").status_code == 200


def test_an_upstream_that_is_away_is_502_or_the_other_model(gateway):
    gateway.main.__exit__()
    gateway.start(policy=True)
    answer = gateway.ask("dana")
    assert answer.headers["x-carnet-substituted-for"] == "plain-model"
    assert answer.json()["model"] == "claude-opus-4-8"
    gateway.kill()
    gateway.start()
    assert (gateway.ask("dana").status_code, code(gateway.ask("dana"))) == (502, "upstream_failed")
    gateway.main.__enter__()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, NOT_FOUND),
        (451, "{}"),
        (403, '{"error": {"code": "unsupported_country_region_territory", "type": "request_forbidden"}}'),
    ],
)
def test_a_model_that_its_upstream_does_not_offer_any_more_is_answered_by_the_other_and_counted(
    gateway, status, body
):
    gateway.start(policy=True)
    gateway.main.paths["/v1/messages"] = Served((body.encode(),), status)
    answer = gateway.ask("dana")
    assert (answer.status_code, answer.json()["model"]) == (200, "claude-opus-4-8")
    figures = httpx.get(gateway.url + "/carnet/metrics").text
    assert "carnet_gateway_possible_upstream_suspension_total{" in figures
    assert "possible_upstream_suspension" in gateway.said
    assert "dana" not in gateway.said
    gateway.kill()
    gateway.start()
    answer = gateway.ask("dana")
    assert (answer.status_code, answer.text) == (status, body)


def test_a_database_of_keys_that_can_not_be_read_lets_nobody_in(gateway):
    gateway.start()
    assert gateway.ask("elodie", OTHER).status_code == 200
    desk = next((gateway.folder / "data").glob("desk.db"))
    with sqlite3.connect(desk, isolation_level=None) as connection:
        connection.execute("ALTER TABLE api_keys RENAME TO gone")
    assert (gateway.ask("elodie", OTHER).status_code, code(gateway.ask("dana"))) == (
        503,
        "carnet_unavailable",
    )


def test_a_witness_that_is_away_for_too_long_stops_what_is_controlled(gateway):
    (gateway.folder / "data" / "witnesses.toml").write_text(LIST, "utf-8")
    gateway.start()
    assert (gateway.ask("dana").status_code, code(gateway.ask("dana"))) == (503, "carnet_unavailable")
    assert gateway.ask("elodie", OTHER).status_code == 200


def test_what_is_wrong_with_callers_and_policy_is_said_at_the_start(gateway):
    text = gateway.config.read_text("utf-8")
    more = '[[caller]]\nkey = "0123456789ab"\nsubject = "nobody"\n'
    gateway.config.write_text(text.replace('subject = "elodie"', 'subject = "elodei"') + more, "utf-8")
    policy = gateway.folder / "policy.toml"
    policy.write_text(policy.read_text("utf-8") + '"plain-model" = "example/plain-model"\n', "utf-8")
    gateway.start(policy=True)
    assert "controlled here: plain-model\n" in gateway.said
    assert "no API key has the id `0123456789ab`" in gateway.said
    assert "nothing is on record of the subject `elodei`" in gateway.said
    assert "names `plain-model`, which is no item of a model here; did you mean" in gateway.said
