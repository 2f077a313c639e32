"""A witness does what C2SP tlog-witness says, for each request and each memory."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, OTHER, flipped
from tests.witness.logs import KEY, KEY_2, KEY_3, LOGS, NOW, Small

from carnet.ledger import checkpoint, note, witness
from carnet.ledger.checkpoint import Checkpoint, MLDSA44Cosigner
from carnet.ledger.note import Ed25519Signer, Note, Signature
from carnet.ledger.tree import EMPTY_ROOT
from carnet.ledger.witness import MOST_BYTES, Admitted, Refused, Remembered, Request
from carnet.model.errors import Malformed, Unverified

# C2SP tlog-witness, the example of a request, and the example of an answer. No keys are published for them.
EXAMPLE = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1g"
    "GzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267U"
    "Ejw6QUXTS5Rovnzv++qbSzm9Q=\n"
).encode()
ANSWER = (
    "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5"
    "G2HgLatVs0pWh6Up69HVOw==\n"
    "— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuO"
    "BMh9ChdMkP1vi/lCAsmlw==\n"
    "— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl"
    "7oJlqU3rXXvpysAdyP3wQ==\n"
)


def asked(memory, body, logs=LOGS):
    """What a witness with this memory says: None if it cosigns."""
    request = witness.admitted(body, logs)
    return request if isinstance(request, Refused) else witness.decided(memory, request)


def remembered(small):
    return Remembered(small.origin, small.tree.size, small.tree.root, small.signed)


def signed(text, *signers):
    return note.signed(text, signers or [LOG]).data


def test_the_example_of_the_specification_is_read_and_written():
    found = witness.parsed(EXAMPLE)
    assert (found.old, len(found.proof), found.data) == (20852014, 4, EXAMPLE)
    assert checkpoint.parsed(note.parsed(found.note).text).size == 20852163
    lines = [note.signature_line(line) for line in ANSWER.splitlines()]
    assert witness.lines(lines).decode() == ANSWER
    assert [len(each.signature) for each in lines] == [72, 72, 72]  # a time and an Ed25519 signature


def test_the_logs_of_the_example_are_not_known():
    assert asked(None, EXAMPLE).status == 404


@given(before=st.integers(0, 40), more=st.integers(0, 40))
def test_a_log_that_grows_is_cosigned(before, more):
    small = Small(before)
    memory = remembered(small) if before else None
    assert asked(memory, small.append(more).request(before).data) is None


@given(before=st.integers(1, 20), more=st.integers(1, 20), data=st.data())
def test_a_log_that_changed_is_not_cosigned(before, more, data):
    """Whatever record of the past differs, and whichever hash of the proof is another."""
    small = Small(before)
    memory, body = remembered(small), small.copy().append(more).request(before)
    fork = Small()
    for index in range(before + more):
        fork.mark = "forged" if index == data.draw(st.integers(0, before - 1), label="record") else "record"
        fork.append()
    if fork.tree.root != small.copy().append(more).tree.root:
        assert asked(memory, fork.request(before).data).kind == "inconsistent"
    if body.proof:
        at = data.draw(st.integers(0, len(body.proof) - 1), label="hash")
        bit = data.draw(st.integers(0, 255), label="bit")
        wrong = [*body.proof]
        wrong[at] = flipped(wrong[at], bit)
        assert asked(memory, Request(before, tuple(wrong), body.note).data).status == 422


@given(st.lists(st.integers(0, 30), max_size=8))
def test_no_two_of_a_witness_differ(sizes):
    """Whatever is asked in whatever order, what was cosigned is one growing log."""
    here, there = Small(5), Small(5)
    there.mark = "other"
    memory, seen = None, []
    for turn, size in enumerate(sizes):
        small = (here, there)[size % 2]
        if small.tree.size < size:
            small.append(size - small.tree.size)
        old = memory.size if memory is not None else 0
        if old > small.tree.size:
            continue
        if asked(memory, small.request(old).data) is None:
            memory = remembered(small)
            seen.append((small.tree.size, small.tree.root, turn))
    assert [size for size, *_ in seen] == sorted(size for size, *_ in seen)
    assert len({size for size, *_ in seen}) == len({(size, root) for size, root, _ in seen})


def test_each_refusal_has_the_status_of_the_specification():
    small = Small(3)
    memory = remembered(small)
    good = small.append(4).request(3)
    foreign = checkpoint.signed(Checkpoint(ORIGIN, 7, small.tree.root), [OTHER]).data
    unknown = checkpoint.signed(Checkpoint("log.example/other", 7, small.tree.root), [LOG]).data
    changed = flipped(good.note, 8 * (len(good.note) - 10))
    cases = [
        (good.data, None),
        (Request(3, good.proof, unknown).data, 404),
        (Request(3, good.proof, foreign).data, 403),
        (Request(8, (), good.note).data, 400),
        (Request(2, good.proof, good.note).data, 409),
        (Request(0, (), good.note).data, 409),
        (Request(3, good.proof[:-1], good.note).data, 422),
        (Request(3, (*good.proof, bytes(32)), good.note).data, 422),
        (Request(3, (), good.note).data, 422),
        (b"", 400),
        (changed, 400),
    ]
    for body, status in cases:
        found = asked(memory, body)
        assert (found.status if found else None) == status, body
    assert asked(memory, Request(2, (), good.note).data).size == 3
    assert asked(None, good.data).size == 0


def test_another_root_at_the_same_size_is_refused_as_a_wrong_proof():
    small, other = Small(7), Small(7, mark="forged")
    found = asked(remembered(small), other.request(7).data)
    assert (found.kind, found.status) == ("inconsistent", 422)
    assert asked(remembered(small), small.request(7).data) is None


def test_a_smaller_size_is_never_cosigned():
    small = Small(4)
    early = small.signed
    memory = remembered(small.append(4))
    assert asked(memory, Request(4, (), early).data).kind == "stale"
    assert asked(memory, Request(8, (), early).data).kind == "malformed"


def test_an_old_size_of_zero_has_an_empty_proof():
    small = Small(7)
    assert asked(None, Request(0, (bytes(32),), small.signed).data).status == 422
    assert asked(None, Request(0, (), small.signed).data) is None


def test_an_empty_log_has_the_root_of_an_empty_log():
    empty = Small()
    assert asked(None, empty.request(0).data) is None
    assert asked(remembered(empty), empty.append(3).request(0).data) is None
    wrong = signed(f"{ORIGIN}\n0\n{note.encoded(bytes(32))}\n")
    assert asked(None, Request(0, (), wrong).data).status == 422
    assert asked(remembered(Small()), Request(0, (), wrong).data).status == 422
    unsigned = signed(f"{ORIGIN}\n0\n{note.encoded(bytes(32))}\n", OTHER)
    assert asked(None, Request(0, (), unsigned).data).status == 403
    assert asked(remembered(Small(2)), Request(0, (), wrong).data).status == 409
    for text in (f"{ORIGIN}\n0\nAAAA\n", f"{ORIGIN}\n0\n?\n", f"{ORIGIN}\n1\nAAAA\n", f"{ORIGIN}\n0\n"):
        assert asked(None, Request(0, (), signed(text)).data).status == 400


def test_a_wrong_signature_of_a_known_key_is_not_made_good_by_a_right_one():
    """C2SP signed-note: such a note is malformed, whatever else signed it."""
    small = Small(3)
    second = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))
    text = note.parsed(small.signed).text
    right = note.parsed(small.signed).signatures
    wrong = Signature(ORIGIN, second.key_id, bytes(64))
    logs = {ORIGIN: [LOG.verifier, second.verifier]}
    body = Request(0, (), Note(text, (*right, wrong)).data).data
    assert asked(None, body, logs).status == 403
    assert asked(None, body) is None  # a key that is not known says nothing


def test_only_the_signatures_of_known_keys_are_remembered():
    small = Small(3)
    more = note.signed(note.parsed(small.signed).text, [LOG, OTHER, KEY_3.at(NOW)]).data
    request = witness.admitted(Request(0, (), more).data, LOGS)
    assert [each.key_id for each in request.note.signatures] == [LOG.key_id]
    kept, made = witness.cosigned(request, [KEY, KEY_2], NOW)
    assert [each.key_id for each in kept.signatures] == [
        LOG.key_id,
        KEY.verifier.key_id,
        KEY_2.verifier.key_id,
    ]
    assert made == kept.signatures[1:]


def test_a_log_may_sign_with_a_key_of_ml_dsa():
    signer = MLDSA44Cosigner(ORIGIN, KEY_2.private, NOW)
    small = Small(3, signer=signer)
    assert asked(None, small.request(0).data, {ORIGIN: [signer.verifier]}) is None
    assert asked(None, small.request(0).data).status == 403


@pytest.mark.parametrize(
    "head",
    [
        b"old 01",
        b"old -1",
        b"old  1",
        b"old 1 ",
        b"old",
        b"Old 1",
        b"old 9999999999999999999",
        b"old 9223372036854775808",
        b"old 1\nAAAA",
        b"old 1\n" + b"A" * 43,
        b"old 1\n" + b"A" * 43 + b"=\r",
        b"old 1\n" + b"A" * 42 + b"B=",
        "old \uff11".encode(),
        b"old 1\n\xff",
        b"old 1" + b"\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" * 64,
    ],
)
def test_what_is_no_request_is_told_as_such(head):
    with pytest.raises(Malformed):
        witness.parsed(head + b"\n\n" + Small(1).signed)
    assert asked(None, head + b"\n\n" + Small(1).signed).status == 400


def test_sixty_three_hashes_are_read_and_a_request_has_an_end():
    body = Request(1, (bytes(32),) * 63, Small(1).signed).data
    assert len(witness.parsed(body).proof) == 63
    with pytest.raises(Malformed, match="has no checkpoint"):
        witness.parsed(b"old 1\n")
    with pytest.raises(Malformed, match=f"over {MOST_BYTES}"):
        witness.parsed(body + b" " * MOST_BYTES)


@given(st.binary(max_size=400))
def test_no_bytes_make_a_witness_fall_over(body):
    assert asked(None, body).status == 400
    assert asked(None, b"old 0\n\n" + body).status == 400


@given(st.integers(0, 8 * len(Small(3).request(0).data) - 1))
def test_no_changed_bit_is_cosigned(bit):
    """Only in the signatures' own lines can a bit differ and the request still be another right one."""
    body = Small(3).request(0).data
    changed = flipped(body, bit)
    found = asked(None, changed)
    assert found is not None


