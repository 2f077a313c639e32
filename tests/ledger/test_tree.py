"""The tree is that of the RFC, its proofs are the RFC's, and no other proof passes."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger import memory
from tests.ledger.memory import flipped, mth, records, stored

from carnet.ledger.tree import (
    EMPTY_ROOT,
    Tree,
    consistency_proof,
    grown,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_at,
    verify_consistency,
    verify_inclusion,
)
from carnet.model.errors import Absent, Damaged, Unverified

# The eight inputs, their roots and proofs are the reference vectors of Certificate Transparency: in
# google/certificate-transparency, and today in transparency-dev/merkle, `proof/verify_test.go`.
LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(each)
    for each in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = [  # (index, size, path)
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [  # (first, second, path)
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33]
MANY = records(40)


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_the_reference_vectors(size):
    kept, tree = stored(LEAVES[:size], batch=3)
    assert tree.root == ROOTS[size]
    assert tree_at(kept, size) == tree


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_the_inclusion_proofs_of_the_reference_vectors(index, size, path):
    kept, _ = stored(LEAVES)
    found = inclusion_proof(kept, index, size)
    assert [each.hex() for each in found] == path
    verify_inclusion(leaf_hash(LEAVES[index]), index, size, found, ROOTS[size])


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCY)
def test_the_consistency_proofs_of_the_reference_vectors(first, second, path):
    kept, _ = stored(LEAVES)
    found = consistency_proof(kept, first, second)
    assert [each.hex() for each in found] == path
    verify_consistency(first, second, ROOTS[first], ROOTS[second], found)


def test_the_worked_example_of_the_rfc():
    """RFC 6962 section 2.1.3, RFC 9162 section 2.1.5: the tree with seven leaves and its letters."""
    leaves = [f"d{index}".encode() for index in range(7)]
    a, b, c, d, e, f, j = (leaf_hash(leaf) for leaf in leaves)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, last = node_hash(g, h), node_hash(i, j)
    kept, tree = stored(leaves)
    assert tree.root == node_hash(k, last)
    assert tree_at(kept, 3).root == node_hash(g, c)
    assert tree_at(kept, 4).root == k
    assert tree_at(kept, 6).root == node_hash(k, i)
    assert inclusion_proof(kept, 0, 7) == (b, h, last)
    assert inclusion_proof(kept, 3, 7) == (c, g, last)
    assert inclusion_proof(kept, 4, 7) == (f, j, k)
    assert inclusion_proof(kept, 6, 7) == (i, k)
    assert consistency_proof(kept, 3, 7) == (c, d, g, last)
    assert consistency_proof(kept, 4, 7) == (last,)
    assert consistency_proof(kept, 6, 7) == (i, j, k)


@given(st.lists(st.binary(max_size=8), max_size=70), st.data())
@settings(max_examples=60, deadline=None)
def test_growth_root_and_proofs_are_those_of_the_definition(leaves, data):
    kept, tree = memory.Memory(), Tree()
    at = 0
    while at < len(leaves):
        count = data.draw(st.integers(1, len(leaves) - at))
        tree, rows = grown(tree, [leaf_hash(leaf) for leaf in leaves[at : at + count]])
        kept.write(at, leaves[at : at + count], rows)
        at += count
    assert tree.root == mth(leaves)
    size = data.draw(st.integers(0, len(leaves)))
    assert tree_at(kept, size).root == mth(leaves[:size])
    if size:
        index = data.draw(st.integers(0, size - 1))
        found = inclusion_proof(kept, index, size)
        assert list(found) == memory.path(index, leaves[:size])
        verify_inclusion(leaf_hash(leaves[index]), index, size, found, mth(leaves[:size]))
        first = data.draw(st.integers(1, size))
        found = consistency_proof(kept, first, size)
        assert list(found) == memory.proof(first, leaves[:size])
        verify_consistency(first, size, mth(leaves[:first]), mth(leaves[:size]), found)


@pytest.mark.parametrize("batch", [1, 3, 8, 40])
def test_only_the_nodes_of_complete_subtrees_are_stored(batch):
    kept, _ = stored(MANY, batch)
    complete = {(level, at) for level in range(6) for at in range(40 >> level)}
    assert set(kept.kept) == complete
    for level, at in complete:
        assert kept.kept[level, at] == mth(MANY[at << level : (at + 1) << level])


def test_no_leaves_change_nothing():
    tree = stored(MANY)[1]
    assert grown(tree, []) == (tree, [])
    kept = memory.Memory()
    kept.write = None  # would fail if it was called
    assert memory.append(kept, tree, []) == tree


def test_the_empty_tree_has_the_root_of_nothing_and_no_proof():
    assert Tree().root == EMPTY_ROOT == mth([])
    with pytest.raises(Absent, match="record `0` is not in a log of 0 records"):
        inclusion_proof(memory.Memory(), 0, 0)


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (6, 5), (0, 0)])
def test_a_proof_of_a_record_that_is_not_there_is_refused(index, size):
    kept, _ = stored(MANY)
    with pytest.raises(Absent):
        inclusion_proof(kept, index, size)
    with pytest.raises(Unverified):
        verify_inclusion(leaf_hash(b""), index, size, [], EMPTY_ROOT)


@pytest.mark.parametrize(("first", "second"), [(-1, 5), (6, 5), (1, 0)])
def test_a_log_never_shrinks(first, second):
    kept, _ = stored(MANY)
    with pytest.raises(Absent):
        consistency_proof(kept, first, second)
    with pytest.raises(Unverified):
        verify_consistency(first, second, EMPTY_ROOT, EMPTY_ROOT, [])


def test_a_size_below_zero_is_none():
    with pytest.raises(Absent):
        tree_at(memory.Memory(), -1)


@pytest.mark.parametrize("size", SIZES[1:])
def test_no_other_inclusion_proof_passes(size):
    kept, _ = stored(MANY)
    root = mth(MANY[:size])
    for index in range(size):
        leaf, found = leaf_hash(MANY[index]), list(inclusion_proof(kept, index, size))
        verify_inclusion(leaf, index, size, found, root)
        for wrong in wrong_inclusion(leaf, index, size, found, root):
            with pytest.raises(Unverified):
                verify_inclusion(*wrong)


def wrong_inclusion(leaf, index, size, found, root):
    """The true proof with one thing wrong."""
    others = {index - 1, index + 1, index ^ 1, index ^ 2, index + size, -index - 1} - {index}
    yield from ((leaf, other, size, found, root) for other in others)
    yield from ((leaf, index, other, found, root) for other in {0, size * 2 + 1, size * 4, index, -size})
    yield flipped(leaf), index, size, found, root
    yield leaf[:31], index, size, found, root
    yield leaf, index, size, found, flipped(root, 255)
    yield leaf, index, size, found, EMPTY_ROOT
    yield from wrong_paths(leaf, index, size, found, root, at=3)


def wrong_paths(*true, at):
    """The true proof, whose path is the argument `at`, with the path wrong."""
    found, root = true[at], true[-1] if at == 3 else true[3]
    paths = [
        [*found, root],
        [root, *found],
        [*found, b""],
        [b"", *found],
        [*found, *found],
        [*found, bytes(32)],
    ]
    if found:
        paths += [found[:-1], found[1:], [found[0], *found]]
    paths += [[*found[:n], flipped(each, 11), *found[n + 1 :]] for n, each in enumerate(found)]
    paths += [[*found[:n], each[:31], *found[n + 1 :]] for n, each in enumerate(found)]
    paths += [
        [*found[:n], found[n + 1], found[n], *found[n + 2 :]]
        for n in range(len(found) - 1)
        if found[n] != found[n + 1]
    ]
    for wrong in paths:
        if wrong != found:
            yield (*true[:at], wrong, *true[at + 1 :])


@pytest.mark.parametrize("second", SIZES)
def test_no_other_consistency_proof_passes(second):
    kept, _ = stored(MANY)
    for first in range(second + 1):
        roots = mth(MANY[:first]), mth(MANY[:second])
        found = list(consistency_proof(kept, first, second))
        verify_consistency(first, second, *roots, found)
        for wrong in wrong_consistency(first, second, *roots, found):
            with pytest.raises(Unverified):
                verify_consistency(*wrong)


def wrong_consistency(first, second, old, new, found):
    """The true proof with one thing wrong."""
    yield first, second, flipped(old), new, found
    yield first, second, old[:31], new, found
    yield first, second, old, new[:31], found
    if first:  # nothing is said about what follows an empty log
        yield first, second, old, flipped(new), found
    if 0 < first < second:
        yield first, second, new, old, found
        for other in {0, first - 1, first + 1, first ^ 2, second, second + 1} - {first}:
            yield other, second, old, new, found
        yield from ((first, other, old, new, found) for other in {first, 2 * second + 1, 4 * second})
        yield first, second, old, new, []
    yield from wrong_paths(first, second, old, new, found, at=4)


def test_a_fork_has_no_proof():
    """Two logs that part at record 20: no proof of the one joins it to the other's earlier root."""
    one, _ = stored(MANY)
    fork = [*MANY[:20], b"another", *MANY[21:]]
    other, _ = stored(fork)
    for kept in (one, other):
        for first in range(21, 40):
            with pytest.raises(Unverified, match=r"forked|two roots"):
                verify_consistency(
                    first, 40, mth(fork[:first]), mth(MANY), consistency_proof(kept, first, 40)
                )
    with pytest.raises(Unverified, match="two roots at size `40`"):
        verify_consistency(40, 40, mth(fork), mth(MANY), [])


