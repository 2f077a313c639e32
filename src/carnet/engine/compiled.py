"""A slice compiled once and asked often: the questions that the index leaves over are evaluated, and the
answer is put together as docs/explanation/decision.md says. What is found on the way is told in
`carnet.engine.findings`."""

import datetime as dt
from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple

from carnet.engine.codegen import HUMAN, Tainted
from carnet.engine.program import Instance, Program, combinations
from carnet.engine.readings import CLOSED, by_reading, class_of, joined_outcomes
from carnet.engine.rows import Pending, Row, Rows
from carnet.engine.trace import Rails, Walk, conjunction, disjunction, human, negated
from carnet.model.determination import Answer, Outcome
from carnet.model.facts import Known, Values
from carnet.rules import blocks
from carnet.rules.slices import Slice

LIFTED: Mapping[str, Outcome] = {
    "license_exception": "license_exception",
    "authorization": "authorized",
    "carve_out": "no_license_required",
}
NO_READINGS: Mapping[str, str] = {}

Presumptions = list[Known | None]


class Sole(NamedTuple):
    """The answer under one reading of every axis. `certain` and `undecided` are keys; `asks` is a mask of
    `Program.bits`."""

    outcome: Outcome
    asks: int
    may_still_be: frozenset[str]
    certain: list[str]
    undecided: list[str]


