"""The exit codes of every command, and the help that lists them."""

from enum import IntEnum

import click

from carnet.model.determination import PERMITTED, Outcome


class Exit(IntEnum):
    """What a command ends with, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CLOSED = 3
    OPEN = 4
    UNVERIFIED = 5
    RULES = 6


MEANING = {
    Exit.OK: "allowed, or done",
    Exit.FAILED: "failed",
    Exit.USAGE: "the command or its input can't be used",
    Exit.CLOSED: "license required, or prohibited",
    Exit.OPEN: "needs facts, or a human",
    Exit.UNVERIFIED: "verification failed",
    Exit.RULES: "the rules are invalid",
}


def exit_of(outcome: Outcome) -> Exit:
    """The exit code of a legal answer."""
    if outcome in PERMITTED:
        return Exit.OK
    return Exit.CLOSED if outcome in ("prohibited", "license_required") else Exit.OPEN


class Command(click.Command):
    """A command whose help ends with the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click gives the context
        """The exit codes."""
        _list(formatter)


class Group(click.Group):
    """A group whose help, and that of all below it, ends with the exit codes."""

    command_class = Command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click gives the context
        """The exit codes."""
        _list(formatter)


def _list(formatter: click.HelpFormatter) -> None:
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANING.items()])
    formatter.write_paragraph()
    formatter.write_text("Not legal advice.")
