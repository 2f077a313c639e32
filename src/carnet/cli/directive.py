"""`carnet directive`: a letter is received, drafted as a rule file, checked, and previewed. What each step
does is in `carnet.service.directives`; who approves it, and how it comes into force, is elsewhere.
"""

import datetime as dt
import getpass
import hashlib
from collections.abc import Iterator
from pathlib import Path

import click
from msgspec import Struct

from carnet.cli import options
from carnet.cli.api_keys import data
from carnet.cli.asked import check_choices, countries_of
from carnet.cli.exits import Exit, Group
from carnet.model.errors import InputError, RulesError
from carnet.model.plain import printable, short
from carnet.model.reading import LIMIT, decode
from carnet.model.transaction import Transaction, read_transaction
from carnet.policy.enforcement import Surface
from carnet.rules.letters import Letter, wrong
from carnet.service import directives as service
from carnet.service.previews import Preview
from carnet.service.story import read_story
from carnet.store.desk import Desk
from carnet.store.directives import Directive, Directives, Step
from carnet.store.examples import shipped_examples
from carnet.store.exports import write_new
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook
from carnet.words.catalogue import ENGLISH, stamp

_MOST_EXAMPLES = 100
_DONE = {"serve": "served", "ask": "asked", "fall_back": "fallen back", "refuse": "refused", "cut": "cut"}

by = click.option(
    "--by",
    metavar="NAME",
    help="Who takes the step, told and not proved; default: the user of this machine.",
)


@click.group(cls=Group)
def directive() -> None:
    """A letter, from its receipt to a preview of what it would do."""


@directive.command()
@click.argument("letter", metavar="LETTER")
@click.option(
    "--text",
    type=options.Named(),
    required=True,
    metavar="FILE",
    help="The letter's text as it came; only its digest is kept.",
)
@by
@data
@options.as_json
def receive(letter: str, text: Path, by: str | None, data: Path, as_json: bool) -> int:
    """Put down a letter that came.

    LETTER is a record of it (.toml or JSON): issuer, office, instants, items, prongs, annex, what it ends. It
    has to have the digest of the text."""
    read = decode(options.read_input(letter), Letter, file=letter, check=wrong)
    digest = _digest(text)
    with _open(data) as desk:
        found = service.receive(Directives(desk), read, digest, by=_who(by), now=options.now())
    return _told(found, as_json)


@directive.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--out", type=options.Named(), required=True, metavar="FILE", help="The rule file, a new one (.md)."
)
@by
@data
@options.as_json
def draft(id_: str, out: Path, by: str | None, data: Path, as_json: bool) -> int:
    """Draft the rule file of the letter ID.

    It is made by template and passes its own cases; what no template has is added to it by hand. It lies on
    no shelf yet: nothing is decided by it."""
    if out.exists():
        raise InputError(f"`{printable(str(out))}` is there already: name a new file with `--out`")
    with _open(data) as desk:
        found = service.draft(Directives(desk), id_, by=_who(by), now=options.now())
    write_new(out, [found.text.encode()])
    return _told(found, as_json)


@directive.command()
@click.argument("id_", metavar="ID")
@click.argument("file", metavar="FILE")
@options.law
@options.policy
@by
@data
@options.as_json
def check(
    id_: str,
    file: str,
    law: tuple[Path, ...],
    policy: Path | None,
    by: str | None,
    data: Path,
    as_json: bool,
) -> int:
    """Check the rule FILE of the letter ID beside the law.

    It is loaded and resolved, and its cases are run. Exit code 6 if a rule is wrong, 1 if a case is; in both
    cases nothing is checked yet."""
    text, chosen = options.read_input(file), read_policy(policy)
    check_choices(chosen, load_rulebook(*law))
    try:
        with _open(data) as desk:
            found = service.check(
                Directives(desk),
                id_,
                text,
                shown=file,
                law=law,
                choices=chosen.choices,
                by=_who(by),
                now=options.now(),
            )
    except RulesError as error:
        if not as_json:
            raise
        click.echo(options.json_of({"problems": error.problems, "directive": None}))
        return Exit.RULES
    if as_json:
        document = {
            "problems": [],
            "directive": _entry(found.directive),
            "rulebook": found.rulebook,
            "blocks": found.blocks,
            "passed": found.passed,
            "failed": found.failed,
            "edited": found.edited,
        }
        click.echo(options.json_of(document))
        return Exit.FAILED if found.failed else Exit.OK
    for case in found.failed:
        click.echo(printable(f"{case.file}:{case.line}: {case.note}"))
        for line in case.differs:
            click.echo(printable(f"  {line}"))
    edited = ", edited since it was drafted" if found.edited else ""
    failed = f", {len(found.failed)} failed" if found.failed else ""
    click.echo(f"{found.blocks} blocks, {found.passed} cases passed{failed}{edited}")
    if found.failed:
        return Exit.FAILED
    return _told(found.directive, as_json)


