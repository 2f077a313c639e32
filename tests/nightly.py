"""The long comparisons of the engines, on two processes; the report goes to bench/results.

    python -m tests.nightly                    everything
    python -m tests.nightly --only differential,mutation --pairs 100000

Parts: differential (the fast engine against the specification), asks (brute force over what is unknown),
planted (bugs written on purpose), mutation (bugs written by rule). Exit code 1 if one of them finds any.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from tests.mutation import run as mutation
from tests.property import planted
from tests.property.brute import Sum, cases
from tests.property.coverage import EVERY, rare
from tests.property.differential import PAIRS, Tally, run

from carnet.engine import decide, reference

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("differential", "asks", "planted", "mutation")
CHUNK = 25
"""Rulebooks that a process takes at a time."""


def compared(seeds: range) -> Tally:
    return run(reference.answer, decide.answer, seeds)


def summed(seeds: range) -> dict[str, int]:
    """Brute force on the seeds, as counts."""
    found = Sum()
    for case in cases(reference.answer, seeds):
        found.add(case)
    return {
        "cases": found.cases,
        "with_asks": found.with_asks,
        "exact": found.exact,
        "too_many": len(found.too_many),
        "missed": len(found.missed),
        "open_answered_as_permission": len(found.allowed),
        "refusal_turned": len(found.turned),
        "unforeseen": len(found.unforeseen),
        "completions": found.completions,
    }


def chunks(first: int, count: int, size: int) -> list[range]:
    return [range(start, min(start + size, first + count)) for start in range(first, first + count, size)]


def differential(seed: int, pairs: int, processes: int) -> dict[str, object]:
    """At least that many pairs; the coverage of kinds is part of the result."""
    tally = Tally()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for part in pool.imap_unordered(compared, chunks(seed, -(-pairs // PAIRS), CHUNK)):
            tally.add(part)
    return {
        "pairs": tally.pairs,
        "rulebooks": tally.books,
        "differences": len(tally.differences),
        "first_differences": [
            f"seed {d.seed}, question {d.number}: {d.expected} / {d.other}" for d in tally.differences[:5]
        ],
        "rare": rare(tally.counts, tally.pairs),
        "percent": {
            kind: round(100 * tally.counts[kind] / tally.pairs, 2)
            for kind in (*EVERY, "stated", "by_reading")
        },
        "ok": not tally.differences and not rare(tally.counts, tally.pairs) and tally.pairs >= pairs,
    }


def asks(seed: int, books: int, processes: int) -> dict[str, object]:
    total: dict[str, int] = {}
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for part in pool.imap_unordered(summed, chunks(seed, books, CHUNK)):
            for name, count in part.items():
                total[name] = total.get(name, 0) + count
    bad = ("missed", "open_answered_as_permission", "refusal_turned", "unforeseen")
    asked = total["with_asks"] - total["too_many"]
    return {
        **total,
        "exact_percent": round(100 * total["exact"] / total["cases"], 2),
        "exact_percent_where_something_is_asked": round(100 * asked / total["with_asks"], 2),
        "ok": not any(total[name] for name in bad) and total["exact"] >= 0.95 * total["cases"],
    }


def planted_bugs() -> dict[str, object]:
    found = {bug.name: planted.caught(bug) for bug in planted.BUGS}
    missed = [name for name, pair in found.items() if pair is None]
    return {
        "bugs": len(found),
        "caught": len(found) - len(missed),
        "missed": missed,
        "pairs_until_caught": {name: pair for name, pair in found.items() if pair is not None},
        "ok": not missed,
    }


def mutants(processes: int) -> dict[str, object]:
    counts = mutation.run(mutation.TARGETS, processes)
    listed = mutation.explained()
    alive = {key for count in counts for key in count.survivors}
    return {
        "mutants": sum(count.mutants for count in counts),
        "killed": sum(count.killed for count in counts),
        "survivors": len(alive),
        "unexplained": sorted(alive - set(listed)),
        "listed_but_killed": sorted(set(listed) - alive),
        "modules": {c.module: {"mutants": c.mutants, "killed": c.killed} for c in counts},
        "ok": not alive - set(listed) and len(alive) <= 20,
    }


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def changed() -> bool:
    """Whether the source differs from the commit."""
    found = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "src", "tests"], cwd=ROOT, check=False)
    return found.returncode != 0


def table(report: dict[str, object]) -> str:
    """The report for a reader."""
    parts = report["parts"]
    assert isinstance(parts, dict)
    dirty = " with uncommitted changes" if report["changed"] else ""
    head = (
        f"Commit {report['commit']}{dirty}, first seed {report['seed']}, {report['processes']} processes, "
        f"Python {report['python']}, {report['seconds']} s in all."
    )
    lines = [f"# Nightly, {report['date']}", "", head, ""]
    lines += ["| part | result | seconds | |", "|---|---|---|---|"]
    for name, part in parts.items():
        plain = {
            key: value
            for key, value in part.items()
            if isinstance(value, int | float) and key not in ("ok", "seconds")
        }
        words = ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in plain.items())
        lines.append(f"| {name} | {'ok' if part['ok'] else 'FAILED'} | {part['seconds']} | {words} |")
    if "differential" in parts:
        percent = parts["differential"]["percent"]
        lines += ["", "Part of the pairs, in percent, that has each kind of node, block and outcome:", ""]
        lines.append(", ".join(f"{kind} {value}" for kind, value in percent.items()))
    if "mutation" in parts:
        lines += ["", "Mutants, killed of all:", ""]
        lines += [
            f"- {name}: {c['killed']} of {c['mutants']}" for name, c in parts["mutation"]["modules"].items()
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--seed", type=int, default=1_000_000, help="the first seed")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--brute", type=int, default=3000, help="rulebooks for brute force")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="where the report goes")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"unknown part `{min(unknown)}`: write {', '.join(PARTS)}")
    work = {
        "differential": lambda: differential(given.seed, given.pairs, given.processes),
        "asks": lambda: asks(given.seed + 500_000, given.brute, given.processes),
        "planted": planted_bugs,
        "mutation": lambda: mutants(given.processes),
    }
    started, begin = dt.datetime.now(dt.UTC), time.monotonic()
    parts: dict[str, dict[str, object]] = {}
    for name in PARTS:
        if name in wanted:
            start = time.monotonic()
            parts[name] = work[name]()
            parts[name]["seconds"] = round(time.monotonic() - start)
            print(
                f"{name}: {'ok' if parts[name]['ok'] else 'FAILED'} in {parts[name]['seconds']} s", flush=True
            )
    report: dict[str, object] = {
        "format": 1,
        "date": started.isoformat(timespec="seconds"),
        "commit": commit(),
        "changed": changed(),
        "seed": given.seed,
        "processes": given.processes,
        "python": platform.python_version(),
        "seconds": round(time.monotonic() - begin),
        "parts": parts,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"nightly-{started.date().isoformat()}-{report['commit']}"
    path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    path.with_suffix(".md").write_text(table(report), "utf-8")
    print(table(report))
    print(json.dumps({"nightly": {name: part["ok"] for name, part in parts.items()}}))
    return 0 if all(part["ok"] for part in parts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
