"""What uses that are under way come to under the law of now: decided from memory and not recorded. What is
recorded of those that go on, and within which time, is for whoever asks."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable
from threading import Lock

from msgspec import Struct, structs

from carnet.model.determination import Outcome
from carnet.model.errors import InputError, StoreError
from carnet.model.view import View
from carnet.policy.enforcement import act_on, serves
from carnet.service.clock import Clock
from carnet.service.law import About, Law
from carnet.service.recording import Recorder, plain
from carnet.service.request import Request
from carnet.service.subjects import FactSource, gathered

_MOST = 100_000


class Going(Struct, frozen=True, kw_only=True):
    """What a use under way comes to. `open_rules`, `undecided` and `asked` are keys of questions and paths of
    facts, as in `engine.Answer`; it holds by itself until `until` at the longest."""

    serves: bool
    outcome: Outcome
    controlled: bool
    epoch: int
    open_rules: tuple[str, ...]
    undecided: tuple[str, ...]
    asked: tuple[str, ...]
    until: dt.datetime | None


class Underway:
    """Answers to uses that were let in under a law that may be over. Uses with equal facts get one answer,
    worked out once for each law. Several threads may ask."""

    def __init__(
        self, recorder: Recorder, source: FactSource, clock: Clock, version: Callable[[], object]
    ) -> None:
        """`version` gives another value as soon as anything on the desk may be another."""
        self._recorder, self._source, self._clock, self._lock = recorder, source, clock, Lock()
        self._version = version
        self._law: Law | None = None
        self._known: dict[str, Going] = {}
        self._before: tuple[Law | None, object, dict[tuple[str, Request], Going]] = None, None, {}

    def prepare(self, law: Law, uses: Iterable[tuple[str, Request]]) -> None:
        """Work out beforehand what open uses will come to under a law that is not in force yet."""
        version, found = self._version(), {}
        for tenant, request in uses:
            with contextlib.suppress(InputError, StoreError):
                found[tenant, request] = self._worked_out(law, tenant, request)
        self._before = law, version, found

    def answer(self, law: Law, tenant: str, request: Request) -> Going:
        """What a use comes to, as a stream. While the clock is suspect nothing controlled is served. Raises
        `InputError` for facts that can't be true, `Unavailable` where they can't be read."""
        prepared, version, before = self._before
        if prepared is law and (found := before.get((tenant, request))) and version == self._version():
            now = self._clock.read()
            if not now.suspect and (found.until is None or now.late < found.until):
                return found
        return self._worked_out(law, tenant, request)

    def _worked_out(self, law: Law, tenant: str, request: Request) -> Going:
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
            product = plain(transaction.item.product)
            found = known[key] = _going(law, seen, about, request, product, now.wall)
        return structs.replace(found, serves=False) if now.suspect and about.controlled else found


def _going(
    law: Law, seen: View, about: About, request: Request, product: str | None, now: dt.datetime
) -> Going:
    decision = law.decision(seen, now, now)
    answer = decision.answer
    found = serves(answer, law.policy, controlled=about.controlled)
    if found is None:
        action = act_on(
            decision.determination,
            law.policy,
            controlled=about.controlled,
            surface="stream",
            product=product,
            done=request.done,
        )
        found = action.kind == "serve"
    ends = [end for end in (seen.until, law.same_until(now, now)) if end is not None]
    return Going(
        serves=found,
        outcome=answer.outcome,
        controlled=about.controlled,
        epoch=law.epoch,
        open_rules=answer.certain,
        undecided=answer.undecided,
        asked=answer.asks,
        until=min(ends, default=None),
    )
