"""What is sent to the service and what it answers, as types: the schema is made from them. What they mean is
in `carnet.web.routes`; a transaction and a determination are those of `carnet.model` and `carnet.service`.
"""

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from carnet.engine.explain import Explanation
from carnet.model.leaf import Leaf
from carnet.model.time import Force
from carnet.model.transaction import Party
from carnet.model.written import Id, Instant, Level
from carnet.service.request import Determined, Request
from carnet.web.problems import Problem

MOST_REQUESTS = 100
"""Requests in one batch."""

MOST_RECORDS = 100
"""Records on one page."""

Missing = Literal["destroyed", "engine", "law"]
"""Why a record can't be decided again."""


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several requests, each of which gets its own answer."""

    requests: Annotated[tuple[Request, ...], Meta(min_length=1, max_length=MOST_REQUESTS)]


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one of several: what was determined and where its record is, or a problem."""

    status: int
    determined: Determined | None = None
    node: int | None = None
    index: int | None = None
    problem: Problem | None = None


class Results(Struct, frozen=True, kw_only=True):
    """In the order of the requests."""

    results: tuple[Result, ...]


class Kept(Struct, frozen=True, kw_only=True):
    """A record: the node whose log it is in, its index there, its leaf."""

    node: int
    index: int
    id: str
    leaf: Leaf


class Records(Struct, frozen=True, kw_only=True):
    """A page of records by node and index; `next` is what `after` has to be for the next page."""

    records: tuple[Kept, ...]
    next: str | None


class Explained(Struct, frozen=True, kw_only=True):
    """A record in words. On the basis of the `private_part` it was decided again, with the same answer; on
    that of the `leaf` it is told what the leaf says, because the private part was `destroyed`, or because it
    was decided by another `engine` or under a `law` that is not kept here."""

    id: str
    node: int
    index: int
    basis: Literal["private_part", "leaf"]
    missing: Missing | None
    explanation: Explanation
    text: str


class Revocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which grants are to end: those of a subject, of an item, or of the one for the other."""

    subject: Id | None = None
    item: Id | None = None


class GrantsEnded(Struct, frozen=True, kw_only=True):
    """How many grants ended, on how many nodes. Each node has recorded it."""

    count: int
    nodes: int


class StandingFact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A standing fact of a subject. What it says is there only if it was asked for with `reveal=true`."""

    fact: str
    source: str | None = None
    assurance: Level | None = None
    observed: dt.datetime | None = None
    recorded: dt.datetime | None = None
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    expires: dt.datetime | None = None
    says: dict[str, Any] | UnsetType = UNSET


class SubjectFacts(Struct, frozen=True, kw_only=True):
    """The standing facts of a subject that were recorded by `known`."""

    subject: str
    known: dt.datetime
    facts: tuple[StandingFact, ...]


class NewFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts of a subject, from one statement of a source. What stands beside them holds for each that does
    not say otherwise; every fact needs a source and a level."""

    facts: Party
    source: Id | None = None
    assurance: Level | None = None
    observed: Instant | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    expires: Instant | None = None


class Stored(Struct, frozen=True, kw_only=True):
    """That facts are stored, and from when on they are known."""

    subject: str
    recorded: dt.datetime


class Provision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A block of the rulebook; its citation, unless it is of a confidential one."""

    id: str
    kind: str
    cite: str | None = None


class Enforced(Struct, frozen=True, kw_only=True):
    """The operator's policy, by name and digest."""

    name: str
    digest: str


class RulebookSaid(Struct, frozen=True, kw_only=True):
    """What a node enforces."""

    digest: str
    law: str
    engine: str
    epoch: int
    policy: Enforced
    provisions: tuple[Provision, ...]


class InForce(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provision that is in force at an instant, or may be while a window is running; `stayed_by` are what
    takes its effect then, wholly, in part or perhaps."""

    id: str
    kind: str
    force: Force
    stayed_by: tuple[str, ...] = ()


class ListSaid(Struct, frozen=True, kw_only=True):
    """The list that prevails under a name: how many are on it, and whether it is known what is on it."""

    name: str
    id: str
    members: int
    known: Force


class SliceSaid(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The law at an instant, as it was known at another: between `from` and `until` nothing changes."""

    rulebook: str
    at: dt.datetime
    known: dt.datetime
    from_: dt.datetime | None
    until: dt.datetime | None
    digest: str
    provisions: tuple[InForce, ...]
    lists: tuple[ListSaid, ...]
    readings: tuple[str, ...]


class NodeSaid(Struct, frozen=True, kw_only=True):
    """One log: its number, its origin, how many records it has, its public keys."""

    node: int
    origin: str
    size: int
    keys: tuple[str, ...]


class Nodes(Struct, frozen=True, kw_only=True):
    """Every log of the installation."""

    nodes: tuple[NodeSaid, ...]


class Status(Struct, frozen=True, kw_only=True):
    """That all is well."""

    status: Literal["ok"] = "ok"
