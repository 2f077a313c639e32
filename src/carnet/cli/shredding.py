"""`carnet records propose`, `approve`, `shred` and what belongs to them: the destruction that two people
approve, each with a key of their own. What is over is said by `carnet.cli.records`.
"""

import datetime as dt
import os
import sys
from pathlib import Path

import click
import msgspec

from carnet.cli import options
from carnet.cli.api_keys import data, tenant
from carnet.cli.exits import Command, Exit
from carnet.cli.outside import counted
from carnet.cli.postgresql import Copies, postgresql
from carnet.ledger.note import Ed25519Signer
from carnet.model.errors import InputError
from carnet.model.plain import printable
from carnet.model.time import instant
from carnet.service.retention import Due, clock_of, surveyed, writing
from carnet.service.review import MOST_DAYS, Approval, Proposal, Reviewed, Reviews, approve, principal_of
from carnet.service.shredding import KIND, RUN, finished, orders_of, proposed, shredded, unfinished
from carnet.store.approvers import open_approver
from carnet.store.backups import Backups
from carnet.store.desk import Desk
from carnet.store.exports import mapped, write_new
from carnet.store.keys import Keyring
from carnet.store.origins import homes, installation_of, opened_vault, seen
from carnet.store.vault_parts import pseudonym

_MOST_PASSPHRASE = 4_096

passphrase = click.option(
    "--passphrase-fd",
    "descriptor",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the passphrase of the key from this file descriptor; default: ask on the terminal.",
)


@click.command(cls=Command)
@click.option(
    "--out", type=options.Named(), required=True, metavar="FILE", help="The proposal, to be signed."
)
@click.option("--subject", metavar="ID", help="Only what is over of this subject; needs `--key`.")
@click.option(
    "--key",
    "file",
    type=options.Named(),
    metavar="FILE",
    help="The key of the person who asks, if one chose.",
)
@passphrase
@tenant
@data
@options.as_json
def propose(
    out: Path,
    subject: str | None,
    file: Path | None,
    descriptor: int | None,
    tenant: str,
    data: Path,
    as_json: bool,
) -> int:
    """Propose to destroy what is over.

    All of it, and nobody chose; or what somebody picks, who then signs with a key of their own and can't
    approve. Two people approve FILE with `carnet records approve`."""
    if subject is not None and file is None:
        raise InputError("who picks a subject signs for it: give their key with `--key`")
    by = RUN if file is None else principal_of(_signer(file, descriptor).verifier)
    made: list[Proposal] = []
    with _desk(data) as desk:
        reviews = _reviews(desk, data)
        for home in homes(data):
            with seen(home) as now, opened_vault(home, now.keyring) as vault:
                at = clock_of(now.reading).read().wall
                rows = [row for row in surveyed(now.reading, vault, at) if row.standing.state == "over"]
                if subject is not None:
                    whom = pseudonym(now.keyring.secret("index"), tenant, subject)
                    rows = [row for row in rows if row.subject == whom]
                if rows:
                    made.append(proposed(reviews, vault, rows, at, by=by))
    if not made:
        raise InputError("nothing is over: nothing is to be destroyed")
    files = [out, *(out.with_name(f"{out.name}.{number}") for number in range(2, len(made) + 1))]
    for path, proposal in zip(files, made, strict=True):
        write_new(path, [msgspec.json.format(msgspec.json.encode(proposal), indent=1) + b"\n"])
    if as_json:
        click.echo(options.json_of({"proposals": made}))
    else:
        for path, proposal in zip(files, made, strict=True):
            click.echo(f"{proposal.id}: {len(proposal.texts)} keys, until {proposal.until}, in {path}")
    return Exit.OK


