"""Leaves: one way to be written, and nothing else is read."""

import datetime as dt
import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.records.makers import AT, KINDS, determined, one_of_each, record, revoked, uses

from carnet.model import leaf
from carnet.model.errors import Malformed
from carnet.model.leaf import MOST_REVOKED, Reference, Use, canonical, instant_text, read, references

EACH = one_of_each()
INSTANTS = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)).map(  # noqa: DTZ001 -- the strategy adds the zone
    instant_text
)
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True)
COUNTS = st.integers(0, 2**63 - 1)


def changed(kind, /, **given):
    """The JSON of a leaf with some fields set, sorted and without space."""
    plain = json.loads(canonical(EACH[kind]))
    plain.update(given)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_as_it_was_written(kind):
    data = canonical(EACH[kind])
    assert read(data) == EACH[kind]
    assert json.loads(data)["kind"] == kind
    assert json.loads(data)["format"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_canonical_form_is_json_with_sorted_keys_and_no_space(kind):
    assert changed(kind) == canonical(EACH[kind])


@given(IDS, COUNTS, INSTANTS, NAMES, NAMES, WORDS, st.dictionaries(NAMES, st.just("a" * 64), max_size=3))
def test_a_determination_of_any_content_reads_as_it_was_written(id_, boot, at, tenant, product, word, lists):
    made = determined(
        id=id_, boot=boot, at=at, tenant=tenant, product=product, event=word, reason=word, lists=lists
    )
    assert read(canonical(made)) == made


@given(
    st.lists(
        st.tuples(IDS, st.integers(1, 2**63 - 1), INSTANTS), min_size=1, max_size=20, unique_by=lambda x: x[0]
    )
)
def test_counted_uses_read_as_they_were_written(counted):
    made = uses(*(Use(*each) for each in sorted(counted)))
    assert read(canonical(made)) == made


def test_the_most_uses_with_the_longest_ids_are_a_leaf():
    longest = "2026-06-13T14:05:00.123456Z"
    counted = [Use(f"{number:0100}", 2**63 - 1, longest) for number in range(leaf.MOST_USES)]
    assert len(canonical(uses(*counted))) <= leaf.MOST_BYTES
    with pytest.raises(Malformed, match="length"):
        canonical(uses(*counted, Use("z", 1, longest)))


@pytest.mark.parametrize(
    ("number", "said"),
    [(2, "`2` is a format of leaves"), (0, "`0` is a format"), (10**30, "is a format of leaves")],
)
def test_an_unknown_format_is_refused_and_the_known_ones_named(number, said):
    with pytest.raises(Malformed, match=said) as raised:
        read(changed("all_ended", format=number))
    assert "only `1`" in str(raised.value)
    assert "newer" in str(raised.value)


def test_an_unknown_format_is_said_to_be_one_whatever_else_is_in_the_leaf():
    with pytest.raises(Malformed, match="`9` is a format of leaves"):
        read(b'{"format":9,"kind":"told_by_nobody","new":{"field":1}}')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"format":1',
        b'{"kind":"all_ended"}',
        b"\xff\xfe",
        b'{"format":1.5,"kind":"all_ended"}',
        b'{"format":true}',
        b"[" * 60_000,
        b'{"format":1,"x":' + b"[" * 60_000,
        b" " * 70_000,
    ],
    ids=lambda data: data[:12].decode("latin-1"),
)
def test_what_is_no_leaf_is_malformed(data):
    with pytest.raises(Malformed):
        read(data)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("all_ended", {"kind": "head"}),
        ("all_ended", {"kind": "AllEnded"}),
        ("all_ended", {"nationality": "FR"}),
        ("all_ended", {"id": ""}),
        ("all_ended", {"id": "two words"}),
        ("all_ended", {"id": "rec-1\n"}),
        ("all_ended", {"at": "2026-06-13"}),
        ("all_ended", {"at": "2026-06-13T14:00:00+00:00"}),
        ("all_ended", {"at": "2026-06-13T14:00:00.500000z"}),
        ("all_ended", {"at": "2026-06-13T14:00:00.000000Z"}),
        ("all_ended", {"at": "2026-06-13T10:00:00-04:00"}),
        ("all_ended", {"at": "2026-13-01T00:00:00Z"}),
        ("all_ended", {"boot": -1}),
        ("all_ended", {"boot": 2**63}),
        ("all_ended", {"boot": "1"}),
        ("all_ended", {"why": "because"}),
        ("determination", {"event": "FR"}),
        ("determination", {"subject": "somebody"}),
        ("determination", {"subject": "a" * 32 + "\n"}),
        ("determination", {"commitment": "A" * 64}),
        ("determination", {"commitment": "a" * 65}),
        ("determination", {"event": "remote_access\n"}),
        ("determination", {"retention": "for ever"}),
        ("determination", {"evidence": [{"source": "passport", "level": "S3", "until": None}]}),
        ("determination", {"evidence": [{"source": "credential", "level": "S4", "until": "soon"}]}),
        (
            "determination",
            {"evidence": [{"source": "credential", "level": "S4", "until": None, "value": "US"}]},
        ),
        ("uses", {"uses": []}),
        ("uses", {"uses": [{"grant": "a", "count": 0, "last": AT}]}),
        ("uses", {"uses": [{"grant": "b", "count": 1, "last": AT}, {"grant": "a", "count": 1, "last": AT}]}),
        ("uses", {"uses": [{"grant": "a", "count": 1, "last": AT}, {"grant": "a", "count": 1, "last": AT}]}),
        ("hold", {"subject": "everybody"}),
        ("noticed", {"figures": {"who": "somebody"}}),
        ("noticed", {"what": "Clock suspect"}),
        ("continued", {"size": -1}),
    ],
)
def test_a_wrong_value_or_field_is_malformed(kind, given):
    with pytest.raises(Malformed):
        read(changed(kind, **given))


