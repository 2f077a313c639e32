"""A slice compiled once and asked often: the questions that the index leaves over are evaluated, and the
answer is put together as docs/explanation/decision.md says. What is found on the way is told in
`carnet.engine.findings`."""

import datetime as dt
from collections.abc import Mapping
from threading import Lock

from carnet.engine.codegen import HUMAN, Code, Tainted
from carnet.engine.program import Instance, Program, combinations, of_unknowns
from carnet.engine.readings import CLOSED, by_reading, class_of, joined_outcomes
from carnet.engine.rows import Row, Rows
from carnet.engine.tables import Pending
from carnet.engine.trace import NONE, Rails, Walk, conjunction, disjunction, human, negated
from carnet.model.determination import Answer, Outcome
from carnet.model.facts import Known, Values
from carnet.rules import blocks, tree
from carnet.rules.slices import Slice

NO_READINGS: Mapping[str, str] = {}
BY_NONE: Mapping[str, Outcome] = {}

Presumptions = list[Known | None]


class Compiled:
    """A slice that answers."""

    def __init__(self, slice_: Slice) -> None:
        self.slice = slice_
        self.program = program = Program(slice_)
        subjects = [program.source.function(gate) for gate in program.gates[::2]]
        flags = [
            (entry.value, [(program.source.function(flag), flag) for flag in entry.flags])
            for entry in program.presumed
        ]
        self.rows = rows = Rows(program)
        self.flags: list[tuple[str | bool, list[tuple[Code, tree.Tree | None]]]] = [
            (value, [(rows.codes[name], flag if of_unknowns(flag) else None) for name, flag in each])
            for value, each in flags
        ]
        self.subjects = [rows.codes[name] for name in subjects]
        self.live = rows.live
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
            return self.sole(values, at, live, pending, NO_READINGS)
        readings = combinations(self.slice, self.axes(live))
        soles = [self.sole(values, at, live, pending.copy(), reading) for reading in readings]
        outcomes = [sole.outcome for sole in soles]
        outcome = joined_outcomes(outcomes)
        still: set[str] = set().union(*(sole.may_still_be for sole in soles))
        if len(set(outcomes)) > 1:
            still |= {class_of(each) for each in outcomes} - {"open"}
        certain = set(soles[0].certain).intersection(*(sole.certain for sole in soles))
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

    def sole(
        self,
        values: Values,
        at: dt.datetime,
        live: int,
        pending: list[Pending],
        readings: Mapping[str, str],
    ) -> Answer:
        """The answer under one reading of every axis, of the rows that the facts leave one by one. What is
        left undecided on the way is added to `pending`."""
        table = self.rows
        live = table.test(values, at, readings, self, live, pending)
        soft = 0
        for rows, _ in pending:
            soft |= rows
        firm = live & ~soft
        certain: list[str] = []
        undecided: list[str] = []
        open_: list[Row] = []
        lifted: list[int] = []
        mask = unsure = may_be_forbidden = may_be_required = 0
        forbidden = required = False
        for column, byte in zip(table.columns, (live >> table.first).to_bytes(table.size, "little")):  # noqa: B905 -- as long as each other
            for row in column[byte] if byte else ():
                key, kind, bit, able, _, _ = row
                if kind == "open":
                    if able & firm:
                        lifted.append(able & firm)
                        continue
                    if not (able & live or bit & soft):
                        certain.append(key)
                        required = True
                        continue
                    may_be_required |= bit | able & live
                elif kind == "prohibition":
                    if not bit & soft:
                        certain.append(key)
                        forbidden = True
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
        outcome: Outcome
        still: tuple[str, ...] = ("prohibited",) if may_be_forbidden else ()
        if forbidden:
            outcome, still, mask = "prohibited", (), 0
        elif required:
            outcome, mask = "license_required", hangs_on(pending, may_be_forbidden)
        elif open_:
            mask |= hangs_on(pending, unsure | may_be_required | may_be_forbidden)
            outcome = "needs_facts"
            if mask & HUMAN and not all(
                self.rails(row.instance, row.reason, values, at, readings).may_false for row in open_
            ):
                outcome = "needs_human"
            else:
                still = ("permitted", *still)
            if may_be_required:
                still = ("license_required", *still)
        else:
            outcome = self.permitted(live, lifted, values, at, readings)
        return Answer(
            outcome=outcome,
            basis="assured",
            may_still_be=still,
            by_reading=BY_NONE,
            asks=self.program.bits.asks(mask) if mask else (),
            certain=tuple(certain),
            undecided=tuple(undecided),
        )

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
        found: Presumptions = [None] * len(self.flags)
        walk: Walk | None = None
        for number, (value, flags) in enumerate(self.flags):
            taint: int | None = None
            for code, slow in flags:
                if slow is None:
                    if code(values, at, readings, found) == 0:
                        taint = taint or 0
                    continue
                walk = walk or self.walk(values, at, readings)
                rails = walk.read(slow)
                if rails.true:
                    taint = (taint or 0) | self.mask(rails._replace(humans=NONE))
            found[number] = value if taint is None else Tainted("red_flag", mask=taint)
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
        live: int,
        lifted: list[int],
        values: Values,
        at: dt.datetime,
        readings: Mapping[str, str],
    ) -> Outcome:
        """Which permission it is, when nothing is open. Of what surely lifts a requirement, the least
        burdensome counts; of these, the most burdensome names the outcome."""
        for outcome, of, milder in self.rows.ranks:
            if any(sure & of and not sure & milder for sure in lifted):
                return outcome
        if not self.slice.acts:
            return self.without_acts()
        if live & self.rows.acts:
            return "no_license_required"
        presumptions = self.presumptions(values, at, readings)
        subjects = (subject(values, at, readings, presumptions) for subject in self.subjects)
        return "not_an_event" if any(code >= 0 for code in subjects) else "not_subject"

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
