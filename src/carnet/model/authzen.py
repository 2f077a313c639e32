"""AuthZEN 1.0 and a transaction, both ways: an access evaluation as a transaction, and what was determined as
the answer to it. Pure; how a transaction is decided and how HTTP carries either is not here.

The objects of the specification take fields that it does not name, as it demands (JSON serialization: a
receiver ignores what it does not know). What stands in `properties` and in `context` are facts of ours: there
a field that is not known is refused, because a fact that is misspelt would be a fact that is missing.
"""

import datetime as dt
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct, structs

from carnet.model.determination import RecordedDetermination
from carnet.model.leaves import Path
from carnet.model.plain import listed
from carnet.model.transaction import Event, Form, Item, Kind, Party, Transaction
from carnet.model.written import Instant

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
"""Where the two are asked for, below the URL of the decision point."""

MOST_EVALUATIONS = 100

ANONYMOUS = "anonymous"
"""The type of a subject whose `id` names nobody: no standing facts are looked for."""

KINDS: tuple[str, ...] = typing.get_args(Kind)
FORMS: tuple[str, ...] = typing.get_args(Form)
EVENTS: tuple[str, ...] = typing.get_args(Event)
SUBJECTS = ("user", ANONYMOUS, *KINDS)
RESOURCES = ("model", *FORMS)

