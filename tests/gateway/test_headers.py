"""Headers go on and come back as they are, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.gateway.headers import BadHeaders, back, checked, onward, value

names = st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12).map(str.encode)
headers = st.lists(st.tuples(names, values), max_size=8)

ORDINARY = [(b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01"), (b"accept", b"a")]
BETWEEN = [
    b"Connection",
    b"keep-alive",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"transfer_encoding",
    b"Upgrade",
    b"HTTP2-Settings",
    b"Proxy-Authorization",
    b"proxy_connection",
    b"X-Carnet-End-User",
    b"x_carnet_pass",
    b"x-carnet-anything",
]
ACCOUNTS = [
    b"Authorization",
    b"X-API-Key",
    b"x_api_key",
    b"api-key",
    b"x-goog-api-key",
    b"Cookie",
    b"OpenAI-Organization",
    b"openai_project",
    b"Host",
    b"Content-Length",
    b"Expect",
]


@pytest.mark.parametrize("name", BETWEEN + ACCOUNTS)
def test_what_is_between_neighbours_or_says_on_whose_account_does_not_go_on(name):
    assert onward([*ORDINARY, (name, b"1")]) == ORDINARY


@pytest.mark.parametrize("name", [*BETWEEN, b"Set-Cookie", b"set_cookie", b"Set-Cookie2"])
def test_what_is_between_neighbours_and_cookies_do_not_come_back(name):
    assert back([*ORDINARY, (name, b"1")]) == ORDINARY


def test_what_connection_names_goes_neither_way():
    named = [(b"connection", b"close, X-One ,x_two"), (b"x-one", b"1"), (b"X-Two", b"2"), *ORDINARY]
    assert onward(named) == ORDINARY
    assert back(named) == ORDINARY


def test_the_order_and_what_stands_twice_are_kept():
    twice = [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")]
    assert onward(twice) == twice
    assert back(twice) == twice


@pytest.mark.parametrize("name", [b"accept-encoding", b"Accept-Encoding", b"accept_encoding"])
def test_an_answer_that_is_to_be_changed_is_asked_for_uncompressed(name):
    assert onward([(name, b"gzip")], plain=True) == [(b"accept-encoding", b"identity")]
    assert onward([(name, b"gzip")]) == [(name.lower(), b"gzip")]


def test_the_length_goes_where_it_would_be_wrong():
    length = [(b"content-length", b"5")]
    assert back(length) == length
    assert back(length, changed=True) == back(length, status=204) == back(length, status=304) == []


@pytest.mark.parametrize(
    ("name", "held", "said"),
    [
        (b"a", b"1\r\nx-injected: 2", "`a` has a control sign in its value: leave it out"),
        (b"a", b"1\n", "control sign"),
        (b"a", b"\r", "control sign"),
        (b"a", b"\0", "control sign"),
        (b"a", b"\x7f", "control sign"),
        (b"a\r\nb", b"1", "is no name of a header: leave it out"),
        (b"a b", b"1", "is no name"),
        (b"a:", b"1", "is no name"),
        (b"", b"1", "is no name"),
        (b"a\xff", b"1", "is no name"),
        (b"a", b"\xff", "`a` is not UTF-8: send it in ASCII"),
        (b"a", b"\xc0\x8d", "is not UTF-8"),
        (b"content-length", b"+5", "is no whole number"),
        (b"content-length", b"5, 5", "is no whole number"),
        (b"Content_Length", b"1_0", "is no whole number"),
        (b"content-length", b"", "is no whole number"),
        (b"content-length", b"9" * 19, "is no whole number"),
        (b"content-length", "٣".encode(), "is no whole number"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(name, held, said):
    for read in (checked, onward, back):
        with pytest.raises(BadHeaders) as refused:
            read([*ORDINARY, (name, held)])
        assert said in str(refused.value)
        assert held.decode("latin-1") not in str(refused.value) or not held


@pytest.mark.parametrize("second", [(b"Content_Length", b"5"), (b"transfer-encoding", b"chunked")])
def test_a_second_word_about_the_length_is_refused(second):
    with pytest.raises(BadHeaders, match=r"stands? t"):
        checked([(b"content-length", b"5"), second])


def test_more_headers_than_anybody_needs_are_refused():
    checked([(b"a", b"1")] * 100)
    with pytest.raises(BadHeaders, match="`101` headers are too many"):
        checked([(b"a", b"1")] * 101)
    checked([(b"a", b"1" * 65_535)])
    with pytest.raises(BadHeaders, match="`65537` bytes of headers"):
        checked([(b"a", b"1" * 65_536)])


@given(headers)
def test_nothing_is_added_and_nothing_that_goes_is_altered(given_):
    try:
        checked(given_)
    except BadHeaders:
        return
    for left in (onward(given_), back(given_)):
        rest = iter([(name.lower(), held) for name, held in given_])
        assert all(one in rest for one in left)
        assert not any(name.startswith(b"x-carnet-") for name, _ in left)


@given(headers)
def test_to_pass_on_twice_is_to_pass_on_once(given_):
    try:
        once = onward(given_)
    except BadHeaders:
        return
    assert onward(once) == once


def test_a_value_is_found_by_its_name_in_small_letters():
    assert value(ORDINARY, b"accept") == b"a"
    assert value([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], b"a") == b"1, 3"
    assert value(ORDINARY, b"cookie") is None
