"""What a witness is asked and how it decides, as C2SP tlog-witness says: the request `add-checkpoint`, which
cosignature or which refusal it gets, and how a log reads the answer. Its memory, sockets and clock are
elsewhere; how many witnesses are enough is in `carnet.ledger.quorum`.

The text followed is tlog-witness v1.0.0 with what its editors made clear since (C2SP pull requests 273 and
280, July 2026): another root at the same size is 422 and no longer 409, a wrong signature of a known key is
403, the root at size 0 has to be the empty one, a cosignature has a time. `sign-subtree`, optional, is left
out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from msgspec import Struct

from carnet.ledger import checkpoint, note, tree
from carnet.ledger.checkpoint import MOST_SIZE, Ed25519Cosigner, MLDSA44Cosigner
from carnet.ledger.note import Note, Signature, Signer, Verifier, VerifierKey
from carnet.ledger.proof import MOST_HASHES
from carnet.ledger.tree import EMPTY_ROOT, HASH_BYTES
from carnet.model.errors import Malformed, Unverified
from carnet.model.plain import printable, short

MOST_BYTES = 131_072
"""The longest request that is read: 63 hashes, and a note with room for 30 signatures of ML-DSA-44."""

SIZE_TYPE = "text/x.tlog.size"
"""The content type of the answer 409, whose body is the size that the witness remembers."""

TIMED = (0x04, 0x06)
"""The signature types that say when: only they are cosignatures."""

Kind = Literal["malformed", "unknown_log", "unsigned", "stale", "inconsistent"]

STATUS: Mapping[Kind, int] = {
    "malformed": 400,
    "unknown_log": 404,
    "unsigned": 403,
    "stale": 409,
    "inconsistent": 422,
}
"""The HTTP status of each refusal."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


