"""Answers that let nobody at a controlled item, kept for later uses that meet them: they take no grant, and
each was recorded when it was given. Refusals are among them, so that whoever asks again and again costs
little. In memory; after a start every use is decided anew."""

from collections import OrderedDict
from threading import Lock

from carnet.policy.enforcement import Surface
from carnet.service.clock import Instants
from carnet.service.request import Pending

MOST = 100_000
"""So many are kept, those that were met last."""


class Passes:
    """The answers that one door has got. Several threads may use them."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[tuple[str, Surface, str], Pending] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, tenant: str, surface: Surface, pending: Pending) -> None:
        """Keep the answer to a use whose record is durable, unless it serves a controlled item or nobody was
        named."""
        if pending.met is None or (pending.met.controlled and pending.determined.action == "serve"):
            return
        with self._lock:
            self._kept[tenant, surface, pending.met.key] = pending.again()
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def use(self, tenant: str, surface: Surface, key: str, epoch: int, now: Instants) -> Pending | None:
        """The answer that a use meets; None if there is none, if its time is over by the stricter clock, or
        while the clock is suspect."""
        with self._lock:
            kept = self._kept.get((tenant, surface, key))
            if kept is None or kept.met is None or now.suspect:
                return None
            if kept.met.epoch != epoch or (kept.met.until is not None and kept.met.until <= now.late):
                del self._kept[tenant, surface, key]
                return None
            self._kept.move_to_end((tenant, surface, key))
            return kept
