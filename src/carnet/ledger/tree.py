"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1) with stored nodes: hashes, growth, roots and
proofs. Who stores the nodes and who signs the root is not here.

A node is named by (level, index): level 0 are the leaf hashes, and the node (level, index) is the root over
the leaves `index << level` up to `(index + 1) << level`. Only nodes of complete subtrees have a name and are
stored; they never change. All hashes are 32 bytes, SHA-256.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from carnet.model.errors import Absent, Damaged, Unverified

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root over no leaves (RFC 9162 section 2.1.1)."""

Place = tuple[int, int]
"""(level, index) of a node."""

_sha256 = hashlib.sha256


class Nodes(Protocol):
    """What a root or a proof is made from."""

    def nodes(self, places: Sequence[Place]) -> Sequence[bytes | None]:
        """The nodes at these places, in their order; None where nothing is stored."""


class Storage(Nodes, Protocol):
    """What a log is kept in. `write` is one transaction, or part of one: all of it or nothing."""

    def row(self, level: int, start: int, stop: int) -> Sequence[bytes | None]:
        """The nodes (level, start) up to (level, stop), exclusive; None where nothing is stored."""

    def completed(self, start: int, stop: int) -> bytes:
        """The nodes that the leaves from `start` up to `stop` complete, in their sequence
        (`carnet.ledger.sequence`), joined; fewer bytes if one is not stored."""

    def leaves(self, start: int, stop: int) -> Sequence[bytes | None]:
        """The leaves `start` up to `stop`, exclusive; None where nothing is stored."""

    def write(self, first: int, leaves: Sequence[bytes], complete: Sequence[bytes]) -> None:
        """Store `leaves` as those from index `first` on, and the nodes that they complete, in their
        sequence."""


class Tree(Struct, frozen=True):
    """A tree without its inside: how many leaves, and the roots of the complete subtrees that it is made of,
    the largest first (one for each bit of `size`). It is all that growing needs."""

    size: int = 0
    edge: tuple[bytes, ...] = ()

    @property
    def root(self) -> bytes:
        """The Merkle tree hash (RFC 9162 section 2.1.1)."""
        return _folded(self.edge) if self.edge else EMPTY_ROOT


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes, with the prefix that tells leaves from nodes."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return _sha256(b"\x01" + left + right).digest()


def grown(tree: Tree, hashes: Iterable[bytes]) -> tuple[Tree, list[bytes]]:
    """The tree with these leaf hashes after its own, and every node that is complete now and was not before,
    in their sequence (`carnet.ledger.sequence`)."""
    edge, complete, size = list(tree.edge), list[bytes](), tree.size
    for hash_ in hashes:
        complete.append(hash_)
        at, size = size, size + 1
        while at & 1:
            hash_ = _sha256(b"\x01" + edge.pop() + hash_).digest()  # noqa: PLW2901 -- upwards, to the largest that ends here
            complete.append(hash_)
            at >>= 1
        edge.append(hash_)
    return Tree(size, tuple(edge)), complete


def append(storage: Storage, tree: Tree, leaves: Sequence[bytes]) -> Tree:
    """Store a batch after the leaves of `tree`, with the nodes that it completes; gives the tree with
    both."""
    after, complete = grown(tree, map(leaf_hash, leaves))
    if leaves:
        storage.write(tree.size, leaves, complete)
    return after


def tree_at(nodes: Nodes, size: int) -> Tree:
    """The tree of the first `size` leaves, from stored nodes; one read.

    Raises `Damaged` if a node is missing. That the nodes are the right ones is not checked here.
    """
    if size < 0:
        raise Absent(f"`{size}` is no size of a log: give 0 or more")
    return Tree(size, tuple(_read(nodes, list(_cover(0, size)))))


def inclusion_proof(nodes: Nodes, index: int, size: int) -> tuple[bytes, ...]:
    """PATH(index, D[size]) of RFC 9162 section 2.1.3.1: what leads from the leaf hash to the root over the
    first `size` leaves, the leaf's neighbour first. One read of at most two nodes per level.

    Raises `Absent` if the tree has no such leaf, `Damaged` if a node is missing.
    """
    if not 0 <= index < size:
        raise Absent(f"record `{index}` is not in a log of {size} records: give an index below {size}")
    start, stop = 0, size
    ranges: list[Place] = []
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return _roots(nodes, ranges[::-1])


def consistency_proof(nodes: Nodes, first: int, second: int) -> tuple[bytes, ...]:
    """PROOF(first, D[second]) of RFC 9162 section 2.1.4.1: that the tree of `second` leaves begins with
    the tree of `first`. Empty if one of them is empty or both are the same. One read.

    Raises `Absent` if `first` is more than `second`, `Damaged` if a node is missing.
    """
    if not 0 <= first <= second:
        raise Absent(
            f"a log of {second} records has no size `{first}` before it: give the smaller size first"
        )
    if first in {0, second}:
        return ()
    start, stop = 0, second
    ranges: list[Place] = []
    while stop != first:
        middle = start + _split(stop - start)
        if first <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, stop))
    return _roots(nodes, ranges[::-1])


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with hash `leaf` is number `index` of the `size` leaves under `root`, by the
    steps of RFC 9162 section 2.1.3.2. Raises `Unverified` if the proof does not show it."""
    if not 0 <= index < size:
        raise Unverified(f"record `{index}` is not in a log of {size} records: ask for an index below {size}")
    _whole((leaf, root, *path))
    fn, sn, found = index, size - 1, leaf
    for step in path:
        if sn == 0:
            raise Unverified(f"the proof of record `{index}` has {len(path)} hashes, too many: {_AGAIN}")
        if fn & 1 or fn == sn:
            found = node_hash(step, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node_hash(found, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise Unverified(f"the proof of record `{index}` has {len(path)} hashes, too few: {_AGAIN}")
    if found != root:
        raise Unverified(
            f"the proof of record `{index}` leads to another root: "
            "the record, its index, the size or the proof is not the log's"
        )


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the log of `second` leaves begins with the log of `first`, by the steps of RFC 9162
    section 2.1.4.2. Raises `Unverified` if the proof does not show it.

    The RFC leaves two cases open, and C2SP tlog-witness decides them: the proof from an empty log and the
    proof between equal sizes are empty. Then the first root has to be the empty one, or both roots the
    same.
    """
    if not 0 <= first <= second:
        raise Unverified(f"a log of {second} records does not begin with one of `{first}`: it shrank")
    _whole((first_root, second_root, *path))
    if first == 0 and first_root != EMPTY_ROOT:
        raise Unverified(
            "the root of the empty log is not the one of RFC 9162 2.1.1: the checkpoint is wrong"
        )
    if first in {0, second}:
        if path:
            raise Unverified(f"the proof from `{first}` to `{second}` has to be empty: {_AGAIN}")
        if first == second and first_root != second_root:
            raise Unverified(f"two roots at size `{first}`: the log was forked, keep both checkpoints")
        return
    steps = list(path) if first & (first - 1) else [first_root, *path]
    if not path:
        raise Unverified(f"the proof from `{first}` to `{second}` is empty: {_AGAIN}")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    found_first = found_second = steps[0]
    for step in steps[1:]:
        if sn == 0:
            raise Unverified(f"the proof from `{first}` to `{second}` has too many hashes: {_AGAIN}")
        if fn & 1 or fn == sn:
            found_first, found_second = node_hash(step, found_first), node_hash(step, found_second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found_second = node_hash(found_second, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise Unverified(f"the proof from `{first}` to `{second}` has too few hashes: {_AGAIN}")
    if found_first != first_root or found_second != second_root:
        raise Unverified(
            f"the log of `{second}` records is not shown to begin with that of `{first}`: "
            "it was forked or changed, or the proof is another's; keep both checkpoints"
        )


_AGAIN = "get it again for this size"


def _whole(hashes: Iterable[bytes]) -> None:
    for each in hashes:
        if len(each) != HASH_BYTES:
            raise Unverified(f"a hash of the proof has {len(each)} bytes, not {HASH_BYTES}: {_AGAIN}")


def _split(size: int) -> int:
    """The largest power of two below `size`, which is 2 or more."""
    return 1 << ((size - 1).bit_length() - 1)


def _levels(size: int) -> list[int]:
    """The levels of the complete subtrees that a tree of this size is made of, the largest first."""
    return [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]


def _cover(start: int, stop: int) -> Iterator[Place]:
    """The complete subtrees that a subtree is made of, the largest first. `start` is where a tree is
    split, so the largest of them begins there."""
    while start < stop:
        level = (stop - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _folded(roots: Sequence[bytes]) -> bytes:
    """The root over neighbouring complete subtrees, the largest first."""
    found = roots[-1]
    for left in roots[-2::-1]:
        found = node_hash(left, found)
    return found


def _roots(nodes: Nodes, ranges: Sequence[Place]) -> tuple[bytes, ...]:
    """The roots over ranges of leaves, in one read."""
    covers = [list(_cover(start, stop)) for start, stop in ranges]
    found = iter(_read(nodes, [place for cover in covers for place in cover]))
    return tuple(_folded([next(found) for _ in cover]) for cover in covers)


def _read(nodes: Nodes, places: Sequence[Place]) -> list[bytes]:
    found = []
    for (level, index), node in zip(places, nodes.nodes(places), strict=True):
        if node is None or len(node) != HASH_BYTES:
            raise Damaged(f"node `{level}/{index}` is not stored: run an audit, then restore from a backup")
        found.append(node)
    return found
