"""One decision: ours against the other engines, on the same rules, from a ready dict, paired in one run.

Ours is three-valued and gives outcome, every rule that is certain or undecided, and what to ask. The others
are two-valued and give the rules that fired (Casbin: one of them). Before anything is timed, every answer is
compared; one that differs ends the bench with exit 1.
"""

import argparse
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import export
import invented
import peers
import report

from carnet.engine import decide as ours
from carnet.model.determination import PERMITTED, Answer, Choices
from carnet.model.facts import Known
from carnet.rules.rulebook import Rulebook

CHOICES = Choices()
LEAST, BUDGET = 0.05, 0.6
"""Seconds that a side takes in one round, at least and at most: a fast one decides the requests again, so
that no disturbance weighs more for it than for the others; a slow one decides fewer."""


class Ours:
    """`carnet.engine.decide.answer` on facts by path."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook

    def decide(self, values: Mapping[str, Known]) -> Answer:
        return ours.answer(self.rulebook, values, invented.AT, invented.AT, CHOICES)


def outcome_of(answer: Answer) -> peers.Got:
    """Our answer in the words that all engines share."""
    outcome = peers.PERMITTED if answer.outcome in PERMITTED else answer.outcome
    return outcome, frozenset(answer.certain)


def compared(peer: peers.Peer, ready: list[Any], wanted: list[peers.Got]) -> int:
    """How many answers differ from ours."""
    differing = 0
    for each, want in zip(ready, wanted, strict=True):
        got = peer.read(peer.decide(each))
        same = got == want if peer.whole else got[0] == want[0] and got[1] <= want[1]
        differing += not same
    return differing


def timed(decide: Callable[[Any], Any], ready: list[Any]) -> list[int]:
    """Nanoseconds of each decision: all requests, again and again for the least time, until the budget is
    used up."""
    clock, spent = time.perf_counter_ns, []
    begin = stop = clock()
    while stop < begin + LEAST * 1e9:
        for each in ready:
            start = clock()
            decide(each)
            stop = clock()
            spent.append(stop - start)
            if stop > begin + BUDGET * 1e9:
                return spent
    return spent


def less(values: Mapping[str, Known], draw: random.Random, count: int) -> dict[str, Known]:
    """The facts without some of them."""
    gone = set(draw.sample(sorted(values), count))
    return {path: value for path, value in values.items() if path not in gone}


def run(families: int, *, by_item: bool, quick: bool) -> tuple[dict[str, float], dict[str, object]]:
    """One rulebook: compare, then time. The median of each side in nanoseconds, and the figures."""
    rulebook = invented.rulebook(families, by_item=by_item)
    plan = export.plan(rulebook, invented.AT)
    draw = random.Random(2026)
    requests = [invented.request(draw) for _ in range(300 if quick else 2000)]
    us = Ours(rulebook)
    wanted = [outcome_of(us.decide(values)) for values in requests]
    sides: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {}
    rules = families * 26
    for kind in peers.PEERS:
        peer = kind(plan)
        count = 40 if not peer.whole and families > 1 else len(requests)
        ready = [peer.ready(values) for values in requests[:count]]
        wrong = compared(peer, ready, wanted[:count])
        if wrong:
            sys.exit(f"{peer.title()} differs from ours in {wrong} of {count} answers at {rules} rules")
        sides[peer.title()] = (peer.decide, ready)
    full: list[Any] = [dict(values) for values in requests]
    missing: list[Any] = [less(values, draw, 3) for values in requests]
    sides = {"carnet": (us.decide, full), "carnet, 3 of 27 facts missing": (us.decide, missing), **sides}
    spent: dict[str, list[int]] = {name: [] for name in sides}
    gc.collect()
    gc.disable()
    for _ in range(2 if quick else 7):
        for name, (decide, ready) in sides.items():
            spent[name] += timed(decide, ready)
    gc.enable()
    medians = {name: statistics.median(times) for name, times in spent.items()}
    rows = []
    for name, times in spent.items():
        tail = sorted(times)[int(len(times) * 0.99)]
        ratio = medians[name] / medians["carnet"]
        rows.append([name, report.micro(medians[name]), report.micro(tail), f"{ratio:.1f}", len(times)])
    outcomes = {name: sum(want[0] == name for want in wanted) for name in {want[0] for want in wanted}}
    title = f"{rules} rules{', each requirement about one item family' if by_item else ''}: µs a decision"
    report.table(title, ["engine", "p50", "p99", "times ours", "decisions"], rows)
    print(f"  {len(requests)} answers compared with every engine, 0 differ; outcomes: {outcomes}")
    return medians, {"p50_us": {name: round(value / 1000, 2) for name, value in medians.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    quick = parser.parse_args().quick
    ratios: dict[str, float] = {}
    figures: dict[str, object] = {}
    for families, by_item in ((1, False), (16, False), (16, True)):
        label = f"{families * 26}{'-by-item' if by_item else ''}"
        medians, found = run(families, by_item=by_item, quick=quick)
        own = medians.pop("carnet")
        medians.pop("carnet, 3 of 27 facts missing")
        figures[label] = found
        for name, value in medians.items():
            ratios[f"{name.partition(' (')[0]}@{label}"] = value / own
        best = min(medians, key=lambda name: medians[name])
        print(f"  the best of them, {best}, takes {medians[best] / own:.1f} times as long as ours")
    report.last_line("decide", ratios, figures)


if __name__ == "__main__":
    main()
