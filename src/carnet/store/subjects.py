"""The table of subjects: their standing facts by tenant, encrypted, and only ever added to. How facts of
several sources are weighed is in `carnet.model.view`; how a file of them is read in `carnet.service.roster`.

A row is one statement: what one or more sources say of a subject, recorded at one instant. A correction is a
new row. A row is encrypted with AES-256-GCM under a key that is derived from the secret `subjects`, padded,
and bound to its tenant, its subject and its instant: so it can't be read, moved, or given another date.
"""

import datetime as dt
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct, structs

from carnet.model.errors import InputError, StoreError, Unavailable
from carnet.model.leaves import facts_of
from carnet.model.plain import odd_name, printable, short
from carnet.model.time import in_utc
from carnet.model.transaction import Party
from carnet.model.written import Evidence, Fact, SetFact
from carnet.store.api_keys import check_tenant
from carnet.store.desk import Desk
from carnet.store.keys import Keyring

FORMAT = 1
_NONCE_BYTES = 12
_STEP = 1_024
"""What a row is padded to, and to a multiple of it: so its length does not tell a status from another."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_PATIENCE = 1_000_000
_ATTRIBUTES = tuple(name for name, _ in facts_of(Party))


class Added(Struct, frozen=True):
    """What was stored: rows, of so many subjects, all recorded at one instant."""

    rows: int
    subjects: int
    recorded: dt.datetime


class Listed(Struct, frozen=True):
    """A subject and its rows, none of them read."""

    subject: str
    rows: int
    first: dt.datetime
    last: dt.datetime


class _Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[1] = 1
    facts: Party


class SubjectTable:
    """The standing facts of every tenant's subjects."""

    def __init__(self, desk: Desk, keyring: Keyring) -> None:
        self._desk, self._keyring = desk, keyring
        self._ciphers: dict[str, AESGCM] = {}

    def add(self, tenant: str, statements: Sequence[tuple[str, Party]], now: dt.datetime) -> Added:
        """Store statements, all or none: for each a subject and what is said of it.

        They are recorded at `now`, or an instant later than everything before, so that a correction is always
        later than what it corrects. Raises `InputError` for a statement without a source or a level or with
        an instant of its own recording, `Unavailable` if the clock is behind what was recorded.
        """
        check_tenant(tenant)
        for subject, party in statements:
            _check(subject, party)
        with self._desk.writing():
            recorded = self._next(now)
            key = self._keyring.current("subjects").id
            for subject, party in statements:
                sealed = self._seal(key, tenant, subject, recorded, _plain(party))
                self._desk.write(
                    "INSERT INTO facts (tenant, subject, recorded, key, sealed) VALUES (?, ?, ?, ?, ?)",
                    [tenant, subject, recorded, key, sealed],
                )
        return Added(len(statements), len({subject for subject, _ in statements}), _instant(recorded))

    def facts(self, tenant: str, subject: str, known: dt.datetime) -> Party:
        """What was recorded of a tenant's subject by `known`, each fact with its source; nothing for a
        subject that is not there. Raises `StoreError` for a row that is not what was stored."""
        rows = self._desk.rows(
            "SELECT tenant, subject, recorded, key, sealed FROM facts"
            " WHERE tenant = ? AND subject = ? AND recorded <= ? ORDER BY number",
            [tenant, subject, _microseconds(known)],
        )
        said: dict[str, list[Evidence]] = {}
        for row in rows:
            recorded = _instant(row[2])
            for name, leaf in written_of(_read(self._open(row))):
                said.setdefault(name, []).extend(
                    structs.replace(fact, recorded=recorded) for fact in evidence_of(leaf)
                )
        return Party(**{name: leaf_of(facts) for name, facts in said.items()})

    def listed(self, tenant: str) -> list[Listed]:
        """The subjects of a tenant, by name."""
        rows = self._desk.rows(
            "SELECT subject, count(*), min(recorded), max(recorded) FROM facts"
            " WHERE tenant = ? GROUP BY subject ORDER BY subject",
            [tenant],
        )
        return [Listed(row[0], row[1], _instant(row[2]), _instant(row[3])) for row in rows]

    def reseal(self) -> int:
        """Encrypt every row under the current secret that is not; how many. What a row says, and when it was
        recorded, stays."""
        current = self._keyring.current("subjects").id
        with self._desk.writing():
            rows = self._desk.rows(
                "SELECT tenant, subject, recorded, key, sealed, number FROM facts WHERE key <> ?", [current]
            )
            for row in rows:
                sealed = self._seal(current, row[0], row[1], row[2], self._open(row))
                self._desk.write(
                    "UPDATE facts SET key = ?, sealed = ? WHERE number = ?", [current, sealed, row[5]]
                )
        return len(rows)

    def under(self, key: str) -> int:
        """How many rows are encrypted under a secret, by its id: zero before it may go."""
        return int(self._desk.rows("SELECT count(*) FROM facts WHERE key = ?", [key])[0][0])

    def _next(self, now: dt.datetime) -> int:
        """When the rows of one transaction are recorded: later than all that are there."""
        last: int | None = self._desk.rows("SELECT max(recorded) FROM facts")[0][0]
        at = _microseconds(now)
        if last is None or at > last:
            return at
        if last - at > _PATIENCE:
            raise Unavailable("the clock is behind what was recorded last, nothing was stored: set the clock")
        return last + 1

    def _seal(self, key: str, tenant: str, subject: str, recorded: int, plain: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(key).encrypt(nonce, plain, _bound(tenant, subject, recorded))

    def _open(self, row: tuple[Any, ...]) -> bytes:
        tenant, subject, recorded, key, sealed = row[:5]
        bound = _bound(tenant, subject, recorded)
        try:
            return self._cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise StoreError(
                "a row of facts is not what was stored: restore the desk from a backup"
            ) from None

    def _cipher(self, key: str) -> AESGCM:
        if key not in self._ciphers:
            secret = self._keyring.secret("subjects", key)
            derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"carnet facts 1").derive(secret)
            self._ciphers[key] = AESGCM(derived)
        return self._ciphers[key]


