"""From a decision to the entry that a log takes: the leaf in the open, the private part sealed, the terms by
which it is found. Whether it is waited for is `carnet.service.determine`'s."""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterator

from msgspec import Struct

from carnet.engine.read_set import facts_read
from carnet.model import leaf as leaves
from carnet.model.determination import Determination
from carnet.model.leaf import Determined, Given, Reference, Source
from carnet.model.recorded import recorded
from carnet.model.transaction import Parties, Party, SomeParties, Transaction
from carnet.model.view import View
from carnet.model.written import Evidence, Fact
from carnet.policy.enforcement import Action
from carnet.service.clock import Instants
from carnet.service.law import About, Law
from carnet.service.request import Request
from carnet.store.laws import build_digest
from carnet.store.protocols import Answered, Entry, GrantRow
from carnet.store.subjects import evidence_of, written_of
from carnet.store.vault import Vault
from carnet.store.vault_parts import SALT_BYTES, TermKind, commitment, private_part, pseudonym, term

KINDS: dict[str, Source] = {
    "S1": "self_attestation",
    "S2": "employer_attestation",
    "S3": "document_check",
    "S4": "credential",
}
"""What a fact of a level rests on; one that names no level rests on the operator's word."""

PLACES = ("served_from", "sent_from", "sent_to", "release_place", "stored_in")


class Decided(Struct, frozen=True, kw_only=True):
    """A decision with all that its record says."""

    tenant: str
    transaction: Transaction
    seen: View
    about: About
    law: Law
    determination: Determination
    action: Action
    request: Request
    now: Instants


class Recorder:
    """Makes entries. `index` is the installation's key for pseudonyms and terms."""

    def __init__(self, vault: Vault, index: bytes) -> None:
        self._vault, self._index, self._build = vault, index, build_digest()

    def subject(self, tenant: str, transaction: Transaction) -> str:
        """The pseudonym of the recipient; of nobody in particular if the transaction names none."""
        return pseudonym(self._index, tenant, plain(transaction.recipient.id) or "")

    def grant_key(self, tenant: str, subject: str, seen: View, about: About, done: tuple[str, ...]) -> str:
        """What a use has to meet: a keyed digest of tenant, subject and every fact that the rules can read
        for the item and event, item and event themselves included (design, section 1), and of the tasks that
        are said to be done: without them nobody may be served."""
        paths = {*about.reads.paths, *(path for path in seen.values if path.startswith("item."))}
        parts = (
            tenant.encode(),
            subject.encode(),
            *(facts_read(one, paths) for one in (seen.values, seen.stated)),
            *(task.encode() for task in sorted({*done})),
        )
        whole = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._index, b"carnet grant 1" + whole, hashlib.sha256).hex()

    def grant(
        self, key: str, subject: str, transaction: Transaction, epoch: int, until: dt.datetime | None
    ) -> GrantRow:
        """What is kept of a grant."""
        return GrantRow(
            key=key,
            subject=subject,
            item=plain(transaction.item.product) or "",
            epoch=epoch,
            until=None if until is None else leaves.instant_text(until),
        )

    def entry(
        self, id_: str, decided: Decided, grant: GrantRow | None, answered: Answered | None = None
    ) -> Entry:
        """The entry of a decision. Raises `Unavailable` if the subject's key can't be had."""
        transaction, about = decided.transaction, decided.about
        subject = self.subject(decided.tenant, transaction)
        salt = secrets.token_bytes(SALT_BYTES)
        private = private_part(salt, transaction)
        found = Determined(
            id=id_,
            at=leaves.instant_text(decided.now.wall),
            boot=decided.now.boot,
            tenant=decided.tenant,
            subject=subject,
            epoch=decided.law.epoch,
            event=plain(transaction.event),
            product=plain(transaction.item.product),
            form=plain(transaction.item.form),
            controlled=about.controlled,
            purpose=decided.request.purpose,
            surface=decided.request.surface,
            done=tuple(sorted({task.key for task in decided.determination.tasks} & {*decided.request.done})),
            action=decided.action.kind,
            reason=decided.action.reason,
            fallback=decided.action.fallback,
            grant=None if grant is None else Given(grant.until),
            determination=recorded(decided.determination),
            policy=decided.law.digest,
            build=self._build,
            commitment=commitment(salt, private),
            evidence=leaves.references(
                used
                for party in (transaction.recipient, *others(transaction))
                for used in evidence_used(party)
            ),
            lists=about.lists,
            retention=about.retention,
        )
        return Entry(
            id=id_,
            leaf=leaves.canonical(found),
            tenant=decided.tenant,
            subject=subject,
            retention=about.retention,
            sealed=self._vault.seal(subject, about.retention, id_, private),
            terms=tuple(sorted({self.term(decided.tenant, *one) for one in found_by(transaction)})),
            grant=grant,
            answered=answered,
        )

    def term(self, tenant: str, kind: TermKind, value: str) -> bytes:
        """The keyed term under which a record is found."""
        return term(self._index, tenant, kind, value)


def new_id(now: Instants) -> str:
    """A new record's id. Ids are in order of time, to the millisecond: an index of them grows at its end."""
    return f"d_{int(now.wall.timestamp() * 1000):012x}{secrets.token_hex(10)}"


def plain(written: object) -> str | None:
    """The one value that a fact names, if it names one."""
    value = written.value if isinstance(written, Fact) else written
    return value if isinstance(value, str) else None


def others(transaction: Transaction) -> Iterator[Party]:
    """The parties besides recipient and exporter."""
    for role in Parties.__struct_fields__:
        given = getattr(transaction.parties, role)
        yield from given.some if isinstance(given, SomeParties) else given or ()


def evidence_used(party: Party) -> Iterator[Reference]:
    """The evidence that the facts of a party rest on, by kind and level."""
    for _, written in written_of(party):
        for fact in evidence_of(written):
            if isinstance(fact, Evidence) and fact.assurance is not None:
                until = min(
                    (one for one in (fact.expires, fact.valid_until) if one is not None), default=None
                )
                yield Reference(
                    KINDS.get(fact.assurance, "operator"),
                    fact.assurance,
                    None if until is None else leaves.instant_text(until),
                )


def found_by(transaction: Transaction) -> Iterator[tuple[TermKind, str]]:
    """What a record is found by (15 CFR 762.5): the parties, the places, the licenses."""
    for party in (transaction.recipient, transaction.exporter, *others(transaction)):
        if (id_ := plain(party.id)) is not None:
            yield "party", id_
        if (place := plain(party.location)) is not None:
            yield "country", place
    for name in PLACES:
        if (place := plain(getattr(transaction, name))) is not None:
            yield "country", place
    licenses = transaction.licenses
    for license_ in licenses if isinstance(licenses, tuple) else ():
        yield "document", license_
