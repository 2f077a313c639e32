"""Write the reference pages that are made from the code; with `--check`, say which are not current.

The JSON Schemas are made by `carnet.model.schema`, the page of words from the shelf's `terms.toml`, the page
of commands from the command line itself, the description of the service and the page of its problems from its
table of routes. `docs/generate.py schema words` makes only these.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.resources import files
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


def schema_files() -> dict[Path, str]:
    """The JSON Schema of each document."""
    return {REFERENCE / "schema" / f"{name}.json": text for name, text in schemas().items()}


def word_page() -> dict[Path, str]:
    """The page of words: a table for each entity, what a word means from the comment above it."""
    text = (files("carnet") / "law" / "terms.toml").read_text("utf-8")
    meanings = {
        path: said.strip("# \n") for said, path in re.findall(r"^(# [^\n]*\n)\[(.+)\]$", text, re.MULTILINE)
    }
    lines = ["# The words", "", "Made from `terms.toml` by `make docs`; edit that, not this page.", ""]
    for entity, table in tomllib.loads(text).items():
        if not isinstance(table, dict):
            continue
        lines += [
            f"## `{entity}`",
            "",
            "| word | means | may be | asked of | level | source |",
            "|---|---|---|---|---|---|",
        ]
        for name, spec in table.items():
            kind = f"set of {spec['of']}" if spec["type"] == "set" else spec["type"]
            may_be = ", ".join(f"`{value}`" for value in spec["values"]) if "values" in spec else kind
            if "unit" in spec and spec["unit"] != "1":
                may_be += f" in units of {spec['unit']}"
            if "presumption" in spec:
                may_be += f" (presumed `{spec['presumption']['value']}`)"
            cells = (name, meanings.get(f"{entity}.{name}", ""), may_be, spec.get("who", "user"))
            lines.append(
                "| `{}` | {} | {} | {} | {} | {} |".format(*cells, spec.get("level", "S0"), spec["cite"])
            )
        lines.append("")
    return {REFERENCE / "words.md": "\n".join(lines)}


def command_page() -> dict[Path, str]:
    """The page of commands."""
    main = import_module("carnet.cli").main
    head = "# The command line\n\nMade from the program by `make docs`; edit the program, not this page.\n\n"
    return {REFERENCE / "cli.md": head + "\n".join(commands(main, "carnet"))}


def service_files() -> dict[Path, str]:
    """The description of the service (OpenAPI), and the page of its problems."""
    openapi, problems = import_module("carnet.web.openapi"), import_module("carnet.web.problems")
    return {
        REFERENCE / "openapi.json": openapi.text(),
        REFERENCE / "problems.md": problems.page(),
    }


PARTS: dict[str, Callable[[], dict[Path, str]]] = {
    "schema": schema_files,
    "words": word_page,
    "cli": command_page,
    "service": service_files,
}


def pages(parts: list[str]) -> dict[Path, str]:
    """Every generated file of the parts with its content; no parts: all."""
    return {path: text for part in parts or PARTS for path, text in PARTS[part]().items()}


def run(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    stale = []
    parts = [argument for argument in arguments if not argument.startswith("-")]
    if unknown := set(parts) - PARTS.keys():
        print(f"unknown part `{min(unknown)}`: write one of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for path, text in pages(parts).items():
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
