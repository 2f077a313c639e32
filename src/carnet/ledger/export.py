"""An exported range of a log: its form, reading it, and checking it against a signed checkpoint, with nothing
but the file and a public key. Who makes it, what a record says, and whether it would be decided alike again
is not here.

The file is a ZIP (`carnet.ledger.archive`). The records of the range are in it without a gap, with those
nodes of the tree beside the range from which, with them, the root is computed: so every record is proved at
its place, and none of the range is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from carnet.ledger import checkpoint, proof, sequence, tiles, tree
from carnet.ledger.archive import Archive, shown
from carnet.ledger.checkpoint import MOST_SIZE, Opened
from carnet.ledger.note import Verifier
from carnet.ledger.proof import Proof
from carnet.ledger.tree import HASH_BYTES, Place, Tree, leaf_hash, node_hash
from carnet.model.errors import Absent, LedgerError, Malformed, Unverified

FORMAT = 1

MANIFEST, KEYS, CHECKPOINT, NODES = "export.json", "keys.json", "checkpoint", "nodes"
"""The members that every export has, beside its leaves."""

LEAVES, PRIVATE = "leaves/", "private/"
LAWS, POLICIES, BUILDS = "laws/", "policies/", "builds/"
"""What the other members' names begin with; the last four are there only with the private parts."""

CHUNK = 256
"""Records in one member; a member ends where a number is a multiple of it."""

_LENGTH_BYTES = 4
_DIGITS = 12

Index = Annotated[int, Meta(ge=0, le=MOST_SIZE)]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records there are: from `first` up to `stop`, exclusive, of the log `origin` at `size` records;
    and whether what is private is there too."""

    format: Literal[1] = 1
    origin: str
    first: Index
    stop: Index
    size: Index
    private: bool


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public keys of the log as it names them itself, and the statements of their rotations, the oldest
    first. Nothing here is to be trusted without a key that one has from elsewhere."""

    format: Literal[1] = 1
    log: tuple[str, ...]
    statements: tuple[str, ...] = ()


class _Format(Struct, frozen=True):
    format: int


_FORMAT = msgspec.json.Decoder(_Format)
P = TypeVar("P", Manifest, Keys)


class RangeNodes:
    """The nodes of a log that a range of leaves and the nodes beside it make: a `Nodes`, enough for the root
    and for the proof of every record of the range."""

    def __init__(self, first: int, hashes: Sequence[bytes], size: int, beside: Mapping[Place, bytes]) -> None:
        before = Tree(first, tuple(beside[place] for place in places(0, first)))
        _, self._complete = tree.grown(before, hashes)
        self._first, self._stop, self._size = first, first + len(hashes), size
        self._made: dict[Place, bytes | None] = dict(beside)

    def nodes(self, places: Sequence[Place]) -> Sequence[bytes | None]:
        return [self._node(level, index) for level, index in places]

    def _node(self, level: int, index: int) -> bytes | None:
        if (index + 1) << level > self._size:
            return None
        at = sequence.place(level, index) - sequence.count(self._first)
        if 0 <= at < len(self._complete):
            return self._complete[at]
        if (level, index) not in self._made:
            found = None
            if level and index << level < self._stop and (index + 1) << level > self._first:
                left, right = self._node(level - 1, 2 * index), self._node(level - 1, 2 * index + 1)
                found = None if left is None or right is None else node_hash(left, right)
            self._made[level, index] = found
        return self._made[level, index]


