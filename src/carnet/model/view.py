"""From a transaction to what its facts come to at an instant: validity, assurance, expiry and conflict.
The rules that read it, and the words and levels they declare, are not here."""

import datetime as dt
import typing
from collections.abc import Iterable, Mapping

from msgspec import Struct

from carnet.model.contradictions import contradictions
from carnet.model.facts import Group, Known, Partial, Statuses, Unknown, Values
from carnet.model.leaves import Kind, convert, facts_of
from carnet.model.merge import CONFLICT, either, merged
from carnet.model.time import ANY_DAY
from carnet.model.transaction import KNOWLEDGE, UNITS, Party, SomeParties, Transaction
from carnet.model.written import Evidence, Fact, SetFact

SILENT = (Unknown("missing"), Unknown("stale"))
"""What a fact says that names no value and no conflict: it leaves the word to others."""


class View(Struct, frozen=True, kw_only=True):
    """The facts of one transaction at one instant, by path.

    `values` are what the assured facts say; `stated` what the others say where no assured fact
    speaks; `held` the highest assurance of a fact that stays below what is needed. The view stays the
    same until `until` (None: forever); `edges` says so for each path that will change.
    """

    values: Values
    stated: Values
    held: Mapping[str, str]
    until: dt.datetime | None
    edges: Mapping[str, dt.datetime]


def view(
    transaction: Transaction,
    *,
    at: dt.datetime,
    known: dt.datetime,
    levels: Mapping[str, str],
    units: Mapping[str, str] = UNITS,
    knowledge: frozenset[str] = KNOWLEDGE,
) -> View:
    """What the facts of a transaction come to at `at`, as they were known at `known`.

    `levels` gives the assurance needed, by path: `recipient.us_status`, or as declared,
    `party.us_status`, for every party. A short value, and a fact without `assurance`, counts as assured
    at the level needed; a short value, and a fact without `recorded`, as always known. Of several facts
    of one source the one recorded last counts. Raises InputError for a number or a date that is none.
    """
    reader = _Reader(at, known, levels, units, knowledge)
    values: dict[str, Known] = {}
    stated: dict[str, Known] = {}
    for name in ("transaction", "item", "recipient", "exporter", "end_use"):
        entity = transaction if name == "transaction" else getattr(transaction, name)
        own, said = reader.entity(name, entity)
        values.update((f"{name}.{key}", value) for key, value in own.items())
        stated.update((f"{name}.{key}", value) for key, value in said.items())
    for role in transaction.parties.__struct_fields__:
        given = getattr(transaction.parties, role)
        if given is not None:
            reader.group(f"parties.{role}", given, values, stated)
    until = min(reader.edges.values(), default=None)
    return View(values=values, stated=stated, held=reader.held, until=until, edges=reader.edges)


