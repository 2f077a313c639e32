"""What SQLite says goes wrong, in our own errors. What is done about it is decided where it happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from carnet.model.errors import CarnetError, Damaged, Unavailable
from carnet.model.plain import printable, short

FAILURES = (apsw.Error, UnicodeDecodeError)
"""What is raised where a file can't be read: a damaged text is no UTF-8."""

_Given = ParamSpec("_Given")
_Self = TypeVar("_Self")
_Made = TypeVar("_Made")


def told(path: Path) -> str:
    """A path as an error names it."""
    return f"`{short(printable(str(path)), 200)}`"


def meant(error: apsw.Error | UnicodeDecodeError, what: str) -> Damaged | Unavailable:
    """The error that stands for one of SQLite's, about `what`."""
    said = "no text" if isinstance(error, UnicodeDecodeError) else _said(error)
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError):
        return Damaged(f"{what} is damaged, `{said}`: run an audit, then restore from a backup")
    return Unavailable(f"{what} can't be used now, `{said}`: look at its disk, then ask again")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise our own error where SQLite raises one."""
    try:
        yield
    except FAILURES as error:
        raise meant(error, told(path)) from error


def reads(
    method: Callable[Concatenate[_Self, _Given], _Made],
) -> Callable[Concatenate[_Self, _Given], _Made]:
    """A method that reads a log, with our own errors where SQLite raises one."""

    @wraps(method)
    def read(self: _Self, /, *given: _Given.args, **named: _Given.kwargs) -> _Made:
        try:
            return method(self, *given, **named)
        except FAILURES as error:
            raise meant(error, "the log") from error

    return read


def refused(error: Exception) -> Unavailable:
    """What those are told whose batch failed. The text of a stranger's error is left out: it may say what
    it was given."""
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, apsw.Error):
        said = _said(error)
    elif isinstance(error, CarnetError):
        said = str(error)
    else:
        said = type(error).__name__
    return Unavailable(f"nothing was recorded, `{said}`: look at the log's disk and keys, then ask again")


def _said(error: apsw.Error) -> str:
    return short(printable(str(error)), 200).lower()
