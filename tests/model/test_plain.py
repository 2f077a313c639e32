"""What is wrong with a text as such."""

import pytest

from carnet.model.plain import foreign_signs, hidden, odd_name, printable, short, too_deep, too_long


@pytest.mark.parametrize(
    "name",
    [
        "acme",
        "anthropic/claude-mythos-5",
        "NS 1",
        "Müller & Söhne",
        "Иван",
        "GPT-\u03b1",
        "東京AI",
        "$(touch x)",
        "Ω",
    ],
)
def test_a_name_that_can_be_seen_and_told_apart_is_one(name):
    assert odd_name(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty: write a name, or leave it out"),
        ("  ", "is empty: write a name, or leave it out"),
        ("acme ", "begins or ends with a space: remove it"),
        ("\u00a0acme", "begins or ends with a space: remove it"),
        ("a\u200bcme", "has a sign that nobody sees, `\\u200b`: leave it out"),
        ("a\ncme", "has a sign that nobody sees, `\\n`: leave it out"),
        ("a\ud800", "has a sign that nobody sees, `\\ud800`: leave it out"),
        ("\u0430cme", "has a sign of another alphabet, `\u0430` (U+0430): write it anew"),
        ("claude-myth\u03bfs-5", "has a sign of another alphabet, `\u03bf` (U+03BF): write it anew"),
        ("\u0418\u0432\u03b1\u043d", "has a sign of another alphabet, `\u03b1` (U+03B1): write it anew"),
    ],
)
def test_a_name_that_would_never_be_met_is_odd(name, why):
    assert odd_name(name) == why


def test_what_is_shown_is_one_line_that_does_nothing():
    assert printable("a\x1b[31m\nb\u202e\udcff") == "a\\x1b[31m\\nb\\u202e\\udcff"
    assert short("a\n  b") == "a b"
    assert short("x" * 61) == "x" * 59 + "…"
    assert hidden("all of it") is None


def test_letters_that_look_alike_are_told_by_their_number():
    assert foreign_signs("us_status") == ""
    assert foreign_signs("us_st\u0430tus") == " (`\u0430` is U+0430)"


def test_what_is_too_long_or_too_deep_is_found_on_its_line():
    assert too_long("a = 1\nb = " + "1" * 5000) == (2, "1" * 19 + "…")
    assert too_long("1" * 4000) is None
    assert too_deep("a\n" + "[" * 101) == 2
    assert too_deep("[]" * 500) == 1
