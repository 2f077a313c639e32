"""From one node of an installation to the others: a question in one line of JSON, an answer in another, over
a socket in a directory that nobody else can open. What is asked and answered is for the caller.

A node that has ended answers nothing and is passed over: what it had in memory is gone. One that is there and
does not answer is an error.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from carnet.model.errors import Unavailable

MOST_BYTES = 1 << 22
SECONDS = 2.0
SUFFIX = ".node"


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked, and about which tenant's subject and item if that matters."""

    ask: str
    tenant: str = ""
    subject: str | None = None
    item: str | None = None


class _Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ok: bool
    answer: msgspec.Raw = msgspec.Raw(b"null")


Answering = Callable[[Question], Awaitable[object]]


class Peers:
    """A node among the others. Without a directory there are no others."""

    def __init__(self, directory: Path | None = None, number: int = 0) -> None:
        self._directory, self._number = directory, number
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, answering: Answering) -> None:
        """Answer the others from now on."""
        if self._directory is None:
            return
        path = self._directory / f"{self._number}{SUFFIX}"
        path.unlink(missing_ok=True)

        async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # a coroutine that runs is one's
            self._answering.add(task)
            try:
                with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
                    reply = await _reply(await reader.readuntil(), answering)
                    writer.write(msgspec.json.encode(reply) + b"\n")
                    await writer.drain()
            finally:
                self._answering.discard(task)
                writer.close()

        self._server = await asyncio.start_unix_server(answered, path, limit=MOST_BYTES)
        os.chmod(path, 0o600)  # noqa: PTH101 -- as the system calls it

    async def ask(self, question: Question) -> list[bytes]:
        """What each of the others answers, as JSON. Raises `Unavailable` if one that is there does not."""
        if self._directory is None:
            return []
        own = f"{self._number}{SUFFIX}"
        others = [path for path in sorted(self._directory.glob(f"*{SUFFIX}")) if path.name != own]
        answers = await asyncio.gather(*(_asked(path, question) for path in others))
        return [answer for answer in answers if answer is not None]

    async def stop(self) -> None:
        """Answer no more; what is not answered yet is not."""
        if self._server is not None:
            self._server.close()
            for task in list(self._answering):
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)
            await self._server.wait_closed()


async def _reply(line: bytes, answering: Answering) -> _Reply:
    try:
        question = msgspec.json.decode(line, type=Question)
        return _Reply(ok=True, answer=msgspec.Raw(msgspec.json.encode(await answering(question))))
    except Exception:  # noqa: BLE001 -- whoever asked is told that it failed; what went wrong is said there
        return _Reply(ok=False)


async def _asked(path: Path, question: Question) -> bytes | None:
    try:
        async with asyncio.timeout(SECONDS):
            try:
                reader, writer = await asyncio.open_unix_connection(path, limit=MOST_BYTES)
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            try:
                writer.write(msgspec.json.encode(question) + b"\n")
                await writer.drain()
                reply = msgspec.json.decode(await reader.readuntil(), type=_Reply)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        reply = _Reply(ok=False)
    if not reply.ok:
        raise Unavailable(
            "another node of this installation does not answer: look at its log, then ask again"
        )
    return bytes(reply.answer)
