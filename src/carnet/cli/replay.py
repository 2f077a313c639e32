"""`carnet replay`: a story told again on the screen, case by case, with the legal answer, what Carnet does
and what the provider did side by side. Deciding and counting are in `carnet.service.replay`."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from carnet.cli import options
from carnet.cli.exits import Command, Exit
from carnet.service.replay import Report, Row, decider, encode, expected_of
from carnet.service.replay import replay as run
from carnet.service.story import Scene, Story, read_story, told_until
from carnet.store.examples import shipped_examples
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook
from carnet.words import replay as words

GUTTER = 9
NARROWEST, WIDEST = 60, 120
COLOR = {"serve": "green", "refuse": "red", "ask": "yellow", "cut": "red", "fall_back": "yellow"}
HUMAN = "magenta"


@click.command(cls=Command)
@options.law
@options.at
@options.known
@options.as_json
@click.option("--all", "every", is_flag=True, help="Show every case, not only those that tell the story.")
@click.argument("story", metavar="STORY", default="june-2026")
def replay(
    story: str,
    law: tuple[Path, ...],
    at: dt.datetime | None,
    known: dt.datetime | None,
    as_json: bool,
    every: bool,
) -> int:
    """Decide a shipped STORY again, person by person: `june-2026`.

    With `--at`, only the cases up to that instant; with `--known`, all of them by what was known then.
    Exit code 0 if every case comes out as expected, 1 otherwise.
    """
    read = told_until(read_story(shipped_examples(story)), at, known)
    rulebook = load_rulebook(*law)
    report = run(read, rulebook, decider(rulebook, default_policy()))
    if as_json:
        click.echo(encode(report).decode())
    else:
        console = Console(highlight=False, emoji=False, soft_wrap=True)
        console.width = min(max(console.width, NARROWEST), WIDEST)
        for line in told(report, Page(console), every=every):
            line.rstrip()
            console.print(line)
    return Exit.FAILED if report.mismatches else Exit.OK


class Page:
    """Text in lines of a width, set in from the left and with something in the margin."""

    def __init__(self, console: Console) -> None:
        self.console, self.width = console, console.width

    def lines(self, text: Text, indent: int = 0) -> list[Text]:
        """The text, wrapped."""
        return [Text(" " * indent).append_text(line) for line in text.wrap(self.console, self.width - indent)]

    def beside(self, margin: list[Text], lines: list[Text]) -> Iterator[Text]:
        """Lines that are set in, with the margin's own lines before the first of them."""
        for number, line in enumerate(lines):
            if number < len(margin):
                yield (
                    margin[number]
                    .copy()
                    .append(" " * (GUTTER - margin[number].cell_len))
                    .append(line[GUTTER:])
                )
            else:
                yield line

    def columns(self, cells: tuple[Text, Text, Text]) -> Text:
        """Three cells side by side, as wide as in every case."""
        room = self.width - GUTTER
        line = Text(" " * GUTTER)
        for cell, wide in zip(cells, (max(24, room * 35 // 100), max(11, room * 18 // 100), 0), strict=True):
            line.append_text(cell).append(" " * max(1, wide - cell.cell_len) if wide else "")
        return line

    def rule(self, text: str, style: str) -> Text:
        """A heading in a line across the page."""
        head = f"━━ {text} " if text else ""
        return Text(head + "━" * (self.width - len(head)), style=style)


def told(report: Report, page: Page, *, every: bool) -> Iterator[Text]:
    """The report from top to bottom, line by line; what does not come out as expected is always there."""
    story = report.story
    yield Text()
    yield from page.lines(Text(story.title, style="bold"))
    yield from page.lines(Text(story.about, style="dim"))
    for scene, rows in report.scenes:
        shown = [row for row in rows if every or row.case.told or not row.ok]
        yield Text()
        yield page.rule(scene.shown, "bold cyan")
        yield from page.lines(Text(scene.title, style="bold"))
        yield from page.lines(Text(scene.text))
        yield Text()
        yield page.columns(
            (
                Text(words.LAW, style="dim"),
                Text(words.CARNET, style="dim"),
                Text(words.PROVIDER, style="dim"),
            )
        )
        for row in shown:
            yield from card(row, story, scene, page)
            yield Text()
        if len(shown) < len(rows):
            yield from page.lines(Text(words.more(len(rows) - len(shown)), style="dim"), GUTTER)
    yield Text()
    yield page.rule("", "cyan")
    yield from summary(report, page)
    yield Text()
    yield from page.lines(Text(words.NOT_ADVICE, style="dim"))


def card(row: Row, story: Story, scene: Scene, page: Page) -> Iterator[Text]:
    """One case: who, the three answers side by side, what would settle it, why, and the citation."""
    case, determination = row.case, row.determination
    color = HUMAN if determination.outcome == "needs_human" else COLOR[row.action]
    who = Text(case.who, style="bold")
    who.append(f" · {story.models.get(case.product, case.product)}", style="not bold cyan")
    outcome = determination.outcome
    law = Text(f"{words.mark(row.action, outcome)} {words.OUTCOME[outcome]}", style=color)
    did = Text(words.did(row.did.did if row.did else "", row.permitted, row.carved_out))
    did.stylize("bold red" if row.needless else "dim")
    lines = page.lines(who, GUTTER)
    lines.append(page.columns((law, Text(words.ACTION[row.action], style=color), did)))
    for point in open_points(row):
        lines += page.lines(Text(point, style=color), GUTTER)
    if row.deadline is not None and case.expected.deadline is not None:
        lines += page.lines(Text(words.clocks(row.binding, row.deadline), style="cyan"), GUTTER)
    lines += page.lines(Text(case.why), GUTTER)
    lines += page.lines(Text("; ".join(row.cites) or words.NOTHING_READ, style="dim"), GUTTER)
    if not row.ok:
        differs = words.differs(expected_of(case), row.got)
        lines += page.lines(Text(f"{words.MISMATCH} {case.id}: {differs}", style="bold red"), GUTTER)
    margin = [Text(part, style=color) for part in words.when(case.at, scene.instant)]
    yield from page.beside(margin, lines)


def open_points(row: Row) -> Iterator[str]:
    """What would settle an open case: the facts and who can give them, or why a human is needed."""
    determination = row.determination
    if row.permitted:
        return
    if determination.outcome == "needs_human":
        yield words.human(determination)
    if determination.asks:
        yield words.settled_by(determination.asks, determination.outcome)


def summary(report: Report, page: Page) -> Iterator[Text]:
    """The totals, and what a switch-off for everybody would have done."""
    totals = report.totals
    yield from page.lines(
        Text(words.headline(totals.cases, report.mismatches, report.rulebook), style="bold")
    )
    yield Text()
    for count, text, color, parts in (
        (totals.refused, words.REFUSED, "red", []),
        (totals.served, words.SERVED, "green", []),
        (totals.asked, words.ASKED, "yellow", words.counted(totals.asked_for, words.fact)),
        (totals.human, words.SENT, HUMAN, words.counted(totals.human_why, words.cause)),
    ):
        margin = Text(f"{count:>6}", style=f"bold {color}")
        yield from page.beside([margin], page.lines(Text(text), GUTTER))
        for part in parts:
            yield from page.lines(Text(part, style="dim"), GUTTER)
    yield Text()
    yield from page.lines(
        Text(words.switch_off(totals.switched_off, totals.needed, totals.undecided, len(totals.needless)))
    )