@click.command("approve", cls=Command)
@click.argument("file", type=options.Named(), metavar="FILE")
@click.option("--key", type=options.Named(), required=True, metavar="FILE", help="Your own key.")
@click.option("--out", type=options.Named(), required=True, metavar="FILE", help="Your approval.")
@passphrase
def approve_(file: Path, key: Path, out: Path, descriptor: int | None) -> int:
    """Approve the proposal in FILE with a key of your own.

    Do it on your own machine: no data directory is needed, and your key goes nowhere."""
    proposal = _proposal(file)
    orders = orders_of(proposal)
    left = instant(proposal.until) - options.now()
    if not dt.timedelta(0) < left <= dt.timedelta(days=MOST_DAYS):
        raise InputError(
            f"the proposal ends `{proposal.until}`, which can't be by this machine's clock: one of the two "
            "clocks is wrong, or it is over"
        )
    options.say(f"{proposal.id} of {proposal.asked_by}: destroy {len(orders)} keys, until {proposal.until}")
    signer = _signer(key, descriptor)
    write_new(out, [msgspec.json.format(msgspec.json.encode(approve(proposal, signer)), indent=1) + b"\n"])
    click.echo(f"approved as {signer.name}, in {out}")
    return Exit.OK


@click.command(cls=Command)
@data
@options.as_json
def proposals(data: Path, as_json: bool) -> int:
    """List the proposals, and how far they have come."""
    with _desk(data) as desk:
        found = _reviews(desk, data).listed(dt.datetime.now(dt.UTC), KIND)
    if as_json:
        click.echo(options.json_of({"proposals": found}))
    else:
        for each in found:
            click.echo(_line(each))
    return Exit.OK


@click.command(cls=Command)
@click.argument("id_", metavar="ID")
@data
def withdraw(id_: str, data: Path) -> int:
    """Take back the proposal of this ID."""
    with _desk(data) as desk:
        click.echo(_line(_reviews(desk, data).withdraw(id_, dt.datetime.now(dt.UTC))))
    return Exit.OK


@click.command(cls=Command)
@click.argument("id_", metavar="ID")
@click.option(
    "--approval", "files", multiple=True, type=options.Named(), metavar="FILE", help="An approval to add."
)
@click.option("--dry-run", is_flag=True, help="Say what would be destroyed, and change nothing.")
@data
@postgresql
@options.as_json
def shred(
    id_: str, files: tuple[Path, ...], dry_run: bool, data: Path, postgresql: str | None, as_json: bool
) -> int:
    """Destroy what a proposal names, once two people approved.

    It is recorded first. Then the keys go, here and in every backup on the list, and what was sealed under
    them, also in PostgreSQL if the nodes share one. No node may run meanwhile."""
    now = dt.datetime.now(dt.UTC)
    copies = Copies(installation_of(data), postgresql)
    with _desk(data) as desk:
        ring = Keyring.open(installation_of(data))
        reviews = Reviews(desk, ring.approvers)
        known = {each.key for each in reviews.reviewed(id_, now).approvals}
        for file in files:
            approval = _approval(file)
            if approval.review != id_:
                raise InputError(f"`{printable(str(file))}` approves another proposal: name its id")
            if approval.key not in known and not dry_run:
                reviews.bring(approval, now)
        orders = orders_of(reviews.reviewed(id_, now).proposal)
        home = _home_of(data, {order.vault for order in orders})
        if dry_run:
            return _dry_run(home, {order.key for order in orders}, as_json)
        with writing(home) as (keyring, log), opened_vault(home, keyring) as vault:
            with log.reading() as reading:
                at = clock_of(reading).read()
            backups = Backups(desk).of(vault.id)
            done = shredded(log, vault, reviews, ring.verifiers("approver"), backups, id_, at)
            copies.forget(log)
    if as_json:
        click.echo(options.json_of(done))
    else:
        click.echo(
            f"destroyed {counted(done.keys, 'key')}, and the private parts of "
            f"{counted(done.records, 'record')}; looked in {counted(done.backups, 'backup')}"
        )
        for why in done.left_out:
            click.echo(f"  left out: {why}")
    return Exit.OK


