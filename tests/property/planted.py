"""Bugs written into the fast engine and the slices on purpose: each a small text of the source replaced. The
differential has to find every one of them on a small budget."""

from functools import cache

from msgspec import Struct

from carnet.engine import reference
from carnet.model.determination import Answer
from carnet.rules.rulebook import Rulebook
from tests.mutation.loading import changed, path_of
from tests.property.differential import ask, drawn, heard
from tests.property.views import Question

ENTRY = "carnet.engine.decide"
SEEDS, EACH = range(700_000, 700_100), 20
"""The budget: 2,000 pairs."""


class Bug(Struct, frozen=True):
    """What is done wrong, and how: `old` must stand in the module exactly once."""

    name: str
    module: str
    old: str
    new: str


def slices(name: str, old: str, new: str) -> Bug:
    return Bug(name, "carnet.rules.slices", old, new)


def program(name: str, old: str, new: str) -> Bug:
    return Bug(name, "carnet.engine.program", old, new)


def code(name: str, old: str, new: str) -> Bug:
    return Bug(name, "carnet.engine.codegen", old, new)


def engine(name: str, old: str, new: str) -> Bug:
    return Bug(name, ENTRY, old, new)


BUGS = (
    slices(
        "a block known at this very instant is not known yet",
        "block for block in self.rulebook.of(kind) if block.known <= self.known",
        "block for block in self.rulebook.of(kind) if block.known < self.known",
    ),
    slices("a saving clause suspends nothing", '{"stay", "saving_clause",', '{"stay",'),
    slices(
        "a window of force counts as force", 'parts += [MAYBE] if force == "maybe" else []', "parts += []"
    ),
    slices(
        "an overlay on a block is ignored",
        "parts += [tree.Not(over)] if over is not None else []",
        "parts += []",
    ),
    slices("a supersession for one product suspends all", "if overlay.products else []", "if False else []"),
    slices("a list never prevails over another", "while final in above:", "while False:"),
    slices("what a list does not speak about is outside it", "block.domain, known)", "None, known)"),
    slices("a row of a list is there before it is known", "if row.known > self.known:", "if False:"),
    slices(
        "staleness opens and closes the wrong way round",
        "(tree.And if opens else tree.Or)",
        "(tree.Or if opens else tree.And)",
    ),
    slices("a stale provision is as good as a fresh one", "if limit is None or (", "if True or ("),
    slices("an act without any coverage is covered", "covered = bool(found) and all(", "covered = all("),
    slices(
        "the end of an interval is no change of the law",
        "found.update(block.span.edges())",
        "found.update(block.span.edges()[:2])",
    ),
    slices(
        "a reading that was not chosen is false",
        'tree.Open("unclear") if chosen is None',
        "tree.FALSE if chosen is None",
    ),
    program("a bar blocks nothing", "*against))", "))"),
    program(
        "an exception lifts whether the requirement agrees or not",
        ") not in rule.lifted_by:",
        ") not in rule.lifted_by and False:",
    ),
    program(
        "an exception for one reason lifts them all",
        "(lift.reasons is None or reason in lift.reasons)",
        "True",
    ),
    program(
        "a rule that reads the act is read once",
        'reads_act = any(tree.speaks_of(part.block.when, "act") for part in whole)',
        "reads_act = False",
    ),
    code(
        "some of a set answers for all of it",
        "codes = [*(test(name) for name in value.members), bit]",
        "codes = [test(name) for name in value.members]",
    ),
    code(
        "an empty set needs no statement",
        "        return if_empty\n    return all_codes(codes) if every",
        "        return -1\n    return all_codes(codes) if every",
    ),
    code(
        "a day too early has elapsed",
        "return -1 if at < years_after(value.first, years",
        "return -1 if at < years_after(value.first - 1, years",
    ),
    code(
        "a date that may be is",
        "return 0 if high < first else -1 if low >= last else bit",
        "return 0 if low < first else -1",
    ),
    code("candidates that disagree are decided by one", "if codes in ({0}, {-1}):", "if codes:"),
    code(
        "a conflict is presumed away",
        "if value is None or (isinstance(value, Unknown) and value.cause in ASKABLE):\n        return presumption",
        "if value is None or isinstance(value, Unknown):\n        return presumption",
    ),
    code(
        "members of a role not known to be complete are all there are",
        "                if not group.complete:\n                    codes.append(self.bits(path))\n",
        "",
    ),
    engine(
        "an unknown question counts as false",
        "                if applies < 0:\n                    continue",
        "                if applies != 0:\n                    continue",
    ),
    engine("the most burdensome exception is named", "min(mildest, rank)", "max(mildest, rank)"),
    engine("an exception that may hold surely lifts", "if code == 0:", "if code >= 0:"),
    engine(
        "a prohibition that may hold is forgotten",
        'still = {"prohibited"} if may_be_forbidden else set()',
        "still = set()",
    ),
    engine(
        "stated facts open the way",
        "        if also.outcome not in CLOSED:\n            return assured\n",
        "",
    ),
    engine("a red flag raised is no question", "return HUMAN if applies == 0 else -1", "return -1"),
)


@cache
def corpus(seed: int) -> tuple[Rulebook, list[Question], list[Answer]]:
    book, questions = drawn(seed, EACH)
    return book, questions, [ask(reference.answer, book, question) for question in questions]


def patched(bug: Bug) -> str:
    """The source with the bug. Raises AssertionError if the text to replace is not there, once."""
    source = path_of(bug.module).read_text("utf-8")
    assert source.count(bug.old) == 1, f"`{bug.old}` stands {source.count(bug.old)} times in {bug.module}"
    return source.replace(bug.old, bug.new)


def caught(bug: Bug) -> int | None:
    """After how many pairs the differential finds the bug; None if the budget is not enough."""
    pairs = 0
    with changed(bug.module, patched(bug), ENTRY) as module:
        for seed in SEEDS:
            book, questions, answers = corpus(seed)
            for question, answer in zip(questions, answers, strict=True):
                pairs += 1
                if heard(module.answer, book, question) != answer:
                    return pairs
    return None
