"""A whole data directory copied while a node serves, and put back. Whether a copy may be put back, and under
which name the log then goes on, is decided in `carnet.service.restoring`.

A copy is a directory with the same names: `log.db`, `vault.db`, `desk.db`, `laws/`, those of the nodes below
`nodes/`, what is public of the keys in `keys.public.json`, and the keys only if somebody asks for them. The
log is copied before the vault: so the key of every private part is in it that was not destroyed by then.
"""

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal

import apsw
import msgspec
from msgspec import Meta, Struct

from carnet.model.errors import Damaged, InputError, StoreError, Unavailable
from carnet.model.leaf import instant_text
from carnet.model.plain import printable, short
from carnet.store import keyfiles, laws, vault_file
from carnet.store.backups import Backup, Backups
from carnet.store.desk import FILE as DESK
from carnet.store.desk import Desk
from carnet.store.keyfiles import KeyFiles, new_directory
from carnet.store.keyindex import Key, Rotation
from carnet.store.keys import DIRECTORY as KEYS
from carnet.store.keys import Keyring
from carnet.store.origins import COSIGNED, LOG, VAULT, called, homes
from carnet.store.sqlite import backup, schema
from carnet.store.sqlite.reading import Readers
from carnet.store.sqlite.trouble import translated

MANIFEST, PUBLIC = "backup.json", "keys.public.json"
WITNESSES = "witnesses.toml"
"""Which witnesses the logs have, if any: a file of the operator's below the data directory."""

FORMAT = 1

_BUSY_MS = 5_000

Size = Annotated[int, Meta(ge=0)]


