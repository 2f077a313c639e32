"""The one table of what the service answers: path, method, role, what goes in and out, and every problem that
there can be. The handlers, by name, are in the modules beside; the schema is made from this table.
"""

from types import UnionType
from typing import Final, Literal

from msgspec import Struct

from carnet.model import authzen
from carnet.service.request import Determined, Request
from carnet.store.api_keys import Role
from carnet.web import messages, problems
from carnet.web.problems import Kind

TEXT, BYTES, METRICS = (
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "text/plain; version=0.0.4; charset=utf-8",
)

INDEX, NODE = "Carnet-Index", "Carnet-Node"
"""Headers that say where the record of an answer is: its index in the log of a node."""

IDEMPOTENCY_KEY = "Idempotency-Key"
REQUEST_ID = "X-Request-ID"
"""Sent back as it came (AuthZEN, request identification); it is not kept or logged."""


class Parameter(Struct, frozen=True):
    """A parameter of the query: text, an instant, a whole number, or true and false."""

    name: str
    about: str
    kind: Literal["text", "instant", "number", "switch"] = "text"


class Endpoint(Struct, frozen=True, kw_only=True):
    """One method of one path. Without `role` nobody is asked who they are. `answer` is a type, or the media
    type of bytes; `recorded` says that the answer has the headers of a record."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    about: str
    answer: type | UnionType | str
    role: Role | None = None
    body: type | None = None
    query: tuple[Parameter, ...] = ()
    idempotent: bool = False
    recorded: bool = False
    also: tuple[Kind, ...] = ()

    @property
    def problems(self) -> tuple[Kind, ...]:
        """Every problem that the answer may be, in the order of the statuses."""
        found = {problems.METHOD, problems.MALFORMED, problems.INTERNAL, *self.also}
        if self.role is not None:
            found |= {problems.NO_KEY, problems.WRONG_KEY, problems.WRONG_ROLE, problems.TOO_MANY}
            found |= {problems.UNAVAILABLE}
        if self.body is not None:
            found |= {problems.TOO_SLOW, problems.TOO_LARGE, problems.NOT_JSON}
        if self.idempotent:
            found |= {problems.IN_PROGRESS, problems.OTHER_REQUEST}
        return tuple(sorted(found, key=lambda kind: (kind.status, kind.name)))


_AT = Parameter("at", "The law's instant; now, if not given.", "instant")
_KNOWN = Parameter("known", "What was known by then; now, if not given.", "instant")

ENDPOINTS: Final = (
    Endpoint(
        name="determine",
        method="POST",
        path="/v1/determinations",
        about="Determine one transaction. The answer leaves once its record is durable; a use that meets a "
        "grant gets that of the record that gave it.",
        role="decide",
        body=Request,
        answer=Determined,
        idempotent=True,
        recorded=True,
        also=(problems.UNUSABLE, problems.NOT_NOW),
    ),
    Endpoint(
        name="determine_batch",
        method="POST",
        path="/v1/determinations/batch",
        about=f"Determine up to {messages.MOST_REQUESTS} transactions, each with its own answer or problem.",
        role="decide",
        body=messages.Batch,
        answer=messages.Results,
        idempotent=True,
    ),
    Endpoint(
        name="evaluate",
        method="POST",
        path=authzen.EVALUATION,
        about="An access evaluation of AuthZEN 1.0.",
        role="decide",
        body=authzen.Evaluation,
        answer=authzen.Evaluated,
        idempotent=True,
        recorded=True,
        also=(problems.UNUSABLE, problems.NOT_NOW),
    ),
    Endpoint(
        name="evaluate_all",
        method="POST",
        path=authzen.EVALUATIONS,
        about="Access evaluations of AuthZEN 1.0; a single one if there is no array of them.",
        role="decide",
        body=authzen.Evaluations,
        answer=authzen.AllEvaluated | authzen.Evaluated,
        idempotent=True,
        also=(problems.UNUSABLE, problems.NOT_NOW),
    ),
    Endpoint(
        name="authzen_configuration",
        method="GET",
        path="/.well-known/authzen-configuration",
        about="What this decision point says of itself, by AuthZEN 1.0.",
        answer=authzen.Metadata,
    ),
    Endpoint(
        name="find_records",
        method="GET",
        path="/v1/records",
        about="The records about a party, a country or a document, all that are given, by node and index.",
        role="read",
        query=(
            Parameter("party", "The id of a party, as the transaction wrote it."),
            Parameter("country", "The id of a country: a place, never a nationality."),
            Parameter("document", "The number of a license."),
            Parameter("after", "The `next` of the page before."),
            Parameter("limit", f"Records on a page, up to {messages.MOST_RECORDS}.", "number"),
        ),
        answer=messages.Records,
    ),
    Endpoint(
        name="read_record",
        method="GET",
        path="/v1/records/{id}",
        about="One record.",
        role="read",
        answer=messages.Kept,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="explain_record",
        method="GET",
        path="/v1/records/{id}/explanation",
        about="Why a record says what it says, decided again from its private part if that is still there.",
        role="read",
        answer=messages.Explained,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="prove_record",
        method="GET",
        path="/v1/records/{id}/proof",
        about="The proof that a record is in the log, as C2SP tlog-proof; it carries the record.",
        role="read",
        answer=TEXT,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="nodes",
        method="GET",
        path="/v1/nodes",
        about="Every log of this installation, with its public keys.",
        role="read",
        answer=messages.Nodes,
    ),
    Endpoint(
        name="checkpoint",
        method="GET",
        path="/v1/checkpoint",
        about="The last checkpoint, if there is one log.",
        role="read",
        answer=TEXT,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="tile",
        method="GET",
        path="/v1/tile/{tile}",
        about="Hashes of the tree as C2SP tlog-tiles lays them out, if there is one log. Records are not "
        "among them: those of all tenants lie in one log.",
        role="read",
        answer=BYTES,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="checkpoint_of_node",
        method="GET",
        path="/v1/nodes/{node}/checkpoint",
        about="The last checkpoint of one log.",
        role="read",
        answer=TEXT,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="tile_of_node",
        method="GET",
        path="/v1/nodes/{node}/tile/{tile}",
        about="Hashes of the tree of one log.",
        role="read",
        answer=BYTES,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="revoke",
        method="POST",
        path="/v1/revocations",
        about="End grants, on every node, at once.",
        role="administer",
        body=messages.Revocation,
        answer=messages.GrantsEnded,
        also=(problems.UNUSABLE,),
    ),
    Endpoint(
        name="read_subject",
        method="GET",
        path="/v1/subjects/{id}",
        about="Which standing facts there are of a subject.",
        role="read",
        query=(
            Parameter("known", "What was recorded by then; now, if not given.", "instant"),
            Parameter("reveal", "What the facts say too: nationality and status among them.", "switch"),
        ),
        answer=messages.SubjectFacts,
        also=(problems.NOT_FOUND,),
    ),
    Endpoint(
        name="add_facts",
        method="POST",
        path="/v1/subjects/{id}/facts",
        about="Store facts of a subject. They are never taken back; a correction is a later statement.",
        role="administer",
        body=messages.NewFacts,
        answer=messages.Stored,
        also=(problems.UNUSABLE,),
    ),
    Endpoint(
        name="rulebook",
        method="GET",
        path="/v1/rulebook",
        about="What is enforced: digests, the epoch, every provision.",
        role="read",
        answer=messages.RulebookSaid,
    ),
    Endpoint(
        name="rulebook_slice",
        method="GET",
        path="/v1/rulebook/slice",
        about="Which provisions are in force at an instant, as the law was known at another.",
        role="read",
        query=(_AT, _KNOWN),
        answer=messages.SliceSaid,
        also=(problems.UNUSABLE,),
    ),
    Endpoint(
        name="healthz",
        method="GET",
        path="/healthz",
        about="Whether the process answers.",
        answer=messages.Status,
    ),
    Endpoint(
        name="readyz",
        method="GET",
        path="/readyz",
        about="Whether records can be made and controlled items served, on every node.",
        answer=messages.Status,
        also=(problems.UNAVAILABLE,),
    ),
    Endpoint(
        name="metrics",
        method="GET",
        path="/metrics",
        about="Counts and durations for Prometheus. No tenant and no subject is in them.",
        answer=METRICS,
        also=(problems.UNAVAILABLE,),
    ),
    Endpoint(
        name="schema",
        method="GET",
        path="/openapi.json",
        about="This description.",
        answer="application/json",
    ),
    Endpoint(
        name="problem_page",
        method="GET",
        path="/problems/{name}",
        about="What a type of problem means and what to do.",
        answer="text/markdown; charset=utf-8",
        also=(problems.NOT_FOUND,),
    ),
)

PARAMETERS: Final = {
    "id": "The id of a record, or of a subject as the transaction names it, percent-encoded.",
    "node": "The number of a node, as in `/v1/nodes`.",
    "tile": "The rest of a path of tlog-tiles, such as `0/x001/234`.",
    "name": "The name of a type of problem.",
}
"""What stands in a path."""
