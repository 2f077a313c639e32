"""The long comparisons of the engines and the faults to survive, on two processes; the report goes to
bench/results.

    python -m tests.nightly                    everything
    python -m tests.nightly --only differential,mutation --pairs 100000

Parts that are run by themselves join the report of the same commit and seed.
Parts: differential (the fast engine against the specification), asks (brute force over what is unknown),
planted (bugs written on purpose), mutation (bugs written by rule), faults (real processes that are killed,
disks that fail, clocks that jump: see tests/faults). Exit code 1 if one of them finds any.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.faults import counts
from tests.mutation import run as mutation
from tests.property import planted
from tests.property.brute import Sum, cases
from tests.property.coverage import EVERY, rare
from tests.property.differential import PAIRS, Tally, run

from carnet.engine import decide, reference

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("differential", "asks", "planted", "mutation", "faults")
CHUNK = 25
"""Rulebooks that a process takes at a time."""
FAULTS = (
    "tests/faults",
    "tests/postgres/test_faults.py",
    "tests/witness/test_processes.py",
    "tests/web/test_serve.py",
    "tests/web/test_schemathesis.py",
    "tests/records/test_shred.py",
    "tests/log/test_shred_run.py",
    "tests/log/test_replay.py",
    "tests/log/test_replay_many.py",
    "tests/log/test_replay_flips.py",
)
"""The tests of the part `faults`."""

LEAST: dict[str, tuple[str, int]] = {
    "kill -9 before commit": ("ends", 20),
    "kill -9 after commit": ("ends", 20),
    "kill -9 after acknowledgement": ("ends", 20),
    "kill -9 at random": ("ends", 1000),
    "power cut, all of what was not synced dropped": ("ends", 20),
    "power cut, some sectors of what was not synced dropped": ("ends", 20),
    "a disk whose sync takes 8 s": ("asked", 20),
    "a torn, cut or garbled WAL": ("damages", 600),
    "bits flipped on the way to the disk": ("altered", 20),
    "a bit flipped in the file": ("flipped", 9500),
    "a disk that says it is full": ("refused", 100),
    "carnet serve on a disk that is slow": ("refused", 1),
    "carnet serve on a disk that is broken": ("refused", 1),
    "carnet serve on a disk that is full": ("refused", 1),
    "an old copy put back": ("copies", 20),
    "a log forked": ("forks", 5),
    "the clock jumps": ("jumps", 4),
    "two sequencers": ("refused", 100),
    "PostgreSQL: two sequencers": ("ends", 1),
    "PostgreSQL killed under load": ("ends", 20),
    "the witness is down": ("seconds", 120),
    "a shred, with two backups": ("keys", 1),
    "generated requests": ("requests", 1000),
    "a bit of an export flipped": ("flipped", 1000),
    "a rule or a list of an export changed": ("flipped", 20),
    "records replayed": ("records", 10_000),
}
"""What has to be counted at least: a fault that was not made was not survived."""

BAD = (
    "lost",
    "changed",
    "unsound",
    "not_open",
    "altered_accepted",
    "unnoticed",
    "told_late",
    "served",
    "found",
    "undescribed",
    "server_errors",
    "differing",
)
"""What has to be 0 wherever it is counted."""


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


def faults(processes: int) -> dict[str, object]:
    """The fault tests as often as the nightly asks for, and what they counted."""
    with tempfile.TemporaryDirectory() as folder:
        file, results = Path(folder) / "counts", Path(folder) / "results.xml"
        file.touch()
        words = ["-q", "-n", str(processes), "--dist", "loadgroup", f"--junitxml={results}", *FAULTS]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=ROOT,
            env={**os.environ, "CARNET_FAULTS": "nightly", counts.FILE: str(file)},
            check=False,
        )
        found = survived(counts.read(file), results)
    return found | {"ok": found["ok"] and done.returncode == 0}


def survived(found: dict[str, dict[str, int]], results: Path) -> dict[str, object]:
    """What was counted, and whether it is enough and nothing of it bad."""
    suites = list(ET.parse(results).iter("testsuite")) if results.exists() else []
    tests = {name: sum(int(one.get(name, 0)) for one in suites) for name in ("tests", "failures", "errors")}
    total = {
        name: sum(numbers.get(name, 0) for numbers in found.values())
        for name in ("ends", "acknowledged", *BAD)
    }
    missing = [fault for fault, (name, least) in LEAST.items() if found.get(fault, {}).get(name, 0) < least]
    failed = tests["failures"] + tests["errors"]
    return {
        "tests": tests["tests"],
        "failed": failed,
        "kills": total["ends"],
        "acknowledged": total["acknowledged"],
        "lost": total["lost"],
        "altered_accepted": total["changed"] + total["altered_accepted"] + total["unnoticed"],
        "missing": missing,
        "counts": found,
        "ok": tests["tests"] > 0 and not failed and not missing and not any(total[name] for name in BAD),
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


def joined(report: dict[str, Any], path: Path) -> dict[str, Any]:
    """The report with the other parts of one that is there already, of the same commit and seed."""
    if report["changed"] or not path.exists():
        return report
    before = json.loads(path.read_text("utf-8"))
    if before["changed"] or before["seed"] != report["seed"]:
        return report
    both = before["parts"] | report["parts"]
    parts = {name: both[name] for name in PARTS if name in both}
    return report | {"parts": parts, "seconds": sum(part["seconds"] for part in parts.values())}


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
    lines += [f"\n{name}: {part['error']}" for name, part in parts.items() if "error" in part]
    if "percent" in parts.get("differential", {}):
        percent = parts["differential"]["percent"]
        lines += ["", "Part of the pairs, in percent, that has each kind of node, block and outcome:", ""]
        lines.append(", ".join(f"{kind} {value}" for kind, value in percent.items()))
    if "modules" in parts.get("mutation", {}):
        lines += ["", "Mutants, killed of all:", ""]
        lines += [
            f"- {name}: {c['killed']} of {c['mutants']}" for name, c in parts["mutation"]["modules"].items()
        ]
    if "counts" in parts.get("faults", {}):
        lines += ["", "Faults, and what was counted:", ""]
        for fault, numbers in parts["faults"]["counts"].items():
            said = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in numbers.items())
            lines.append(f"- {fault}: {said}")
        lines += [f"- {fault}: NOT MADE OFTEN ENOUGH" for fault in parts["faults"]["missing"]]
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
        "faults": lambda: faults(given.processes),
    }
    started, begin = dt.datetime.now(dt.UTC), time.monotonic()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"nightly-{started.date().isoformat()}-{commit()}"
    parts: dict[str, dict[str, object]] = {}
    report: dict[str, Any] = {}
    for name in (part for part in PARTS if part in wanted):
        start = time.monotonic()
        try:
            parts[name] = work[name]()
        except Exception as error:  # noqa: BLE001 -- what other parts found is not lost by it
            parts[name] = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        parts[name]["seconds"] = round(time.monotonic() - start)
        print(f"{name}: {'ok' if parts[name]['ok'] else 'FAILED'} in {parts[name]['seconds']} s", flush=True)
        report = {
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
        report = joined(report, path.with_suffix(".json"))
        path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
        path.with_suffix(".md").write_text(table(report), "utf-8")
    print(table(report))
    print(json.dumps({"nightly": {name: part["ok"] for name, part in parts.items()}}))
    return 0 if all(part["ok"] for part in parts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