def written_of(party: Party) -> Iterator[tuple[str, object]]:
    """The facts of a party that are there: the attribute, and how it is written."""
    for name in _ATTRIBUTES:
        leaf = getattr(party, name)
        if leaf is not None:
            yield name, leaf


def evidence_of(leaf: object) -> tuple[Evidence, ...]:
    """One fact of a party as written out, each source for itself."""
    if isinstance(leaf, Evidence):
        several: tuple[Evidence, ...] | None = getattr(leaf, "facts", None)
        return (leaf,) if several is None else several
    if isinstance(leaf, tuple):
        return (SetFact(value=leaf),)
    return (Fact(value=leaf),)


def leaf_of(facts: Sequence[Evidence]) -> Any:  # noqa: ANN401 -- what an attribute may be is up to its field
    """The other way: one attribute of a party from what its sources say, none of them left out."""
    if len(facts) == 1:
        return facts[0]
    if isinstance(facts[0], SetFact):
        return SetFact(facts=cast(tuple[SetFact[object], ...], tuple(facts)))
    return Fact(facts=cast(tuple[Fact[object], ...], tuple(facts)))


def _check(subject: str, party: Party) -> None:
    problem = odd_name(subject) or ("is too long: write 1 to 200 characters" if len(subject) > 200 else None)
    if problem is not None:
        raise InputError(f"`{short(printable(subject))}` as a subject {problem}")
    facts: Iterable[tuple[str, Evidence]] = [
        (name, fact) for name, leaf in written_of(party) for fact in evidence_of(leaf)
    ]
    if not facts or party.id is not None:
        raise InputError("a statement has one fact or more, and `id` is none of them: it is the subject")
    for name, fact in facts:
        if fact.source is None or fact.assurance is None or fact.recorded is not None:
            raise InputError(f"`{name}` needs `source` and `assurance`, and no `recorded`: that is now")
        if fact.source.startswith(OWN):
            raise InputError(f"`{OWN}` begins the sources that a transaction names: take another name")


OWN = "transaction:"
"""What the sources that a transaction itself names begin with, once standing facts are beside them."""


def _plain(party: Party) -> bytes:
    data = msgspec.json.encode(_Row(facts=party))
    return data + b" " * (-len(data) % _STEP)


def _read(plain: bytes) -> Party:
    try:
        return msgspec.json.decode(plain, type=_Row).facts
    except msgspec.DecodeError:
        raise StoreError("a row of facts has a form that is not known here: install a newer Carnet") from None


def _bound(tenant: str, subject: str, recorded: int) -> bytes:
    return msgspec.json.encode(["carnet facts", FORMAT, tenant, subject, recorded])


def _microseconds(instant: dt.datetime) -> int:
    return (in_utc(instant) - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> dt.datetime:
    return _EPOCH + microseconds * _MICROSECOND
