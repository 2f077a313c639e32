"""Every mutant of the engines, the slices and the loader against the test profile, on two processes.
`python -m tests.mutation.run [MODULE …]` prints the counts and the survivors that tests/mutants.toml does not
explain."""

import json
import multiprocessing
import sys
import time
import tomllib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct
from tests.mutation.loading import path_of
from tests.mutation.mutate import Mutant, mutants
from tests.mutation.profile import (
    Profile,
    Target,
    determination_tests,
    engine_tests,
    loader_tests,
    slice_tests,
    survives,
    timed,
    transaction_tests,
)

LISTED = Path(__file__).parent.parent / "mutants.toml"
REFERENCE, DECIDE = "carnet.engine.reference", "carnet.engine.decide"
SLICES, LOADER = "carnet.rules.slices", "carnet.rules.check"
TARGETS = (
    Target("carnet.engine.reference", REFERENCE),
    Target("carnet.engine.naive", REFERENCE),
    Target("carnet.engine.over_readings", REFERENCE),
    Target("carnet.engine.decide", DECIDE),
    Target("carnet.engine.compiled", DECIDE),
    Target("carnet.engine.program", DECIDE),
    Target("carnet.engine.codegen", DECIDE),
    Target("carnet.engine.readings", DECIDE),
    Target("carnet.rules.slices", SLICES),
    Target("carnet.rules.check", LOADER),
    Target("carnet.rules.overlaps", LOADER),
    Target("carnet.rules.cycles", LOADER),
)
PROFILES: dict[str, Profile] = {}
TELLING = (40_057, 40_244, 40_949)
"""Seeds that tell apart what few others do."""
SEEDS, EACH = (*TELLING, *range(900_000, 900_240)), 20


class Count(Struct):
    """What one module came to."""

    module: str
    mutants: int
    killed: int
    survivors: list[str]
    seconds: float


def profile_of(target: Target) -> Profile:
    """The profile of a target's entry, made once, and timed on the target."""
    entry = target.entry
    if entry not in PROFILES:
        if entry == LOADER:
            PROFILES[entry] = loader_tests()
        elif entry == SLICES:
            PROFILES[entry] = slice_tests(SEEDS, 12)
        else:
            PROFILES[entry] = engine_tests(SEEDS, EACH)
            if entry == DECIDE:
                for more in (determination_tests(SEEDS[:60], 4), transaction_tests()):
                    PROFILES[entry].tests += more.tests
                    PROFILES[entry].books += more.books
        timed(PROFILES[entry], target)
    return PROFILES[entry]


def lives(given: tuple[Mutant, str]) -> tuple[str, bool]:
    mutant, entry = given
    return mutant.key, survives(mutant, entry, PROFILES[entry])


def explained() -> dict[str, str]:
    """The survivors that are listed, with the reason why each is equivalent."""
    return {entry["mutant"]: entry["why"] for entry in tomllib.loads(LISTED.read_text("utf-8"))["survivor"]}


def run(targets: tuple[Target, ...], processes: int = 2) -> list[Count]:
    """All mutants of the targets."""
    found = [target for target in targets if find_spec(target.module) is not None]
    for target in found:
        profile_of(target)
    counts = []
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for target in found:
            start = time.monotonic()
            source = path_of(target.module).read_text("utf-8")
            work = [(mutant, target.entry) for mutant in mutants(target.module, source)]
            results = list(pool.imap_unordered(lives, work, chunksize=4))
            alive = sorted(key for key, lived in results if lived)
            seconds = time.monotonic() - start
            counts.append(Count(target.module, len(results), len(results) - len(alive), alive, seconds))
            print(
                f"{target.module}: {len(results)} mutants, {len(alive)} survive, {seconds:.0f} s", flush=True
            )
    return counts


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - {target.module for target in TARGETS})
    if unknown:
        print(f"no target: {', '.join(unknown)}; there are {', '.join(target.module for target in TARGETS)}")
        return 2
    targets = tuple(target for target in TARGETS if not names or target.module in names)
    counts = run(targets)
    listed = explained()
    alive = {key for count in counts for key in count.survivors}
    unexplained = sorted(alive - set(listed))
    totals = Counter(mutants=sum(c.mutants for c in counts), killed=sum(c.killed for c in counts))
    print("\n".join(f"survives without a reason: {key}" for key in unexplained))
    mine = {target.module.rpartition(".")[2] for target in targets}
    killed = sorted(key for key in set(listed) - alive if key.partition(".")[0] in mine)
    print("\n".join(f"is listed and killed: {key}" for key in killed))
    print(json.dumps({**totals, "survivors": len(alive), "unexplained": len(unexplained)}))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