def test_a_determination_of_another_format_within_the_leaf_is_malformed():
    plain = json.loads(canonical(EACH["determination"]))["determination"] | {"format": 2}
    with pytest.raises(Malformed, match="`2` is not the format of a determination"):
        read(changed("determination", determination=plain))


@pytest.mark.parametrize("level", [("S4", "S3"), ("S3", "S3")])
def test_evidence_out_of_order_or_twice_is_malformed(level):
    two = [{"source": "credential", "level": each, "until": None} for each in level]
    with pytest.raises(Malformed, match="`evidence` is not in order"):
        read(changed("determination", evidence=two))


def test_two_approvals_by_one_key_are_no_leaf():
    plain = json.loads(canonical(EACH["shredded"]))["approvals"]
    with pytest.raises(Malformed, match="`approvals`"):
        read(changed("shredded", approvals=[plain[0], plain[0]]))
    with pytest.raises(Malformed):
        read(changed("shredded", approvals=plain[:1]))


def rewritten(data):
    """The same JSON, written otherwise."""
    plain = json.loads(data)
    yield json.dumps(plain, sort_keys=True).encode()
    yield data + b"\n"
    yield b" " + data
    yield json.dumps(dict(reversed(plain.items())), separators=(",", ":")).encode()
    yield (
        data.replace(b'"kind":"', b'"kind":"\\u00', 1)
        if b"\\u00" in data
        else data.replace(b"rec", b"\\u0072ec", 1)
    )
    yield data[:-1] + b',"kind":"%s"}' % plain["kind"].encode()
    yield data.replace(b'"format":1,', b"", 1)
    yield b"\xef\xbb\xbf" + data


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_content_written_otherwise_is_malformed(kind):
    data = canonical(EACH[kind])
    for other in rewritten(data):
        assert other != data
        with pytest.raises(Malformed):
            read(other)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_no_byte_of_a_leaf_can_be_changed_without_a_change_of_what_it_says(kind, draw):
    data = canonical(EACH[kind])
    place, bit = draw.draw(st.integers(0, len(data) - 1)), draw.draw(st.integers(0, 7))
    other = bytearray(data)
    other[place] ^= 1 << bit
    with suppress(Malformed):
        assert read(bytes(other)) != EACH[kind]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "\ud800"},
        {"boot": -1},
        {"boot": 1.5},
        {"product": 3},
        {"evidence": [Reference("credential", "S4", None)]},
        {"event": "Élodie"},
        {"lists": {"a": "b"}},
        {"lists": {f"list-{number}": "a" * 64 for number in range(1000)}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_could_not_be_read_again_is_never_written(wrong):
    with pytest.raises(Malformed):
        canonical(determined(**wrong))


def test_a_leaf_over_the_limit_of_an_entry_is_never_written():
    rules = tuple(f"us.rule.{number:05}" for number in range(6000))
    with pytest.raises(Malformed, match="is over 65535"):
        canonical(determined(determination=record(open_rules=rules)))


def test_no_error_says_what_the_leaf_said():
    with pytest.raises(Malformed) as raised:
        read(changed("determination", subject="Élodie Marchand"))
    assert "Marchand" not in str(raised.value)


def test_references_keep_one_for_each_source_and_level_with_the_earliest_end():
    early, late = "2026-07-01T00:00:00Z", "2026-07-01T00:00:00.500000Z"
    used = [
        Reference("document_check", "S3", late),
        Reference("credential", "S4", None),
        Reference("document_check", "S3", None),
        Reference("document_check", "S3", early),
        Reference("credential", "S4", None),
    ]
    kept = (Reference("credential", "S4", None), Reference("document_check", "S3", early))
    assert references(used) == kept
    assert canonical(determined(evidence=references(used)))


@given(INSTANTS)
def test_an_instant_is_written_in_one_way_whatever_its_zone(text):
    at = dt.datetime.fromisoformat(text)
    assert instant_text(at.astimezone(dt.timezone(dt.timedelta(hours=-4)))) == text


def test_an_approval_covers_every_part_of_the_order():
    order = EACH["shredded"].order
    texts = {order.text}
    for name, other in (
        ("vault", "ab" * 16),
        ("subject", "cd" * 16),
        ("retention", "ofac"),
        ("key", "ef" * 8),
    ):
        texts.add(msgspec.structs.replace(order, **{name: other}).text)
    assert len(texts) == 5
    assert order.text.endswith("\n")


@pytest.mark.parametrize(
    "other", [{"action": "ask"}, {"action": "cut"}, {"purpose": "inquiry"}, {"controlled": False}]
)
def test_only_a_served_use_of_a_controlled_item_has_a_grant(other):
    assert canonical(determined(grant=None, **other))
    with pytest.raises(Malformed, match="has a grant and is no served use"):
        determined(**other)


def test_a_revocation_of_the_most_grants_with_the_longest_ids_fits_a_leaf():
    ids = [f"{number:0100d}" for number in range(MOST_REVOKED)]
    assert read(canonical(revoked(*ids))).grants == tuple(ids)
    with pytest.raises(Malformed):
        canonical(revoked(*ids, "1" * 100))


def test_tasks_that_were_done_are_in_order_each_once():
    assert canonical(determined(done=("notify", "sign")))
    with pytest.raises(Malformed, match="`done` is not in order"):
        determined(done=("sign", "notify"))
