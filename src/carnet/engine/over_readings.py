"""The naive engine's last step: the section "Over all readings" of docs/explanation/decision.md, in its
order. The outcome under one reading is `carnet.engine.reference`'s."""

from collections import UserDict
from collections.abc import Callable, Mapping
from itertools import product

from msgspec import Struct, structs

from carnet.engine.naive import Kleene, World
from carnet.model.determination import PERMITTED, Answer, Outcome
from carnet.rules import tree

CLOSED = ("prohibited", "license_required")
PREFERENCE: tuple[Outcome, ...] = (
    "license_exception",
    "authorized",
    "no_license_required",
    "not_an_event",
    "not_subject",
)


class Question(Struct, frozen=True):
    """Something that must be known false for the transaction to be permitted. `lifted` is the least
    burdensome class that surely lifts a requirement which may apply."""

    key: str
    kind: str
    value: Kleene
    lifted: str | None = None


class Sole(Struct, frozen=True):
    """The answer under one reading of every axis."""

    outcome: Outcome
    asks: frozenset[str]
    may_still_be: frozenset[str]
    questions: tuple[Question, ...]


class Noted(UserDict[str, str]):
    """A reading of every axis that notes which of them are asked for."""

    def __init__(self, readings: Mapping[str, str], noted: set[str]) -> None:
        super().__init__(readings)
        self.noted = noted

    def __getitem__(self, axis: str) -> str:
        self.noted.add(axis)
        return super().__getitem__(axis)


def over_readings(outcome_of: Callable[[World], Sole], world: World) -> Answer:
    """The answer over every combination of the axes that conditions ask for on the way to it: on an axis
    that none of them asks for nothing depends."""
    axes, picked = axes_of(world), world.choices.readings
    noted: set[str] = set()
    names: list[str] = []
    while True:
        combinations = [
            dict(zip(names, values, strict=True)) for values in product(*(axes[name] for name in names))
        ]
        found = [
            outcome_of(structs.replace(world, readings=Noted({**combination, **picked}, noted)))
            for combination in combinations
        ]
        before, names = names, sorted(noted & axes.keys())
        if before == names:
            break
    outcomes = [sole.outcome for sole in found]
    outcome = combined(outcomes)
    still = {part for sole in found for part in (*sole.may_still_be, class_of(sole.outcome))}
    certain = set.intersection(*({q.key for q in sole.questions if q.value.true} for sole in found))
    undecided = {q.key for sole in found for q in sole.questions if not q.value.false} - certain
    return Answer(
        outcome=outcome,
        basis="assured",
        may_still_be=tuple(sorted(still - {class_of(outcome)})),
        by_reading=by_reading(names, combinations, outcomes),
        asks=tuple(sorted({path for sole in found for path in sole.asks})),
        certain=tuple(sorted(certain)),
        undecided=tuple(sorted(undecided)),
    )


def axes_of(world: World) -> dict[str, list[str]]:
    """The axes that no choice picks, with all their values."""
    axes: dict[str, set[str]] = {}
    for part in (part for node in world.book.trees() for part in tree.parts_of(node)):
        if isinstance(part, tree.Reading) and part.axis not in world.choices.readings:
            axes.setdefault(part.axis, set()).update(value for value, _ in part.values)
    return {name: sorted(values) for name, values in axes.items()}


def class_of(outcome: Outcome) -> str:
    return "permitted" if outcome in PERMITTED else outcome if outcome in CLOSED else "open"


def combined(outcomes: list[Outcome]) -> Outcome:
    if len(set(outcomes)) == 1:
        return outcomes[0]
    if all(outcome in CLOSED for outcome in outcomes):
        return "license_required"
    if all(outcome in PERMITTED for outcome in outcomes):
        return min(outcomes, key=PREFERENCE.index)
    return "needs_facts" if all(o in PERMITTED or o == "needs_facts" for o in outcomes) else "needs_human"


def by_reading(
    names: list[str], combinations: list[dict[str, str]], outcomes: list[Outcome]
) -> Mapping[str, Outcome]:
    """The outcomes by the axes on which they depend."""
    pairs = list(zip(combinations, outcomes, strict=True))
    counts = [
        name
        for name in names
        if any(
            one != other and all(a[n] == b[n] for n in names if n != name)
            for a, one in pairs
            for b, other in pairs
        )
    ]
    return {",".join(f"{n}={c[n]}" for n in counts): outcome for c, outcome in pairs} if counts else {}
