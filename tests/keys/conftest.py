"""What the tests of keys share: an installation in an empty folder, the program, and a look for secrets."""

import base64
import datetime as dt

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from carnet.cli import main
from carnet.store.keys import Keyring

NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(days=30)
NAME = "carnet.example/node-1"


@pytest.fixture
def data(tmp_path):
    """The path of a data directory that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def keyring(data):
    """New keys in it."""
    return Keyring.create(data, NAME, NOW)


@pytest.fixture
def carnet(tmp_path, monkeypatch):
    """The program, run in an empty folder; every run is looked through for a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in ("CARNET_LAW", "CARNET_POLICY", "CARNET_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, stdin=None):
        done = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    return run


def secrets_of(directory):
    """Every secret that the key files of a directory hold, in each form in which it might leak."""
    found = set()
    for file in directory.iterdir():
        if file.suffix == ".pem":
            raw = load_pem_private_key(file.read_bytes(), None).private_bytes_raw()
            body = "".join(file.read_text().splitlines()[1:-1])
            found |= {body, body[-43:]}
        elif file.suffix == ".secret":
            raw = base64.b64decode(file.read_bytes())
        else:
            continue
        found |= {raw.hex(), repr(raw), base64.b64encode(raw).decode().rstrip("=")}
        found.add(base64.urlsafe_b64encode(raw).decode().rstrip("="))
    return found


def assert_no_secret(text, secrets):
    """None of the secrets stands in the text."""
    assert secrets
    leaked = [each for each in secrets if each in text]
    assert not leaked
