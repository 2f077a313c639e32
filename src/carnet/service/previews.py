"""What a directive would do to whom: the same transactions decided under the law as it is and with the
directive, and the changes counted. No name and no fact of anybody is in it. Which transactions is up to the
caller; the words are in `carnet.cli.directive`."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from carnet.model.errors import CarnetError, InputError
from carnet.model.facts import Partial, Statuses, Values
from carnet.model.transaction import Transaction
from carnet.policy.enforcement import Policy, Surface, act_on
from carnet.rules.lists import column_id
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import ResolvedList, slice_at
from carnet.service.law import Law

Group = Literal["E", "D:5", "D", "other", "B", "A", "A:5", "US", "unknown"]

_GROUPS: tuple[tuple[Group, tuple[str, ...]], ...] = (
    ("E", ("E:1", "E:2")),
    ("D:5", ("D:5",)),
    ("D", ("D:1", "D:2", "D:3", "D:4")),
    ("A:5", ("A:5",)),
    ("A", ("A:1", "A:2", "A:3", "A:4", "A:6")),
    ("B", ("B",)),
)
"""Country groups (15 CFR part 740, Supp. 1), the first that a country is in."""

_STRICTEST: tuple[Group, ...] = ("E", "D:5", "D", "other", "B", "A", "A:5", "US", "unknown")
_US = "us.ear.772.1.united-states"
_TABLE = "us.ear.740.supp-1"
_COUNTRIES = ("recipient.location", "recipient.nationalities", "recipient.incorporated")
_PLACES = ("transaction.sent_to", "transaction.stored_in", "transaction.release_place")


class Uses(Protocol):
    """A stream of transactions, each with an id that names nobody: an example, a file, stored records."""

    def __iter__(self) -> Iterator[tuple[str, Transaction]]:
        """Each transaction once."""
        ...


class Change(Struct, frozen=True, kw_only=True):
    """How many transactions go from one action (`serve`, `ask` …) to another, and the ids of some."""

    before: str
    after: str
    count: int
    examples: tuple[str, ...]


class Answers(Struct, frozen=True, kw_only=True):
    """How many go from one legal answer to another: another question than what the door does."""

    before: str
    after: str
    count: int


class Row(Struct, frozen=True, kw_only=True):
    """The changes of one product for one country group: the strictest among where the recipient is, of which
    countries it is a national, where it is incorporated and where the item goes."""

    product: str
    group: Group
    before: str
    after: str
    count: int


class Preview(Struct, frozen=True, kw_only=True):
    """What would change at `at`, by what is known at `known`. `old` and `new` are digests of rulebooks."""

    at: dt.datetime
    known: dt.datetime
    surface: Surface
    old: str
    new: str
    total: int
    changed: int
    changes: tuple[Change, ...]
    answers: tuple[Answers, ...]
    rows: tuple[Row, ...]


def previewed(
    old: Rulebook,
    new: Rulebook,
    transactions: Iterable[tuple[str, Transaction]],
    at: dt.datetime,
    policy: Policy,
    *,
    known: dt.datetime | None = None,
    surface: Surface = "api",
    examples: int = 5,
) -> Preview:
    """Decide each transaction as if done at `at`, under both rulebooks. Pure: the stream is read once.

    Raises `InputError`, with its id, for a transaction that can't be true.
    """
    knew = at if known is None else known
    laws = Law(old, policy, 0), Law(new, policy, 1)
    groups = _Groups(slice_at(new, at, knew, policy.choices).lists)
    total = 0
    acts: Counter[tuple[str, str]] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    rows: Counter[tuple[str, Group, str, str]] = Counter()
    found: dict[tuple[str, str], list[str]] = {}
    for id_, transaction in transactions:
        total += 1
        try:
            (was, answered, values), (now, answers_now, _) = (
                _done(law, transaction, at, knew, surface) for law in laws
            )
        except CarnetError as error:
            raise InputError(f"the transaction `{id_}`: {error}") from None
        if answered != answers_now:
            answers[answered, answers_now] += 1
        if was == now:
            continue
        acts[was, now] += 1
        product = values.get("item.product")
        rows[product if isinstance(product, str) else "unknown", groups.of(values), was, now] += 1
        named = found.setdefault((was, now), [])
        if len(named) < examples:
            named.append(id_)
    return Preview(
        at=at,
        known=knew,
        surface=surface,
        old=old.digest,
        new=new.digest,
        total=total,
        changed=acts.total(),
        changes=tuple(
            Change(before=was, after=now, count=count, examples=tuple(found[was, now]))
            for (was, now), count in _most(acts)
        ),
        answers=tuple(Answers(before=was, after=now, count=count) for (was, now), count in _most(answers)),
        rows=tuple(
            Row(product=product, group=group, before=was, after=now, count=count)
            for (product, group, was, now), count in sorted(rows.items())
        ),
    )


def _done(
    law: Law, transaction: Transaction, at: dt.datetime, known: dt.datetime, surface: Surface
) -> tuple[str, str, Values]:
    """What the door does, the legal answer, and the facts."""
    determination = law.decide(transaction, at, known).determination
    values = law.view(transaction, at, known).values
    product = values.get("item.product")
    action = act_on(
        determination,
        law.policy,
        controlled=law.about(values, at, known).controlled,
        surface=surface,
        product=product if isinstance(product, str) else None,
    )
    return action.kind, determination.outcome, values


class _Groups:
    """Country groups at one instant. A country that may be in a group counts as in it where the group is a
    strict one."""

    def __init__(self, lists: Mapping[str, ResolvedList]) -> None:
        self._members = [
            (group, frozenset().union(*(self._held(lists, column, group) for column in columns)))
            for group, columns in _GROUPS
        ]
        self._us = lists[_US].members if _US in lists else frozenset({"US"})

    def _held(self, lists: Mapping[str, ResolvedList], column: str, group: Group) -> frozenset[str]:
        held = lists.get(column_id(_TABLE, column))
        if held is None:
            return frozenset()
        return held.members | held.maybe if group in {"E", "D:5", "D"} else held.members

    def of(self, values: Values) -> Group:
        """The group of a transaction."""
        held = [
            self._one(country) for path in (*_COUNTRIES, *_PLACES) for country in _countries(values, path)
        ]
        return min(held, key=_STRICTEST.index, default="unknown")

    def _one(self, country: str) -> Group:
        if country in self._us:
            return "US"
        return next((group for group, members in self._members if country in members), "other")


def _countries(values: Values, path: str) -> Iterable[str]:
    match values.get(path):
        case str(country):
            return (country,)
        case frozenset(members) | Partial(members):
            return members
        case Statuses(entries):
            return [entry.country for entry in entries]
    return ()


def _most(counted: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    """The most frequent first, and else in order."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))
