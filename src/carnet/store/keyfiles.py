"""Key files on a disk: who may read them, how one is written so that a crash leaves the old or the new, and
the `KeyStore` that they are one kind of. Which key is current is in `carnet.store.keys`.
"""

import base64
import binascii
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carnet.model.errors import InputError, StoreError, Taken, Unavailable
from carnet.model.plain import printable

SECRET_BYTES = 32
"""How long a secret is that is no key pair: that of AES-256 and of HMAC-SHA256."""

_INDEX = "keys.json"
_LARGEST = 1_000_000
_PLACE = re.compile(r"[a-z]+-[0-9a-f]{16}")
_SUFFIXES = (".pem", ".secret")
_TEMPORARY = ".new"


class KeyStore(Protocol):
    """Where private keys and secrets are: files here, a KMS or a PKCS#11 token by an adapter.

    `place` is the store's own name for one, made by the store. An adapter's private key may be an
    `Ed25519PrivateKey` that signs elsewhere and gives no bytes away. Every method raises `StoreError` for
    what is not there or not right, and `Unavailable` for what can't be reached or made durable.
    """

    def make_private(self, role: str) -> tuple[str, Ed25519PrivateKey]: ...

    def make_secret(self, role: str) -> tuple[str, bytes]: ...

    def private(self, place: str) -> Ed25519PrivateKey: ...

    def secret(self, place: str) -> bytes: ...

    def destroy(self, place: str) -> None:
        """Destroy for good; nothing happens for a place that is not there."""

    def places(self) -> set[str]:
        """Everything that is kept, also what no index names."""

    def read_index(self) -> bytes: ...

    def write_index(self, data: bytes) -> None:
        """Replace the index: afterwards it is the old or the new one, whatever happens in between."""

    def alone(self) -> AbstractContextManager[None]:
        """Within it no other process changes what is kept."""


class KeyFiles:
    """A `KeyStore` in one directory: PEM (PKCS #8) for a private key, a line of base64 for a secret."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make_private(self, role: str) -> tuple[str, Ed25519PrivateKey]:
        place, private = _place(role), Ed25519PrivateKey.generate()
        data = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write(self.directory / f"{place}.pem", data, new=True)
        return place, private

    def make_secret(self, role: str) -> tuple[str, bytes]:
        place, secret = _place(role), secrets.token_bytes(SECRET_BYTES)
        write(self.directory / f"{place}.secret", base64.b64encode(secret) + b"\n", new=True)
        return place, secret

    def private(self, place: str) -> Ed25519PrivateKey:
        file = self.directory / f"{place}.pem"
        try:
            found = serialization.load_pem_private_key(read(file), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            found = None
        if not isinstance(found, Ed25519PrivateKey):
            raise StoreError(f"`{_shown(file)}` is no Ed25519 key: restore it from a backup")
        return found

    def secret(self, place: str) -> bytes:
        file = self.directory / f"{place}.secret"
        try:
            found = base64.b64decode(read(file).removesuffix(b"\n"), validate=True)
        except binascii.Error:
            found = b""
        if len(found) != SECRET_BYTES:
            raise StoreError(f"`{_shown(file)}` is no secret of a keyring: restore it from a backup")
        return found

    def destroy(self, place: str) -> None:
        for suffix in _SUFFIXES:
            _remove(self.directory / f"{place}{suffix}")
        sync_directory(self.directory)

    def places(self) -> set[str]:
        return {name.partition(".")[0] for name in self._names() if name.endswith(_SUFFIXES)}

    def read_index(self) -> bytes:
        check_directory(self.directory)
        return read(self.directory / _INDEX)

    def write_index(self, data: bytes) -> None:
        write(self.directory / _INDEX, data)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A lock on the directory itself, so that keys on a read-only disk can be opened too."""
        check_directory(self.directory)
        with _opened(self.directory) as descriptor:
            _lock(descriptor, self.directory)
            for name in filter(_is_temporary, self._names()):
                _remove(self.directory / name)
            yield

    def _names(self) -> list[str]:
        names = [entry.name for entry in self.directory.iterdir()]
        return [name for name in names if _PLACE.fullmatch(name.partition(".")[0]) or _is_temporary(name)]


@contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """A private directory to fill, which becomes `directory` as a whole at the end; not at all if it fails.

    Raises `Taken` if `directory` is there with something in it, `Unavailable` if it can't be made.
    """
    shown = _shown(directory)
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(directory.parent) as descriptor:
            _lock(descriptor, directory.parent)
            if directory.is_dir() and any(directory.iterdir()):
                raise Taken(f"`{shown}` is there already: use it, or name another directory with `--data`")
            for left in directory.parent.glob(f".{directory.name}.*{_TEMPORARY}"):
                shutil.rmtree(left)
            made = directory.parent / f".{directory.name}.{secrets.token_hex(8)}{_TEMPORARY}"
            made.mkdir(mode=0o700)
            try:
                yield made
                made.replace(directory)
                os.fsync(descriptor)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
    except OSError as error:
        raise Unavailable(f"`{shown}` can't be made: {why(error)}") from None


def write(file: Path, data: bytes, *, new: bool = False) -> None:
    """Write a file that its owner alone can read, durably: to a temporary one, then renamed.

    With `new`, raises `Taken` if the file is there already. Raises `Unavailable` if it can't be made durable.
    """
    temporary = file.parent / f".{file.name}.{secrets.token_hex(8)}{_TEMPORARY}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as opened:  # noqa: PTH123 -- the descriptor is what the mode was given to
                os.fchmod(opened.fileno(), 0o600)
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            if new:
                os.link(temporary, file)  # unlike a rename, it refuses to replace
            else:
                temporary.replace(file)
        finally:
            _remove(temporary)
        sync_directory(file.parent)
    except FileExistsError:
        raise Taken(f"`{_shown(file)}` is there already: name another file") from None
    except OSError as error:
        raise Unavailable(f"`{_shown(file)}` can't be written: {why(error)}") from None


def read(file: Path) -> bytes:
    """The bytes of a key file. Raises `StoreError` if it is missing, is no file, or if others may read it."""
    shown = _shown(file)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as opened:  # noqa: PTH123 -- what is checked has to be what is read
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"`{shown}` is no file: put the key file there")
            _check(shown, status, "600")
            data = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        raise StoreError(f"`{shown}` is missing: restore it from a backup") from None
    except OSError as error:
        raise StoreError(f"`{shown}` can't be read: {why(error)}") from None
    if len(data) > _LARGEST:
        raise StoreError(f"`{shown}` is over {_LARGEST} bytes: it is no key file, restore it from a backup")
    return data


def check_directory(directory: Path) -> None:
    """Raises `InputError` if the directory is not there, `StoreError` if others may look into it."""
    shown = _shown(directory)
    try:
        status = directory.stat()
    except FileNotFoundError:
        raise InputError(f"`{shown}` is not there: make the keys with `carnet keys init`") from None
    except OSError as error:
        raise StoreError(f"`{shown}` can't be read: {why(error)}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise StoreError(f"`{shown}` is no directory: name the data directory that has the keys")
    _check(shown, status, "700")


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable. Raises `OSError`, or `Unavailable` if it can't be opened."""
    with _opened(directory) as descriptor:
        os.fsync(descriptor)


def why(error: OSError) -> str:
    """The reason of the operating system, in a few words that name no file."""
    return (error.strerror or "no reason given").lower()


def _check(shown: str, status: os.stat_result, mode: str) -> None:
    if status.st_mode & 0o077:
        raise StoreError(
            f"`{shown}` is open to others: run `chmod {mode} {shown}`, and rotate if somebody else read it"
        )
    if os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        raise StoreError(f"`{shown}` belongs to another user: run as that user, or `chown` it")


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"`{_shown(file)}` can't be removed: {why(error)}") from None


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise Unavailable(f"`{_shown(directory)}` can't be locked: {why(error)}") from None


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """A directory to sync or lock. Raises `Unavailable` if it can't be opened."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"`{_shown(directory)}` can't be opened: {why(error)}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(_TEMPORARY)


def _place(role: str) -> str:
    return f"{role}-{secrets.token_hex(8)}"


def _shown(path: Path) -> str:
    return printable(str(path))
