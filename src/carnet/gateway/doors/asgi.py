"""The gateway before an ASGI application that speaks a model API itself. What is decided, substituted, held,
cut and told is the gateway's own code, with the application as every upstream of the configuration."""

import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from urllib.parse import quote

from carnet.gateway.config import Directory
from carnet.gateway.connections import Receive, Scope, Send
from carnet.gateway.doors.inner import OUTER, App, AppClient
from carnet.gateway.exchange import Exchange
from carnet.gateway.parts import Parts
from carnet.model.errors import CarnetError, InputError
from carnet.service.api import Api


class Guarded:
    """An application behind Carnet: `Guarded(app, api, directory, now)`, or with Starlette
    `add_middleware(Guarded, api=api, directory=directory, now=now)`, added last, so that nothing is before
    it. Of the configuration's upstreams only the names count. `untouched` are paths that are no model's, such
    as `/health` or `/docs`: they and what lies below go to the application as they come. Everything else has
    to be a request that the gateway knows, or is refused. Raises InputError for an `untouched` that could let
    a model's path through.

    What it can't do:

    - See what the application does by itself: if it asks another model than the one in the body that it is
      given, or passes a question on to somebody else, nobody has decided about that.
    - Show the application the caller's key, cookies or `x-carnet-` headers: they end here.
    - Begin before the whole body of a request is there, or pass on trailers, early hints and other extensions
      of ASGI; guard a WebSocket: one that is not on an untouched path is closed.
    - Call back what the server, or a middleware before this one, has taken already and not sent. Under
      uvicorn, `http=carnet.gateway.connections.Connection` leaves nothing there; no compression or buffering
      belongs before this.
    - Reach other processes: a change cuts the answers of its own, and each process needs a node.
    - Work below another path (`root_path`): what is there names no model, and is refused.
    """

    def __init__(
        self,
        app: App,
        api: Api,
        directory: Directory,
        now: Callable[[], dt.datetime],
        untouched: Sequence[str] = (),
    ) -> None:
        self._app, self._untouched = app, tuple(_checked(prefix) for prefix in untouched)
        limits = directory.config.limits
        self._clients = {
            one.name: AppClient(
                one.name, app, answer_seconds=limits.answer_seconds, idle_seconds=limits.idle_seconds
            )
            for one in directory.config.upstream
        }
        self.parts = Parts(api, directory, self._clients, now)
        self._watches = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind in {"http", "websocket"} and self._passes(scope["path"]):
            await self._app(scope, receive, send)
        elif kind == "http":
            self._watch()
            await self._answered(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            raise RuntimeError(f"`{kind}` is no connection that is known here")

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path") or quote(scope["path"], safe="/").encode("ascii")
        headers = [(bytes(name), bytes(held)) for name, held in scope["headers"]]
        scope = {"query_string": b"", **scope, "raw_path": raw, "headers": headers}
        before = OUTER.set(scope)
        try:
            await Exchange(self.parts, scope, receive, send).run()
        finally:
            OUTER.reset(before)

    def _passes(self, path: str) -> bool:
        """Whether it is on an untouched path, however a server reads it."""
        if "\\" in path or "%" in path or {"", ".", ".."} & set(path.rstrip("/").split("/")[1:]):
            return False
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in self._untouched)

    def _watch(self) -> None:
        """Look out for changes, in the loop that serves; also where no lifespan is told."""
        if not self._watches:
            self._watches = True
            self.parts.turning.start()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's own, with ours around it. One that knows no lifespan leaves or raises before it
        asks for anything: then there is ours alone."""
        asked = False

        async def asking() -> dict[str, object]:
            nonlocal asked
            asked = True
            return dict(await receive())

        self._watch()
        try:
            try:
                await self._app(scope, asking, send)
            except Exception:
                if asked:
                    raise
            if not asked:
                await _alone(receive, send)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for client in self._clients.values():
            with contextlib.suppress(CarnetError):
                await client.close()
        await self.parts.turning.stop()
        self._watches = False


async def _alone(receive: Receive, send: Send) -> None:
    """A lifespan in which nothing else happens."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _checked(prefix: str) -> str:
    plain = prefix.rstrip("/")
    parts = plain.split("/")
    if not plain.startswith("/") or {"", ".", ".."} & set(parts[1:]) or "%" in plain or "\\" in plain:
        raise InputError(f"`{prefix}` is no path that can be left untouched: write it like `/health`")
    if parts[1].lower() == "v1":
        raise InputError(f"`{prefix}` is where the model APIs are: leave another path untouched")
    return plain
