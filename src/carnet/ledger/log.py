"""The log: a batch is appended, read back, and only then is a checkpoint signed. Transactions, locks,
keys and time are not here; who calls makes `append` and `sign` one transaction, or signs after it.
"""

from collections.abc import Sequence

from carnet.ledger import checkpoint, sequence, tiles, tree
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Note, Signer
from carnet.ledger.tree import Storage, Tree
from carnet.model.errors import Damaged, Malformed

_CHUNK = 4096


def resume(storage: Storage, at: Checkpoint) -> Tree:
    """The tree that a checkpoint is about, from stored nodes: what a log goes on from after a start.

    The checkpoint has to be verified (`checkpoint.opened`). Raises `Damaged` if the stored nodes have another
    root, or if there are records after it that were never signed.
    """
    found = tree.tree_at(storage, at.size)
    if found.root != at.root:
        raise Damaged(
            f"the nodes stored for {at.size} records have another root than the checkpoint: run an audit"
        )
    if storage.leaves(at.size, at.size + 1)[0] is not None:
        raise Damaged(
            f"record `{at.size}` is stored after the last checkpoint: find the checkpoint that signs it"
        )
    return found


def append(storage: Storage, before: Tree, leaves: Sequence[bytes]) -> tuple[int, Tree]:
    """Store a batch after `before`; gives the index of its first record and the tree with it, size and root.

    Raises `Malformed`, with nothing stored, if a record is too large for an entry bundle.
    """
    for offset, leaf in enumerate(leaves):
        if len(leaf) > tiles.LARGEST_ENTRY:
            raise Malformed(
                f"record {offset + 1} of the batch has {len(leaf)} bytes, over {tiles.LARGEST_ENTRY}: "
                "keep the rest elsewhere, by digest"
            )
    return before.size, tree.append(storage, before, leaves)


def read_back(storage: Storage, before: Tree, size: int) -> tuple[Tree, list[bytes]]:
    """The tree with the leaves that are stored after `before`, up to `size` of them, and the nodes that they
    complete; each is hashed as it is stored. Raises `Damaged` if one is not there."""
    leaves = storage.leaves(before.size, size)
    if None in leaves:
        index = before.size + leaves.index(None)
        raise Damaged(f"record `{index}` was not stored: nothing is signed, append the batch again")
    return tree.grown(before, [tree.leaf_hash(leaf) for leaf in leaves if leaf is not None])


def verify(storage: Storage, signed: Tree, after: Tree, complete: Sequence[bytes] | None = None) -> None:
    """Check that what is stored between two trees is what leads from the one to the other.

    `signed` is the tree of the last checkpoint, from memory or `resume`. Its edge is read back, every
    record since is read back and hashed, and every node since is compared with what is stored. So what is
    signed next begins with what was signed last. `complete` are the nodes since, where `read_back` made
    them. Raises `Damaged`.
    """
    if after.size < signed.size:
        raise Damaged(f"the log has {after.size} records and {signed.size} are signed: it was rolled back")
    if tree.tree_at(storage, signed.size) != signed:
        raise Damaged(
            f"the nodes stored for {signed.size} records are not those that were signed: run an audit"
        )
    if complete is not None:
        _same(storage, signed.size, after.size, complete)
        return
    found = signed
    for start in range(signed.size, after.size, _CHUNK):
        stop = min(start + _CHUNK, after.size)
        found, nodes = read_back(storage, found, stop)
        _same(storage, start, stop, nodes)
    if found != after:
        raise Damaged(
            f"the records stored from `{signed.size}` on are not those that were appended: "
            "nothing is signed, run an audit"
        )


def sign(
    storage: Storage,
    signed: Tree,
    after: Tree,
    origin: str,
    signers: Sequence[Signer],
    extensions: Sequence[str] = (),
    complete: Sequence[bytes] | None = None,
) -> Note:
    """The checkpoint of `after`, signed once `verify` has found nothing; else `Damaged` is raised and no
    signer is asked."""
    about = Checkpoint(origin, after.size, after.root, tuple(extensions))
    verify(storage, signed, after, complete)
    return checkpoint.signed(about, signers)


def _same(storage: Storage, start: int, stop: int, complete: Sequence[bytes]) -> None:
    """Raises `Damaged` if the nodes that the leaves from `start` to `stop` complete are stored otherwise."""
    if storage.completed(start, stop) == b"".join(complete):
        return
    places = sequence.places(start, stop)
    stored = zip(places, storage.nodes(places), complete, strict=True)
    level, index = next((place for place, found, wanted in stored if found != wanted), (0, start))
    raise Damaged(
        f"the node `{level}/{index}` is not what the stored records hash to: nothing is signed, run an audit"
    )
