"""`carnet keys`: make, rotate and list the keys of an installation, and who may approve. API keys are in
`carnet.cli.api_keys`. Nothing secret is ever printed.
"""

import os
import sys
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.api_keys import api, data
from carnet.cli.exits import Exit, Group
from carnet.model.errors import InputError
from carnet.service import rotation
from carnet.store.approvers import make_approver
from carnet.store.keyindex import Key
from carnet.store.keys import Keyring, new_name
from carnet.words.catalogue import stamp

_MOST_PASSPHRASE = 4_096


@click.group(cls=Group)
def keys() -> None:
    """The keys of this installation: make, rotate and list them."""


@keys.command()
@data
@click.option(
    "--name", metavar="NAME", help="The origin of the log and the name of its key; default: one made up."
)
@click.option(
    "--approver", "file", type=options.Named(), metavar="FILE", help="Make the key of an approver instead."
)
@click.option(
    "--passphrase-fd",
    "descriptor",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the approver's passphrase from this file descriptor; default: ask on the terminal.",
)
@options.as_json
def init(data: Path, name: str | None, file: Path | None, descriptor: int | None, as_json: bool) -> int:
    """Make the keys.

    They lie in `DIR/keys`, which nobody else can read. With `--approver`, a person makes a key of their own
    in FILE, encrypted under a passphrase; its public half is printed, for an administrator to register."""
    if file is not None:
        return _approver(file, name, descriptor, as_json)
    if descriptor is not None:
        raise InputError("`--passphrase-fd` is for an approver's key: add `--approver FILE`")
    keyring = Keyring.create(data, name or new_name(), options.now())
    if as_json:
        click.echo(options.json_of(_document(keyring)))
    else:
        click.echo(f"made the keys of {keyring.name} in {data / 'keys'}")
        for key in keyring.entries():
            click.echo(_line(key))
    return Exit.OK


@keys.command("list")
@data
@options.as_json
def list_(data: Path, as_json: bool) -> int:
    """List the keys, current and retired, and the approvers.

    Of each its role, id, state, dates and public half."""
    keyring = Keyring.open(data)
    if as_json:
        click.echo(options.json_of(_document(keyring)))
    else:
        for key in keyring.entries():
            click.echo(_line(key))
    for stray in keyring.strays():
        options.say(f"`{stray}` is in no index: it is of a rotation that was cut off, or of another index")
    return Exit.OK


@keys.command()
@click.argument("role", metavar="ROLE")
@data
@options.as_json
def rotate(role: str, data: Path, as_json: bool) -> int:
    """Give a ROLE a new key: log, witness, bundle, subjects or api.

    A signing key's statement, signed by the old and the new one, is printed: give it to whoever checks your
    records. The old one is destroyed, and what it signed verifies. What is under the secret `subjects` is
    encrypted anew at once; the old one is kept for backups until `forget`."""
    done, moved = rotation.rotate(data, Keyring.open(data), role, options.now())
    if as_json:
        click.echo(options.json_of({"rotation": done, "moved": moved}))
        return Exit.OK
    click.echo(f"{done.role}: {done.old} is retired, {done.new} is current")
    if done.statement is not None:
        click.echo(done.public)
        click.echo()
        click.echo(done.statement, nl=False)
    elif done.role == "subjects":
        click.echo(f"encrypted anew: {moved.rows} rows of facts, {moved.keys} keys of private parts")
        click.echo(f"{done.old} is kept: backups made before need it")
    else:
        click.echo("API keys stay valid; each is hashed anew when it is used next")
    return Exit.OK


@keys.command()
@click.argument("id_", metavar="ID")
@data
@options.as_json
def forget(id_: str, data: Path, as_json: bool) -> int:
    """Destroy a retired secret by its ID, for good.

    Refused while something here is under it. Backups made before the rotation can't be read afterwards."""
    keyring = Keyring.open(data)
    rotation.forget(data, keyring, id_, options.now())
    return _say_key(next(key for key in keyring.entries() if key.id == id_), as_json)


@keys.group(cls=Group)
def approver() -> None:
    """Who may approve: register and retire the public halves of their keys."""


@approver.command("add")
@click.argument("public", metavar="NAME+ID+KEY")
@data
@options.as_json
def approver_add(public: str, data: Path, as_json: bool) -> int:
    """Register an approver.

    By the public half that `carnet keys init --approver` printed for them. The private half is never here."""
    return _say_key(Keyring.open(data).register(public, options.now()), as_json)


@approver.command("retire")
@click.argument("id_", metavar="ID")
@data
@options.as_json
def approver_retire(id_: str, data: Path, as_json: bool) -> int:
    """Retire an approver.

    What they signed verifies; they approve nothing more."""
    return _say_key(Keyring.open(data).retire(id_, options.now()), as_json)


keys.add_command(api)


def _approver(file: Path, name: str | None, descriptor: int | None, as_json: bool) -> int:
    if name is None:
        raise InputError("an approver's key has a name: add `--name`, such as `--name approver-1`")
    public = str(make_approver(file, name, _passphrase(descriptor)))
    if as_json:
        click.echo(options.json_of({"name": name, "public": public, "file": str(file)}))
    else:
        click.echo(public)
    options.say(f"made `{file}`: keep it, and the passphrase; an administrator registers the public half")
    return Exit.OK


def _passphrase(descriptor: int | None) -> str:
    if descriptor is None:
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask on: give the passphrase with `--passphrase-fd N`")
        given: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
        return given
    try:
        with os.fdopen(descriptor, "rb", closefd=descriptor > 2) as opened:
            return opened.read(_MOST_PASSPHRASE).decode().removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"no text can be read from descriptor `{descriptor}`: open it for reading") from None


def _say_key(key: Key, as_json: bool) -> int:
    click.echo(options.json_of(_entry(key)) if as_json else _line(key))
    return Exit.OK


def _document(keyring: Keyring) -> dict[str, object]:
    return {
        "name": keyring.name,
        "keys": [_entry(key) for key in keyring.entries()],
        "rotations": keyring.rotations(),
        "strays": keyring.strays(),
    }


def _entry(key: Key) -> dict[str, object]:
    return {
        "role": key.role,
        "id": key.id,
        "state": key.state,
        "created": key.created,
        "retired": key.retired,
        "destroyed": key.destroyed,
        "public": key.public,
    }


def _line(key: Key) -> str:
    dates = f"since {stamp(key.created)}"
    if key.retired is not None:
        dates += f" until {stamp(key.retired)}"
    if key.destroyed is not None:
        dates += f", destroyed {stamp(key.destroyed)}"
    return f"{key.role:<8}  {key.id}  {key.state:<7}  {dates}{f'  {key.public}' if key.public else ''}"
