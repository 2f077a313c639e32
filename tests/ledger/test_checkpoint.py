"""Checkpoints and cosignatures are those of C2SP, and only the log speaks for the log."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tests.ledger.memory import LOG, ORIGIN, OTHER, flipped

from carnet.ledger import checkpoint, note
from carnet.ledger.checkpoint import Checkpoint, Cosignature, Ed25519Cosigner, MLDSA44Cosigner
from carnet.ledger.note import Ed25519Signer, Signature
from carnet.ledger.tree import EMPTY_ROOT
from carnet.model.errors import Malformed, Unverified

# C2SP tlog-cosignature, the example at its head (without the last line, that of tlog-checkpoint); no keys are
# published for it.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1g"
    "GzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyi"
    "n1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
# sigsum-go, `pkg/checkpoint/checkpoint_test.go`: the key has the seed 17, 0, 0 and so on. It signs one
# checkpoint, and as a witness cosigns another at the time 1234. Then one of the Go checksum database, and its
# key.
SEED = bytes([17]) + bytes(31)
SIGSUM_ORIGIN = "sigsum.org/v1/tree/e796172b92befd62d9dc67e41c2f5bc9d3100a3023b20b1ca40288dd1c679e69"
SIGSUM_ROOT = "HA5HAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
SIGSUM = (
    f"{SIGSUM_ORIGIN}\n10\n{SIGSUM_ROOT}\n\n— {SIGSUM_ORIGIN} gJ2ho0n8F8olcerUF1FFdv235A/5as/coWrpLrtE"
    "7ovMeP5whgwouYExowG/lTznxu6OUGjjt5yJQ6bXtTcf718MqAQ=\n"
).encode()
SIGSUM_COSIGNED = f"example.org/log\n10\n{SIGSUM_ROOT}\n"
SIGSUM_LINE = (
    "— example.org/witness ys8uUAAAAAAAAATSftMzceM8zssdZ9jin9SjwIxzx9iADMf63VqirX2hafol9RsqNqbofIz0LV"
    "RqHXI2kpEBSki5RTXFtxz1vo9+Cg==\n"
)
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO = (
    "go.sum database tree\n30055305\nmXfgRcJ0bG0j3CPdKwgGWtUzBUbX67saZGRmFuJGGsM=\n\n"
    "— sum.golang.org Az3grpgEild5qw7+5dtV13Kf1C2Xurm8q4fhdxvcsDHnqNTaxL2AFjBY+2TyGKevucFcAAlWFJJYle3"
    "EJlDCrQ+y3A8=\n"
).encode()

ROOT = bytes(range(32))
ABOUT = Checkpoint(ORIGIN, 7, ROOT)
WITNESS = Ed25519Cosigner(
    "witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32)), 1_679_315_147
)
QUANTUM = MLDSA44Cosigner("witness.example/w2", MLDSA44PrivateKey.from_seed_bytes(bytes(32)), 1_790_000_000)


def cosigned(*signers, about=ABOUT):
    return checkpoint.signed(about, signers).data


def test_the_example_of_the_specification_is_read_and_written():
    found = note.parsed(EXAMPLE)
    about = checkpoint.parsed(found.text)
    assert about == Checkpoint(
        "example.com/behind-the-sofa",
        20_852_163,
        base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="),
    )
    assert about.text == found.text
    log, witness = found.signatures
    assert (log.name, len(log.signature)) == ("example.com/behind-the-sofa", 64)
    assert (witness.name, witness.key_id.hex(), len(witness.signature)) == (
        "witness.example.com/w1",
        "8d66cf3f",
        72,
    )
    assert int.from_bytes(witness.signature[:8], "big") == 1_679_315_147  # "time 1679315147" of its message


def test_a_cosignature_signs_the_message_of_the_specification():
    """C2SP tlog-cosignature, "Ed25519 signed message": that text, and nothing else, is what was signed."""
    text = note.parsed(EXAMPLE).text
    made = WITNESS.sign(text)
    message = (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    WITNESS.private.public_key().verify(made[8:], message)
    assert made[:8] == bytes.fromhex("00000000641850cb")


def test_another_implementations_checkpoint_is_made_byte_for_byte():
    signer = Ed25519Signer(SIGSUM_ORIGIN, Ed25519PrivateKey.from_private_bytes(SEED))
    about = Checkpoint(SIGSUM_ORIGIN, 10, base64.b64decode(SIGSUM_ROOT))
    assert checkpoint.signed(about, [signer]).data == SIGSUM
    assert checkpoint.opened(SIGSUM, SIGSUM_ORIGIN, [signer.verifier]).checkpoint == about


def test_another_implementations_cosignature_is_made_byte_for_byte():
    witness = Ed25519Cosigner("example.org/witness", Ed25519PrivateKey.from_private_bytes(SEED), 1234)
    (made,) = note.signed(SIGSUM_COSIGNED, [witness]).signatures
    assert made.line == SIGSUM_LINE
    assert witness.verifier.verify(SIGSUM_COSIGNED, made.signature)
    assert not witness.verifier.verify(SIGSUM_COSIGNED.replace("10", "11"), made.signature)


def test_a_real_logs_checkpoint_verifies():
    """The key's name is not the origin: the specification only says that it should be."""
    found = checkpoint.opened(GO, "go.sum database tree", [checkpoint.verifier_key(GO_KEY)])
    assert found.checkpoint.size == 30_055_305


