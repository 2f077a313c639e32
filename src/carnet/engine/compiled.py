"""A slice compiled once and asked often: the questions that the index leaves over are evaluated, and the
answer is put together as docs/explanation/decision.md says. What is found on the way is told in
`carnet.engine.findings`."""

import datetime as dt
from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple

from carnet.engine.codegen import HUMAN, Code, Tainted, all_codes
from carnet.engine.program import Instance, Program, combinations
from carnet.engine.readings import CLOSED, by_reading, class_of, joined_outcomes
from carnet.engine.trace import Rails, Walk, conjunction, disjunction, human, negated
from carnet.model.determination import Answer, Outcome
from carnet.model.facts import Known, Values
from carnet.model.time import Days
from carnet.rules import blocks
from carnet.rules.slices import Slice

BURDEN = ("carve_out", "authorization", "license_exception")

NO_READINGS: Mapping[str, str] = {}
LEARNT = frozenset({frozenset, int, Days})
"""Kinds of values for which the index is learnt as they come."""

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
        self.gates = program.gate_codes
        self.reading = sum(1 << n for n, axes in enumerate(program.axes) if axes)
        behind = sorted({instance.gates for instance in program.instances if instance.gates})
        self.behind = [
            (
                sum(1 << n for n, i in enumerate(program.instances) if i.gates == gates),
                place,
                tuple(self.gates[number] for number in gates),
            )
            for place, gates in enumerate(behind)
        ]
        places = {gates: place for place, gates in enumerate(behind)} | {(): len(behind)}
        self.no_gates = [0] * (len(behind) + 1)
        self.hot = [
            (i.kind, places[i.gates], program.codes[i.name], self.reasons(i), i) for i in program.instances
        ]

    def reasons(self, instance: Instance) -> tuple[tuple[str, str, tuple[tuple[int, Code], ...]], ...]:
        """For each reason of a requirement: itself, its key, and what may lift it by burden."""
        return tuple(
            (
                reason,
                instance.question(reason),
                tuple((BURDEN.index(e.exception.class_), self.program.codes[e.name]) for e in able),
            )
            for reason, able in instance.reasons
        )

    def live(self, values: Values) -> int:
        """The instances that no single fact closes."""
        live = self.program.all
        get = values.get
        for path, table, default in self.program.index:
            value = get(path)
            if value is not None:
                kind = value.__class__
                if kind is str:
                    live &= table.get(value, default)  # type: ignore[arg-type]  # text, by its class
                elif kind is bool:
                    live &= table[value]  # type: ignore[index]  # a truth value, by its class
        for path, learnt in self.program.learnt:
            value = get(path)
            if value is not None and value.__class__ in LEARNT:
                mask = learnt.get(value)
                live &= self.program.learn(path, value) if mask is None else mask
        return live

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
        own = (axes for n, axes in enumerate(self.program.axes) if axes and live >> n & 1)
        return self.program.gate_axes.union(*own)

    def over_readings(self, values: Values, at: dt.datetime) -> Answer:
        live = self.live(values)
        if not live & self.reading and not self.program.gate_axes:
            sole = self.sole(values, at, live, NO_READINGS)
            return Answer(
                outcome=sole.outcome,
                basis="assured",
                may_still_be=tuple(sorted(sole.may_still_be)) if sole.may_still_be else (),
                by_reading=NO_READINGS,  # type: ignore[arg-type]  # empty
                asks=self.program.bits.asks(sole.asks),
                certain=tuple(sorted(sole.certain)),
                undecided=tuple(sorted(sole.undecided)),
            )
        readings = combinations(self.slice, self.axes(live))
        soles = [self.sole(values, at, live, reading) for reading in readings]
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
        self, values: Values, at: dt.datetime, live: int, readings: Mapping[str, str]
    ) -> Sole:
        """Everything under one reading."""
        presumptions = self.presumptions(values, at, readings) if live & self.program.presuming else None
        gates = self.no_gates
        for group, place, conditions in self.behind:
            if live & group:
                try:
                    gate = all_codes(
                        [condition(values, at, readings, presumptions) for condition in conditions]
                    )
                except Exception:  # noqa: BLE001 -- an act that can't be evaluated may be there
                    gate = HUMAN
                if gate < 0:
                    live &= ~group
                elif gate:
                    if gates is self.no_gates:
                        gates = self.no_gates.copy()
                    gates[place] = gate
        certain: list[str] = []
        undecided: list[str] = []
        open_: list[tuple[Instance, str | None]] = []
        mask = forbidden = 0
        is_forbidden = may_be_forbidden = required = may_be_required = False
        lifted: set[str] = set()
        hot = self.hot
        while live:
            low = live & -live
            live ^= low
            kind, place, code, reasons, instance = hot[low.bit_length() - 1]
            try:
                applies = code(values, at, readings, presumptions)
            except Exception:  # noqa: BLE001 -- a question that can't be evaluated never lets anything through
                applies = HUMAN
            if applies < 0:
                continue
            applies |= gates[place]
            if kind == "open":
                for reason, name, able in reasons:
                    value = applies
                    if able:
                        value, mildest = self.after_lifts(applies, able, values, at, readings, presumptions)
                        if mildest is not None:
                            lifted.add(mildest)
                            continue
                    if value:
                        undecided.append(name)
                        open_.append((instance, reason))
                        mask |= value
                        may_be_required = True
                    else:
                        certain.append(name)
                        required = True
            elif kind == "prohibition":
                if applies:
                    undecided.append(instance.key)
                    open_.append((instance, None))
                    forbidden |= applies
                    may_be_forbidden = True
                else:
                    certain.append(instance.key)
                    is_forbidden = True
            else:
                value = self.counts(kind, applies, instance, values, at, readings)
                if value > 0:
                    undecided.append(instance.key)
                    open_.append((instance, None))
                    mask |= value
        if is_forbidden:
            return Sole("prohibited", 0, frozenset(), certain, undecided)
        still = {"prohibited"} if may_be_forbidden else set()
        if required:
            return Sole("license_required", forbidden, frozenset(still), certain, undecided)
        if open_:
            mask |= forbidden
            if may_be_required:
                still.add("license_required")
            curable = not mask & HUMAN or all(
                self.rails(instance, reason, values, at, readings).may_false for instance, reason in open_
            )
            if curable:
                still.add("permitted")
            return Sole(
                "needs_facts" if curable else "needs_human", mask, frozenset(still), certain, undecided
            )
        return Sole(
            self.permitted(lifted, values, at, readings, presumptions),
            0,
            frozenset(),
            certain,
            undecided,
        )

    def after_lifts(
        self,
        applies: int,
        able: tuple[tuple[int, Code], ...],
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
        presumptions: Presumptions | None,
    ) -> tuple[int, str | None]:
        """A requirement's reason after what may lift it, and the least burdensome class that surely does."""
        mildest: int | None = None
        value = applies
        for rank, condition in able:
            try:
                code = condition(values, at, readings, presumptions)
            except Exception:  # noqa: BLE001 -- an exception that can't be evaluated lifts nothing
                code = HUMAN
            if code == 0:
                mildest = rank if mildest is None else min(mildest, rank)
            elif code > 0:
                value |= code
        return (value, None) if mildest is None else (-1, BURDEN[mildest])

    def counts(
        self,
        kind: str,
        applies: int,
        instance: Instance,
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
    ) -> int:
        """What a gap or a flag holds open: a mask, or -1 for nothing."""
        if kind == "gap" or (kind == "open_flag" and applies > 0):
            return applies | (HUMAN if kind == "gap" else 0)
        if kind == "walked_flag":
            rails = self.walked(instance, values, at, readings)
            if rails.true:
                return HUMAN | self.mask(rails)
            waits = isinstance(instance.block, blocks.RedFlag) and instance.block.open_when_unknown
            return self.mask(rails) if waits and not rails.false else -1
        return HUMAN if applies == 0 else -1

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
        lifted: set[str],
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
        presumptions: Presumptions | None,
    ) -> Outcome:
        """Which permission it is, when nothing is open."""
        if "license_exception" in lifted:
            return "license_exception"
        if "authorization" in lifted:
            return "authorized"
        if "carve_out" in lifted:
            return "no_license_required"
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
