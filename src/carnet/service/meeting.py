"""What a use meets: a grant, or an answer that was given before. How a use is determined that meets neither
is in `carnet.service.determine`."""

import datetime as dt
from collections.abc import Callable

from msgspec import Struct

from carnet.model.errors import InputError
from carnet.service.clock import Clock, Instants
from carnet.service.grants import Grants
from carnet.service.law import Law
from carnet.service.passes import Passes
from carnet.service.recording import Recorder, plain
from carnet.service.request import Met, Pending, Request
from carnet.service.subjects import FactSource, gathered
from carnet.store.protocols import Log

MOST_AWAY = dt.timedelta(seconds=60)
"""How far the instant of a use may be from now."""


class Meets(Struct, frozen=True):
    """What a use has to meet under a law, as long as no fact of it is another; until then at the longest."""

    met: Met
    law: Law


class Meeting:
    """What uses meet on one node, by the law that `law` gives."""

    def __init__(
        self,
        law: Callable[[], Law],
        log: Log,
        recorder: Recorder,
        source: FactSource,
        clock: Clock,
        grants: Grants,
        forbids: Callable[[], str | None],
    ) -> None:
        self._law, self._log, self._recorder = law, log, recorder
        self._source, self._clock, self._grants, self._forbids = source, clock, grants, forbids

    def use(self, tenant: str, request: Request) -> Pending | None:
        """What a use that meets a grant gets, and it is counted. None if it has to be determined: an inquiry
        has to be, and a use by whoever is not named; and each while nothing can be recorded. Raises as
        `determine`; `request` was checked when it was read."""
        meets = self.meets(tenant, request) if request.purpose == "use" else None
        return None if meets is None else self.met(tenant, request, meets)

    def meets(self, tenant: str, request: Request) -> Meets | None:
        """What a use has to meet now; None for one by whoever is not named."""
        law, now = self._law(), self._clock.read()
        at = instant_of(request, now)
        transaction = gathered(request.transaction, self._source, tenant=tenant, known=now.early)
        if plain(transaction.recipient.id) is None:
            return None
        seen = law.view(transaction, at, now.wall)
        about = law.about(seen.values, at, now.wall)
        subject = self._recorder.subject(tenant, transaction)
        key = self._recorder.grant_key(tenant, subject, seen, about, request.done)
        ends = [end for end in (seen.until, law.same_until(at, now.wall)) if end is not None]
        return Meets(Met(key, about.controlled, law.epoch, min(ends, default=None)), law)

    def met(
        self, tenant: str, request: Request, meets: Meets, passes: Passes | None = None
    ) -> Pending | None:
        """The grant, or the one of `passes`, that a use meets."""
        if self._log.trouble is not None or self._forbids() is not None:
            return None
        now, met = self._clock.read(), meets.met
        instant_of(request, now)
        found = self._grants.use(tenant, met.key, met.epoch, now) if met.controlled else None
        return (
            found if found or passes is None else passes.use(tenant, request.surface, met.key, met.epoch, now)
        )


def instant_of(request: Request, now: Instants) -> dt.datetime:
    """The instant at which a request is decided. Raises `InputError` for a use at another than now."""
    at = request.transaction.at
    if request.purpose == "inquiry":
        return at
    if min(abs(at - now.early), abs(at - now.late)) > MOST_AWAY:
        raise InputError(
            f"`at = {at.isoformat()}` is not now: a use is decided when it happens, "
            'ask with `purpose = "inquiry"` about another instant'
        )
    return now.wall
