"""What the tests of the command line share: the program itself, a transaction and an operator's shelf."""

import io
import sys

import pytest
from click.testing import CliRunner

from carnet.cli import main

USE = """\
at = 2026-06-13T14:00:00Z
event = "remote_access"
served_from = "US"

[item]
product = "anthropic/claude-mythos-5"
provider = "anthropic"
form = "hosted"

[exporter]
id = "anthropic"

[recipient]
kind = "person"
location = "US"
"""

FRONT = """\
+++
format = 1
title = "An invented letter"
source = "Invented"
dated = 2026-09-01
verified = 2026-09-01
+++

An invented letter.
"""


@pytest.fixture
def carnet(tmp_path, monkeypatch):
    """The program, run in an empty folder; every run is looked through for a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CARNET_LAW", raising=False)
    monkeypatch.delenv("CARNET_POLICY", raising=False)

    def run(*arguments, stdin=None):
        done = CliRunner().invoke(main, list(arguments), input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    return run


@pytest.fixture
def use(tmp_path):
    """Writes a transaction: the usual one, with lines replaced."""

    def write(*changes, name="use.toml"):
        text = USE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text, "utf-8")
        return name

    return write


@pytest.fixture
def shelf(tmp_path):
    """Writes a shelf of one letter, `law/us/letters/x.md`, with the given blocks."""

    def write(*blocks, name="us/letters/x.md", front=FRONT):
        file = tmp_path / "law" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(front + "\n" + "\n".join(blocks), "utf-8")
        return "law"

    return write


def block(kind, /, **keys):
    """A block as text: every key with its TOML text."""
    given = {"id": '"us.letter.x"', "cite": '"letter"', "from_": "2026-09-01"} | keys
    return "\n".join(
        [f"```toml {kind}", *(f"{key.rstrip('_')} = {text}" for key, text in given.items()), "```\n"]
    )


@pytest.fixture
def closed_pipe(monkeypatch):
    """Standard output whose reader has left."""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
