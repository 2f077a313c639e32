"""What the commands share: their options, what they read and how they print. What a command does is in its
own module."""

import datetime as dt
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from carnet.model.errors import InputError
from carnet.model.plain import short
from carnet.model.reading import LIMIT
from carnet.model.time import instant

F = TypeVar("F", bound=Callable[..., Any])


class Instant(click.ParamType[dt.datetime]):
    """An instant with its zone."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """Read ISO text; a failure is a usage error."""
        if isinstance(value, dt.datetime):
            return value
        try:
            return instant(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)


class Named(click.Path):
    """A path, and no empty text: that would be the working directory."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 -- click's own signature
        """Refuse what names nothing."""
        if not str(value).strip():
            self.fail(
                f"`{value}` names nothing: leave the option out, or name a file or directory", param, ctx
            )
        return super().convert(value, param, ctx)


law = click.option(
    "--law",
    "law",
    multiple=True,
    type=Named(),
    metavar="DIR",
    envvar="CARNET_LAW",
    help="A shelf of your own beside the shipped one; may be given more than once. Default: CARNET_LAW.",
)
at = click.option(
    "--at", type=Instant(), metavar="INSTANT", help="The instant at which the law is looked at."
)
known = click.option(
    "--known", type=Instant(), metavar="INSTANT", help="What was known by then; default: the same as --at."
)
policy = click.option(
    "--policy",
    type=Named(),
    envvar="CARNET_POLICY",
    metavar="FILE",
    help="Your enforcement policy (.toml); default: CARNET_POLICY, or the careful one that is shipped.",
)
surface = click.option(
    "--surface",
    type=click.Choice(["api", "interactive", "batch", "stream"]),
    default="api",
    show_default=True,
    help="Where the door stands: what it can do depends on it.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def read_input(file: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; at most one more than the limit.

    Raises InputError if it can't be read.
    """
    shown = short(file, 200)
    if not file.strip():
        raise InputError(f"`{shown}` names no file: name one, or `-` for standard input")
    try:
        if file != "-":
            with Path(file).open("rb") as opened:
                return opened.read(LIMIT + 1)
        if sys.stdin is None:
            raise InputError("`-` reads standard input, and it is closed: name a file instead")
        return sys.stdin.buffer.read(LIMIT + 1)
    except OSError as error:
        raise InputError(f"`{shown}` can't be read: {(error.strerror or 'no such file').lower()}") from None


def now() -> dt.datetime:
    """The instant of the call, in whole seconds."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


COLORS = {"prohibited": "red", "license_required": "red", "needs_human": "yellow", "needs_facts": "yellow"}


def painted(text: str, outcome: str) -> str:
    """Text in the color of an outcome, where there is a terminal and `NO_COLOR` is not set."""
    if os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=COLORS.get(outcome, "green"), bold=True)


def json_of(document: object) -> str:
    """One JSON document, indented, keys in order."""
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2).decode()


def say(text: str) -> None:
    """Talk: to standard error, so that standard output stays the answer."""
    click.echo(text, err=True)
