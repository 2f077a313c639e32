"""Where the files of a repository are read: a directory, or files in memory over another source. Nothing that
comes from here is trusted; what is, is in `carnet.store.bundles.trust`."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from carnet.model.errors import Unavailable
from carnet.model.plain import printable
from carnet.store.keyfiles import why


class Source(Protocol):
    """A repository as a node sees it. Names are those of TUF, such as `timestamp.json`, `3.targets.json` and
    `bundles/DIGEST`."""

    def fetch(self, name: str, most: int) -> bytes | None:
        """The bytes of a file, None if it is not there. If it has more than `most` bytes, some number of them
        that is over `most`: so it is never read to its end. Raises `Unavailable` if it can't be read now."""


class DirectorySource(Struct, frozen=True):
    """A repository in a directory."""

    directory: Path

    def fetch(self, name: str, most: int) -> bytes | None:
        path = self.directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as opened:  # noqa: PTH123 -- what is checked has to be what is read
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise Unavailable(f"`{printable(str(path))}` is no file: put the repository there")
                return opened.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unavailable(f"`{printable(str(path))}` can't be read: {why(error)}") from None


class Overlay(Struct, frozen=True):
    """Files in memory, before those of another source."""

    files: Mapping[str, bytes]
    below: Source

    def fetch(self, name: str, most: int) -> bytes | None:
        found = self.files.get(name)
        return found[: most + 1] if found is not None else self.below.fetch(name, most)