def test_a_leaf_is_never_taken_for_a_node():
    """The prefixes of RFC 6962: without them two leaves' hashes, as one leaf, would have the same root."""
    pair = leaf_hash(MANY[0]) + leaf_hash(MANY[1])
    assert stored([pair])[1].root != stored(MANY[:2])[1].root


@pytest.mark.parametrize(("gone", "index"), [((0, 6), 5), ((1, 2), 6), ((2, 0), 6)])
def test_a_missing_node_is_said_not_guessed(gone, index):
    for wrong in (None, b"short"):
        kept, _ = stored(MANY[:7])
        kept.kept[gone] = wrong
        for ask in (
            lambda kept=kept: tree_at(kept, 7),
            lambda kept=kept: inclusion_proof(kept, index, 7),
            lambda kept=kept: consistency_proof(kept, 6, 7),
        ):
            with pytest.raises(Damaged, match=f"node `{gone[0]}/{gone[1]}` is not stored"):
                ask()


def test_a_proof_at_four_hundred_thousand_reads_two_nodes_a_level_at_most_and_is_quick():
    size = 400_000
    hashes = [leaf_hash(index.to_bytes(4, "big")) for index in range(size)]
    tree, rows = grown(Tree(), hashes)
    kept = memory.Memory()
    kept.write(0, [], rows)
    times = []
    for index in range(0, size, 4_001):
        kept.reads = 0
        start = time.perf_counter()
        found = inclusion_proof(kept, index, size)
        times.append(time.perf_counter() - start)
        assert kept.reads <= 2 * size.bit_length()
        verify_inclusion(hashes[index], index, size, found, tree.root)
    assert min(times) < 0.0001  # the machine may be busy; the quickest shows what it takes
