"""The log: durable records and acknowledged grants a second, proofs and audit, and determinations over HTTP
(`over_http.py`), paired in one run.

Ours signs a checkpoint for every batch, stores the nodes of the tree and reads back what it signs. Beside it
stand a naive hash chain in SQLite that commits each record by itself, the same chain with a commit for 256
records, both unsigned, and pymerkle where it is installed: it stores leaf hashes, signs nothing, and makes
nodes when asked. Everything is written through to the disk: `synchronous=FULL`, for pymerkle too. Before
anything is timed, its roots and proofs are compared with ours.
"""

import argparse
import hashlib
import itertools
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import apsw
import over_http
import report
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carnet.ledger import checkpoint, tree
from carnet.ledger.audit import audit
from carnet.ledger.note import Ed25519Signer
from carnet.store.protocols import Entry, GrantRow
from carnet.store.sqlite.log import open_log

ORIGIN = "log.example/bench"
SIGNER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
BATCH = 256
LEAF_BYTES = 600
PRODUCERS = (16, 64, 256)

OURS = "carnet@256"

_ids = itertools.count()


def leaves(count: int) -> list[bytes]:
    return [os.urandom(LEAF_BYTES) for _ in range(count)]


class Ours:
    """The embedded store, through what everybody calls."""

    title = "carnet: tree, nodes, signed checkpoints, read back"

    def __init__(self, folder: Path) -> None:
        self.log = open_log(folder / "log.db", ORIGIN, [SIGNER], [SIGNER.verifier])

    def batches(self, batches: list[list[Entry]]) -> None:
        """Each batch is submitted while the one before is being written."""
        before = None
        for batch in batches:
            last = self.log.submit_all(batch)
            if before is not None:
                before.result()
            before = last
        if before is not None:
            before.result()

    def one(self, leaf: bytes) -> None:
        """A record with its grant."""
        self.log.submit(entry(leaf, granted=True)).result()

    def root(self, size: int) -> bytes:
        with self.log.reading() as reading:
            return tree.tree_at(reading, size).root

    def proofs(self, indices: list[int], size: int) -> list[int]:
        """Nanoseconds of each inclusion proof."""
        with self.log.reading() as reading:
            return [spent(lambda at=at: tree.inclusion_proof(reading, at, size)) for at in indices]

    def proof(self, index: int, size: int) -> list[bytes]:
        with self.log.reading() as reading:
            return list(tree.inclusion_proof(reading, index, size))

    def close(self) -> None:
        self.log.close()


class Chain:
    """A hash chain: each record is hashed with the hash before it. Nothing can be proved but all of it."""

    title = "hash chain, unsigned"

    def __init__(self, folder: Path) -> None:
        self.db = apsw.Connection(str(folder / "chain.db"))
        self.db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").fetchall()
        self.db.execute("CREATE TABLE chain (number INTEGER PRIMARY KEY, leaf BLOB, hash BLOB)")
        self.last, self.lock = bytes(32), threading.Lock()

    def batches(self, batches: list[list[bytes]]) -> None:
        for batch in batches:
            with self.db:
                self.db.executemany("INSERT INTO chain (leaf, hash) VALUES (?, ?)", map(self.linked, batch))

    def each(self, batches: list[list[bytes]]) -> None:
        for leaf in itertools.chain(*batches):
            self.one(leaf)

    def one(self, leaf: bytes) -> None:
        with self.lock:
            self.db.execute("INSERT INTO chain (leaf, hash) VALUES (?, ?)", self.linked(leaf))

    def linked(self, leaf: bytes) -> tuple[bytes, bytes]:
        self.last = hashlib.sha256(self.last + leaf).digest()
        return leaf, self.last

    def close(self) -> None:
        self.db.close()


class Pymerkle:
    """pymerkle's tree in SQLite, with a write-ahead log as ours has; the root is made after each batch."""

    title = "pymerkle, unsigned"

    def __init__(self, folder: Path) -> None:
        from pymerkle import SqliteTree  # type: ignore[import-not-found] # of the extra `bench`

        self.tree: Any = SqliteTree(str(folder / "pymerkle.db"))
        self.tree.con.execute("PRAGMA journal_mode = WAL")
        self.tree.con.execute("PRAGMA synchronous = FULL")

    def batches(self, batches: list[list[bytes]]) -> None:
        for batch in batches:
            self.tree.append_entries(batch)
            self.tree.get_root()

    def one(self, leaf: bytes) -> None:
        self.tree.append_entry(leaf)

    def each(self, batches: list[list[bytes]]) -> None:
        for leaf in itertools.chain(*batches):
            self.one(leaf)

    def root(self, size: int) -> bytes:
        return bytes(self.tree.get_root(size))

    def proofs(self, indices: list[int], size: int) -> list[int]:
        return [spent(lambda at=at: self.tree.prove_inclusion(at + 1, size)) for at in indices]

    def proof(self, index: int, size: int) -> list[bytes]:
        """Without the leaf's own hash, which pymerkle puts first."""
        return [bytes(each) for each in self.tree.prove_inclusion(index + 1, size).path][1:]

    def close(self) -> None:
        self.tree.close()


