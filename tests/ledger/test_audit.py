"""The audit finds whatever is not as it was signed, and says where; a sound log has no finding."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, OTHER, Memory, flipped, mth, records, stored

from carnet.ledger import checkpoint
from carnet.ledger.audit import audit
from carnet.ledger.checkpoint import Checkpoint, Ed25519Cosigner
from carnet.ledger.tree import EMPTY_ROOT, leaf_hash

KEYS = [LOG.verifier]
COUNT = 13


def signed(leaves, signer=LOG, origin=ORIGIN):
    return checkpoint.signed(Checkpoint(origin, len(leaves), mth(leaves)), [signer]).data


def kinds(report):
    return [finding.kind for finding in report.findings]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17])
def test_a_sound_log_has_no_finding(count):
    leaves = records(count)
    kept, tree = stored(leaves, batch=4)
    for before in range(count + 1):
        older = signed(leaves[:before])
        report = audit(kept, signed(leaves), ORIGIN, KEYS, older=older, records=range(count))
        assert (report.sound, report.size, report.root, report.findings) == (True, count, tree.root, ())


def test_a_sound_log_over_several_chunks_has_no_finding():
    leaves = records(10_000)
    kept, _ = stored(leaves)
    assert audit(kept, signed(leaves), ORIGIN, KEYS).sound
    kept.records[9_999] = b"changed"
    kept.kept.pop((1, 4_999))
    found = audit(kept, signed(leaves), ORIGIN, KEYS).findings
    assert [(one.kind, one.index, one.level) for one in found] == [
        ("record_changed", 9_999, None),
        ("node_missing", 4_999, 1),
    ]


@pytest.mark.parametrize("index", range(COUNT))
def test_a_changed_record_is_found_and_named(index):
    kept, tree = stored(records(COUNT))
    kept.records[index] = flipped(kept.records[index])
    report = audit(kept, signed(records(COUNT)), ORIGIN, KEYS, records=[index])
    assert [(one.kind, one.index) for one in report.findings] == [("record_changed", index), ("proof", index)]
    assert report.root == tree.root


@pytest.mark.parametrize("index", range(COUNT))
def test_a_record_changed_with_its_hash_is_found(index):
    """Record and stored hash agree, so the node above does not, or, where there is none, the root."""
    kept, _ = stored(records(COUNT))
    kept.records[index] = b"changed"
    kept.kept[0, index] = leaf_hash(b"changed")
    report = audit(kept, signed(records(COUNT)), ORIGIN, KEYS, records=[index])
    first = report.findings[0]
    assert (first.kind, first.level, first.index) == (
        ("root", None, None) if index == COUNT - 1 else ("node_changed", 1, index // 2)
    )
    assert report.findings[-1].kind == "proof"


def test_records_changed_with_all_nodes_are_found_by_the_root():
    leaves = [*records(COUNT)[:3], b"forged", *records(COUNT)[4:]]
    kept, tree = stored(leaves)
    report = audit(kept, signed(records(COUNT)), ORIGIN, KEYS)
    assert (kinds(report), report.root) == (["root"], tree.root)


@pytest.mark.parametrize("place", list(stored(records(COUNT))[0].kept))
def test_a_changed_or_lost_node_is_found_and_named(place):
    level, index = place
    kept, _ = stored(records(COUNT))
    kept.kept[place] = flipped(kept.kept[place])
    report = audit(kept, signed(records(COUNT)), ORIGIN, KEYS)
    named = {(one.kind, one.level, one.index) for one in report.findings}
    if level:
        assert ("node_changed", level, index) in named
    else:
        assert ("record_changed", None, index) in named
    assert len(named) <= 2
    kept.kept.pop(place)
    report = audit(kept, signed(records(COUNT)), ORIGIN, KEYS)
    assert [(one.kind, one.level, one.index) for one in report.findings] == [("node_missing", level, index)]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_flipped_bit_is_found(data):
    kept, _ = stored(records(COUNT))
    where = data.draw(st.sampled_from([kept.records, kept.kept]))
    place = data.draw(st.sampled_from(sorted(where)))
    where[place] = flipped(where[place], data.draw(st.integers(0, 255)))
    assert not audit(kept, signed(records(COUNT)), ORIGIN, KEYS).sound


def test_every_problem_is_said_not_only_the_first():
    kept, _ = stored(records(COUNT))
    kept.records[1] = b"changed"
    del kept.records[4], kept.records[5], kept.records[9]
    kept.kept[2, 1] = bytes(32)
    report = audit(kept, signed(records(COUNT), OTHER), ORIGIN, KEYS, older=b"nothing", records=[COUNT])
    assert [(one.kind, one.index, one.count) for one in report.findings] == [
        ("checkpoint", None, 1),
        ("record_missing", 4, 2),
        ("record_missing", 9, 1),
        ("record_changed", 1, 1),
        ("node_changed", 1, 1),
        ("node_changed", 0, 1),
        ("older_checkpoint", None, 1),
        ("proof", COUNT, 1),
    ]
    assert report.findings[1].message == "2 records from `4` on are not stored: restore from a backup"
    assert report.findings[2].message == "record `9` is not stored: restore from a backup"


def test_a_dropped_tail_is_found():
    kept, _ = stored(records(10))
    report = audit(kept, signed(records(COUNT)), ORIGIN, KEYS)
    assert (report.findings[0].kind, report.findings[0].index, report.findings[0].count) == (
        "record_missing",
        10,
        3,
    )
    assert report.root is None


def test_a_log_put_back_is_found_by_the_checkpoint_kept_elsewhere():
    """Without one it is sound: nothing in it says that there was more."""
    kept, _ = stored(records(10))
    assert audit(kept, signed(records(10)), ORIGIN, KEYS).sound
    report = audit(kept, signed(records(10)), ORIGIN, KEYS, older=signed(records(COUNT)))
    assert kinds(report) == ["rolled_back"]


@pytest.mark.parametrize("size", [1, 5, 8, COUNT])
def test_a_fork_is_found_by_the_checkpoint_kept_elsewhere(size):
    kept, _ = stored(records(COUNT))
    other = [b"another", *records(COUNT)[1:size]]
    assert kinds(audit(kept, signed(records(COUNT)), ORIGIN, KEYS, older=signed(other))) == ["forked"]


def test_an_older_checkpoint_has_to_be_the_logs_own():
    kept, _ = stored(records(COUNT))
    for older in (signed(records(5), OTHER), signed(records(5), LOG, "log.example/other"), b"", b"x\n\n"):
        assert kinds(audit(kept, signed(records(COUNT)), ORIGIN, KEYS, older=older)) == ["older_checkpoint"]
    forged = signed([b"forged"], OTHER)
    assert kinds(audit(kept, signed(records(COUNT)), ORIGIN, KEYS, older=forged)) == [
        "older_checkpoint",
        "forked",
    ]


def test_an_unsigned_record_is_found():
    kept, _ = stored(records(COUNT))
    report = audit(kept, signed(records(10)), ORIGIN, KEYS)
    assert [(one.kind, one.index) for one in report.findings] == [("unsigned_record", 10)]


def test_a_record_that_no_bundle_takes_is_found():
    kept, tree = stored([bytes(65_536)])
    made = checkpoint.signed(Checkpoint(ORIGIN, 1, tree.root), [LOG]).data
    assert kinds(audit(kept, made, ORIGIN, KEYS)) == ["record_too_large"]


@pytest.mark.parametrize("data", [b"", b"hello", b"hello\n\n\xe2\x80\x94 n AAAAAAA=\n"])
def test_without_a_checkpoint_nothing_is_claimed(data):
    report = audit(stored(records(3))[0], data, ORIGIN, KEYS)
    assert (kinds(report), report.size, report.root) == (["checkpoint"], 0, None)


def test_a_forged_size_without_end_does_not_keep_the_audit():
    forged = checkpoint.signed(Checkpoint(ORIGIN, 2**62, bytes(32)), [OTHER]).data
    assert kinds(audit(stored(records(3))[0], forged, ORIGIN, KEYS)) == ["checkpoint"]


def test_an_empty_log_is_audited_too():
    made = checkpoint.signed(Checkpoint(ORIGIN, 0, EMPTY_ROOT), [OTHER]).data
    assert kinds(audit(Memory(), made, ORIGIN, KEYS)) == ["checkpoint"]


def test_a_wrong_cosignature_of_a_known_witness_is_found():
    kept, _ = stored(records(3))
    witness = Ed25519Cosigner("w", OTHER.private, 5)
    other = Checkpoint(ORIGIN, 4, bytes(32))
    line = checkpoint.signed(other, [witness]).data.rpartition(b"\n\n")[2]
    report = audit(kept, signed(records(3)) + line, ORIGIN, KEYS, [witness.verifier])
    assert kinds(report) == ["checkpoint"]
    assert "is wrong" in report.findings[0].message


def test_the_audit_is_quick():
    """A quarter of what it has to do, 250,000 records a second: the machine may be busy."""
    leaves = [index.to_bytes(4, "big") * 150 for index in range(40_000)]
    kept, tree = stored(leaves)
    made = checkpoint.signed(Checkpoint(ORIGIN, len(leaves), tree.root), [LOG]).data
    start = time.perf_counter()
    assert audit(kept, made, ORIGIN, KEYS).sound
    assert len(leaves) / (time.perf_counter() - start) > 62_500
