"""What is signed is what is stored: anything else, and nothing is signed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, Memory, flipped, mth, records, stored

from carnet.ledger import checkpoint, log
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.tree import Tree, consistency_proof, tree_at, verify_consistency
from carnet.model.errors import Damaged, Malformed


class Never:
    """A signer that must not be asked."""

    name, key_id = LOG.name, LOG.key_id

    def sign(self, text):
        raise AssertionError(text)


def test_a_batch_gets_its_indices_and_a_checkpoint():
    kept, tree = Memory(), Tree()
    for start, stop in [(0, 3), (3, 3), (3, 10), (10, 11)]:
        first, after = log.append(kept, tree, records(11)[start:stop])
        assert (first, after.size, after.root) == (start, stop, mth(records(stop)))
        made = log.sign(kept, tree, after, ORIGIN, [LOG])
        about = checkpoint.opened(made.data, ORIGIN, [LOG.verifier]).checkpoint
        assert about == Checkpoint(ORIGIN, stop, after.root)
        tree = after


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_every_checkpoint_begins_with_every_one_before(sizes):
    kept, trees = Memory(), [Tree()]
    for count in sizes:
        _, after = log.append(kept, trees[-1], records(count))
        log.sign(kept, trees[-1], after, ORIGIN, [LOG])
        trees.append(after)
    for at, old in enumerate(trees):
        for new in trees[at:]:
            path = consistency_proof(kept, old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, path)


def test_several_batches_may_go_under_one_checkpoint():
    kept, signed = stored(records(5))
    _, middle = log.append(kept, signed, records(3))
    _, after = log.append(kept, middle, records(9))
    assert log.sign(kept, signed, after, ORIGIN, [LOG])


def damages():
    """Every single stored thing of a log of 13, of which 6 are signed, and one wrong thing in its place."""
    kept, _ = stored(records(13))
    for index in range(6, 13):
        yield (
            f"record {index} changed",
            lambda one, at=index: one.records.update({at: one.records[at] + b"!"}),
        )
        yield f"record {index} lost", lambda one, at=index: one.records.pop(at)
    for level, index in kept.kept:
        edge = (level, index) in {(2, 0), (1, 2)}
        if edge or (index + 1) << level > 6:
            yield (
                f"node {level}/{index} changed",
                lambda one, at=(level, index): one.kept.update({at: flipped(one.kept[at])}),
            )
            yield f"node {level}/{index} lost", lambda one, at=(level, index): one.kept.pop(at)


@pytest.mark.parametrize(("damage"), [each for _, each in damages()], ids=[name for name, _ in damages()])
def test_what_was_stored_otherwise_is_not_signed(damage):
    kept, signed = stored(records(6))
    _, after = log.append(kept, signed, records(13)[6:])
    damage(kept)
    with pytest.raises(Damaged):
        log.sign(kept, signed, after, ORIGIN, [Never()])


def test_records_stored_with_their_nodes_but_not_appended_are_not_signed():
    """Whoever changes record and nodes alike changes the root; the batch's own tree does not."""
    kept, signed = stored(records(6))
    _, after = log.append(kept, signed, records(13)[6:])
    forged, _ = stored([*records(13)[:9], b"forged", *records(13)[10:]])
    with pytest.raises(Damaged, match="not those that were appended"):
        log.sign(forged, signed, after, ORIGIN, [Never()])


def test_what_was_signed_before_is_not_signed_anew():
    """The records before are other ones, with their nodes: the log would fork."""
    _, signed = stored(records(6))
    forged, after = stored([b"forged", *records(13)[1:]])
    with pytest.raises(Damaged, match="not those that were signed"):
        log.sign(forged, signed, after, ORIGIN, [Never()])


def test_a_log_that_shrank_is_not_signed():
    kept, signed = stored(records(6))
    with pytest.raises(Damaged, match="has 5 records and 6 are signed"):
        log.sign(kept, signed, tree_at(kept, 5), ORIGIN, [Never()])


def test_a_tree_that_is_none_of_the_records_is_not_signed():
    kept, signed = stored(records(6))
    other = stored([b"x", *records(6)[1:]])[1]
    with pytest.raises(Damaged):
        log.sign(kept, signed, other, ORIGIN, [Never()])
    with pytest.raises(Damaged):
        log.sign(kept, Tree(), other, ORIGIN, [Never()])


def test_a_long_batch_is_read_back_to_its_end():
    kept, signed = stored(records(2))
    _, after = log.append(kept, signed, records(9_000))
    log.verify(kept, signed, after)
    kept.records[9_001] = b"changed"
    with pytest.raises(Damaged):
        log.verify(kept, signed, after)


def test_a_record_too_large_stores_nothing():
    kept, tree = stored(records(2))
    with pytest.raises(Malformed, match="record 2 of the batch has 65536 bytes"):
        log.append(kept, tree, [b"", bytes(65_536), b""])
    assert len(kept.records) == 2


def test_a_log_goes_on_from_its_checkpoint():
    kept, tree = stored(records(6))
    about = Checkpoint(ORIGIN, 6, tree.root)
    assert log.resume(kept, about) == tree
    assert log.resume(Memory(), Checkpoint(ORIGIN, 0, Tree().root)) == Tree()


def test_a_log_that_is_not_its_checkpoints_does_not_go_on():
    kept, tree = stored(records(6))
    with pytest.raises(Damaged, match="another root"):
        log.resume(kept, Checkpoint(ORIGIN, 6, flipped(tree.root)))
    with pytest.raises(Damaged, match="not stored"):
        log.resume(kept, Checkpoint(ORIGIN, 9, tree.root))
    with pytest.raises(Damaged, match="record `5` is stored after the last checkpoint"):
        log.resume(kept, Checkpoint(ORIGIN, 5, mth(records(5))))
