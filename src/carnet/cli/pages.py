"""The pages of `carnet rules`: one provision with its words, rule, history and cases; what changes when."""

import datetime as dt
import re
import textwrap
from collections.abc import Iterator

from carnet.model.errors import InputError
from carnet.model.near import nearest
from carnet.model.time import Span, Window
from carnet.rules import blocks, tree
from carnet.rules.render import lines_of
from carnet.rules.rulebook import Rulebook
from carnet.words.catalogue import ENGLISH, stamp

SAY = ENGLISH.say
KINDS: dict[type[blocks.Block], str] = {
    blocks.Scope: "scope",
    blocks.Coverage: "coverage",
    blocks.Definition: "definition",
    blocks.Requirement: "requirement",
    blocks.Prohibition: "prohibition",
    blocks.Exception_: "exception",
    blocks.Bar: "bar",
    blocks.RedFlag: "red_flag",
    blocks.Overlay: "overlay",
    blocks.List: "list",
}
MOST_MEMBERS = 300


def page_of(rulebook: Rulebook, name: str, at: dt.datetime | None, known: dt.datetime | None = None) -> str:
    """A block with everything around it, by its id.

    Raises InputError for an id that no block has, with the nearest that does.
    """
    found = [block for block in rulebook.blocks if block.id == name]
    if not found:
        near = nearest(name, [block.id for block in rulebook.blocks])
        raise InputError(f"`{name}` is no block of the rulebook{near}")
    block = found[0]
    page = rulebook.pages.get(block.file)
    lines = [f"{block.id} ({KINDS[type(block)]}) · {block.file}:{block.line}"]
    if page is not None:
        lines += [page.title, *([page.source] if page.source else [])]
    lines += ["", f"{SAY('label.cite')}: {block.cite}", f"{SAY('label.in_force')}: {span_text(block.span)}"]
    if block.known != block.span.start.earliest:
        lines.append(f"{SAY('label.known')}: {stamp(block.known)}")
    if at is not None and block.span.holds(at) == "no":
        lines.append(SAY("force.not_now", at=stamp(at)))
    if known is not None and block.known > known:
        lines.append(SAY("force.not_known", known=stamp(known)))
    lines += list(_keys(block))
    for title, condition in _conditions(block):
        lines.append(f"{title}:")
        for line in lines_of(condition, rulebook.terms):
            lines += _wrapped(line, "  ", "      ")
    if page is not None and page.prose:
        lines += ["", *_prose(page.prose)]
    history = list(_history(rulebook, block))
    if history:
        lines += ["", SAY("label.history"), *(f"  {line}" for line in history)]
    cases = _cases(rulebook, block)
    if cases:
        lines += ["", SAY("label.cases"), *(f"  {case.file}:{case.line}: {case.note}" for case in cases)]
    return "\n".join(lines)


def span_text(span: Span) -> str:
    """An interval of force as people read it."""
    if span.end is None:
        return SAY("span.from", start=_window(span.start))
    return SAY("span.until", start=_window(span.start), end=_window(span.end))


def _window(window: Window) -> str:
    if window.earliest == window.latest:
        return stamp(window.earliest)
    return SAY("span.window", earliest=stamp(window.earliest), latest=stamp(window.latest))


def _keys(block: blocks.AnyBlock) -> Iterator[str]:
    def line(label: str, names: str | frozenset[str]) -> str:
        shown = names if isinstance(names, str) else ", ".join(sorted(names))
        return f"{SAY(f'label.{label}')}: {shown}"

    match block:
        case blocks.Requirement():
            yield line("reasons", ", ".join(block.reasons))
            yield line("lifted_by", block.lifted_by)
            if block.binds:
                yield line("binds", block.binds)
            for label, window in (
                ("oral", block.oral),
                ("written", block.written),
                ("deadline", block.deadline),
            ):
                if window is not None:
                    yield line(label, _window(window))
            if block.confidentiality is not None:
                yield line("confidentiality", block.confidentiality)
            for review in block.review:
                yield line("review", review.policy)
        case blocks.Exception_():
            yield f"{block.class_}, {block.path}"
            for lift in block.lifts:
                reasons = f" ({', '.join(sorted(lift.reasons))})" if lift.reasons is not None else ""
                yield line("lifts", f"{lift.requirement}{reasons}")
            for task in block.tasks:
                yield SAY(f"task.{task.due}", task=ENGLISH.task(task.key), cite=task.cite)
        case blocks.Bar():
            yield line("blocks", block.blocks)
        case blocks.Overlay():
            products = f" ({', '.join(sorted(block.products))})" if block.products else ""
            yield f"{block.kind}: {block.target}{products}"
        case blocks.Coverage():
            for stage in block.stages:
                yield f"{stage.name}" + (f": {stage.no_rule}" if stage.no_rule else "")
        case blocks.Definition():
            yield f"{block.name}({block.parameter}: {block.entity})"
        case blocks.List():
            yield f"{SAY('label.members')}: {_members(block)}"


