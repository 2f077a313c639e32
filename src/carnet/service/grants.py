"""The grants that a node has given since it started: found again by what a use has to meet, counted, ended.
They are kept in memory: after a start every use is decided anew, and what was granted is in the log, with
what ended it: its own `until`, a revocation, or a record that all before it are over."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from threading import Lock

from msgspec import Struct

from carnet.model import leaf as leaves
from carnet.model.leaf import (
    MOST_REVOKED,
    MOST_USES,
    AllEnded,
    Determined,
    Ending,
    Leaf,
    Revoked,
    Use,
    Uses,
)
from carnet.model.time import instant
from carnet.service.clock import Clock, Instants
from carnet.service.request import Pending
from carnet.store.protocols import Entry, GrantRow, Log, Receipt
from carnet.store.sqlite.log import SqliteLog

_MOST_BACK = 1_000


class Selector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of a tenant's grants are meant: of a subject (its pseudonym), of an item, of both; or all."""

    subject: str | None = None
    item: str | None = None

    def takes(self, row: GrantRow) -> bool:
        """Whether a grant is meant."""
        return self.subject in (None, row.subject) and self.item in (None, row.item)

    @property
    def digest(self) -> str:
        """SHA-256 of the selector, for the record."""
        return hashlib.sha256(f"{self.subject}\n{self.item}".encode()).hexdigest()


class Grant(Struct, frozen=True, eq=False):
    """A grant by the id of its record, and what is answered to a use that meets it."""

    tenant: str
    id: str
    row: GrantRow
    answer: Pending

    def over(self, now: Instants) -> bool:
        """Whether its time is over, by the stricter clock."""
        return self.row.until is not None and instant(self.row.until) <= now.late


