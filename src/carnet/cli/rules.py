"""`carnet rules`: check the rules, run their cases, show a provision, list what changes when."""

from pathlib import Path

import click
import msgspec

from carnet.cli import options
from carnet.cli.exits import Exit
from carnet.engine.cases import run_case
from carnet.model.errors import RulesError
from carnet.store.shelves import load_rulebook


@click.group()
def rules() -> None:
    """The rules themselves: check them, run their cases, read them."""


@rules.command()
@options.law
@options.as_json
def check(law: tuple[Path, ...], as_json: bool) -> int:
    """Load every shelf and print each problem as FILE:LINE: what to do."""
    try:
        rulebook = load_rulebook(*law)
    except RulesError as error:
        if not as_json:
            raise
        click.echo(msgspec.json.encode({"problems": error.problems, "rulebook": None}).decode())
        return Exit.RULES
    if as_json:
        click.echo(msgspec.json.encode({"problems": [], "rulebook": rulebook.digest}).decode())
        return Exit.OK
    click.echo(
        f"ok: {len(rulebook.blocks)} blocks, {len(rulebook.cases)} cases,"
        f" {len(rulebook.terms.specs)} words in {len(rulebook.pages)} files; rulebook {rulebook.digest[:12]}"
    )
    return Exit.OK


@rules.command()
@options.law
@options.as_json
@click.argument("words", nargs=-1)
def test(law: tuple[Path, ...], as_json: bool, words: tuple[str, ...]) -> int:
    """Run every case, or those whose file or note has one of the WORDS."""
    rulebook = load_rulebook(*law)
    cases = [
        case
        for case in rulebook.cases
        if not words or any(word in case.file or word in case.note for word in words)
    ]
    failed = [(case, found) for case in cases if (found := run_case(rulebook, case))]
    passed = len(cases) - len(failed)
    if as_json:
        rows = [
            {"file": case.file, "line": case.line, "note": case.note, "differs": found}
            for case, found in failed
        ]
        document = {"passed": passed, "failed": rows, "rulebook": rulebook.digest}
        click.echo(msgspec.json.encode(document).decode())
    else:
        for case, found in failed:
            click.echo(f"{case.file}:{case.line}: {case.note}")
            for line in found:
                click.echo(f"  {line}")
        click.echo(f"{passed} passed" + (f", {len(failed)} failed" if failed else ""))
    return Exit.FAILED if failed else Exit.OK
