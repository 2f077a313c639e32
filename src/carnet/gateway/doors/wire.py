"""The messages of Envoy's `envoy.service.auth.v3.Authorization`, with those fields that are read or written
here. What is decided about a request is in `carnet.gateway.doors.envoy`.

The fields are written down rather than taken from `xds-protos`: that package brings 1,800 modules, and puts
its own copies of `google.rpc` and `opentelemetry.proto` over those of the packages that they come from."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from msgspec import Struct

from carnet.gateway.dialects.shaping import Headers as Said
from carnet.gateway.headers import Headers
from carnet.model.errors import CarnetError

METHOD = ("envoy.service.auth.v3.Authorization", "Check")

_OK, _PERMISSION_DENIED = 0, 7
_OVERWRITE = 2
_KINDS = {
    "text": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "int32": Field.TYPE_INT32,
    "enum": Field.TYPE_INT32,
}
_MESSAGES = {
    "CheckRequest": ["1 attributes AttributeContext"],
    "AttributeContext": ["4 request Request"],
    "Request": ["2 http HttpRequest"],
    "HttpRequest": [
        "2 method text",
        "3 headers Entry*",
        "4 path text",
        "11 body text",
        "12 raw_body bytes",
        "13 header_map HeaderMap",
    ],
    "Entry": ["1 key text", "2 value text"],
    "HeaderMap": ["1 headers HeaderValue*"],
    "HeaderValue": ["1 key text", "2 value text", "3 raw_value bytes"],
    "CheckResponse": ["1 status Status", "2 denied_response Denied", "3 ok_response Ok"],
    "Status": ["1 code int32"],
    "Denied": ["1 status HttpStatus", "2 headers HeaderValueOption*", "3 body text"],
    "HttpStatus": ["1 code enum"],
    "Ok": [
        "2 headers HeaderValueOption*",
        "5 headers_to_remove text*",
        "6 response_headers_to_add HeaderValueOption*",
    ],
    "HeaderValueOption": ["1 header HeaderValue", "3 append_action enum"],
}
"""Number, name and kind of each field, `*` for one that repeats. A map is written as a repeated pair, an enum
as a number: the same bytes."""


class Unreadable(CarnetError):
    """Raised for a message that is none, or that does not say what has to be known of a request."""


class Checked(Struct, frozen=True, kw_only=True):
    """A request as Envoy describes it: `path` has its query; `headers` are raw where Envoy sends them so,
    else those that came several times are joined by a comma. `body` is all that was sent along."""

    method: str
    path: str
    headers: Headers
    body: bytes


def _classes() -> dict[str, type[Any]]:
    file = FileDescriptorProto(name="carnet/ext_authz.proto", package="carnet", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in (one.split() for one in fields):
            plain = kind.removesuffix("*")
            label = Field.LABEL_REPEATED if plain != kind else Field.LABEL_OPTIONAL
            added = message.field.add(name=field, number=int(number), label=label)
            if plain in _KINDS:
                added.type = _KINDS[plain]
            else:
                added.type, added.type_name = Field.TYPE_MESSAGE, f".carnet.{plain}"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"carnet.{name}"))
        for name in _MESSAGES
    }


_MADE = _classes()


def read(data: bytes) -> Checked:
    """The request that Envoy asks about, without what begins with a colon. Raises Unreadable; also for a body
    that was made a text of, in which another could stand than the upstream gets."""
    try:
        http = _MADE["CheckRequest"].FromString(data).attributes.request.http
    except DecodeError:
        raise Unreadable("the message is no `CheckRequest`: look at the version of Envoy") from None
    if http.body:
        raise Unreadable("the body came as text: set `pack_as_bytes: true` in `with_request_body`")
    if http.header_map.headers:
        found = [
            (one.key.lower(), one.raw_value or one.value.encode("utf-8")) for one in http.header_map.headers
        ]
    else:
        found = [(one.key.lower(), one.value.encode("utf-8")) for one in http.headers]
    if not http.method or not http.path:
        raise Unreadable("the message has no method or no path: it is to be asked from HTTP")
    return Checked(
        method=http.method,
        path=http.path,
        headers=[(key.encode("utf-8"), held) for key, held in found if not key.startswith(":")],
        body=http.raw_body,
    )


def allowed(headers: Said, remove: Sequence[str]) -> bytes:
    """Let it go on, without some of its headers and with ours, which its answer has as well."""
    ok = _MADE["Ok"](
        headers=_options(headers), headers_to_remove=remove, response_headers_to_add=_options(headers)
    )
    return _written(_OK, ok_response=ok)


def denied(status: int, headers: Said, body: bytes) -> bytes:
    """Answer it so."""
    said = _MADE["Denied"](
        status=_MADE["HttpStatus"](code=status), headers=_options(headers), body=body.decode("ascii")
    )
    return _written(_PERMISSION_DENIED, denied_response=said)


def _options(headers: Said) -> list[Any]:
    return [
        _MADE["HeaderValueOption"](
            header=_MADE["HeaderValue"](key=name, value=held), append_action=_OVERWRITE
        )
        for name, held in headers
    ]


def _written(code: int, **answer: object) -> bytes:
    response = _MADE["CheckResponse"](status=_MADE["Status"](code=code), **answer)
    return bytes(response.SerializeToString())
