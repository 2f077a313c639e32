"""The command line: what is typed becomes a call, and what comes back becomes text, JSON and an exit code."""

from carnet.cli.main import main

__all__ = ["main"]
