"""The file form: one for the same members, read by every program that reads ZIP files; no other is taken."""

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carnet.ledger.archive import Archive, packed
from carnet.model.errors import Absent, Malformed

MEMBERS = [("a/b.txt", b"hello"), ("b", b""), ("cé", b"x" * 1000)]


def whole(members):
    return b"".join(packed(members))


def refused(data):
    try:
        found = Archive(memoryview(bytes(data)))
        for name in found.members:
            found.read(name)
    except Malformed:
        return True
    return False


names = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=("C", "Z")), min_size=1
    ).filter(lambda name: name.strip(".") and name.isprintable() and len(name) < 200),
    unique=True,
    min_size=1,
    max_size=5,
)


@settings(max_examples=60)
@given(names, st.data())
def test_what_is_packed_is_read_again_here_and_by_others(given_names, data):
    members = [(name, data.draw(st.binary(max_size=300))) for name in sorted(given_names)]
    made = whole(members)
    found = Archive(memoryview(made))
    assert [(name, found.read(name)) for name in found.names()] == members
    with zipfile.ZipFile(io.BytesIO(made)) as other:
        assert other.testzip() is None
        assert [(info.filename, other.read(info)) for info in other.infolist()] == members
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in other.infolist())


def test_every_flipped_bit_is_refused():
    made = whole(MEMBERS)
    accepted = []
    for bit in range(8 * len(made)):
        changed = bytearray(made)
        changed[bit // 8] ^= 1 << bit % 8
        if not refused(changed):
            accepted.append(bit)
    assert accepted == []


def test_every_cut_and_every_byte_more_is_refused():
    made = whole(MEMBERS)
    assert not refused(made)
    assert all(refused(made[:end]) for end in range(len(made)))
    assert refused(made + b"\0")
    assert refused(b"x" + made)


def test_the_same_members_in_another_form_are_refused():
    for options in ({"compression": zipfile.ZIP_DEFLATED}, {"compression": zipfile.ZIP_STORED}):
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w", **options) as file:
            for name, data in MEMBERS:
                file.writestr(name, data)
        assert refused(other.getvalue())


@pytest.mark.parametrize(
    "members",
    [
        [("b", b""), ("a", b"")],
        [("a", b"1"), ("a", b"2")],
        [("../a", b"")],
        [("/a", b"")],
        [("a//b", b"")],
        [("a\\b", b"")],
        [("a\nb", b"")],
        [("", b"")],
        [("x" * 501, b"")],
    ],
    ids=str,
)
def test_names_that_lead_elsewhere_or_are_not_in_order_are_not_packed(members):
    with pytest.raises(Malformed):
        whole(members)


def test_no_members_and_a_member_that_is_not_there():
    assert refused(whole([]))
    with pytest.raises(Absent, match="has no `d`"):
        Archive(memoryview(whole(MEMBERS))).read("d")


def test_more_than_there_is_room_for_is_refused_before_it_is_written():
    with pytest.raises(Malformed, match="export a smaller range"):
        list(packed((f"{number:09d}", b"") for number in range(70_000)))
