"""`carnet keys`: what is printed, what is not, and the exit codes."""

import json
import os
import pty
import re
import select
import subprocess
import sys

import pytest
from tests.keys.conftest import assert_no_secret, secrets_of

from carnet.ledger import note
from carnet.store.api_keys import ROLES
from carnet.store.approvers import open_approver
from carnet.store.desk import Desk
from carnet.store.keyindex import read_statement
from carnet.store.keys import Keyring

WORDS = "four words that nobody guesses"
COMMANDS = [
    ["keys"],
    ["keys", "init"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "forget"],
    ["keys", "approver"],
    ["keys", "approver", "add"],
    ["keys", "approver", "retire"],
    ["keys", "api"],
    ["keys", "api", "add"],
    ["keys", "api", "list"],
    ["keys", "api", "revoke"],
]


def passphrase(text=WORDS):
    """A file descriptor from which a passphrase is read."""
    reading, writing = os.pipe()
    os.write(writing, f"{text}\n".encode())
    os.close(writing)
    return reading


@pytest.fixture
def made(carnet, data):
    """The program, with keys made in the default data directory."""
    assert carnet("keys", "init", "--data", data).exit_code == 0
    return carnet


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(carnet, command):
    done = carnet(*command, "--help")
    assert done.exit_code == 0
    assert "Exit codes:" in done.stdout


def test_keys_are_made_listed_and_rotated(carnet, data):
    done = carnet("keys", "init", "--data", data, "--name", "carnet.example/node-1")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == f"made the keys of carnet.example/node-1 in {data / 'keys'}"
    listed = carnet("keys", "list", "--data", data).stdout.splitlines()
    assert listed == done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["log", "witness", "bundle", "subjects", "index", "api"]
    rotated = carnet("keys", "rotate", "log", "--data", data)
    said = read_statement("".join(rotated.stdout.splitlines(keepends=True)[3:]).encode())
    assert rotated.stdout.splitlines()[0] == (
        f"log: {said.old.key_id.hex()} is retired, {said.new.key_id.hex()} is current"
    )
    assert rotated.stdout.splitlines()[1] == str(said.new)
    after = carnet("keys", "list", "--data", data).stdout.splitlines()
    assert [line.split()[:3] for line in (after[0], after[-1])] == [
        ["log", said.old.key_id.hex(), "retired"],
        ["log", said.new.key_id.hex(), "current"],
    ]


def test_json_has_the_same(carnet, data):
    done = json.loads(carnet("keys", "init", "--data", data, "--json").stdout)
    assert re.fullmatch(r"carnet\.local/[0-9a-f]{8}", done["name"])
    rotated = json.loads(carnet("keys", "rotate", "bundle", "--data", data, "--json").stdout)
    assert rotated["rotation"]["role"] == "bundle"
    listed = json.loads(carnet("keys", "list", "--data", data, "--json").stdout)
    assert listed["rotations"] == [rotated["rotation"]]
    assert len(listed["keys"]) == 7
    assert listed["strays"] == []


def test_the_directory_comes_from_the_environment_or_stands_here(carnet, tmp_path, monkeypatch):
    assert carnet("keys", "init").exit_code == 0
    assert (tmp_path / "carnet-data" / "keys" / "keys.json").is_file()
    monkeypatch.setenv("CARNET_DATA", str(tmp_path / "elsewhere"))
    assert carnet("keys", "init").exit_code == 0
    assert (tmp_path / "elsewhere" / "keys" / "keys.json").is_file()


