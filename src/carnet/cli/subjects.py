"""`carnet subjects`: bring in standing facts, and see whose there are. What a fact says is printed only where
somebody asks for it with `--reveal`.
"""

import datetime as dt
import sys
from pathlib import Path

import click
import msgspec

from carnet.cli import options
from carnet.cli.api_keys import data, tenant
from carnet.cli.asked import countries_of
from carnet.cli.exits import Exit, Group
from carnet.model.errors import InputError
from carnet.model.near import nearest
from carnet.model.plain import printable, short
from carnet.model.written import LEVELS, Evidence, Level
from carnet.service.roster import LIMIT, read_roster
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.store.shelves import load_rulebook
from carnet.store.subjects import SubjectTable, evidence_of, written_of
from carnet.words.catalogue import stamp

_SHOWN = 20
_VALUES = ("value", "some", "candidates", "unknown")
_DATES = ("observed", "recorded", "valid_from", "valid_until", "expires")


@click.group(cls=Group)
def subjects() -> None:
    """Standing facts of subjects: bring them in, see whose there are."""


@subjects.command("import")
@click.argument("file", metavar="FILE|-")
@click.option("--source", metavar="NAME", help="Who says so, for rows that don't name one.")
@click.option(
    "--assurance",
    type=click.Choice(LEVELS),
    help="How well the source knows it, for rows that don't say: S1 own word, S2 employer, S3 document, S4"
    " credential.",
)
@options.law
@tenant
@data
@options.as_json
def import_(
    file: str,
    source: str | None,
    assurance: Level | None,
    law: tuple[Path, ...],
    tenant: str,
    data: Path,
    as_json: bool,
) -> int:
    """Store the facts of FILE, all of its rows or none.

    CSV if its name ends in `.csv`, else JSON lines. A later row of the same source corrects an earlier one;
    one of another source stands beside it, and if both can't be true, that is a conflict for a human."""
    countries = countries_of(load_rulebook(*law))
    keyring = Keyring.open(data)
    read = read_roster(_bytes(file), file, source=source, assurance=assurance, countries=countries)
    if read.problems:
        for problem in read.problems[:_SHOWN]:
            options.say(str(problem))
        more = len(read.problems) - _SHOWN
        hidden = f", {more} not shown" if more > 0 else ""
        options.say(f"{_count(len(read.problems), 'problem')}{hidden}: nothing is stored")
        return Exit.USAGE
    with Desk.open(data) as desk:
        added = SubjectTable(desk, keyring).add(tenant, read.statements, dt.datetime.now(dt.UTC))
    if as_json:
        click.echo(
            options.json_of(
                {"tenant": tenant, "rows": added.rows, "subjects": added.subjects, "recorded": added.recorded}
            )
        )
    else:
        stored = f"stored {_count(added.rows, 'row')} of {_count(added.subjects, 'subject')}"
        click.echo(f"{stored}, recorded {stamp(added.recorded)}")
    return Exit.OK


@subjects.command("list")
@tenant
@data
@options.as_json
def list_(tenant: str, data: Path, as_json: bool) -> int:
    """List the subjects of a tenant.

    How many rows each has, and when the first and the last were recorded."""
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        found = SubjectTable(desk, keyring).listed(tenant)
    if as_json:
        click.echo(options.json_of({"tenant": tenant, "subjects": found}))
    else:
        for each in found:
            rows = _count(each.rows, "row")
            click.echo(f"{printable(each.subject)}  {rows}, the last of {stamp(each.last)}")
    return Exit.OK


@subjects.command()
@click.argument("subject", metavar="SUBJECT")
@options.known
@click.option(
    "--reveal", is_flag=True, help="Print what the facts say too: nationality and status among them."
)
@tenant
@data
@options.as_json
def show(
    subject: str, known: dt.datetime | None, reveal: bool, tenant: str, data: Path, as_json: bool
) -> int:
    """Show which facts of a SUBJECT there are.

    From which source, at which level and until when; not what they say, unless with `--reveal`."""
    keyring = Keyring.open(data)
    knew = known or dt.datetime.now(dt.UTC)
    with Desk.open(data) as desk:
        table = SubjectTable(desk, keyring)
        party = table.facts(tenant, subject, knew)
        names = [each.subject for each in table.listed(tenant)]
    rows = [_fact(name, fact, reveal) for name, leaf in written_of(party) for fact in evidence_of(leaf)]
    if not rows:
        shown = short(printable(subject))
        near = nearest(subject, set(names) - {subject}) or ": see `carnet subjects list`"
        raise InputError(f"`{shown}` has no fact that was recorded by then{near}")
    if as_json:
        click.echo(options.json_of({"tenant": tenant, "subject": subject, "known": knew, "facts": rows}))
    else:
        for row in rows:
            click.echo(_line(row))
    return Exit.OK


def _fact(name: str, fact: Evidence, reveal: bool) -> dict[str, object]:
    row: dict[str, object] = {"fact": name, "source": fact.source, "assurance": fact.assurance}
    row.update((date, getattr(fact, date)) for date in _DATES if getattr(fact, date) is not None)
    if reveal:
        said = {form: getattr(fact, form, None) for form in _VALUES}
        row.update((form, value) for form, value in said.items() if value is not None)
    return row


def _line(row: dict[str, object]) -> str:
    dates = [f"{name.replace('_', ' ')} {_stamp(row[name])}" for name in _DATES if name in row]
    line = f"{row['fact']:<28}  {row['assurance']}  {printable(str(row['source']))}  {', '.join(dates)}"
    said = [f"{form} {_text(row[form])}" for form in _VALUES if form in row]
    return "  ".join([line, *said])


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def _stamp(value: object) -> str:
    assert isinstance(value, dt.datetime)  # the fields of a fact that are dates are instants
    return stamp(value)


def _text(value: object) -> str:
    return printable(msgspec.json.encode(value).decode())


def _bytes(file: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; at most one more than the limit. Raises `InputError`
    if it can't be read."""
    try:
        if file != "-":
            with Path(file).open("rb") as opened:
                return opened.read(LIMIT + 1)
        return sys.stdin.buffer.read(LIMIT + 1)
    except OSError as error:
        shown, why = short(printable(file), 200), (error.strerror or "no such file").lower()
        raise InputError(f"`{shown}` can't be read: {why}") from None