class Home(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A log in a backup: where below it (`.` or `nodes/N`), its name, and its size and root as copied."""

    path: Annotated[str, Meta(pattern=r"^(\.|nodes/[0-9]{1,9})$")]
    origin: str
    size: Size
    root: str


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup is: when it was made, until when it may be kept, its logs, and whether keys are in it."""

    format: Literal[1] = 1
    made: str
    until: str
    keys: bool
    homes: tuple[Home, ...]


class PublicKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is public of a keyring: enough to verify whatever it signed."""

    format: Literal[1] = 1
    name: str
    keys: tuple[Key, ...]
    rotations: tuple[Rotation, ...]


class _Format(Struct, frozen=True):
    format: int


def backed_up(data: Path, to: Path, now: dt.datetime, keep: dt.timedelta, *, keys: bool = False) -> Manifest:
    """Copy a data directory to a new place, while nodes go on writing.

    The copies of vaults are put on the list of backups before they are made: whoever shreds destroys keys in
    them too. Raises `Taken` if something is there, `StoreError`, `Unavailable` or `Damaged` if it can't be
    copied as a whole; then nothing is left.
    """
    target = Path(os.path.abspath(to))  # noqa: PTH100 -- a link at the end is what was meant
    if data.resolve() in (target, *target.parents):
        raise InputError(f"`{printable(str(to))}` lies in what is to be copied: choose a place beside it")
    places = homes(data)
    with Desk.open(data) as desk, new_directory(target) as made:
        listed = [
            Backup(
                path=target / home.relative_to(data) / VAULT,
                begun=made / home.relative_to(data) / VAULT,
                vault=_vault_id(home / VAULT),
                made=now,
                until=now + keep,
            )
            for home in places
        ]
        Backups(desk).add(listed)
        try:
            found = tuple(_copied_home(data, home, made, keys=keys) for home in places)
            _copied_database(data / DESK, made / DESK)
            _copied_file(data / WITNESSES, made / WITNESSES)
            if not (data / LOG).exists():
                _copied_keys(data, made, keys=keys)
            manifest = Manifest(
                made=instant_text(now), until=instant_text(now + keep), keys=keys, homes=found
            )
            keyfiles.write(made / MANIFEST, _shown(manifest))
            _synced(made)
        except BaseException:
            for each in listed:
                vault_file.scrub(each.begun)
            Backups(desk).drop(listed)
            raise
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """What a backup says of itself. Raises `InputError` if it is none, `StoreError` if it can't be read."""
    shown = printable(str(directory))
    if not (directory / MANIFEST).is_file():
        raise InputError(f"`{shown}` is no backup: name a directory that `carnet backup` made")
    try:
        data = (directory / MANIFEST).read_bytes()
        number = msgspec.json.decode(data, type=_Format).format
        if number != FORMAT:
            raise StoreError(f"`{shown}` is a backup of format `{number}`: restore it with a newer Carnet")
        return msgspec.json.decode(data, type=Manifest)
    except OSError as error:
        raise StoreError(f"`{shown}` can't be read: {keyfiles.why(error)}") from None
    except (ValueError, RecursionError):
        raise StoreError(f"`{shown}` has no manifest that can be read: take another backup") from None


def put_back(copy: Path, data: Path, keys: Path | None, check: Callable[[Path], None]) -> Manifest:
    """Put a backup in place as a data directory where nothing is, keys and all.

    `keys` is where the keys are if they are not in the backup: a directory `keys`, or one that has it. Every
    record is hashed again on the way; then `check` looks at the whole of it, in a place of its own, and only
    if it raises nothing the directory gets its name. Raises `Taken` if something is there already, `Damaged`,
    `StoreError` or `InputError` with what is wrong.
    """
    manifest = read_manifest(copy)
    if copy.resolve() == data.resolve():
        raise InputError(f"`{printable(str(data))}` is the backup itself: restore to another place")
    source = _keys_for(copy, keys)
    with new_directory(data) as made:
        for home in manifest.homes:
            place = made / home.path
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copied_files(source(home.path), place / KEYS)
            name = called(Keyring.open(place), _names(copy / home.path / LOG))
            backup.restored(copy / home.path / LOG, place / LOG, name.origin, name.verifiers)
            _copied_vault(copy / home.path / VAULT, place / VAULT)
            _copied_files(copy / home.path / laws.DIRECTORY, place / laws.DIRECTORY)
            _copied_file(copy / home.path / COSIGNED, place / COSIGNED)
        if not any(home.path == "." for home in manifest.homes):
            _copied_files(source("."), made / KEYS)
        _copied_database(copy / DESK, made / DESK, plain=True)
        _copied_file(copy / WITNESSES, made / WITNESSES)
        check(made)
        _synced(made)
    return manifest


def destroyed(directory: Path) -> None:
    """Destroy a backup: its vaults are overwritten, then all of it is removed.

    Raises `InputError` if it is none, `Unavailable` if it can't be removed.
    """
    manifest = read_manifest(directory)
    try:
        for home in manifest.homes:
            for name in (VAULT, f"{VAULT}-journal"):
                vault_file.scrub(directory / home.path / name)
        shutil.rmtree(directory)
        keyfiles.sync_directory(directory.parent)
    except OSError as error:
        raise Unavailable(f"`{printable(str(directory))}` can't be removed: {keyfiles.why(error)}") from None


def _copied_home(data: Path, home: Path, to: Path, *, keys: bool) -> Home:
    """One log with its vault, its laws and what is public of its keys."""
    place = to / home.relative_to(data)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    keyring = _copied_keys(home, place, keys=keys)
    _copied_file(home / COSIGNED, place / COSIGNED)  # before the log: it covers no more than the log has
    readers = Readers(home / LOG, None)
    try:
        with readers.reading() as reading:
            name = called(keyring, [each for _, each in reading.origins()])
            about = backup.copied(reading.db, place / LOG, name.origin, name.verifiers)
    finally:
        readers.close()
    _copied_vault(home / VAULT, place / VAULT)
    _copied_files(home / laws.DIRECTORY, place / laws.DIRECTORY)
    path = home.relative_to(data).as_posix()
    return Home(path=path, origin=about.origin, size=about.size, root=about.root.hex())


def _copied_keys(home: Path, place: Path, *, keys: bool) -> Keyring:
    """What is public of the keys, and the keys themselves if they are asked for."""
    with KeyFiles(home / KEYS).alone():
        if keys:
            _copied_files(home / KEYS, place / KEYS)
    keyring = Keyring.open(place if keys else home)
    public = PublicKeys(
        name=keyring.name,
        keys=tuple(msgspec.structs.replace(key, place=None) for key in keyring.entries()),
        rotations=keyring.rotations(),
    )
    keyfiles.write(place / PUBLIC, _shown(public))
    return keyring


def _keys_for(copy: Path, keys: Path | None) -> Callable[[str], Path]:
    """Where the keys of a home are. Raises `InputError` if they are nowhere."""
    base = copy if keys is None else keys

    def found(home: str) -> Path:
        places = [base / home / KEYS, *([base] if home == "." else [])]
        for place in places:
            if (place / "keys.json").is_file():
                return place
        where = "the backup has no keys" if keys is None else f"`{printable(str(keys))}` has no keys"
        raise InputError(f"{where} for `{home}`: name the directory where they are kept with `--keys`")

    return found


def _shown(part: Struct) -> bytes:
    """JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(part), indent=1) + b"\n"


def _names(log: Path) -> list[str]:
    """The names that a copied log has had, the last one now. Raises as `carnet.store.sqlite.schema`."""
    if not log.is_file():
        raise StoreError(f"`{printable(str(log))}` is not there: take another backup")
    with closing(schema.connected(log, None, writes=False, plain=True)) as db, translated(log):
        return [str(name) for (name,) in db.execute("SELECT origin FROM origins ORDER BY since")]


def _copied_vault(source: Path, to: Path) -> None:
    with closing(vault_file.opened(source)) as vault, vault_file.told(source):
        vault_file.copied(vault, to)


def _vault_id(vault: Path) -> str:
    with closing(vault_file.opened(vault)) as connection, vault_file.told(vault):
        found = connection.execute("SELECT value FROM about WHERE name = 'id'").get
    return found.hex() if isinstance(found, bytes) else ""


def _copied_database(source: Path, to: Path, *, plain: bool = False) -> None:
    """A consistent copy of a database as one plain file, looked through. `plain` is one that is a copy
    itself."""
    if not source.is_file():
        raise StoreError(f"`{printable(str(source))}` is not there: name the right directory")
    _empty(to)
    flags = apsw.SQLITE_OPEN_READONLY if plain else apsw.SQLITE_OPEN_READWRITE
    with (
        _told(source),
        closing(apsw.Connection(str(source), flags=flags)) as db,
        closing(apsw.Connection(str(to), flags=apsw.SQLITE_OPEN_READWRITE)) as other,
    ):
        db.set_busy_timeout(_BUSY_MS)
        other.execute("PRAGMA synchronous = FULL").fetchall()
        db.execute("BEGIN")
        with other.backup("main", db, "main") as running:
            running.step()
        other.pragma("journal_mode", "delete")
        said = other.pragma("integrity_check")
    if said != "ok":
        raise Damaged(f"`{printable(str(source))}` is damaged: take another copy")
    _synced_file(to)


def _copied_files(source: Path, to: Path) -> None:
    """The files below a directory, for their owner alone; not what was begun and never finished."""
    if not source.is_dir():
        return
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        for entry in sorted(source.iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                _copied_files(entry, to / entry.name)
            else:
                _copied_file(entry, to / entry.name)
    except OSError as error:
        raise Unavailable(f"`{printable(str(source))}` can't be copied: {keyfiles.why(error)}") from None


def _copied_file(source: Path, to: Path) -> None:
    """One file, if it is there."""
    try:
        if source.is_file():
            _empty(to)
            with source.open("rb") as read, to.open("r+b") as written:
                shutil.copyfileobj(read, written)
            _synced_file(to)
    except OSError as error:
        raise Unavailable(f"`{printable(str(source))}` can't be copied: {keyfiles.why(error)}") from None


def _empty(path: Path) -> None:
    """A new file for its owner alone."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Unavailable(f"`{printable(str(path))}` can't be made: {keyfiles.why(error)}") from None


def _synced_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _synced(directory: Path) -> None:
    """Every name below it, durable."""
    for below, _, _ in os.walk(directory, topdown=False):
        keyfiles.sync_directory(Path(below))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        said = short(printable(str(error)), 100).lower()
        raise StoreError(f"`{printable(str(path))}` can't be copied, `{said}`: look at the file") from None
