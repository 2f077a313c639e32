"""The fast engine: the answer of docs/explanation/decision.md and of `carnet.engine.reference`, with which it
shares nothing but the tree; and the whole determination of a transaction. How a slice is evaluated is in
`carnet.engine.compiled`."""

import datetime as dt
from collections.abc import Mapping
from functools import cached_property

from carnet.engine.compiled import Compiled, compiled
from carnet.engine.findings import Report
from carnet.model.determination import Answer, Choices, Determination, Outcome
from carnet.model.facts import Values
from carnet.model.transaction import Transaction, check_transaction
from carnet.model.view import View, view
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import change_instants, slice_at
from carnet.rules.terms import Terms

CAREFUL = Choices()
"""No reading is chosen, and no assurance lowered."""


def answer(
    rulebook: Rulebook,
    values: Values,
    at: dt.datetime,
    known: dt.datetime,
    choices: Choices,
    stated: Values | None = None,
) -> Answer:
    """The answer at `at` of the law known at `known`, on assured `values` and on `stated` ones."""
    return compiled(slice_at(rulebook, at, known, choices)).answer(values, at, stated)


def levels_of(terms: Terms, choices: Choices) -> Mapping[str, str]:
    """The assurance that each fact needs, by path: as the words say, unless the operator chose otherwise."""
    return {path: spec.level for path, spec in terms.specs.items()} | dict(choices.assurance)


class Decision:
    """The legal answer of a transaction, at once, and the whole determination when somebody asks for it."""

    def __init__(
        self, engine: Compiled, seen: View, at: dt.datetime, known: dt.datetime, choices: Choices
    ) -> None:
        self._of = (engine, seen, at, known, choices)
        self.answer: Answer = engine.answer(seen.values, at, seen.stated)

    @property
    def outcome(self) -> Outcome:
        """What the law says."""
        return self.answer.outcome

    @cached_property
    def determination(self) -> Determination:
        """The answer with its findings, asks, tasks and dates: a few milliseconds."""
        return Report(*self._of, self.answer).determination()


def decide(
    transaction: Transaction,
    rulebook: Rulebook,
    *,
    at: dt.datetime | None = None,
    known: dt.datetime | None = None,
    choices: Choices | None = None,
) -> Decision:
    """The legal answer of a transaction.

    `at` is the law's instant (the transaction's own, if not given), `known` the instant of what was known
    (`at`, if not given); both aware. Pure: nothing is read but the arguments. Raises InputError for a
    transaction made in Python that can't be true, RulesError if more than six axes are left open.
    """
    check_transaction(transaction)
    when = at if at is not None else transaction.at
    knew = known if known is not None else when
    chosen = choices if choices is not None else CAREFUL
    seen = view(transaction, at=when, known=knew, levels=levels_of(rulebook.terms, chosen))
    return Decision(compiled(slice_at(rulebook, when, knew, chosen)), seen, when, knew, chosen)


def timeline(
    transaction: Transaction, rulebook: Rulebook, *, known: dt.datetime, choices: Choices | None = None
) -> list[tuple[dt.datetime, Determination]]:
    """The determinations of one transaction over all instants at which the law changes, each from its
    instant on; neighbours with the same answer are one."""
    found: list[tuple[dt.datetime, Determination]] = []
    for instant in change_instants(rulebook, known, choices):
        determination = decide(transaction, rulebook, at=instant, known=known, choices=choices).determination
        if not found or _changed(found[-1][1], determination):
            found.append((instant, determination))
    return found


def _changed(one: Determination, other: Determination) -> bool:
    return (one.outcome, one.asks, one.humans, one.by_reading, one.marks, one.tasks, one.basis) != (
        other.outcome,
        other.asks,
        other.humans,
        other.by_reading,
        other.marks,
        other.tasks,
        other.basis,
    )
