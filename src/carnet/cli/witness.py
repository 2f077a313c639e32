"""`carnet witness`: make a witness, run it, show what it remembers. How it decides is in
`carnet.ledger.witness`."""

import base64
import datetime as dt
import logging
import signal
import socket
import ssl
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from msgspec import Struct

from carnet.cli import options
from carnet.cli.exits import Exit, Group
from carnet.ledger import checkpoint, note
from carnet.ledger.note import VerifierKey
from carnet.ledger.witness import Remembered
from carnet.model.errors import InputError, Malformed, Unavailable
from carnet.model.plain import printable, short
from carnet.store.keyfiles import why
from carnet.store.witness import Memory
from carnet.store.witness_key import Algorithm, make_key, read_key, read_public
from carnet.web.witness import app, known, serve

_STAMP_BYTES = 8
_LAST = 253_402_300_799  # the end of the year 9999

data = click.option(
    "--data",
    type=options.Named(),
    required=True,
    envvar="CARNET_WITNESS",
    metavar="DIR",
    help="The directory of the witness: its key and its memory. Default: CARNET_WITNESS.",
)


class LogRow(Struct, frozen=True):
    """What a witness shows of one log."""

    origin: str
    size: int
    root: str
    cosigned: dt.datetime | None
    contradictions: int


@click.group(cls=Group)
def witness() -> None:
    """A witness: it cosigns what logs sign, and never twice what differs."""


@witness.command()
@data
@click.option("--name", required=True, help="Its name, like a URL without the scheme: `witness.example/w1`.")
@click.option(
    "--algorithm",
    type=click.Choice(["ed25519", "ml-dsa-44"]),
    default="ed25519",
    show_default=True,
    help="What it signs with.",
)
def init(data: Path, name: str, algorithm: Algorithm) -> int:
    """Make a key and an empty memory, and print the public key.

    The public key is what the log's operator lists. The directory is never copied back from a backup: a
    witness that forgot is no witness."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"`{printable(str(data))}` can't be made: {why(error)}") from None
    Memory.create(data).close()
    click.echo(str(make_key(data, name, algorithm).verifier))
    return Exit.OK


@witness.command(name="serve")
@data
@click.option(
    "--listen",
    default="127.0.0.1:7626",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    required=True,
    metavar="KEY",
    help="The public key of a log, `name+id+base64`; once for each log, and for each key of one.",
)
@click.option(
    "--tls", nargs=2, type=options.Named(), metavar="CERT KEY", help="Certificate chain and key, both PEM."
)
def serve_command(data: Path, listen: str, logs: tuple[str, ...], tls: tuple[Path, Path] | None) -> int:
    """Cosign for these logs until it is stopped."""
    key = read_key(data)
    allowed = known([_log_key(log) for log in logs], [key])
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    _check_tls(tls)
    memory = Memory.open(data)
    try:
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, _stopped)
        with _listening(listen) as sock:
            scheme = "http" if tls is None else "https"
            click.echo(f"witness `{key.name}` listens on {scheme}://{_shown(sock)}")
            sys.stdout.flush()
            serve(app(memory, [key], allowed), sock, tls)
    finally:
        memory.close()
    return Exit.OK


@witness.command()
@data
@options.as_json
def show(data: Path, as_json: bool) -> int:
    """Print the public key, and what was cosigned last for each log."""
    public = read_public(data)
    memory = Memory.open(data)
    try:
        found = [memory.remembered(origin) for origin in memory.origins()]
        against = [each.origin for each in memory.contradictions()]
    finally:
        memory.close()
    rows = [_row(each, public, against.count(each.origin)) for each in found if each is not None]
    if as_json:
        click.echo(options.json_of({"key": str(public), "logs": rows}))
        return Exit.OK
    click.echo(str(public))
    for row in rows:
        at = f"cosigned {row.cosigned.isoformat()}" if row.cosigned else "not cosigned by this key"
        click.echo(f"{printable(row.origin)}: {row.size} records, root {row.root}, {at}")
        if row.contradictions:
            click.echo(f"  {row.contradictions} signed requests contradict it: the log was forked or changed")
    return Exit.OK


def _row(remembered: Remembered, public: VerifierKey, against: int) -> LogRow:
    stamps = [
        int.from_bytes(each.signature[:_STAMP_BYTES], "big")
        for each in note.parsed(remembered.note).signatures
        if (each.name, each.key_id) == (public.name, public.key_id)
    ]
    at = dt.datetime.fromtimestamp(max(stamps), dt.UTC) if stamps and max(stamps) <= _LAST else None
    root = base64.b64encode(remembered.root).decode()
    return LogRow(remembered.origin, remembered.size, root, at, against)


def _log_key(text: str) -> VerifierKey:
    try:
        return checkpoint.verifier_key(text)
    except Malformed as error:
        raise InputError(str(error)) from None


def _listening(listen: str) -> socket.socket:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError(
            f"`{short(printable(listen))}` is no place to listen: write it like `127.0.0.1:7626`"
        )
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except OSError as error:
        raise Unavailable(f"`{short(printable(listen))}` can't be listened on: {why(error)}") from None


def _check_tls(tls: tuple[Path, Path] | None) -> None:
    """Raises InputError if these are no certificate chain and its key."""
    if tls is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*tls)
    except OSError:
        names = " and ".join(f"`{printable(str(each))}`" for each in tls)
        raise InputError(f"{names} are no certificate chain and its key: give both, as PEM") from None


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise SystemExit(Exit.OK)
