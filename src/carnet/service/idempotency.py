"""One answer for one idempotency key, whichever node of an installation is asked, and asked twice at once.
What was answered is kept by the log, in the transaction of the record; HTTP is in `carnet.web`.
"""

import fcntl
import hashlib
import hmac
import os
from pathlib import Path
from threading import Lock

from carnet.model.errors import Unavailable
from carnet.service.archives import Archive, Archives
from carnet.service.request import Idempotent
from carnet.store.keyfiles import why
from carnet.store.protocols import Answered

FILE = "idempotency.lock"
"""An empty file below the data directory: one byte of it is locked for each key that is being answered."""

_PLACES = 2**62


class Claims:
    """Which keys are being answered now: by this process, and, through the lock, by others."""

    def __init__(self, data: Path) -> None:
        """Raises `Unavailable` if the lock can't be opened."""
        try:
            self._file = os.open(data / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"`{FILE}` can't be opened: {why(error)}") from None
        self._lock = Lock()
        self._mine: set[int] = set()

    def take(self, key: str) -> bool:
        """Whether the key is this caller's now. It is until `release`, or until the process ends."""
        place = _place(key)
        with self._lock:
            if place in self._mine:
                return False
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except BlockingIOError:
                return False
            except OSError as error:
                raise Unavailable(f"`{FILE}` can't be locked: {why(error)}") from None
            self._mine.add(place)
            return True

    def release(self, key: str) -> None:
        """Let others have the key."""
        place = _place(key)
        with self._lock:
            if place in self._mine:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
                self._mine.discard(place)

    def close(self) -> None:
        with self._lock:
            self._mine.clear()
            os.close(self._file)


def named(index: bytes, tenant: str, key: str, endpoint: str, body: bytes) -> Idempotent:
    """An idempotency key and the request that it stands for, both as HMAC-SHA256 under the installation's
    index key: neither what a key is called nor what a request says is kept."""
    return Idempotent(
        key=_keyed(index, b"carnet idempotency key 1\n", tenant.encode(), key.encode()).hex(),
        request=_keyed(index, b"carnet request 1\n", endpoint.encode(), body),
    )


def part_of(whole: Idempotent, number: int) -> Idempotent:
    """The key of one of several that are asked for in one request: each is answered, and kept, by itself."""
    return Idempotent(key=f"{whole.key}/{number}", request=whole.request)


def answered(archives: Archives, tenant: str, to: Idempotent) -> tuple[Archive, Answered] | None:
    """What was answered to a key, and by the log of which node."""
    for archive in archives.all():
        with archive.reading() as reading:
            found = reading.answered(tenant, to.key)
        if found is not None:
            return archive, found
    return None


def same(kept: Answered, to: Idempotent) -> bool:
    """Whether a key was used for this very request."""
    return hmac.compare_digest(kept.request, to.request)


def _keyed(index: bytes, label: bytes, *parts: bytes) -> bytes:
    message = label + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.digest(index, message, hashlib.sha256)


def _place(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % _PLACES
