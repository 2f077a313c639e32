"""`carnet witness` as typed, in this process: making one and showing what it remembers."""

import json
import socket

import pytest
from tests.ledger.memory import LOG, ORIGIN
from tests.witness.logs import LOGS, NOW, Small

from carnet.cli.witness import _listening, _log_key, witness
from carnet.ledger import witness as protocol
from carnet.model.errors import InputError, Taken, Unavailable
from carnet.store.witness import Memory
from carnet.store.witness_key import SECRET, read_key, read_public


def typed(*words):
    return witness.main([str(word) for word in words], "witness", standalone_mode=False)


def test_a_witness_is_made_once(tmp_path, capsys):
    home = tmp_path / "a" / "home"
    assert typed("init", "--data", home, "--name", "witness.example/w1") == 0
    assert capsys.readouterr().out == f"{read_public(home)}\n"
    assert home.stat().st_mode & 0o077 == 0
    with pytest.raises(Taken):
        typed("init", "--data", home, "--name", "witness.example/w1")
    Memory.open(home).close()


def test_a_witness_of_ml_dsa_is_made(tmp_path, capsys):
    assert typed("init", "--data", tmp_path, "--name", "w", "--algorithm", "ml-dsa-44") == 0
    assert read_key(tmp_path).verifier.scheme.number == 0x06
    assert "PRIVATE" not in capsys.readouterr().out


def test_a_memory_without_a_key_gets_a_new_key_and_keeps_what_it_knows(tmp_path, capsys):
    """Whoever lost the key begins with a new one, and the memory still holds."""
    typed("init", "--data", tmp_path, "--name", "w")
    memory = Memory.open(tmp_path)
    request = protocol.admitted(Small(3).request(0).data, LOGS)
    memory.add(request, b"", [read_key(tmp_path)], lambda: NOW)
    memory.close()
    (tmp_path / SECRET).unlink()
    assert typed("init", "--data", tmp_path, "--name", "w") == 0
    capsys.readouterr()
    assert typed("show", "--data", tmp_path) == 0
    assert f"{ORIGIN}: 3 records" in capsys.readouterr().out


def test_what_it_remembers_is_shown(tmp_path, capsys):
    typed("init", "--data", tmp_path, "--name", "w")
    key = capsys.readouterr().out.strip()
    assert typed("show", "--data", tmp_path) == 0
    assert capsys.readouterr().out == f"{key}\n"
    memory = Memory.open(tmp_path)
    for small, old in ((Small(3), 0), (Small(3, mark="forged"), 3)):
        body = small.request(old).data
        memory.add(protocol.admitted(body, LOGS), body, [read_key(tmp_path)], lambda: NOW)
    memory.close()
    assert typed("show", "--data", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == key
    assert lines[1].startswith(f"{ORIGIN}: 3 records, root ")
    assert lines[1].endswith(", cosigned 2026-09-21T14:13:20+00:00")
    assert lines[2:] == ["  1 signed requests contradict it: the log was forked or changed"]
    assert typed("show", "--data", tmp_path, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["logs"]
    assert (row["origin"], row["size"], row["contradictions"]) == (ORIGIN, 3, 1)


def test_what_is_not_there_is_told(tmp_path):
    for words in (("show",), ("serve", "--log", LOG.verifier)):
        with pytest.raises(InputError, match="make it with `carnet witness init`"):
            typed(words[0], "--data", tmp_path, *words[1:])
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can't be made"):
        typed("init", "--data", tmp_path / "file" / "home", "--name", "w")


def test_a_key_of_a_log_that_is_none_is_told(tmp_path):
    typed("init", "--data", tmp_path, "--name", "w")
    with pytest.raises(InputError, match="is not a public key"):
        typed("serve", "--data", tmp_path, "--log", "log.example")
    with pytest.raises(InputError, match="the witness's own"):
        typed("serve", "--data", tmp_path, "--log", read_public(tmp_path))
    assert _log_key(str(LOG.verifier)) == LOG.verifier


@pytest.mark.parametrize(
    "place", ["", "7626", "127.0.0.1", "127.0.0.1:", ":7626", "127.0.0.1:70000", "h:\uff11"]
)
def test_a_place_that_is_none_is_not_listened_on(place):
    with pytest.raises(InputError, match="is no place to listen"):
        _listening(place)


def test_a_place_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(Unavailable, match="can't be listened on: address already in use"):
            _listening(f"{host}:{port}")
    with _listening("127.0.0.1:0") as free:
        assert free.getsockname()[1] > 0
