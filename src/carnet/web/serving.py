"""What every handler works with: the node and what stands around it, a request that was let in, and answers
in the one form that they have. What is answered is in the handlers.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import ParamSpec, TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import Response

from carnet.engine.compiled import Compiled, compiled
from carnet.model.errors import InputError, LedgerError, StoreError
from carnet.model.plain import printable
from carnet.model.time import instant
from carnet.rules import blocks
from carnet.rules.names import COUNTRIES
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import Slice, slice_at
from carnet.service.access import Principal
from carnet.service.archives import Archive, Archives
from carnet.service.buckets import Buckets
from carnet.service.idempotency import Claims, named
from carnet.service.node import Node
from carnet.service.request import Idempotent
from carnet.web.metrics import Metrics
from carnet.web.peers import Peers
from carnet.web.problems import MALFORMED, TOO_MANY, Stop, unavailable
from carnet.web.routes import INDEX, NODE, Endpoint

P = ParamSpec("P")
T = TypeVar("T")

JSON = "application/json"
MOST_KEY = 200
MOST_RULEBOOKS = 2

_LOG = logging.getLogger("carnet.web")


class Settings(Struct, frozen=True, kw_only=True):
    """How a node serves. `deadline` is how many seconds a determination may take until its record is durable,
    `rate` and `burst` how many requests one key may make in a second and at once, `most_waiting` how many may
    be under way, `url` what the node calls itself in the metadata of AuthZEN."""

    url: str = "http://127.0.0.1:8470"
    deadline: float = 2.0
    most_bytes: int = 1_000_000
    body_seconds: float = 10.0
    rate: float = 100.0
    burst: int = 200
    threads: int = 8
    most_waiting: int = 256
    flush_seconds: float = 5.0


class Serving:
    """A node that serves. Decisions and whatever reads a disk run in a few threads, never where requests are
    taken."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        peers: Peers | None = None,
        figures: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self.node, self.settings, self.peers = node, settings, peers or Peers()
        self.archives = Archives(node)
        self.claims = Claims(node.data)
        self.buckets = Buckets(settings.rate, settings.burst)
        self.metrics = Metrics(node, self.archives.own.number, figures)
        self.waiting = 0
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="carnet-web")
        self._countries: tuple[str, frozenset[str] | None] = ("", None)
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="carnet-law")
        self._held: tuple[Slice, ...] = ()
        self._loading, self._rulebooks = Lock(), dict[str, Rulebook]()

    @property
    def countries(self) -> frozenset[str] | None:
        """The countries that the rulebook knows."""
        rulebook = self.node.determiner.law.rulebook
        if self._countries[0] != rulebook.digest:
            self._countries = rulebook.digest, _countries_of(rulebook)
        return self._countries[1]

    def submit(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> "Future[T]":
        """Have something done in a thread."""
        return self._pool.submit(work, *given, **named)

    async def work(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """The same, and wait for it."""
        return await asyncio.wrap_future(self.submit(work, *given, **named))

    async def ready(self, at: dt.datetime, known: dt.datetime) -> None:
        """Wait until the law of an instant is compiled. That takes the better part of a second if nobody has
        asked for it: so it is done beside, for one instant after the other, and in one thread, since each
        that compiles keeps its memory. Raises RulesError where more readings are open than a slice may have.
        """
        slice_ = self._slice(at, known)
        if Compiled not in slice_.kept:
            await asyncio.wrap_future(self._compiler.submit(compiled, slice_))

    def prepared(self, slice_: Slice) -> None:
        """The same in a thread that may wait."""
        if Compiled not in slice_.kept:
            self._compiler.submit(compiled, slice_).result()

    async def hold(self, *instants: dt.datetime, known: dt.datetime) -> None:
        """Have the law of these instants ready, whatever else is asked for, until others are held."""
        for at in instants:
            await self.ready(at, known)
        self._held = tuple(self._slice(at, known) for at in instants)

    def _slice(self, at: dt.datetime, known: dt.datetime) -> Slice:
        law = self.node.determiner.law
        return slice_at(law.rulebook, at, known, law.policy.choices)

    def kept_rulebook(self, archive: Archive, digest: str) -> Rulebook:
        """A rulebook that a node enforced before; the last few are kept, since loading one takes a second.
        Raises `Absent` if it is not kept."""
        with self._loading:
            if digest not in self._rulebooks:
                self._rulebooks[digest] = archive.laws.rulebook(digest)
                while len(self._rulebooks) > MOST_RULEBOOKS:
                    del self._rulebooks[next(iter(self._rulebooks))]
            return self._rulebooks[digest]

    def close(self) -> None:
        """Finish what is being done, and release the files."""
        self._pool.shutdown()
        self._compiler.shutdown(cancel_futures=True)
        self.archives.close()
        self.claims.close()


class Call(Struct, frozen=True, kw_only=True):
    """A request that was let in. `params` are the parts of its path, `key` is its idempotency key."""

    endpoint: Endpoint
    principal: Principal | None
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    key: str | None = None

    @property
    def tenant(self) -> str:
        """Whose request it is."""
        assert self.principal is not None  # an endpoint with a role has one
        return self.principal.tenant

    def idempotent(self, serving: Serving) -> Idempotent | None:
        """The idempotency key with what it stands for, if there is one."""
        if self.key is None:
            return None
        index = serving.node.keyring.secret("index")
        return named(index, self.tenant, self.key, self.endpoint.path, self.body)

    def pay(self, serving: Serving, cost: int) -> None:
        """Raises `Stop` if the API key has used up what it may ask for."""
        assert self.principal is not None  # as above
        seconds = serving.buckets.take(self.principal.key, cost) if cost > 0 else 0
        if seconds:
            raise Stop(
                TOO_MANY, f"ask again in {seconds} s, or ask for less at once", {"Retry-After": str(seconds)}
            )


def idempotency_key(headers: list[str]) -> str | None:
    """The one idempotency key of a request. Raises `Stop` for one that can't be one."""
    if not headers:
        return None
    key = headers[0]
    if len(headers) > 1 or not 0 < len(key) <= MOST_KEY or not key.isascii() or not key.isprintable():
        raise Stop(MALFORMED, f"`Idempotency-Key` is one text of 1 to {MOST_KEY} signs of ASCII")
    return key


def answer(document: object, headers: Mapping[str, str] | None = None) -> Response:
    """A document as JSON, its keys sorted: so the leaf in it is written as it is in the tree."""
    data = msgspec.json.encode(document, order="sorted")
    return Response(data, 200, {"Cache-Control": "no-store", **(headers or {})}, JSON)


def place_headers(node: int, index: int) -> dict[str, str]:
    """Where the record of an answer is."""
    return {NODE: str(node), INDEX: str(index)}


def instant_in(query: Mapping[str, str], name: str) -> dt.datetime | None:
    """An instant of the query, None if it is not given. Raises `Stop` for what is none."""
    if name not in query:
        return None
    try:
        return instant(query[name])
    except InputError:
        raise Stop(MALFORMED, f"`{name}`: it is no instant, write it like `2026-06-12T21:21:00Z`") from None


def switch_in(query: Mapping[str, str], name: str) -> bool:
    """A switch of the query, off if it is not given. Raises `Stop` for what is none."""
    said = query.get(name, "false")
    if said not in ("true", "false"):
        raise Stop(MALFORMED, f"`{name}`: write `true` or `false`")
    return said == "true"


def inability(error: StoreError | LedgerError) -> Stop:
    """The problem that stands for an error of store or ledger: what is wrong is in the log, for the operator.
    Those errors say no fact; every other text of an error may, and is never logged."""
    _LOG.error("%s", printable(str(error)))
    return unavailable("nothing is served on this answer: ask again, best with the same `Idempotency-Key`")


def _countries_of(rulebook: Rulebook) -> frozenset[str] | None:
    for block in rulebook.of(blocks.List):
        if block.id == COUNTRIES:
            return frozenset(member.id for member in block.members)
    return None
