"""`carnet keys api`: give out, list and revoke API keys. A key is printed once, when it is made; what it may
do is in `carnet.service.access`.
"""

from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.exits import Exit, Group
from carnet.store.api_keys import ROLES, ApiKey, ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.words.catalogue import stamp

data = click.option(
    "--data",
    type=options.Named(),
    envvar="CARNET_DATA",
    default=Path("carnet-data"),
    metavar="DIR",
    help="The data directory of the installation; default: CARNET_DATA, or ./carnet-data.",
)
tenant = click.option("--tenant", default="default", show_default=True, metavar="NAME", help="Whose it is.")


@click.group(cls=Group)
def api() -> None:
    """API keys: give one out, list and revoke them."""


@api.command()
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ROLES),
    help="What it may be used for; may be given more than once. No role holds another.",
)
@tenant
@data
@options.as_json
def add(roles: tuple[str, ...], tenant: str, data: Path, as_json: bool) -> int:
    """Make a key and print it, this once.

    Kept of it is a hash. Who loses it gets another."""
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        key, text = ApiKeys(desk, keyring).add(tenant, roles, options.now())
    if as_json:
        click.echo(options.json_of({**_entry(key), "key": text}))
    else:
        click.echo(text)
        options.say(f"key {key.id} of tenant {key.tenant} ({', '.join(key.roles)}): it is not shown again")
    return Exit.OK


@api.command("list")
@click.option("--tenant", metavar="NAME", help="Only those of one tenant.")
@data
@options.as_json
def list_(tenant: str | None, data: Path, as_json: bool) -> int:
    """List the keys without their secrets.

    When each was last used is kept to the hour."""
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        found = ApiKeys(desk, keyring).listed(tenant)
    if as_json:
        click.echo(options.json_of({"keys": [_entry(key) for key in found]}))
    else:
        for key in found:
            click.echo(_line(key))
    return Exit.OK


@api.command()
@click.argument("id_", metavar="ID")
@data
@options.as_json
def revoke(id_: str, data: Path, as_json: bool) -> int:
    """End a key by its ID, at once and for good."""
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        key = ApiKeys(desk, keyring).revoke(id_, options.now())
    click.echo(options.json_of(_entry(key)) if as_json else _line(key))
    return Exit.OK


def _entry(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "roles": key.roles,
        "created": key.created,
        "last_seen": key.seen,
        "revoked": key.revoked,
    }


def _line(key: ApiKey) -> str:
    seen = "never used" if key.seen is None else f"last used {stamp(key.seen)}"
    ended = "" if key.revoked is None else f", revoked {stamp(key.revoked)}"
    return f"{key.id}  {key.tenant}  {','.join(key.roles)}  made {stamp(key.created)}, {seen}{ended}"
