"""Envoy asks whether a request may go on: its `ext_authz` filter, over gRPC, with the whole body. What is
decided is the gateway's own code; the bytes between are in `carnet.gateway.doors.wire`.

What it can't do, since Envoy hands it the request alone:

- Cut an answer that is open. A use that is let in goes on to its end, whatever happens meanwhile: limit how
  long with the route's `timeout`.
- Let another model answer. Where the policy falls back it refuses, and names the model that may be asked
  instead.
- Change a body: a model has to be asked by the name that its upstream knows, and what another gateway would
  take out of a request is refused.
- Filter the list of models, or read the lines of a batch that are in a file: both are refused.
- See where Envoy sends the request. Which cluster has which model is for its routes to say, by
  `x-carnet-model`; whatever rewrites the path or the body after this filter undoes what was decided.
- Tell a body that Envoy cut short from a whole one by itself: Envoy has to be told not to
  (`allow_partial_message: false`), and one that says it did is refused.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator

import grpc
import grpc.aio
from msgspec import structs

from carnet.gateway import callers
from carnet.gateway.bodies import BadBody
from carnet.gateway.calls import Reference
from carnet.gateway.config import Directory, Model
from carnet.gateway.connections import Message
from carnet.gateway.dialects import APIS
from carnet.gateway.doors import wire
from carnet.gateway.exchange import dialect_of, document_of
from carnet.gateway.headers import BadHeaders, Headers, checked, onward, value
from carnet.gateway.notices import Notice
from carnet.gateway.parts import Parts
from carnet.gateway.telling import Told, defect, refused, told, too_many, unavailable
from carnet.gateway.upstreams import Answer, Client, UpstreamError
from carnet.gateway.uses import Asked, named_besides
from carnet.model.errors import CarnetError, InputError
from carnet.service.api import Verdict

PARTIAL = b"x-envoy-auth-partial-body"
_UPLOADS = "/v1/files"
_ENVOYS = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_AROUND = 1_000_000
_GRACE_SECONDS = 5.0
_LOG = logging.getLogger("carnet.gateway")


class Elsewhere:
    """A `Client` of an upstream that Envoy asks, and nobody here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def healthy(self) -> bool:
        """As far as is known here."""
        return True

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        """Raises UpstreamError, whatever is asked."""
        del method, path, headers, body
        raise UpstreamError(self._name, "unreachable")

    async def close(self) -> None:
        """There is nothing to close."""


def elsewhere(directory: Directory) -> dict[str, Client]:
    """The clients for `Parts`: none of the upstreams is asked from here."""
    return {name: Elsewhere(name) for name in directory.upstreams}


