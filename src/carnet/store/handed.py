"""Ids in the desk that upstreams gave to what they keep for callers, files and batches: whose they are, and
the products of the models that gave what is in them. Who may reach one is for the gateway."""

import datetime as dt
from collections.abc import Collection

import msgspec
from msgspec import Struct

from carnet.model.time import in_utc
from carnet.store.desk import Desk

_SCHEMA = """CREATE TABLE IF NOT EXISTS handed (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    products TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID"""


class Kept(Struct, frozen=True):
    """Whose something is, and of which products."""

    subject: str
    products: tuple[str, ...]


class Handed:
    """The ids of a desk. What is kept stays with who had it first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        with desk.writing():
            desk.write(_SCHEMA)

    def keep(self, tenant: str, id_: str, subject: str, products: Collection[str], now: dt.datetime) -> None:
        """Keep whose an id is, durably. Raises `Unavailable`."""
        row = (
            tenant,
            id_,
            subject,
            msgspec.json.encode(sorted(products)).decode(),
            int(in_utc(now).timestamp()),
        )
        with self._desk.writing():
            self._desk.write("INSERT OR IGNORE INTO handed VALUES (?, ?, ?, ?, ?)", row)

    def of(self, tenant: str, id_: str) -> Kept | None:
        """Whose an id is; None if it is nobody's. Raises `Unavailable` or `StoreError`."""
        rows = self._desk.rows(
            "SELECT subject, products FROM handed WHERE tenant = ? AND id = ?", [tenant, id_]
        )
        return Kept(rows[0][0], msgspec.json.decode(rows[0][1], type=tuple[str, ...])) if rows else None
