"""What a data directory needs before anything is served from it: what commands that serve share."""

import sys
from pathlib import Path

import click

from carnet.cli import options
from carnet.model.plain import printable
from carnet.store.api_keys import ROLES, ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import DIRECTORY, Keyring, new_name

TENANT = "default"
"""Whose the first API key is."""


def prepared(data: Path) -> None:
    """Make what is not there: the keys, the desk, the first API key, which is printed."""
    if not (data / DIRECTORY).exists():
        Keyring.create(data, new_name(), options.now())
        click.echo(f"made the data directory {printable(str(data))} and its keys")
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        keys = ApiKeys(desk, keyring)
        if not keys.listed():
            _, text = keys.add(TENANT, ROLES, options.now())
            click.echo(f"administrator key, shown this once: {text}")
            click.echo("it may do everything; give out narrower ones with `carnet keys api add`")
    sys.stdout.flush()