@directive.command()
@click.argument("id_", metavar="ID")
@click.argument("file", metavar="FILE")
@click.option("--over", metavar="STORY", help="The uses of a shipped example; default: `june-2026`.")
@click.option(
    "--uses",
    type=options.Named(),
    metavar="FILE",
    help="Uses of your own: a transaction on each line, as JSON. Their ids are shown: they may name nobody.",
)
@click.option(
    "--examples",
    type=click.IntRange(0, _MOST_EXAMPLES),
    default=5,
    show_default=True,
    metavar="N",
    help="How many ids are shown for each change.",
)
@options.surface
@options.at
@options.known
@options.law
@options.policy
@by
@data
@options.as_json
def preview(
    id_: str,
    file: str,
    over: str | None,
    uses: Path | None,
    examples: int,
    surface: Surface,
    at: dt.datetime | None,
    known: dt.datetime | None,
    law: tuple[Path, ...],
    policy: Path | None,
    by: str | None,
    data: Path,
    as_json: bool,
) -> int:
    """Say what the letter ID would do to whom.

    FILE has to be as it was checked. Each use is decided as if it were done at `--at` (by default, once the
    letter is certainly in force), under the law as it is and with the letter. Nothing comes into force."""
    if over is not None and uses is not None:
        raise InputError("give `--over` or `--uses`, not both: a preview is over one of them")
    text, chosen = options.read_input(file), read_policy(policy)
    rulebook = load_rulebook(*law)
    check_choices(chosen, rulebook)
    stream = _File(uses, countries_of(rulebook)) if uses is not None else _Story(over or "june-2026")
    with _open(data) as desk:
        found, seen = service.preview(
            Directives(desk),
            id_,
            text,
            stream,
            shown=file,
            law=law,
            policy=chosen,
            at=at,
            known=known,
            surface=surface,
            examples=examples,
            by=_who(by),
            now=options.now(),
        )
    if as_json:
        click.echo(options.json_of({"directive": _entry(found), "preview": seen}))
        return Exit.OK
    for line in _lines(seen):
        click.echo(line)
    return _told(found, as_json)


@directive.command()
@click.argument("id_", metavar="[ID]", required=False)
@data
@options.as_json
def status(id_: str | None, data: Path, as_json: bool) -> int:
    """List the letters, or say what was done about the one with this ID."""
    with _open(data) as desk:
        held = Directives(desk)
        found = held.listed() if id_ is None else [held.read(id_)]
    if as_json:
        click.echo(options.json_of({"directives": [_entry(each) for each in found]}))
        return Exit.OK
    for each in found:
        click.echo(_line(each))
        if id_ is not None:
            for step in each.steps:
                click.echo(_step(step))
    return Exit.OK


class _Story(Struct, frozen=True):
    """The uses of a shipped example."""

    name: str

    def __iter__(self) -> Iterator[tuple[str, Transaction]]:
        for scene in read_story(shipped_examples(self.name)).scenes:
            for case in scene.cases:
                yield case.id, case.transaction


class _File(Struct, frozen=True):
    """The uses of a file, one on a line; without an id of its own it is called by its line."""

    file: Path
    countries: frozenset[str] | None

    def __iter__(self) -> Iterator[tuple[str, Transaction]]:
        shown = printable(str(self.file))
        try:
            with self.file.open("rb") as opened:
                number = 0
                while line := opened.readline(LIMIT + 1):
                    number += 1
                    if not line.strip():
                        continue
                    name = f"{shown}:{number}"
                    use = read_transaction(line, file=name, countries=self.countries)
                    yield use.id or f"line {number}", use
        except OSError as error:
            why = (error.strerror or "no such file").lower()
            raise InputError(f"`{short(shown, 200)}` can't be read: {why}") from None


def _digest(file: Path) -> str:
    """SHA-256 of a file. Raises InputError if it can't be read or is empty."""
    shown = short(printable(str(file)), 200)
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            empty = opened.tell() == 0
    except OSError as error:
        why = (error.strerror or "no such file").lower()
        raise InputError(f"`{shown}` can't be read: {why}") from None
    if empty:
        raise InputError(f"`{shown}` is empty: name the text as it came")
    return digest


def _open(data: Path) -> Desk:
    """The desk of an installation that is there. Raises InputError if none is."""
    if not data.is_dir():
        raise InputError(f"`{printable(str(data))}` is not there: make it with `carnet keys init`")
    return Desk.open(data)


def _who(given: str | None) -> str:
    """Who takes the step."""
    return getpass.getuser() if given is None else given


def _told(found: Directive, as_json: bool) -> int:
    click.echo(options.json_of({"directive": _entry(found)}) if as_json else _line(found))
    return Exit.OK


def _entry(found: Directive) -> dict[str, object]:
    return {"letter": found.letter, "path": found.letter.path, "state": found.state, "steps": found.steps}


def _line(found: Directive) -> str:
    last = found.steps[-1]
    return f"{found.letter.id}  {found.state}  {stamp(last.at)}  by {printable(last.by)}"


def _step(step: Step) -> str:
    more = "".join(f", {what} {digest[:12]}" for what, digest in sorted(step.seen.items()))
    who = printable(step.by)
    return f"  {stamp(step.at)}  {step.state:<9}  by {who}: text {step.digest[:12]}{more}"


def _lines(seen: Preview) -> Iterator[str]:
    """A preview as people read it."""
    door = f"of which change at the door ({seen.surface}): {seen.changed}"
    yield f"uses at {stamp(seen.at)}: {seen.total}, {door}"
    for change in seen.changes:
        some = f"  such as {', '.join(map(printable, change.examples))}" if change.examples else ""
        yield f"  {_change(change.before, change.after):<22} {change.count:>6}{some}"
    if seen.answers:
        yield "legal answers that change"
    for answer in seen.answers:
        words = [ENGLISH.say(f"outcome.{each}") for each in (answer.before, answer.after)]
        yield f"  {' → '.join(words):<46} {answer.count:>6}"
    if seen.rows:
        yield "by product and country group (15 CFR part 740, Supp. 1)"
    for row in seen.rows:
        head = f"{printable(row.product)}  {row.group}"
        yield f"  {head:<40} {_change(row.before, row.after):<22} {row.count:>6}"


def _change(before: str, after: str) -> str:
    return f"{_DONE[before]} → {_DONE[after]}"
