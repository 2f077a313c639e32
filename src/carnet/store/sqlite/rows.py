"""Entries as rows and back. Which rows go together is not decided here.

The tree covers the leaf alone. What stands beside it has a `mark` in its row, eight bytes of SHA-256 over the
other columns: so what a disk changed is noticed when it is read. It keeps out no one who writes the file: the
leaf, its proof and the sealing of the private part do.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from carnet.ledger.tiles import LARGEST_ENTRY
from carnet.model.errors import Damaged, Malformed
from carnet.model.plain import printable, short
from carnet.store.protocols import Answered, Entry, GrantRow, Record

_sha256 = hashlib.sha256
_packed = msgspec.msgpack.Encoder().encode

TERM_BYTES = 16
MOST_TERMS = 64
MOST_TEXT = 4096
"""Signs in all the texts of an entry together."""

MOST_PART = 1 << 20
"""The most bytes of a private part, and of an answer."""

Columns = tuple[Any, ...]  # what SQLite takes and gives: int, str, bytes or None, by the schema

RECORD = "number, id, tenant, subject, retention, sealed, terms, mark"
GRANT = "tenant, key, number, subject, item, epoch, until, mark"
ANSWERED = "tenant, key, number, request, status, body, mark"


def weighed(entry: Entry) -> int:
    """About how many bytes an entry takes. Raises `Malformed` if it can't be stored, so that it fails
    alone."""
    if len(entry.leaf) > LARGEST_ENTRY:
        raise Malformed(
            f"the record has {len(entry.leaf)} bytes, over {LARGEST_ENTRY}: keep the rest elsewhere"
        )
    if not entry.id:
        raise Malformed("the record has no id: make one that is new")
    texts = entry.id + entry.tenant + entry.subject + entry.retention
    weight = len(entry.leaf) + TERM_BYTES * len(entry.terms)
    if entry.sealed is not None:
        weight += _part(entry.sealed)
    if entry.terms and (len(entry.terms) > MOST_TERMS or {*map(len, entry.terms)} != {TERM_BYTES}):
        raise Malformed(
            f"the record has a term that is not of {TERM_BYTES} bytes, or over {MOST_TERMS}: leave it out"
        )
    if entry.grant is not None:
        _number(entry.grant.epoch)
        texts += entry.grant.key + entry.grant.subject + entry.grant.item + (entry.grant.until or "")
    if entry.answered is not None:
        _number(entry.answered.status)
        texts += entry.answered.key
        weight += len(entry.answered.request) + _part(entry.answered.body)
    if len(texts) > MOST_TEXT:
        raise Malformed(f"the record has texts of over {MOST_TEXT} signs: make them shorter")
    try:
        return weight + len(texts.encode())
    except UnicodeEncodeError:
        raise Malformed("the record has a text that is not Unicode: leave the half signs out") from None


def fetched(db: apsw.Connection, text: str, values: Sequence[Any] = ()) -> list[Columns]:
    """All that a query gives."""
    return db.execute(text, values).fetchall()


def record(number: int, entry: Entry) -> Columns:
    packed = b"".join(sorted({*entry.terms})) if entry.terms else b""
    columns = (number, entry.id, entry.tenant, entry.subject, entry.retention, entry.sealed, packed)
    return (*columns, _mark("record", columns))


def grant(number: int, entry: Entry, row: GrantRow) -> Columns:
    return _marked("grant", entry.tenant, row.key, number, row.subject, row.item, row.epoch, row.until)


def answered(number: int, entry: Entry, row: Answered) -> Columns:
    return _marked("answer", entry.tenant, row.key, number, row.request, row.status, row.body)


def forgotten(row: Columns) -> Columns:
    """A record's row without its private part and its terms."""
    number, id_, tenant, subject, retention, *_ = row
    return _marked("record", number, id_, tenant, subject, retention, None, b"")


def as_record(row: Columns, leaf: bytes) -> Record:
    whole("record", row)
    number, id_, tenant, subject, retention, sealed, _, _ = row
    return Record(
        index=number,
        id=id_,
        leaf=leaf,
        tenant=tenant,
        subject=subject,
        retention=retention,
        sealed=sealed,
    )


def as_grant(row: Columns) -> tuple[GrantRow, int]:
    whole("grant", row)
    _, key, number, subject, item, epoch, until, _ = row
    return GrantRow(key=key, subject=subject, item=item, epoch=epoch, until=until), number


def as_answered(row: Columns) -> Answered:
    whole("answer", row)
    _, key, _, request, status, body, _ = row
    return Answered(key=key, request=request, status=status, body=body)


def whole(kind: str, row: Columns) -> None:
    """Raises `Damaged` if the row is not what was written; the last column is its mark."""
    if row[-1] != _mark(kind, row[:-1]):
        raise Damaged(f"a stored {kind} is not what was written: run an audit, then restore from a backup")


def terms(packed: bytes) -> list[bytes]:
    return [packed[at : at + TERM_BYTES] for at in range(0, len(packed), TERM_BYTES)]


def shown(id_: str) -> str:
    """An id as an error names it."""
    return short(printable(id_))


def _marked(kind: str, *columns: Any) -> Columns:  # noqa: ANN401 -- the columns of a row, by the schema
    return (*columns, _mark(kind, columns))


def _mark(kind: str, columns: Sequence[Any]) -> bytes:
    return _sha256(_packed((kind, columns))).digest()[:8]


def _part(data: bytes) -> int:
    if len(data) > MOST_PART:
        raise Malformed(f"the record has a part of {len(data)} bytes, over {MOST_PART}: make it smaller")
    return len(data)


def _number(value: int) -> None:
    if not -(2**63) <= value < 2**63:
        raise Malformed("the record has a number of over 64 bits: give a smaller one")
