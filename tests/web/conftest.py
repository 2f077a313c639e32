"""What the tests of the service share: a real server on a real socket, keys of tenants, and what is sent."""

import contextlib
import datetime as dt
import threading

import httpx
import pytest
import uvicorn

from carnet.cli.listening import listening as listening_at
from carnet.service.clock import Clock
from carnet.service.node import Node
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook
from carnet.web.app import app
from carnet.web.serving import Settings

FABLE, OPUS = "anthropic/claude-fable-5", "anthropic/claude-opus-4-8"
JUNE = "2026-06-13T14:00:00Z"
PLENTY = Settings(rate=1e6, burst=10**6, deadline=20.0, flush_seconds=3600.0)
"""No limit is met, and a machine that is busy with something else is waited for."""


class Service:
    """A node that listens, and who may ask it."""

    def __init__(self, node, url):
        self.node, self.url = node, url
        self._keys = {}

    def key(self, *roles, tenant="a"):
        """A key of a tenant, made when it is first asked for."""
        who = (tenant, roles)
        if who not in self._keys:
            self._keys[who] = self.node.api_keys.add(tenant, roles, dt.datetime.now(dt.UTC))[1]
        return self._keys[who]

    def bearer(self, *roles, tenant="a"):
        return {"Authorization": f"Bearer {self.key(*roles, tenant=tenant)}"}

    @contextlib.contextmanager
    def client(self, *roles, tenant="a", **more):
        with httpx.Client(
            base_url=self.url, headers=self.bearer(*roles, tenant=tenant), timeout=60, **more
        ) as client:
            yield client

    def get(self, path, *roles, tenant="a", **more):
        return self.ask("GET", path, *roles, tenant=tenant, **more)

    def post(self, path, document, *roles, tenant="a", **more):
        return self.ask("POST", path, *roles, tenant=tenant, json=document, **more)

    def ask(self, method, path, *roles, tenant="a", headers=None, **more):
        sent = self.bearer(*(roles or ("decide", "read", "administer")), tenant=tenant) | (headers or {})
        return httpx.request(method, self.url + path, headers=sent, timeout=60, **more)

    def size(self):
        """How many records the log has."""
        with self.node.log.reading() as reading:
            return reading.size


@contextlib.contextmanager
def listening(node, settings=PLENTY, **more):
    """The service on a node, in a thread, on a free port."""
    sock = listening_at("127.0.0.1:0", "")
    config = uvicorn.Config(
        app(node, settings, **more), http="h11", ws="none", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield Service(node, f"http://127.0.0.1:{sock.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


@pytest.fixture(scope="session")
def rulebook():
    return load_rulebook()


@contextlib.contextmanager
def serving(data, settings=PLENTY, clock=None, **more):
    with (
        Node(data, load_rulebook(), default_policy(), clock) as node,
        listening(node, settings, **more) as service,
    ):
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service for all tests of a module: each makes what it looks for."""
    with serving(tmp_path_factory.mktemp("served") / "data") as service:
        yield service


def transaction(at=JUNE, product=FABLE, **recipient):
    """Somebody in the United States at a hosted model; the 13th of June 2026, unless said otherwise."""
    return {
        "at": at,
        "event": "remote_access",
        "served_from": "US",
        "item": {"product": product, "form": "hosted", "provider": "anthropic"},
        "exporter": {"id": "anthropic", "kind": "company"},
        "recipient": {"kind": "person", "location": "US", **recipient},
    }


def inquiry(**recipient):
    return {"purpose": "inquiry", "transaction": transaction(**recipient)}


def now():
    return dt.datetime.now(dt.UTC).isoformat()


def use(**recipient):
    """A use of a model now."""
    return {"transaction": transaction(at=now(), **recipient)}


def problem(response, name, status):
    """The problem document of an answer, which is this one."""
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["type"], document["status"], response.status_code) == (
        f"/problems/{name}",
        status,
        status,
    ), document
    assert set(document) == {"type", "title", "status", "detail"}
    return document


class Hands:
    """A wall clock and another that a test sets."""

    def __init__(self):
        self.at, self.passed = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC), 5_000_000_000

    def clock(self):
        return Clock(lambda: self.at, lambda: self.passed)


@pytest.fixture
def hands():
    return Hands()


from tests.witness.conftest import certificate  # noqa: E402,F401 -- a fixture that both have