def test_an_ml_dsa_cosignature_signs_the_structure_of_the_specification():
    """C2SP tlog-cosignature, "ML-DSA-44 signed message", put together here by hand."""
    made = QUANTUM.sign(ABOUT.text)
    at = (1_790_000_000).to_bytes(8, "big")
    message = b"subtree/v1\n\x00" + bytes([18]) + b"witness.example/w2" + at
    message += bytes([len(ORIGIN)]) + ORIGIN.encode() + bytes(8) + (7).to_bytes(8, "big") + ROOT
    assert (len(made), made[:8]) == (8 + 2420, at)
    QUANTUM.private.public_key().verify(made[8:], message)
    assert QUANTUM.verifier.verify(ABOUT.text, made)
    assert str(QUANTUM.verifier).startswith("witness.example/w2+")
    assert checkpoint.verifier_key(str(QUANTUM.verifier)) == QUANTUM.verifier


def test_log_and_witnesses_are_told_apart_with_their_times():
    found = checkpoint.opened(
        cosigned(LOG, WITNESS, QUANTUM), ORIGIN, [LOG.verifier], [WITNESS.verifier, QUANTUM.verifier]
    )
    assert found.checkpoint == ABOUT
    assert [one.key_id for one in found.signatures] == [LOG.key_id]
    assert found.cosignatures == (
        Cosignature(WITNESS.name, WITNESS.key_id, WITNESS.at),
        Cosignature(QUANTUM.name, QUANTUM.key_id, QUANTUM.at),
    )


def test_a_log_may_sign_with_ml_dsa():
    log = MLDSA44Cosigner(ORIGIN, QUANTUM.private, 0)
    found = checkpoint.opened(cosigned(log), ORIGIN, [log.verifier])
    assert (found.checkpoint, found.cosignatures) == (ABOUT, ())


def test_a_witness_never_stands_in_for_the_log():
    with pytest.raises(Unverified, match="did not sign, only witnesses did"):
        checkpoint.opened(cosigned(WITNESS, OTHER), ORIGIN, [LOG.verifier], [WITNESS.verifier])


def test_a_signature_without_a_time_is_no_cosignature():
    plain = Ed25519Signer("witness.example/w0", WITNESS.private)
    found = checkpoint.opened(cosigned(LOG, plain), ORIGIN, [LOG.verifier], [plain.verifier])
    assert (len(found.signatures), found.cosignatures) == (1, ())


def test_the_latest_time_is_a_time():
    last = Ed25519Cosigner(WITNESS.name, WITNESS.private, 2**63 - 1)
    found = checkpoint.opened(cosigned(LOG, last), ORIGIN, [LOG.verifier], [last.verifier])
    assert found.cosignatures[0].at == 2**63 - 1


def test_unknown_witnesses_say_nothing():
    found = checkpoint.opened(cosigned(LOG, WITNESS), ORIGIN, [LOG.verifier])
    assert found.cosignatures == ()


