"""The one setting with which the nodes of an installation share a PostgreSQL, for the commands that have it.
What is shared is in `carnet.service.sharing`, which needs an extra.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from carnet.cli import options
from carnet.model.errors import InputError, StoreError
from carnet.store.sqlite.log import SqliteLog

ADDRESS = "CARNET_POSTGRESQL"
"""The variable of the environment that has the address: a password in it is not seen in the list of
processes."""

postgresql = click.option(
    "--postgresql",
    envvar=ADDRESS,
    metavar="URL",
    help=f"The PostgreSQL that the nodes share; default: {ADDRESS}, where a password belongs.",
)


@contextmanager
def _extra() -> Iterator[None]:
    """What needs the driver. Raises `InputError` if it is not there."""
    try:
        yield
    except ImportError as error:
        if error.name is not None and not error.name.startswith("psycopg"):
            raise
        raise InputError("PostgreSQL needs the extra `postgres`: `pip install 'carnet[postgres]'`") from None


def prepare(data: Path, address: str) -> bool:
    """As `carnet.service.sharing.prepare`. Raises `InputError` without the extra."""
    with _extra():
        from carnet.service import sharing  # noqa: PLC0415 -- its driver is an extra that most do without

    return sharing.prepare(data, address)


def remember(data: Path, address: str) -> None:
    """As `carnet.service.sharing.remember`."""
    from carnet.service import sharing  # noqa: PLC0415 -- as above

    sharing.remember(data, address)


class Copies:
    """The copies of an installation's records, if it shares a PostgreSQL."""

    def __init__(self, data: Path, address: str | None) -> None:
        """Raises `InputError` for an address that can't be one, and without the extra: before anything is
        done."""
        self._data, self._address = data, address
        if address is not None:
            with _extra():
                from carnet.store.postgres.connection import Database  # noqa: PLC0415 -- as above
            Database(address)

    def forget(self, log: SqliteLog) -> None:
        """Forget there what a log has forgotten, or say that it is done later."""
        if self._address is None:
            return
        from carnet.service import sharing  # noqa: PLC0415 -- as above

        try:
            sharing.forget_now(self._data, self._address, log)
        except StoreError as error:
            options.say(f"in PostgreSQL it is not forgotten yet, {error}; the next start of its node does it")
