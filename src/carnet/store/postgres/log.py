"""The log of logs in PostgreSQL, as `carnet.store.protocols.Log` says. How a batch is written is in
`writing`, what a reading sees in `reading`, what goes into it in `sequencer`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from carnet.ledger.note import Signer, Verifier
from carnet.ledger.tree import Tree
from carnet.model.errors import CarnetError, Unavailable
from carnet.store.postgres import reading, schema
from carnet.store.postgres.connection import Database, Pool
from carnet.store.postgres.reading import PostgresReading
from carnet.store.postgres.trouble import refused
from carnet.store.postgres.writing import Lease, Writer
from carnet.store.protocols import Entry, Receipt
from carnet.store.sqlite import rows
from carnet.store.sqlite.waiting import Job, Limits, Waiting
from carnet.store.sqlite.writing import Name

LIMITS = Limits()
LEASE = Lease()
EMPTY = Tree()


class PostgresLog:
    """A `Log` of the process that leads. One thread writes, one keeps the lease; any number submit and
    read."""

    def __init__(self, pool: Pool, writer: Writer, waiting: Waiting, beat: float) -> None:
        """Use `open_log`."""
        self._pool = pool
        self._writer = writer
        self._waiting = waiting
        self._turn = threading.Lock()
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="carnet-log-of-logs", daemon=True),
            threading.Thread(target=self._keep, args=(beat,), name="carnet-log-lease", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def origin(self) -> str:
        return self._writer.name.origin

    @property
    def epoch(self) -> int:
        """The epoch that we lead in."""
        return self._writer.epoch

    @property
    def tree(self) -> Tree:
        """What was signed last."""
        return self._writer.tree

    @property
    def fenced(self) -> bool:
        """Whether another process leads now: this one never appends again."""
        return self._writer.fenced

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded now, as far as was heard last; None if it can."""
        return self._trouble

    def submit(self, entry: Entry) -> "Future[Receipt]":
        future: Future[Receipt] = Future()
        try:
            self._waiting.put(Job((entry,), rows.weighed(entry), future))
        except CarnetError as error:
            future.set_exception(error)
        return future

    def reading(self) -> AbstractContextManager[PostgresReading]:
        """A consistent state; hold it shortly. Raises `Unavailable` or `Damaged` on entering."""
        return reading.reading(self._pool)

    def close(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        self._waiting.close()
        for thread in self._threads:
            thread.join()
        self._writer.close()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while (jobs := self._waiting.batch()) is not None:
            with self._turn:
                self._record([job for job in jobs if job.future.set_running_or_notify_cancel()])

    def _record(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        try:
            outcomes = self._writer.batch([entry for job in jobs for entry in job.entries])
        except Exception as error:  # noqa: BLE001 -- whatever it is, those who wait are told and the thread goes on
            self._trouble = str(refused(error))
            for job in jobs:
                job.future.set_exception(Unavailable(self._trouble))
            return
        self._trouble = None
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.tell([outcome])

    def _keep(self, beat: float) -> None:
        """Tell the server that we are there, often enough to keep the lease."""
        while not self._stop.wait(beat):
            with self._turn:
                try:
                    self._writer.beat()
                except Unavailable as error:
                    self._trouble = str(error)
                else:
                    self._trouble = None


def open_log(
    database: Database,
    origin: str,
    signers: Sequence[Signer],
    verifiers: Sequence[Verifier],
    *,
    lease: Lease = LEASE,
    seen: Tree = EMPTY,
    clock: Callable[[], float] = time.monotonic,
    limits: Limits = LIMITS,
) -> PostgresLog:
    """Lead the log of logs, and make it if there never was one.

    `verifiers` are the log's keys, the retired ones too. The last checkpoint is verified, and what is stored
    has to fit it; nothing is repaired. With `seen`, a log that does not begin with that tree is not gone on
    from: the database was put back. Raises `Unavailable` if another process leads or the database can't be
    reached, `StoreError` if it is of another origin or version, `Unverified` or `Damaged` if it does not fit.
    """
    name = Name(origin, tuple(signers), tuple(verifiers))
    name.check()
    schema.prepare(database)
    writer = Writer(database, name, lease, seen)
    writer.start()
    return PostgresLog(Pool(database), writer, Waiting(limits, clock), lease.seconds / 3)
