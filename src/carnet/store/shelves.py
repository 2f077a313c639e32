"""Shelves from the package and from disk, and the rulebook that they make together. What the files mean is
in `carnet.rules`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from msgspec import Struct

from carnet.model.errors import InputError, StoreError
from carnet.model.plain import printable, short
from carnet.rules.check import load
from carnet.rules.rulebook import Rulebook
from carnet.rules.source import is_provision

LIMIT = 1_000_000
"""Bytes that one file of a shelf may have."""

SUFFIXES = (".md", ".toml", ".csv")

MISNAMED = (".md.txt", ".markdown")
"""How the name of a rule file ends that an editor or a system has named in its own way."""


class Files(Struct, frozen=True):
    """The shelves that a rulebook was loaded from, in order: posix path below the shelf -> bytes."""

    shelves: tuple[Mapping[str, bytes], ...]


@cache
def shipped() -> Mapping[str, bytes]:
    """The shelf that comes with the package: posix path below it -> bytes."""
    return dict(_files(resources.files("carnet") / "law", ""))


def read_shelf(directory: Path) -> Mapping[str, bytes]:
    """An operator's shelf: posix path below the directory -> bytes. Hidden files and files that no shelf has
    are left out.

    Raises InputError if the directory is not there, is empty of rules, or has a file that can't be read, is
    over `LIMIT` or has a name that can't be shown.
    """
    shown = printable(str(directory))
    try:
        if not directory.is_dir():
            what = "is a file" if directory.exists() else "is not there"
            raise InputError(f"`{shown}` {what}: `--law` takes the directory of a shelf")
        files = dict(_files(directory, "", f"{directory.as_posix()}/"))
    except OSError as error:
        where = short(printable(str(error.filename or directory)), 200)
        why = (error.strerror or "no such file").lower()
        raise InputError(f"`{where}` can't be read: {why}") from None
    if not any(is_provision(path) for path in files):
        raise InputError(f"`{shown}` holds no rules: a shelf has `.md` files, such as `us/letters/x.md`")
    return files


def load_rulebook(*directories: Path) -> Rulebook:
    """The shipped shelf with the operator's own ones, as one rulebook.

    Raises InputError for a directory that is no shelf or is given twice, RulesError with every problem; files
    of an operator's shelf are named as seen from here.
    """
    if not directories:
        return _shipped_rulebook()
    seen: dict[Path, Path] = {}
    for directory in directories:
        where = Path(os.path.realpath(directory))
        if where in seen:
            raise InputError(f"`{printable(str(directory))}` is given twice: name each shelf once")
        seen[where] = directory
    shelves = [read_shelf(directory) for directory in directories]
    names = [f"{directory.as_posix()}/" for directory in directories]
    return loaded((shipped(), *shelves), ["", *names])


def loaded(shelves: Sequence[Mapping[str, bytes]], names: Sequence[str] = ()) -> Rulebook:
    """A rulebook that knows the files which it was loaded from. Raises as `carnet.rules.check.load`."""
    rulebook = load(*shelves, names=names)
    rulebook.kept[Files] = Files(tuple(shelves))
    return rulebook


def files_of(rulebook: Rulebook) -> Files:
    """The files that a rulebook was loaded from. Raises `StoreError` if it was made in another way."""
    found = rulebook.kept.get(Files)
    if not isinstance(found, Files):
        raise StoreError(
            f"the rulebook `{rulebook.digest[:12]}` does not know its files, so it can't be kept: load it "
            "with `load_rulebook`"
        )
    return found


def law_version() -> str:
    """The version of the shipped shelf, from its file `VERSION`."""
    file = resources.files("carnet") / "law" / "VERSION"
    return file.read_text("utf-8").strip() if file.is_file() else "unreleased"


@cache
def _shipped_rulebook() -> Rulebook:
    return loaded((shipped(),))


def _files(
    directory: Traversable, prefix: str, shown: str = "", above: tuple[str, ...] = ()
) -> Iterator[tuple[str, bytes]]:
    """The files below a directory. `above` are the real paths of the directories that it lies in: a link back
    to one of them would have no end."""
    real = os.path.realpath(str(directory))
    if real in above:
        raise InputError(f"`{shown}{prefix}` leads back to a directory that it lies in: remove the link")
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        name = f"{prefix}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry, f"{name}/", shown, (*above, real))
        elif entry.name.lower().endswith(MISNAMED):
            right = printable(entry.name.partition(".")[0])
            raise InputError(f"`{printable(shown + name)}` is not read: give it a name like `{right}.md`")
        elif entry.name.lower().endswith(SUFFIXES):
            if not entry.name.isprintable():
                raise InputError(f"`{printable(shown + name)}` has a name that can't be shown: rename it")
            if isinstance(entry, Path) and entry.exists() and not entry.is_file():
                raise InputError(f"`{shown}{name}` is no file: a shelf has files and directories only")
            with entry.open("rb") as file:
                data = file.read(LIMIT + 1)
            if len(data) > LIMIT:
                raise InputError(f"{shown}{name}:1: the file is over `{LIMIT}` bytes: split it up")
            yield name, data