class Request(Struct, frozen=True):
    """`add-checkpoint`: the size that the witness is thought to remember, the consistency proof from there
    (hashes of 32 bytes), and the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def data(self) -> bytes:
        """The body that is posted."""
        lines = (f"old {self.old}", *map(note.encoded, self.proof), "", "")
        return "\n".join(lines).encode() + self.note


class Refused(Struct, frozen=True):
    """Why there is no cosignature. `size` is what the witness remembers, if the request is `stale`."""

    kind: Kind
    message: str
    size: int = 0

    @property
    def status(self) -> int:
        return STATUS[self.kind]


class Admitted(Struct, frozen=True):
    """A request of a known log, signed by it; nothing is known yet of its proof. `note` has the signatures of
    known keys only."""

    origin: str
    size: int
    root: bytes
    old: int
    proof: tuple[bytes, ...]
    note: Note


class Remembered(Struct, frozen=True):
    """The last checkpoint that a witness cosigned for an origin, and the note as it was then."""

    origin: str
    size: int
    root: bytes
    note: bytes


class Cosigner(Protocol):
    """A key that cosigns: in memory, or an adapter to where it is kept."""

    @property
    def name(self) -> str: ...

    @property
    def verifier(self) -> VerifierKey: ...

    def at(self, seconds: int) -> Signer:
        """The signer at this time, in seconds since 1970."""


class WitnessKey(Struct, frozen=True):
    """A `Cosigner` with a key in memory: of type 0x04 (Ed25519) or 0x06 (ML-DSA-44, which C2SP recommends for
    what is new)."""

    name: str
    private: Ed25519PrivateKey | MLDSA44PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        return self._cosigner(1).verifier

    def at(self, seconds: int) -> Signer:
        return self._cosigner(seconds)

    def _cosigner(self, seconds: int) -> Ed25519Cosigner | MLDSA44Cosigner:
        if isinstance(self.private, Ed25519PrivateKey):
            return Ed25519Cosigner(self.name, self.private, seconds)
        return MLDSA44Cosigner(self.name, self.private, seconds)


def parsed(body: bytes) -> Request:
    """A request from its bytes, nothing verified; the note in it is not looked at. Raises `Malformed`."""
    if len(body) > MOST_BYTES:
        raise Malformed(f"a request of {len(body)} bytes is over {MOST_BYTES}: leave out other signatures")
    head, split, signed = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("the request has signs before its checkpoint that are none of its form") from None
    old = _OLD.fullmatch(first)
    if old is None or int(old[1]) > MOST_SIZE:
        raise Malformed(
            f"`{short(printable(first))}` is no old size: write `old` and digits with no zero before"
        )
    if not split:
        raise Malformed("the request has no checkpoint: it follows an empty line")
    if len(lines) > MOST_HASHES:
        raise Malformed(f"the proof has {len(lines)} hashes, over {MOST_HASHES}: no log needs so many")
    proof = tuple(note.decoded(line) for line in lines)
    for each in proof:
        if len(each) != HASH_BYTES:
            raise Malformed(f"a line of the proof has {len(each)} bytes, not {HASH_BYTES}: write one hash")
    return Request(int(old[1]), proof, signed)


def admitted(body: bytes, logs: Mapping[str, Sequence[Verifier]]) -> Admitted | Refused:
    """All that can be said of a request without a memory: `logs` are the known keys of each origin."""
    try:
        request = parsed(body)
        text = note.parsed(request.note).text
        origin, size, root = _head(text)
    except Malformed as error:
        return Refused("malformed", str(error))
    keys = logs.get(origin, ())
    if not keys:
        return Refused("unknown_log", f"the log `{short(printable(origin))}` is not known to this witness")
    try:
        found = note.verified(request.note, keys)
    except Unverified as error:
        return Refused("unsigned", str(error))
    if request.old > size:
        return Refused("malformed", f"the old size `{request.old}` is over the checkpoint's, `{size}`")
    return Admitted(origin, size, root, request.old, request.proof, Note(text, found.signatures))


def decided(remembered: Remembered | None, request: Admitted) -> Refused | None:
    """Why a witness that remembers this of the origin refuses; None if it has to cosign, and to remember the
    new checkpoint in the same step."""
    size = 0 if remembered is None else remembered.size
    if request.old != size:
        message = f"the checkpoint cosigned last has {size} records: prove from there"
        return Refused("stale", message, size)
    root = EMPTY_ROOT if remembered is None else remembered.root
    try:
        tree.verify_consistency(size, request.size, root, request.root, request.proof)
    except Unverified as error:
        return Refused("inconsistent", str(error))
    return None


def cosigned(request: Admitted, keys: Sequence[Cosigner], seconds: int) -> tuple[Note, tuple[Signature, ...]]:
    """The checkpoint with the log's signatures and the witness's, and the latter alone; ask `decided` first.

    Raises `Malformed` if the time is none: a cosignature of 0 says nothing.
    """
    if seconds <= 0:
        raise Malformed(f"`{seconds}` is no time of a cosignature: set the clock")
    text = request.note.text
    made = note.signed(text, [key.at(seconds) for key in keys]).signatures
    return note.joined(request.note, made), made


def lines(signatures: Sequence[Signature]) -> bytes:
    """Signature lines, as the answer 200 has them."""
    return "".join(each.line for each in signatures).encode()


def cosignatures(body: bytes, text: str, keys: Sequence[VerifierKey]) -> tuple[Signature, ...]:
    """The signatures of these keys on a checkpoint's text, from the answer 200; those of others are left out.

    Raises `Malformed`, or `Unverified` if one of them is wrong or says no time, or if there is none.
    """
    try:
        written = body.decode()
    except UnicodeDecodeError:
        raise Malformed("the answer is not UTF-8: it is not one of a witness") from None
    if not written.endswith("\n") or written.count("\n") > note.MOST_SIGNATURES:
        raise Malformed("the answer has no signature lines, or too many: it is not one of a witness")
    found = tuple(note.signature_line(line) for line in written[:-1].split("\n"))
    right = note.verified(Note(text, found).data, keys).signatures
    timed = {(key.name, key.key_id) for key in keys if key.scheme.number in TIMED}
    for each in right:
        if (each.name, each.key_id) not in timed or not any(each.signature[:8]):
            raise Unverified(f"the signature of `{each.name}` says no time: it is no cosignature")
    return right


def size_of(body: bytes) -> int:
    """The size in the answer 409. Raises `Malformed`."""
    found = _SIZE.fullmatch(body)
    if found is None or int(found[1]) > MOST_SIZE:
        raise Malformed("the answer is no size of a log: it is not one of a witness")
    return int(found[1])


def _head(text: str) -> tuple[str, int, bytes]:
    """Origin, size and root. The root at size 0 may be a wrong one: that is told by `decided`."""
    try:
        found = checkpoint.parsed(text)
    except Malformed:
        rows = text.split("\n")
        if len(rows) < 4 or rows[1] != "0":
            raise
        root = note.decoded(rows[2])
        if len(root) != HASH_BYTES:
            raise
        rows[2] = note.encoded(EMPTY_ROOT)
        return checkpoint.parsed("\n".join(rows)).origin, 0, root
    return found.origin, found.size, found.root
