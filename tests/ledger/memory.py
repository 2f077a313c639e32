"""A storage in memory that can be damaged, and the definitions of RFC 6962 section 2.1, word for word."""

import hashlib
import itertools

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carnet.ledger import sequence
from carnet.ledger.note import Ed25519Signer
from carnet.ledger.tree import Tree, append

ORIGIN = "log.example/main"
LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


class Memory:
    """A `Storage` in two dicts; `reads` counts the nodes asked for."""

    def __init__(self):
        self.kept, self.records, self.reads = {}, {}, 0

    def nodes(self, places):
        self.reads += len(places)
        get = self.kept.get
        return [get(place) for place in places]

    def row(self, level, start, stop):
        get = self.kept.get
        return [get((level, index)) for index in range(start, stop)]

    def completed(self, start, stop):
        wanted = range(sequence.count(start), sequence.count(stop))
        found = {sequence.place(*place): each for place, each in self.kept.items()}
        return b"".join(found.get(at, b"") for at in wanted)

    def leaves(self, start, stop):
        get = self.records.get
        return [get(index) for index in range(start, stop)]

    def write(self, first, leaves, complete):
        self.records.update(enumerate(leaves, first))
        numbers = range(sequence.count(first), sequence.count(first) + len(complete))
        stop = next(size for size in itertools.count(first) if sequence.count(size) == numbers.stop)
        self.kept.update(zip(sequence.places(first, stop), complete, strict=True))

    def copy(self):
        other = Memory()
        other.kept, other.records = dict(self.kept), dict(self.records)
        return other


def stored(leaves, batch=None):
    """A storage with these leaves, appended in batches, and its tree."""
    memory, tree = Memory(), Tree()
    step = batch or max(len(leaves), 1)
    for start in range(0, len(leaves), step):
        tree = append(memory, tree, leaves[start : start + step])
    return memory, tree


def records(count):
    return [f"record {index}".encode() for index in range(count)]


def flipped(data, bit=0):
    """The bytes with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def split(count):
    """k of the RFC: the largest power of two smaller than n."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def mth(leaves):
    """MTH(D[n]), RFC 6962 section 2.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m, leaves):
    """PATH(m, D[n]), RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m, leaves):
    """PROOF(m, D[n]), RFC 6962 section 2.1.2."""
    return subproof(m, leaves, known=True)


def subproof(m, leaves, *, known):
    """SUBPROOF(m, D[n], b), RFC 6962 section 2.1.2."""
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known=known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], known=False), mth(leaves[:k])]