@click.command(cls=Command)
@data
@postgresql
@options.as_json
def finish(data: Path, postgresql: str | None, as_json: bool) -> int:
    """Finish what was recorded as destroyed and was cut short.

    Also what an old copy of the vault brought back."""
    keys = parts = 0
    copies = Copies(installation_of(data), postgresql)
    with _desk(data) as desk:
        ring = Keyring.open(installation_of(data))
        for home in homes(data):
            with writing(home) as (keyring, log), opened_vault(home, keyring) as vault:
                done = finished(log, vault, ring.verifiers("approver"), Backups(desk).of(vault.id))
                keys, parts = keys + done[0], parts + done[1]
                copies.forget(log)
        reviews = Reviews(desk, ring.approvers)
        for each in unfinished(reviews, dt.datetime.now(dt.UTC)):
            options.say(f"{each.proposal.id} was begun: run `carnet records shred {each.proposal.id}` again")
    if as_json:
        click.echo(options.json_of({"keys": keys, "records": parts}))
    else:
        click.echo(f"destroyed {counted(keys, 'key')}, and what was left of {counted(parts, 'record')}")
    return Exit.OK


def _dry_run(home: Path, keys: set[str], as_json: bool) -> int:
    with seen(home) as now, opened_vault(home, now.keyring) as vault:
        rows = [
            row for row in surveyed(now.reading, vault, clock_of(now.reading).read().wall) if row.key in keys
        ]
    if as_json:
        click.echo(options.json_of({"keys": rows}))
    else:
        for row in rows:
            what = "would be destroyed" if row.standing.state == "over" else f"stays, {row.standing.state}"
            click.echo(f"{row.subject} {row.retention}, {how_many(row)}: {what}")
    return Exit.OK


def _home_of(data: Path, vaults: set[str]) -> Path:
    """The home whose vault the orders name."""
    for home in homes(data):
        with seen(home) as now, opened_vault(home, now.keyring) as vault:
            if vaults == {vault.id}:
                return home
    raise InputError("the proposal is of another vault: name the data directory that it was made in")


def how_many(row: Due) -> str:
    """Of how many records a key is."""
    return counted(len(row.records), "record")


def _line(found: Reviewed) -> str:
    proposal = found.proposal
    signed = f"{len(found.approvals)} of {proposal.need} approvals"
    return f"{proposal.id}  {found.state}, {signed}, {len(proposal.texts)} keys, until {proposal.until}"


def _proposal(file: Path) -> Proposal:
    try:
        return msgspec.json.decode(_bytes(file), type=Proposal)
    except (ValueError, RecursionError):
        raise InputError(
            f"`{printable(str(file))}` is no proposal: take what `records propose` wrote"
        ) from None


def _approval(file: Path) -> Approval:
    try:
        return msgspec.json.decode(_bytes(file), type=Approval)
    except (ValueError, RecursionError):
        raise InputError(
            f"`{printable(str(file))}` is no approval: take what `records approve` wrote"
        ) from None


def _signer(file: Path, descriptor: int | None) -> Ed25519Signer:
    """What signs as the person whose key this is."""
    if descriptor is None:
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask on: give the passphrase with `--passphrase-fd N`")
        return open_approver(file, click.prompt("Passphrase", hide_input=True, err=True))
    try:
        with os.fdopen(descriptor, "rb", closefd=descriptor > 2) as opened:
            given = opened.read(_MOST_PASSPHRASE).decode().removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"no text can be read from descriptor `{descriptor}`: open it for reading") from None
    return open_approver(file, given)


def _desk(data: Path) -> Desk:
    """The desk of the installation that a data directory is, or is a node's of."""
    homes(data)  # what is no data directory gets no desk
    return Desk.open(installation_of(data))


def _reviews(desk: Desk, data: Path) -> Reviews:
    return Reviews(desk, Keyring.open(installation_of(data)).approvers)


def _bytes(file: Path) -> bytes:
    with mapped(file) as view:
        return bytes(view)