@pytest.mark.parametrize("wrong", [0, 4, 11, 12, 40, 75])
def test_a_wrong_cosignature_of_a_known_witness_refuses_the_checkpoint(wrong):
    """One changed byte in the key id makes it an unknown key's; anywhere else, a wrong signature."""
    (line,) = note.signed(ABOUT.text, [WITNESS]).signatures
    data = flipped(line.key_id + line.signature, wrong * 8)
    made = note.joined(checkpoint.signed(ABOUT, [LOG]), [Signature(WITNESS.name, data[:4], data[4:])])
    if wrong == 0:
        assert checkpoint.opened(made.data, ORIGIN, [LOG.verifier], [WITNESS.verifier]).cosignatures == ()
    else:
        with pytest.raises(Unverified, match="is wrong"):
            checkpoint.opened(made.data, ORIGIN, [LOG.verifier], [WITNESS.verifier])


@pytest.mark.parametrize("signer", [WITNESS, QUANTUM])
def test_a_cosignature_holds_for_nothing_else(signer):
    made, key = signer.sign(ABOUT.text), signer.verifier
    assert key.verify(ABOUT.text, made)
    for other in (
        Checkpoint(ORIGIN, 8, ROOT),
        Checkpoint(ORIGIN, 7, flipped(ROOT)),
        Checkpoint(ORIGIN + "x", 7, ROOT),
    ):
        assert not key.verify(other.text, made)
    assert not key.verify("no checkpoint\n", made)
    for wrong in (b"", made[:8], made[:-1], made + b"\0", made[8:], flipped(made, 63), flipped(made, 0)):
        assert not key.verify(ABOUT.text, wrong)
    assert not OTHER.verifier.verify(ABOUT.text, made)


def test_an_ml_dsa_cosignature_names_its_witness_and_an_ed25519_one_its_extensions():
    """The one signs the cosigner's name and no extension lines, the other the reverse."""
    more = Checkpoint(ORIGIN, 7, ROOT, ("more",))
    assert QUANTUM.verifier.verify(more.text, QUANTUM.sign(ABOUT.text))
    assert not WITNESS.verifier.verify(more.text, WITNESS.sign(ABOUT.text))
    renamed = MLDSA44Cosigner("witness.example/w3", QUANTUM.private, QUANTUM.at)
    assert not renamed.verifier.verify(ABOUT.text, QUANTUM.sign(ABOUT.text))


def test_one_key_of_two_types_is_two_keys():
    log = Ed25519Signer(WITNESS.name, WITNESS.private)
    assert log.key_id != WITNESS.key_id
    with pytest.raises(Unverified):
        checkpoint.opened(cosigned(log), ORIGIN, [WITNESS.verifier])


@pytest.mark.parametrize("at", [-1, 2**63, 2**64])
def test_a_time_that_is_none_is_not_signed(at):
    for signer in (Ed25519Cosigner("w", WITNESS.private, at), MLDSA44Cosigner("w", QUANTUM.private, at)):
        with pytest.raises(Malformed, match="is no time"):
            signer.sign(ABOUT.text)


def test_a_time_over_the_limit_does_not_verify():
    """ "It MUST NOT exceed 2^63 - 1"."""
    at = 2**63
    signature = WITNESS.private.sign(f"cosignature/v1\ntime {at}\n{ABOUT.text}".encode())
    assert not WITNESS.verifier.verify(ABOUT.text, at.to_bytes(8, "big") + signature)


def test_what_is_no_checkpoint_is_not_cosigned():
    for signer in (WITNESS, QUANTUM):
        with pytest.raises(Malformed):
            signer.sign("hello\n")


def test_a_cosignature_over_another_text_is_none_though_its_key_made_it():
    made = WITNESS.private.sign(f"cosignature/v1\ntime {WITNESS.at}\nhello\n".encode())
    assert not WITNESS.verifier.verify("hello\n", WITNESS.at.to_bytes(8, "big") + made)


def test_a_name_of_255_bytes_fits():
    text = Checkpoint("o" * 255, 7, ROOT).text
    assert QUANTUM.verifier.verify(text, QUANTUM.sign(text))


