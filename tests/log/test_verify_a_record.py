"""The page docs/how-to/verify-a-record.md: it does what it shows, its checks need nothing of the operator,
and its second program agrees with ours."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.test_examples import FENCE, run_page, steps
from tests.ledger.memory import LOG, ORIGIN, records, stored
from tests.log.test_outside import alone

from carnet.ledger import checkpoint, proof
from carnet.ledger.checkpoint import Checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "verify-a-record.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which a reader has done what the page says."""
    made = tmp_path_factory.mktemp("reader")
    assert run_page(PAGE, made) > 10
    return made


@pytest.fixture
def outsider(folder, tmp_path):
    """Another one, with the two files and the key and nothing else."""
    for name in ("one.tlog-proof", "export.zip", "log.pub"):
        shutil.copy(folder / name, tmp_path)
    return tmp_path


@pytest.fixture
def second(outsider):
    """The page's own program, run on a proof and a key; whether it is content."""
    (source,) = [body for _, kind, name, body in FENCE.findall(PAGE.read_text("utf-8")) if kind == "python"]
    (outsider / "check.py").write_text(source, "utf-8")
    assert "carnet" not in source

    def run(proof):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-I", "check.py", proof, "log.pub"],
            cwd=outsider,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode == 0, done.stdout

    return run


@pytest.mark.real
def test_the_checks_of_the_page_need_no_network_and_nothing_of_the_operator(outsider):
    key = (outsider / "log.pub").read_text().strip()
    said = [command for kind, command, _ in steps(PAGE.read_text("utf-8")) if kind == "run"]
    checks = [each for each in said if each.startswith(("carnet log verify", "carnet log replay"))]
    whole = [each for each in checks if "changed" not in each]
    assert len(whole) == 3
    for command in whole:
        arguments = command.replace('"$(cat log.pub)"', key).split()[1:]
        printed = alone(outsider, *arguments)
        assert "verified" in printed or "1 decided again alike" in printed
    assert sorted(each.name for each in outsider.iterdir()) == ["export.zip", "log.pub", "one.tlog-proof"]


@pytest.mark.real
def test_the_second_program_agrees_with_ours_on_what_holds_and_what_does_not(outsider, second):
    content, printed = second("one.tlog-proof")
    assert content
    assert '"kind":"determination"' in printed
    key = (outsider / "log.pub").read_text().strip()
    right = (outsider / "one.tlog-proof").read_text()
    changes = [
        (r"^index 0$", "index 1"),
        (r"^extra e", "extra f"),
        (r"^carnet\.example/node-1$", "carnet.example/node-2"),
        (r"\n1\n", "\n2\n"),
        (r"(— \S+ \S{20})A?(.)", r"\1B\2"),
    ]
    for old, new in changes:
        wrong = re.sub(old, new, right, count=1, flags=re.MULTILINE)
        assert wrong != right
        (outsider / "wrong.tlog-proof").write_text(wrong)
        assert not second("wrong.tlog-proof")[0], old
        alone(outsider, "log", "verify", "wrong.tlog-proof", "--key", key, code=5)


@pytest.mark.real
def test_the_second_program_reads_proofs_of_every_shape(outsider, second, tmp_path):
    """Records of logs of other sizes, so that each way up the tree is taken."""
    (outsider / "log.pub").write_text(f"{LOG.verifier}\n")
    for size in (1, 2, 3, 5, 8, 9):
        memory, tree = stored(records(size))
        signed = checkpoint.signed(Checkpoint(ORIGIN, size, tree.root), [LOG]).data
        for index in range(size):
            made = proof.made(memory, index, signed)
            (outsider / "p").write_bytes(made.data)
            assert second("p") == (True, f"record {index}\n")
            if size > 1:
                other = proof.Proof((index + 1) % size, made.path, signed, made.extra)
                (outsider / "p").write_bytes(other.data)
                assert not second("p")[0]