def _members(block: blocks.List) -> str:
    shown = []
    for member in block.members[:MOST_MEMBERS]:
        own = "" if member.span == block.span else f" ({span_text(member.span)})"
        shown.append(f"{member.id}{own}")
    more = len(block.members) - MOST_MEMBERS
    return (", ".join(shown) or SAY("label.no_members")) + (f" +{more}" if more > 0 else "")


def _conditions(block: blocks.AnyBlock) -> Iterator[tuple[str, tree.Tree]]:
    if isinstance(block, blocks.Scope):
        yield SAY("label.condition"), block.subject
        for act in block.acts:
            yield f"{'deemed ' if act.deemed else ''}{SAY(f'act_kind.{act.kind}')}", act.when
    elif not isinstance(block, blocks.List | blocks.Overlay | blocks.Coverage):
        yield SAY("label.condition"), block.when


def _prose(text: str) -> Iterator[str]:
    parts = [part.strip() for part in re.split(r"\n\s*\n", text)]
    for number, paragraph in enumerate(parts):
        if paragraph.startswith("#") and (number + 1 == len(parts) or parts[number + 1].startswith("#")):
            continue  # a heading of which only the blocks were left
        if paragraph.lstrip().startswith(("-", "|", "#", ">", "*")):
            yield from paragraph.splitlines()
        else:
            yield from _wrapped(paragraph)
        if number + 1 < len(parts):
            yield ""


def _wrapped(text: str, first: str = "", later: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        100,
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _history(rulebook: Rulebook, block: blocks.AnyBlock) -> Iterator[str]:
    """What acted upon the block, and its other versions, in order of time."""
    found: list[tuple[dt.datetime, str]] = []
    for other in rulebook.blocks:
        if isinstance(other, blocks.Overlay) and other.target.partition("#")[0] == block.id:
            found.append((other.span.start.earliest, f"{other.kind} by {other.id}: {span_text(other.span)}"))
        elif isinstance(other, blocks.Exception_) and any(
            lift.requirement == block.id for lift in other.lifts
        ):
            found.append((other.span.start.earliest, f"{other.class_} {other.id}: {span_text(other.span)}"))
        elif other.id != block.id and (
            (
                isinstance(other, blocks.Definition)
                and isinstance(block, blocks.Definition)
                and other.name == block.name
            )
            or (
                isinstance(other, blocks.List)
                and isinstance(block, blocks.List)
                and other.prevails == block.id
            )
        ):
            found.append((other.span.start.earliest, f"{other.id}: {span_text(other.span)}"))
    return (line for _, line in sorted(found))


def _cases(rulebook: Rulebook, block: blocks.AnyBlock) -> list[blocks.Case]:
    """The cases that name the block, and those of its file."""
    return [case for case in rulebook.cases if block.id in str(case.expect) or case.file == block.file]


def timeline_of(rulebook: Rulebook, known: dt.datetime | None) -> list[tuple[dt.datetime, str, str]]:
    """Every instant at which something begins or ends, in order of time: (instant, "begins", "ends" or
    "may …", what). The many rows of a list count as one."""
    found: dict[tuple[dt.datetime, str], list[str]] = {}
    rows: dict[tuple[dt.datetime, str, str], int] = {}

    def edge(span: Span, what: str) -> None:
        for bound, may, word in ((span.start, "may begin", "begins"), (span.end, "may end", "ends")):
            if bound is not None and bound.earliest != bound.latest:
                found.setdefault((bound.earliest, may), []).append(what)
            if bound is not None:
                found.setdefault((bound.latest, word), []).append(what)

    for block in rulebook.blocks:
        if known is not None and block.known > known:
            continue
        edge(block.span, block.id)
        for member in block.members if isinstance(block, blocks.List) else ():
            for bound, word in ((member.span.start, "begins"), (member.span.end, "ends")):
                if bound is not None and member.span != block.span:
                    key = (bound.latest, word, block.id)
                    rows[key] = rows.get(key, 0) + 1
                    first = f"{block.id}#{member.id}"
                    if rows[key] == 1:
                        found.setdefault((bound.latest, word), []).append(first)
    lines = []
    for (instant, word), names in found.items():
        for name in names:
            more = rows.get((instant, word, name.partition("#")[0]), 0) - 1 if "#" in name else 0
            lines.append((instant, word, f"{name} and {more} more" if more > 0 else name))
    return sorted(lines)
