"""A node's log in one SQLite file, as `carnet.store.protocols.Log` says. How a batch is written is in
`writing`, what a reading sees in `reading`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Signer, Verifier
from carnet.ledger.tree import tree_at
from carnet.model.errors import CarnetError, Damaged, Malformed, StoreError, Taken, Unavailable
from carnet.store.protocols import Entry, Receipt
from carnet.store.sqlite import backup, creation, rows
from carnet.store.sqlite.owner import Owner
from carnet.store.sqlite.reading import Readers, SqliteReading
from carnet.store.sqlite.trouble import refused, told
from carnet.store.sqlite.waiting import Job, Limits, Waiting
from carnet.store.sqlite.writing import Name, Writer

LIMITS = Limits()


class SqliteLog:
    """A `Log`. One thread writes; any number submit and read."""

    def __init__(self, owner: Owner, writer: Writer, readers: Readers, waiting: Waiting) -> None:
        """Use `open_log`."""
        self._owner = owner
        self._writer = writer
        self._readers = readers
        self._waiting = waiting
        self._turn = threading.Lock()
        self._stopped: str | None = None
        self._guard: Callable[[], str | None] = lambda: None
        self._trouble: str | None = None
        self._next: list[Job] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="carnet-log", daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        return self._writer.name.origin

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded now, as far as the last batch tells; None if it can."""
        return self._kept_from() or self._trouble

    def submit(self, entry: Entry) -> "Future[Receipt]":
        future: Future[Receipt] = Future()
        try:
            self._going()
            self._waiting.put(Job((entry,), rows.weighed(entry), future))
        except CarnetError as error:
            future.set_exception(error)
        return future

    def submit_all(self, entries: Sequence[Entry]) -> "Future[list[Receipt | Taken]]":
        """Append entries with one transaction; for each its receipt, or why it was not recorded. Cheaper than
        as many calls of `submit`. Its exception is `Malformed` if one of them is, or there are none or more
        than a batch has; `Unavailable` as there. Nothing of it was recorded then."""
        future: Future[list[Receipt | Taken]] = Future()
        most = self._waiting.limits.batch
        try:
            self._going()
            if not 0 < len(entries) <= most:
                raise Malformed(f"`{len(entries)}` entries are no batch: submit 1 to {most} at once")
            weight = sum(map(rows.weighed, entries))
            self._waiting.put(Job(tuple(entries), weight, future, several=True))
        except CarnetError as error:
            future.set_exception(error)
        return future

    def append(self, entry: Entry, within: float) -> Receipt:
        """Submit and wait for `within` seconds. Raises as `submit` says, and `Unavailable` when the time is
        over: then it was not recorded, or it is in a batch whose end nobody can know yet, and `of_id` tells
        later."""
        future = self.submit(entry)
        try:
            return future.result(within)
        except TimeoutError:
            if future.done():
                return future.result()
            if future.cancel():
                raise Unavailable(
                    "nothing was recorded, the log was too slow: look at its disk, then ask again"
                ) from None
            raise Unavailable(
                f"the log was too slow: whether `{rows.shown(entry.id)}` was recorded, its id tells later"
            ) from None

    def reading(self) -> AbstractContextManager[SqliteReading]:
        """A consistent state; hold it shortly. Raises `Unavailable` or `Damaged` on entering."""
        return self._readers.reading()

    def stop(self, why: str) -> None:
        """Record nothing any more, until `continue_as`: for a log whose witness knows more of it than it
        does itself. What is in a batch is finished."""
        self._stopped = f"nothing was recorded, {why}: continue the log under a new origin"

    def guard(self, why: Callable[[], str | None]) -> None:
        """Have this asked before anything is recorded: what it gives is why nothing is, None if it may be. So
        what ends by itself needs no hands; `continue_as` does not ask."""
        self._guard = why

    def continue_as(
        self, origin: str, signers: Sequence[Signer], verifiers: Sequence[Verifier], entry: Entry
    ) -> Receipt:
        """Go on under a new origin, of which `entry` is the first record; its leaf says what went before.

        Records and nodes stay, and every checkpoint of the old name. From now on a batch is signed by
        `signers`. Raises `Unavailable`, `Taken` or `Malformed`: then nothing has changed. `StoreError` if the
        log has had that origin or could not verify what it signs.
        """
        name = Name(origin, tuple(signers), tuple(verifiers))
        name.check()
        rows.weighed(entry)
        with self.reading() as reading:
            if origin in {old for _, old in reading.origins()}:
                raise StoreError(f"the log has been `{origin}` before: continue under a name that is new")
        with self._turn:
            self._open()
            receipt = self._writer.renamed(name, entry)
            self._owner.remember(self.origin, self._writer.tree)
            self._stopped = None
        return receipt

    def forget(self, numbers: Sequence[int]) -> int:
        """Remove the private parts and the index terms of these records, for good: nothing of them is left in
        the file or its write-ahead log. How many had some. The leaves stay; so may backups."""
        with self._turn:
            self._open()
            return self._writer.forget(numbers)

    def backup(self, to: Path, progress: Callable[[int, int], None] | None = None) -> Checkpoint:
        """A copy of the log as it is now, in one plain file at a path where nothing is; its checkpoint.

        The log goes on meanwhile. `progress` is told the pages that are done and how many there are. Raises
        `StoreError` if the path is taken, `Unavailable` or `Damaged` if the copy is not whole.
        """
        name = self._writer.name
        with self._readers.connection() as db:
            return backup.copied(db, to, name.origin, name.verifiers, progress)

    def close(self) -> None:
        if self._closed:
            return
        self._waiting.close()
        self._thread.join()
        with self._turn:
            self._closed = True
            self._readers.close()
            self._writer.close()
            self._owner.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while (taken := [] if self._next else self._waiting.batch()) is not None:
            with self._turn:
                jobs, self._next = self._next or _begun(taken), None
                self._record(jobs)
                self._writer.tidy()

    def _ahead(self) -> list[Entry]:
        """What the next batch is, if it is full by now: made ready while the disk has the one before."""
        taken = self._waiting.full()
        self._next = None if taken is None else _begun(taken)
        return _entries(self._next or ())

    def _record(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        try:
            self._going()
            outcomes = self._writer.batch(_entries(jobs), self._ahead)
        except Exception as error:  # noqa: BLE001 -- whatever it is, those who wait are told and the thread goes on
            self._trouble = str(refused(error))
            for job in jobs:
                job.future.set_exception(Unavailable(self._trouble))
            return
        self._trouble = None
        self._owner.remember(self.origin, self._writer.tree)
        at = 0
        for job in jobs:
            job.tell(outcomes[at : at + len(job.entries)])
            at += len(job.entries)

    def _going(self) -> None:
        why = self._kept_from()
        if why is not None:
            raise Unavailable(why)

    def _kept_from(self) -> str | None:
        """Why nothing may be recorded, whatever the disk says."""
        why = self._guard()
        return self._stopped if why is None else f"nothing was recorded, {why}"

    def _open(self) -> None:
        if self._closed:
            raise Unavailable("the log is closed: open it again")


def _begun(jobs: list[Job]) -> list[Job]:
    """The jobs that nobody has taken back, and nobody can any more."""
    return [job for job in jobs if job.future.set_running_or_notify_cancel()]


def _entries(jobs: Sequence[Job]) -> list[Entry]:
    return [entry for job in jobs for entry in job.entries]


def open_log(
    path: Path,
    origin: str,
    signers: Sequence[Signer],
    verifiers: Sequence[Verifier],
    *,
    behind: bool = False,
    vfs: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    limits: Limits = LIMITS,
) -> SqliteLog:
    """Open the log at `path` to append to it, or make it if there never was one.

    `verifiers` are the log's keys, the retired ones too. The last checkpoint is verified, and what is stored
    has to fit it; nothing is repaired. A log that has less than it had when it was last open is refused;
    with `behind` it is opened all the same, and takes nothing until `continue_as`.

    Raises `Unavailable` if another process has it open or the disk fails, `StoreError` if it is of another
    origin or version or its file is gone, `Unverified` or `Damaged` if it does not fit.
    """
    path = path.resolve()
    name = Name(origin, tuple(signers), tuple(verifiers))
    name.check()
    owner = Owner(path)
    writer = Writer(path, vfs, name)
    readers = Readers(path, vfs)
    try:
        _there(path, owner, vfs, name)
        writer.start()
        lost = _lost(path, owner, readers, behind=behind)
    except BaseException:
        readers.close()
        writer.close()
        owner.release()
        raise
    if lost is None:
        owner.remember(origin, writer.tree)
    log = SqliteLog(owner, writer, readers, Waiting(limits, clock))
    if lost is not None:
        log.stop(f"the log {lost}")
    return log


def _there(path: Path, owner: Owner, vfs: str | None, name: Name) -> None:
    """Make a new log if there never was one."""
    if path.exists():
        return
    if owner.remembered() is not None or creation.beside(path, "wal").exists():
        raise StoreError(
            f"{told(path)} is gone and a log was there: restore it, "
            "or begin anew by removing what is left beside it"
        )
    creation.create(path, vfs, name)


def _lost(path: Path, owner: Owner, readers: Readers, *, behind: bool) -> str | None:
    """What the log had when it was last open and has no more; None if nothing is missing. Raises `Damaged`
    unless it may be behind."""
    had = owner.remembered()
    if had is None:
        return None
    with readers.reading() as reading:
        *before, _ = [origin for _, origin in reading.origins()]
        if any(had.of(origin) for origin in before):  # it was continued, and stopped before that was noted
            return None
        if had.size > reading.size:
            lost = f"has `{reading.size}` records and had `{had.size}`"
        elif tree_at(reading, had.size).root != had.root:
            lost = f"has others than the `{had.size}` records that it had"
        else:
            return None
    if behind:
        return lost
    raise Damaged(f"{told(path)} {lost}: restore what is missing, or continue it under a new origin")
