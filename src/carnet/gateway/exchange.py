"""One request and its answer, from its head to what kind of request it is. What is done for each kind is in
`carnet.gateway.uses` and `carnet.gateway.others`."""

import logging
import secrets

from msgspec import structs

from carnet.gateway import callers
from carnet.gateway.bodies import BadBody, parsed
from carnet.gateway.calls import Call, Dialect
from carnet.gateway.connections import Message, Receive, Scope, Send, Writer
from carnet.gateway.dialects import APIS
from carnet.gateway.headers import BadHeaders, Headers, checked, value
from carnet.gateway.notices import Code, Notice
from carnet.gateway.others import others
from carnet.gateway.parts import Parts
from carnet.gateway.requests import Unread, read_body
from carnet.gateway.telling import Told, defect, too_many, unavailable
from carnet.gateway.upstreams import UpstreamError
from carnet.gateway.uses import Asked, used
from carnet.model.errors import CarnetError

_UPLOADS = "/v1/files"
_PAUSE_SECONDS = 20.0
_LOG = logging.getLogger("carnet.gateway")


class Exchange:
    """A request that is being answered."""

    def __init__(self, parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
        self._parts, self._scope, self._receive, self._send = parts, scope, receive, send
        self._headers: Headers = scope["headers"]
        query = scope["query_string"]
        self._path = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        self._dialect = dialect_of(self._path, self._headers)
        self._id = f"req_{secrets.token_hex(12)}"
        self._started = False

    async def run(self) -> None:
        """Answer it, whatever happens: nothing fails open."""
        try:
            await self._answered()
        except Told as error:
            await self._tell(error.notice)
        except (BadBody, BadHeaders) as error:
            await self._tell(Notice(code="invalid_request", message=str(error), request_id=self._id))
        except Unread as error:
            if error.code != "gone":
                code: Code = "request_too_large" if error.code == "too_large" else "invalid_request"
                await self._tell(Notice(code=code, message=str(error), request_id=self._id), close=True)
        except UpstreamError as error:
            _LOG.warning("%s", error)
            await self._tell(Notice(code="upstream_failed", message=str(error), request_id=self._id))
        except CarnetError as error:
            _LOG.error("%s", type(error).__name__)
            await self._tell(unavailable(self._id))
        except Exception as error:  # noqa: BLE001 -- a defect serves nobody
            _LOG.error("a request could not be answered: %s", defect(error))
            await self._tell(unavailable(self._id))

    async def _answered(self) -> None:
        parts, headers, method = self._parts, self._headers, self._scope["method"]
        checked(headers)
        tenant, key, caller = callers.caller(parts.api, parts.directory, headers, self._id)
        if seconds := parts.buckets.take(key):
            raise Told(too_many(self._id, seconds))
        limits = parts.directory.config.limits
        body = await read_body(
            self._receive,
            headers,
            most=limits.body_bytes,
            pause_seconds=min(_PAUSE_SECONDS, limits.body_seconds),
            seconds=limits.body_seconds,
        )
        document = document_of(method, self._path, headers, body)
        names = {name.decode("latin-1"): held.decode("latin-1") for name, held in headers}
        call = APIS[self._dialect].read(method, self._path, names, document)
        who = callers.who(tenant, key, caller, headers, call.end_user, self._id)
        asked = Asked(
            parts=parts,
            scope=self._scope,
            receive=self._receive,
            send=self._sent,
            id=self._id,
            who=who,
            call=call,
            method=method,
            path=self._path,
            headers=headers,
            body=body,
            document=document,
        )
        await (used(asked) if _names_one(call) else others(asked))

    async def _sent(self, message: Message) -> None:
        self._started = self._started or message["type"] == "http.response.start"
        await self._send(message)

    async def _tell(self, notice: Notice, *, close: bool = False) -> None:
        """Say why it is not served; if an answer has begun, end it so that nobody takes it for whole."""
        notice = structs.replace(notice, request_id=self._id)
        self._parts.counts.told(notice)
        if self._started:
            Writer(self._scope, self._send, 0.0).abort()
            return
        link = self._parts.directory.config.denial.blocked_by
        status, headers, body = APIS[self._dialect].refusal(notice, blocked_by=link)
        head = [(name.encode("ascii"), held.encode("ascii")) for name, held in headers]
        head.append((b"content-length", str(len(body)).encode("ascii")))
        if close:
            head.append((b"connection", b"close"))
        await self._sent({"type": "http.response.start", "status": status, "headers": head})
        await self._sent({"type": "http.response.body", "body": body, "more_body": False})


def dialect_of(path: str, headers: Headers) -> Dialect:
    """Whose API is meant: by the path where only one has it, by the header of one for what both have."""
    if path.startswith("/v1/messages") or value(headers, b"anthropic-version") is not None:
        return "anthropic"
    return "openai"


def document_of(method: str, path: str, headers: Headers, body: bytes) -> dict[str, object] | None:
    """The body as it was meant; None if there is none, or if it is the upload of a file. Raises BadBody."""
    if not body:
        return None
    kind, encoding = value(headers, b"content-type"), value(headers, b"content-encoding")
    said = None if kind is None else kind.decode("latin-1")
    upload = method == "POST" and path.partition("?")[0] == _UPLOADS
    if upload and said is not None and said.lower().startswith("multipart/form-data"):
        return None
    return parsed(body, said, None if encoding is None else encoding.decode("latin-1"))


def _names_one(call: Call) -> bool:
    """Whether one model is to answer."""
    return call.model is not None and call.operation != "model"
