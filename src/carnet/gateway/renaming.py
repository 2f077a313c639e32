"""An answer that says which model gave it, where that is not the one that was asked for: piece by piece as it
comes. What a whole event or a whole answer says is in `carnet.gateway.dialects`."""

import re
from collections.abc import Callable

MOST_HELD = 16_000_000
"""Bytes of an answer that are held until it is whole."""

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Events:
    """A stream of events, each rewritten when it is whole."""

    def __init__(self, rewritten: Callable[[bytes], bytes]) -> None:
        self._rewritten, self._held = rewritten, b""

    def take(self, piece: bytes) -> bytes:
        """What can be sent after this piece. Raises ValueError for an event that does not end."""
        self._held += piece
        done, start = [], 0
        for end in _END.finditer(self._held):
            done.append(self._rewritten(self._held[start : end.end()]))
            start = end.end()
        self._held = self._held[start:]
        if len(self._held) > MOST_HELD:
            raise ValueError("an event does not end")
        return b"".join(done)

    def rest(self) -> bytes:
        """What is left at the end."""
        held, self._held = self._held, b""
        return held


class Whole:
    """An answer in one, rewritten at its end."""

    def __init__(self, rewritten: Callable[[bytes], bytes]) -> None:
        self._rewritten, self._held = rewritten, bytearray()

    def take(self, piece: bytes) -> bytes:
        """Nothing yet. Raises ValueError for an answer that is too long to be held."""
        self._held += piece
        if len(self._held) > MOST_HELD:
            raise ValueError("an answer is too long")
        return b""

    def rest(self) -> bytes:
        """All of it."""
        return self._rewritten(bytes(self._held))
