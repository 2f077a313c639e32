"""The exit codes of every command."""

from enum import IntEnum

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
