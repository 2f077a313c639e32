"""What the tests of the service share: a real node in an empty folder, with a clock that the test sets."""

import datetime as dt

import msgspec
import pytest

from carnet.model.transaction import read_transaction
from carnet.service.clock import Clock
from carnet.service.node import Node
from carnet.service.request import Request
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook

START = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)
SECOND = 1_000_000_000
FABLE = "anthropic/claude-fable-5"


class Hands:
    """A wall clock and another that a test sets."""

    def __init__(self):
        self.at, self.passed = START, 5 * SECOND

    def go(self, seconds):
        self.at += dt.timedelta(seconds=seconds)
        self.passed += int(seconds * SECOND)

    def clock(self, last=None):
        return Clock(lambda: self.at, lambda: self.passed, last)


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture(scope="session")
def rulebook():
    return load_rulebook()


@pytest.fixture
def opened(tmp_path, rulebook, hands):
    """Opens the node, again after a stop."""

    def now(clock=None):
        return Node(tmp_path / "data", rulebook, default_policy(), clock or hands.clock())

    return now


@pytest.fixture
def node(opened):
    with opened() as node:
        yield node


@pytest.fixture
def asked(hands):
    """A use of Fable 5 in the United States by somebody, as of now."""

    def request(product=FABLE, purpose="use", more="", **recipient):
        facts = {"kind": "person", "location": "US", **recipient}
        said = msgspec.json.encode(facts).decode()
        text = f"""{{
            "at": "{hands.at.isoformat()}", "event": "remote_access", "served_from": "US",
            "item": {{"product": "{product}", "form": "hosted", "provider": "anthropic"}},
            "exporter": {{"id": "anthropic", "kind": "company"}},
            "recipient": {said}{more}
        }}"""
        return Request(transaction=read_transaction(text.encode()), purpose=purpose)

    return request
