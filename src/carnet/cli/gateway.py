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
from carnet.policy.enforcement import Policy
from carnet.rules.rulebook import Rulebook
from carnet.service.api import InProcess
from carnet.service.clock import utc
from carnet.service.node import Node
from carnet.store.keyfiles import why
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook
from carnet.web.server import logged

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
    item is on record before the upstream hears of it.

    On SIGHUP it takes the law and the policy as they are then: answers that are open are decided about anew.
    Law or policy with a mistake in it changes nothing, and is told on standard error."""
    try:
        from carnet.gateway.server import serve  # noqa: PLC0415 -- its client and its server are an extra
    except ModuleNotFoundError as error:
        raise InputError(f"`{error.name}` is not installed: run `pip install 'carnet[gateway]'`") from None
    logged()
    directory = load_config(_read(config), file=printable(str(config)))
    rulebook, rules = _taken(law, policy)
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

            def again() -> None:
                epoch = node.enter(*_taken(law, policy))
                click.echo(f"epoch {epoch} is in force")
                sys.stdout.flush()

            try:
                pair = None if tls is None else (str(tls[0]), str(tls[1]))
                serve(api, directory, sock, ready, again=again, now=utc, tls=pair)
            finally:
                api.close()
    return Exit.OK


def _taken(law: tuple[Path, ...], policy: Path | None) -> tuple[Rulebook, Policy]:
    rulebook, rules = load_rulebook(*law), read_policy(policy)
    check_choices(rules, rulebook)
    return rulebook, rules


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"`{printable(str(path))}` can't be read: {why(error)}") from None