class _Reader:
    def __init__(
        self,
        at: dt.datetime,
        known: dt.datetime,
        levels: Mapping[str, str],
        units: Mapping[str, str],
        knowledge: frozenset[str],
    ) -> None:
        self.at, self.known, self.levels, self.units, self.knowledge = at, known, levels, units, knowledge
        self.today = at.astimezone(dt.UTC).date().toordinal()
        self.held: dict[str, str] = {}
        self.edges: dict[str, dt.datetime] = {}

    def entity(self, name: str, entity: Struct) -> tuple[dict[str, Known], dict[str, Known]]:
        """The values and the stated ones of one entity, by attribute."""
        values: dict[str, Known] = {}
        stated: dict[str, Known] = {}
        for field, kind in facts_of(type(entity)):
            leaf = getattr(entity, field)
            if leaf is None:
                continue
            if kind == "value" and leaf.__class__ in (str, bool):
                values[field] = leaf
                continue
            if not isinstance(leaf, Evidence):
                values[field] = self.convert(f"{name}.{field}", kind, leaf)
                continue
            value, said = self.evidence(f"{name}.{field}", kind, leaf)
            if value is not None:
                values[field] = value
            if said is not None:
                stated[field] = said
        if isinstance(entity, Party):
            _settle(values, stated)
        return values, stated

    def group(
        self,
        path: str,
        given: tuple[Party, ...] | SomeParties,
        values: dict[str, Known],
        stated: dict[str, Known],
    ) -> None:
        """The parties in one role, as a `Group` under `parties.ROLE`."""
        complete = not isinstance(given, SomeParties)
        parties = given.some if isinstance(given, SomeParties) else given
        read = [self.entity(f"{path}[{index}]", party) for index, party in enumerate(parties)]
        values[path] = Group(tuple(own for own, _ in read), complete)
        if any(said for _, said in read):
            stated[path] = Group(tuple({**own, **said} for own, said in read), complete)

    def evidence(self, path: str, kind: Kind, leaf: Evidence) -> tuple[Known | None, Known | None]:
        """What written-out facts come to: the value, and what is stated where no assured fact speaks."""
        several = getattr(leaf, "facts", None)
        every: tuple[Evidence, ...] = (leaf,) if several is None else several
        valid = self.valid(path, every)
        current = [fact for fact in valid if fact.expires is None or fact.expires > self.at]
        needed = self.needed(path)
        assured = [fact for fact in current if _reaches(fact, needed)]
        below = [fact for fact in current if not _reaches(fact, needed)]
        speak = [self.said(path, kind, fact) for fact in assured]
        other = [self.said(path, kind, fact) for fact in below]
        silent = [value for value in speak if value in SILENT]
        speak = [value for value in speak if value not in SILENT]
        other = [value for value in other if value not in SILENT]
        if speak:
            value = merged(speak)
            if other and merged(speak + other) == CONFLICT:
                value = CONFLICT
            return value, None
        if other:
            self.held[path] = max(fact.assurance or "S0" for fact in below)
            said = merged(other)
            return Unknown("below_assurance"), (None if isinstance(said, Unknown) else said)
        if silent:
            return silent[0], None
        return (Unknown("expired") if valid else None), None

    def valid(self, path: str, facts: Iterable[Evidence]) -> list[Evidence]:
        """The facts that were recorded, hold, and were not replaced by their own source."""
        horizon = min(self.at, self.known) if path in self.knowledge else self.known
        found: list[Evidence] = []
        for fact in facts:
            if fact.recorded is not None and fact.recorded > horizon:
                if fact.recorded <= self.known:
                    self.edge(path, fact.recorded)
                continue
            for edge in (fact.valid_from, fact.valid_until, fact.expires):
                self.edge(path, edge)
            if (fact.valid_from is None or fact.valid_from <= self.at) and (
                fact.valid_until is None or fact.valid_until > self.at
            ):
                found.append(fact)
        return [fact for fact in found if not any(_replaces(later, fact) for later in found)]

    def edge(self, path: str, instant: dt.datetime | None) -> None:
        if instant is not None and instant > self.at:
            self.edges[path] = min(instant, self.edges.get(path, instant))

    def needed(self, path: str) -> str:
        """The level for a path: its own, or that of the word as declared."""
        name = path.rpartition(".")[2]
        shared = not path.startswith(("transaction.", "item.", "end_use."))
        return self.levels.get(path) or (self.levels.get(f"party.{name}") if shared else None) or "S0"

    def said(self, path: str, kind: Kind, fact: Evidence) -> Known:
        """One written-out fact as a value of a view."""
        if fact.unknown is not None:
            return Unknown(fact.unknown)
        if isinstance(fact, SetFact):
            whole = self.convert(path, kind, fact.value if fact.some is None else fact.some)
            if fact.some is None:
                return whole
            if isinstance(whole, Statuses):
                return Statuses(whole.entries, complete=False)
            return Partial(typing.cast(frozenset[str], whole))
        assert isinstance(fact, Fact)  # Evidence has these two forms only
        if fact.candidates is None:
            return self.convert(path, kind, fact.value)
        options = [self.convert(path, kind, option) for option in fact.candidates]
        return either(options)

    def convert(self, path: str, kind: Kind, raw: object) -> Known:
        """A written value as a value of a view; a status that only begins later is not held yet."""
        value = convert(kind, raw, self.units.get(path, "1"))
        if not isinstance(value, Statuses):
            return value
        later = [
            entry for entry in value.entries if entry.since.first > self.today and entry.since != ANY_DAY
        ]
        for entry in later:
            day = dt.date.fromordinal(entry.since.first)
            self.edge(path, dt.datetime.combine(day, dt.time(), dt.UTC))
        return Statuses(tuple(entry for entry in value.entries if entry not in later), value.complete)


def _reaches(fact: Evidence, needed: str) -> bool:
    return fact.assurance is None or fact.assurance >= needed


def _replaces(later: Evidence, fact: Evidence) -> bool:
    """The same source said something newer."""
    if later.source is None or later.source != fact.source or later.recorded is None:
        return False
    return fact.recorded is None or later.recorded > fact.recorded


def _settle(values: dict[str, Known], stated: dict[str, Known]) -> None:
    """Facts of one party that can't both be true are in conflict, be they assured or stated."""
    for left, right, _ in contradictions({**values, **stated}):
        for name in (left, right):
            if name in values and name not in stated:
                values[name] = CONFLICT
        if left in stated and right in stated:
            stated.pop(left), stated.pop(right)
