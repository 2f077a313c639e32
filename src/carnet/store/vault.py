"""The vault: one key for each subject and retention class, what is sealed with it, and the end of it. Which
records there are, how long they are kept and who may approve are known to the caller.

A sealed part is a byte for its format, the id of its key (8 bytes), a nonce (12 bytes) and AES-256-GCM of
the private part, the record's id as associated data. A key is 32 random bytes, wrapped with AES-256-GCM under
the installation's wrapping key. Keys are looked up each time and never kept in memory: what another process
has destroyed is gone here too.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Lock
from types import TracebackType
from typing import Self, cast

import apsw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from carnet.ledger.note import Verifier
from carnet.model.errors import Absent, Damaged, StoreError, Unverified
from carnet.model.leaf import Approval, Held, Order, Retention, Shredded
from carnet.model.plain import printable, short
from carnet.model.retention import Standing, State, is_held
from carnet.store import vault_file
from carnet.store.vault_approval import check_approvals
from carnet.store.vault_keys import (
    ID_BYTES,
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    Whose,
    check_key,
    mark,
    unwrapped,
    wrapped,
)
from carnet.store.vault_shred import overwritten

SEALED_MORE = 1 + ID_BYTES + NONCE_BYTES + TAG_BYTES
"""Bytes that a sealed part has more than the private part in it."""

_FORMAT = b"\x01"
_PART = b"carnet sealed part 1\n"


class KeyEntry(Struct, frozen=True):
    """A key as it is listed: whose, for what, its id, and whether it is destroyed."""

    subject: str
    retention: Retention
    key: str
    shredded: bool


class Vault:
    """An open vault. It may be used from several threads."""

    def __init__(self, path: Path, connection: apsw.Connection, wrapping: bytes) -> None:
        self.path = path
        self._connection = connection
        self._wrapping = wrapping
        self._lock = Lock()
        self._turn = Condition()
        self._led = False
        self._wanted: dict[Whose, Future[tuple[bytes, bytes]]] = {}
        self._id = cast(bytes, connection.execute("SELECT value FROM about WHERE name = 'id'").get)
        self._check_mark()

    @classmethod
    def create(cls, path: Path, wrapping: bytes) -> Self:
        """A new vault. Raises `Taken` if there is a file already, `Unavailable` if it can't be written."""
        check_key(wrapping)
        id_ = secrets.token_bytes(16)
        connection = vault_file.create(path, [("id", id_), ("wrapping", mark(wrapping, id_))])
        return cls(path, connection, wrapping)

    @classmethod
    def open(cls, path: Path, wrapping: bytes) -> Self:
        """The vault that is there; a missing one is never replaced by an empty one.

        Raises `Unavailable`, `StoreError` or `Damaged` as `vault_file.opened`, `Unverified` if `wrapping`, 32
        bytes, is not the key that it was wrapped under last.
        """
        check_key(wrapping)
        connection = vault_file.opened(path)
        try:
            with vault_file.told(path):
                return cls(path, connection, wrapping)
        except BaseException:
            connection.close()
            raise

    @property
    def id(self) -> str:
        """The vault's own id; its backups have the same."""
        return self._id.hex()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def seal(self, subject: str, retention: Retention, record_id: str, private: bytes) -> bytes:
        """A private part, encrypted for one record. The subject's key is made if there is none, and is
        durable before this returns. Raises `Unavailable` if it can't be."""
        id_, key = self._key((subject, retention))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return _FORMAT + id_ + nonce + AESGCM(key).encrypt(nonce, private, _part(record_id))

    def opened(self, subject: str, retention: Retention, record_id: str, sealed: bytes) -> bytes:
        """The private part of a record. Raises `Absent` if its key was destroyed, `Unverified` if the bytes
        are not what was sealed for this record, or not by this vault."""
        shown = short(printable(record_id))
        if len(sealed) < SEALED_MORE or sealed[:1] != _FORMAT:
            raise Unverified(
                f"the sealed part of `{shown}` is not of a form that is known here: trust none of it"
            )
        id_, rest = sealed[1 : 1 + ID_BYTES], sealed[1 + ID_BYTES :]
        with self._lock, vault_file.told(self.path):
            row = self._connection.execute(
                "SELECT shredded, wrapped FROM keys WHERE id = ? AND subject = ? AND retention = ?",
                (id_, subject, retention),
            ).fetchone()
        if row is None:
            raise Unverified(f"no key of this vault sealed the private part of `{shown}`: it was altered")
        shredded, wrapped = cast(tuple[int, bytes], row)
        if shredded:
            raise Absent(f"the private part of `{shown}` was destroyed: what is left is its leaf")
        key = self._unwrapped(id_, (subject, retention), wrapped)
        try:
            return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _part(record_id))
        except InvalidTag:
            raise Unverified(f"the sealed part of `{shown}` was altered, or is another record's") from None

    def entries(self) -> tuple[KeyEntry, ...]:
        """Every key that there is or was, in the order in which they were made."""
        with self._lock, vault_file.told(self.path):
            rows = self._connection.execute(
                "SELECT subject, retention, id, shredded FROM keys ORDER BY number"
            ).fetchall()
        found = cast(list[tuple[str, Retention, bytes, int]], rows)
        return tuple(KeyEntry(who, what, id_.hex(), bool(gone)) for who, what, id_, gone in found)

    def planned(self, whose: Iterable[Whose]) -> tuple[Order, ...]:
        """What a shred of these would destroy: an order for each that has a key, in their order. Nothing is
        changed."""
        with self._lock, vault_file.told(self.path):
            found = [(each, self._row(each)) for each in whose]
        return tuple(Order(self.id, *each, row[0].hex()) for each, row in found if row is not None)

    def shred(
        self,
        order: Order,
        approvals: Sequence[Approval],
        approvers: Sequence[Verifier],
        *,
        standing: Standing,
        backups: Sequence[Path] = (),
    ) -> None:
        """Destroy a key for good: here, and in the backups of this vault that are named.

        `standing` is what `carnet.model.retention.standing` says of all records under the key. Raises
        `StoreError` unless it is over: under a hold, while a transaction goes on, before the time is up;
        `Unverified` without two people's approvals of this very order; `Absent` for a key that never was
        here; `Damaged` if a trace of it can't be removed; `Unavailable`: ask again. Backups come first, and a
        key that is gone already is no error, so that what was cut short can be done again.
        """
        if standing.state != "over":
            raise StoreError(f"`{order.subject}` in `{order.retention}` {_KEPT[standing.state]}")
        check_approvals(order, approvals, approvers)
        self._destroyed(order, backups)

    def shred_again(
        self,
        recorded: Iterable[Shredded],
        approvers: Sequence[Verifier],
        *,
        holds: Sequence[Held],
        backups: Sequence[Path] = (),
    ) -> int:
        """Destroy what was ordered on record, as after a crash or when an old copy of the vault was put back;
        how many keys that were. Orders of other vaults are passed over, and so is what a hold covers by now:
        a copy that turned up is what an agency asked for. Raises as `shred`."""
        living = {entry.key for entry in self.entries() if not entry.shredded}
        due = [
            leaf
            for leaf in recorded
            if leaf.order.vault == self.id
            and leaf.order.key in living
            and not is_held(leaf.tenant, leaf.order.subject, holds)
        ]
        for leaf in due:
            check_approvals(leaf.order, leaf.approvals, approvers)
            self._destroyed(leaf.order, backups)
        return len(due)

    def rewrap(self, wrapping: bytes) -> int:
        """Wrap every key anew under another wrapping key, all of them or none; how many they were. Backups
        made before still need the old one."""
        check_key(wrapping)
        with self._lock, vault_file.told(self.path):
            with vault_file.transaction(self._connection):
                self._check_mark()
                rows = self._connection.execute(
                    "SELECT id, subject, retention, wrapped FROM keys WHERE shredded = 0"
                ).fetchall()
                found = cast(list[tuple[bytes, str, Retention, bytes]], rows)
                for id_, subject, retention, old in found:
                    key = self._unwrapped(id_, (subject, retention), old)
                    new = wrapped(wrapping, id_, (subject, retention), key)
                    self._connection.execute("UPDATE keys SET wrapped = ? WHERE id = ?", (new, id_))
                self._connection.execute(
                    "UPDATE about SET value = ? WHERE name = 'wrapping'", (mark(wrapping, self._id),)
                )
            self._wrapping = wrapping
        return len(found)

    def backup(self, to: Path) -> None:
        """A consistent copy, wrapped keys and all. Keep few and for a short time: a shred has to be told of
        each (`backups`). Raises `Taken` if there is a file already."""
        with self._lock, vault_file.told(self.path):
            vault_file.copied(self._connection, to)

    def _row(self, whose: Whose) -> tuple[bytes, bytes] | None:
        """The id and the wrapped key that a subject has now."""
        row = self._connection.execute(
            "SELECT id, wrapped FROM keys WHERE subject = ? AND retention = ? AND shredded = 0", whose
        ).fetchone()
        return cast(tuple[bytes, bytes] | None, row)

    def _key(self, whose: Whose) -> tuple[bytes, bytes]:
        """The id and the key of a subject, made if there is none, and durable. Who comes first looks and
        commits for all that wait meanwhile."""
        with self._turn:
            mine = self._wanted.setdefault(whose, Future())
            self._turn.wait_for(lambda: mine.done() or not self._led)
            if mine.done():
                return mine.result()
            self._led = True
            batch, self._wanted = self._wanted, {}
        try:
            with self._lock:
                self._answer(batch)
        except BaseException as error:
            for future in batch.values():
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            with self._turn:
                self._led = False
                self._turn.notify_all()
        return mine.result()

    def _answer(self, batch: Mapping[Whose, Future[tuple[bytes, bytes]]]) -> None:
        with vault_file.told(self.path):
            found = {whose: self._row(whose) for whose in batch}
            missing = [whose for whose, row in found.items() if row is None]
            if missing:
                with vault_file.transaction(self._connection):
                    self._check_mark()
                    found |= {whose: self._added(whose) for whose in missing}
        for whose, future in batch.items():
            row = found[whose]
            assert row is not None  # it was there, or it was added
            try:
                future.set_result((row[0], self._unwrapped(row[0], whose, row[1])))
            except Damaged as error:
                future.set_exception(error)

    def _added(self, whose: Whose) -> tuple[bytes, bytes]:
        row = self._row(whose)  # another process may have made it
        if row is None:
            id_ = secrets.token_bytes(ID_BYTES)
            row = id_, wrapped(self._wrapping, id_, whose, secrets.token_bytes(KEY_BYTES))
            self._connection.execute(
                "INSERT INTO keys (id, subject, retention, wrapped) VALUES (?, ?, ?, ?)",
                (id_, *whose, row[1]),
            )
        return row

    def _destroyed(self, order: Order, backups: Sequence[Path]) -> None:
        if order.vault != self.id:
            raise Absent(f"`{order.vault}` is not this vault: open the one that the order names")
        for path in backups:
            connection = vault_file.opened(path)
            try:
                with vault_file.told(path):
                    same = connection.execute("SELECT value FROM about WHERE name = 'id'").get == self._id
                    if not same:
                        raise StoreError(f"`{printable(str(path))}` is no backup of this vault: leave it out")
                    overwritten(connection, order, path, must=False)
            finally:
                connection.close()
        with self._lock, vault_file.told(self.path):
            overwritten(self._connection, order, self.path, must=True)

    def _unwrapped(self, id_: bytes, whose: Whose, data: bytes) -> bytes:
        try:
            return unwrapped(self._wrapping, id_, whose, data)
        except Unverified:
            raise Damaged(
                f"the key `{id_.hex()}` in `{printable(str(self.path))}` is not what was stored, or another "
                "process wrapped it anew: open the vault again, or restore it from a backup"
            ) from None

    def _check_mark(self) -> None:
        """Raises `Unverified` if the keys are wrapped under another key than this vault was opened with."""
        kept = cast(bytes, self._connection.execute("SELECT value FROM about WHERE name = 'wrapping'").get)
        if not hmac.compare_digest(kept, mark(self._wrapping, self._id)):
            raise Unverified(
                f"the keys of `{printable(str(self.path))}` are wrapped under another key: "
                "give the key `subjects` of this installation, the one before it if a rotation was cut short"
            )


_KEPT: Mapping[State, str] = {
    "held": "is under a hold: it stays until the hold is released (15 CFR 762.6(b))",
    "running": "has a grant that goes on: end it first, the time runs from there (15 CFR 762.6(a))",
    "kept": "has to be kept still (15 CFR 762.6(a), 31 CFR 501.601): order it again when the time is up",
}


def _part(record_id: str) -> bytes:
    return _PART + record_id.encode()
