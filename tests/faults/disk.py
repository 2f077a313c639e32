"""A disk that fails: a VFS below SQLite that is slow, full, breaks, changes bytes, or loses what was not
synced. Everything else is the real file system's."""

import contextlib
import errno
import itertools
import os
import subprocess
import threading
from pathlib import Path

import apsw
import pytest

SECTOR = 512
_names = itertools.count()


class Disk(apsw.VFS):
    """Set its attributes while a log is on it; `name` is for `open_log(vfs=...)`.

    `full` refuses writes that make a file longer, `broken` every sync; `on_sync` is called before each and
    `on_write` may give other bytes. With `loses` what is written stays in memory until its file is synced;
    `cut` is the power cut.
    """

    def __init__(self, *, loses=False):
        self.name = f"disk-{os.getpid()}-{next(_names)}"
        self.full = self.broken = False
        self.on_sync = lambda path: None
        self.on_write = lambda path, data, offset: data
        self.loses = loses
        self.images, self.lock = {}, threading.RLock()
        super().__init__(self.name, "unix")

    def xOpen(self, name, flags):  # noqa: N802 -- the name is SQLite's
        return File(self, name, flags)

    def xDelete(self, filename, syncdir):  # noqa: N802 -- as above
        with self.lock:
            self.images.pop(filename, None)
        super().xDelete(filename, syncdir)

    def cut(self, random=None):
        """The power goes: of what was not synced nothing is kept or, with `random`, any sectors of it."""
        with self.lock:
            for path, image in self.images.items():
                if random is not None and image.waiting:
                    with Path(path).open("r+b") as file:
                        survivors(file, image.waiting, random)
            os.kill(os.getpid(), 9)


class Image:
    """A file as its writers see it, and what has to be written to make it so."""

    def __init__(self, data):
        self.data, self.waiting = bytearray(data), []

    def write(self, data, offset):
        if len(self.data) < offset:
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset : offset + len(data)] = data
        self.waiting.append((offset, bytes(data)))

    def truncate(self, size):
        del self.data[size:]
        self.waiting.append((size, None))


class File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)
        self.image = None
        if disk.loses and self.path:
            with disk.lock:
                if self.path not in disk.images:
                    size = super().xFileSize()
                    disk.images[self.path] = Image(super().xRead(size, 0).ljust(size, b"\0") if size else b"")
                self.image = disk.images[self.path]

    def xRead(self, amount, offset):  # noqa: N802 -- the name is SQLite's
        if self.image is None:
            return super().xRead(amount, offset)
        with self.disk.lock:
            return bytes(self.image.data[offset : offset + amount])

    def xWrite(self, data, offset):  # noqa: N802 -- as above
        if self.disk.full and offset + len(data) > self.xFileSize():
            raise apsw.FullError("database or disk is full")
        data = self.disk.on_write(self.path, bytes(data), offset)
        if self.image is None:
            super().xWrite(data, offset)
        else:
            with self.disk.lock:
                self.image.write(data, offset)

    def xTruncate(self, size):  # noqa: N802 -- as above
        if self.image is None:
            super().xTruncate(size)
        else:
            with self.disk.lock:
                self.image.truncate(size)

    def xFileSize(self):  # noqa: N802 -- as above
        if self.image is None:
            return super().xFileSize()
        with self.disk.lock:
            return len(self.image.data)

    def xSync(self, flags):  # noqa: N802 -- as above
        self.disk.on_sync(self.path)
        if self.disk.broken:
            raise OSError(errno.EIO, "the disk is broken")
        if self.image is not None:
            with self.disk.lock:
                for offset, data in self.image.waiting:
                    if data is None:
                        super().xTruncate(offset)
                    else:
                        super().xWrite(data, offset)
                self.image.waiting.clear()
        super().xSync(flags)


@contextlib.contextmanager
def mounted(folder, size):
    """A small file system of its own. Skips the test where this process may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this process may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def survivors(file, waiting, random):
    """Write any of the sectors that wait, in any order; a truncation happens or does not."""
    parts = []
    for offset, data in waiting:
        if data is None:
            parts.append((offset, None))
        else:
            parts += [(offset + at, data[at : at + SECTOR]) for at in range(0, len(data), SECTOR)]
    random.shuffle(parts)
    for offset, data in parts[: random.randint(0, len(parts))]:
        if data is None:
            file.truncate(offset)
        else:
            file.seek(offset)
            file.write(data)
