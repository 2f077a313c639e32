"""What the commands print, word for word. `CARNET_WRITE_GOLDENS=1` writes the files anew; read the difference
before committing it."""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from carnet.cli import main

HERE = Path(__file__).parent
USES = sorted(path.name for path in (HERE / "transactions").glob("*.toml"))
PAGES = {
    "us.directive.2026-06-12.person": ["--at", "2026-06-13T00:00:00Z"],
    "us.directive.2026-06-12.models": [],
    "us.directive.2026-06-12.named-models": [],
    "us.directive.2026-06-12.user-abroad": [],
    "us.directive.2026-06-26.carve-out": [],
}
COMMANDS = {
    **{f"check-{name.removesuffix('.toml')}": ["check", name] for name in USES},
    **{f"explain-{name.removesuffix('.toml')}": ["explain", name] for name in USES},
    "explain-timeline": ["explain", "foreign-person.toml", "--timeline"],
    "replay": ["replay", "june-2026"],
    **{f"show-{name}": ["rules", "show", name, *more] for name, more in PAGES.items()},
}


def steady(text):
    """The text without what every edit of the law changes: the digest, line numbers, lengths of lists."""
    text = re.sub(r"rulebook [0-9a-f]{12}", "rulebook …", text)
    text = re.sub(r"(\.md):\d+", r"\1:…", text)
    return re.sub(r"and \d+ more", "and … more", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_prints_what_it_printed(name, monkeypatch):
    monkeypatch.chdir(HERE / "transactions")
    monkeypatch.setenv("COLUMNS", "100")
    done = CliRunner().invoke(main, COMMANDS[name])
    assert done.stderr == ""
    text = steady(f"{done.stdout}exit {done.exit_code}\n")
    file = HERE / f"{name}.txt"
    if os.environ.get("CARNET_WRITE_GOLDENS"):
        file.write_text(text, "utf-8")
    assert file.read_text("utf-8") == text, "read the difference; then CARNET_WRITE_GOLDENS=1 writes it"


def test_no_golden_is_left_over():
    assert {file.stem for file in HERE.glob("*.txt")} == set(COMMANDS)
