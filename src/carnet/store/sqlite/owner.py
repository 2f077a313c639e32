"""Who appends: one process at a time, held by a lock on a file beside the log. What is appended is not here.

The same file remembers how far the log had come. It is written after each commit and never synced, so it may
be behind the log. If it is ahead, the log was put back or has lost what was acknowledged.
"""

import fcntl
import hashlib
import os
from pathlib import Path

from msgspec import Struct

from carnet.ledger.tree import HASH_BYTES, Tree
from carnet.model.errors import StoreError, Unavailable
from carnet.store.sqlite.trouble import told

_WIDTH = 128
"""Bytes of what is remembered: always as many, so that it is one write that needs no more room."""


class Owner:
    """The right to append to one log, held until `release`."""

    def __init__(self, path: Path) -> None:
        """Raises `Unavailable` if another process has it, `StoreError` if the file can't be made."""
        file = path.with_name(f"{path.name}.lock")
        try:
            self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            why = (error.strerror or "no such directory").lower()
            raise StoreError(
                f"{told(file)} can't be opened, `{why}`: make the data directory first"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Unavailable(
                f"{told(path)} is open in another process: stop that one, or give each its own directory"
            ) from None

    def remember(self, origin: str, tree: Tree) -> None:
        """Note how far the log has come. That it can't be noted stops nothing: the log itself is durable."""
        line = f"{tree.size} {tree.root.hex()} {_short(origin)}".encode()
        try:
            os.pwrite(self._file, line.ljust(_WIDTH - 1) + b"\n", 0)
        except OSError:
            return

    def remembered(self) -> "Remembered | None":
        """What was noted last; None if there is no log yet, or nothing that can be read."""
        try:
            size, root, origin = os.pread(self._file, _WIDTH, 0).decode("ascii").split()
            found = Remembered(int(size), bytes.fromhex(root), origin)
        except (OSError, ValueError):
            return None
        return found if found.size >= 0 and len(found.root) == HASH_BYTES else None

    def release(self) -> None:
        os.close(self._file)


class Remembered(Struct, frozen=True):
    """How far a log had come, and a short digest of its origin then."""

    size: int
    root: bytes
    origin: str

    def of(self, origin: str) -> bool:
        """Whether it was noted under this origin."""
        return self.origin == _short(origin)


def _short(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()[:16]
