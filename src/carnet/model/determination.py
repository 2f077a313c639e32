"""The legal answer, and the form of it that may be kept.

`Determination` is for memory and screen and holds raw facts; `RecordedDetermination` is what ledger
and store accept, and holds no fact values, only classes, ids and digests.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Outcome = Literal[
    "prohibited",
    "license_required",
    "needs_human",
    "needs_facts",
    "license_exception",
    "authorized",
    "no_license_required",
    "not_an_event",
    "not_subject",
]

PERMITTED: frozenset[str] = frozenset(
    {"license_exception", "authorized", "no_license_required", "not_an_event", "not_subject"}
)
"""The outcomes that leave nothing to be licensed. A license exception with an open `before` task is
among them and is still not served (`carnet.policy`)."""

Truth = Literal["true", "false", "unknown"]
FindingKind = Literal[
    "subject", "act", "coverage", "requirement", "prohibition", "exception", "bar", "red_flag", "presumption"
]


MOST_DAYS = 36_500
"""A hundred years: the most that `stale_after_days` may be."""


class Choices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's recorded settings that change a legal answer: a reading per axis, an assurance
    level per term, and the days after `verified` when a provision counts as stale (None: never)."""

    readings: Mapping[str, str] = {}
    assurance: Mapping[str, str] = {}
    stale_after_days: int | None = None

    def __post_init__(self) -> None:
        if self.stale_after_days is not None and self.stale_after_days > MOST_DAYS:
            raise ValueError(
                f"`stale_after_days = {self.stale_after_days}` is over {MOST_DAYS}: leave it out for never"
            )


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every engine must give for the same question, and give alike. No words, no citations.

    `certain` and `undecided` hold keys of questions that are known true, or neither known true nor known
    false, over all readings: `ID#REASON@ACT` (requirement), `ID@ACT` (prohibition), `gap@ACT`,
    `flag:ID`; `@ACT` is the act's number over all scopes in order of id, left out where a rule was
    evaluated once. `asks` are paths. All tuples are sorted.
    """

    outcome: Outcome
    basis: Literal["assured", "stated"]
    may_still_be: tuple[str, ...]
    by_reading: Mapping[str, Outcome]
    asks: tuple[str, ...]
    certain: tuple[str, ...]
    undecided: tuple[str, ...]


class Ask(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A fact that would help to settle the answer. `fact` is a path, or `provision:ID` / `list:ID`;
    `who` can answer; `needed` and `held` are assurance levels."""

    fact: str
    cause: str
    who: str
    needed: str | None = None
    held: str | None = None


class Finding(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing looked at. `act` is the number of the act in `Determination.acts`, None if the block
    was evaluated once. `causes` say why the truth is unknown; `facts` are the paths that decided it."""

    id: str
    kind: FindingKind
    truth: Truth
    cite: str
    act: int | None = None
    reason: str | None = None
    causes: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    lifted_by: tuple[str, ...] = ()


class ActOutcome(Struct, frozen=True, forbid_unknown_fields=True):
    """An act that the transaction contains or may contain, and its own answer."""

    regime: str
    kind: str
    deemed: bool
    destination: str | None
    truth: Truth
    outcome: Outcome


class HumanReason(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """Why no fact can settle it: the block and the cause."""

    id: str
    cause: str


class TaskDue(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A task of the exception that was used."""

    exception: str
    due: str
    key: str
    cite: str


class Determination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The legal answer of one transaction. All words people read are made from it by
    `carnet.engine.explain`; nothing here is prose."""

    outcome: Outcome
    basis: Literal["assured", "stated"]
    may_still_be: tuple[str, ...]
    by_reading: Mapping[str, Outcome]
    acts: tuple[ActOutcome, ...]
    findings: tuple[Finding, ...]
    asks: tuple[Ask, ...]
    humans: tuple[HumanReason, ...]
    tasks: tuple[TaskDue, ...]
    review: tuple[str, ...]
    marks: tuple[str, ...]
    good_until: dt.datetime | None
    at: dt.datetime
    known: dt.datetime
    choices: Choices
    rulebook: str
    engine: str


class RecordedDetermination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be kept of a determination: ids, classes and digests. No fact value, name, status or
    nationality; two subjects with the same answer for different reasons of status give the same bytes.
    """

    format: int
    outcome: Outcome
    basis: Literal["assured", "stated"]
    may_still_be: tuple[str, ...]
    readings: tuple[str, ...]
    open_rules: tuple[str, ...]
    lifted_by: tuple[str, ...]
    asked: tuple[str, ...]
    human_causes: tuple[str, ...]
    tasks: tuple[str, ...]
    marks: tuple[str, ...]
    good_until: str | None
    at: str
    known: str
    choices: str
    rulebook: str
    engine: str
