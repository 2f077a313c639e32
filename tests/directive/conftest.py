"""What the tests of directives share: letters, a law of few rules that is quick to decide by, the program."""

import datetime as dt
import hashlib
import re

import pytest
from click.testing import CliRunner

from carnet.cli import main
from carnet.model.time import Window
from carnet.rules.check import load
from carnet.rules.letters import PRONGS, Annex, Destination, Ends, Letter, Person
from carnet.service import directives as service
from carnet.store.desk import Desk
from carnet.store.directives import Directives
from carnet.store.shelves import shipped

TEXT = b"The text of a letter, as it came.\n"
NOW = dt.datetime(2026, 12, 1, 9, 0, tzinfo=dt.UTC)
FABLE, MYTHOS = "anthropic/claude-fable-5", "anthropic/claude-mythos-5"
FIRST = tuple(f"us.directive.2026-06-12.{prong}" for prong in PRONGS)
LITERAL = {"us.directive.2026-06-12.scope": "literal", "us.remote_inference": "sends"}
SHELF = {
    "us.directive.2026-06-12": "us/directives/2026/2026-06-12-fable-mythos.md",
    "us.directive.2026-06-26": "us/directives/2026/2026-06-26-annex-a.md",
    "us.directive.2026-06-30": "us/directives/2026/2026-06-30-lift.md",
}
SLOW = tuple(
    re.compile(f"us/ear/{part}") for part in ("73[28]", "74[26]", "774", "744/744.(2\\.|7|11|23)", "740/740")
)


def instant(text):
    return dt.datetime.fromisoformat(text)


def letter(**changes):
    """The record of an invented letter that asks for a license for any foreign person."""
    given = {
        "id": "us.directive.2026-09-01-atlas",
        "title": "The letter of 1 September 2026 on Atlas 3",
        "issuer": "an invented official",
        "office": "Invented Office",
        "dated": dt.date(2026, 9, 1),
        "digest": hashlib.sha256(TEXT).hexdigest(),
        "confidentiality": "a letter to one company",
        "cite": "15 CFR 744.22(b)",
        "binds": ("northwind",),
        "items": ("northwind/atlas-3",),
        "written": instant("2026-09-01T09:30:00-04:00"),
        "person": Person(),
    }
    return Letter(**(given | changes))


def june(day, **changes):
    """A letter of June 2026, as far as it is reported (the shelf's own pages have the sources)."""
    return letter(
        **{
            "id": f"us.directive.2026-06-{day}",
            "title": f"The letter of {day} June 2026",
            "issuer": "the Secretary of Commerce",
            "office": "US Department of Commerce",
            "dated": dt.date(2026, 6, day),
            "binds": ("anthropic",),
            "items": (FABLE, MYTHOS),
            "person": None,
            **changes,
        }
    )


JUNE = (
    june(
        12,
        also=("anthropic/claude-mythos-preview",),
        written=instant("2026-06-12T17:21:00-04:00"),
        deadline=instant("2026-06-12T18:51:00-04:00"),
        review=(
            "none reported for the letter",
            "15 CFR 744.22(e), as it stands: presumption of denial",
        ),
        person=Person(),
        destination=Destination(contested=True, exceptions=("GOV/744.22(c)",)),
    ),
    june(
        26,
        items=(MYTHOS,),
        written=Window(instant("2026-06-26T18:00:00-04:00"), instant("2026-06-27T00:00:00-04:00")),
        annex=Annex(
            entities=(
                "harborlight-grid",
                "meridian-health-system",
                "northfield-clearing-bank",
                "cascade-telecom",
                "bureau-of-invented-statistics",
            ),
            rules=FIRST,
            own_employees=True,
        ),
    ),
    june(
        30,
        written=Window(instant("2026-06-30T22:26:00+00:00"), instant("2026-06-30T22:55:00+00:00")),
        lifts=Ends(rules=FIRST, products=(FABLE, MYTHOS), choices=LITERAL),
    ),
)


def small():
    """The shipped shelf without what takes long: half of its provisions, and the cases of all."""
    cases = re.compile(rb"^```toml case\n.*?^```$", re.M | re.S)
    return {
        path: cases.sub(b"", data)
        for path, data in shipped().items()
        if not any(each.match(path) for each in SLOW)
    }


SMALL = small()


@pytest.fixture
def quick(monkeypatch):
    """Decides by the small law."""
    book = load(SMALL)
    monkeypatch.setattr(service, "shipped", lambda: SMALL)
    monkeypatch.setattr(service, "load_rulebook", lambda *_: book)
    monkeypatch.setattr("carnet.cli.directive.load_rulebook", lambda *_: book)


@pytest.fixture
def directives(tmp_path):
    with Desk.open(tmp_path) as desk:
        yield Directives(desk)


@pytest.fixture
def carnet(tmp_path, monkeypatch):
    """The program in a folder with a data directory and the text of a letter; never a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in ("CARNET_LAW", "CARNET_POLICY", "CARNET_DATA"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "carnet-data").mkdir(mode=0o700)
    (tmp_path / "letter.txt").write_bytes(TEXT)

    def run(*arguments):
        done = CliRunner().invoke(main, ["directive", *arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    return run
