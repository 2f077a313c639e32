"""What the stores promise, whichever database is behind them. How each keeps the promise is in its own
package; `tests/store` runs the same tests on all."""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from carnet.ledger.tree import Storage
from carnet.model import leaf as leaves
from carnet.model.leaf import Leaf


class GrantRow(Struct, frozen=True, kw_only=True):
    """A grant as it is kept: `key` is the digest that a use has to meet, `subject` and `item` select it for a
    revocation, `until` (RFC 3339) is its last instant if it has one, `epoch` the one that it was given in."""

    key: str
    subject: str
    item: str
    epoch: int
    until: str | None


class Answered(Struct, frozen=True, kw_only=True):
    """What was answered to an idempotency key: a keyed digest of the request, and the response."""

    key: str
    request: bytes
    status: int
    body: bytes


class Entry(Struct, frozen=True, kw_only=True):
    """What is appended as one, all of it or nothing. `id` is new and the record's own; `leaf` goes into the
    tree; `sealed` is the private part, encrypted under the key of `subject` (a pseudonym) and `retention`;
    `terms` are keyed index terms of 16 bytes."""

    id: str
    leaf: bytes
    tenant: str = ""
    subject: str = ""
    retention: str = ""
    sealed: bytes | None = None
    terms: tuple[bytes, ...] = ()
    grant: GrantRow | None = None
    answered: Answered | None = None

    @classmethod
    def of(cls, leaf: Leaf, tenant: str = "") -> "Entry":
        """The entry of a leaf that has nothing beside it."""
        return cls(id=leaf.id, leaf=leaves.canonical(leaf), tenant=tenant)


class Record(Struct, frozen=True, kw_only=True):
    """An entry as it is stored, and where: `index` is its place in the log."""

    index: int
    id: str
    leaf: bytes
    tenant: str
    subject: str
    retention: str
    sealed: bytes | None


class Receipt(Struct, frozen=True):
    """That an entry is durable and signed for: its index, and the size of a checkpoint that covers it."""

    index: int
    size: int


class Reading(Storage, Protocol):
    """One consistent state of a log. `write` raises: nothing is written here."""

    def checkpoint(self) -> bytes:
        """The last signed checkpoint, a note. It covers every record that is seen here."""

    def record(self, index: int) -> Record | None: ...

    def of_id(self, tenant: str, id_: str) -> Record | None:
        """The record of an id, None if there is none or it is another tenant's."""

    def found(
        self, tenant: str, terms: Sequence[bytes], *, after: int = -1, limit: int = 100
    ) -> list[Record]:
        """The tenant's records that have all of these terms, by index, those after `after`."""

    def grant(self, tenant: str, key: str) -> tuple[GrantRow, int] | None:
        """A grant and the index of its record."""

    def answered(self, tenant: str, key: str) -> Answered | None: ...


class Log(Protocol):
    """A log that one process appends to."""

    @property
    def origin(self) -> str: ...

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded now, as far as the last batch tells; None if it can."""

    def submit(self, entry: Entry) -> "Future[Receipt]":
        """Append an entry; the future is done once it is durable and signed for.

        Its exception is `Unavailable` if it could not be made so (nothing of it was recorded), `Taken` if its
        id or its idempotency key is there already, `Malformed` if the leaf is too large. Never blocks on the
        disk.
        """

    def reading(self) -> AbstractContextManager[Reading]: ...

    def close(self) -> None:
        """Refuse new entries, finish those that were taken, release the files."""
