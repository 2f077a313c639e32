"""Keys that are rotated while `carnet serve` runs: what goes on, what waits for the next start, and that
nothing is lost by it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.web.conftest import inquiry, problem
from tests.web.processes import running, stop
from tests.web.test_serve import warm

from carnet.ledger import checkpoint, note, proof
from carnet.store.keys import Keyring

pytestmark = pytest.mark.real

PATH = "/v1/determinations"
CARNET = Path(sys.executable).parent / "carnet"


def rotate(folder, role, *more):
    command = [CARNET, "keys", "rotate", role, "--data", "carnet-data", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def signed_by(server):
    """The id of the key that signed the newest checkpoint, which verifies with those that the node names."""
    (log,) = server.ask("GET", "/v1/nodes").json()["nodes"]
    keys = [note.verifier_key(each) for each in log["keys"]]
    opened = checkpoint.opened(server.ask("GET", "/v1/checkpoint").content, log["origin"], keys)
    (signature,) = opened.signatures
    return signature.key_id.hex(), log["origin"], keys


def test_a_running_node_signs_with_the_old_key_until_it_is_started_again(tmp_path):
    data = tmp_path / "carnet-data"
    with running(tmp_path) as server:
        key = server.key
        warm(server, 1)
        ids = [server.post(PATH, inquiry(id="amy")).json()["id"]]
        old, *_ = signed_by(server)
        for role in ("log", "api"):
            rotate(tmp_path, role)
        ids.append(server.post(PATH, inquiry(id="ben")).json()["id"])
        assert signed_by(server)[0] == old
        assert stop(server) == 0
    new = Keyring.open(data).current("log").id
    assert new != old
    with running(tmp_path, key=key) as server:
        assert signed_by(server)[0] == new, "the record of the rotation is the first that the new key signs"
        warm(server, 1)
        ids.append(server.post(PATH, inquiry(id="cy")).json()["id"])
        _, origin, keys = signed_by(server)
        for id_ in ids:
            found = proof.parsed(server.ask("GET", f"/v1/records/{id_}/proof").content)
            proof.verify(found, origin, keys)
        assert stop(server) == 0
    audit = subprocess.run(
        [CARNET, "log", "audit", "--data", data], capture_output=True, text=True, check=False
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert "keys_rotated 2" in audit.stdout, audit.stdout


def test_after_a_rotation_of_subjects_a_running_node_refuses_until_it_is_started_again(tmp_path):
    with running(tmp_path) as server:
        key = server.key
        warm(server, 1)
        id_ = server.post(PATH, inquiry(id="amy")).json()["id"]
        facts = {"source": "hr", "assurance": "S3", "facts": {"us_status": "citizen"}}
        assert server.post("/v1/subjects/amy/facts", facts).status_code == 200
        before = server.ask("GET", "/v1/records").json()["records"]
        rotate(tmp_path, "subjects")
        for who in ("amy", "new"):
            problem(server.post(PATH, inquiry(id=who)), "carnet_unavailable", 503)
        assert server.ask("GET", "/v1/records").json()["records"] == before
        said = problem(server.ask("GET", "/readyz"), "carnet_unavailable", 503)
        assert said["detail"] == "node 0: the key of the vault was rotated, start the node again"
        assert stop(server) == 0
    with running(tmp_path, key=key) as server:
        warm(server, 1)
        assert server.post(PATH, inquiry(id="amy")).json()["action"] == "serve"
        assert server.post(PATH, inquiry(id="new")).json()["action"] == "ask"
        assert server.ask("GET", f"/v1/records/{id_}/explanation").json()["basis"] == "private_part"
        assert stop(server) == 0
