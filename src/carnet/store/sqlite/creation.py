"""A new log: all of it or no file, with a signed checkpoint of nothing. An existing file is never touched."""

import os
from pathlib import Path

from carnet.ledger import checkpoint
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.tree import Tree
from carnet.model.errors import StoreError
from carnet.store.sqlite import schema
from carnet.store.sqlite.trouble import told, translated
from carnet.store.sqlite.writing import Name


def create(path: Path, vfs: str | None, name: Name) -> None:
    """Make an empty log at a path where nothing is. Only the owner may call it."""
    begun = beside(path, "new")
    for old in (begun, beside(begun, "journal")):
        old.unlink(missing_ok=True)  # of a start that was interrupted; nothing was ever in it
    own_file(begun)
    about = Checkpoint(name.origin, 0, Tree().root)
    signed = checkpoint.signed(about, name.signers).data
    checkpoint.opened(signed, name.origin, name.verifiers)
    db = schema.made(begun, vfs)
    try:
        with translated(begun):
            db.execute("INSERT INTO owner VALUES (1, x'', 0)")
            db.execute("INSERT INTO origins VALUES (0, ?)", (name.origin,))
            db.execute("INSERT INTO checkpoints VALUES (0, ?)", (signed,))
            db.execute("COMMIT")
    finally:
        db.close(True)
    put(begun, path)


def own_file(path: Path) -> None:
    """An empty file that only its owner may read. Raises `StoreError` if one is there or can't be made."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        why = (error.strerror or "no such directory").lower()
        raise StoreError(f"{told(path)} can't be made, `{why}`: choose a path where nothing is") from None


def put(begun: Path, path: Path) -> None:
    """Give a finished file its name, durably. Raises `StoreError` if the name is taken."""
    try:
        with begun.open("rb") as file:
            os.fsync(file.fileno())
        os.link(begun, path)
        begun.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        why = (error.strerror or "no such directory").lower()
        raise StoreError(f"{told(path)} can't be made, `{why}`: choose a path where nothing is") from None


def beside(path: Path, ending: str) -> Path:
    """`log.db-ending`."""
    return path.with_name(f"{path.name}-{ending}")
