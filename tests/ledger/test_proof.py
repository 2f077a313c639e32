"""A proof file is what C2SP tlog-proof says, and shows one record to whoever has the log's public key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, OTHER, flipped, records, stored

from carnet.ledger import checkpoint, note, proof
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.proof import Proof
from carnet.model.errors import Absent, Malformed, Unverified

KEYS = [LOG.verifier]


def log(count, signer=LOG):
    kept, tree = stored(records(count))
    return kept, checkpoint.signed(Checkpoint(ORIGIN, count, tree.root), [signer]).data


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9])
def test_every_record_is_shown_by_its_file_and_the_public_key(count):
    kept, signed = log(count)
    for index in range(count):
        data = proof.made(kept, index, signed).data
        found = proof.parsed(data)
        assert (found.extra, found.data) == (records(count)[index], data)
        assert proof.verify(found, ORIGIN, [note.verifier_key(str(LOG.verifier))]).checkpoint.size == count


def test_the_file_has_the_lines_of_the_specification():
    """C2SP tlog-proof, "Format"; its example there is abbreviated and can't be verified."""
    kept, signed = log(3)
    a, b = (note.encoded(kept.kept[0, at]) for at in (0, 2))
    lines = f"c2sp.org/tlog-proof@v1\nextra cmVjb3JkIDE=\nindex 1\n{a}\n{b}\n\n"
    assert proof.made(kept, 1, signed).data == lines.encode() + signed
    bare = proof.made(kept, 1, signed, with_record=False)
    assert bare.data == lines.replace("extra cmVjb3JkIDE=\n", "").encode() + signed
    assert proof.parsed(bare.data) == bare


def test_a_record_that_is_given_counts_not_the_one_in_the_file():
    kept, signed = log(5)
    found = proof.made(kept, 2, signed)
    assert proof.verify(found, ORIGIN, KEYS, record=b"record 2")
    with pytest.raises(Unverified):
        proof.verify(found, ORIGIN, KEYS, record=b"record 3")
    bare = proof.made(kept, 2, signed, with_record=False)
    assert proof.verify(bare, ORIGIN, KEYS, record=b"record 2")
    with pytest.raises(Unverified, match="give the record too"):
        proof.verify(bare, ORIGIN, KEYS)


def test_an_empty_record_is_a_record():
    kept, tree = stored([b""])
    signed = checkpoint.signed(Checkpoint(ORIGIN, 1, tree.root), [LOG]).data
    found = proof.parsed(proof.made(kept, 0, signed).data)
    assert found.extra == b""
    assert proof.verify(found, ORIGIN, KEYS)


def test_no_other_file_shows_it():
    kept, signed = log(9)
    true = proof.made(kept, 4, signed)
    for wrong in (
        Proof(5, true.path, signed, true.extra),
        Proof(4, true.path[:-1], signed, true.extra),
        Proof(4, (*true.path, bytes(32)), signed, true.extra),
        Proof(4, true.path[::-1], signed, true.extra),
        Proof(4, true.path, signed, b"record 5"),
        Proof(4, true.path, log(8)[1], true.extra),
        Proof(4, true.path, log(9, OTHER)[1], true.extra),
        Proof(99, true.path, signed, true.extra),
    ):
        with pytest.raises(Unverified):
            proof.verify(wrong, ORIGIN, KEYS)
    with pytest.raises(Unverified):
        proof.verify(true, "log.example/other", KEYS)


def test_every_cut_and_every_other_bit_of_a_file_is_refused():
    kept, signed = log(3)
    data = proof.made(kept, 1, signed).data

    def checked(other):
        proof.verify(proof.parsed(other), ORIGIN, KEYS)

    checked(data)
    for end in range(len(data)):
        with pytest.raises((Malformed, Unverified)):
            checked(data[:end])
    for bit in range(len(data) * 8):
        with pytest.raises((Malformed, Unverified)):
            checked(flipped(data, bit))


def test_a_record_that_is_not_under_the_checkpoint_has_no_proof():
    kept, signed = log(5)
    for index in (-1, 5):
        with pytest.raises(Absent):
            proof.made(kept, index, signed)
    del kept.records[2]
    with pytest.raises(Absent, match="ask for the proof without it"):
        proof.made(kept, 2, signed)
    assert proof.made(kept, 2, signed, with_record=False).path


HEAD = "c2sp.org/tlog-proof@v1\n"
HASH = note.encoded(bytes(32))
BAD_HEADS = {
    "another version": "c2sp.org/tlog-proof@v2\nindex 0\n\n",
    "no first line": "index 0\n\n",
    "no index": HEAD + "\n",
    "extra after the index": HEAD + "index 0\nextra YQ==\n\n",
    "extra twice": HEAD + "extra YQ==\nextra YQ==\nindex 0\n\n",
    "extra that is no base64": HEAD + "extra !!\nindex 0\n\n",
    "an index in words": HEAD + "index zero\n\n",
    "an index below zero": HEAD + "index -5\n\n",
    "a zero before the index": HEAD + "index 01\n\n",
    "an endless index": HEAD + f"index {'9' * 30}\n\n",
    "a hash that is none": HEAD + "index 0\n!!notbase64!!\n\n",
    "a hash too long": HEAD + f"index 0\n{note.encoded(bytes(64))}\n\n",
    "64 hashes": HEAD + "index 0\n" + f"{HASH}\n" * 64 + "\n",
    "another line": HEAD + "index 0\nhello\n\n",
    "carriage returns": HEAD.replace("\n", "\r\n") + "index 0\r\n\r\n",
    "other letters": HEAD + "index 0\né\n\n",
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS)
def test_what_is_no_proof_is_refused(head):
    _, signed = log(1)
    assert proof.parsed((HEAD + "index 0\n\n").encode() + signed)
    with pytest.raises(Malformed):
        proof.parsed(head.encode() + signed)


@pytest.mark.parametrize("rest", [b"", b"\n", b"\n\n", b"\n\nhello"])
def test_a_proof_without_a_checkpoint_is_refused(rest):
    with pytest.raises(Malformed):
        proof.parsed(HEAD.encode() + b"index 0" + rest)


@given(st.binary(max_size=120).map(lambda tail: HEAD.encode() + tail) | st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_bytes_end_in_another_error(data):
    with pytest.raises(Malformed):
        proof.parsed(data)
