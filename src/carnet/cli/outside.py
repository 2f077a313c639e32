"""`carnet log verify` and `carnet log replay`: what somebody outside does with an export or a proof. They
read the file that is named and nothing else: no data directory, no configuration, no network.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.exits import Command, Exit
from carnet.ledger import proof
from carnet.ledger.archive import MAGIC, Archive
from carnet.ledger.checkpoint import verifier_key
from carnet.ledger.export import Export
from carnet.ledger.note import VerifierKey
from carnet.ledger.proof import Proof
from carnet.model.errors import InputError, LedgerError, Malformed, Unverified
from carnet.model.plain import printable
from carnet.service.outside import Checked, Proved, checked, keys_after, proved, statement_in
from carnet.service.redecide import Replayed, redecided
from carnet.store.exports import mapped
from carnet.words.catalogue import stamp

_SHOWN = 20

_key = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="The log's public key, `name+id+base64`, which you have from its operator; once for each.",
)
_witness = click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="A witness's public key: the checkpoint has to be cosigned by it.",
)
_need = click.option(
    "--need",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many of the witnesses have to have cosigned; default: all that are named.",
)


@click.command(cls=Command)
@click.argument("file", type=options.Named(), metavar="FILE")
@_key
@_witness
@_need
@click.option(
    "--statement",
    "statements",
    multiple=True,
    type=options.Named(),
    metavar="FILE",
    help="What `carnet keys rotate log` printed: who trusts the old key trusts the new one.",
)
@click.option(
    "--older",
    type=options.Named(),
    metavar="FILE",
    help="A checkpoint, proof or export that you have kept: the log has to begin with what it had then.",
)
@options.as_json
def verify(
    file: Path,
    keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    need: int | None,
    statements: tuple[Path, ...],
    older: Path | None,
    as_json: bool,
) -> int:
    """Check FILE, an export or a `.tlog-proof`, with nothing but a public key.

    Needed are the file and the key: no data directory, no network. Exit code 5 if it does not hold."""
    trusted, seen_by = _keys(keys), witness_keys(witnesses)
    if not trusted:
        raise InputError("nothing is verified without a public key: give the log's with `--key`")
    said = [statement_in(_bytes(each)) for each in statements]
    found: Checked | Proved
    with mapped(file) as view:
        try:
            if view[:4] == MAGIC:
                before = None if older is None else checkpoint_in(older)
                found = checked(Export(Archive(view)), keys_after(trusted, said), seen_by, need, before)
            elif older is not None:
                raise InputError("a proof is of one record: compare an export with what you have kept")
            else:
                parsed = read_proof(bytes(view))
                if parsed is None:
                    raise Malformed("it is no export and no proof: fetch it again as bytes")
                found = proved(parsed, trusted, seen_by, need, said)
        except LedgerError as error:
            raise Unverified(f"{printable(str(file))} is not verified: {error}") from None
    if as_json:
        click.echo(options.json_of(found))
    elif isinstance(found, Checked):
        say_checked(found)
        click.echo("verified")
    else:
        kind = str(type(found.leaf).__struct_config__.tag)
        click.echo(f"record {found.index} of {found.origin}: a {kind} of {found.leaf.at}, id {found.leaf.id}")
        _say_signed(found.signed_by, found.size, found.cosigned)
        click.echo("verified")
    return Exit.OK


@click.command(cls=Command)
@click.argument("file", type=options.Named(), metavar="FILE")
@_key
@options.as_json
def replay(file: Path, keys: tuple[str, ...], as_json: bool) -> int:
    """Decide every record of FILE again, and say what comes out otherwise.

    FILE is an export with private parts; everything that decides is in it. Without `--key` it is compared
    with itself, and nobody has said whose it is. Exit code 5 if anything differs."""
    trusted = _keys(keys)
    with mapped(file) as view:
        try:
            export = Export(Archive(view))
            checked(export, trusted or [verifier_key(key) for key in export.keys.log])
            found = redecided(export)
        except LedgerError as error:
            raise Unverified(f"{printable(str(file))} is not verified: {error}") from None
    if as_json:
        click.echo(options.json_of({"replay": found, "key_given": bool(trusted)}))
    else:
        _say_replayed(found, bool(trusted))
    if found.differing:
        raise Unverified(f"{found.differing} of {found.determinations} records come out otherwise")
    return Exit.OK


def read_proof(data: bytes) -> Proof | None:
    """The proof that bytes are; None if they are something else. Raises `Malformed` for a broken one."""
    return proof.parsed(data) if data.startswith(proof.FORMAT.partition("@")[0].encode()) else None


def counted(number: int, what: str) -> str:
    """`1 record`, `2 records`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def checkpoint_in(file: Path) -> bytes:
    """The checkpoint in a file: one, or that of a proof or an export. Raises `InputError` or `Malformed`."""
    with mapped(file) as view:
        if view[:4] == MAGIC:
            return Export(Archive(view)).checkpoint
        whole = bytes(view)
    found = read_proof(whole)
    return whole if found is None else found.checkpoint


def witness_keys(texts: Sequence[str]) -> list[VerifierKey]:
    """The keys of witnesses. Raises `InputError`."""
    return _keys(texts)


def say_checked(found: Checked) -> None:
    """What an export was found to be, in a few lines."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in found.kinds.items())
    click.echo(f"records {found.first} to {found.stop - 1} of {found.origin}: {kinds}")
    _say_signed(found.signed_by, found.size, found.cosigned)
    for before in found.continued:
        click.echo(f"the log goes on from {before}, which had been put back")
    if found.private:
        click.echo(
            f"private parts: {found.opened} as committed, {found.destroyed} destroyed on record, "
            f"{found.left_out} left out"
        )
    else:
        click.echo("private parts are not in it")


def _say_signed(signers: Sequence[str], size: int, cosigned: dict[str, int] | object) -> None:
    click.echo(f"under the checkpoint of {counted(size, 'record')}, signed by {', '.join(signers)}")
    if isinstance(cosigned, dict):
        for name, at in cosigned.items():
            click.echo(f"cosigned by {name} at {stamp(dt.datetime.fromtimestamp(at, dt.UTC))}")


def _say_replayed(found: Replayed, key_given: bool) -> None:
    what = counted(found.determinations, "determination")
    click.echo(
        f"{what} under {counted(len(found.rulebooks), 'rulebook')}: {found.alike} decided again alike, "
        f"{found.on_class_facts} on class facts only, {found.differing} otherwise"
    )
    if found.on_class_facts:
        click.echo(
            "  on class facts only: the private part was destroyed or left out, and what the leaf says "
            "agrees with the law and the policy"
        )
    for each in found.differences[:_SHOWN]:
        click.echo(f"  record {each.index} ({each.id}), {each.what}: was {each.recorded}, is {each.now}")
    if len(found.differences) > _SHOWN:
        click.echo(f"  and {len(found.differences) - _SHOWN} more: see `--json`")
    if not found.same_build:
        click.echo("  by another build than the installation had: what differs may be the program's doing")
    if not key_given:
        click.echo("  the signature was compared with the export's own key: give `--key` to know whose it is")


def _keys(texts: Sequence[str]) -> list[VerifierKey]:
    try:
        return [verifier_key(text) for text in texts]
    except Malformed as error:
        raise InputError(str(error)) from None


def _bytes(file: Path) -> bytes:
    with mapped(file) as view:
        return bytes(view)
