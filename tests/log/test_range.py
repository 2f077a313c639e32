"""A range of a log shows every record of it at its place, whatever the range and the size."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, OTHER, records, stored

from carnet.ledger import checkpoint, export, proof, tiles
from carnet.ledger.archive import Archive, packed
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.export import Export, Keys, Manifest
from carnet.model.errors import Absent, Malformed, Unverified

KEYS = [LOG.verifier]


def members(size, first, stop, signer=LOG, origin=ORIGIN):
    """What an export of a small log has."""
    memory, tree = stored(records(size))
    about = Manifest(origin=origin, first=first, stop=stop, size=size, private=False)
    found = {
        export.MANIFEST: export.written(about),
        export.KEYS: export.written(Keys(log=(str(LOG.verifier),))),
        export.CHECKPOINT: checkpoint.signed(Checkpoint(origin, size, tree.root), [signer]).data,
        export.NODES: b"".join(memory.nodes(export.outside(first, stop, size))),
    }
    for start in export.chunks(first, stop):
        end = min((start // export.CHUNK + 1) * export.CHUNK, stop)
        found[export.leaves_name(start)] = tiles.entry_bundle(records(size)[start:end])
    return found


def opened(found):
    return Export(Archive(memoryview(b"".join(packed(sorted(found.items()))))))


@st.composite
def ranges(draw):
    size = draw(st.integers(1, 700))
    first = draw(st.integers(0, size - 1))
    return size, first, draw(st.integers(first + 1, size))


@settings(max_examples=150, deadline=None)
@given(ranges(), st.randoms())
def test_every_record_of_every_range_is_proved(which, random):
    size, first, stop = which
    found = opened(members(size, first, stop))
    assert found.verify(ORIGIN, KEYS).checkpoint.size == size
    assert list(found.leaves()) == list(enumerate(records(size)[first:stop], first))
    for index in {first, stop - 1, random.randrange(first, stop)}:
        shown = proof.parsed(found.proof(index).data)
        assert proof.verify(shown, ORIGIN, KEYS).checkpoint.size == size
        assert shown.extra == records(size)[index]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9])
def test_every_range_of_small_logs_is_proved(size):
    for first in range(size):
        for stop in range(first + 1, size + 1):
            found = opened(members(size, first, stop))
            found.verify(ORIGIN, KEYS)
            for index in range(first, stop):
                proof.verify(found.proof(index), ORIGIN, KEYS)


@settings(max_examples=100, deadline=None)
@given(ranges())
def test_every_root_that_the_log_had_within_a_range_comes_from_it(which):
    size, first, stop = which
    found = opened(members(size, first, stop))
    for at in {first, (first + stop) // 2, stop}:
        assert found.root_at(at) == stored(records(at))[1].root
    for at in {first - 1, stop + 1} & {*range(size + 1)}:
        with pytest.raises(Absent):
            found.root_at(at)


def test_nodes_beside_the_range_are_the_fewest_that_do():
    assert export.outside(0, 8, 8) == []
    assert export.outside(3, 5, 8) == [(1, 0), (0, 2), (0, 5), (1, 3)]
    assert export.outside(256, 512, 700) == [(8, 0), (7, 4), (5, 20), (4, 42), (3, 86), (2, 174)]


@settings(max_examples=100, deadline=None)
@given(ranges(), st.randoms())
def test_a_changed_record_or_node_is_found(which, random):
    size, first, stop = which
    found = members(size, first, stop)
    name = random.choice([name for name in found if name.startswith(export.LEAVES) or name == export.NODES])
    if not found[name]:
        return
    changed = bytearray(found[name])
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    with pytest.raises((Unverified, Malformed)):
        opened(found | {name: bytes(changed)}).verify(ORIGIN, KEYS)


def test_a_record_left_out_or_put_in_or_moved_is_found():
    found = members(9, 2, 7)
    name = export.leaves_name(2)
    right = records(9)[2:7]
    for wrong in (right[:-1], [*right, b"more"], [*right[1:], right[0]], right[1:]):
        with pytest.raises((Unverified, Malformed)):
            opened(found | {name: tiles.entry_bundle(wrong)}).verify(ORIGIN, KEYS)


def test_another_size_or_range_in_the_manifest_is_found():
    found = members(9, 2, 7)
    for first, stop, size in ((2, 7, 8), (2, 7, 10), (2, 6, 9), (3, 7, 9), (1, 6, 9), (3, 8, 9)):
        about = Manifest(origin=ORIGIN, first=first, stop=stop, size=size, private=False)
        renamed = {key: value for key, value in found.items() if not key.startswith(export.LEAVES)}
        renamed[export.leaves_name(first)] = found[export.leaves_name(2)]
        with pytest.raises((Unverified, Malformed)):
            opened(renamed | {export.MANIFEST: export.written(about)}).verify(ORIGIN, KEYS)


def test_the_key_and_the_name_have_to_be_the_logs():
    found = opened(members(9, 2, 7))
    with pytest.raises(Unverified, match="no known key signed"):
        found.verify(ORIGIN, [OTHER.verifier])
    with pytest.raises(Unverified, match=r"not of `log\.example/else`"):
        found.verify("log.example/else", KEYS)
    with pytest.raises(Unverified):
        opened(members(9, 2, 7, signer=OTHER)).verify(ORIGIN, KEYS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": b""}, "no part of an export"),
        ({"laws/x": b""}, "no part of an export"),
        ({export.NODES: None}, "has no `nodes`"),
        ({export.leaves_name(2): None}, "it was cut"),
        ({export.MANIFEST: b"{}"}, "can't be read"),
        ({export.MANIFEST: b"\xff"}, "can't be read"),
        ({export.MANIFEST: b'{"format":2}'}, "format `2`"),
        ({export.KEYS: b'{"format":1,"log":[],"statements":[],"more":1}'}, "can't be read"),
        ({export.KEYS: b'{"log":[],"format":1,"statements":[]}'}, "canonical"),
    ],
    ids=str,
)
def test_what_is_no_export_says_what_is_wrong(change, said):
    found = members(9, 2, 7) | change
    with pytest.raises((Malformed, Absent), match=said):
        opened({name: data for name, data in found.items() if data is not None})


def test_a_manifest_of_an_endless_range_costs_nothing():
    about = Manifest(origin=ORIGIN, first=0, stop=2**62, size=2**62, private=False)
    with pytest.raises(Malformed, match="fewer records"):
        opened(members(9, 0, 9) | {export.MANIFEST: export.written(about)})


def test_a_proof_from_an_export_is_of_its_range_only():
    with pytest.raises(Absent, match="it has `2` to `6`"):
        opened(members(9, 2, 7)).proof(7)
