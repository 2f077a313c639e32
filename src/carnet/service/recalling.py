"""What uses have met a moment ago, found again by what was asked, as long as nothing that they were worked
out from is another: the law, the desk with its subjects and their facts, how long a fact or a rule lasts.
What they meet is found in `carnet.service.meeting`."""

import datetime as dt
from collections.abc import Callable

from msgspec import structs

from carnet.model.transaction import Transaction
from carnet.service.law import Law
from carnet.service.meeting import Meeting, Meets
from carnet.service.passes import Passes
from carnet.service.request import Pending, Request

MOST = 100_000
_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_Asked = tuple[str, Transaction, tuple[str, ...]]


class Recalled:
    """The uses of one door. `version` gives another value as soon as anything on the desk may be another."""

    def __init__(
        self, meeting: Meeting, law: Callable[[], Law], passes: Passes, version: Callable[[], object]
    ) -> None:
        self._meeting, self._law, self._passes, self._version = meeting, law, passes, version
        self._kept: dict[_Asked, tuple[object, Meets]] = {}

    def use(self, tenant: str, request: Request, now: dt.datetime) -> Pending | None:
        """As `Meeting.use`, or one of the passes; `now` is the later of the two clocks."""
        if request.purpose != "use":
            return None
        asked = (tenant, structs.replace(request.transaction, at=_NEVER), request.done)
        version = self._version()
        known = self._kept.get(asked)
        if known is None or known[0] != version or self._over(known[1], now):
            meets = self._meeting.meets(tenant, request)
            if meets is None:
                return None
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[asked] = version, meets
        else:
            meets = known[1]
        return self._meeting.met(tenant, request, meets, self._passes)

    def prepare(self, law: Law, now: dt.datetime) -> None:
        """Work out beforehand what holds for the items that were asked for, whoever asks."""
        for transaction in {each.item: each for _, each, _ in tuple(self._kept)}.values():
            law.about(law.view(transaction, now, now).values, now, now)

    def _over(self, meets: Meets, now: dt.datetime) -> bool:
        until = meets.met.until
        return meets.law is not self._law() or (until is not None and until <= now)
