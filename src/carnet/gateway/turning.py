"""What happens to open answers when what they were let in under is over: another epoch, a grant that was
ended, a time that has come. All of them wait from that moment; those that may not go on are cut; those that
may go on, and are recorded. How bytes are held back is in `carnet.gateway.streams`."""

import asyncio
import contextlib
import datetime as dt
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

from msgspec import Struct, structs

from carnet.gateway.config import Directory, Model
from carnet.gateway.dialects import APIS
from carnet.gateway.notices import Notice
from carnet.gateway.streams import Cut, Stream, Streams
from carnet.gateway.telling import cut_short, defect, refused, unavailable
from carnet.model.errors import CarnetError
from carnet.model.time import instant
from carnet.service.api import Api, Request, Verdict

RECORD_SECONDS = 2.0
"""Within this a use that goes on under another epoch has its record, or is cut (design, section 9)."""

_CHUNK = 64
_EVERY_SECONDS = 1.0
_OVER = -1
_LOG = logging.getLogger("carnet.gateway")


class Use(Struct):
    """What an answer under way is a use of: its model first, then those that its request names besides, each
    with the request that was decided and what it came to."""

    request_id: str
    models: tuple[Model, ...]
    requests: tuple[Request, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def controlled(self) -> bool:
        """Whether one of them is a controlled item."""
        return any(verdict.controlled for verdict in self.verdicts)


class Turned(Struct):
    """What one turn did: streams that were held, that were cut, and how many seconds until the last reader of
    those was told."""

    held: int
    cut: int
    seconds: float


class _Turn:
    """What a turn has done so far."""

    def __init__(self) -> None:
        self.held = 0
        self.cuts: list[Cut] = []
        self.refused: list[tuple[str, Request]] = []


class Turning:
    """The open answers of one process and what they are served under. Everything runs in one loop but
    `changed`."""

    def __init__(
        self,
        api: Api,
        directory: Directory,
        now: Callable[[], dt.datetime],
        noted: Callable[[Turned], None] = lambda _: None,
        record_seconds: float = RECORD_SECONDS,
    ) -> None:
        self._record_seconds = record_seconds
        self._api, self._directory, self._now, self._noted = api, directory, now, noted
        self.streams = Streams(lambda stream: stream.turn == api.turn, self.settle, self._unsaid)
        self._uses: dict[Stream, Use] = {}
        self._deciding: set[Stream] = set()
        self._waiting: dict[Stream, asyncio.Future[None]] = {}
        self._timers: dict[Stream, asyncio.TimerHandle] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to watch, in the loop that serves."""
        self._loop = asyncio.get_running_loop()
        self._api.watch(self.changed)
        self._api.opened(self._open)
        self._keep(self._hindrances())

    async def stop(self) -> None:
        """End what is still being done."""
        tasks = [*self._tasks] if self._running is None else [*self._tasks, self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def changed(self) -> None:
        """What was let in before may be over; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin)

    @contextlib.contextmanager
    def entered(self, stream: Stream, use: Use) -> Iterator[None]:
        """An answer is under way. It is under the turn that was read before its use was decided."""
        self._uses[stream] = use
        self._timed(stream, use)
        try:
            yield
        finally:
            del self._uses[stream]
            self._deciding.discard(stream)
            self._waiting.pop(stream, None)
            if (timer := self._timers.pop(stream, None)) is not None:
                timer.cancel()

    async def settle(self, stream: Stream) -> None:
        """Wait until it is decided whether an answer goes on."""
        waiting = self._waiting.get(stream)
        if waiting is None:
            waiting = self._waiting[stream] = asyncio.get_running_loop().create_future()
        self._begin()
        await waiting

    def _open(self) -> list[tuple[str, Request]]:
        """The uses that are open; from any thread."""
        return [
            (stream.tenant, request) for stream, use in list(self._uses.items()) for request in use.requests
        ]

    def _begin(self) -> None:
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._turns())

    async def _turns(self) -> None:
        """Turn until nothing is held any more."""
        turned = _Turn()
        try:
            while stale := [stream for stream in self.streams if self._stale(stream)]:
                turned.held += len(stale)
                await self._turn(stale, turned)
        except Exception as error:  # noqa: BLE001 -- whatever it is, what was not decided about is cut
            _LOG.error("open answers could not be decided about anew and are cut: %s", defect(error))
            turned.cuts.append(self.streams.cut(self._stale, self._unsaid))
        finally:
            self._running = None
        if any(self._stale(stream) for stream in self.streams):
            self._begin()
        for cut in turned.cuts:
            await cut.finished()
        if turned.held:
            count = sum(cut.count for cut in turned.cuts)
            self._noted(Turned(turned.held, count, max((cut.seconds for cut in turned.cuts), default=0.0)))
        for tenant, request in turned.refused:
            with contextlib.suppress(CarnetError):  # what it can't record now it says itself
                await self._api.verdict(tenant, self._now_of(request))

    def _stale(self, stream: Stream) -> bool:
        return (
            not stream.marked
            and stream.turn != self._api.turn
            and stream in self._uses
            and stream not in self._deciding
        )

    async def _turn(self, stale: list[Stream], turned: "_Turn") -> None:
        turn = self._api.turn
        anew: list[Stream] = []
        for stream in stale:
            if stream.turn == _OVER or stream.turn >> 32 != turn >> 32:
                anew.append(stream)
            elif all(
                not one.controlled or self._api.stands(one.record) for one in self._uses[stream].verdicts
            ):
                self._goes_on(stream, turn)
            else:
                self._deciding.add(stream)
                self._keep(self._decided(stream, turn))
        for start in range(0, len(anew), _CHUNK):
            by_tenant: dict[str, dict[Stream, Use]] = {}
            for stream in anew[start : start + _CHUNK]:
                if (use := self._uses.get(stream)) is not None:
                    by_tenant.setdefault(stream.tenant, {})[stream] = use
            for tenant, uses in by_tenant.items():
                await self._from_memory(tenant, uses, turn, turned)

    async def _from_memory(self, tenant: str, uses: Mapping[Stream, Use], turn: int, turned: "_Turn") -> None:
        """Cut those that may not go on, let the others go on and have them recorded."""
        asked = [request for use in uses.values() for request in use.requests]
        answers = iter(await self._api.under_way(tenant, asked))
        notices: dict[Stream, Notice] = {}
        for stream, use in uses.items():
            found = list(itertools.islice(answers, len(use.requests)))
            if stream.marked or stream not in self._uses:
                continue
            notice = self._against(use, found)
            if notice is not None:
                notices[stream] = notice
                turned.refused += [(tenant, request) for request in use.requests]
                continue
            use.verdicts = tuple(one for one in found if one is not None)
            self._goes_on(stream, turn)
            if use.controlled:
                self._keep(self._recorded(stream))
        if notices:
            turned.cuts.append(self._cut(notices))

    async def _decided(self, stream: Stream, turn: int) -> None:
        """Decide with a record about one whose grant is over; it waits meanwhile."""
        try:
            notice = await self._anew(stream)
        finally:
            self._deciding.discard(stream)
        if stream in self._uses and not stream.marked:
            if notice is None:
                self._goes_on(stream, turn)
            else:
                self._cut({stream: notice})

    async def _recorded(self, stream: Stream) -> None:
        """Record one that goes on, or cut it."""
        try:
            async with asyncio.timeout(self._record_seconds):
                notice = await self._anew(stream)
        except TimeoutError:
            use = self._uses.get(stream)
            notice = None if use is None else unavailable(use.request_id, use.models[0].name)
        if notice is not None and not stream.marked and stream in self._uses:
            self._cut({stream: notice})

    async def _anew(self, stream: Stream) -> Notice | None:
        """What a new determination of each of its uses has against it; None if nothing has."""
        use = self._uses.get(stream)
        if use is None:
            return None
        try:
            found = [
                await self._api.verdict(stream.tenant, self._now_of(request)) for request in use.requests
            ]
        except Exception as error:  # noqa: BLE001 -- whatever it is, it may not go on
            _LOG.error("%s", type(error).__name__)
            return unavailable(use.request_id, use.models[0].name)
        if stream in self._uses:
            use.verdicts = tuple(found)
            self._timed(stream, use)
        return self._against(use, found)

    def _now_of(self, request: Request) -> Request:
        """The same use, as a stream, as of now."""
        transaction = structs.replace(request.transaction, at=self._now())
        return structs.replace(request, transaction=transaction, surface="stream")

    def _against(self, use: Use, found: Sequence[Verdict | None]) -> Notice | None:
        for model, verdict in zip(use.models, found, strict=True):
            if verdict is None:
                return unavailable(use.request_id, model.name)
            if verdict.action != "serve":
                return refused(verdict, self._directory, use.request_id, model)
        return None

    def _cut(self, notices: Mapping[Stream, Notice]) -> Cut:
        def said(stream: Stream) -> bytes:
            return APIS[stream.dialect].cut(
                cut_short(notices[stream]), path=stream.path, at_boundary=stream.boundary.here
            )

        return self.streams.cut(lambda stream: stream in notices, said)

    def _goes_on(self, stream: Stream, turn: int) -> None:
        stream.turn = turn
        self._timed(stream, self._uses[stream])
        if (waiting := self._waiting.pop(stream, None)) is not None and not waiting.done():
            waiting.set_result(None)

    def _timed(self, stream: Stream, use: Use) -> None:
        """Have it decided about anew when the first of its answers ends by itself."""
        if (timer := self._timers.pop(stream, None)) is not None:
            timer.cancel()
        ends = [instant(one.until) for one in use.verdicts if one.until is not None]
        if ends:
            seconds = max(0.0, (min(ends) - self._now()).total_seconds())
            self._timers[stream] = asyncio.get_running_loop().call_later(seconds, self._over, stream)

    def _over(self, stream: Stream) -> None:
        stream.turn = _OVER
        self._begin()

    async def _hindrances(self) -> None:
        """Cut what is controlled while nothing controlled may be served."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            if self._api.hindered() is not None:
                self.streams.cut(
                    lambda stream: stream in self._uses and self._uses[stream].controlled, self._unsaid
                )

    def _unsaid(self, stream: Stream) -> bytes:
        """The last event of an answer of which nothing is known but that it may not go on."""
        use = self._uses.get(stream)
        notice = unavailable(
            "" if use is None else use.request_id, None if use is None else use.models[0].name
        )
        return APIS[stream.dialect].cut(cut_short(notice), path=stream.path, at_boundary=stream.boundary.here)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
