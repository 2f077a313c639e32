"""The use case of a determination: gather the facts, decide, act by the policy, record, and only then let it
take effect. What gathers, decides, acts and records is elsewhere; HTTP is in `carnet.web`."""

import datetime as dt
from concurrent.futures import Future
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.model.determination import RecordedDetermination
from carnet.model.errors import InputError, Unavailable
from carnet.model.leaf import instant_text
from carnet.model.recorded import recorded
from carnet.model.transaction import Transaction, check_transaction
from carnet.policy.enforcement import Kind, Surface, act_on
from carnet.service.clock import Clock, Instants
from carnet.service.grants import Grant, Grants
from carnet.service.law import Law
from carnet.service.recording import Decided, Recorder, new_id, plain
from carnet.service.subjects import FactSource, gathered
from carnet.store.protocols import Answered, GrantRow, Log, Receipt

MOST_AWAY = dt.timedelta(seconds=60)
"""How far the instant of a use may be from now."""


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked. A `use` happens now: it is decided at the node's own time and may become a grant. An
    `inquiry` is decided at its own `at`, is recorded, and lets nobody at anything. `done` are `before` tasks
    that are on record as done."""

    transaction: Transaction
    purpose: Literal["use", "inquiry"] = "use"
    surface: Surface = "api"
    done: tuple[str, ...] = ()


class Determined(Struct, frozen=True, kw_only=True):
    """What is answered: the legal answer in the form that may be kept, and what the door does. `grant` is the
    id of the grant, given now or found; it ends at `until` at the latest, or with the epoch."""

    id: str
    determination: RecordedDetermination
    controlled: bool
    action: Kind
    reason: str
    tasks: tuple[str, ...]
    fallback: str | None
    grant: str | None
    until: str | None
    epoch: int


class Pending(Struct, frozen=True):
    """An answer that must not be given before `receipt` is there: until then nothing is durable."""

    determined: Determined
    receipt: "Future[Receipt]"


class Determiner:
    """Determines for one node. Every part is handed in; `law` is exchanged whole at a new epoch."""

    def __init__(
        self, law: Law, log: Log, recorder: Recorder, source: FactSource, clock: Clock, grants: Grants
    ) -> None:
        self.law, self.grants = law, grants
        self._log, self._recorder, self._source, self._clock = log, recorder, source, clock

    def determine(self, tenant: str, request: Request, answered: "Idempotent | None" = None) -> Pending:
        """Decide, and hand the record to the log.

        Raises `InputError` for a transaction that can't be true or is another tenant's, `Unavailable` where
        nothing controlled may be served: a suspect clock, or a subject's key that can't be had.
        """
        law, now = self.law, self._clock.read()
        at = self._instant(request, now)
        check_transaction(request.transaction)
        transaction = gathered(request.transaction, self._source, tenant=tenant, known=now.early)
        known = now.wall
        decision = law.decide(transaction, at, known)
        seen = law.view(transaction, at, known)
        about = law.about(seen.values, at, known)
        determination = decision.determination
        action = act_on(
            determination,
            law.policy,
            controlled=about.controlled,
            surface=request.surface,
            product=plain(transaction.item.product),
            done=request.done,
        )
        serves = about.controlled and action.kind == "serve" and request.purpose == "use"
        if serves and now.suspect:
            raise Unavailable("the clock is suspect: nothing controlled is served until it is right again")
        id_, until = new_id(now), law.until(determination)
        grant = None
        if serves:
            subject = self._recorder.subject(tenant, transaction)
            grant = GrantRow(
                key=self._recorder.grant_key(tenant, subject, seen, about),
                subject=subject,
                item=plain(transaction.item.product) or "",
                epoch=law.epoch,
                until=None if until is None else instant_text(until),
            )
        found = Determined(
            id=id_,
            determination=recorded(determination),
            controlled=about.controlled,
            action=action.kind,
            reason=action.reason,
            tasks=action.tasks,
            fallback=action.fallback,
            grant=None if grant is None else id_,
            until=None if grant is None else grant.until,
            epoch=law.epoch,
        )
        decided = Decided(
            tenant=tenant,
            transaction=transaction,
            seen=seen,
            about=about,
            law=law,
            determination=determination,
            action=action,
            surface=request.surface,
            now=now,
        )
        kept = None if answered is None else answered.answered(found)
        receipt = self._log.submit(self._recorder.entry(id_, decided, grant, kept))
        if grant is not None:
            self.grants.expect(tenant, grant, id_, receipt)
        return Pending(found, receipt)

    def use(self, tenant: str, request: Request) -> Grant | None:
        """The grant that covers this use, counted; None if it has to be determined. Raises as `determine`."""
        law, now = self.law, self._clock.read()
        at = self._instant(request, now)
        transaction = gathered(request.transaction, self._source, tenant=tenant, known=now.early)
        seen = law.view(transaction, at, now.wall)
        about = law.about(seen.values, at, now.wall)
        subject = self._recorder.subject(tenant, transaction)
        key = self._recorder.grant_key(tenant, subject, seen, about)
        return self.grants.use(tenant, key, law.epoch, now)

    def _instant(self, request: Request, now: Instants) -> dt.datetime:
        at = request.transaction.at
        if request.purpose == "inquiry":
            return at
        if abs(at - now.wall) > MOST_AWAY:
            raise InputError(
                f"`at = {at.isoformat()}` is not now: a use is decided when it happens, "
                'ask with `purpose = "inquiry"` about another instant'
            )
        return now.wall


class Idempotent(Struct, frozen=True):
    """The idempotency key of a request, and a keyed digest of its body."""

    key: str
    request: bytes

    def answered(self, found: Determined) -> Answered:
        """What is kept beside the record, in the same transaction."""
        return Answered(key=self.key, request=self.request, status=200, body=msgspec.json.encode(found))