def entry(leaf: bytes, *, granted: bool = False) -> Entry:
    number = next(_ids)
    grant = GrantRow(key=f"{number:064x}", subject=f"{number % 1000:032x}", item="a/b", epoch=1, until=None)
    return Entry(
        id=f"{number:032x}",
        leaf=leaf,
        tenant="a",
        subject=f"{number % 1000:032x}",
        retention="five-years",
        grant=grant if granted else None,
    )


def entries(batches: Iterable[list[bytes]]) -> list[list[Entry]]:
    """The leaves as our log takes them."""
    return [[entry(leaf) for leaf in batch] for batch in batches]


def spent(call: Callable[[], object]) -> int:
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


def acknowledged(one: Callable[[bytes], None], producers: int, seconds: float) -> tuple[float, list[float]]:
    """How many a second, and how long each waited, in milliseconds: every producer waits for its record
    before it makes the next."""
    waits: list[float] = []
    stop = time.perf_counter() + seconds

    def produce() -> None:
        mine = []
        while time.perf_counter() < stop:
            leaf = os.urandom(LEAF_BYTES)
            mine.append(spent(lambda leaf=leaf: one(leaf)) / 1e6)
        waits.extend(mine)

    threads = [threading.Thread(target=produce) for _ in range(producers)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(waits) / (time.perf_counter() - start), sorted(waits)


def spread(values: list[float]) -> list[str]:
    """The least, the median and the most."""
    return [f"{value:,.0f}" for value in (min(values), statistics.median(values), max(values))]


def in_batches(folder: Path, *, rounds: int, count: int) -> dict[str, float]:
    """Records a second in batches, and one by one. The sides take turns in each round."""
    ours, chain = Ours(folder), Chain(folder)
    runs: dict[str, tuple[Callable[[Any], None], int]] = {
        OURS: (ours.batches, count),
        "hash chain@256": (chain.batches, count),
        "hash chain@1": (chain.each, 1),
    }
    sides: list[Any] = [ours, chain]
    if installed():
        peer = Pymerkle(folder)
        sides.append(peer)
        runs |= {"pymerkle@256": (peer.batches, count), "pymerkle@1": (peer.each, 1)}
        same_trees(ours, peer)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, batches) in runs.items():
            given: list[Any] = [leaves(BATCH) for _ in range(batches)]
            if name == OURS:  # every side starts from what it takes
                given = entries(given)
            found[name].append(BATCH * batches / (spent(lambda run=run, given=given: run(given)) / 1e9))
    for side in sides:
        side.close()
    head = ["side @ records in a commit", "least", "median", "most"]
    report.table("durable records/s", head, [[name, *spread(values)] for name, values in found.items()])
    return {name: statistics.median(values) for name, values in found.items()}


def same_trees(ours: Ours, peer: Pymerkle) -> None:
    """Ends the bench if the roots or the proofs of the same leaves differ."""
    given = [leaves(BATCH), leaves(77)]
    ours.batches(entries(given))
    peer.batches(given)
    size = BATCH + 77
    if any(ours.root(at) != peer.root(at) for at in range(1, size + 1, 13)):
        raise SystemExit("pymerkle has other roots for the same leaves")
    if any(ours.proof(at, size) != peer.proof(at, size) for at in range(size)):
        raise SystemExit("pymerkle has other proofs for the same leaves")
    print(f"{size} leaves: roots and proofs of pymerkle are those of ours")


def from_producers(folder: Path, *, rounds: int, seconds: float) -> dict[str, float]:
    """Acknowledged grants a second, ours, and records, the others."""
    sides: dict[str, Any] = {"carnet": Ours(folder), "hash chain": Chain(folder)}
    if installed():
        sides["pymerkle"] = Pymerkle(folder)
    found: dict[str, list[float]] = {}
    waits: dict[str, list[float]] = {}
    for _ in range(rounds):
        for producers in PRODUCERS:
            for name, side in sides.items():
                rate, waited = acknowledged(side.one, producers, seconds)
                found.setdefault(f"{name}@{producers}", []).append(rate)
                waits.setdefault(f"{name}@{producers}", []).extend(waited)
    for side in sides.values():
        side.close()
    rows = []
    for name in sorted(found, key=lambda name: (int(name.partition("@")[2]), name)):
        times = sorted(waits[name])
        rows.append(
            [name, *spread(found[name]), *(f"{times[int(len(times) * at)]:.1f}" for at in (0.5, 0.99))]
        )
    report.table(
        "acknowledged/s (ours with a grant each)",
        ["side @ producers", "least", "median", "most", "p50 ms", "p99 ms"],
        rows,
    )
    return {name: statistics.median(values) for name, values in found.items()}