class Grants:
    """The grants of one node. Several threads may use them."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock, self._lock = log, clock, Lock()
        self._held: dict[tuple[str, str], Grant] = {}
        self._standing: set[str] = set()
        self._expected: set[Grant] = set()
        self._uses: dict[Grant, tuple[int, dt.datetime]] = {}
        self._gave = False
        self._owed: list[Callable[[], Future[Receipt]]] = []
        self._since = clock.read().wall
        self._watching: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """Have this called each time that grants were ended before their time, or another epoch is in force:
        at once, in the thread that does it, before anything is recorded."""
        self._watching.append(changed)

    def __len__(self) -> int:
        return len(self._held)

    def expect(self, tenant: str, row: GrantRow, pending: Pending) -> None:
        """A grant that counts once its record is durable, and never if it does not get so or is revoked
        before."""
        grant = Grant(tenant, pending.determined.id, row, pending.again())
        with self._lock:
            self._gave = True
            self._expected.add(grant)

        def given(done: "Future[Receipt]") -> None:
            with self._lock:
                durable = not done.cancelled() and done.exception() is None
                if durable and grant in self._expected:
                    before = self._held.get((tenant, row.key))
                    self._standing.discard("" if before is None else before.id)
                    self._held[tenant, row.key] = grant
                    self._standing.add(grant.id)
                self._expected.discard(grant)

        pending.receipt.add_done_callback(given)

    def stands(self, id_: str) -> bool:
        """Whether the grant of this record is held, and no later one took its place."""
        return id_ in self._standing

    def use(self, tenant: str, key: str, epoch: int, now: Instants) -> Pending | None:
        """The answer of the grant that a use meets, and it is counted. None if there is none, if it is over,
        or while the clock is suspect: then the use has to be decided."""
        with self._lock:
            grant = self._held.get((tenant, key))
            if grant is None or now.suspect:
                return None
            if grant.row.epoch != epoch or grant.over(now):
                del self._held[tenant, key]
                self._standing.discard(grant.id)
                return None
            count, _ = self._uses.get(grant, (0, now.wall))
            self._uses[grant] = count + 1, now.wall
            return grant.answer

    def revoke(self, tenant: str, selector: Selector) -> "tuple[int, list[Future[Receipt]]]":
        """End all that the selector takes, at once. How many, and the receipts of the record of it: what
        can't be recorded now is over all the same, and recorded later."""
        taken = self._taken(
            grant for grant in self._all() if grant.tenant == tenant and selector.takes(grant.row)
        )
        self._changed()
        ids, now = sorted(grant.id for grant in taken), self._clock.read()
        parts = [ids[start : start + MOST_REVOKED] for start in range(0, max(1, len(ids)), MOST_REVOKED)]
        return len(taken), [self._revoked(tenant, selector, part, now) for part in parts]

    def enter(self, epoch: int) -> int:
        """End all that are of another epoch, with one record for all. How many."""
        taken = self._taken(grant for grant in self._all() if grant.row.epoch != epoch)
        self._changed()
        self._owe(partial(self._submit, "", all_ended("epoch", self._clock.read())))
        return len(taken)

    def flush(self) -> "list[Future[Receipt]]":
        """Record what was counted since the last time, a leaf for each tenant and `MOST_USES` grants, and
        what could not be recorded before. What can't be recorded now is counted on."""
        now = self._clock.read()
        self._taken(grant for grant in self._all() if grant.over(now))
        with self._lock:
            counted, self._uses = self._uses, {}
            since, self._since = self._since, now.wall
            owed, self._owed = self._owed, []
        receipts = [self._owe(submit) for submit in owed]
        for tenant in sorted({grant.tenant for grant in counted}):
            mine = sorted((grant for grant in counted if grant.tenant == tenant), key=lambda grant: grant.id)
            for start in range(0, len(mine), MOST_USES):
                part = {grant: counted[grant] for grant in mine[start : start + MOST_USES]}
                receipts.append(self._counted(tenant, part, since, now))
        return receipts

    def stop(self) -> "list[Future[Receipt]]":
        """End all, since the node stops; after it nothing is given. The receipts of what is recorded then."""
        receipts, now = self.flush(), self._clock.read()
        self._taken(self._all())
        if self._gave and not now.suspect:  # else the next start records it, with the right time
            receipts.append(self._submit("", all_ended("stopped", now)))
        return receipts

    def _revoked(self, tenant: str, selector: Selector, ids: list[str], now: Instants) -> "Future[Receipt]":
        leaf = Revoked(
            id=_new_id(),
            at=leaves.instant_text(now.wall),
            boot=now.boot,
            tenant=tenant,
            selector=selector.digest,
            grants=tuple(ids),
        )
        return self._owe(partial(self._submit, tenant, leaf))

    def _owe(self, submit: "Callable[[], Future[Receipt]]") -> "Future[Receipt]":
        """Record something; if it fails, again at the next flush."""

        def failed(done: "Future[Receipt]") -> None:
            if done.cancelled() or done.exception() is not None:
                with self._lock:
                    self._owed.append(submit)

        receipt = submit()
        receipt.add_done_callback(failed)
        return receipt

    def _counted(
        self, tenant: str, part: dict[Grant, tuple[int, dt.datetime]], since: dt.datetime, now: Instants
    ) -> "Future[Receipt]":
        uses = tuple(Use(grant.id, count, leaves.instant_text(last)) for grant, (count, last) in part.items())
        leaf = Uses(
            id=_new_id(),
            at=leaves.instant_text(now.wall),
            boot=now.boot,
            tenant=tenant,
            since=leaves.instant_text(since),
            uses=uses,
        )

        def failed(done: "Future[Receipt]") -> None:
            if done.cancelled() or done.exception() is not None:
                with self._lock:
                    self._since = min(self._since, since)
                    for grant, (count, last) in part.items():
                        more, later = self._uses.get(grant, (0, last))
                        self._uses[grant] = count + more, later

        receipt = self._submit(tenant, leaf)
        receipt.add_done_callback(failed)
        return receipt

    def _all(self) -> list[Grant]:
        with self._lock:
            return [*self._held.values(), *self._expected]

    def _changed(self) -> None:
        for changed in self._watching:
            changed()

    def _taken(self, grants: Iterable[Grant]) -> list[Grant]:
        taken = list(grants)
        with self._lock:
            for grant in taken:
                self._held.pop((grant.tenant, grant.row.key), None)
                self._standing.discard(grant.id)
                self._expected.discard(grant)
        return taken

    def _submit(self, tenant: str, leaf: Leaf) -> "Future[Receipt]":
        return self._log.submit(Entry.of(leaf, tenant))


def left_behind(log: SqliteLog, now: Instants) -> "Future[Receipt] | None":
    """Record that the grants of a node that ended without a word are over; None if it left none, or while the
    clock is not right. Only whoever has the log open to append, and gives no grants yet, knows that."""
    if now.suspect:
        return None
    with log.reading() as reading:
        for number in range(reading.size - 1, max(reading.size - 1 - _MOST_BACK, -1), -1):
            record = reading.record(number)
            leaf = None if record is None else leaves.read(record.leaf)
            if isinstance(leaf, AllEnded):
                return None
            if isinstance(leaf, Determined) and leaf.grant is not None:
                break
        else:
            if reading.size <= _MOST_BACK:
                return None
    return log.submit(Entry.of(all_ended("found", now)))


def all_ended(why: Ending, now: Instants) -> AllEnded:
    """The leaf that ends all grants before it."""
    return AllEnded(id=_new_id(), at=leaves.instant_text(now.wall), boot=now.boot, why=why)


def _new_id() -> str:
    return f"g_{secrets.token_hex(16)}"
