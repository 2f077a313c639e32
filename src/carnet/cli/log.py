"""`carnet log`: look at records, prove, export and audit them, continue a log that was put back. What an
outsider does with what comes out is in `carnet.cli.outside`.
"""

from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.api_keys import data, tenant
from carnet.cli.exits import Exit, Group
from carnet.cli.outside import checkpoint_in, counted, replay, say_checked, verify, witness_keys
from carnet.ledger.archive import Archive
from carnet.ledger.export import Export
from carnet.model import leaf as leaves
from carnet.model.errors import Absent, InputError, Unverified
from carnet.model.leaf import Determined
from carnet.model.plain import printable, short
from carnet.service.audit import Audited, audited
from carnet.service.clock import Clock
from carnet.service.continuing import continued
from carnet.service.export import export_to, private_of, proof_of, record_of
from carnet.store.exports import mapped, write_new
from carnet.store.origins import homes, opened_vault, seen
from carnet.store.vault_parts import read_private

_SHOWN = 20


@click.group(cls=Group)
def log() -> None:
    """The records: show, prove, export, audit, verify and replay them."""


log.add_command(verify)
log.add_command(replay)


@log.command()
@click.argument("id_", metavar="ID")
@click.option("--reveal", is_flag=True, help="Open the private part too: what was decided on.")
@tenant
@data
@options.as_json
def show(id_: str, reveal: bool, tenant: str, data: Path, as_json: bool) -> int:
    """Show the record of an ID: its leaf, and where it is."""
    home = _home_of(data, tenant, id_)
    with seen(home) as now:
        record = record_of(now, tenant, id_)
        leaf = leaves.read(record.leaf)
        facts: dict[str, object] = {
            "origin": now.name.origin,
            "index": record.index,
            "size": now.reading.size,
            "leaf": leaf,
            "private": _private(leaf, record.sealed is not None),
        }
        if reveal:
            if not isinstance(leaf, Determined):
                raise InputError("this record has no private part: leave out `--reveal`")
            with opened_vault(home, now.keyring) as vault:
                part = private_of(vault, record, leaf)
            if part is None:
                raise Absent(f"the private part of `{short(printable(id_))}` was destroyed: its leaf is left")
            facts["transaction"] = read_private(part).transaction
    if as_json:
        click.echo(options.json_of(facts))
    else:
        click.echo(f"record {facts['index']} of {facts['origin']}, which has {facts['size']}")
        click.echo(options.json_of(leaf))
        click.echo(f"private part: {facts['private']}")
        if "transaction" in facts:
            click.echo(options.json_of(facts["transaction"]))
    return Exit.OK


@log.command()
@click.argument("id_", metavar="ID")
@click.option("--out", type=options.Named(), metavar="FILE", help="Where to write it; default: print it.")
@click.option(
    "--from-export",
    "file",
    type=options.Named(),
    metavar="FILE",
    help="Take the record from an export, with no data directory.",
)
@tenant
@data
def prove(id_: str, out: Path | None, file: Path | None, tenant: str, data: Path) -> int:
    """Make the proof of one record: a file that anybody can check.

    It holds the record's leaf, its way to the root and a signed checkpoint, and nothing of any other record.
    Its form is that of C2SP tlog-proof."""
    if file is not None:
        with mapped(file) as view:
            found = Export(Archive(view))
            index = next((at for at, leaf in found.leaves() if leaves.read(leaf).id == id_), None)
            if index is None:
                raise Absent(f"`{short(printable(id_))}` is not in the export: look at the id")
            made = found.proof(index)
    else:
        with seen(_home_of(data, tenant, id_)) as now:
            made = proof_of(now, tenant, id_)
    if out is None:
        click.echo(made.data, nl=False)
    else:
        write_new(out, [made.data])
        click.echo(f"wrote the proof of record {made.index} to {out}")
    return Exit.OK


