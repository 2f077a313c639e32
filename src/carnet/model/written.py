"""How one fact is written in a transaction: short, as a dated and assured `Fact`, or as what is known of it.
What a fact comes to at an instant is in `carnet.model.view`."""

import datetime as dt
from decimal import Decimal, InvalidOperation, localcontext
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from carnet.model.errors import InputError
from carnet.model.plain import short

T = TypeVar("T")

Level = Literal["S0", "S1", "S2", "S3", "S4"]
"""Assurance: none, the person's own word, the employer's, a document check, a holder-bound credential."""

LEVELS: tuple[Level, ...] = ("S0", "S1", "S2", "S3", "S4")

StatedCause = Literal["missing", "stale", "conflict", "unclear"]
"""Why whoever wrote the transaction could not say a value."""

Instant = Annotated[dt.datetime, Meta(tz=True)]
Country = Annotated[
    str, Meta(pattern=r"^[A-Z]{2}$", description="A country's id, two capital letters, such as `FR`.")
]
Id = Annotated[str, Meta(min_length=1, max_length=200)]
Day = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$",
        description="A date as far as it is known: `2025`, `2025-05`, `2025-05-15`.",
    ),
]


class StatusSince(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One citizenship or permanent residency. `since` is the day it was gained, as far as it is known;
    left out, it may have been any day. 15 CFR 734.13(b), 734.14(b)."""

    country: Country
    kind: Literal["citizenship", "permanent_residency"] = "citizenship"
    since: Day | None = None


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every written-out fact may say beside its value.

    `assurance` is the level that the source reached; left out, whoever hands in the transaction vouches
    for the fact at whatever level is needed, as for a short value. `recorded` is since when it is known
    to them, left out: always. It is valid from `valid_from` to `valid_until` (half-open) and to be
    proved anew from `expires` on. `unknown` says that no value is known, and why.
    """

    source: Id | None = None
    assurance: Level | None = None
    observed: Instant | None = None
    recorded: Instant | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    expires: Instant | None = None
    unknown: StatedCause | None = None

    def _check(self, forms: tuple[str, ...]) -> None:
        given = [name for name in forms if getattr(self, name) is not None]
        if len(given) != 1:
            names = ", ".join(f"`{name}`" for name in forms)
            raise ValueError(f"write exactly one of {names}, not {len(given)}")
        if given == ["facts"] and self._dressed():
            raise ValueError("`facts` stands alone: source, assurance and dates belong to each fact in it")
        if (
            self.valid_from is not None
            and self.valid_until is not None
            and self.valid_from >= self.valid_until
        ):
            raise ValueError("`valid_until` is not after `valid_from`: the fact is never valid")

    def plain(self) -> bool:
        """Whether it is claimed without an assurance level and for all time."""
        return all(getattr(self, name) is None for name in _DRESS if name not in ("source", "observed"))

    def _dressed(self) -> bool:
        return any(getattr(self, name) is not None for name in _DRESS)


_DRESS = ("source", "assurance", "observed", "recorded", "valid_from", "valid_until", "expires")


class Fact(Evidence, Generic[T], frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fact of one value: exactly one of `value`, `candidates` (one of these, not known which),
    `unknown`, or `facts` (what several sources say). Raises ValueError if it is not exactly one."""

    value: T | None = None
    candidates: tuple[T, ...] | None = None
    facts: "tuple[Fact[T], ...] | None" = None

    def __post_init__(self) -> None:
        self._check(("value", "candidates", "unknown", "facts"))
        if self.candidates is not None and len(self.candidates) < 2:
            raise ValueError("`candidates` needs at least two values: write a single one as `value`")
        _flat(self.facts)


class SetFact(
    Evidence, Generic[T], frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A fact with members: `value` is complete, `some` is not known to be; else `unknown` or `facts`.
    Raises ValueError if it is not exactly one."""

    value: tuple[T, ...] | None = None
    some: tuple[T, ...] | None = None
    facts: "tuple[SetFact[T], ...] | None" = None

    def __post_init__(self) -> None:
        self._check(("value", "some", "unknown", "facts"))
        _flat(self.facts)


def _flat(facts: "tuple[Fact[T], ...] | tuple[SetFact[T], ...] | None") -> None:
    if facts is not None and (not facts or any(fact.facts is not None for fact in facts)):
        raise ValueError("`facts` needs at least one fact, and none of them `facts` again")


def number(text: Decimal | int | str, unit: str = "1") -> int:
    """A number in whole units, exactly: `number("1.5e26", "1e18")` is 150000000.

    Raises InputError if it is not a number, not a whole number of the unit, or beyond 64 bits.
    """
    try:
        value, step = Decimal(text), Decimal(unit)
    except InvalidOperation:
        raise InputError(
            f"`{short(str(text))}` is not a number: write it like `12`, `0.5` or `1.5e26`"
        ) from None
    if value.is_nan():
        raise InputError(f"`{text}` is not a number: leave the fact out if it is not known")
    shown = short(f"{value:E}" if len(str(text)) > 60 else str(text))
    if not value.is_finite() or (value and value.adjusted() - step.adjusted() > 19):
        raise InputError(f"`{shown}` is too large: it must fit 64 bits in units of {unit}")
    with localcontext() as context:
        context.prec = max(60, len(value.as_tuple().digits) + 30)
        count = value / step
    if count != count.to_integral_value() or (value and not count):
        raise InputError(f"`{shown}` is not a whole number of {unit}: round it the careful way first")
    if not -(2**63) <= count < 2**63:
        raise InputError(f"`{shown}` is too large: it must fit 64 bits in units of {unit}")
    return int(count)