def proved(folder: Path, *, size: int) -> dict[str, float]:
    """An inclusion proof in a log of `size` records, in microseconds, and the audit of all of it."""
    ours = Ours(folder)
    peer = Pymerkle(folder) if installed() else None
    for given in chunks(size):
        ours.batches(entries(given[at : at + BATCH] for at in range(0, len(given), BATCH)))
        if peer is not None:
            peer.tree.append_entries(given)
    draw = random.Random(2026)
    few, many = [draw.randrange(size) for _ in range(12)], [draw.randrange(size) for _ in range(2000)]
    found = {"carnet": statistics.median(ours.proofs(many, size)) / 1000}
    rows = [["carnet", len(many), f"{found['carnet']:,.1f}"]]
    if peer is not None:
        first = peer.proofs(few, size)
        found["pymerkle"] = statistics.median(first) / 1000
        rows.append(["pymerkle", len(first), f"{found['pymerkle']:,.1f}"])
        peer.close()
    report.table(f"an inclusion proof at {size:,} records, µs", ["side", "proofs", "p50"], rows)
    with ours.log.reading() as reading:
        start = time.perf_counter()
        if not audit(reading, reading.checkpoint(), ORIGIN, [SIGNER.verifier]).sound:
            raise SystemExit("the log is not sound")
        rate = size / (time.perf_counter() - start)
        about = checkpoint.opened(reading.checkpoint(), ORIGIN, [SIGNER.verifier]).checkpoint
    on_disk = sum(file.stat().st_size for file in folder.glob("log.db*")) / size
    print(f"  full audit of {about.size:,} records: {rate:,.0f} records/s; {on_disk:,.0f} bytes each on disk")
    ours.close()
    return {**found, "audit": rate}


def chunks(size: int) -> Iterator[list[bytes]]:
    step = 40 * BATCH
    for start in range(0, size, step):
        yield leaves(min(step, size - start))


def installed() -> bool:
    return find_spec("pymerkle") is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--data", type=Path, help="a directory on the disk that is measured")
    given = parser.parse_args()
    if not installed():
        print("pymerkle is not installed (`pip install pymerkle`): it is left out")
    parts = []
    for run in (
        lambda folder: in_batches(folder, rounds=3 if given.quick else 9, count=20 if given.quick else 60),
        lambda folder: from_producers(
            folder, rounds=1 if given.quick else 5, seconds=1.0 if given.quick else 3.0
        ),
        lambda folder: proved(folder, size=40_000 if given.quick else 400_000),
    ):
        with tempfile.TemporaryDirectory(dir=given.data) as folder:
            parts.append(run(Path(folder)))
    with tempfile.TemporaryDirectory(dir=given.data) as folder:
        p50, p99 = over_http.measured(
            Path(folder), rounds=1 if given.quick else 5, each=50 if given.quick else 200
        )
    records, acks, proofs = parts
    ratios = {f"{name} records": records[OURS] / value for name, value in records.items() if name != OURS}
    for name, value in acks.items():
        side, _, producers = name.partition("@")
        if side != "carnet":
            ratios[f"{name} producers"] = acks[f"carnet@{producers}"] / value
    if "pymerkle" in proofs:
        ratios["pymerkle proof"] = proofs["pymerkle"] / proofs["carnet"]
    for name, value in p50.items():
        kind, _, at_once = name.partition("@")
        if kind in over_http.BARE:
            ratios[f"{kind} p50 @{at_once}"] = value / p50[f"new subject@{at_once}"]
    figures = {
        "records_per_s": rounded(records),
        "acknowledged_per_s": rounded(acks),
        "proof_us": {name: round(value, 1) for name, value in proofs.items() if name != "audit"},
        "audit_records_per_s": round(proofs["audit"]),
        "http_p50_ms": {name: round(value, 1) for name, value in p50.items()},
        "http_p99_ms": {name: round(value, 1) for name, value in p99.items()},
    }
    report.last_line("ledger", ratios, figures)


def rounded(values: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in values.items()}


if __name__ == "__main__":
    main()
