"""`carnet explain`: why a transaction gets its answer, why not another, and what would change it."""

import datetime as dt
from itertools import pairwise
from pathlib import Path

import click

from carnet.cli import options
from carnet.cli.asked import Asked, ask
from carnet.cli.check import door
from carnet.cli.exits import Command, exit_of
from carnet.engine.decide import timeline as timeline_of
from carnet.engine.explain import explanation, text_of
from carnet.engine.what_if import changes
from carnet.model.determination import Outcome
from carnet.policy.enforcement import Surface
from carnet.words.catalogue import ENGLISH, stamp


@click.command(cls=Command)
@click.argument("file", metavar="FILE|-")
@options.law
@options.at
@options.known
@options.policy
@options.surface
@click.option("--timeline", is_flag=True, help="Also the answer over time: at every change of the law.")
@options.as_json
def explain(
    file: str,
    law: tuple[Path, ...],
    at: dt.datetime | None,
    known: dt.datetime | None,
    policy: Path | None,
    surface: Surface,
    timeline: bool,
    as_json: bool,
) -> int:
    """Explain one transaction.

    Why it gets its answer, why not another, and what would change it."""
    asked = ask(file, law, at=at, known=known, policy=policy, surface=surface)
    of = asked.determination
    single = changes(of, asked.rulebook, asked.seen.values, asked.seen.stated)
    said = explanation(of, asked.rulebook, changes=single)
    over_time = answers_over_time(asked, known) if timeline else []
    if as_json:
        document = {**asked.document(), "explanation": said, "changes": single}
        if timeline:
            document["timeline"] = [{"from": start, "outcome": outcome} for start, outcome in over_time]
        click.echo(options.json_of(document))
        return exit_of(of.outcome)
    click.echo(options.painted(said.headline, of.outcome), nl=False)
    click.echo(text_of(said, door(asked)).removeprefix(said.headline))
    if timeline:
        click.echo(f"\n{ENGLISH.say('section.timeline')}")
        for start, outcome in over_time:
            line = ENGLISH.say(
                "timeline.line", instant=stamp(start), outcome=ENGLISH.say(f"outcome.{outcome}")
            )
            click.echo(f"  {line}")
    return exit_of(of.outcome)


def answers_over_time(asked: Asked, known: dt.datetime | None) -> list[tuple[dt.datetime, Outcome]]:
    """The outcome from each change of the law on at which it differs, by all that the rulebook knows or by
    what was known at `known`; the facts are read at each instant."""
    of, book = asked.determination, asked.rulebook
    latest = known or max((of.known, *(block.known for block in book.blocks)))
    answers = timeline_of(asked.transaction, book, known=latest, choices=asked.policy.choices)
    found = [(start, answer.outcome) for start, answer in answers]
    return found[:1] + [later for earlier, later in pairwise(found) if later[1] != earlier[1]]
