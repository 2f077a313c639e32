"""The use case of a determination: gather the facts, decide, act by the policy, record, and only then let it
take effect. What gathers, decides, acts and records is elsewhere; HTTP is in `carnet.web`."""

from collections.abc import Callable

from carnet.model.errors import Unavailable
from carnet.model.recorded import recorded
from carnet.model.transaction import Transaction, check_transaction
from carnet.policy.enforcement import act_on
from carnet.service.clock import Clock, Instants
from carnet.service.grants import Grants
from carnet.service.law import Law
from carnet.service.meeting import instant_of
from carnet.service.recording import Decided, Recorder, new_id, plain
from carnet.service.request import Determined, Idempotent, Met, Pending, Request
from carnet.service.subjects import FactSource, gathered
from carnet.store.protocols import Log


class Determiner:
    """Determines for one node. Every part is handed in; `law` is exchanged whole at a new epoch."""

    def __init__(
        self,
        law: Law,
        log: Log,
        recorder: Recorder,
        source: FactSource,
        clock: Clock,
        grants: Grants,
        forbids: Callable[[], str | None],
    ) -> None:
        self.law, self.grants = law, grants
        self._log, self._recorder, self._source, self._clock = log, recorder, source, clock
        self._forbids = forbids

    def determine(self, tenant: str, request: Request, answered: Idempotent | None = None) -> Pending:
        """Decide, and hand the record to the log.

        Raises `InputError` for a transaction that can't be true or is another tenant's, `Unavailable` where
        nothing controlled may be served: a suspect clock, a log that was not witnessed for too long, or a
        subject's key that can't be had.
        """
        law, now = self.law, self._clock.read()
        at, known = instant_of(request, now), now.wall
        check_transaction(request.transaction)
        transaction = gathered(request.transaction, self._source, tenant=tenant, known=now.early)
        seen = law.view(transaction, at, known)
        decision = law.decision(seen, at, known)
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
        if now.suspect and action.kind == "serve" and request.purpose == "use":
            self._refuse_controlled(transaction, now)
        if serves and (why := self._forbids()) is not None:
            raise Unavailable(why)
        id_, until, subject = (
            new_id(now),
            law.until(determination),
            self._recorder.subject(tenant, transaction),
        )
        key = self._recorder.grant_key(tenant, subject, seen, about, request.done)
        grant = self._recorder.grant(key, subject, transaction, law.epoch, until) if serves else None
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
            given=None if grant is None else "now",
        )
        decided = Decided(
            tenant=tenant,
            transaction=transaction,
            seen=seen,
            about=about,
            law=law,
            determination=determination,
            action=action,
            request=request,
            now=now,
        )
        kept = None if answered is None else answered.answered(found)
        met = Met(key, about.controlled, law.epoch, until) if plain(transaction.recipient.id) else None
        receipt = self._log.submit(self._recorder.entry(id_, decided, grant, kept))
        pending = Pending(found, receipt, met, decision.answer.undecided)
        if grant is not None:
            self.grants.expect(tenant, grant, pending)
        return pending

    def _refuse_controlled(self, transaction: Transaction, now: Instants) -> None:
        """Raises `Unavailable` for what is controlled by either clock: by one that is years off no rule may
        be in force."""
        for at in (now.early, now.late):
            if self.law.about(self.law.view(transaction, at, at).values, at, at).controlled:
                raise Unavailable(
                    "the clock is suspect: nothing controlled is served until it is right again"
                )
