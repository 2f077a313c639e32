"""Every example in a page is run as a reader would, from an empty folder, and prints what the page shows.

An example is a fence with the info string `console`: lines that start with `$ ` are typed, the lines below
are what they print, in that order. A line `…` stands for any number of lines that the page leaves out. A
line `# exit N` says that the command before it ends with N, otherwise 0. Fences with the info string
`toml FILE`, `json FILE` or `markdown FILE` are files that the reader has written by then.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(`{3,})(\S+)(?: +([^\n]+))?\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def steps(text):
    """The files and commands of a page in reading order: ("file", name, text) or ("run", command, shown)."""
    for _, kind, name, body in FENCE.findall(text):
        if kind in {"toml", "json", "markdown"} and name and re.fullmatch(r"[\w./-]+\.(toml|json|md)", name):
            yield "file", name, body
        elif kind == "console":
            for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, shown = command.partition("\n")
                yield "run", line, shown


def pattern_of(shown):
    """The regular expression of what a page shows."""
    lines = [line.rstrip() for line in shown.rstrip().splitlines() if not line.startswith("# exit ")]
    parts = [r"(?:[^\n]*\n)*?" if line.strip() == "…" else re.escape(line) + r"[ ]*\n" for line in lines]
    return re.compile("".join(parts) + r"\s*")


def run_page(page, folder):
    """Do what the page says, in the folder; how many commands were run."""
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    count = 0
    for kind, head, body in steps(page.read_text("utf-8")):
        if kind == "file":
            (folder / head).parent.mkdir(parents=True, exist_ok=True)
            (folder / head).write_text(body, "utf-8")
            continue
        wanted = re.search(r"^# exit (\d+)$", body, re.MULTILINE)
        done = subprocess.run(
            ["bash", "-c", head],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == int(wanted[1] if wanted else 0), f"$ {head}\n{done.stdout}{done.stderr}"
        assert pattern_of(body).fullmatch(done.stdout + done.stderr), (
            f"$ {head}\n{done.stdout}{done.stderr}\nbut the page shows:\n{body}"
        )
        count += 1
    return count


RUN = [page for page in PAGES if any(step[0] == "run" for step in steps(page.read_text("utf-8")))]


@pytest.mark.real
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_does_what_it_shows(page, tmp_path):
    assert run_page(page, tmp_path) > 0


def test_a_page_that_shows_something_else_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one; echo two; exit 3\none\n…\n# exit 3\n```\n")
    assert run_page(page, tmp_path) == 1
    page.write_text("```console\n$ echo one\ntwo\n```\n")
    with pytest.raises(AssertionError, match="but the page shows"):
        run_page(page, tmp_path)
    page.write_text("```console\n$ exit 1\n```\n")
    with pytest.raises(AssertionError, match="exit 1"):
        run_page(page, tmp_path)
