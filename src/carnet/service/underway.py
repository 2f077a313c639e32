"""What uses that are under way come to under the law of now: decided from memory and not recorded. What is
recorded of those that go on, and within which time, is for whoever asks."""

import datetime as dt
from threading import Lock

from msgspec import Struct, structs

from carnet.model.leaf import instant_text
from carnet.model.recorded import recorded
from carnet.model.transaction import Transaction
from carnet.policy.enforcement import act_on
from carnet.service.clock import Clock
from carnet.service.law import Law
from carnet.service.recording import Recorder, plain
from carnet.service.request import Determined, Request
from carnet.service.subjects import FactSource, gathered

_MOST = 100_000


class Known(Struct, frozen=True):
    """An answer whose id is empty, since there is no record; until when it holds by itself; the keys of the
    questions that are open (`engine.Answer`)."""

    answer: Determined
    until: dt.datetime | None
    undecided: tuple[str, ...]


class Underway:
    """Answers to uses that were let in under a law that may be over. Uses with equal facts get one answer,
    worked out once for each law. Several threads may ask."""

    def __init__(self, recorder: Recorder, source: FactSource, clock: Clock) -> None:
        self._recorder, self._source, self._clock, self._lock = recorder, source, clock, Lock()
        self._law: Law | None = None
        self._known: dict[str, Known] = {}

    def answer(self, law: Law, tenant: str, request: Request) -> Known:
        """What a use comes to, as a stream. While the clock is suspect nothing controlled is served. Raises
        `InputError` for facts that can't be true, `Unavailable` where they can't be read."""
        now = self._clock.read()
        transaction = gathered(request.transaction, self._source, tenant=tenant, known=now.early)
        seen = law.view(transaction, now.wall, now.wall)
        about = law.about(seen.values, now.wall, now.wall)
        key = self._recorder.grant_key("", "", seen, about, request.done)
        with self._lock:
            if self._law is not law or len(self._known) >= _MOST:
                self._law, self._known = law, {}
            known = self._known
        found = known.get(key)
        if found is None or (found.until is not None and found.until <= now.late):
            found = known[key] = _decided(law, transaction, request, now.wall, about.controlled)
        if now.suspect and about.controlled and found.answer.action == "serve":
            cut = structs.replace(found.answer, action="cut", reason="facts_controlled")
            return structs.replace(found, answer=cut)
        return found


def _decided(
    law: Law, transaction: Transaction, request: Request, now: dt.datetime, controlled: bool
) -> Known:
    decision = law.decide(transaction, now, now)
    determination = decision.determination
    action = act_on(
        determination,
        law.policy,
        controlled=controlled,
        surface="stream",
        product=plain(transaction.item.product),
        done=request.done,
    )
    until = law.until(determination)
    answer = Determined(
        id="",
        determination=recorded(determination),
        controlled=controlled,
        action=action.kind,
        reason=action.reason,
        tasks=action.tasks,
        fallback=action.fallback,
        grant=None,
        until=None if until is None else instant_text(until),
        epoch=law.epoch,
    )
    return Known(answer, until, decision.answer.undecided)
