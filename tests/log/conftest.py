"""What the tests of the outsider's side share: a real installation with records of several kinds, the program
as its users run it, and people with keys of their own."""

import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from tests.log.people import GONE, LONG_AGO, PASSPHRASE, People
from tests.service.conftest import FABLE, Hands

from carnet.cli import main
from carnet.model.transaction import read_transaction
from carnet.service.node import Node
from carnet.service.request import Request
from carnet.store.approvers import make_approver, open_approver
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook

OPUS = "anthropic/claude-opus-4-8"


class House:
    """An installation in a folder: `open` gives its node, `record` decides and waits until it is durable."""

    def __init__(self, data, rulebook=None, policy=None):
        self.data, self.hands = data, Hands()
        self.rulebook, self.policy = rulebook or load_rulebook(), policy or default_policy()

    def open(self):
        return Node(self.data, self.rulebook, self.policy, self.hands.clock())

    def request(self, product=FABLE, purpose="use", **recipient):
        facts = {"kind": "person", "location": "US", **recipient}
        text = {
            "at": self.hands.at.isoformat(),
            "event": "remote_access",
            "served_from": "US",
            "item": {"product": product, "form": "hosted", "provider": "anthropic"},
            "exporter": {"id": "anthropic", "kind": "company"},
            "recipient": facts,
        }
        return Request(transaction=read_transaction(msgspec.json.encode(text)), purpose=purpose)

    def record(self, node, *args, tenant="default", **recipient):
        pending = node.determiner.determine(tenant, self.request(*args, **recipient))
        pending.receipt.result(30)
        return pending.determined

    def fill(self, count=1):
        """Records of citizens, foreigners, people of whom nothing is known, and an end of a grant."""
        with self.open() as node:
            made = []
            for number in range(count):
                made.append(self.record(node, id=f"zoe-{number}.example", us_status="citizen"))
                made.append(self.record(node, id="bo.example", us_status="none", nationalities=["FR"]))
                made.append(self.record(node, id="cy.example"))
                made.append(self.record(node, OPUS, id="dee.example"))
                self.hands.go(60)
            assert node.meeting.use("default", self.request(id="zoe-0.example", us_status="citizen"))
        return made


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """An installation with a few records, made once."""
    made = House(tmp_path_factory.mktemp("filled") / "house")
    made.made = made.fill(2)
    return made


@pytest.fixture
def house(tmp_path, filled):
    """An installation with a few records, its node closed."""
    shutil.copytree(filled.data, tmp_path / "house")
    copy = House(tmp_path / "house")
    copy.made, copy.hands.at, copy.hands.passed = filled.made, filled.hands.at, filled.hands.passed
    return copy


@pytest.fixture
def carnet(tmp_path, monkeypatch):
    """The program, run in this process; every run is looked through for a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in ("CARNET_LAW", "CARNET_POLICY", "CARNET_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, stdin=None):
        done = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    return run


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory):
    """The key files of three people and what signs with them: made once, since a passphrase costs time."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("one", "two", "three"):
        make_approver(folder / f"{name}.key", f"{name}.example", PASSPHRASE)
    return {file: open_approver(file, PASSPHRASE) for file in folder.iterdir()}


@pytest.fixture
def old(tmp_path):
    """An installation whose first records are over by now, and whose last is not."""
    house = House(tmp_path / "house")
    house.hands.at = LONG_AGO
    with house.open() as node:
        for subject in GONE:
            house.record(node, OPUS, id=subject, us_status="citizen")
            house.record(node, OPUS, id=subject, location="CA")
    house.hands.at = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with house.open() as node:
        house.record(node, OPUS, id="kim.example")
    return house


@pytest.fixture
def people(tmp_path, old, carnet, made_keys):
    return People(tmp_path, old.data, carnet, made_keys)


def elsewhere(folder, *arguments, code=0, env=None):
    """The program in a process of its own, in a folder and with nothing else of this machine."""
    done = subprocess.run(
        [Path(sys.executable).parent / "carnet", *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
