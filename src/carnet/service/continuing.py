"""A log that was put back goes on under a new name, which says what went before: so nobody can take it for
the one that had more. Putting it back is in `carnet.store.installation`.
"""

import secrets
from pathlib import Path

from msgspec import Struct

from carnet.ledger import tree
from carnet.model import leaf as leaves
from carnet.model.errors import InputError
from carnet.model.leaf import Continued
from carnet.model.plain import printable, short
from carnet.service.clock import Clock
from carnet.store.keyindex import check_name
from carnet.store.keys import Keyring
from carnet.store.origins import LOG, called, origins
from carnet.store.protocols import Entry
from carnet.store.sqlite.log import open_log


class Renamed(Struct, frozen=True, kw_only=True):
    """What became of it: the new name and its key (`name+id+base64`), the record that says so, and what the
    log was before."""

    origin: str
    key: str
    index: int
    before: str
    size: int
    root: str


def continued(home: Path, name: str, clock: Clock) -> Renamed:
    """Go on as `name`. No node may run. Raises `InputError` for a name that can't be one or that the log had,
    `Unavailable` while a node has the log open, and as `open_log`."""
    check_name(name)
    keyring, names = Keyring.open(home), origins(home / LOG)
    if not names:
        raise InputError(f"`{printable(str(home))}` has no log: name the data directory with `--data`")
    if name in names:
        raise InputError(f"the log has been `{short(printable(name))}` before: take a name that is new")
    before, after = called(keyring, names), called(keyring, [*names, name])
    with open_log(home / LOG, before.origin, before.signers, before.verifiers, behind=True) as log:
        with log.reading() as reading:
            found = tree.tree_at(reading, reading.size)
        if not found.size:
            raise InputError("the log has no records to go on from: begin a new installation")
        now = clock.read()
        leaf = Continued(
            id=f"c_{secrets.token_hex(16)}",
            at=leaves.instant_text(now.wall),
            boot=now.boot,
            origin=before.origin,
            size=found.size,
            root=found.root.hex(),
        )
        entry = Entry.of(leaf)
        receipt = log.continue_as(name, after.signers, after.verifiers, entry)
    return Renamed(
        origin=name,
        key=str(after.signers[0].verifier),
        index=receipt.index,
        before=before.origin,
        size=found.size,
        root=leaf.root,
    )
