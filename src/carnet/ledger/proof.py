"""The proof of one record as C2SP tlog-proof writes it: where it is, its inclusion proof and a signed
checkpoint. Nothing but the log's public key is needed to check it.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from carnet.ledger import checkpoint, note, tree
from carnet.ledger.checkpoint import Opened
from carnet.ledger.note import Verifier
from carnet.ledger.tree import HASH_BYTES, Storage
from carnet.model.errors import Absent, Malformed, Unverified
from carnet.model.plain import printable, short

FORMAT = "c2sp.org/tlog-proof@v1"
"""The first line: which form this is, and of which version."""

MOST_HASHES = 63
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Proof(Struct, frozen=True):
    """`index` of the record, `path` from its hash to the root, the signed checkpoint as bytes, and `extra`:
    Carnet puts the record itself there, so that the file is complete; nothing vouches for it but `verify`."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    @property
    def data(self) -> bytes:
        """The file `NAME.tlog-proof`."""
        lines = [FORMAT]
        if self.extra is not None:
            lines.append(f"extra {note.encoded(self.extra)}")
        lines += [f"index {self.index}", *map(note.encoded, self.path), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


def made(storage: Storage, index: int, signed: bytes, *, with_record: bool = True) -> Proof:
    """The proof of a record under a signed checkpoint of its log; the checkpoint is passed on unverified.

    Raises `Absent` if the checkpoint does not cover it, `Damaged` if what it takes is not stored.
    """
    size = checkpoint.parsed(note.parsed(signed).text).size
    path = tree.inclusion_proof(storage, index, size)
    if not with_record:
        return Proof(index, path, signed)
    (record,) = storage.leaves(index, index + 1)
    if record is None:
        raise Absent(f"record `{index}` is not stored any more: ask for the proof without it")
    return Proof(index, path, signed, record)


def parsed(data: bytes) -> Proof:
    """A proof from its bytes, with nothing verified. Raises `Malformed`, also for an unknown version."""
    head, split, signed = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("the proof has signs that are none of its form: fetch it again as bytes") from None
    if first != FORMAT:
        raise Malformed(
            f"`{short(printable(first))}` is no proof that this version reads: it begins `{FORMAT}`"
        )
    if not split:
        raise Malformed("the proof has no checkpoint: it follows an empty line")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = note.decoded(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index ") or not _NUMBER.fullmatch(lines[0][6:]):
        raise Malformed(
            "the proof says no `index`: that line follows the first, in digits with no zero before it"
        )
    path = tuple(note.decoded(line) for line in lines[1:])
    if len(path) > MOST_HASHES or any(len(each) != HASH_BYTES for each in path):
        raise Malformed(
            f"the proof has a line that is no hash, or over {MOST_HASHES} of them: fetch it again"
        )
    note.parsed(signed)
    return Proof(int(lines[0][6:]), path, signed, extra)


def verify(
    proof: Proof,
    origin: str,
    log: Sequence[Verifier],
    witnesses: Iterable[Verifier] = (),
    *,
    record: bytes | None = None,
) -> Opened:
    """Check that the log `origin` has this record at this index; gives the checkpoint that says so.

    `record` is the record in question; without it, the one that the proof carries. Raises `Unverified`, or
    `Malformed` if the checkpoint is none.
    """
    found = record if record is not None else proof.extra
    if found is None:
        raise Unverified("the proof does not carry its record: give the record too")
    about = checkpoint.opened(proof.checkpoint, origin, log, witnesses)
    at = about.checkpoint
    tree.verify_inclusion(tree.leaf_hash(found), proof.index, at.size, proof.path, at.root)
    return about
