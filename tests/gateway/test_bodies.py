"""A body is read in the one way in which every reader reads it, or not at all."""

import gzip
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.gateway.bodies import BadBody, parsed, written
from carnet.gateway.dialects import openai

KIND = "application/json"

whole = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | whole,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(whole, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(whole, plain, max_size=4)


def read(text):
    return parsed(text if isinstance(text, bytes) else text.encode(), KIND, None)


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_what_json_writes_is_read_back(body, ascii_, indent):
    assert read(json.dumps(body, ensure_ascii=ascii_, indent=indent)) == body


@given(objects)
def test_what_is_written_is_read_back_in_its_order(body):
    again = read(written(body))
    assert again == body
    assert json.dumps(again) == json.dumps(body)


class Twice(dict):
    """An object that is written with one of its keys a second time."""

    def items(self):
        return [*super().items(), *list(super().items())[:1]]


def holders(node, at=()):
    """Where in a document there are objects with a key."""
    if isinstance(node, dict):
        if node:
            yield at
        for key, each in node.items():
            yield from holders(each, (*at, key))
    elif isinstance(node, list):
        for number, each in enumerate(node):
            yield from holders(each, (*at, number))


def doubled(node, at):
    """The document with a key twice in the object at a place."""
    if not at:
        return Twice(node)
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[at[0]] = doubled(copy[at[0]], at[1:])
    return copy


def dumped(node):
    """JSON, by hand: the library would not write a key twice."""
    if isinstance(node, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{dumped(each)}" for key, each in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ",".join(dumped(each) for each in node) + "]"
    return json.dumps(node)


@given(objects.filter(bool), st.data())
def test_a_key_that_stands_twice_anywhere_is_refused(body, data):
    place = data.draw(st.sampled_from(list(holders(body))))
    assert read(dumped(body)) == body
    with pytest.raises(BadBody, match="stands twice"):
        read(dumped(doubled(body, place)))


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_a_bad_body(data):
    try:
        found = parsed(data, None, None)
    except BadBody:
        found = {}
    assert isinstance(found, dict)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"model": "a", "model": "b"}', "`model` stands twice in one object: keep one"),
        ('{"model": "a", "mod\\u0065l": "b"}', "`model` stands twice in one object: keep one"),
        ('{"a": [{"b": 1, "b": 1}]}', "`b` stands twice in one object: keep one"),
        ('{"a": NaN}', "`NaN` is not a number in JSON: leave it out"),
        ('{"a": -Infinity}', "`-Infinity` is not a number in JSON: leave it out"),
        ('{"a": 1e999}', "`1e999` is too large for a number: write a smaller one"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        ('{"\\uDFFF": 1}', "half a surrogate pair"),
        ("[1]", "the body is `list`, no object: send one JSON object"),
        ("null", "no object"),
        ("", "the body is not JSON at sign `0`, expecting value: send one JSON object"),
        ("{} {}", "extra data: end the body with its last brace"),
        ("{}\0", "extra data"),
        ('{"a": "\n"}', "invalid control character: write it as an escape"),
        ('{"a": "', "close the quotes"),
        ("{'a': 1}", "the body is not JSON"),
        ('{"a": 1,}', "the body is not JSON"),
        ('{"a": 01}', "the body is not JSON"),
        ("\ufeff{}", "byte order mark"),
        (b'{"a": "\xff"}', "byte `7` of the body is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "is not UTF-8"),
        (b'{"a": "\xc0\xaf"}', "is not UTF-8"),
        ("{}".encode("utf-16"), "is not UTF-8"),
        ('{"a":' * 101 + "1" + "}" * 101, "nested more than `100` deep"),
        ('{"a":' + "[" * 200_000, "nested more than `100` deep"),
        ('{"a":' * 200_000, "nested more than `100` deep"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(body, said):
    with pytest.raises(BadBody) as refused:
        read(body)
    assert said in str(refused.value)


def test_numbers_with_more_digits_than_any_reader_keeps_are_refused():
    assert read(f'{{"a": {10**307}}}') == {"a": 10**307}
    with pytest.raises(BadBody, match="too many digits"):
        read(f'{{"a": {"9" * 309}}}')
    with pytest.raises(BadBody, match="too many digits"):
        read(f'{{"a": -{"9" * 10_000}}}')


def test_a_hundred_levels_are_read():
    body = read('{"a":' * 100 + "1" + "}" * 100)
    for _ in range(100):
        body = body["a"]
    assert body == 1


def test_a_whole_pair_of_surrogates_is_a_sign():
    assert read('{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(
    "kind",
    [None, KIND, "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"', f"{KIND}; a=b"],
)
def test_a_body_in_json_and_utf_8_is_read(kind):
    assert parsed(b"{}", kind, "identity") == {}


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        'application/json; x="; charset=utf-16"',
        "application/json; charset*=utf-8",
        "application/json, text/plain",
        "",
    ],
)
def test_another_type_or_charset_is_refused(kind):
    with pytest.raises(BadBody, match="is not read here"):
        parsed(b"{}", kind, None)


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unknown", "identity, gzip", "identity, identity"])
def test_a_body_that_is_encoded_is_refused(encoding):
    with pytest.raises(BadBody, match="send it uncompressed"):
        parsed(gzip.compress(b"{}"), KIND, encoding)


def test_compressed_bytes_that_say_nothing_of_it_are_refused():
    with pytest.raises(BadBody):
        read(gzip.compress(b'{"model": "a"}'))


def asked(body):
    return openai.read("POST", "/v1/chat/completions", {}, read(body))


def test_a_model_after_a_hundred_kibibytes_is_found():
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 102_400}], "model": "gpt-late"})
    assert asked(body).model == "gpt-late"


def test_a_model_whose_key_is_escaped_is_found():
    assert asked('{"mod\\u0065l": "gpt-\\u0078"}').model == "gpt-x"


def test_a_decoy_is_not_the_model():
    call = asked('{"metadata": {"model": "decoy"}, "model": "gpt-x"}')
    assert call.model == "gpt-x"
    assert [each.where for each in call.references] == ["/metadata/model"]


@pytest.mark.parametrize("key", ["Model", "MODEL", "model\\u0000x", " model", "model "])
def test_a_key_that_a_lenient_reader_takes_for_the_model_is_refused(key):
    with pytest.raises(BadBody, match="could be read as `model`"):
        asked(f'{{"model": "gpt-x", "{key}": "other"}}')


def test_only_json_is_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        written({"a": math.nan})
