"""The numbers of what has been enforced: each (rulebook, policy, engine) in turn has one, and it only grows.
What an epoch means is for `carnet.service`."""

import datetime as dt

from carnet.store.desk import Desk


def entered(desk: Desk, digest: str, now: dt.datetime) -> int:
    """The epoch of what is enforced from now on, durable: the last one if it is that already, else the next.
    Raises `Unavailable` if it can't be made durable."""
    with desk.writing():
        last = desk.rows("SELECT number, digest FROM epochs ORDER BY number DESC LIMIT 1")
        if last and last[0][1] == digest:
            return int(last[0][0])
        number = int(last[0][0]) + 1 if last else 1
        desk.write("INSERT INTO epochs VALUES (?, ?, ?)", (number, digest, int(now.timestamp())))
    return number