class Compiled:
    """A slice that answers."""

    def __init__(self, slice_: Slice) -> None:
        self.slice = slice_
        self.program = program = Program(slice_)
        gates = [program.source.function(gate) for gate in program.gates]
        self.rows = rows = Rows(program)
        self.gates = [rows.codes[name] for name in gates]
        self.live = rows.live
        self.at_hand = rows.rows
        self.axes_of_rows = [
            (row.bit, program.axes_of(list(row.instance.trees(program.gates))))
            for row in rows.rows
            if row.bit & rows.reading
        ]

    def answer(self, values: Values, at: dt.datetime, stated: Values | None = None) -> Answer:
        """The answer on assured facts, and on stated ones where these alone would close the way."""
        assured = self.over_readings(values, at)
        if not stated or assured.outcome in CLOSED:
            return assured
        also = self.over_readings({**values, **stated}, at)
        if also.outcome not in CLOSED:
            return assured
        return Answer(
            outcome=also.outcome,
            basis="stated",
            may_still_be=also.may_still_be,
            by_reading=also.by_reading,
            asks=assured.asks,
            certain=also.certain,
            undecided=also.undecided,
        )

    def axes(self, live: int) -> frozenset[str]:
        """The axes on which the answer may depend."""
        return self.program.gate_axes.union(*(axes for bit, axes in self.axes_of_rows if live & bit))

    def over_readings(self, values: Values, at: dt.datetime) -> Answer:
        live, pending = self.live(values)
        if not live & self.rows.reading and not self.program.gate_axes:
            sole = self.sole(values, at, live, pending, NO_READINGS)
            return Answer(
                outcome=sole.outcome,
                basis="assured",
                may_still_be=tuple(sorted(sole.may_still_be)) if sole.may_still_be else (),
                by_reading=NO_READINGS,  # type: ignore[arg-type]  # empty
                asks=self.program.bits.asks(sole.asks),
                certain=tuple(sole.certain),
                undecided=tuple(sole.undecided),
            )
        readings = combinations(self.slice, self.axes(live))
        soles = [self.sole(values, at, live, pending, reading) for reading in readings]
        outcomes = [sole.outcome for sole in soles]
        outcome = joined_outcomes(outcomes)
        still: set[str] = set().union(*(sole.may_still_be for sole in soles))
        if len(set(outcomes)) > 1:
            still |= {class_of(each) for each in outcomes} - {"open"}
        certain = set(soles[0].certain).intersection(*(sole.certain for sole in soles))
        undecided = (
            set().union(*(sole.undecided for sole in soles), *(sole.certain for sole in soles)) - certain
        )
        mask = 0
        for sole in soles:
            mask |= sole.asks
        return Answer(
            outcome=outcome,
            basis="assured",
            may_still_be=tuple(sorted(still - {class_of(outcome)})),
            by_reading=by_reading(readings, outcomes),
            asks=self.program.bits.asks(mask),
            certain=tuple(sorted(certain)),
            undecided=tuple(sorted(undecided)),
        )

    def sole(  # noqa: C901, PLR0912, PLR0915 -- the one loop that has to be fast: a call costs as much as a rule
        self,
        values: Values,
        at: dt.datetime,
        live: int,
        pending: list[Pending],
        readings: Mapping[str, str],
    ) -> Sole:
        """Everything under one reading, of what the facts leave one by one."""
        table = self.rows
        presumptions = self.presumptions(values, at, readings) if live & table.presuming else None
        more: list[Pending] = []
        for rows, others, code in table.tests:
            if live & rows:
                try:
                    found = code(values, at, readings, presumptions)
                except Exception:  # noqa: BLE001 -- a part that can't be evaluated never lets anything through
                    found = HUMAN
                if found < 0:
                    live &= others
                elif found:
                    more.append((rows, found))
        asked: list[Row] = []
        able = 0
        left = live & table.questions
        at_hand = self.at_hand
        while left:
            low = left & -left
            left ^= low
            row = at_hand[low.bit_length() - 1]
            able |= row.able
            asked.append(row)
        able &= live
        if able:
            for rows, others, code in table.later:
                if able & rows:
                    try:
                        found = code(values, at, readings, presumptions)
                    except Exception:  # noqa: BLE001 -- an exception that can't be evaluated lifts nothing
                        found = HUMAN
                    if found < 0:
                        able &= others
                    elif found:
                        more.append((rows, found))
        if pending:
            more += pending
        soft = 0
        for rows, _ in more:
            soft |= rows
        certain: list[str] = []
        undecided: list[str] = []
        open_: list[Row] = []
        mask = lifts = unsure = may_be_forbidden = 0
        is_forbidden = required = may_be_required = False
        for row in asked:
            key, kind, bit, of, _, _ = row
            if kind == "open":
                if of & able:
                    of &= able
                    sure = of & ~soft
                    if sure:
                        lifts |= self.mildest(sure)
                        continue
                    unsure |= bit | of
                elif bit & soft:
                    unsure |= bit
                else:
                    certain.append(key)
                    required = True
                    continue
                may_be_required = True
            elif kind == "prohibition":
                if not bit & soft:
                    certain.append(key)
                    is_forbidden = True
                    continue
                may_be_forbidden |= bit
            elif kind == "walked_flag":
                waits = self.waits(row.instance, values, at, readings)
                if waits < 0:
                    continue
                mask |= waits
            elif bit & soft:
                if kind == "flag":
                    continue
                unsure |= bit
            else:
                mask |= HUMAN
            undecided.append(key)
            open_.append(row)
        if is_forbidden:
            return Sole("prohibited", 0, frozenset(), certain, undecided)
        still = {"prohibited"} if may_be_forbidden else set()
        if required:
            return Sole(
                "license_required", hangs_on(more, may_be_forbidden), frozenset(still), certain, undecided
            )
        if open_:
            mask |= hangs_on(more, unsure | may_be_forbidden)
            if may_be_required:
                still.add("license_required")
            curable = not mask & HUMAN or all(
                self.rails(row.instance, row.reason, values, at, readings).may_false for row in open_
            )
            if curable:
                still.add("permitted")
            return Sole(
                "needs_facts" if curable else "needs_human", mask, frozenset(still), certain, undecided
            )
        return Sole(
            self.permitted(lifts, values, at, readings, presumptions), 0, frozenset(), certain, undecided
        )

    def mildest(self, sure: int) -> int:
        """The exceptions of the least burdensome class among those that surely lift."""
        return next(sure & of for _, of in self.rows.ranks if sure & of)

    def waits(self, instance: Instance, values: Values, at: dt.datetime, readings: Mapping[str, str]) -> int:
        """What a flag that speaks of the unknown holds open: a mask, or -1 for nothing."""
        rails = self.walked(instance, values, at, readings)
        if rails.true:
            return HUMAN | self.mask(rails)
        waits = isinstance(instance.block, blocks.RedFlag) and instance.block.open_when_unknown
        return self.mask(rails) if waits and not rails.false else -1

    def mask(self, rails: Rails) -> int:
        found = HUMAN if rails.humans else 0
        for path in rails.asks:
            found |= self.program.bits(path)
        return found

    def presumptions(self, values: Values, at: dt.datetime, readings: Mapping[str, str]) -> Presumptions:
        """What stands in for each presumed term: its value, or a taint where a red flag defeats it."""
        found: Presumptions = []
        for value, asks in self.presumed(values, at, readings).values():
            if asks is None:
                found.append(value)
            else:
                mask = 0
                for path in asks:
                    mask |= self.program.bits(path)
                found.append(Tainted("red_flag", mask=mask))
        return found

    def presumed(
        self, values: Values, at: dt.datetime, readings: Mapping[str, str]
    ) -> dict[str, tuple[str | bool, Mapping[str, str] | None]]:
        """By declared path: the presumed value and, if a red flag defeats it, the asks of the flags."""
        found: dict[str, tuple[str | bool, Mapping[str, str] | None]] = {}
        walk = Walk(values, at, readings, self.slice.lists, self.program.inner, found)
        for entry in self.program.presumed:
            true = [flag for flag in map(walk.read, entry.flags) if flag.true]
            asks = {path: cause for flag in true for path, cause in flag.asks.items()} if true else None
            found[entry.path] = (entry.value, asks)
        return found

    def walk(self, values: Values, at: dt.datetime, readings: Mapping[str, str]) -> Walk:
        presumed = self.presumed(values, at, readings)
        return Walk(values, at, readings, self.slice.lists, self.program.inner, presumed)

    def walked(
        self, instance: Instance, values: Values, at: dt.datetime, readings: Mapping[str, str]
    ) -> Rails:
        """An instance with its gates, walked; its lifts left out."""
        walk = self.walk(values, at, readings)
        parts = [walk.read(self.program.gates[number]) for number in instance.gates]
        return conjunction([*parts, walk.read(instance.when)])

    def rails(
        self,
        instance: Instance,
        reason: str | None,
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
    ) -> Rails:
        """A question, walked as it counts: with its lifts, and a raised flag as a human unknown."""
        try:
            found = self.walked(instance, values, at, readings)
            if reason is not None:
                walk = self.walk(values, at, readings)
                able = dict(instance.reasons)[reason]
                found = conjunction([found, negated(disjunction([walk.read(e.whole) for e in able]))])
            if instance.kind in ("flag", "open_flag", "walked_flag") and found.true:
                return human("red_flag", *found.facts)._replace(asks=found.asks)
        except Exception:  # noqa: BLE001 -- a question that can't be evaluated never lets anything through
            return human("untranslatable")
        return found

    def permitted(
        self,
        lifts: int,
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
        presumptions: Presumptions | None,
    ) -> Outcome:
        """Which permission it is, when nothing is open."""
        if lifts:
            return next(LIFTED[name] for name, of in reversed(self.rows.ranks) if lifts & of)
        if not self.slice.acts:
            return self.without_acts()
        if presumptions is None and self.program.presumed:
            presumptions = self.presumptions(values, at, readings)
        subject_somewhere = False
        for number in range(0, len(self.gates), 2):
            subject = self.gates[number](values, at, readings, presumptions)
            if subject >= 0:
                subject_somewhere = True
                if self.gates[number + 1](values, at, readings, presumptions) >= 0:
                    return "no_license_required"
        return "not_an_event" if subject_somewhere else "not_subject"

    def without_acts(self) -> Outcome:
        return "no_license_required" if self.slice.own_gate else "needs_human"


def hangs_on(pending: list[Pending], rows: int) -> int:
    """What the undecided parts of the rows hang on."""
    mask = 0
    for of, code in pending:
        if of & rows:
            mask |= code
    return mask


_COMPILED: dict[int, Compiled] = {}
_LOCK = Lock()
_MOST = 256


def compiled(slice_: Slice) -> Compiled:
    """The slice as a program; made once, and forgotten when 256 others were made since."""
    found = _COMPILED.get(id(slice_))
    if found is None or found.slice is not slice_:
        found = Compiled(slice_)
        with _LOCK:
            _COMPILED[id(slice_)] = found
            while len(_COMPILED) > _MOST:
                del _COMPILED[next(iter(_COMPILED))]
    return found
