"""`carnet rules`: check the rules, run their cases, show a provision, list what changes when."""

import datetime as dt
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.asked import check_choices
from carnet.cli.exits import Exit, Group
from carnet.cli.pages import page_of, timeline_of
from carnet.engine.cases import run_case
from carnet.model.errors import InputError, RulesError
from carnet.rules.slices import change_instants, slice_at
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook
from carnet.words.catalogue import ENGLISH, stamp


@click.group(cls=Group)
def rules() -> None:
    """The rules themselves: check them, run their cases, read them."""


@rules.command()
@options.law
@options.at
@options.known
@options.policy
@options.as_json
def check(
    law: tuple[Path, ...],
    at: dt.datetime | None,
    known: dt.datetime | None,
    policy: Path | None,
    as_json: bool,
) -> int:
    """Print every problem of the rules.

    Each as FILE:LINE: what to do. They are resolved for every instant at which the law changes, or for
    that of `--at`, with the readings that the policy chooses. Exit code 6 if there is a problem."""
    try:
        rulebook = load_rulebook(*law)
        chosen = read_policy(policy)
        check_choices(chosen, rulebook)
        choices = chosen.choices
        knew = known or options.now()
        for instant in [at] if at is not None else change_instants(rulebook, knew, choices):
            slice_at(rulebook, instant, knew, choices)
    except RulesError as error:
        if not as_json:
            raise
        click.echo(options.json_of({"problems": error.problems, "rulebook": None}))
        return Exit.RULES
    if as_json:
        click.echo(options.json_of({"problems": [], "rulebook": rulebook.digest}))
        return Exit.OK
    click.echo(
        f"ok: {len(rulebook.blocks)} blocks, {len(rulebook.cases)} cases,"
        f" {len(rulebook.terms.specs)} words in {len(rulebook.pages)} files; rulebook {rulebook.digest[:12]}"
    )
    return Exit.OK


@rules.command()
@options.law
@options.at
@options.known
@options.as_json
@click.argument("words", nargs=-1)
def test(
    law: tuple[Path, ...],
    at: dt.datetime | None,
    known: dt.datetime | None,
    as_json: bool,
    words: tuple[str, ...],
) -> int:
    """Run the cases of every shelf.

    With WORDS, only those whose file or note has one of them; with `--at` and `--known`, only those that
    look no later at the law, and at what was known."""
    rulebook = load_rulebook(*law)
    cases = [
        case
        for case in rulebook.cases
        if (not words or any(word in case.file or word in case.note for word in words))
        and (at is None or case.at <= at)
        and (known is None or case.known <= known)
    ]
    if words and not cases:
        named = " ".join(words)
        raise InputError(f"no case has `{named}` in its file or note: leave it out for all of them")
    in_time = sorted(cases, key=lambda case: (case.known, case.at))  # few slices of the law are kept
    differs = {id(case): run_case(rulebook, case) for case in in_time}
    failed = [(case, found) for case in cases if (found := differs[id(case)])]
    passed = len(cases) - len(failed)
    if as_json:
        rows = [
            {"file": case.file, "line": case.line, "note": case.note, "differs": found}
            for case, found in failed
        ]
        document = {"passed": passed, "failed": rows, "rulebook": rulebook.digest}
        click.echo(options.json_of(document))
    else:
        for case, found in failed:
            click.echo(f"{case.file}:{case.line}: {case.note}")
            for line in found:
                click.echo(f"  {line}")
        click.echo(f"{passed} passed" + (f", {len(failed)} failed" if failed else ""))
    return Exit.FAILED if failed else Exit.OK


@rules.command()
@click.argument("name", metavar="ID")
@options.law
@options.at
@options.known
@options.as_json
def show(
    name: str,
    law: tuple[Path, ...],
    at: dt.datetime | None,
    known: dt.datetime | None,
    as_json: bool,
) -> int:
    """Print one block of the law.

    Its words, its rule as text, its history and its cases."""
    rulebook = load_rulebook(*law)
    text = page_of(rulebook, name, at, known)
    if as_json:
        block = next(block for block in rulebook.blocks if block.id == name)
        in_force = None if at is None else block.span.holds(at)
        document = {"kind": type(block).__name__.strip("_").lower(), "block": block, "in_force": in_force}
        click.echo(options.json_of({**document, "text": text, "rulebook": rulebook.digest}))
    else:
        click.echo(text)
    return Exit.OK


@rules.command()
@options.law
@options.at
@options.known
@options.as_json
def timeline(law: tuple[Path, ...], at: dt.datetime | None, known: dt.datetime | None, as_json: bool) -> int:
    """Print when the law changes.

    Every instant, with what begins and what ends; with `--at`, from then on."""
    rulebook = load_rulebook(*law)
    found = [change for change in timeline_of(rulebook, known) if at is None or change[0] >= at]
    if as_json:
        rows = [{"at": instant, "what": what, "change": word} for instant, word, what in found]
        click.echo(options.json_of({"changes": rows, "rulebook": rulebook.digest}))
    else:
        for instant, word, what in found:
            click.echo(ENGLISH.say(f"timeline.{word}", instant=stamp(instant), what=what))
    return Exit.OK
