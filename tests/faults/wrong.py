"""Wrong builds of the log, made in a test's own process and in its children: each fault test has to fail
under those that it is there for (`test_wrong_builds.py`)."""

import os
import time
from concurrent.futures import Future

from msgspec import structs

from carnet.ledger import log as ledger
from carnet.store.sqlite import batches, schema, writing
from carnet.store.sqlite.log import SqliteLog

VARIABLE = "CARNET_WRONG"
NAME = os.environ.get(VARIABLE)
PAUSE = 0.02
"""Between an acknowledgement and its commit: a slow disk."""


def synchronous_off():
    """Nothing waits until it is on the disk."""
    schema.SYNCHRONOUS = "OFF"


def acknowledged_before_commit():
    """Who waits is told first, and then it commits."""
    record, recorded, commit = SqliteLog._record, writing.Writer._recorded, writing.Writer.commit

    def record_early(self, jobs):
        shadows = [structs.replace(job, future=Future()) for job in jobs]
        self._writer.early = jobs
        record(self, shadows)
        for job, shadow in zip(jobs, shadows, strict=True):
            if not job.future.done():
                if (error := shadow.future.exception()) is not None:
                    job.future.set_exception(error)
                else:
                    job.future.set_result(shadow.future.result())

    def recorded_early(self, *given, **named):
        self.outcomes, after = recorded(self, *given, **named)
        return self.outcomes, after

    def commit_late(self, db):
        at = 0
        for job in getattr(self, "early", ()):
            job.tell(self.outcomes[at : at + len(job.entries)])
            at += len(job.entries)
        self.tidy()  # whatever comes after an acknowledgement comes before the commit too
        time.sleep(PAUSE)
        commit(self, db)

    SqliteLog._record = record_early
    writing.Writer._recorded, writing.Writer.commit = recorded_early, commit_late


def signed_unverified():
    """A checkpoint is signed over what was given, whatever was stored."""
    ledger.verify = lambda storage, signed, after, complete=None: None
    batches.Beside.compare = lambda self, stored: None


BUILDS = {build.__name__: build for build in (synchronous_off, acknowledged_before_commit, signed_unverified)}


def build():
    """Make this process the wrong build that the variable names; without one it stays right."""
    if NAME is not None:
        BUILDS[NAME]()
