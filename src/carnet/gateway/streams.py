"""The answers that are open now, and how they are cut: all of them marked before anything else happens, so
that none hands on another byte. What is said to their readers, and why, is decided elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Self

from carnet.gateway.calls import Dialect

Notices = Callable[["Stream"], bytes]
"""The last event of a stream, in its dialect. It is asked for once no other byte can follow."""

_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")


class Boundary:
    """Whether a text of events (SSE) that is sent in pieces stands at the end of an event."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\n\n"

    def took(self, data: bytes) -> None:
        """These bytes were sent."""
        self._tail = data[-3:] if len(data) > 2 else (self._tail + data)[-3:]

    @staticmethod
    def last(data: bytes) -> int:
        """Where the last event in these bytes ends; 0 if none does."""
        return max(found + len(end) if (found := data.rfind(end)) >= 0 else 0 for end in _ENDS)

    @property
    def here(self) -> bool:
        """Whether an event that is written now begins a line of its own, after a blank one; true at the
        start."""
        return self._tail.endswith(_ENDS)


class Waking:
    """A task that others may wake from what it waits for. It is cancelled for that, and can tell this from
    being cancelled by those who run it."""

    __slots__ = ("_before", "_task", "_times", "gone")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # made by a coroutine that runs
        self._task: asyncio.Task[object] | None = task
        self._before = task.cancelling()
        self._times = 0
        self.gone = False

    def wake(self) -> None:
        """Have the task go on with a CancelledError; nothing after `over`."""
        if self._task is not None:
            self._times += 1
            self._task.cancel()

    def leave(self) -> None:
        """Wake it because its client is gone."""
        self.gone = True
        self.wake()

    def mine(self) -> bool:
        """For the task, of a CancelledError that it caught: whether `wake` alone was the reason."""
        task, times = self._task, self._times
        self._times = 0
        if task is None or not times:
            return False
        for _ in range(times):
            task.uncancel()
        return task.cancelling() <= self._before

    def over(self) -> None:
        """Nobody wakes it from now on."""
        self._task = None


class Cut:
    """What became of a cut: `count` streams were marked, `told` got their last event, `lost` had no reader
    any more, no form for it, or one who took nothing. `seconds` is how long after the mark the last event
    was handed to its connection, 0 if none was."""

    def __init__(self, began: float) -> None:
        self.count = self.told = self.lost = 0
        self.seconds = 0.0
        self._began = began
        self._over = asyncio.Event()

    @property
    def open(self) -> int:
        """Streams that are marked and have not ended."""
        return self.count - self.told - self.lost

    def ended(self, *, told: bool, at: float) -> None:
        """A stream of it has ended."""
        if told:
            self.told += 1
            self.seconds = at - self._began
        else:
            self.lost += 1
        if not self.open:
            self._over.set()

    async def finished(self) -> None:
        """Wait until every stream of it has ended."""
        if self.open:
            await self._over.wait()


class Stream:
    """An answer under way, and whose it is. `turn` is what it is served under: whoever decides about it anew
    sets it. It is entered to be registered and left to be forgotten.
    """

    __slots__ = (
        "_cut",
        "_notices",
        "_streams",
        "_waking",
        "boundary",
        "dialect",
        "marked",
        "path",
        "tenant",
        "turn",
    )

    def __init__(
        self,
        streams: "Streams",
        *,
        tenant: str,
        dialect: Dialect,
        path: str,
        turn: int,
    ) -> None:
        self.tenant = tenant
        self.dialect, self.path = dialect, path
        self.turn = turn
        self.marked = False
        self.boundary = Boundary()
        self._streams, self._notices = streams, streams.refused
        self._cut: Cut | None = None
        self._waking: Waking | None = None

    def __enter__(self) -> Self:
        self._streams.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.forget(self)
        self.ended(told=False)

    def may_write(self) -> bool:
        """Asked in the same step as each write, before it: whether another byte may be handed on now. If not,
        it is marked and over, or has to be `settled` first."""
        return not self.marked and self._streams.allows(self)

    async def settled(self) -> None:
        """Wait until it is decided about anew: then it may go on, or is marked."""
        await self._streams.settle(self)

    def mark(self, cut: Cut, notices: Notices) -> bool:
        """No byte follows; False if that was so already."""
        if self.marked:
            return False
        self.marked, self._cut, self._notices = True, cut, notices
        return True

    def wakes(self, waking: Waking | None) -> None:
        """Who hands its bytes on, and is to be woken."""
        self._waking = waking

    def wake(self) -> None:
        """End the wait for another byte of the upstream, or for the reader."""
        if self._waking is not None:
            self._waking.wake()

    def notice(self) -> bytes:
        """Its last event."""
        return self._notices(self)

    def ended(self, *, told: bool) -> None:
        """Its reader was told, or can't be; what is said first counts. Whoever refuses a stream that was cut
        before it began says so here."""
        cut, self._cut = self._cut, None
        if cut is not None:
            cut.ended(told=told, at=asyncio.get_running_loop().time())


class Streams:
    """The streams of a process, for its one loop. `allows` is asked before each write, and is to compare what
    the stream is served under with what holds now, from memory; `settle` decides about one that is not
    allowed to go on as it is; `refused` says what is told to the reader of one that is cut before anybody
    said why."""

    def __init__(
        self,
        allows: Callable[[Stream], bool],
        settle: Callable[[Stream], Awaitable[None]],
        refused: Notices,
    ) -> None:
        self.allows, self.settle, self.refused = allows, settle, refused
        self._open: dict[Stream, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._open))

    def open(
        self,
        *,
        tenant: str,
        dialect: Dialect,
        path: str,
        turn: int,
    ) -> Stream:
        """A stream to be entered before its request goes on: `with streams.open(…) as stream`."""
        return Stream(
            self,
            tenant=tenant,
            dialect=dialect,
            path=path,
            turn=turn,
        )

    def add(self, stream: Stream) -> None:
        """It is open; for `Stream` alone."""
        self._open[stream] = None

    def forget(self, stream: Stream) -> None:
        """It has ended; for `Stream` alone."""
        self._open.pop(stream, None)

    def cut(self, selector: Callable[[Stream], bool], notice_for: Notices) -> Cut:
        """Cut every open stream that is selected. When this returns, none of them hands on another byte of
        its upstream; nothing is awaited, read or written before. Their readers are told right after."""
        cut = Cut(asyncio.get_running_loop().time())
        chosen = [stream for stream in self._open if selector(stream)]
        marked = [stream for stream in chosen if stream.mark(cut, notice_for)]
        cut.count = len(marked)
        for stream in marked:
            stream.wake()
        return cut
