"""The audit: every stored record is hashed again, every stored node compared, and the root with the
checkpoint and with one that was kept from before. Nothing is repaired here, and nothing stops at the
first problem.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal

from msgspec import Struct

from carnet.ledger import checkpoint, note, tiles, tree
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Verifier
from carnet.ledger.tree import Storage, leaf_hash, node_hash
from carnet.model.errors import LedgerError

Kind = Literal[
    "checkpoint",
    "record_missing",
    "record_changed",
    "record_too_large",
    "node_missing",
    "node_changed",
    "root",
    "unsigned_record",
    "older_checkpoint",
    "rolled_back",
    "forked",
    "proof",
]
"""What a finding is about; stable, for programs."""

_CHUNK = 4096


class Finding(Struct, frozen=True):
    """One problem: `index` is the record, or the node's number in its `level`, if it is about one; `count` is
    how many neighbours from there on have it."""

    kind: Kind
    message: str
    index: int | None = None
    level: int | None = None
    count: int = 1


class Report(Struct, frozen=True):
    """What an audit found. `size` records were to be there, and the stored nodes have this `root` (None
    if the checkpoint can't be read, or nodes that it takes are missing)."""

    size: int
    root: bytes | None
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def audit(
    storage: Storage,
    signed: bytes,
    origin: str,
    log: Sequence[Verifier],
    witnesses: Iterable[Verifier] = (),
    *,
    older: bytes | None = None,
    records: Iterable[int] = (),
) -> Report:
    """Audit a log against its signed checkpoint.

    `older` is a signed checkpoint that was kept elsewhere: the log has to begin with it; without one, a
    log put back to an old state passes. Of `records`, by index, the inclusion proofs are made and
    verified too.

    Every node is compared with its two children as stored, every record with its stored hash: so a
    finding says where the damage is, and no finding means that the records are those under the signed
    root.
    """
    witnesses = tuple(witnesses)
    findings: list[Finding] = []
    about = _checkpoint(signed, origin, log, witnesses, "checkpoint", findings)
    if about is None:
        return Report(0, None, tuple(findings))
    last = about.size - 1
    if findings and about.size and storage.leaves(last, last + 1)[0] is None:
        # nobody vouches for the size, and a forged one may be endless
        return Report(about.size, None, tuple(findings))
    findings += _leaves(storage, about.size)
    for level in range(1, about.size.bit_length()):
        findings += _level(storage, level, about.size >> level)
    root = _root(storage, about, findings)
    if older is not None:
        before = _checkpoint(older, origin, log, witnesses, "older_checkpoint", findings)
        if before is not None:
            findings += _compared(storage, before, about)
    for index in records:
        findings += _proved(storage, index, about)
    return Report(about.size, root, tuple(findings))


def _checkpoint(
    data: bytes,
    origin: str,
    log: Sequence[Verifier],
    witnesses: Sequence[Verifier],
    kind: Literal["checkpoint", "older_checkpoint"],
    findings: list[Finding],
) -> Checkpoint | None:
    """The checkpoint, even if its signatures are wrong: the rest can be looked at all the same."""
    try:
        return checkpoint.opened(data, origin, log, witnesses).checkpoint
    except LedgerError as error:
        findings.append(Finding(kind, str(error)))
    try:
        return checkpoint.parsed(note.parsed(data).text)
    except LedgerError:
        return None


def _leaves(storage: Storage, size: int) -> Iterator[Finding]:
    for start in range(0, size, _CHUNK):
        stop = min(start + _CHUNK, size)
        leaves, stored = storage.leaves(start, stop), storage.row(0, start, stop)
        hashes = [None if leaf is None else leaf_hash(leaf) for leaf in leaves]
        for first, count in _gaps(leaves, start):
            yield Finding(
                "record_missing",
                f"{_named('record', first, count)} not stored: restore from a backup",
                first,
                count=count,
            )
        yield from _missing(0, stored, start)
        for index, (leaf, mine, kept) in enumerate(zip(leaves, hashes, stored, strict=True), start):
            if leaf is not None and len(leaf) > tiles.LARGEST_ENTRY:
                text = (
                    f"record `{index}` has {len(leaf)} bytes and fits no entry bundle: find out who wrote it"
                )
                yield Finding("record_too_large", text, index)
            if mine != kept and mine is not None and kept is not None:
                text = f"record `{index}` is not what was hashed: compare it with a backup"
                yield Finding("record_changed", text, index)
    if storage.leaves(size, size + 1)[0] is not None:
        text = f"record `{size}` is stored and the checkpoint does not cover it: get the one that does"
        yield Finding("unsigned_record", text, size)


def _level(storage: Storage, level: int, count: int) -> Iterator[Finding]:
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        below, stored = storage.row(level - 1, 2 * start, 2 * stop), storage.row(level, start, stop)
        yield from _missing(level, stored, start)
        for index, (left, right, kept) in enumerate(zip(below[::2], below[1::2], stored, strict=True), start):
            if left is None or right is None or kept is None:
                continue
            if node_hash(left, right) != kept:
                text = f"node `{level}/{index}` is not the hash of the two below it: one of them was changed"
                yield Finding("node_changed", text, index, level)


def _missing(level: int, stored: Sequence[bytes | None], start: int) -> Iterator[Finding]:
    for first, count in _gaps(stored, start):
        text = f"{_named('node', f'{level}/{first}', count)} not stored: hash again from the records"
        yield Finding("node_missing", text, first, level, count)


def _gaps(found: Sequence[bytes | None], start: int) -> Iterator[tuple[int, int]]:
    """Where something is missing: the first index and how many, for each run of neighbours."""
    if None not in found:
        return
    at = start
    for gone, run in groupby(found, lambda each: each is None):
        count = len(list(run))
        if gone:
            yield at, count
        at += count


def _named(what: str, first: int | str, count: int) -> str:
    return f"{what} `{first}` is" if count == 1 else f"{count} {what}s from `{first}` on are"


def _root(storage: Storage, about: Checkpoint, findings: list[Finding]) -> bytes | None:
    try:
        root = tree.tree_at(storage, about.size).root
    except LedgerError:
        return None  # the missing node has its own finding
    if root != about.root:
        findings.append(
            Finding(
                "root",
                f"the {about.size} records have another root than the checkpoint: they are not those signed",
            )
        )
    return root


def _compared(storage: Storage, before: Checkpoint, about: Checkpoint) -> Iterator[Finding]:
    if before.origin != about.origin:
        return  # it has its own finding
    if before.size > about.size:
        text = f"the log has {about.size} records and had {before.size}: restore those that came after"
        yield Finding("rolled_back", text)
        return
    try:
        path = tree.consistency_proof(storage, before.size, about.size)
        tree.verify_consistency(before.size, about.size, before.root, about.root, path)
    except LedgerError as error:
        yield Finding("forked", str(error))


def _proved(storage: Storage, index: int, about: Checkpoint) -> Iterator[Finding]:
    try:
        path = tree.inclusion_proof(storage, index, about.size)
        (leaf,) = storage.leaves(index, index + 1)
        if leaf is not None:  # else it has its own finding
            tree.verify_inclusion(leaf_hash(leaf), index, about.size, path, about.root)
    except LedgerError as error:
        yield Finding("proof", str(error), index)
