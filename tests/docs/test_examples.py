"""Every example in a page is run as a reader would, from an empty folder, and prints what the page shows.

An example is a fence with the info string `console`: lines that start with `$ ` are typed, the lines below
are what they print, in that order. A line `…` stands for any number of lines that the page leaves out. A
line `# exit N` says that the command before it ends with N, otherwise 0. Fences with the info string
`toml FILE`, `json FILE`, `markdown FILE` or `python FILE` are files that the reader has written by then. What
takes more than the program, such as a PostgreSQL, has the info string `console PART` and is run by a test
that has it.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(`{3,})(\S+)(?: +([^\n]+))?\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
FILES = {"toml": "toml", "json": "json", "markdown": "md", "python": "py"}
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def steps(text, part=""):
    """The files and commands of a page in reading order: ("file", name, text) or ("run", command, shown)."""
    for _, kind, name, body in FENCE.findall(text):
        if kind in FILES and re.fullmatch(rf"[\w./-]+\.{FILES[kind]}", name):
            yield "file", name, body
        elif kind == "console" and name == part:
            for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, shown = command.partition("\n")
                yield "run", line, shown


def pattern_of(shown):
    """The regular expression of what a page shows."""
    lines = [line.rstrip() for line in shown.rstrip().splitlines() if not line.startswith("# exit ")]
    parts = [r"(?:[^\n]*\n)*?" if line.strip() == "…" else re.escape(line) + r"[ ]*\n" for line in lines]
    return re.compile("".join(parts) + r"\s*")


@contextlib.contextmanager
def commands(folder, **more):
    """Runs a command of a page in the folder, each in a session of its own, with more in its environment.
    Whatever one of them left running is killed at the end, also when the page was given up in the middle."""
    sessions = []
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        **more,
    }

    def run(command, timeout=120):
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            sessions.append(process.pid)
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                killed(process.pid)  # who holds the pipe would be waited for
                raise
        if not goes_on(process.pid):
            sessions.remove(process.pid)  # its number may be another's by the end
        return process.returncode, out + err

    try:
        yield run
    finally:
        for session in sessions:
            killed(session)


def goes_on(session):
    """Whether something that a command has started still runs."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def killed(session):
    """End what a command has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def run_page(page, folder, part="", **more):
    """Do what the page says, in the folder; how many commands were run."""
    count = 0
    with commands(folder, **more) as run:
        for kind, head, body in steps(page.read_text("utf-8"), part):
            if kind == "file":
                (folder / head).parent.mkdir(parents=True, exist_ok=True)
                (folder / head).write_text(body, "utf-8")
                continue
            wanted = re.search(r"^# exit (\d+)$", body, re.MULTILINE)
            code, said = run(head)
            assert code == int(wanted[1] if wanted else 0), f"$ {head}\n{said}"
            assert pattern_of(body).fullmatch(said), f"$ {head}\n{said}\nbut the page shows:\n{body}"
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


@pytest.mark.parametrize("after", ["$ exit 1\n", "$ kill $(cat pid)\n", "$ sleep 60\n"])
def test_what_a_page_left_running_is_ended_whatever_happens(tmp_path, monkeypatch, after):
    """Also if it is given up in the middle, or a command does not end: here after a second."""
    page, communicate = tmp_path / "page.md", subprocess.Popen.communicate
    monkeypatch.setattr(subprocess.Popen, "communicate", lambda self, timeout: communicate(self, timeout=1))
    page.write_text(f"```console\n$ sleep 300 > out.txt 2>&1 & echo $! > pid\n{after}```\n")
    with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
        run_page(page, tmp_path)
    pid, end = int((tmp_path / "pid").read_text()), time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.05)
