"""How much one API key may ask for: a bucket of tokens for each, in memory. What a request costs is for
whoever serves it."""

import time
from collections.abc import Callable
from math import ceil

MOST_BUCKETS = 10_000


class Buckets:
    """A bucket for each key: it holds `burst` tokens and gets `rate` new ones a second."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, cost: int = 1) -> int:
        """Take tokens. 0 if they were there; else nothing is taken, and it is after how many seconds they
        will be."""
        now = self._clock()
        left, since = self._left.get(key, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._rate)
        missing = cost - left
        self._left[key] = (left, now) if missing > 0 else (left - cost, now)
        if len(self._left) > MOST_BUCKETS:
            self._forget(now)
        return max(1, ceil(missing / self._rate)) if missing > 0 else 0

    def _forget(self, now: float) -> None:
        """Leave out the buckets that are full again: a new one is the same."""
        self._left = {
            key: (left, since)
            for key, (left, since) in self._left.items()
            if left + (now - since) * self._rate < self._burst
        }
