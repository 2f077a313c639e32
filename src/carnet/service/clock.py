"""The one clock that is handed to everything: wall time beside a clock that nobody sets. What is refused
while the two disagree is for those who read it."""

import datetime as dt
import time
from collections.abc import Callable
from threading import Lock

from msgspec import Struct

MOST_SKEW = dt.timedelta(seconds=0.5)
"""More than this between the two clocks makes the wall clock suspect (design, section 2)."""

_REBASED_EVERY = dt.timedelta(seconds=60)


class Instants(Struct, frozen=True):
    """One reading. `wall` is what the wall clock says, in UTC; `late` and `early` are the later and the
    earlier of the wall clock and of what has passed by the other one: expiry is judged by `late`, what has
    begun by `early`. `boot` is the other clock, in nanoseconds. While `suspect`, nothing controlled is
    served."""

    wall: dt.datetime
    late: dt.datetime
    early: dt.datetime
    boot: int
    suspect: bool


def utc() -> dt.datetime:
    """The wall clock."""
    return dt.datetime.now(dt.UTC)


def since_boot() -> int:
    """Nanoseconds since the machine started, time asleep included; no setting of the clock changes it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """Reads both clocks. `last` is the latest instant on record: a wall clock before it is suspect from the
    start. A clock that comes back to within `MOST_SKEW` of the other is trusted again."""

    def __init__(
        self,
        wall: Callable[[], dt.datetime] = utc,
        boot: Callable[[], int] = since_boot,
        last: dt.datetime | None = None,
    ) -> None:
        self._wall, self._boot, self._lock = wall, boot, Lock()
        self._watch: Callable[[Instants], None] | None = None
        now = wall()
        self._base = (max(now, last) if last is not None else now, boot())

    def read(self) -> Instants:
        """Both clocks, now."""
        with self._lock:
            wall, boot = self._wall(), self._boot()
            passed = dt.timedelta(microseconds=(boot - self._base[1]) / 1_000)
            other = self._base[0] + passed
            suspect = abs(wall - other) > MOST_SKEW
            if not suspect and passed > _REBASED_EVERY:
                self._base = (wall, boot)  # the wall clock is slewed a little, all the time
        found = Instants(wall, max(wall, other), min(wall, other), boot, suspect)
        if self._watch is not None:
            self._watch(found)
        return found

    def watch(self, told: Callable[[Instants], None]) -> None:
        """Have each reading told, in the thread that reads and before it gets it. One is told at a time:
        whoever came last."""
        self._watch = told
