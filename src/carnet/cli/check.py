"""`carnet check`: one transaction, its legal answer and what the door would do about it."""

import datetime as dt
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.asked import Asked, ask
from carnet.cli.exits import Command, exit_of
from carnet.engine.explain import summary, text_of
from carnet.policy.enforcement import Surface
from carnet.words.catalogue import ENGLISH


@click.command(cls=Command)
@click.argument("file", metavar="FILE|-")
@options.law
@options.at
@options.known
@options.policy
@options.surface
@options.as_json
def check(
    file: str,
    law: tuple[Path, ...],
    at: dt.datetime | None,
    known: dt.datetime | None,
    policy: Path | None,
    surface: Surface,
    as_json: bool,
) -> int:
    """Decide one transaction.

    FILE is JSON, or TOML if its name ends in `.toml`; `-` reads JSON from standard input. Standard output is
    the answer; the exit code says it to scripts.
    """
    asked = ask(file, law, at=at, known=known, policy=policy, surface=surface)
    if as_json:
        click.echo(options.json_of(asked.document()))
    else:
        said = summary(asked.determination, asked.rulebook)
        click.echo(options.painted(said.headline, asked.determination.outcome), nl=False)
        click.echo(text_of(said, door(asked)).removeprefix(said.headline))
    return exit_of(asked.determination.outcome)


def door(asked: Asked) -> str:
    """What the door does, as a line apart from the legal answer."""
    action, say = asked.action, ENGLISH.say
    tasks = ", ".join(ENGLISH.task(key) for key in action.tasks)
    line = say(
        "door", action=say(f"action.{action.kind}"), reason=say(f"reason.{action.reason}", tasks=tasks)
    )
    if action.fallback is not None:
        line += f"; {say('door.fallback', product=action.fallback)}"
    return f"{line} (policy {asked.policy.name})"
