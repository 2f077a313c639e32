"""Write the reference pages that are made from the code; with `--check`, say which are not current.

The JSON Schemas are made by `carnet.model.schema`, the page of commands from the command line itself.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from carnet.model.schema import schemas

REFERENCE = Path(__file__).parent / "reference"


def commands(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """The help of a command and of all below it, as Markdown."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=88)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            if below is not None and not below.hidden:
                yield from commands(below, each, context)


def pages() -> dict[Path, str]:
    """Every generated file with its content."""
    main = import_module("carnet.cli").main
    head = "# The command line\n\nMade from the program by `make docs`; edit the program, not this page.\n\n"
    made = {REFERENCE / "schema" / f"{name}.json": text for name, text in schemas().items()}
    return {**made, REFERENCE / "cli.md": head + "\n".join(commands(main, "carnet"))}


def run(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    stale = []
    for path, text in pages().items():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(path)
            if "--check" not in arguments:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
                print(f"written: {path.relative_to(REFERENCE.parent.parent)}")
    if stale and "--check" in arguments:
        for path in stale:
            print(
                f"not current: {path.relative_to(REFERENCE.parent.parent)} (run `make docs`)", file=sys.stderr
            )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
