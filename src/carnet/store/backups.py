"""The list of backups that hold a copy of a vault: so that a shred knows in which of them a key has to be
destroyed too. What is copied is in `carnet.store.installation`.

A copy of a vault is short-lived: it is destroyed when its time is over. One that was moved away can't be
reached from here, so somebody has to say that it was destroyed before a shred goes on.
"""

import datetime as dt
import os
from pathlib import Path

from msgspec import Struct

from carnet.model.errors import InputError, StoreError
from carnet.model.near import nearest
from carnet.model.plain import printable
from carnet.store.desk import Desk

_INSERT = "INSERT OR REPLACE INTO backups (path, begun, vault, made, until) VALUES (?, ?, ?, ?, ?)"
_SELECT = "SELECT path, begun, vault, made, until, gone FROM backups ORDER BY made, path"


class Backup(Struct, frozen=True, kw_only=True):
    """A copy of the vault with this id. `path` is where it is, `begun` where it was while it was made: there
    it still is if the making was cut short. `until` is when it has to be destroyed, `gone` when it was."""

    path: Path
    begun: Path
    vault: str
    made: dt.datetime
    until: dt.datetime
    gone: dt.datetime | None = None

    @property
    def files(self) -> list[Path]:
        """Where a copy is now, as far as can be seen from here."""
        return [path for path in (self.path, self.begun) if path.is_file()]


class Backups:
    """The backups of one installation."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, backups: list[Backup]) -> None:
        """List copies before they are made.

        Raises `StoreError` if one is on the list at this place and not known to be destroyed, `Unavailable`
        if it can't be made durable.
        """
        with self._desk.writing():
            listed = {each.path: each for each in self.listed()}
            for each in backups:
                before = listed.get(each.path)
                if before is not None and before.gone is None:
                    raise StoreError(
                        f"a backup at `{printable(str(each.path.parent))}` is on the list and not known to "
                        "be destroyed: say so with `carnet backup gone`, or choose another place"
                    )
                row = (str(each.path), str(each.begun), each.vault, _seconds(each.made), _seconds(each.until))
                self._desk.write(_INSERT, row)

    def drop(self, backups: list[Backup]) -> None:
        """Take copies off the list that were never made."""
        with self._desk.writing():
            for each in backups:
                self._desk.write(
                    "DELETE FROM backups WHERE path = ? AND begun = ?", (str(each.path), str(each.begun))
                )

    def listed(self) -> list[Backup]:
        """Every copy that there is or was, the oldest first."""
        rows = self._desk.rows(_SELECT)
        return [
            Backup(
                path=Path(row[0]),
                begun=Path(row[1]),
                vault=row[2],
                made=_instant(row[3]),
                until=_instant(row[4]),
                gone=None if row[5] is None else _instant(row[5]),
            )
            for row in rows
        ]

    def gone(self, directory: Path, now: dt.datetime) -> list[Backup]:
        """Note that the copies below a directory were destroyed; which those were.

        Raises `InputError` if none is listed there, `StoreError` if one is there still.
        """
        below = [each for each in self.listed() if each.gone is None and _below(each.path, directory)]
        if not below:
            known = {str(each.path.parent) for each in self.listed()}
            near = nearest(str(directory), known) or ": see `carnet backup list`"
            raise InputError(f"`{printable(str(directory))}` is no backup on the list{near}")
        for each in below:
            for path in each.files:
                raise StoreError(f"`{printable(str(path))}` is there still: destroy it first")
        with self._desk.writing():
            for each in below:
                self._desk.write(
                    "UPDATE backups SET gone = ? WHERE path = ?", (_seconds(now), str(each.path))
                )
        return below

    def of(self, vault: str) -> list[Path]:
        """The copies of a vault, in all of which a key has to be destroyed.

        Raises `StoreError` if one is not where it was: nobody knows then whether it has the key still.
        """
        found: list[Path] = []
        for each in self.listed():
            if each.vault != vault or each.gone is not None:
                continue
            files = each.files
            if not files:
                raise StoreError(
                    f"the backup `{printable(str(each.path.parent))}` is not there: bring it back, or "
                    "destroy it where it is and say so with `carnet backup gone`"
                )
            found += files
        return found


def _below(path: Path, directory: Path) -> bool:
    return Path(os.path.abspath(directory)) in path.parents  # noqa: PTH100 -- what is gone can't be resolved


def _seconds(value: dt.datetime) -> int:
    return int(value.timestamp())


def _instant(value: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(value, dt.UTC)
