"""Logs of logs that are opened, looked at, and badly treated."""

from tests.ledger.memory import LOG, ORIGIN

from carnet.ledger.audit import audit
from carnet.store.postgres import schema
from carnet.store.postgres.log import open_log
from carnet.store.postgres.writing import Lease

KEYS = [LOG.verifier]
LEASE = Lease(seconds=1.0, again=3.0)


def opened(database, **more):
    return open_log(database, ORIGIN, [LOG], KEYS, **{"lease": LEASE, **more})


def sound(log):
    with log.reading() as reading:
        report = audit(reading, reading.checkpoint(), ORIGIN, KEYS)
        ids = [reading.record(number).id for number in range(reading.size)]
    assert report.findings == ()
    return ids


def ended(database):
    """End the session that leads, as the server does when it hears nothing."""
    with database.connected() as db:
        number = schema.lock_number(database, "sequencer")
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND classid::bigint = (%s >> 32) & 4294967295 AND objid::bigint = %s & 4294967295",
            (number, number),
        )


def put_back(database):
    """The log as it was with one record."""
    with database.connected() as db:
        db.execute("BEGIN")
        db.execute("SET LOCAL session_replication_role = replica")
        for table in ("leaves", "records", "terms"):
            db.execute(f"DELETE FROM {table} WHERE number = 1")
        db.execute("DELETE FROM nodes WHERE place > 0")
        db.execute("DELETE FROM checkpoints WHERE size = 2")
        db.execute("COMMIT")
