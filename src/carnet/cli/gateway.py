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
from carnet.gateway.callers import Who
from carnet.gateway.config import Directory, load_config
from carnet.gateway.deciding import Deciding
from carnet.model.errors import InputError
from carnet.model.near import nearest
from carnet.model.plain import printable
from carnet.model.transaction import Party
from carnet.policy.enforcement import Policy
from carnet.rules.rulebook import Rulebook
from carnet.service.api import InProcess
from carnet.service.clock import utc
from carnet.service.node import Node
from carnet.store.keyfiles import why
from carnet.store.keys import DIRECTORY
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook
from carnet.web.server import logged

DEFAULT = "127.0.0.1:8480"

_NOBODY = Who(tenant="default", key="", subject="nobody", through=(), substitute=False)


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
    _check_data(data)
    with listening(listen, DEFAULT) as sock, Node(data, rulebook, rules) as node:
        here, api = f"{'http' if tls is None else 'https'}://{shown(sock)}", InProcess(node)

        def ready() -> None:
            _say_callers(node, directory)
            _say_law(node, api, directory)
            click.echo(f"Carnet stands at {here}")
            click.echo("Not legal advice.")
            sys.stdout.flush()

        def again() -> None:
            node.enter(*_taken(law, policy))
            _say_law(node, api, directory)
            sys.stdout.flush()

        try:
            pair = None if tls is None else (str(tls[0]), str(tls[1]))
            serve(api, directory, sock, ready, again=again, now=utc, tls=pair)
        finally:
            api.close()
    return Exit.OK


def _check_data(data: Path) -> None:
    """A gateway without callers serves nobody: so nothing is made here."""
    if not (data / DIRECTORY).exists():
        raise InputError(
            f"`{printable(str(data))}` has no keys: run `carnet keys init` and "
            "`carnet keys api add --role call` first, or name the data directory with `--data`"
        )


def _say_law(node: Node, api: InProcess, directory: Directory) -> None:
    """Which models are controlled now, so that a letter that names none is seen; and what of the policy is
    about no model here."""
    law, now = node.determiner.law, node.clock.read().wall
    deciding = Deciding(api, directory, {}, lambda: now)
    controlled = []
    for model in directory.config.model:
        seen = law.view(deciding.request(_NOBODY, model).transaction, now, now)
        if law.about(seen.values, now, now).controlled:
            controlled.append(model.name)
    click.echo(f"epoch {law.epoch} is in force; controlled here: {', '.join(controlled) or 'no model'}")
    for product in sorted({*law.policy.fallback, *law.policy.fallback.values()} - set(directory.items)):
        options.say(
            f"`[fallback]` of the policy names `{printable(product)}`, which is no item of a model here"
            f"{nearest(product, directory.items)}"
        )


def _say_callers(node: Node, directory: Directory) -> None:
    """Callers who can't get in, and those of whom nothing is known."""
    keys = {key.id: key for key in node.api_keys.listed()}
    now = node.clock.read().wall
    for caller in directory.config.caller:
        key = keys.get(caller.key)
        if key is None or key.revoked is not None:
            options.say(f"no API key has the id `{caller.key}`, or it is revoked: see `carnet keys api list`")
        elif "call" not in key.roles:
            options.say(f"the API key `{caller.key}` has no role `call`: give out one that has")
        elif caller.end_users == "none" and node.subjects.facts(key.tenant, caller.subject, now) == Party():
            options.say(
                f"nothing is on record of the subject `{printable(caller.subject)}`: it is asked about "
                "itself where a model is controlled, see `carnet subjects import`"
            )


def _taken(law: tuple[Path, ...], policy: Path | None) -> tuple[Rulebook, Policy]:
    rulebook, rules = load_rulebook(*law), read_policy(policy)
    check_choices(rules, rulebook)
    return rulebook, rules


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"`{printable(str(path))}` can't be read: {why(error)}") from None
