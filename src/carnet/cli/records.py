"""`carnet records`: what has to be kept and what is over, and holds. The law of it is in
`carnet.model.retention`; the destruction that two people approve in `carnet.cli.shredding`.
"""

import hashlib
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.api_keys import data, tenant
from carnet.cli.exits import Exit, Group
from carnet.cli.outside import counted
from carnet.cli.shredding import approve_, finish, how_many, proposals, propose, shred, withdraw
from carnet.model.errors import InputError
from carnet.model.leaf import Held, Manner
from carnet.model.plain import printable, short
from carnet.service.retention import Due, clock_of, held, released, standing_holds, surveyed, total, writing
from carnet.store.exports import mapped
from carnet.store.origins import homes, opened_vault, seen
from carnet.store.vault_parts import pseudonym

_SHOWN = 20
_STATES = ("over", "kept", "running", "held")


@click.group(cls=Group)
def records() -> None:
    """How long records are kept: what is over, holds, destruction by two people."""


for _command in (propose, approve_, proposals, withdraw, shred, finish):
    records.add_command(_command)


@records.command()
@data
@options.as_json
def due(data: Path, as_json: bool) -> int:
    """Say what may be destroyed, what has to be kept and until when.

    Nothing is changed. Subjects are called by their pseudonyms."""
    rows: list[Due] = []
    holds: list[Held] = []
    for home in homes(data):
        with seen(home) as now, opened_vault(home, now.keyring) as vault:
            rows += surveyed(now.reading, vault, clock_of(now.reading).read().wall)
            holds += standing_holds(now.reading)
    if as_json:
        click.echo(options.json_of({"keys": rows, "holds": holds}))
        return Exit.OK
    for state in _STATES:
        keys = [row for row in rows if row.standing.state == state]
        click.echo(f"{state:<8} {counted(len(keys), 'key')} of {counted(total(keys, state), 'record')}")
    for row in [row for row in rows if row.standing.state == "over"][:_SHOWN]:
        click.echo(f"  over: {row.subject} {row.retention}, {how_many(row)}")
    for hold in holds:
        whom = "everything" if hold.subject is None else hold.subject
        click.echo(f"hold {hold.id} on {whom} of {printable(hold.tenant)}, {hold.manner}, since {hold.at}")
    return Exit.OK


@records.command()
@click.option("--subject", metavar="ID", help="Whose records; their pseudonym is recorded.")
@click.option("--everything", is_flag=True, help="All records of the tenant.")
@click.option(
    "--manner",
    type=click.Choice(["formal", "informal", "own"]),
    required=True,
    help="How an agency asked, or `own` for what is held back without being asked.",
)
@click.option(
    "--request",
    type=options.Named(),
    required=True,
    metavar="FILE",
    help="What was asked; its digest is recorded.",
)
@tenant
@data
@options.as_json
def hold(
    subject: str | None,
    everything: bool,
    manner: Manner,
    request: Path,
    tenant: str,
    data: Path,
    as_json: bool,
) -> int:
    """Hold records, so that nothing of them is destroyed.

    It stands until it is released, and beats every time that is up (15 CFR 762.6(b)). It is recorded in every
    log of the installation. No node may run meanwhile."""
    if (subject is None) == (not everything):
        raise InputError("whose? give `--subject`, or `--everything` for the whole tenant")
    digest = _digest(request)
    ids = []
    for home in homes(data):
        with writing(home) as (keyring, log):
            with log.reading() as reading:
                now = clock_of(reading).read()
            whom = None if subject is None else pseudonym(keyring.secret("index"), tenant, subject)
            leaf, _ = held(log, now, tenant=tenant, subject=whom, manner=manner, request=digest)
            ids.append(leaf.id)
    _say_ids("hold", ids, as_json)
    return Exit.OK


@records.command()
@click.argument("hold", metavar="HOLD")
@click.option(
    "--authorization",
    type=options.Named(),
    required=True,
    metavar="FILE",
    help="The agency's written authorization; its digest is recorded.",
)
@tenant
@data
@options.as_json
def release(hold: str, authorization: Path, tenant: str, data: Path, as_json: bool) -> int:
    """Release a HOLD, by its id.

    The agency has to have agreed in writing (15 CFR 762.6(b)). No node may run meanwhile."""
    digest, ids = _digest(authorization), []
    for home in homes(data):
        with seen(home) as now:
            mine = any(each.id == hold for each in standing_holds(now.reading))
        if mine:
            with writing(home) as (_, log):
                with log.reading() as reading:
                    at = clock_of(reading).read()
                leaf, _ = released(log, at, tenant=tenant, hold=hold, authorization=digest)
                ids.append(leaf.id)
    if not ids:
        raise InputError(f"`{short(printable(hold))}` is no hold that stands: see `carnet records due`")
    _say_ids("released", ids, as_json)
    return Exit.OK


def _say_ids(what: str, ids: list[str], as_json: bool) -> None:
    if as_json:
        click.echo(options.json_of({"ids": ids}))
    else:
        for id_ in ids:
            click.echo(f"{what}: {id_}")


def _digest(file: Path) -> str:
    with mapped(file) as view:
        return hashlib.sha256(view).hexdigest()
