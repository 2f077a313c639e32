"""Entries that wait for their batch, bounded in number and in bytes. What becomes of a batch is not here."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from carnet.model.errors import Taken, Unavailable
from carnet.store.protocols import Entry, Receipt


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch is closed at `batch` entries, `window` seconds after its first, or once nothing came for
    `quiet` seconds. More than `waiting` entries, or `waiting_bytes`, are not taken."""

    batch: int = 256
    window: float = 0.005
    quiet: float = 0.0005
    waiting: int = 8192
    waiting_bytes: int = 64 << 20


class Job(Struct, frozen=True):
    """Entries that were submitted with one call, what they weigh in bytes, and who is told: of one entry its
    receipt, of `several` a list."""

    entries: tuple[Entry, ...]
    weight: int
    future: "Future[Any]"
    several: bool = False

    def tell(self, outcomes: Sequence[Receipt | Taken]) -> None:
        """What became of each entry."""
        if self.several:
            self.future.set_result(list(outcomes))
        elif isinstance(outcomes[0], Receipt):
            self.future.set_result(outcomes[0])
        else:
            self.future.set_exception(outcomes[0])


class Waiting:
    """The queue between those who submit and the one who writes."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._jobs: deque[tuple[Job, float]] = deque()
        self._count = self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: Job) -> None:
        """Raises `Unavailable` at once if there is no room, or no more is taken."""
        with self._changed:
            if self._closed:
                raise Unavailable("nothing was recorded, the log is closed: open it again")
            before, count = self._count, self._count + len(job.entries)
            if count > self.limits.waiting or self._bytes + job.weight > self.limits.waiting_bytes:
                raise Unavailable(f"nothing was recorded, `{before}` entries wait already: ask again later")
            self._jobs.append((job, self._clock()))
            self._count, self._bytes = count, self._bytes + job.weight
            if before == 0 or before < self.limits.batch <= count:
                self._changed.notify()

    def batch(self) -> list[Job] | None:
        """The next batch; waits for it. None once it is closed and everything was taken."""
        limits = self.limits
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._changed.wait()
            while (count := self._count) < limits.batch and not self._closed:
                left = self._jobs[0][1] + limits.window - self._clock()
                if left <= 0:
                    break
                self._changed.wait(min(left, limits.quiet))
                if self._count == count:
                    break
            return self._taken()

    def full(self) -> list[Job] | None:
        """The next batch if it has all the entries that it may have; waits for nothing."""
        with self._changed:
            return self._taken() if self._count >= self.limits.batch else None

    def _taken(self) -> list[Job]:
        taken = [self._jobs.popleft()[0]]
        room = self.limits.batch - len(taken[0].entries)
        while self._jobs and len(self._jobs[0][0].entries) <= room:
            taken.append(self._jobs.popleft()[0])
            room -= len(taken[-1].entries)
        self._count -= sum(len(job.entries) for job in taken)
        self._bytes -= sum(job.weight for job in taken)
        return taken

    def close(self) -> None:
        """Take no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