class Export:
    """An exported range, read but not verified."""

    def __init__(self, archive: Archive) -> None:
        """Raises `Malformed` for what is no export, for an unknown format, and for members that no export
        has."""
        self.archive = archive
        self.manifest = _decoded(archive.read(MANIFEST), Manifest, MANIFEST)
        self.keys = _decoded(archive.read(KEYS), Keys, KEYS)
        self.checkpoint = archive.read(CHECKPOINT)
        about = self.manifest
        if not about.first < about.stop <= about.size:
            raise Malformed(
                f"`{about.first}` to `{about.stop}` is no range of a log of `{about.size}` records"
            )
        if (about.stop - about.first) // CHUNK > len(archive.members):
            raise Malformed("the export has fewer records than it says: it was cut, fetch it again")
        expected = {MANIFEST, KEYS, CHECKPOINT, NODES, *map(leaves_name, self._firsts())}
        if about.private:
            expected.update(map(private_name, self._firsts()))
        law = (LAWS, POLICIES, BUILDS) if about.private else ()
        for name in expected - archive.members.keys():
            raise Malformed(f"the export has no `{name}`: it was cut, fetch it again")
        for name in archive.members.keys() - expected:
            if not name.startswith(law):
                raise Malformed(f"`{shown(name)}` is no part of an export: it was not written by Carnet")
        self._nodes: RangeNodes | None = None

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """The records of the range, each with its index. Raises `Malformed` if they are not as many as the
        range has."""
        for first in self._firsts():
            found = tiles.records(self.archive.read(leaves_name(first)), self._stop(first) - first)
            yield from enumerate(found, first)

    def private(self) -> Iterator[bytes | None]:
        """For each record of the range its private part; None where there is none, or it is left out."""
        for first in self._firsts():
            count = self._stop(first) - first
            if not self.manifest.private:
                yield from [None] * count
                continue
            yield from _parts(self.archive.read(private_name(first)), count)

    def nodes(self) -> RangeNodes:
        """The tree, as far as the export has it. Nothing is verified."""
        if self._nodes is None:
            about = self.manifest
            around = outside(about.first, about.stop, about.size)
            data = self.archive.read(NODES)
            beside = tiles.hashes(data, len(around)) if len(data) == len(around) * HASH_BYTES else None
            if beside is None:
                raise Malformed("the export has other nodes than its range needs: export it again")
            hashes = [leaf_hash(leaf) for _, leaf in self.leaves()]
            self._nodes = RangeNodes(about.first, hashes, about.size, dict(zip(around, beside, strict=True)))
        return self._nodes

    def verify(self, origin: str, log: Sequence[Verifier], witnesses: Sequence[Verifier] = ()) -> Opened:
        """Check that these are the records of the log `origin`, each at its place; gives the checkpoint that
        says so. Raises `Unverified`, or `Malformed` as `checkpoint.opened`."""
        about = checkpoint.opened(self.checkpoint, origin, log, witnesses)
        at = about.checkpoint
        if (self.manifest.origin, self.manifest.size) != (at.origin, at.size):
            raise Unverified("the export says another log or size than its checkpoint: trust none of it")
        try:
            root = tree.tree_at(self.nodes(), at.size).root
        except LedgerError as error:
            raise Unverified(f"the records can't be proved, {error}") from None
        if root != at.root:
            raise Unverified(
                "the records lead to another root than the one that was signed: they, or the nodes beside "
                "them, were changed, trust none of them"
            )
        return about

    def root_at(self, size: int) -> bytes:
        """The root that the log had at an earlier size, which has to lie within the range, its ends included.

        Verify the export first. Raises `Absent` for a size that its nodes do not tell.
        """
        about = self.manifest
        if not about.first <= size <= about.stop:
            raise Absent(
                f"the export has records `{about.first}` to `{about.stop - 1}` and does not tell how the log "
                f"was at `{size}`: ask for one from record `{size}` on"
            )
        return tree.tree_at(self.nodes(), size).root

    def proof(self, index: int) -> Proof:
        """The proof of one record of the range, with the record. Raises `Absent` if it is not in it."""
        about = self.manifest
        if not about.first <= index < about.stop:
            raise Absent(
                f"record `{index}` is not in the export: it has `{about.first}` to `{about.stop - 1}`"
            )
        path = tree.inclusion_proof(self.nodes(), index, about.size)
        first = max(index // CHUNK * CHUNK, about.first)
        found = tiles.records(self.archive.read(leaves_name(first)), self._stop(first) - first)
        return proof.Proof(index, path, self.checkpoint, found[index - first])

    def _firsts(self) -> Iterator[int]:
        return chunks(self.manifest.first, self.manifest.stop)

    def _stop(self, first: int) -> int:
        return min((first // CHUNK + 1) * CHUNK, self.manifest.stop)


def chunks(first: int, stop: int) -> Iterator[int]:
    """Where each member of a range begins."""
    at = first
    while at < stop:
        yield at
        at = (at // CHUNK + 1) * CHUNK


def leaves_name(first: int) -> str:
    """The member with the leaves from this one on."""
    return f"{LEAVES}{first:0{_DIGITS}d}"


def private_name(first: int) -> str:
    """The member with the private parts from this record's on."""
    return f"{PRIVATE}{first:0{_DIGITS}d}"


def private_member(parts: Sequence[bytes | None]) -> bytes:
    """Private parts, each with its length before it; a length of zero where there is none."""
    found = [part or b"" for part in parts]
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in found)


def written(part: Manifest | Keys) -> bytes:
    """A part as it is stored: JSON with sorted keys and no space."""
    return msgspec.json.encode(part, order="sorted")


def outside(first: int, stop: int, size: int) -> list[Place]:
    """The complete subtrees beside a range, from which, with it, the root comes."""
    return [*places(0, first), *places(stop, size)]


def places(start: int, stop: int) -> Iterator[Place]:
    """The largest complete subtrees that a range is made of, in order."""
    at = start
    while at < stop:
        level = (stop - at).bit_length() - 1
        if at:
            level = min(level, (at & -at).bit_length() - 1)
        yield level, at >> level
        at += 1 << level


def _parts(data: bytes, count: int) -> Iterator[bytes | None]:
    at = 0
    for _ in range(count):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise Malformed("the private parts end inside one of them: the export was cut, fetch it again")
        yield data[start:at] or None
    if at != len(data):
        raise Malformed(f"there are more private parts than `{count}` records: export it again")


def _decoded(data: bytes, kind: type[P], name: str) -> P:
    """A part from its bytes, which have to be its own canonical form. Raises `Malformed`."""
    try:
        number = _FORMAT.decode(data).format
        if number != FORMAT:
            raise Malformed(
                f"`{name}` has format `{number}`, and `{FORMAT}` is known here: read it with a newer Carnet"
            )
        found = msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError):  # of msgspec, or of a text that is not UTF-8
        raise Malformed(f"`{name}` can't be read: it was not written by Carnet, export it again") from None
    if msgspec.json.encode(found, order="sorted") != data:
        raise Malformed(f"`{name}` is not in its canonical form: it was not written by Carnet")
    return found
