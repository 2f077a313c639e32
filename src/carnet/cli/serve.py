"""`carnet serve`: the determination service over HTTP, on whatever is in the data directory or a new one.
What it answers is in `carnet.web`."""

import ipaddress
import socket
import sys
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.api_keys import data
from carnet.cli.asked import check_choices
from carnet.cli.exits import Command, Exit
from carnet.cli.listening import check_tls, listening, shown
from carnet.cli.postgresql import postgresql, prepare, remember
from carnet.model.errors import InputError
from carnet.model.plain import printable
from carnet.store.api_keys import ROLES, ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import DIRECTORY, Keyring, new_name
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook
from carnet.web.server import Plan, logged, serve_several
from carnet.web.server import serve as serve_here
from carnet.web.serving import Settings
from carnet.web.tracing import wanted

TENANT = "default"
"""Whose the first API key is."""

MOST_WORKERS = 64

FIRST = """\
A first determination, from another terminal:

  export CARNET_KEY=ck_...
  curl -s {url}/v1/determinations \\
    -H "Authorization: Bearer $CARNET_KEY" -H "Content-Type: application/json" \\
    -d '{{"purpose": "inquiry", "transaction": {{
          "at": "2026-06-13T14:00:00Z", "event": "remote_access", "served_from": "US",
          "item": {{"product": "anthropic/claude-mythos-5", "provider": "anthropic", "form": "hosted"}},
          "exporter": {{"id": "anthropic"}},
          "recipient": {{"kind": "person", "location": "US"}}}}}}'

Not legal advice."""


@click.command(cls=Command)
@data
@click.option(
    "--listen",
    default="127.0.0.1:8470",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes a free one.",
)
@options.law
@options.policy
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    metavar="N",
    help="Nodes, each a process with its own log and key below DIR/nodes.",
)
@click.option(
    "--url",
    metavar="URL",
    help="What others call it, for the metadata of AuthZEN; default: where it listens.",
)
@click.option(
    "--tls", nargs=2, type=options.Named(), metavar="CERT KEY", help="Certificate chain and key, both PEM."
)
@postgresql
def serve(
    data: Path,
    listen: str,
    law: tuple[Path, ...],
    policy: Path | None,
    workers: int,
    url: str | None,
    tls: tuple[Path, Path] | None,
    postgresql: str | None,
) -> int:
    """Determine, record and prove over HTTP until it is stopped.

    An empty machine needs no configuration: the data directory and its keys are made, and the first API key
    is printed, once. Witnesses are those that DIR/witnesses.toml names, if it is there. With a PostgreSQL,
    each node ships its records there, and one of them keeps the log of all their checkpoints."""
    check_choices(read_policy(policy), load_rulebook(*law))
    check_tls(tls)
    wanted()
    if url is not None:
        _check_url(url)
    logged()
    with listening(listen, "127.0.0.1:8470") as sock:
        reached = postgresql is not None and prepare(data, postgresql)
        _prepare(data)
        if postgresql is not None and reached:
            remember(data, postgresql)
        here = f"{'http' if tls is None else 'https'}://{shown(sock)}"
        if tls is None and not _at_home(sock):
            options.say(
                "it speaks no TLS and listens to other machines: give `--tls`, or put a proxy before it"
            )
        settings = Settings(url=url or here)
        plan = Plan(data=data, law=law, policy=policy, settings=settings, tls=tls, postgresql=postgresql)

        def ready() -> None:
            click.echo(f"Carnet listens on {here}")
            click.echo(FIRST.format(url=here))
            sys.stdout.flush()

        if workers == 1:
            serve_here(plan, sock, ready)
        else:
            serve_several(plan, workers, sock, ready)
    return Exit.OK


def _prepare(data: Path) -> None:
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


def _at_home(sock: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(sock.getsockname()[0]).is_loopback


def _check_url(url: str) -> None:
    if not url.startswith(("https://", "http://")) or not url.isascii() or not url.isprintable():
        raise InputError(f"`{printable(url)}` is no URL: write it like `https://carnet.example`")
