"""Every way in which a request is not answered: the problem types of RFC 9457, each with its status and its
page, and how one is raised and written. When one is raised is for the handlers.

A problem never says a value of the request and never what a law says: where it is, and what to do.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
PAGES = "/problems/"
"""The type of a problem is a page below this path, which every server has."""


class Kind(Struct, frozen=True, kw_only=True):
    """A type of problem: its name, the status, a title that is always the same, and what its page says: what
    happened, and what to do."""

    name: str
    status: int
    title: str
    page: str

    @property
    def type(self) -> str:
        """The URI of the type, as RFC 9457 wants it: a path, the same on every server."""
        return PAGES + self.name


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Stop(Exception):
    """Raised inside this package: the answer is this problem. It never leaves a handler."""

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind.name)
        self.kind, self.detail, self.headers = kind, detail, dict(headers or {})

    @property
    def problem(self) -> Problem:
        return Problem(
            type=self.kind.type, title=self.kind.title, status=self.kind.status, detail=self.detail
        )


def written(stop: Stop) -> Response:
    """The answer that says a problem."""
    headers = {"Cache-Control": "no-store", **stop.headers}
    return Response(msgspec.json.encode(stop.problem), stop.kind.status, headers, MEDIA_TYPE)


MALFORMED: Final = Kind(
    name="malformed",
    status=400,
    title="The request can't be read",
    page="The body is not JSON, has a key twice, is nested too deep, has a field that is not known or a "
    "value of another type; or a parameter of the query is not known, stands twice or can't be read."
    " Nothing was decided or recorded. `detail` says where, never what was written there. Compare "
    "with the schema in `/openapi.json`.",
)
UNUSABLE: Final = Kind(
    name="unusable",
    status=400,
    title="The request can't be used",
    page="The form is right, and what it says can't be: facts of one party that exclude each other, a "
    "country that the rulebook does not know, a fact without its source, a transaction that names "
    "another tenant. Nothing was decided or recorded. `detail` says where.",
)
NOT_NOW: Final = Kind(
    name="not_now",
    status=400,
    title="A use is decided when it happens",
    page="The transaction is a `use`, and its `at` is more than a minute from the server's clock. Nothing"
    " was decided or recorded. Send it with the present instant, or ask about another one with "
    '`"purpose": "inquiry"`: an inquiry is decided and recorded, and lets nobody at anything.',
)
NO_KEY: Final = Kind(
    name="no_key",
    status=401,
    title="No API key was sent",
    page="Send `Authorization: Bearer ck_…`. An administrator makes keys with `carnet keys api add`.",
)
WRONG_KEY: Final = Kind(
    name="wrong_key",
    status=401,
    title="The API key is not in use",
    page="The key is unknown, was revoked, or is not one. Which of them is not told. Check it, or ask an "
    "administrator for another.",
)
WRONG_ROLE: Final = Kind(
    name="wrong_role",
    status=403,
    title="The API key is for something else",
    page="The key is in use and does not have the role that this endpoint needs; `detail` names the role."
    " No role holds another. Ask an administrator for a key with it. This is not a legal answer.",
)
NOT_FOUND: Final = Kind(
    name="not_found",
    status=404,
    title="There is nothing here",
    page="No such endpoint, or no such record, subject or tile for this key. What another tenant has "
    "looks the same as what nobody has.",
)
METHOD: Final = Kind(
    name="method_not_allowed",
    status=405,
    title="The endpoint takes other methods",
    page="The header `Allow` says which.",
)
TOO_SLOW: Final = Kind(
    name="too_slow",
    status=408,
    title="The request took too long to arrive",
    page="The body did not arrive in time. Nothing was decided or recorded. Send it again.",
)
IN_PROGRESS: Final = Kind(
    name="in_progress",
    status=409,
    title="The same idempotency key is being answered",
    page="Another request with this `Idempotency-Key` is not answered yet. Ask again after `Retry-After`:"
    " you get its answer.",
)
TOO_LARGE: Final = Kind(
    name="too_large",
    status=413,
    title="The request is too large",
    page="The body has more bytes than one may have, and was not read to its end. Nothing was decided or "
    "recorded. Split it up.",
)
NOT_JSON: Final = Kind(
    name="not_json",
    status=415,
    title="The request is not JSON",
    page="Send `Content-Type: application/json`, in UTF-8 and not compressed.",
)
OTHER_REQUEST: Final = Kind(
    name="other_request",
    status=422,
    title="The idempotency key was used for another request",
    page="This `Idempotency-Key` belongs to a request with another body or to another endpoint. The first"
    " one stands; nothing was decided or recorded now. Take a new key for each new request.",
)
TOO_MANY: Final = Kind(
    name="too_many",
    status=429,
    title="Too many requests with this key",
    page="The API key has used up what it may ask for at once. Ask again after `Retry-After`. This is not"
    " a legal answer.",
)
INTERNAL: Final = Kind(
    name="internal",
    status=500,
    title="Unexpected error",
    page="This is a defect of Carnet. Do not serve anybody on it. Please report it with what the server "
    "wrote to its log; no fact is in that.",
)
UNAVAILABLE: Final = Kind(
    name="carnet_unavailable",
    status=503,
    title="Carnet can't answer now",
    page="A record can't be made durable, a clock is suspect, a database can't be read or the server is "
    "busy. This is inability, and says nothing about any law: do not serve, and ask again after "
    "`Retry-After`, best with the same `Idempotency-Key`. The server's log says what is wrong; "
    "`/readyz` says whether it still is.",
)

KINDS: Final = (
    MALFORMED,
    UNUSABLE,
    NOT_NOW,
    NO_KEY,
    WRONG_KEY,
    WRONG_ROLE,
    NOT_FOUND,
    METHOD,
    TOO_SLOW,
    IN_PROGRESS,
    TOO_LARGE,
    NOT_JSON,
    OTHER_REQUEST,
    TOO_MANY,
    INTERNAL,
    UNAVAILABLE,
)

RETRY_SECONDS = 5
"""What `Retry-After` says where nobody knows better."""


def unavailable(detail: str, seconds: int = RETRY_SECONDS) -> Stop:
    """That it can't be answered now."""
    return Stop(UNAVAILABLE, detail, {"Retry-After": str(seconds)})


def page() -> str:
    """The reference page of all problems, as Markdown."""
    lines = [
        "# The problems",
        "",
        "Made from the program by `make docs`; edit `carnet.web.problems`, not this page.",
        "",
        "What is not answered is a problem document (RFC 9457, `application/problem+json`) with `type`,",
        "`title`, `status` and `detail`. The type is a path that never changes, and the server has the page",
        "below it. A problem is never a legal answer: those have the status 200. It repeats nothing that was",
        "sent.",
        "",
    ]
    for kind in sorted(KINDS, key=lambda each: (each.status, each.name)):
        lines += [
            f"## {kind.name}",
            "",
            f"`{kind.type}`, status {kind.status}. {kind.title}.",
            "",
            kind.page,
            "",
        ]
    return "\n".join(lines)
