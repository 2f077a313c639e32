"""Every law that an installation has enforced, each under its digest: the files of a rulebook, a policy, and
which build of the program decided. When one is enforced is in `carnet.service.node`.

Below `laws/`: `DIGEST/N/` are the files of shelf N of a rulebook, `policies/DIGEST.json` is a policy and
`builds/DIGEST.json` a build, both as the bytes that have the digest. Nothing here is ever changed or removed.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.engine.findings import ENGINE
from carnet.ledger import archive
from carnet.model.errors import Absent, Damaged, InputError, RulesError, Taken, Unavailable
from carnet.model.plain import printable, short
from carnet.policy.enforcement import Policy
from carnet.policy.enforcement import digest as policy_digest
from carnet.rules.rulebook import Rulebook
from carnet.store import keyfiles
from carnet.store.shelves import files_of, loaded

DIRECTORY = "laws"

Kind = Literal["policies", "builds"]

DECIDING = ("model", "rules", "engine", "policy")
"""The packages of which a build's digest is made: what decides, and nothing else."""

Shelves = tuple[Mapping[str, bytes], ...]


class Build(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which program decided: its version, its engine, and SHA-256 of each file that takes part."""

    format: Literal[1] = 1
    carnet: str
    engine: str
    files: Mapping[str, str]


class Laws:
    """The laws of one data directory."""

    def __init__(self, data: Path) -> None:
        self.directory = data / DIRECTORY

    def keep(self, rulebook: Rulebook, policy: Policy) -> None:
        """Keep what is going to be enforced, durably, if it is not there yet.

        Raises `StoreError` for a rulebook that does not know its files, `Malformed` for a file name that no
        export can have, `Damaged` if another text is kept under its digest, `Unavailable` if it can't be made
        durable.
        """
        shelves = files_of(rulebook).shelves
        for name in {name for shelf in shelves for name in shelf}:
            archive.check_name(name)  # what is enforced has to be shown to others one day
        with suppress(Taken), keyfiles.new_directory(self.directory / rulebook.digest) as made:
            _write(made, shelves)
        if self.shelves(rulebook.digest) != tuple(dict(shelf) for shelf in shelves):
            self.rulebook(rulebook.digest)  # prose beside the rules may differ, the rules may not
        self._keep_file("policies", canonical(policy))
        self._keep_file("builds", this_build())

    def rulebooks(self) -> list[str]:
        """The digests of the rulebooks that are kept."""
        return sorted(name for name in self._names("") if len(name) == 64)

    def shelves(self, digest: str) -> Shelves:
        """The files of a rulebook as they are kept. Raises `Absent` if it is not kept, `Unavailable` if it
        can't be read."""
        directory = self.directory / digest
        if not directory.is_dir():
            raise Absent(f"the rulebook `{digest}` is not kept here: restore `{DIRECTORY}` from a backup")
        try:
            numbers = sorted((each for each in directory.iterdir() if each.is_dir()), key=_number)
            return tuple(dict(_read(each)) for each in numbers)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the rulebook `{digest}` can't be read: {_why(error)}") from None

    def rulebook(self, digest: str) -> Rulebook:
        """A rulebook, loaded from what is kept. Raises as `shelves`, and `Damaged` if it is another one."""
        return lawful(digest, self.shelves(digest))

    def file(self, kind: Kind, digest: str) -> bytes:
        """A policy or a build by its digest. Raises `Absent`, or `Damaged` if it is another one."""
        path = self.directory / kind / f"{digest}.json"
        if not path.is_file():
            raise Absent(f"`{kind}/{digest}` is not kept here: restore `{DIRECTORY}` from a backup")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Unavailable(f"`{kind}/{digest}` can't be read: {keyfiles.why(error)}") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise Damaged(f"`{kind}/{digest}` is not what was kept: restore `{DIRECTORY}` from a backup")
        return data

    def digests(self, kind: Kind) -> list[str]:
        """The policies or builds that are kept."""
        return sorted(name.removesuffix(".json") for name in self._names(kind) if name.endswith(".json"))

    def _names(self, below: str) -> list[str]:
        directory = self.directory / below
        return [each.name for each in directory.iterdir()] if directory.is_dir() else []

    def _keep_file(self, kind: Kind, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        try:
            (self.directory / kind).mkdir(mode=0o700, exist_ok=True)
            keyfiles.sync_directory(self.directory)
        except OSError as error:
            raise Unavailable(f"`{DIRECTORY}/{kind}` can't be made: {keyfiles.why(error)}") from None
        if not (self.directory / kind / f"{digest}.json").exists():
            keyfiles.write(self.directory / kind / f"{digest}.json", data)
        self.file(kind, digest)


def lawful(digest: str, shelves: Iterable[Mapping[str, bytes]]) -> Rulebook:
    """The rulebook that these files make. Raises `Damaged` if it has another digest, or is none."""
    try:
        found = loaded(tuple(shelves))
    except RulesError as error:
        first = short(str(error.problems[0]), 200)
        raise Damaged(
            f"the rulebook `{digest}` can't be loaded any more, `{first}`: it was changed"
        ) from None
    if found.digest != digest:
        raise Damaged(f"the rulebook `{digest}` is another one now, `{found.digest}`: its files were changed")
    return found


def lawful_policy(digest: str, data: bytes) -> Policy:
    """The policy that these bytes say. Raises `Damaged` if it has another digest, or is none."""
    wrong = Damaged(f"the policy `{digest}` is not what was kept: it was changed")
    if hashlib.sha256(data).hexdigest() != digest:
        raise wrong
    try:
        found = msgspec.json.decode(data, type=Policy)
    except (ValueError, RecursionError, InputError):
        raise wrong from None
    if policy_digest(found) != digest:
        raise wrong
    return found


def canonical(policy: Policy) -> bytes:
    """A policy as the bytes that its digest is of."""
    return msgspec.json.encode(policy, order="sorted")


@cache
def this_build() -> bytes:
    """The build that runs, as canonical JSON."""
    files = {}
    for package in DECIDING:
        for entry in (resources.files("carnet") / package).iterdir():
            if entry.name.endswith((".py", ".toml")):
                files[f"{package}/{entry.name}"] = hashlib.sha256(entry.read_bytes()).hexdigest()
    return msgspec.json.encode(Build(carnet=version("carnet"), engine=ENGINE, files=files), order="sorted")


def build_digest() -> str:
    """SHA-256 of the build that runs, as hex."""
    return hashlib.sha256(this_build()).hexdigest()


def read_build(digest: str, data: bytes) -> Build:
    """A build from its bytes. Raises `Damaged` if it is another one."""
    try:
        found = msgspec.json.decode(data, type=Build)
    except (ValueError, RecursionError):
        found = None
    if found is None or hashlib.sha256(data).hexdigest() != digest:
        raise Damaged(f"the build `{digest}` is not what was kept: it was changed")
    return found


def _write(directory: Path, shelves: Shelves) -> None:
    """The files of the shelves, all of them durable."""
    for number, shelf in enumerate(shelves):
        (directory / str(number)).mkdir(mode=0o700)
        for name, data in shelf.items():
            path = directory / str(number) / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    for below, _, _ in os.walk(directory, topdown=False):
        keyfiles.sync_directory(Path(below))


def _read(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.relative_to(directory).as_posix(), path.read_bytes()


def _number(directory: Path) -> int:
    return int(directory.name)


def _why(error: OSError | ValueError) -> str:
    return keyfiles.why(error) if isinstance(error, OSError) else f"`{printable(str(error))}`"
