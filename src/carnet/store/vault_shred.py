"""The end of a key in one file: overwritten where it stands, and looked for. Whether it may be destroyed is
in `carnet.store.vault`."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import apsw

from carnet.model.errors import Absent, Damaged
from carnet.model.leaf import Order
from carnet.model.plain import printable
from carnet.store import vault_file
from carnet.store.vault_keys import WRAPPED_BYTES, pieces


def overwritten(connection: apsw.Connection, order: Order, path: Path, *, must: bool) -> None:
    """The wrapped key of an order, overwritten where it stands. It commits only once no copy is left: pages
    that were split or freed under another program may have some, and `VACUUM` writes them anew."""
    id_ = bytes.fromhex(order.key)
    row = connection.execute(
        "SELECT shredded, wrapped FROM keys WHERE id = ? AND subject = ? AND retention = ?",
        (id_, order.subject, order.retention),
    ).fetchone()
    if row is None and must:
        raise Absent(f"`{order.key}` is no key of this vault: plan the shred again")
    if row is None or row[0]:
        return
    parts = pieces(cast(bytes, row[1]))
    if _gone(connection, id_, parts):
        return
    connection.execute("VACUUM")
    if not _gone(connection, id_, parts):
        raise Damaged(
            f"a copy of the key `{order.key}` stays in `{printable(str(path))}`: nothing was destroyed, "
            "look for what else is kept in that file"
        )


class _Left(Exception):
    """A copy is left: what was begun is taken back."""


def _gone(connection: apsw.Connection, id_: bytes, parts: Sequence[bytes]) -> bool:
    try:
        with vault_file.transaction(connection):
            connection.execute(
                "UPDATE keys SET shredded = 1, wrapped = ? WHERE id = ?", (bytes(WRAPPED_BYTES), id_)
            )
            _check_gone(connection, parts)
    except _Left:
        return False
    return True


def _check_gone(connection: apsw.Connection, parts: Sequence[bytes]) -> None:
    if vault_file.holds(connection, parts):
        raise _Left
