"""Every rotation of a key is on record: a leaf for each that a log does not have yet. How a key is rotated is
in `carnet.service.rotation`.

Each log says the rotations of its installation's keys and, if it is that of one of several nodes, of its own.
"""

import hashlib
from collections.abc import Sequence

from carnet.model import leaf as leaves
from carnet.model.leaf import KeysRotated
from carnet.service.clock import Instants
from carnet.service.retention import recorded
from carnet.store.keyindex import Rotation
from carnet.store.keys import Keyring
from carnet.store.sqlite.log import SqliteLog


def record_rotations(log: SqliteLog, keyrings: Sequence[Keyring], now: Instants) -> int:
    """Record what is not on record, of each keyring in the order in which it was signed; how many. Done
    again, also after it was cut short, it adds none twice: the id of a leaf says which rotation it is. Raises
    `Unavailable`."""
    done = [(_id(keyring.name, each), each) for keyring in keyrings for each in keyring.rotations()]
    with log.reading() as reading:
        missing = [(id_, each) for id_, each in done if reading.of_id("", id_) is None]
    for id_, each in missing:
        assert each.role != "approver"  # their keys are their own: they are retired, never rotated
        leaf = KeysRotated(
            id=id_,
            at=leaves.instant_text(now.wall),
            boot=now.boot,
            role=each.role,
            old=each.old,
            new=each.new,
            verifier=each.public,
            statement=each.statement,
        )
        recorded(log, leaf, "")
    return len(missing)


def _id(name: str, rotation: Rotation) -> str:
    text = f"carnet rotation 1\n{name}\n{rotation.role}\n{rotation.old}\n{rotation.new}"
    return f"k_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
