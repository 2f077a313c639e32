"""Numbers are exact, in whole units, and fit 64 bits."""

from decimal import Decimal

import pytest

from carnet.model.errors import InputError
from carnet.model.written import number


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ("1.5e26", "1e18", 150_000_000),
        ("99999999e18", "1e18", 99_999_999),
        (Decimal("1E+26"), "1e18", 10**8),
        (10**26, "1e18", 10**8),
        ("0", "1e18", 0),
        ("0e-30", "1", 0),
        ("-3", "1", -3),
        (str(2**63 - 1), "1", 2**63 - 1),
        (str(-(2**63)), "1", -(2**63)),
        ("9223372036854775807e18", "1e18", 2**63 - 1),
        ("0.5", "0.1", 5),
    ],
)
def test_a_number_is_counted_in_its_unit(text, unit, count):
    assert number(text, unit) == count


@pytest.mark.parametrize("text", [str(2**63), str(-(2**63) - 1), "1e19", "1e999999", "Infinity", "-Infinity"])
def test_a_number_beyond_64_bits_is_refused(text):
    with pytest.raises(InputError, match=r"is too large: it must fit 64 bits"):
        number(text)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1.5", "1"),
        ("1e17", "1e18"),
        ("1e-999999", "1"),
        ("1e-999999999", "1e18"),
        ("1" * 18 + "." + "0" * 60 + "1", "1"),
    ],
)
def test_a_number_between_units_is_refused(text, unit):
    with pytest.raises(InputError, match="is not a whole number of"):
        number(text, unit)


def test_what_is_no_number_is_refused():
    with pytest.raises(InputError, match="`many` is not a number"):
        number("many")
    with pytest.raises(InputError, match="`NaN` is not a number: leave the fact out if it is not known"):
        number("NaN")


def test_a_number_of_many_digits_is_quoted_in_a_few():
    with pytest.raises(InputError) as caught:
        number("1" * 4000)
    assert len(str(caught.value)) < 130
