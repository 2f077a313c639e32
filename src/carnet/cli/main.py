"""The program: its commands, and the one place where an error becomes a sentence and an exit code."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from carnet.cli.exits import Exit, Group
from carnet.model.errors import InputError, LedgerError, RulesError, StoreError, Unverified
from carnet.model.plain import printable

COMMANDS = {
    "check": "carnet.cli.check",
    "explain": "carnet.cli.explain",
    "replay": "carnet.cli.replay",
    "rules": "carnet.cli.rules",
    "directive": "carnet.cli.directive",
    "keys": "carnet.cli.keys",
    "subjects": "carnet.cli.subjects",
    "serve": "carnet.cli.serve",
    "gateway": "carnet.cli.gateway",
    "log": "carnet.cli.log",
    "records": "carnet.cli.records",
    "backup": "carnet.cli.backup",
    "restore": "carnet.cli.backup",
    "witness": "carnet.cli.witness",
    "doctor": "carnet.cli.doctor",
}
"""Every command and the module that has it under its own name, read when it is first used."""

REPORT = "this is a defect of Carnet: please report it, with the command and `carnet doctor`, as an issue"


class Program(Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click gives the context
        """The commands in the order in which they are met."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as above
        """The command of that name, its module read now."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,  # noqa: ANN401 -- click's own signature
    ) -> Any:  # noqa: ANN401 -- click's own signature
        """Run a command line. Never a traceback: an error is one sentence and an exit code."""
        try:
            code = super().main(args, prog_name or "carnet", complete_var, standalone_mode=False, **extra)
            _flush()
        except click.exceptions.Exit as stop:
            code = stop.exit_code
        except SystemExit as stop:  # click has seen that the reader of a pipe left
            code = stop.code
        except BaseException as error:  # noqa: BLE001 -- the last place where an error can be put into words
            code = _told(error)
        code = int(code) if isinstance(code, int) else int(Exit.OK)
        if not standalone_mode:
            return code
        sys.exit(code)


def _told(error: BaseException) -> int:
    """Say on standard error what went wrong; the exit code."""
    match error:
        case BrokenPipeError():
            # Whoever read us has left: say nothing more, not even when Python closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.FAILED
        case click.ClickException():
            error.show()
            return Exit.USAGE if isinstance(error, click.UsageError) else Exit.FAILED
        case click.Abort() | KeyboardInterrupt():
            click.echo("stopped", err=True)
            return Exit.FAILED
        case RulesError():
            for problem in error.problems:
                click.echo(str(problem), err=True)
            click.echo(f"{_count(len(error.problems))} in the rules: no answer is given", err=True)
            return Exit.RULES
        case InputError():
            click.echo(printable(str(error)), err=True)
            return Exit.USAGE
        case LedgerError() | StoreError():
            click.echo(printable(str(error)), err=True)
            return Exit.UNVERIFIED if isinstance(error, Unverified) else Exit.FAILED
        case _:
            kind = type(error).__name__
            click.echo(f"unexpected error `{kind}: {_line(error)}`: {REPORT}", err=True)
            return Exit.FAILED


def _flush() -> None:
    """A reader that has left is noticed here, not when Python ends."""
    sys.stdout.flush()


def _count(number: int) -> str:
    return "1 problem" if number == 1 else f"{number} problems"


def _line(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()))
    return text if len(text) <= 200 else text[:197] + "..."


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="carnet", message="%(package)s %(version)s")
def main() -> None:
    """Who may use which AI model under export-control law.

    Decided from cited rules; what is missing is asked for.
    """
