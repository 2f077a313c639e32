"""What an engine answers when two facts are missing and the answer hangs on them.

A case is open if, over all values of the two facts, both permission and refusal come out. Who answers an open
case with permission has failed open. Each engine gets the rules as its documents teach to write them, with no
guard for what may be missing; `default zero` is our own engine with every missing fact set to false, 0 or
nothing, as engines do that compute on arrays with defaults.
"""

import argparse
import itertools
import random
from collections import Counter
from collections.abc import Mapping

import export
import invented
import peers
import report

from carnet.engine import decide as ours
from carnet.model.determination import PERMITTED, Choices
from carnet.model.facts import Known
from carnet.model.time import Days
from carnet.rules.rulebook import Rulebook

CHOICES = Choices()
CLOSED = ("prohibited", "license_required")
ZERO: dict[object, Known] = {
    "bool": False,
    "enum": "",
    "country": "",
    "id": "",
    "set": frozenset(),
    "date": Days(1, 1),
    "number": 0,
}


def kind_of(path: str) -> object:
    """The type of a fact."""
    return invented.TERMS[path.replace("recipient.", "party.")]["type"]


def outcome(rulebook: Rulebook, values: Mapping[str, Known]) -> str:
    """Our outcome as allow, deny or ask."""
    found = ours.answer(rulebook, values, invented.AT, invented.AT, CHOICES).outcome
    return "allow" if found in PERMITTED else "deny" if found in CLOSED else "ask"


def possible(rulebook: Rulebook, values: Mapping[str, Known], gone: tuple[str, ...]) -> set[str]:
    """What comes out over the values of the missing facts."""
    found: set[str] = set()
    places = [value for path, value in values.items() if kind_of(path) == "country"]
    domains = [
        [*invented.domain(path, rulebook), *(places if kind_of(path) == "country" else [])] for path in gone
    ]
    for filled in itertools.product(*domains):
        found.add(outcome(rulebook, {**values, **dict(zip(gone, filled, strict=True))}))
        if len(found) > 1:
            break
    return found


def said(peer: peers.Peer, values: Mapping[str, Known]) -> str:
    """A peer's answer as allow, deny or error."""
    try:
        got = peer.read(peer.decide(peer.ready(values)))[0]
    except Exception:  # noqa: BLE001  # each peer raises errors of its own; an error is what we count
        return "error"
    return "allow" if got == peers.PERMITTED else "deny"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    wanted = 150 if parser.parse_args().quick else 1300
    rulebook = invented.rulebook(1)
    plan = export.plan(rulebook, invented.AT)
    engines = [kind(plan) for kind in peers.PEERS]
    draw = random.Random(2026)
    opened, decided = 0, 0
    open_cases: dict[str, Counter[str]] = {}
    decided_cases: Counter[str] = Counter()
    while opened < wanted:
        values = invented.request(draw)
        gone = tuple(draw.sample(sorted(values), 2))
        left = {path: value for path, value in values.items() if path not in gone}
        mine = outcome(rulebook, left)
        results = possible(rulebook, left, gone)
        if len(results) == 1:
            decided += 1
            decided_cases[mine] += 1
            continue
        opened += 1
        zero = {path: ZERO[kind_of(path)] for path in gone}
        answers = {"carnet": mine, "default zero": outcome(rulebook, {**left, **zero})}
        answers |= {engine.title(): said(engine, left) for engine in engines}
        for name, answer in answers.items():
            open_cases.setdefault(name, Counter())[answer] += 1
    columns = ("allow", "deny", "error", "ask")
    rows = [
        [name, *(f"{100 * counts[column] / opened:.0f} %" for column in columns)]
        for name, counts in open_cases.items()
    ]
    report.table(f"{opened} open cases, 2 of 27 facts missing", ["engine", *columns], rows)
    needless = decided_cases["ask"]
    print(f"  {decided} cases were decided all the same; carnet asked needlessly in {needless} of them")
    share = {name: round(counts["allow"] / opened, 4) for name, counts in open_cases.items()}
    figures = {"open": opened, "allowed": share, "decided": decided, "asked_needlessly": needless}
    report.last_line("fail_open", {}, figures)
    if open_cases["carnet"]["allow"]:
        raise SystemExit("carnet answered an open case with permission")


if __name__ == "__main__":
    main()