def test_a_second_init_changes_nothing_and_fails(made, data):
    before = {file.name: file.read_bytes() for file in (data / "keys").iterdir()}
    done = made("keys", "init", "--data", data)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is there already" in done.stderr
    assert {file.name: file.read_bytes() for file in (data / "keys").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["keys", "list", "--data", "nowhere"], 2, "make the keys with `carnet keys init`"),
        (["keys", "list", "--data", ""], 2, "names nothing"),
        (["keys", "rotate", "index"], 2, "`index` can't be rotated"),
        (["keys", "rotate", "lgo"], 2, "did you mean `log`?"),
        (["keys", "rotate"], 2, "Missing argument"),
        (["keys", "init", "--passphrase-fd", "0"], 2, "add `--approver FILE`"),
        (["keys", "init", "--approver", "my.key"], 2, "add `--name`"),
        (["keys", "init", "--approver", "my.key", "--name", "a"], 2, "there is no terminal to ask on"),
        (["keys", "init", "--approver", "my.key", "--name", "a", "--passphrase-fd", "999"], 2, "`999`"),
        (["keys", "init", "--name", "a b", "--data", "other"], 2, "is not the name of a key"),
        (["keys", "forget", "00000000"], 2, "is not the id of such a key"),
        (["keys", "approver", "add", "x"], 2, "is not a public key: write `name+id+base64`"),
        (["keys", "approver", "retire", "00000000"], 2, "is not the id of such a key"),
        (["keys", "api", "add"], 2, "Missing option '--role'"),
        (["keys", "api", "add", "--role", "raed"], 2, "'raed' is not one of"),
        (["keys", "api", "add", "--role", "read", "--tenant", " "], 2, "as a tenant"),
        (["keys", "api", "revoke", "000000000000"], 2, "is not the id of a key"),
    ],
)
def test_what_can_not_be_used_is_one_sentence(made, data, monkeypatch, arguments, code, said):
    monkeypatch.setenv("CARNET_DATA", str(data))
    before = {file.name: file.read_bytes() for file in (data / "keys").iterdir()}
    done = made(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert {file.name: file.read_bytes() for file in (data / "keys").iterdir()} == before


def test_keys_that_are_open_to_others_are_a_failure_with_what_to_do(made, data):
    (data / "keys").chmod(0o755)
    done = made("keys", "list", "--data", data)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "run `chmod 700" in done.stderr


def test_a_key_of_no_index_is_told(made, data):
    (file,) = (data / "keys").glob("log-*")
    (data / "keys" / "log-0000000000000000.pem").write_bytes(file.read_bytes())
    (data / "keys" / "log-0000000000000000.pem").chmod(0o600)
    done = made("keys", "list", "--data", data)
    assert done.exit_code == 0
    assert done.stderr.startswith("`log-0000000000000000` is in no index")


def test_no_command_prints_a_secret(carnet, data):
    secrets, said = set(), ""
    for arguments in (
        ["init"],
        ["list"],
        ["list", "--json"],
        *(["rotate", role] for role in ("log", "witness", "bundle", "subjects", "api", "index")),
        ["rotate", "subjects", "--json"],
        ["rotate", "log", "--json"],
        ["list", "--json"],
        ["api", "list", "--json"],
        ["init"],
    ):
        done = carnet("keys", *arguments, "--data", data)
        said += done.output
        secrets |= secrets_of(data / "keys")
    assert len(secrets) > 50
    assert_no_secret(said, secrets)


def test_an_api_key_is_printed_once_and_then_never(made, data):
    done = made(
        "keys", "api", "add", "--role", "decide", "--role", "read", "--tenant", "acme", "--data", data
    )
    text = done.stdout.strip()
    assert re.fullmatch(r"ck_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text)
    id_, secret = text[3:15], text[16:]
    assert done.stderr == f"key {id_} of tenant acme (decide, read): it is not shown again\n"
    other = made("keys", "api", "add", "--role", "approve", "--data", data, "--json")
    document = json.loads(other.stdout)
    assert document["roles"] == ["approve"]
    assert document["tenant"] == "default"
    assert document["key"].startswith(f"ck_{document['id']}_")
    shown = made("keys", "api", "list", "--data", data).output
    shown += made("keys", "api", "list", "--data", data, "--json").output
    shown += made("keys", "api", "revoke", id_, "--data", data).output
    assert id_ in shown
    assert_no_secret(shown, {secret, document["key"][16:]})
    rows = json.loads(made("keys", "api", "list", "--data", data, "--tenant", "acme", "--json").stdout)[
        "keys"
    ]
    assert [row["id"] for row in rows] == [id_]
    assert rows[0]["revoked"] is not None
    assert rows[0]["last_seen"] is None


def test_every_role_can_be_given(made, data):
    roles = [word for role in ROLES for word in ("--role", role)]
    document = json.loads(made("keys", "api", "add", *roles, "--data", data, "--json").stdout)
    assert document["roles"] == list(ROLES)


def test_an_approver_keeps_the_private_half_and_registers_the_public_one(made, data, tmp_path):
    done = made(
        "keys", "init", "--approver", "my.key", "--name", "approver-1", "--passphrase-fd", passphrase()
    )
    public = done.stdout.strip()
    assert done.exit_code == 0
    assert WORDS not in done.output
    added = made("keys", "approver", "add", public, "--data", data)
    assert added.exit_code == 0
    assert added.stdout.split()[0] == "approver"
    signer = open_approver(tmp_path / "my.key", WORDS)
    assert_no_secret(done.output + added.output, {note.encoded(signer.private.private_bytes_raw())[:43]})
    assert Keyring.open(data).approvers() == (signer.verifier,)
    again = made("keys", "approver", "add", public, "--data", data)
    assert again.exit_code == 1
    retired = made("keys", "approver", "retire", signer.key_id.hex(), "--data", data, "--json")
    assert json.loads(retired.stdout)["state"] == "retired"
    assert Keyring.open(data).approvers() == ()


def test_a_file_of_an_approver_is_not_replaced(carnet, tmp_path):
    (tmp_path / "my.key").write_text("something")
    done = carnet("keys", "init", "--approver", "my.key", "--name", "a", "--passphrase-fd", passphrase())
    assert done.exit_code == 1
    assert (tmp_path / "my.key").read_text() == "something"
    done = carnet(
        "keys", "init", "--approver", "new.key", "--name", "a", "--passphrase-fd", passphrase("short")
    )
    assert done.exit_code == 2
    assert not (tmp_path / "new.key").exists()


def test_rotating_the_secret_of_subjects_encrypts_their_facts_anew(made, data, tmp_path):
    (tmp_path / "people.csv").write_text("subject,source,assurance,us_status\nu-1,hr,S2,citizen\n")
    assert made("subjects", "import", "people.csv", "--data", data).exit_code == 0
    done = made("keys", "rotate", "subjects", "--data", data)
    assert "encrypted anew: 1 rows of facts, 0 keys of private parts" in done.stdout
    with Desk.open(data) as desk:
        assert desk.rows("SELECT key FROM facts") == [(Keyring.open(data).current("subjects").id,)]
    assert "citizen" in made("subjects", "show", "u-1", "--reveal", "--data", data).stdout


def typed(command, answers, folder):
    """Run a command on a terminal of its own; what was seen there, and the exit code."""
    main, side = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    with subprocess.Popen(
        command,
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=folder,
        env=env,
        start_new_session=True,
        close_fds=True,
    ) as process:
        os.close(side)
        seen = b""
        for prompt, answer in answers:
            while not seen.endswith(prompt):
                assert select.select([main], [], [], 60)[0], seen
                seen += os.read(main, 1)
            os.write(main, answer + b"\n")
        while select.select([main], [], [], 60)[0]:
            try:
                piece = os.read(main, 1000)
            except OSError:
                break
            if not piece:
                break
            seen += piece
    os.close(main)
    return seen.decode(), process.returncode


@pytest.mark.real
def test_a_passphrase_is_asked_for_twice_on_a_terminal_and_not_shown(tmp_path):
    program = "from carnet.cli import main; main()"
    command = [sys.executable, "-c", program, "keys", "init", "--approver", "my.key", "--name", "approver-1"]
    words = WORDS.encode()
    seen, code = typed(
        command,
        [
            (b"Passphrase: ", words),
            (b"confirmation: ", b"something else"),
            (b"Passphrase: ", words),
            (b"confirmation: ", words),
        ],
        tmp_path,
    )
    assert code == 0, seen
    assert WORDS not in seen
    assert str(open_approver(tmp_path / "my.key", WORDS).verifier) in seen