class Checking:
    """Answers `Check`: bytes in, bytes out."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def check(self, data: bytes, _: object = None) -> bytes:
        """Let it go on, or answer it; nothing fails open."""
        request_id, found = f"req_{secrets.token_hex(12)}", None
        try:
            found = wire.read(data)
            return await self._answered(found, request_id)
        except Told as error:
            notice = error.notice
        except (BadBody, BadHeaders) as error:
            notice = Notice(code="invalid_request", message=str(error), request_id=request_id)
        except wire.Unreadable as error:
            _LOG.error("%s", error)
            notice = unavailable(request_id)
        except CarnetError as error:
            _LOG.error("%s", type(error).__name__)
            notice = unavailable(request_id)
        except Exception as error:  # noqa: BLE001 -- a defect serves nobody
            _LOG.error("a request could not be checked: %s", defect(error))
            notice = unavailable(request_id)
        return self._tell(structs.replace(notice, request_id=request_id), found)

    async def _answered(self, found: wire.Checked, request_id: str) -> bytes:
        parts, headers = self._parts, found.headers
        checked(headers)
        tenant, key, caller = callers.caller(parts.api, parts.directory, headers, request_id)
        if seconds := parts.buckets.take(key):
            raise Told(too_many(request_id, seconds))
        self._whole(found, request_id)
        document = document_of(found.method, found.path, headers, found.body)
        dialect = dialect_of(found.path, headers)
        names = {name.decode("latin-1"): held.decode("latin-1") for name, held in headers}
        call = APIS[dialect].read(found.method, found.path, names, document)
        asked = Asked(
            parts=parts,
            scope={},
            receive=_nothing,
            send=_nowhere,
            id=request_id,
            who=callers.who(tenant, key, caller, headers, call.end_user, request_id),
            call=call,
            method=found.method,
            path=found.path,
            headers=headers,
            body=found.body,
            document=document,
        )
        if call.model is not None and call.operation != "model":
            model, verdict = await self._used(asked, call.model)
            said = [("x-carnet-record", verdict.record), ("x-carnet-model", model.name)]
        else:
            await self._other(asked)
            said = []
        said = [(header, held) for header, held in said if held]
        ours = {header for header, _ in said}  # Envoy removes last, and would remove them with a caller's
        return wire.allowed(said, [header for header in _removed(headers) if header not in ours])

    def _whole(self, found: wire.Checked, request_id: str) -> None:
        """Raises Told for a body that is not all of it."""
        most = self._parts.directory.config.limits.body_bytes
        if len(found.body) > most:
            raise told("request_too_large", f"the body is too large: send at most `{most}` bytes", request_id)
        partial, length = value(found.headers, PARTIAL), value(found.headers, b"content-length")
        if partial not in {None, b"false"} or (length is not None and int(length) != len(found.body)):
            raise told(
                "request_too_large",
                "the body is longer than what is looked at here: send a smaller one",
                request_id,
            )

    async def _used(self, asked: Asked, name: str) -> tuple[Model, Verdict]:
        """The model that answers, and its verdict. Raises Told."""
        parts, call = self._parts, asked.call
        model = parts.model(name, asked.id)
        if call.dialect not in model.dialects:
            raise told(
                "invalid_request",
                f"`{model.name}` does not speak this API here: it speaks `{'`, `'.join(model.dialects)}`",
                asked.id,
                model.name,
            )
        verdict = await parts.deciding.verdict(
            asked.who.tenant, parts.deciding.request(asked.who, model), model, asked.id
        )
        if verdict.action != "serve":
            raise Told(await self._refused(asked, model, verdict))
        if model.sent_as != name:
            raise told("invalid_request", self._misnamed(name, model), asked.id, model.name)
        await self._besides(asked, model)
        parts.counts.answered("serve", model.item)
        return model, verdict

    async def _refused(self, asked: Asked, model: Model, verdict: Verdict) -> Notice:
        """What is told, with the model that may be asked instead."""
        instead = await self._parts.deciding.instead(
            asked.who, model, asked.call.dialect, asked.call.needs, asked.id, recorded=False
        )
        other = instead.model
        names = (other.name,) if other is not None and other.sent_as == other.name else ()
        why = None if names or verdict.action != "fall_back" else instead.why_not
        return refused(verdict, self._parts.directory, asked.id, model, names, why)

    def _misnamed(self, name: str, model: Model) -> str:
        known = self._parts.directory.models.get(model.sent_as) is model
        remedy = f"write `{model.sent_as}`" if known else "ask whoever runs this for a model that is reached"
        return (
            f"`{name}` is no name that the upstream of `{model.name}` has, and no body is changed here: "
            f"{remedy}"
        )

    async def _besides(self, asked: Asked, answers: Model) -> None:
        """Raises Told for a model that the request names besides and that may not be used: nothing can be
        taken out of it here."""
        _, stripped = await named_besides(asked, answers)
        if stripped:
            raise await self._not_stripped(asked, stripped[0])

    async def _not_stripped(self, asked: Asked, reference: Reference) -> Told:
        parts = self._parts
        model = parts.directory.models.get(reference.model)
        if model is None:
            return parts.unknown(reference.model, asked.id)
        request = parts.deciding.request(asked.who, model)
        verdict = await parts.deciding.verdict(asked.who.tenant, request, model, asked.id)
        if verdict.action != "serve":
            return Told(refused(verdict, parts.directory, asked.id, model))
        return told("invalid_request", self._misnamed(reference.model, model), asked.id, model.name)

    async def _other(self, asked: Asked) -> None:
        """What no one model answers. Raises Told for what is not let through."""
        call, plain = asked.call, asked.path.partition("?")[0].rstrip("/")
        if call.operation == "model" and call.model is not None:
            await self._looked_at(asked, call.model)
            return
        kept = "whose a file or a batch is can't be known where no answer is seen: use the gateway for them"
        why = {
            "models": "the list of models can't be filtered here: ask for a model by its name",
            "batch": kept,
            "file": kept,
        }
        raise told(
            "invalid_request",
            why.get(
                call.operation,
                f"`{asked.method} {plain}` names no model, so nobody can say who may ask it: it is not "
                "passed on here",
            ),
            asked.id,
        )

    async def _looked_at(self, asked: Asked, name: str) -> None:
        """One model of the list, if this caller may use it: to look at it is no use, and is not recorded."""
        parts = self._parts
        model = parts.model(name, asked.id)
        request = parts.deciding.request(asked.who, model)
        (verdict,) = await parts.api.under_way(asked.who.tenant, [request])
        if verdict is None:
            raise Told(unavailable(asked.id, model.name))
        if verdict.action != "serve":
            raise Told(refused(verdict, parts.directory, asked.id, model))
        if model.sent_as != name:
            raise told("invalid_request", self._misnamed(name, model), asked.id, model.name)

    def _tell(self, notice: Notice, found: wire.Checked | None) -> bytes:
        self._parts.counts.told(notice)
        link = self._parts.directory.config.denial.blocked_by
        dialect = "openai" if found is None else dialect_of(found.path, found.headers)
        return wire.denied(*APIS[dialect].refusal(notice, blocked_by=link))


@contextlib.asynccontextmanager
async def serving(parts: Parts, address: str) -> AsyncIterator[int]:
    """While entered, it answers on an address such as `127.0.0.1:8492` or `unix:/run/carnet/envoy.sock`; its
    port, 1 for a socket. It speaks no TLS and asks Envoy for no name: others must not reach it. Raises
    InputError for an address that can't be had."""
    most = parts.directory.config.limits.body_bytes + _AROUND
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", most), ("grpc.so_reuseport", 0)],
    )
    service, method = wire.METHOD
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(Checking(parts).check)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise InputError(f"`{address}` can't be listened on: write a free one, as HOST:PORT") from None
    await server.start()
    try:
        yield port
    finally:
        await server.stop(_GRACE_SECONDS)


async def serve(parts: Parts, address: str) -> None:
    """Answer until it is cancelled. Raises as `serving`."""
    async with serving(parts, address):
        await asyncio.Event().wait()


def _removed(headers: Headers) -> list[str]:
    """The headers that don't go on, as in the gateway: whose key it is, and whatever only Carnet may say."""
    names = {name for name, _ in headers}
    left = {name for name, _ in onward(headers)}
    return sorted(name.decode("ascii") for name in names - left - _ENVOYS)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _nowhere(_: Message) -> None:
    """Nothing is sent from here."""
