"""Wrong builds of the log, made in a test's own process: the harness has to catch each of them."""

from contextlib import suppress

import apsw

from carnet.ledger import log as ledger
from carnet.store.sqlite import schema, writing


def synchronous_off():
    """Nothing waits until it is on the disk."""
    schema.SYNCHRONOUS = "OFF"


def acknowledged_before_commit():
    """Who waits is told first, and then it commits."""
    tidy = writing.Writer.tidy

    def commit_late(self):
        with suppress(apsw.SQLError):
            self._db.execute("COMMIT")
        tidy(self)

    writing.Writer.commit = lambda self, db: None
    writing.Writer.tidy = commit_late


def signed_unverified():
    """A checkpoint is signed over what was given, whatever was stored."""
    ledger.verify = lambda storage, signed, after: None
    writing._Beside.compare = lambda self, db: None


BUILDS = {build.__name__: build for build in (synchronous_off, acknowledged_before_commit, signed_unverified)}


def build(name):
    """Make this process a wrong build; None leaves it right."""
    if name is not None:
        BUILDS[name]()
