"""A ZIP file of which there is one form only: the same members are always the same bytes, and whatever is not
those bytes is refused. What the members mean is in `carnet.ledger.export`.

Members are stored, not compressed, so a file never holds more than its length; their names are in order, and
no date, owner or comment is kept. Every program that reads ZIP files reads it.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

from msgspec import Struct

from carnet.model.errors import Absent, Malformed
from carnet.model.plain import printable, short

MAGIC = b"PK\x03\x04"
"""How a file begins that has a member."""

MOST_BYTES = 2**32 - 1
MOST_MEMBERS = 2**16 - 1
"""What the form has room for without its extension to 64 bits, which is not used."""

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UNIX, _UTF8 = 20, 3 << 8, 1 << 11
_MIDNIGHT, _FIRST_DAY = 0, 1 << 5 | 1
"""1 January 1980, the first instant that the form can write."""

_MODE = 0o100644 << 16
_MOST_NAME = 500
_TOO_LARGE = "the file would be over 4 GB or have too many members: export a smaller range"


class Member(Struct, frozen=True):
    """Where a member is in the file: its first byte, its length, its checksum (CRC-32)."""

    name: str
    start: int
    length: int
    checksum: int


class Archive:
    """A file in this form, all of it looked at. `data` may be mapped memory."""

    def __init__(self, data: memoryview) -> None:
        """Raises `Malformed` if these are not the bytes of the form; checksums are compared in `read`."""
        self._data = data
        self.members: dict[str, Member] = {}
        at, before = 0, ""
        while data[at : at + 4] == MAGIC:
            member = _member(data, at)
            if member.name <= before:
                raise Malformed(
                    f"`{shown(member.name)}` is not in order in the file: it was not written by Carnet"
                )
            self.members[member.name] = member
            at, before = member.start + member.length, member.name
        if not self.members:
            raise Malformed("the file is no export: it does not begin with a member, fetch it again as bytes")
        end = b"".join(_directory(self.members.values(), at))
        if len(data) - at != len(end) or bytes(data[at:]) != end:
            raise Malformed("the file does not end as it has to: it was cut or changed, fetch it again")

    def names(self, prefix: str = "") -> list[str]:
        """The names of members that begin with this, in order."""
        return [name for name in self.members if name.startswith(prefix)]

    def read(self, name: str) -> bytes:
        """The bytes of a member. Raises `Absent` if there is none, `Malformed` if its checksum is another."""
        member = self.members.get(name)
        if member is None:
            raise Absent(f"the file has no `{shown(name)}`: export it again")
        found = bytes(self._data[member.start : member.start + member.length])
        if zlib.crc32(found) != member.checksum:
            raise Malformed(f"`{shown(name)}` was changed or damaged in the file: fetch it again")
        return found


def packed(members: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The bytes of a file with these members, which come in the order of their names.

    Raises `Malformed` for a name that can't be one or is not in order, and if there is no room.
    """
    done: list[Member] = []
    at, before = 0, ""
    for name, data in members:
        check_name(name)
        if name <= before:
            raise Malformed(f"`{shown(name)}` is not in order: give each member once, sorted by name")
        head = _head(name, len(data), zlib.crc32(data))
        member = Member(name, at + len(head), len(data), zlib.crc32(data))
        at, before = member.start + member.length, name
        done.append(member)
        if at > MOST_BYTES or len(done) > MOST_MEMBERS:
            raise Malformed(_TOO_LARGE)
        yield head
        yield data
    yield from _directory(done, at)


def check_name(name: str) -> None:
    """Raises `Malformed` if this can't be the name of a member: a path below nowhere, or signs that nobody
    sees."""
    parts = name.split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or len(name) > _MOST_NAME
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise Malformed(f"`{shown(name)}` can't be the name of a member: rename the file")


def shown(name: str) -> str:
    """A name as an error gives it."""
    return short(printable(name))


def _member(data: memoryview, at: int) -> Member:
    """The member whose header is here; its header has to be the one that `packed` writes for it."""
    cut = Malformed("the file ends inside a member: it was cut, fetch it again")
    if at + _LOCAL.size > len(data):
        raise cut
    fields = _LOCAL.unpack(data[at : at + _LOCAL.size])
    checksum, length, length_of_name = fields[6], fields[8], fields[9]
    start = at + _LOCAL.size + length_of_name
    if start + length > len(data):
        raise cut
    try:
        name = str(data[at + _LOCAL.size : start], "utf-8")
    except UnicodeDecodeError:
        name = ""
    check_name(name)
    if bytes(data[at:start]) != _head(name, length, checksum):
        raise Malformed(f"`{shown(name)}` is not stored as an export stores it: it was not written by Carnet")
    return Member(name, start, length, checksum)


def _head(name: str, length: int, checksum: int) -> bytes:
    coded = name.encode()
    if length > MOST_BYTES:
        raise Malformed(_TOO_LARGE)
    return (
        _LOCAL.pack(
            MAGIC,
            _VERSION,
            _UTF8,
            0,
            _MIDNIGHT,
            _FIRST_DAY,
            checksum,
            length,
            length,
            len(coded),
            0,
        )
        + coded
    )


def _directory(members: Iterable[Member], at: int) -> Iterator[bytes]:
    """The end of the file: the list of members, and where it begins."""
    count = total = 0
    for member in members:
        coded = member.name.encode()
        row = (
            _CENTRAL.pack(
                b"PK\x01\x02",
                _UNIX | _VERSION,
                _VERSION,
                _UTF8,
                0,
                _MIDNIGHT,
                _FIRST_DAY,
                member.checksum,
                member.length,
                member.length,
                len(coded),
                0,
                0,
                0,
                0,
                _MODE,
                member.start - _LOCAL.size - len(coded),
            )
            + coded
        )
        count, total = count + 1, total + len(row)
        yield row
    if at + total > MOST_BYTES:
        raise Malformed(_TOO_LARGE)
    yield _END.pack(b"PK\x05\x06", 0, 0, count, count, total, at, 0)