def test_a_name_that_does_not_fit_is_refused():
    long = Checkpoint("o" * 256, 7, ROOT)
    with pytest.raises(Malformed, match="255"):
        QUANTUM.sign(long.text)
    assert not QUANTUM.verifier.verify(long.text, QUANTUM.sign(ABOUT.text))


def test_another_logs_checkpoint_is_refused_though_it_is_signed():
    other = Checkpoint("log.example/other", 7, ROOT)
    with pytest.raises(Unverified, match=r"is of `log\.example/other`, not of `log\.example/main`"):
        checkpoint.opened(cosigned(LOG, about=other), ORIGIN, [LOG.verifier])


def test_a_foreign_or_stripped_signature_is_refused():
    made = checkpoint.signed(ABOUT, [OTHER])
    with pytest.raises(Unverified):
        checkpoint.opened(made.data, ORIGIN, [LOG.verifier])
    with pytest.raises(Malformed):
        checkpoint.opened(ABOUT.text.encode(), ORIGIN, [LOG.verifier])
    with pytest.raises(Malformed):
        checkpoint.opened(ABOUT.text.encode() + b"\n", ORIGIN, [LOG.verifier])


@pytest.mark.parametrize(("old", "new"), [("\n7\n", "\n8\n"), ("AAEC", "AAED"), ("main\n7", "main2\n7")])
def test_an_altered_size_root_or_origin_is_refused(old, new):
    data = cosigned(LOG).decode()
    assert old in data
    with pytest.raises(Unverified):
        checkpoint.opened(data.replace(old, new, 1).encode(), ORIGIN, [LOG.verifier])


ROOT64 = base64.b64encode(ROOT).decode()
BAD_TEXTS = {
    "two lines": "o\n7\n",
    "nothing": "",
    "no newline at the end": f"o\n7\n{ROOT64}",
    "no origin": f"\n7\n{ROOT64}\n",
    "no size": f"o\n\n{ROOT64}\n",
    "a zero before the size": f"o\n07\n{ROOT64}\n",
    "a sign": f"o\n+7\n{ROOT64}\n",
    "below zero": f"o\n-7\n{ROOT64}\n",
    "a space": f"o\n7 \n{ROOT64}\n",
    "an underscore": f"o\n1_0\n{ROOT64}\n",
    "other digits": f"o\n\N{ARABIC-INDIC DIGIT SEVEN}\n{ROOT64}\n",
    "hexadecimal": f"o\n0x7\n{ROOT64}\n",
    "too large": f"o\n{2**63}\n{ROOT64}\n",
    "far too large": f"o\n{'9' * 5000}\n{ROOT64}\n",
    "a short root": f"o\n7\n{base64.b64encode(ROOT[:31]).decode()}\n",
    "a long root": f"o\n7\n{base64.b64encode(ROOT + b'x').decode()}\n",
    "no base64": f"o\n7\n{ROOT64[:-1]}!\n",
    "no padding": f"o\n7\n{ROOT64[:-1]}\n",
    "an empty extension line": f"o\n7\n{ROOT64}\n\n",
    "an empty one among others": f"o\n7\n{ROOT64}\n\nx\n",
    "another root for nothing": f"o\n0\n{ROOT64}\n",
}


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(Malformed):
        checkpoint.parsed(text)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 2**63 - 1])
def test_a_checkpoint_is_written_as_it_was_read(size):
    about = Checkpoint(ORIGIN, size, ROOT if size else EMPTY_ROOT, ("one", "— two"))
    assert checkpoint.parsed(about.text) == about
    assert checkpoint.opened(cosigned(LOG, about=about), ORIGIN, [LOG.verifier]).checkpoint == about


@pytest.mark.parametrize(
    "fields",
    [
        ("", 7, ROOT),
        ("a\nb", 7, ROOT),
        ("o", -1, ROOT),
        ("o", 2**63, ROOT),
        ("o", 7, b""),
        ("o", 7, ROOT, ("",)),
    ],
)
def test_what_could_not_be_written_is_no_checkpoint(fields):
    with pytest.raises(Malformed):
        Checkpoint(*fields)
