"""A signed note is what C2SP signed-note says, and nothing else."""

import base64
import contextlib
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.memory import LOG, OTHER, flipped

from carnet.ledger import note
from carnet.ledger.note import Ed25519Signer, Note, Signature
from carnet.model.errors import Malformed, Unverified

# C2SP signed-note, its example with a verifier key (C2SP/C2SP at d4c16da5e768, `signed-note.md#example`).
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlT"
    "gK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
# C2SP signed-note, the note at its head; its key is not published.
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj9"
    "9ihAQwaqP3ZekRwNtIc=\n"
).encode()
# golang.org/x/mod, sumdb/note, `note_test.go`: the reference implementation's keys, note and bad messages.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFY"
    "C2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aG"
    "rQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
BROKEN_LINE = PETER_LINE.replace("RyyBwJnAM=", "RyyBwJnBM=")


def whole(*lines, text=TEXT):
    return f"{text}\n{''.join(lines)}".encode()


def keys(*texts):
    return [note.verifier_key(text) for text in texts]


def test_the_example_of_the_specification_verifies():
    found = note.verified(SPEC_NOTE, keys(SPEC_KEY))
    assert found.text == "This is an example message.\n"
    assert [one.name for one in found.signatures] == ["example.com/foo"]


def test_the_note_at_the_head_of_the_specification_is_read():
    """Its text has an empty line: the last one divides."""
    found = note.parsed(POEM)
    assert found.text.endswith("\n\ned è subito sera.\n")
    (line,) = found.signatures
    assert (line.name, len(line.signature)) == ("quasimodo.example/salvatore", 64)
    assert found.data == POEM


@pytest.mark.parametrize("text", [SPEC_KEY, PETER, ENOCH])
def test_a_public_key_is_written_as_it_was_read(text):
    assert str(note.verifier_key(text)) == text


def test_the_key_id_is_that_of_the_specification():
    public = base64.b64decode(PETER.rpartition("+")[2])
    assert (
        note.key_id("PeterNeumann", 1, public[1:]) == hashlib.sha256(b"PeterNeumann\n" + public).digest()[:4]
    )
    assert note.verifier_key(PETER).key_id.hex() == "c74f20a3"


def test_signing_gives_the_reference_note_byte_for_byte():
    """Ed25519 is deterministic (RFC 8032)."""
    signer = Ed25519Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(PETER_SEED))
    assert note.signed(TEXT, [signer]).data == whole(PETER_LINE)
    assert str(signer.verifier) == PETER


def test_signatures_of_unknown_keys_are_ignored_and_told():
    found = note.verified(whole(PETER_LINE, ENOCH_LINE), keys(PETER))
    assert [one.name for one in found.signatures] == ["PeterNeumann"]
    assert [one.name for one in found.unknown] == ["EnochRoot"]
    both = note.verified(whole(PETER_LINE, ENOCH_LINE), keys(PETER, ENOCH))
    assert ([one.name for one in both.signatures], both.unknown) == (["PeterNeumann", "EnochRoot"], ())


@pytest.mark.parametrize("known", [[], [ENOCH], [SPEC_KEY]])
def test_without_a_known_signature_there_is_no_text(known):
    with pytest.raises(Unverified, match=r"no known key signed the note, only `PeterNeumann\+c74f20a3`"):
        note.verified(whole(PETER_LINE), keys(*known))


def test_a_key_with_the_same_name_or_the_same_id_is_another():
    """Unknown keys are ignored "even if they share a name or ID (but not both) with a known key"."""
    line = note.signature_line(PETER_LINE[:-1])
    for other in (
        Signature("PeterNeumann", b"\0\0\0\0", line.signature),
        Signature("Peter", line.key_id, line.signature),
    ):
        found = note.verified(whole(other.line, PETER_LINE), keys(PETER))
        assert found.unknown == (other,)
        with pytest.raises(Unverified):
            note.verified(whole(other.line), keys(PETER))


@pytest.mark.parametrize(
    "lines", [[BROKEN_LINE], [PETER_LINE, BROKEN_LINE], [BROKEN_LINE, PETER_LINE], [ENOCH_LINE, BROKEN_LINE]]
)
def test_a_wrong_signature_of_a_known_key_refuses_the_note(lines):
    """Also when a right one of the same key is beside it: each of them is checked."""
    with pytest.raises(Unverified, match=r"the signature of `PeterNeumann\+c74f20a3` is wrong"):
        note.verified(whole(*lines), keys(PETER, ENOCH))