@log.command()
@click.option("--out", type=options.Named(), required=True, metavar="FILE", help="The file to write, a ZIP.")
@click.option("--from", "first", type=click.IntRange(min=0), default=0, metavar="N", help="The first record.")
@click.option("--to", "stop", type=click.IntRange(min=1), metavar="M", help="The record after the last.")
@click.option(
    "--with-private",
    "private",
    is_flag=True,
    help="Open the private parts, and add the laws: all that a replay needs. Names of people may be in it.",
)
@data
@options.as_json
def export(out: Path, first: int, stop: int | None, private: bool, data: Path, as_json: bool) -> int:
    """Write a range of records into one file, for somebody outside.

    Everything that they need to check it is in it, but for the public key. Every leaf of the range is in it,
    whichever tenant it is of; for one record alone there is `prove`."""
    with seen(_one_home(data)) as now:
        found = export_to(out, now, first, stop, private=private)
        key = str(now.name.signers[0].verifier)
    if as_json:
        click.echo(options.json_of({"file": str(out), "key": key, "export": found}))
        return Exit.OK
    say_checked(found)
    click.echo(f"wrote {out}; check it with `carnet log verify {out} --key {key}`")
    if private:
        options.say("private parts are in it in the clear: give it to nobody who may not read them")
    return Exit.OK


@log.command()
@click.option(
    "--older",
    type=options.Named(),
    metavar="FILE",
    help="A checkpoint or a proof of this log that was kept elsewhere.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="A witness's public key, `name+id+base64`: what it cosigned is verified too.",
)
@data
@options.as_json
def audit(older: Path | None, witnesses: tuple[str, ...], data: Path, as_json: bool) -> int:
    """Audit everything that is kept: every record, private part, term and law.

    Without `--older`, a log that was put back to an old state as a whole passes: keep a checkpoint somewhere
    else, or have witnesses. Exit code 5 if anything is found."""
    before = None if older is None else checkpoint_in(older)
    keys = witness_keys(witnesses)
    reports = []
    for home in homes(data):
        with seen(home) as now:
            reports.append(audited(now, older=before, witnesses=keys))
    if as_json:
        click.echo(options.json_of({"logs": reports}))
    else:
        for report in reports:
            _say_audited(report)
    findings = sum(len(report.findings) for report in reports)
    if findings:
        raise Unverified(f"{findings} findings: keep everything as it is, and compare it with a backup")
    return Exit.OK


@log.command("continue")
@click.option("--as", "name", required=True, metavar="NAME", help="The new name of the log.")
@data
@options.as_json
def continue_(name: str, data: Path, as_json: bool) -> int:
    """Go on under a new name, after a backup was restored that was behind.

    The first record under it says what the log was called and how far it had come. Give the new key to the
    witnesses and to whoever checks your records. No node may run meanwhile."""
    found = continued(_one_home(data), name, Clock())
    if as_json:
        click.echo(options.json_of(found))
    else:
        click.echo(
            f"{found.before} ended at {counted(found.size, 'record')}; record {found.index} begins "
            f"{found.origin}"
        )
        click.echo(found.key)
    return Exit.OK


def _home_of(data: Path, tenant: str, id_: str) -> Path:
    """The home whose log has the record. Raises `Absent` if none has."""
    for home in homes(data):
        with seen(home) as now:
            if now.reading.of_id(tenant, id_) is not None:
                return home
    raise Absent(f"`{short(printable(id_))}` is no record of this tenant: look at the id and `--tenant`")


def _one_home(data: Path) -> Path:
    found = homes(data)
    if len(found) > 1:
        names = ", ".join(f"`{printable(str(home))}`" for home in found)
        raise InputError(f"there are several logs, {names}: name one of them with `--data`")
    return found[0]


def _private(leaf: leaves.Leaf, sealed: bool) -> str:
    if not isinstance(leaf, Determined):
        return "none"
    return "sealed" if sealed else "destroyed"


def _say_audited(report: Audited) -> None:
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.kinds.items()) or "nothing recorded"
    click.echo(f"{report.origin}: {counted(report.size, 'record')}, root {report.root or 'unknown'}")
    click.echo(f"  {kinds}")
    click.echo(
        f"  private parts: {report.opened} as committed, {report.destroyed} destroyed on record; "
        f"laws: {report.rulebooks}"
    )
    if not report.older:
        click.echo("  not compared with an older checkpoint: a log put back as a whole would pass")
    for finding in report.findings[:_SHOWN]:
        click.echo(f"  {printable(finding)}")
    if len(report.findings) > _SHOWN:
        click.echo(f"  and {len(report.findings) - _SHOWN} more: see `--json`")
    if report.sound:
        click.echo("  nothing found")
