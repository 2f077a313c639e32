"""What a log is called, now and before, and the keys that sign for it under each of its names. When it gets a
new name is in `carnet.service.continuing`; the keys themselves are the keyring's.

A log begins under the name of its installation. One that was put back and goes on has another, and the same
private key signs for it under that name: as another key, since the name is part of a key's id.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from carnet.ledger.note import SCHEMES, Ed25519Signer, VerifierKey
from carnet.model.errors import InputError, Unverified
from carnet.model.plain import printable
from carnet.store.keys import Keyring
from carnet.store.sqlite import rows
from carnet.store.sqlite.reading import Readers, SqliteReading
from carnet.store.sqlite.trouble import translated
from carnet.store.vault import Vault

LOG, VAULT = "log.db", "vault.db"
"""The files of a data directory that hold records and the keys of their private parts."""

COSIGNED = "cosigned"
"""The file with the last checkpoint that enough witnesses have cosigned, if there are witnesses."""

NODES = "nodes"
"""Where the homes of several nodes are, below the data directory of their installation."""


class Named(Struct, frozen=True):
    """A log's name, what signs under it, and every key that ever signed, under every name that it had."""

    origin: str
    signers: tuple[Ed25519Signer, ...]
    verifiers: tuple[VerifierKey, ...]


def named(data: Path, keyring: Keyring) -> Named:
    """How the log in a data directory is called; a new one as its installation.

    Raises `Unavailable`, `StoreError` or `Damaged` if it is there and can't be read.
    """
    return called(keyring, origins(data / LOG) or [keyring.name])


def called(keyring: Keyring, names: list[str]) -> Named:
    """The keys of a log that had these names, the last of them now."""
    signer = Ed25519Signer(names[-1], keyring.signer("log").private)
    return Named(names[-1], (signer,), verifiers(keyring, names))


def verifiers(keyring: Keyring, names: list[str]) -> tuple[VerifierKey, ...]:
    """The public halves of the log's keys, current and retired, under each of these names."""
    public = [key.public for key in keyring.verifiers("log")]
    return tuple(VerifierKey(name, SCHEMES[0x01], each) for name in names for each in public)


def origins(path: Path) -> list[str]:
    """The names that a log has had, the current one last; none if there is no log."""
    if not path.exists():
        return []
    readers = Readers(path, None)
    try:
        with readers.reading() as reading:
            return [name for _, name in reading.origins()]
    finally:
        readers.close()


def homes(data: Path) -> list[Path]:
    """The directories below a data directory that have a log: itself, and those of its nodes by number.

    Raises `InputError` if there is none.
    """
    below = data / NODES
    nodes = below.iterdir() if below.is_dir() else ()
    numbered = sorted((each for each in nodes if each.name.isascii() and each.name.isdigit()), key=_number)
    found = [home for home in (data, *numbered) if (home / LOG).exists()]
    if not found:
        raise InputError(f"`{printable(str(data))}` has no log: name the data directory with `--data`")
    return found


def installation_of(home: Path) -> Path:
    """The data directory of the installation that a home is of: where the desk and the approvers are."""
    place = home.resolve()
    return place.parent.parent if place.parent.name == NODES and place.name.isdigit() else home


def opened_vault(home: Path, keyring: Keyring) -> Vault:
    """The vault of a home. One that was put back may still be wrapped under a key before the current one, and
    so may one whose rotation was cut short.

    Raises `Unverified` if it is wrapped under no key that is kept, and as `Vault.open`.
    """
    kept = [key for key in keyring.entries() if key.role == "subjects" and key.destroyed is None]
    for key in reversed(kept[1:]):
        with suppress(Unverified):
            return Vault.open(home / VAULT, keyring.secret("subjects", key.id))
    return Vault.open(home / VAULT, keyring.secret("subjects", kept[0].id))


def terms_of(reading: SqliteReading, index: int) -> frozenset[bytes]:
    """The terms under which a record is found. Raises `Unavailable` or `Damaged` if they can't be read."""
    with translated(Path(LOG)):
        packed = reading.db.execute("SELECT terms FROM records WHERE number = ?", (index,)).get
    return frozenset(rows.terms(packed if isinstance(packed, bytes) else b""))


class Seen(Struct, frozen=True):
    """A log as it was at one moment, with the keys of its installation."""

    data: Path
    keyring: Keyring
    name: Named
    reading: SqliteReading


@contextmanager
def seen(data: Path) -> Iterator[Seen]:
    """One state of the log in a data directory; a node may go on writing it.

    Raises `InputError` if there is no log, `StoreError`, `Unavailable` or `Damaged` if it can't be read.
    """
    if not (data / LOG).exists():
        raise InputError(f"`{printable(str(data))}` has no log: name the data directory with `--data`")
    keyring = Keyring.open(data)
    readers = Readers(data / LOG, None)
    try:
        with readers.reading() as reading:
            yield Seen(data, keyring, called(keyring, [name for _, name in reading.origins()]), reading)
    finally:
        readers.close()


def _number(home: Path) -> int:
    return int(home.name)
