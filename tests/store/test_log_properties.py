"""For any batches: the tree is that of the leaves alone, and whatever was signed can be proved."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, mth
from tests.store.logs import appended, entry

from carnet.ledger import checkpoint
from carnet.ledger.tree import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from carnet.store.sqlite.log import open_log
from carnet.store.sqlite.waiting import Limits

KEYS = [LOG.verifier]
LEAVES = st.lists(st.binary(max_size=60), min_size=1, max_size=50)


def opened(folder, batch=256):
    return open_log(Path(folder) / "log.db", ORIGIN, [LOG], KEYS, limits=Limits(batch=batch))


def signed(data):
    return checkpoint.opened(data, ORIGIN, KEYS).checkpoint


@given(LEAVES, st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_how_records_are_grouped_does_not_change_the_tree(leaves, groups, batch):
    entries = [entry(str(number), leaf=leaf) for number, leaf in enumerate(leaves)]
    with tempfile.TemporaryDirectory() as folder:
        at = turn = 0
        while at < len(entries):
            with opened(folder, batch) as log:
                count = groups[turn % len(groups)]
                appended(log, entries[at : at + count])
                at, turn = at + count, turn + 1
        with opened(folder) as log, log.reading() as reading:
            assert reading.leaves(0, len(leaves) + 1) == [*leaves, None]
            for each in map(signed, reading.checkpoints()):
                assert each.root == mth(leaves[: each.size])
            assert signed(reading.checkpoint()).size == len(leaves)


@given(LEAVES, st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_every_record_is_proved_under_every_checkpoint_after_it(leaves, batch):
    with tempfile.TemporaryDirectory() as folder, opened(folder, batch) as log:
        appended(log, [entry(str(number), leaf=leaf) for number, leaf in enumerate(leaves)])
        with log.reading() as reading:
            kept = [signed(each) for each in reading.checkpoints()]
            for number, new in enumerate(kept):
                for index in range(new.size):
                    path = inclusion_proof(reading, index, new.size)
                    verify_inclusion(leaf_hash(leaves[index]), index, new.size, path, new.root)
                for old in kept[: number + 1]:
                    path = consistency_proof(reading, old.size, new.size)
                    verify_consistency(old.size, new.size, old.root, new.root, path)
