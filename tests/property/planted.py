"""Bugs written into the fast engine and the slices on purpose: each a small text of the source replaced. The
differential has to find every one of them on a small budget."""

from functools import cache
from importlib.util import find_spec

from msgspec import Struct
from tests.mutation.loading import changed, path_of
from tests.property.differential import ask, drawn, heard
from tests.property.views import Question

from carnet.engine import reference
from carnet.model.determination import Answer
from carnet.rules.rulebook import Rulebook

ENTRY = "carnet.engine.decide"
SEEDS, EACH = range(700_000, 700_100), 20
"""The budget: 2,000 pairs."""


FAMILY = tuple(
    name
    for name in (
        *(f"carnet.rules.{part}" for part in ("slices", "resolve")),
        *(
            f"carnet.engine.{part}"
            for part in (
                "compiled",
                "passes",
                "rows",
                "tables",
                "program",
                "codegen",
                "trace",
                "readings",
                "ground",
            )
        ),
    )
    if find_spec(name) is not None
)
"""The modules of the fast engine and the slices."""


class Bug(Struct, frozen=True):
    """What is done wrong, and how: `old` must stand exactly once in the fast engine and the slices."""

    name: str
    old: str
    new: str


BUGS = (
    Bug(
        "a block known at this very instant is not known yet",
        "block for block in self.rulebook.of(kind) if block.known <= self.known",
        "block for block in self.rulebook.of(kind) if block.known < self.known",
    ),
    Bug("a saving clause suspends nothing", '{"stay", "saving_clause",', '{"stay",'),
    Bug("a window of force counts as force", 'parts += [MAYBE] if force == "maybe" else []', "parts += []"),
    Bug(
        "an overlay on a block is ignored",
        "parts += [tree.Not(over)] if over is not None else []",
        "parts += []",
    ),
    Bug("a supersession for one product suspends all", "if overlay.products else []", "if False else []"),
    Bug("a list never prevails over another", "while final in above:", "while False:"),
    Bug("what a list does not speak about is outside it", "block.domain, known)", "None, known)"),
    Bug("a row of a list is there before it is known", "if row.known > self.known:", "if False:"),
    Bug(
        "staleness opens and closes the wrong way round",
        "(tree.And if opens else tree.Or)",
        "(tree.Or if opens else tree.And)",
    ),
    Bug("a stale provision is as good as a fresh one", "if limit is None or (", "if True or ("),
    Bug("an act without any coverage is covered", "covered = bool(found) and all(", "covered = all("),
    Bug(
        "the end of an interval is no change of the law",
        "found.update(block.span.edges())",
        "found.update(block.span.edges()[:2])",
    ),
    Bug(
        "a reading that was not chosen is false",
        'tree.Open("unclear") if chosen is None',
        "tree.FALSE if chosen is None",
    ),
    Bug("a bar blocks nothing", "(condition, *(tree.Not(part) for _, part in against))", "(condition,)"),
    Bug(
        "an exception lifts whether the requirement agrees or not",
        ") not in rule.lifted_by:",
        ") not in rule.lifted_by and False:",
    ),
    Bug(
        "an exception for one reason lifts them all",
        "(lift.reasons is None or reason in lift.reasons)",
        "True",
    ),
    Bug(
        "a rule that reads the act is read once",
        'reads_act = any(tree.speaks_of(when, "act") for when in written)',
        "reads_act = False",
    ),
    Bug(
        "some of a set answers for all of it",
        "codes = [*(test(name) for name in value.members), bit]",
        "codes = [test(name) for name in value.members]",
    ),
    Bug(
        "an empty set needs no statement",
        "        return if_empty\n    return all_codes(codes) if every",
        "        return -1\n    return all_codes(codes) if every",
    ),
    Bug(
        "a day too early has elapsed",
        "return -1 if at < self.turn(value.first, years",
        "return -1 if at < self.turn(value.first - 1, years",
    ),
    Bug(
        "a date that may be is",
        "return 0 if high < first else -1 if low >= last else bit",
        "return 0 if low < first else -1",
    ),
    Bug("candidates that disagree are decided by one", "if codes in ({0}, {-1}):", "if codes:"),
    Bug(
        "a conflict is presumed away",
        "(isinstance(value, Unknown) and value.cause in ASKABLE):\n        return presumption",
        "isinstance(value, Unknown):\n        return presumption",
    ),
    Bug(
        "members of a role not known to be complete are all there are",
        "            if not (isinstance(group, Group) and group.complete):",
        "            if not isinstance(group, Group):",
    ),
    Bug(
        "a group that is missing hangs on nothing but itself",
        "codes.append(open_ | further & ~HUMAN)",
        "codes.append(open_)",
    ),
    Bug("an undecided part closes its questions", '"    if x < 0: live &= {', '"    if x != 0: live &= {'),
    Bug("an undecided part counts as true", 'yield "    elif x:"', 'yield "    elif not x:"'),
    Bug(
        "one way of several that is closed closes them all",
        'yield f"if not live & {ways}: live &=',
        'yield f"if live & {ways} != {ways}: live &=',
    ),
    Bug(
        "a way that is undecided is open",
        "elif soft and live & soft & {ways} and {matters}:",
        "elif False:",
    ),
    Bug(
        "what one fact leaves undecided counts as true", "elif found and readings is None:", "elif found < 0:"
    ),
    Bug(
        "a fact closes what it closes under one reading",
        "found = max(code(facts, None, each, self.nothing) for",
        "found = min(code(facts, None, each, self.nothing) for",
    ),
    Bug(
        "a word of the law is any other word",
        "and not any(pending for _, pending in self.kept.values())",
        "and True",
    ),
    Bug("a number at a threshold is below it", "if v < {cut} else", "if v <= {cut} else"),
    Bug("the most burdensome exception is named", "if left & ~self.lifted(sure & milder):", "if left:"),
    Bug(
        "an exception that may hold surely lifts",
        "(live & ~soft if soft else live) & {rows.exceptions}",
        "live & {rows.exceptions}",
    ),
    Bug(
        "an exception that may hold lifts nothing",
        "certain &= ~(soft | {self.lifting()})",
        "certain &= ~soft",
    ),
    Bug(
        "a question that may be open surely is",
        "certain &= ~(soft | {self.lifting()})",
        "certain &= ~({self.lifting()})",
    ),
    Bug(
        "what an exception hangs on is not asked",
        "if rows & questions or self.lifted(rows & able) & questions:",
        "if rows & questions:",
    ),
    Bug(
        "a prohibition that may hold is forgotten",
        '= ("prohibited",) if rest & self.rows.prohibitions else ()',
        "= ()",
    ),
    Bug(
        "a prohibition that may hold asks nothing",
        "mask = self.hangs_on(pending, rest & rows.prohibitions, NOTHING)",
        "mask = 0",
    ),
    Bug("what is surely no subject is no event", "if live & self.rows.subjects else", "if True else"),
    Bug("a red flag that is undecided is a question", "rest &= ~(soft & {rows.flags})", "pass"),
    Bug("the slice asked for last holds for ever", "if first <= at < after and", "if first <= at and"),
    Bug(
        "the slice asked for last holds for what was not known",
        "and since <= known < until",
        "and since <= known",
    ),
    Bug("the slice asked for last holds for all readings", "and readings == chosen:", "and True:"),
    Bug(
        "stated facts open the way",
        "        if also.outcome not in CLOSED:\n            return assured\n",
        "",
    ),
    Bug(
        "a red flag raised needs no human",
        "held = self.rows.of(rest & ~askable)",
        "held = self.rows.of(rest & ~askable & self.rows.closing)",
    ),
)


@cache
def corpus(seed: int) -> tuple[Rulebook, list[Question], list[Answer]]:
    book, questions = drawn(seed, EACH)
    return book, questions, [ask(reference.answer, book, question) for question in questions]


def patched(bug: Bug) -> tuple[str, str]:
    """The module that has the bug, and its source. Raises AssertionError if the text to replace is not there,
    once."""
    sources = {name: path_of(name).read_text("utf-8") for name in FAMILY}
    count = sum(source.count(bug.old) for source in sources.values())
    assert count == 1, f"`{bug.old}` stands {count} times in {', '.join(FAMILY)}: plant the bug anew"
    module = next(name for name, source in sources.items() if bug.old in source)
    return module, sources[module].replace(bug.old, bug.new)


def caught(bug: Bug) -> int | None:
    """After how many pairs the differential finds the bug; None if the budget is not enough."""
    pairs = 0
    with changed(*patched(bug), ENTRY) as module:
        for seed in SEEDS:
            book, questions, answers = corpus(seed)
            for question, answer in zip(questions, answers, strict=True):
                pairs += 1
                if heard(module.answer, book, question) != answer:
                    return pairs
    return None
