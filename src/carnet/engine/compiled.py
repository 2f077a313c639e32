"""A slice compiled once and asked often: how the answers under single readings are put together, and what is
answered where questions are left open, as docs/explanation/decision.md says. What is found on the way is told
in `carnet.engine.findings`."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from carnet.engine.codegen import HUMAN, NOTHING, Code, Tainted, all_codes
from carnet.engine.passes import Passes
from carnet.engine.program import Program, combinations, of_unknowns
from carnet.engine.readings import CLOSED, by_reading, class_of, joined_outcomes
from carnet.engine.rows import Row, Rows
from carnet.engine.tables import Pending
from carnet.engine.trace import Presumption, Rails, Walk, human
from carnet.model.determination import Answer, Outcome
from carnet.model.facts import Known, Values
from carnet.rules.slices import Slice

Presumptions = list[Known | None]


class Compiled:
    """A slice that answers."""

    def __init__(self, slice_: Slice) -> None:
        self.slice = slice_
        self.program = program = Program(slice_)
        flags = [
            (entry.value, [program.source.function(flag) for flag in entry.flags])
            for entry in program.presumed
        ]
        self.rows = Rows(program)
        passes = Passes(self.rows, self)
        self.scan: Callable[[Callable[[str], Known | None], list[Pending]], int] = passes.made["scan"]
        self.test: Callable[..., Answer] = passes.made["test"]
        self.lifted: Callable[[int], int] = passes.made["lifted"]
        self.assured: Callable[[Values, dt.datetime], Answer] = passes.made["decided"]
        """The answer on one set of facts."""
        if program.gate_axes:
            self.assured = self.in_every_case
        self.flags: list[tuple[str | bool, list[Code]]] = [
            (value, [passes.codes[name] for name in names]) for value, names in flags
        ]
        self.of_unknowns = any(of_unknowns(flag) for entry in program.presumed for flag in entry.flags)
        self.axes_of_rows = [
            (row.bit, program.axes_of(list(row.instance.trees(program.gates))))
            for row in self.rows.of(self.rows.reading)
        ]

    def answer(self, values: Values, at: dt.datetime, stated: Values | None = None) -> Answer:
        """The answer on assured facts, and on stated ones where these alone would close the way."""
        assured = self.assured(values, at)
        if not stated or assured.outcome in CLOSED:
            return assured
        also = self.assured({**values, **stated}, at)
        if also.outcome not in CLOSED:
            return assured
        return structs.replace(also, basis="stated", asks=assured.asks)

    def live(self, values: Values) -> tuple[int, list[Pending]]:
        """The rows that no single fact closes, and what single facts leave undecided."""
        pending: list[Pending] = []
        return self.scan(values.get, pending), pending

    def axes(self, live: int) -> frozenset[str]:
        """The axes on which the answer may depend."""
        return self.program.gate_axes.union(*(axes for bit, axes in self.axes_of_rows if live & bit))

    def in_every_case(self, values: Values, at: dt.datetime) -> Answer:
        """The answer on one set of facts where even the acts depend on a reading."""
        return self.over_readings(values, at, *self.live(values))

    def over_readings(self, values: Values, at: dt.datetime, live: int, pending: list[Pending]) -> Answer:
        """The answer under all readings, from the rows that no single fact closes."""
        readings, walks = combinations(self.slice, self.axes(live)), self.walks(values, at)
        soles = [self.test(values, at, reading, live, pending.copy(), walks) for reading in readings]
        outcomes = [sole.outcome for sole in soles]
        outcome = joined_outcomes(outcomes)
        still: set[str] = set().union(*(sole.may_still_be for sole in soles))
        still |= {class_of(each) for each in outcomes} - {"open"}
        certain = frozenset.intersection(*(frozenset(sole.certain) for sole in soles))
        found = set().union(*(sole.undecided for sole in soles), *(sole.certain for sole in soles))
        return Answer(
            outcome=outcome,
            basis="assured",
            may_still_be=tuple(sorted(still - {class_of(outcome)})),
            by_reading=by_reading(readings, outcomes),
            asks=tuple(sorted({path for sole in soles for path in sole.asks})),
            certain=tuple(sorted(certain)),
            undecided=tuple(sorted(found - certain)),
        )

    def unsettled(
        self,
        readings: Mapping[str, str],
        walks: "Walks",
        pending: list[Pending],
        live: int,
        soft: int,
        lifted: int,
        certain: int,
        rest: int,
    ) -> Answer:
        """The answer under one reading of every axis where questions are left that may be open, `rest`. The
        rows `soft` are undecided; `pending` says on what."""
        rows = self.rows
        rest, mask = self.walked_flags(rest, walks, readings)
        still: tuple[str, ...] = ()
        outcome: Outcome
        if certain & rows.prohibitions:
            outcome, mask = "prohibited", NOTHING
        elif certain:
            outcome, mask = "license_required", NOTHING
            if rest & rows.prohibitions:
                still = ("prohibited",)
                mask = self.hangs_on(pending, rest & rows.prohibitions, NOTHING)
        elif rest:
            mask |= self.hangs_on(pending, rest & ~rows.walked, live & rows.exceptions)
            outcome, still = self.needed(rest, pending, walks, readings)
        else:
            outcome = self.permitted(live, lifted, soft)
        return Answer(
            outcome=outcome,
            basis="assured",
            may_still_be=still,
            by_reading={},
            asks=self.program.bits.asks(mask),
            certain=rows.keys(certain),
            undecided=rows.keys(rest),
        )

    def needed(
        self, rest: int, pending: list[Pending], walks: "Walks", readings: Mapping[str, str]
    ) -> tuple[Outcome, tuple[str, ...]]:
        """Who has to settle the questions that are left, and what the answer may still be. A question with
        a part that hangs on nothing but facts could be false; the others are walked."""
        outcome: Outcome = "needs_facts"
        still: tuple[str, ...] = ("prohibited",) if rest & self.rows.prohibitions else ()
        askable = all_codes([rows for rows, code in pending if not code & HUMAN])
        held = self.rows.of(rest & ~askable)
        if held and not self.curable(held, walks, readings):
            outcome = "needs_human"
        else:
            still = ("permitted", *still)
        return outcome, ("license_required", *still) if rest & self.rows.requirements else still

    def curable(self, held: list[Row], walks: "Walks", readings: Mapping[str, str]) -> bool:
        """Whether answers could make every one of the questions false."""
        try:
            walk = walks.under(readings)
        except Exception:  # noqa: BLE001 -- what can't be evaluated no answer cures
            return False
        return all(self.stands(row, walk).may_false for row in held)

    def hangs_on(self, pending: list[Pending], questions: int, able: int) -> int:
        """What the undecided parts of the questions hang on, and of the exceptions that may lift them."""
        mask = NOTHING
        for rows, code in pending:
            if rows & questions or self.lifted(rows & able) & questions:
                mask |= code
        return mask

    def walked_flags(self, rest: int, walks: "Walks", readings: Mapping[str, str]) -> tuple[int, int]:
        """The questions that are left without the flags on what is unknown that hold nothing open, and what
        the others hang on."""
        mask = NOTHING
        for row in self.rows.of(rest & self.rows.walked):
            rails = walks.under(readings).read(row.instance.applies)
            if rails.true or (row.instance.waits and not rails.false):
                mask |= self.mask(rails)
            else:
                rest ^= row.bit
        return rest, mask

    def mask(self, rails: Rails) -> int:
        """What a walked flag hangs on."""
        return all_codes([*map(self.program.bits, rails.asks)])

    def presumptions(self, values: Values, at: dt.datetime, readings: Mapping[str, str]) -> Presumptions:
        """What stands in for each presumed term: its value, or a taint where a red flag defeats it."""
        if self.of_unknowns:
            walked = self.walks(values, at).under(readings).presumed.values()
            return [value if asks is None else self.tainted(asks) for value, asks in walked]
        found: Presumptions = [None] * len(self.flags)
        for number, (value, codes) in enumerate(self.flags):
            defeated = any(code(values, at, readings, found) == 0 for code in codes)
            found[number] = self.tainted(()) if defeated else value
        return found

    def walks(self, values: Values, at: dt.datetime) -> "Walks":
        """The ways to read conditions against these facts."""
        return Walks(self, values, at)

    def tainted(self, asks: Iterable[str]) -> Tainted:
        """What stands in where flags that hang on these facts defeat the presumption."""
        return Tainted("red_flag", mask=all_codes([HUMAN, *map(self.program.bits, asks)]))

    def stands(self, row: Row, walk: Walk) -> Rails:
        """A question, walked with its lifts."""
        try:
            return walk.read(row.stands)
        except Exception:  # noqa: BLE001 -- a question that can't be evaluated never lets anything through
            return human("untranslatable")

    def permitted(self, live: int, lifted: int, soft: int) -> Outcome:
        """Which permission it is, when nothing is open. Of what surely lifts a requirement, the least
        burdensome counts; of these, the most burdensome names the outcome."""
        left, sure = live & lifted, live & self.rows.exceptions & ~soft
        for outcome, milder in self.rows.ranks:
            if left & ~self.lifted(sure & milder):
                return outcome
        if not self.slice.acts:
            return self.without_acts()
        if live & self.rows.acts:
            return "no_license_required"
        return "not_an_event" if live & self.rows.subjects else "not_subject"

    def without_acts(self) -> Outcome:
        return "no_license_required" if self.slice.own_gate else "needs_human"


class Walks(dict[tuple[tuple[str, str], ...], Walk]):
    """The ways to read conditions against one set of facts at one instant. What depends on no reading is read
    once for all of them."""

    def __init__(self, engine: Compiled, values: Values, at: dt.datetime) -> None:
        self.engine, self.facts, self.at = engine, values, at
        self.free: dict[int, Rails] = {}

    def under(self, readings: Mapping[str, str]) -> Walk:
        """The walk under these readings."""
        return self[tuple(sorted(readings.items()))]

    def __missing__(self, readings: tuple[tuple[str, str], ...]) -> Walk:
        program, presumed = self.engine.program, dict[str, Presumption]()
        lists, inner = self.engine.slice.lists, program.inner
        walk = Walk(self.facts, self.at, dict(readings), lists, inner, presumed, program.depends, self.free)
        for entry in program.presumed:
            true = [flag for flag in map(walk.read, entry.flags) if flag.true]
            asks = {path: cause for flag in true for path, cause in flag.asks.items()} if true else None
            presumed[entry.path] = (entry.value, asks)
        self[readings] = walk  # once it is whole: a flag that can't be read leaves none behind
        return walk


def compiled(slice_: Slice) -> Compiled:
    """The slice as a program, made once."""
    found: Compiled | None = slice_.kept.get(Compiled)
    if found is None:
        found = slice_.kept[Compiled] = Compiled(slice_)
    return found
