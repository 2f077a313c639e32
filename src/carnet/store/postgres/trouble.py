"""What PostgreSQL says goes wrong, in our own errors. What is done about it is decided where it happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors

from carnet.model.errors import CarnetError, Damaged, Unavailable

FAILURES = (psycopg.Error, UnicodeDecodeError)
"""What is raised where the database can't be used: a text that was changed is no UTF-8."""

_Given = ParamSpec("_Given")
_Self = TypeVar("_Self")
_Made = TypeVar("_Made")


def meant(error: Exception) -> Damaged | Unavailable:
    """The error that stands for one of PostgreSQL's. Its text is left out: it may quote what it was given."""
    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted | UnicodeDecodeError):
        return Damaged(f"the database is damaged, `{said(error)}`: restore it, or empty it and ship again")
    return Unavailable(f"PostgreSQL can't be used now, `{said(error)}`: look at it, then ask again")


def said(error: Exception) -> str:
    """The name that PostgreSQL's manual gives the error, or that of its class."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__} {state}" if state else type(error).__name__


@contextmanager
def translated() -> Iterator[None]:
    """Raise our own error where PostgreSQL raises one."""
    try:
        yield
    except FAILURES as error:
        raise meant(error) from error


def reads(
    method: Callable[Concatenate[_Self, _Given], _Made],
) -> Callable[Concatenate[_Self, _Given], _Made]:
    """A method that uses the database, with our own errors where PostgreSQL raises one."""

    @wraps(method)
    def read(self: _Self, /, *given: _Given.args, **named: _Given.kwargs) -> _Made:
        try:
            return method(self, *given, **named)
        except FAILURES as error:
            raise meant(error) from error

    return read


def refused(error: Exception) -> Unavailable:
    """What those are told whose batch failed."""
    if isinstance(error, Unavailable):
        return error
    why = str(error) if isinstance(error, CarnetError) else said(error)
    return Unavailable(f"nothing was recorded, `{why}`: look at PostgreSQL and the keys, then ask again")
