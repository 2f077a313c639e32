"""Exported files on a disk: how one is written so that it is whole or not there, and how one is read without
being taken into memory. What is in them is in `carnet.ledger.export`."""

import mmap
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from carnet.ledger.archive import MOST_BYTES
from carnet.model.errors import InputError, Malformed, Taken, Unavailable
from carnet.model.plain import printable
from carnet.store.keyfiles import sync_directory, why


def write_new(path: Path, parts: Iterable[bytes]) -> int:
    """Write a file that its owner alone can read, durably, at a path where nothing is; its length.

    Raises `Taken` if something is there, `Unavailable` if it can't be written; whatever `parts` raises leaves
    no file.
    """
    shown = printable(str(path))
    begun = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    length = 0
    try:
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- the descriptor is what the mode was given to
                for part in parts:
                    length += file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.link(begun, path)
        finally:
            begun.unlink(missing_ok=True)
        sync_directory(path.parent)
    except FileExistsError:
        raise Taken(f"`{shown}` is there already: name another file") from None
    except OSError as error:
        raise Unavailable(f"`{shown}` can't be written: {why(error)}") from None
    return length


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """The bytes of a file, read as they are asked for. Raises `InputError` if it can't be read, `Malformed`
    if it is empty or larger than an export can be."""
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not 0 < size <= MOST_BYTES:
                raise Malformed(f"`{shown}` has `{size}` bytes: it is no export and no proof")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
                yield view
    except OSError as error:
        raise InputError(f"`{shown}` can't be read: {why(error)}") from None
