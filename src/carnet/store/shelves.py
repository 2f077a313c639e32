"""Shelves from the package and from disk, and the rulebook that they make together. What the files mean is
in `carnet.rules`."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from carnet.model.errors import InputError, Problem, RulesError
from carnet.rules.check import load
from carnet.rules.rulebook import Rulebook

LIMIT = 1_000_000
"""Bytes that one file of a shelf may have."""

SUFFIXES = (".md", ".toml", ".csv")


@cache
def shipped() -> Mapping[str, bytes]:
    """The shelf that comes with the package: posix path below it -> bytes."""
    return dict(_files(resources.files("carnet") / "law", ""))


def read_shelf(directory: Path) -> Mapping[str, bytes]:
    """An operator's shelf: posix path below the directory -> bytes. Hidden files and files that no shelf has
    are left out.

    Raises InputError if the directory is not there, is empty of rules, or has a file that can't be read or
    is over `LIMIT`.
    """
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "is not there"
        raise InputError(f"`{directory}` {what}: `--law` takes the directory of a shelf")
    try:
        files = dict(_files(directory, "", f"{directory}/"))
    except OSError as error:
        raise InputError(f"`{error.filename or directory}` can't be read: {error.strerror}") from None
    if not files:
        raise InputError(f"`{directory}` holds no rules: a shelf has `.md` files, such as `us/letters/x.md`")
    return files


def load_rulebook(*directories: Path) -> Rulebook:
    """The shipped shelf with the operator's own ones, as one rulebook.

    Raises InputError for a directory that is no shelf, RulesError with every problem; files of an
    operator's shelf are named as seen from here.
    """
    if not directories:
        return _shipped_rulebook()
    shelves = [(directory, read_shelf(directory)) for directory in directories]
    try:
        return load(shipped(), *(shelf for _, shelf in shelves))
    except RulesError as error:
        raise RulesError([_seen(problem, shelves) for problem in error.problems]) from None


def law_version() -> str:
    """The version of the shipped shelf, from its file `VERSION`."""
    file = resources.files("carnet") / "law" / "VERSION"
    return file.read_text("utf-8").strip() if file.is_file() else "unreleased"


@cache
def _shipped_rulebook() -> Rulebook:
    return load(shipped())


def _files(directory: Traversable, prefix: str, shown: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/", shown)
        elif entry.name.endswith(SUFFIXES):
            with entry.open("rb") as file:
                data = file.read(LIMIT + 1)
            if len(data) > LIMIT:
                raise InputError(
                    f"{shown}{prefix}{entry.name}:1: the file is over `{LIMIT}` bytes: split it up"
                )
            yield f"{prefix}{entry.name}", data


def _seen(problem: Problem, shelves: list[tuple[Path, Mapping[str, bytes]]]) -> Problem:
    """The problem with its file as seen from here: that of the last shelf that has it."""
    for directory, shelf in reversed(shelves):
        if problem.file in shelf:
            return Problem(f"{directory.as_posix()}/{problem.file}", problem.line, problem.message)
    return problem