def test_a_changed_text_is_refused():
    with pytest.raises(Unverified):
        note.verified(whole(PETER_LINE, text=TEXT.replace("answer", "Answer")), keys(PETER))


def test_a_line_that_is_there_twice_counts_once():
    assert len(note.verified(whole(PETER_LINE, PETER_LINE, ENOCH_LINE), keys(PETER)).signatures) == 1
    assert note.parsed(whole(PETER_LINE, PETER_LINE)).data == whole(PETER_LINE)


def test_two_keys_with_one_name_and_id_are_not_guessed_between():
    key = note.verifier_key(PETER)

    class Double:
        name, key_id = key.name, key.key_id

        def verify(self, text, signature):
            return True

    with pytest.raises(Unverified, match="two known keys"):
        note.verified(whole(PETER_LINE), [key, Double()])
    assert note.verified(whole(PETER_LINE), [key, note.verifier_key(PETER)])  # the same one twice is no doubt


@pytest.mark.parametrize("count", [16, 100])
def test_many_signatures_are_accepted(count):
    extra = [Signature(f"key{at}", b"1234", b"x" * 2428).line for at in range(count - 1)]
    assert len(note.verified(whole(*extra, PETER_LINE), keys(PETER)).unknown) == count - 1


HEAD = TEXT + "\n"
BAD_NOTES = {
    "no signatures": TEXT.encode(),
    "an empty block": HEAD.encode(),
    "only an empty line": b"\n\n",
    "nothing": b"",
    "cut before the last newline": (HEAD + PETER_LINE[:-1]).encode(),
    "a control character": ("\x01" + HEAD + PETER_LINE).encode(),
    "a carriage return": (TEXT + "\r\n\n" + PETER_LINE).encode(),
    "a tab in the text": ("a\tb\n\n" + PETER_LINE).encode(),
    "a null": ("a\0b\n\n" + PETER_LINE).encode(),
    "no UTF-8": b"\xff" + (HEAD + PETER_LINE).encode(),
    "a surrogate": b"\xed\xa0\x80\n\n" + PETER_LINE.encode(),
    "a space in the name": (HEAD + PETER_LINE.replace("PeterNeumann", "Bad Name")).encode(),
    "a no-break space in the name": (HEAD + PETER_LINE.replace("PeterNeumann", "Bad\u00a0Name")).encode(),
    "a plus in the name": (HEAD + PETER_LINE.replace("PeterNeumann", "Bad+Name")).encode(),
    "no name": (HEAD + PETER_LINE.replace("PeterNeumann", "")).encode(),
    "a line after the signatures": (HEAD + PETER_LINE + "Unexpected line.\n").encode(),
    "an empty line among them": (HEAD + PETER_LINE + "\n" + PETER_LINE[:-1]).encode(),
    "a hyphen for the dash": (HEAD + PETER_LINE.replace("—", "-")).encode(),
    "an en dash": (HEAD + PETER_LINE.replace("—", "\N{EN DASH}")).encode(),
    "no space after the dash": (HEAD + PETER_LINE.replace("— ", "—")).encode(),
    "two spaces": (HEAD + PETER_LINE.replace(" x08", "  x08")).encode(),
    "a space at the end": (HEAD + PETER_LINE[:-1] + " \n").encode(),
    "no base64": (HEAD + "— PeterNeumann x08go!\n").encode(),
    "no padding": (HEAD + PETER_LINE.replace("AM=", "AM")).encode(),
    "other padding bits": (HEAD + PETER_LINE.replace("AM=", "AN=")).encode(),
    "base64 for URLs": (HEAD + "— PeterNeumann x08go__Z\n").encode(),
    "an id and nothing after it": (HEAD + "— PeterNeumann x08gow==\n").encode(),
    "101 signatures": (HEAD + PETER_LINE * 101).encode(),
    "over a million bytes": ("a" * 1_000_000 + "\n\n" + PETER_LINE).encode(),
}


@pytest.mark.parametrize("data", BAD_NOTES.values(), ids=BAD_NOTES)
def test_what_is_no_signed_note_is_refused(data):
    with pytest.raises(Malformed):
        note.verified(data, keys(PETER))


def test_every_cut_and_every_other_bit_of_a_note_is_refused():
    data = whole(PETER_LINE)
    known = keys(PETER)
    for end in range(len(data)):
        with pytest.raises((Malformed, Unverified)):
            note.verified(data[:end], known)
    for bit in range(len(data) * 8):
        with pytest.raises((Malformed, Unverified)):
            note.verified(flipped(data, bit), known)


