"""`carnet serve` and a collector that speaks OTLP over HTTP: which spans arrive, what is never in them."""

import contextlib
import http.server
import json
import socket
import subprocess
import sys
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.web.conftest import inquiry, transaction
from tests.web.processes import running, stop

from carnet.web.tracing import ATTRIBUTES

NAME, DOCUMENT = "Zbigniew Brzeczyszczykiewicz", "D9911223344"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(http.server.ThreadingHTTPServer):
    """Keeps the bytes that it is sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Keeping)
        self.bodies = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def resources(self):
        return [
            one for body in self.bodies for one in ExportTraceServiceRequest.FromString(body).resource_spans
        ]

    @property
    def spans(self):
        return [span for one in self.resources for scope in one.scope_spans for span in scope.spans]

    def expect(self, count):
        until = time.monotonic() + 30
        while len(self.spans) < count:
            assert time.monotonic() < until, [span.name for span in self.spans]
            time.sleep(0.05)
        return self.spans


class Keeping(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said):
        pass


@pytest.fixture
def collector():
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def to(url):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


def attributes(span):
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def personal():
    """An inquiry about somebody, with as much of them as a transaction takes."""
    return {
        "purpose": "inquiry",
        "transaction": transaction(id=NAME, nationalities=["PL"], us_status="none")
        | {"licenses": [DOCUMENT], "parties": {"end_user": [{"id": NAME, "location": "DE"}]}},
    }


@pytest.mark.real
def test_each_request_is_a_span_and_nothing_of_anybody_is_in_it(tmp_path, collector):
    with running(tmp_path, env=to(collector.url)) as server:
        made_ready(server)
        tracking = {"traceparent": PARENT, "tracestate": f"caller={DOCUMENT}", "baggage": f"who={DOCUMENT}"}
        answer = server.post("/v1/determinations", personal(), headers=tracking)
        assert answer.status_code == 200, answer.text
        record = answer.json()["id"]
        assert server.ask("GET", f"/v1/records/{record}").status_code == 200
        assert server.ask("GET", "/v1/subjects/Zbigniew%20Brzeczyszczykiewicz").status_code in (200, 404)
        assert server.ask("GET", "/v1/records", params={"party": NAME}).status_code == 200
        assert server.post("/v1/determinations", {"nonsense": NAME}).status_code == 400
        assert server.ask("GET", "/healthz", headers={"Authorization": "Bearer ck_wrong"}).status_code == 200
        assert stop(server) == 0
        spans = collector.expect(7)
    by_name = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    assert set(by_name) == {
        "POST /v1/determinations",
        "GET /v1/records/{id}",
        "GET /v1/records",
        "GET /v1/subjects/{id}",
        "GET /healthz",
    }
    *_, first, refused = sorted(
        by_name["POST /v1/determinations"], key=lambda span: span.start_time_unix_nano
    )
    assert attributes(first) == {
        "http.request.method": "POST",
        "http.route": "/v1/determinations",
        "http.response.status_code": 200,
        "carnet.outcome": answer.json()["determination"]["outcome"],
        "carnet.epoch": answer.json()["epoch"],
        "carnet.node": 0,
    }
    assert f"00-{first.trace_id.hex()}-{first.parent_span_id.hex()}-01" == PARENT
    assert first.end_time_unix_nano > first.start_time_unix_nano
    assert attributes(refused)["carnet.outcome"] == "malformed"
    assert not refused.parent_span_id
    assert "carnet.outcome" not in attributes(by_name["GET /healthz"][0])
    for span in spans:
        assert set(attributes(span)) <= set(ATTRIBUTES)
        assert (span.trace_state, list(span.events), span.status.message) == ("", [], "")
    assert {each.key for one in collector.resources for each in one.resource.attributes} == {"service.name"}
    sent = b"".join(collector.bodies)
    private = [
        NAME,
        NAME.replace(" ", "%20"),
        "Brzecz",
        DOCUMENT,
        '"PL"',
        record,
        server.key,
        "default",
        "ck_",
    ]
    assert [text for text in private if text.encode() in sent] == []


def made_ready(server):
    """Ask until the law of June is compiled: a busy machine takes longer than a determination may."""
    until = time.monotonic() + 60
    while server.post("/v1/determinations", inquiry()).status_code != 200:
        assert time.monotonic() < until


SMALL = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
"""A queue that is soon full."""


@contextlib.contextmanager
def deaf():
    """Takes connections and answers nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.real
def test_a_collector_that_does_not_answer_neither_slows_nor_fails_anything(tmp_path):
    with deaf() as url, running(tmp_path, env=to(url) | SMALL) as server:
        made_ready(server)
        for _ in range(30):
            started = time.monotonic()
            assert server.post("/v1/determinations", inquiry()).status_code == 200
            assert time.monotonic() - started < 5
        started = time.monotonic()
        assert stop(server) == 0
        assert time.monotonic() - started < 15
        assert "user" not in server.said.partition("Not legal advice.")[2]


@pytest.mark.real
def test_variables_that_can_not_be_used_are_told_at_the_start(tmp_path):
    env = to("http://127.0.0.1:1") | {"OTEL_BSP_MAX_QUEUE_SIZE": "2"}
    with pytest.raises(AssertionError) as caught, running(tmp_path, env=env):
        pass
    assert "OpenTelemetry does not take what its variables say" in str(caught.value)
    assert "unexpected error" not in str(caught.value)


@pytest.mark.real
def test_without_the_extra_the_start_says_what_to_install(tmp_path):
    (tmp_path / "opentelemetry.py").write_text("")  # a module in place of the package: nothing is below it
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from carnet.cli.main import main; main(['serve', '--listen', '127.0.0.1:0'])",
        ],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(tmp_path),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'carnet[otel]'" in done.stderr
    assert not (tmp_path / "carnet-data").exists()


@pytest.mark.real
def test_without_the_variable_nothing_of_it_is_loaded(tmp_path):
    program = """\
import json, sys
from pathlib import Path
from tests.web.conftest import inquiry, serving
with serving(Path(sys.argv[1])) as service:
    assert service.post("/v1/determinations", inquiry(), "decide").status_code == 200
print(json.dumps([name for name in sys.modules if "opentelemetry" in name or "google.protobuf" in name]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={"PYTHONPATH": "."},
    )
    assert json.loads(done.stdout) == []
