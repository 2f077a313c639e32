"""Standing facts joined with what a transaction says itself, so that the view weighs them together. Which
facts count is in `carnet.model.view`; where they are kept is in `carnet.store.subjects`.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Protocol

from msgspec import structs

from carnet.model.errors import InputError
from carnet.model.transaction import Parties, Party, Role, SomeParties, Transaction
from carnet.model.written import Evidence, Fact
from carnet.store.subjects import OWN, evidence_of, leaf_of, written_of

_MOST_SOURCE = 200


class FactSource(Protocol):
    """Where standing facts come from."""

    def facts(self, tenant: str, subject: str, known: dt.datetime) -> Party:
        """What was recorded of a tenant's subject by `known`, each fact with source, level and dates; an
        empty party if nothing was, or if the subject is another tenant's."""


def gathered(transaction: Transaction, source: FactSource, *, tenant: str, known: dt.datetime) -> Transaction:
    """The transaction with the standing facts of its recipient and of the other parties to it (15 CFR 748.5),
    whose `id` names the subject.

    Where both say something, both stay, as facts of several sources: if they can't both be true, the view has
    a conflict, whatever the transaction calls its own source. A standing fact holds of a party only as well,
    and as long, as the `id` itself does. `tenant` is that of whoever asks. Raises `InputError` if the
    transaction names another, or if the `id` of a party names no single subject.
    """
    if transaction.tenant not in (None, tenant):
        raise InputError("`tenant` is not the tenant of whoever asks: leave it out")

    def joined(party: Party, where: str) -> Party:
        named = _named(party.id, where)
        return party if named is None else _joined(party, *named, source, tenant, known)

    recipient = joined(transaction.recipient, "recipient")
    parties: dict[str, Role] = {}
    for role in Parties.__struct_fields__:
        given: Role = getattr(transaction.parties, role)
        where = f"parties.{role}"
        if isinstance(given, SomeParties):
            parties[role] = SomeParties(some=tuple(joined(party, where) for party in given.some))
        elif given:
            parties[role] = tuple(joined(party, where) for party in given)
    if not parties:
        return structs.replace(transaction, recipient=recipient)
    return structs.replace(
        transaction, recipient=recipient, parties=structs.replace(transaction.parties, **parties)
    )


def _joined(
    party: Party, subject: str, proof: Evidence, source: FactSource, tenant: str, known: dt.datetime
) -> Party:
    changed = {}
    for name, leaf in written_of(source.facts(tenant, subject, known)):
        standing = [fact for each in evidence_of(leaf) if (fact := _as_known(each, proof)) is not None]
        mine = getattr(party, name)
        own = () if mine is None else [_own(fact) for fact in evidence_of(mine)]
        if standing:
            changed[name] = leaf_of([*own, *standing])
    return structs.replace(party, **changed)


def _named(written: str | Fact[str] | None, where: str) -> tuple[str, Evidence] | None:
    """The subject that an `id` names, and how well that is known; None if it is not known."""
    if isinstance(written, str):
        return written, Evidence()
    if written is None or written.unknown is not None:
        return None
    if written.value is None:
        raise InputError(f"`{where}.id` names no single subject: write one id, or leave it out")
    return written.value, written


def _as_known(fact: Evidence, proof: Evidence) -> Evidence | None:
    """A standing fact as far as the id is known: at the lower level of the two, while both hold. None if they
    never do at once."""
    start, end = _latest(fact.valid_from, proof.valid_from), _earliest(fact.valid_until, proof.valid_until)
    if start is not None and end is not None and start >= end:
        return None
    return structs.replace(
        fact,
        assurance=min(
            (level for level in (fact.assurance, proof.assurance) if level is not None), default=None
        ),
        recorded=_latest(fact.recorded, proof.recorded),
        valid_from=start,
        valid_until=end,
        expires=_earliest(fact.expires, proof.expires),
    )


def _own(fact: Evidence) -> Evidence:
    """A fact of the transaction under a name that no source of the table has: else the later of the two would
    take the place of the other, as a source corrects itself."""
    if fact.source is None:
        return fact
    name = OWN + fact.source
    if len(name) > _MOST_SOURCE:
        name = OWN + hashlib.sha256(fact.source.encode()).hexdigest()
    return structs.replace(fact, source=name)


def _latest(*instants: dt.datetime | None) -> dt.datetime | None:
    return max(_given(instants), default=None)


def _earliest(*instants: dt.datetime | None) -> dt.datetime | None:
    return min(_given(instants), default=None)


def _given(instants: Iterable[dt.datetime | None]) -> list[dt.datetime]:
    return [instant for instant in instants if instant is not None]