def test_the_cosignatures_of_an_answer_are_verified():
    small = Small(3)
    text = note.parsed(small.signed).text
    request = witness.admitted(small.request(0).data, LOGS)
    _, made = witness.cosigned(request, [KEY, KEY_2], NOW)
    body = witness.lines(made)
    assert witness.cosignatures(body, text, [KEY.verifier]) == made[:1]
    assert witness.cosignatures(body, text, [KEY_2.verifier]) == made[1:]
    assert witness.cosignatures(body, text, [KEY.verifier, KEY_2.verifier]) == made
    with pytest.raises(Unverified, match="no known key signed"):
        witness.cosignatures(body, text, [KEY_3.verifier])
    with pytest.raises(Unverified, match="is wrong"):
        witness.cosignatures(body, text.replace("3", "4", 1), [KEY.verifier])
    for wrong in (b"", b"\xff\n", body[:-1], b"<html>\n", body * 60, b"\n"):
        with pytest.raises((Malformed, Unverified)):
            witness.cosignatures(wrong, text, [KEY.verifier])


def test_a_cosignature_without_a_time_is_none():
    small = Small(3)
    text = note.parsed(small.signed).text
    timeless = witness.lines(note.signed(text, [KEY.at(0)]).signatures)
    with pytest.raises(Unverified, match="says no time"):
        witness.cosignatures(timeless, text, [KEY.verifier])
    plain = Ed25519Signer(KEY.name, KEY.private)
    with pytest.raises(Unverified, match="says no time"):
        witness.cosignatures(witness.lines(note.signed(text, [plain]).signatures), text, [plain.verifier])
    with pytest.raises(Malformed, match="set the clock"):
        witness.cosigned(witness.admitted(small.request(0).data, LOGS), [KEY], 0)


@pytest.mark.parametrize("body", [b"", b"5", b"05\n", b"+5\n", b"5\n\n", b"9999999999999999999\n", b" 5\n"])
def test_a_size_is_written_in_one_way(body):
    with pytest.raises(Malformed):
        witness.size_of(body)


def test_a_size_is_read():
    assert [witness.size_of(body) for body in (b"0\n", b"50\n", b"9223372036854775807\n")] == [
        0,
        50,
        2**63 - 1,
    ]


def test_a_witness_key_says_which_type_it_is():
    assert (KEY.verifier.scheme.number, KEY_2.verifier.scheme.number) == (0x04, 0x06)
    assert isinstance(witness.admitted(Small(1).request(0).data, LOGS), Admitted)
    assert Small().tree.root == EMPTY_ROOT
