"""The list of skips is kept: pytest is run on small invented trees with our own conftest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SKIPPING = {
    "in_the_test": "import pytest\n\n\ndef test_it():\n    pytest.skip('no peer here')\n",
    "as_a_module": "import pytest\n\npytest.skip('no peer here', allow_module_level=True)\n",
}


def run(folder, text, listed, require):
    """Pytest on one file, in a tree with our conftest and one listed skip; its exit code and output."""
    shutil.copy(TESTS / "conftest.py", folder / "conftest.py")
    (folder / "test_peer.py").write_text(text)
    (folder / "skips.toml").write_text(
        f'[[skip]]\ntest = "{listed}"\npart = "peers"\nreason = "an invented one"\n'
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(folder),
            str(folder),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CARNET_REQUIRE": require},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("text", SKIPPING.values(), ids=SKIPPING.keys())
def test_a_skip_that_is_not_listed_fails_the_run(tmp_path, text):
    code, said = run(tmp_path, text, "test_other.py", "")
    assert code != 0
    assert "does not say why it may be" in said


@pytest.mark.parametrize("text", SKIPPING.values(), ids=SKIPPING.keys())
def test_a_listed_skip_fails_where_its_part_is_required(tmp_path, text):
    code, said = run(tmp_path, text, "test_peer.py", "peers")
    assert code != 0
    assert "CARNET_REQUIRE asks for `peers`" in said


def test_a_listed_skip_is_a_skip(tmp_path):
    code, said = run(tmp_path, SKIPPING["in_the_test"], "test_peer.py", "")
    assert code == 0
    assert "1 skipped" in said


def test_requiring_a_part_that_nothing_knows_is_refused(tmp_path):
    code, said = run(tmp_path, SKIPPING["in_the_test"], "test_peer.py", "peeers")
    assert code == 4
    assert "CARNET_REQUIRE names `peeers`" in said
