"""`carnet gateway`: a reverse proxy before model APIs that serves each caller what the law lets it use. What
it answers is in `carnet.gateway`."""

import sys
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.api_keys import data
from carnet.cli.asked import check_choices
from carnet.cli.exits import Command, Exit
from carnet.cli.listening import check_tls, listening, shown
from carnet.cli.preparing import prepared
from carnet.gateway.config import load_config
from carnet.model.errors import InputError
from carnet.model.plain import printable
from carnet.service.api import InProcess
from carnet.service.clock import utc
from carnet.service.node import Node
from carnet.store.keyfiles import why
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook

DEFAULT = "127.0.0.1:8480"


@click.command(cls=Command)
@click.option(
    "--config",
    type=options.Named(),
    required=True,
    metavar="FILE",
    help="Upstreams, models and callers, as TOML: see docs/reference/gateway.md.",
)
@data
@click.option(
    "--listen",
    default=DEFAULT,
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes a free one.",
)
@options.law
@options.policy
@click.option(
    "--tls", nargs=2, type=options.Named(), metavar="CERT KEY", help="Certificate chain and key, both PEM."
)
def gateway(
    config: Path,
    data: Path,
    listen: str,
    law: tuple[Path, ...],
    policy: Path | None,
    tls: tuple[Path, Path] | None,
) -> int:
    """Stand before model APIs and serve each caller what the law lets it use, until it is stopped.

    Speaks the Messages API of Anthropic and the APIs of OpenAI, streams too. Whoever may use a model notices
    nothing; whoever may not is told why, in the form that the official SDKs read. Each use of a controlled
    item is on record before the upstream hears of it."""
    try:
        from carnet.gateway.server import serve  # noqa: PLC0415 -- its client and its server are an extra
    except ModuleNotFoundError as error:
        raise InputError(f"`{error.name}` is not installed: run `pip install 'carnet[gateway]'`") from None
    directory = load_config(_read(config), file=printable(str(config)))
    rulebook, rules = load_rulebook(*law), read_policy(policy)
    check_choices(rules, rulebook)
    check_tls(tls)
    with listening(listen, DEFAULT) as sock:
        prepared(data)
        here = f"{'http' if tls is None else 'https'}://{shown(sock)}"

        def ready() -> None:
            click.echo(f"Carnet stands at {here}")
            click.echo("Not legal advice.")
            sys.stdout.flush()

        with Node(data, rulebook, rules) as node:
            api = InProcess(node)
            try:
                pair = None if tls is None else (str(tls[0]), str(tls[1]))
                serve(api, directory, sock, ready, tls=pair, now=utc)
            finally:
                api.close()
    return Exit.OK


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"`{printable(str(path))}` can't be read: {why(error)}") from None