def test_every_part_and_every_change_of_a_public_key_is_refused():
    """As the reference implementation's `TestNewVerifier`."""
    for start in range(len(PETER) + 1):
        for end in range(start, len(PETER) + 1):
            if (start, end) != (0, len(PETER)):
                with pytest.raises(Malformed):
                    note.verifier_key(PETER[start:end])
    for at in range(len(PETER)):
        with pytest.raises(Malformed):
            note.verifier_key(PETER[:at] + chr(ord(PETER[at]) + 1) + PETER[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long, id adjusted
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # unknown type, id adjusted
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("c74f20a3", " c74f20a"),
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER + "=",
        PETER + "\n",
        "PeterNeumann+c74f20a3+",
        "",
        "++",
    ],
)
def test_a_public_key_that_is_none_is_refused(text):
    with pytest.raises(Malformed):
        note.verifier_key(text)


@pytest.mark.parametrize("text", ["", "abc", "a\tb\n", "a\r\n"])
def test_what_is_no_text_of_a_note_is_not_signed(text):
    with pytest.raises(Malformed):
        note.signed(text, [LOG])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\x1fb"])
def test_what_is_no_name_of_a_key_does_not_sign(name):
    with pytest.raises(Malformed):
        note.signed(TEXT, [Ed25519Signer(name, LOG.private)])


def test_messages_say_what_is_wrong_and_what_to_do():
    with pytest.raises(Malformed) as raised:
        note.verifier_key("hello")
    assert str(raised.value) == "`hello` is not a public key: write `name+id+base64`, the id in 8 hex digits"
    with pytest.raises(Malformed) as raised:
        note.parsed(b"a\tb\n\n" + PETER_LINE.encode())
    assert str(raised.value) == "the note has the control character `\\t`: leave it out"
    with pytest.raises(Malformed) as raised:
        note.verifier_key(PETER.replace("+AR", "+ZR"))
    assert str(raised.value).endswith("has a signature type that is not known here: use `Ed25519`")


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33)])
def test_a_public_key_of_another_length_is_refused(public):
    name = f"a+{note.key_id('a', 1, public).hex()}+{note.encoded(bytes([1]) + public)}"
    with pytest.raises(Malformed, match="Ed25519 has 32"):
        note.verifier_key(name)


def test_the_limit_of_bytes_is_the_last_that_is_read():
    signer = Ed25519Signer("a", LOG.private)
    rest = len(note.signed("\n", [signer]).data)
    made = note.signed("x" * (1_000_000 - rest) + "\n", [signer])
    assert len(made.data) == 1_000_000
    assert note.verified(made.data, [signer.verifier]).text == made.text
    with pytest.raises(Malformed, match="a note of 1000001 bytes is over 1000000"):
        note.parsed(b"x" + made.data)


def test_a_note_without_an_empty_line_has_no_signatures():
    with pytest.raises(Malformed, match="the note has no signatures"):
        note.parsed((TEXT + PETER_LINE).encode())


def test_nobody_signs_no_note():
    with pytest.raises(Malformed, match="give a signer"):
        note.signed(TEXT, [])


def test_signatures_are_added_without_a_repeat():
    made = note.signed(TEXT, [LOG])
    more = note.joined(made, [*note.signed(TEXT, [OTHER]).signatures, *made.signatures])
    assert [one.key_id for one in more.signatures] == [LOG.key_id, OTHER.key_id]
    assert note.verified(more.data, [LOG.verifier, OTHER.verifier]).unknown == ()


NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), blacklist_characters="+"), min_size=1
)
LINES = st.builds(Signature, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.just("\n"), max_size=60).map(
    lambda text: text + "\n"
)


@given(TEXTS, st.lists(LINES, min_size=1, max_size=4, unique=True))
@settings(max_examples=150, deadline=None)
def test_a_note_is_written_as_it_was_read(text, lines):
    made = Note(text, tuple(lines))
    assert note.parsed(made.data) == made


@given(st.binary(max_size=200) | st.text(max_size=120).map(lambda text: whole(PETER_LINE, text=text)))
@settings(max_examples=200, deadline=None)
def test_no_bytes_end_in_another_error_or_another_text(data):
    with contextlib.suppress(Malformed, Unverified):
        assert note.verified(data, keys(PETER)).text == TEXT
