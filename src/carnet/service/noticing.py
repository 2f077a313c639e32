"""What a node notices about itself and puts on record before anything that it may have touched: that its
clock became suspect, and that it is right again. What is refused then is in `carnet.service.determine`."""

import datetime as dt
import secrets
from concurrent.futures import Future
from threading import Lock

from carnet.model import leaf as leaves
from carnet.model.leaf import Noticed
from carnet.service.clock import Instants
from carnet.store.protocols import Entry, Log, Receipt

SUSPECT, RIGHT = "clock_suspect", "clock_right"

_MILLISECOND = dt.timedelta(milliseconds=1)


class ClockWatch:
    """Is told each reading of the clock, before who reads goes on with it. Several threads may read."""

    def __init__(self, log: Log) -> None:
        self._log, self._lock = log, Lock()
        self._suspect = False

    def __call__(self, now: Instants) -> None:
        """Record a change. What can't be recorded now is tried at the next reading."""
        with self._lock:
            if now.suspect == self._suspect:
                return
            self._suspect = now.suspect
            other = now.early if now.wall == now.late else now.late
            leaf = Noticed(
                id=f"n_{secrets.token_hex(16)}",
                at=leaves.instant_text(now.wall),
                boot=now.boot,
                what=SUSPECT if now.suspect else RIGHT,
                figures={"skew_milliseconds": (now.wall - other) // _MILLISECOND},
            )
            receipt = self._log.submit(Entry.of(leaf))

        def failed(done: "Future[Receipt]") -> None:
            if done.cancelled() or done.exception() is not None:
                with self._lock:
                    self._suspect = not now.suspect

        receipt.add_done_callback(failed)
