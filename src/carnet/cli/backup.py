"""`carnet backup` and `carnet restore`: a data directory copied while it serves, and put back once it was
audited. What is copied is in `carnet.store.installation`.
"""

import datetime as dt
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.api_keys import data
from carnet.cli.exits import Command, Exit, Group
from carnet.cli.outside import checkpoint_in, counted
from carnet.ledger.quorum import Quorum, load_quorum
from carnet.model.errors import InputError
from carnet.model.plain import printable
from carnet.service.restoring import Elsewhere, Restored, restored
from carnet.store.backups import Backup, Backups
from carnet.store.desk import Desk
from carnet.store.installation import WITNESSES, backed_up, destroyed
from carnet.store.origins import homes
from carnet.words.catalogue import stamp

KEEP_DAYS = 30
"""How long a copy of a vault is kept, if nobody says otherwise."""


@click.group(cls=Group, invoke_without_command=True)
@click.option("--to", type=options.Named(), metavar="DIR2", help="The new directory to copy to.")
@click.option("--with-keys", "keys", is_flag=True, help="Copy the keys too: whoever has it can read it all.")
@click.option(
    "--keep",
    type=click.IntRange(min=1, max=366),
    default=KEEP_DAYS,
    show_default=True,
    metavar="DAYS",
    help="When the copy has to be destroyed again.",
)
@data
@options.as_json
@click.pass_context
def backup(
    ctx: click.Context, to: Path | None, keys: bool, keep: int, data: Path, as_json: bool
) -> int | None:
    """Copy a data directory to a new place, while it serves.

    The copy holds the keys of private parts, encrypted: it is short-lived, and it is put on a list, so that a
    shred destroys keys in it too. The installation's own keys are not in it unless with `--with-keys`."""
    if ctx.invoked_subcommand is not None:
        if to is not None:
            raise InputError("`--to` copies, and a command follows: give one of the two")
        return None
    if to is None:
        raise InputError("where to? name a new directory with `--to`")
    found = backed_up(data, to, options.now(), dt.timedelta(days=keep), keys=keys)
    if as_json:
        click.echo(options.json_of({"to": str(to), "backup": found}))
        return Exit.OK
    for home in found.homes:
        click.echo(f"copied {counted(home.size, 'record')} of {home.origin} to {to / home.path}")
    click.echo(f"keep it until {found.until} at the latest, then: carnet backup destroy {to}")
    if keys:
        options.say("the keys are in it: whoever has it can read private parts and sign as this installation")
    else:
        options.say(
            "the keys are not in it: keep `keys` of the data directory apart, it is of no use without"
        )
    return Exit.OK


@backup.command("list")
@data
@options.as_json
def list_(data: Path, as_json: bool) -> int:
    """List the copies of vaults that there are.

    Exit code 1 if one should be destroyed by now, or is not where it was."""
    now = dt.datetime.now(dt.UTC)
    with _desk(data) as desk:
        found = [each for each in Backups(desk).listed() if each.gone is None]
    states = [_state(each, now) for each in found]
    if as_json:
        rows = [
            {"path": str(each.path.parent), "made": each.made, "until": each.until, "state": state}
            for each, state in zip(found, states, strict=True)
        ]
        click.echo(options.json_of({"backups": rows}))
    else:
        for each, state in zip(found, states, strict=True):
            click.echo(f"{printable(str(each.path.parent))}  made {stamp(each.made)}, {state}")
    return Exit.OK if all(state.startswith("until") for state in states) else Exit.FAILED


@backup.command()
@click.argument("directory", type=options.Named(), metavar="DIR2")
@data
def destroy(directory: Path, data: Path) -> int:
    """Destroy the backup in DIR2: its vaults are overwritten, then all of it is removed."""
    destroyed(directory)
    _gone(directory, data)
    return Exit.OK


@backup.command()
@click.argument("directory", type=options.Named(), metavar="DIR2")
@data
def gone(directory: Path, data: Path) -> int:
    """Say that the backup that was in DIR2 was destroyed, wherever it was moved.

    A shred waits for that: it can't destroy a key in a copy that it does not find."""
    _gone(directory, data)
    return Exit.OK


@click.command(cls=Command)
@click.option("--from", "copy", type=options.Named(), required=True, metavar="DIR2", help="The backup.")
@click.option(
    "--keys",
    type=options.Named(),
    metavar="DIR3",
    help="Where the keys are, if they are not in the backup: the directory `keys`, or what it lies in.",
)
@click.option(
    "--older",
    "older",
    multiple=True,
    type=options.Named(),
    metavar="FILE",
    help="A checkpoint that was kept elsewhere: what the log had last.",
)
@click.option(
    "--witnesses",
    type=options.Named(),
    metavar="FILE",
    help="Ask these witnesses what they have seen; default: those of the backup, if there are any.",
)
@click.option("--alone", is_flag=True, help="Nobody has seen more of the log than the backup has.")
@data
@options.as_json
def restore(
    copy: Path,
    keys: Path | None,
    older: tuple[Path, ...],
    witnesses: Path | None,
    alone: bool,
    data: Path,
    as_json: bool,
) -> int:
    """Put a backup back, as a data directory where nothing is.

    It is audited as a whole before anything is in place. If its log is behind what others have seen, it takes
    no records until `carnet log continue`."""
    elsewhere = Elsewhere(
        older=tuple(checkpoint_in(each) for each in older),
        witnesses=_quorum(copy, witnesses, asked=not older and not alone),
        alone=alone,
    )
    found = restored(copy, data, elsewhere, keys=keys)
    if as_json:
        click.echo(options.json_of({"logs": [{**_plain(each), "home": str(each.home)} for each in found]}))
        return Exit.OK
    for each in found:
        click.echo(f"restored {counted(each.size, 'record')} of {each.origin} in {each.home}")
        if each.behind is not None:
            click.echo(f"  it is behind, {printable(each.behind)}")
            click.echo(f"  it takes nothing until: carnet log continue --data {each.home} --as NEW-NAME")
    return Exit.OK


def _plain(found: Restored) -> dict[str, object]:
    return {"origin": found.origin, "size": found.size, "behind": found.behind}


def _gone(directory: Path, data: Path) -> None:
    with _desk(data) as desk:
        count = len(Backups(desk).gone(directory, dt.datetime.now(dt.UTC)))
    click.echo(f"destroyed: the copy of {counted(count, 'vault')} in {directory}")


def _state(found: Backup, now: dt.datetime) -> str:
    if not found.files:
        return "not where it was: destroy it where it is, then `carnet backup gone`"
    if found.until <= now:
        return f"over since {stamp(found.until)}: destroy it"
    return f"until {stamp(found.until)}"


def _quorum(copy: Path, file: Path | None, *, asked: bool) -> Quorum | None:
    """The witnesses to ask: those that were named, else those of the backup if nothing else says anything."""
    if file is None:
        if not asked or not (copy / WITNESSES).is_file():
            return None
        file = copy / WITNESSES
    found = load_quorum(_read(file), file=str(file))
    return found if found.witness else None


def _read(file: Path) -> bytes:
    return options.read_input(str(file))


def _desk(data: Path) -> Desk:
    homes(data)  # what is no data directory gets no desk
    return Desk.open(data)