Purpose = Literal["use", "inquiry"]
Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class SubjectProperties(Party, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Facts of the recipient. The two properties that many send are taken and dropped: no address is kept."""

    ip_address: str | None = None
    device_id: str | None = None


class NoProperties(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing: what is to be said of an action stands in the context."""


class Subject(Struct, frozen=True, kw_only=True):
    """Who wants it. A `type` that is a kind of party is its kind; `user` says nothing about that."""

    type: Text
    id: Text
    properties: SubjectProperties = SubjectProperties()


class Resource(Struct, frozen=True, kw_only=True):
    """The item: `id` is the product. A `type` that is a form is its form; `model` says nothing about that."""

    type: Text
    id: Text
    properties: Item = Item()


class Action(Struct, frozen=True, kw_only=True):
    """What is done: `name` is the event."""

    name: Text
    properties: NoProperties = NoProperties()


class Beside(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is said of the request beside its facts. Without `at` it is now; `time` is another word for it."""

    at: Instant | None = None
    time: Instant | None = None
    purpose: Purpose = "use"
    surface: Literal["api", "interactive", "batch", "stream"] = "api"
    done: tuple[str, ...] = ()


_ELSEWHERE = ("at", "format", "item", "recipient", "event")
_FACTS = tuple(field for field in structs.fields(Transaction) if field.name not in _ELSEWHERE)

if TYPE_CHECKING:
    Context = Beside
else:  # made from the transaction, so that no word of it is written a second time
    Context = msgspec.defstruct(
        "Context",
        [(field.name, field.type, field.default) for field in _FACTS],
        bases=(Beside,),
        module=__name__,
        namespace={"__doc__": "Every fact of the transaction that is not of subject, action or resource."},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
    )


class Evaluation(Struct, frozen=True, kw_only=True):
    """An access evaluation request (section 6.1)."""

    subject: Subject
    action: Action
    resource: Resource
    context: Context = Context()


class Options(Struct, frozen=True, kw_only=True):
    """How several are evaluated."""

    evaluations_semantic: Semantic = "execute_all"


class PartOfEvaluation(Struct, frozen=True, kw_only=True):
    """One of several evaluations, as far as it differs from what is said for all."""

    subject: Subject | None = None
    action: Action | None = None
    resource: Resource | None = None
    context: Context | None = None


class Evaluations(PartOfEvaluation, frozen=True, kw_only=True):
    """An access evaluations request (section 7.1). Without `evaluations` it is a single one."""

    evaluations: Annotated[tuple[PartOfEvaluation, ...], Meta(max_length=MOST_EVALUATIONS)] = ()
    options: Options = Options()


class Failed(Struct, frozen=True, kw_only=True):
    """Why one of several could not be evaluated: the status that it alone would have got, and a sentence."""

    status: int
    message: str


class Reasons(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told beside a decision: the id of its record, the legal answer, what the door does and why (a
    key of the catalogue), which facts would help, the grant and when it was given; or the `error`."""

    record: str | None = None
    outcome: str | None = None
    action: str | None = None
    reason: str | None = None
    basis: str | None = None
    asks: tuple[str, ...] = ()
    may_still_be: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    fallback: str | None = None
    grant: str | None = None
    until: str | None = None
    given: str | None = None
    error: Failed | None = None


class Evaluated(Struct, frozen=True, kw_only=True):
    """An access evaluation response (section 6.2)."""

    decision: bool
    context: Reasons


class AllEvaluated(Struct, frozen=True, kw_only=True):
    """An access evaluations response (section 7.2), in the order of the request."""

    evaluations: tuple[Evaluated, ...]


class Metadata(Struct, frozen=True, kw_only=True):
    """What a decision point says of itself (section 9)."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str


class Found(Protocol):
    """What was determined, as far as it is told."""

    @property
    def id(self) -> str: ...
    @property
    def determination(self) -> RecordedDetermination: ...
    @property
    def action(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def tasks(self) -> tuple[str, ...]: ...
    @property
    def fallback(self) -> str | None: ...
    @property
    def grant(self) -> str | None: ...
    @property
    def until(self) -> str | None: ...
    @property
    def given(self) -> str | None: ...


def parts_of(all_: Evaluations) -> tuple[PartOfEvaluation, ...]:
    """Each evaluation with what is said for all filled in; the one that it is, if there are not several."""
    if not all_.evaluations:
        return (all_,)
    names = PartOfEvaluation.__struct_fields__
    return tuple(
        PartOfEvaluation(**{name: getattr(part, name) or getattr(all_, name) for name in names})
        for part in all_.evaluations
    )


def problem_of(part: Evaluation | PartOfEvaluation) -> tuple[Path, str] | None:
    """Where an evaluation can't be taken as a transaction, and what to do; None if it can. No value of the
    request is in it."""
    for name in ("subject", "action", "resource"):
        if getattr(part, name) is None:
            return (name,), "it is missing: add it, or say it for all"
    assert part.subject is not None  # this and the two below were looked at just now
    assert part.action is not None
    assert part.resource is not None
    for entity, words in (("subject", SUBJECTS), ("resource", RESOURCES)):
        if getattr(part, entity).type not in words:
            return (entity, "type"), f"write one of {listed(words)}"
    if part.action.name not in EVENTS:
        return ("action", "name"), f"write one of {listed(EVENTS)}"
    subject, resource = part.subject, part.resource
    if subject.properties.id is not None and subject.type != ANONYMOUS:
        return ("subject", "properties", "id"), "the `id` of the subject says it: leave this one out"
    if subject.properties.kind is not None and subject.type in KINDS:
        return ("subject", "properties", "kind"), "the `type` of the subject says it: leave this one out"
    if resource.properties.product is not None:
        return ("resource", "properties", "product"), "the `id` of the resource says it: leave this one out"
    if resource.properties.form is not None and resource.type in FORMS:
        return ("resource", "properties", "form"), "the `type` of the resource says it: leave this one out"
    if part.context is not None and part.context.at is not None and part.context.time is not None:
        return ("context", "time"), "`at` says it: leave this one out"
    return None


def transaction_of(part: Evaluation | PartOfEvaluation, now: dt.datetime) -> Transaction:
    """The transaction that an evaluation without a problem says. `now` is its instant if it says none."""
    subject, action, resource, context = part.subject, part.action, part.resource, beside(part)
    assert subject is not None  # `problem_of` has looked
    assert action is not None
    assert resource is not None
    who: dict[str, Any] = {name: getattr(subject.properties, name) for name in Party.__struct_fields__}
    if subject.type != ANONYMOUS:
        who["id"] = subject.id
    if subject.type in KINDS:
        who["kind"] = subject.type
    item = structs.replace(resource.properties, product=resource.id)
    if resource.type in FORMS:
        item = structs.replace(item, form=resource.type)
    facts: Mapping[str, Any] = {field.name: getattr(context, field.name) for field in _FACTS}
    return Transaction(
        at=context.at or context.time or now,
        event=typing.cast(Event, action.name),
        item=item,
        recipient=Party(**who),
        **facts,
    )


def beside(part: Evaluation | PartOfEvaluation) -> Beside:
    """The context of an evaluation, an empty one if it has none."""
    return part.context or Context()


def evaluated(found: Found, purpose: Purpose) -> Evaluated:
    """The answer to an evaluation. It is `true` only where the door serves, and never for an inquiry: that
    lets nobody at anything."""
    said = found.determination
    return Evaluated(
        decision=found.action == "serve" and purpose == "use",
        context=Reasons(
            record=found.id,
            outcome=said.outcome,
            action=found.action,
            reason=found.reason,
            basis=said.basis,
            asks=said.asked,
            may_still_be=said.may_still_be,
            tasks=found.tasks,
            fallback=found.fallback,
            grant=found.grant,
            until=found.until,
            given=found.given,
        ),
    )


def refused(status: int, message: str) -> Evaluated:
    """The answer to one of several that could not be evaluated: denied, and why."""
    return Evaluated(decision=False, context=Reasons(error=Failed(status=status, message=message)))


def metadata(url: str) -> Metadata:
    """What the decision point at a URL says of itself."""
    base = url.rstrip("/")
    return Metadata(
        policy_decision_point=base,
        access_evaluation_endpoint=base + EVALUATION,
        access_evaluations_endpoint=base + EVALUATIONS,
    )
