"""From a legal answer to what the door does about it, by the operator's policy. Which answer it is, and what
is said to whom, is decided elsewhere; law files can't reach in here."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.model.determination import PERMITTED, Answer, Choices, Determination
from carnet.model.errors import InputError
from carnet.model.reading import decode
from carnet.model.written import LEVELS

Kind = Literal["serve", "ask", "fall_back", "refuse", "cut"]
Surface = Literal["api", "interactive", "batch", "stream"]
Closed = Literal["fall_back", "refuse"]

MARK = "announced_not_enforced"


class Controlled(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an open or closed answer means for an item that a rule names or may name: never `serve`."""

    needs_facts: Literal["ask", "fall_back", "refuse"] = "ask"
    needs_human: Closed = "refuse"
    closed: Closed = "refuse"


class Uncontrolled(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it means for any other item."""

    needs_facts: Literal["serve", "ask", "fall_back", "refuse"] = "ask"
    needs_human: Literal["serve", "fall_back", "refuse"] = "refuse"
    closed: Closed = "refuse"


class Instead(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a surface does in place of an action that it can't do. Nothing becomes `serve`."""

    ask: Literal["ask", "fall_back", "refuse", "cut"] = "ask"
    fall_back: Literal["fall_back", "refuse", "cut"] = "fall_back"
    refuse: Literal["refuse", "cut"] = "refuse"


class Surfaces(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By kind of surface."""

    api: Instead = Instead()
    interactive: Instead = Instead()
    batch: Instead = Instead(ask="refuse", fall_back="refuse")
    stream: Instead = Instead(ask="cut", fall_back="cut", refuse="cut")


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's enforcement policy. What is left out is as in `default.toml`."""

    format: Literal[1] = 1
    name: str = "careful"
    honour_announced_non_enforcement: bool = False
    choices: Choices = Choices()
    controlled: Controlled = Controlled()
    uncontrolled: Uncontrolled = Uncontrolled()
    surfaces: Surfaces = Surfaces()
    fallback: Mapping[str, str] = {}


class Action(Struct, frozen=True, kw_only=True):
    """What the door does. `reason` is a key of the catalogue (`reason.…`), `tasks` the open ones it speaks
    of, `fallback` the product that may be offered instead, None if the policy names none."""

    kind: Kind
    reason: str
    tasks: tuple[str, ...] = ()
    fallback: str | None = None


def load_policy(text: str | bytes, *, file: str = "policy.toml") -> Policy:
    """The policy that TOML says; `file` is its name in messages.

    Raises InputError with file, line and the nearest right word for an unknown key or value.
    """
    if not file.endswith(".toml"):
        raise InputError(f"`{file}` is no policy file: its name ends in `.toml`")
    policy = decode(text.encode() if isinstance(text, str) else text, Policy, file=file)
    for term, level in policy.choices.assurance.items():
        if level not in LEVELS:
            raise InputError(f"{file}: `{level}` for `{term}` is no assurance level: write S0 to S4")
    days = policy.choices.stale_after_days
    if days is not None and days < 1:
        raise InputError(f"{file}: `stale_after_days = {days}`: write 1 or more, or leave it out for never")
    return policy


def digest(policy: Policy) -> str:
    """SHA-256 of the policy in canonical JSON, as hex: two files that say the same have one digest."""
    return hashlib.sha256(msgspec.json.encode(policy, order="sorted")).hexdigest()


def act_on(
    determination: Determination,
    policy: Policy,
    *,
    controlled: bool,
    surface: Surface = "api",
    product: str | None = None,
    done: Collection[str] = (),
) -> Action:
    """What the door does about a determination.

    `controlled` says whether the item is a controlled one for the event (design, section 1: computed from the
    slice, never listed); `done` are the keys of `before` tasks that are on record as done.
    """
    offered = policy.fallback.get(product) if product is not None else None
    kind, reason, tasks = _wanted(determination, policy, controlled, frozenset(done))
    if kind == "fall_back" and offered is None:
        kind = "refuse"
    if kind != "serve":
        kind = getattr(getattr(policy.surfaces, surface), kind) if kind != "cut" else kind
    if kind == "fall_back" and offered is None:
        kind = "refuse"
    return Action(kind=kind, reason=reason, tasks=tasks, fallback=None if kind == "serve" else offered)


def serves(answer: Answer, policy: Policy, *, controlled: bool) -> bool | None:
    """Whether the door serves on a legal answer, as `act_on` would; None where that takes the whole
    determination: its tasks, or what is announced."""
    outcome, branch = answer.outcome, policy.controlled if controlled else policy.uncontrolled
    if outcome in {"license_exception", "authorized"}:
        return None
    if outcome == "needs_facts":
        return branch.needs_facts == "serve"
    if outcome == "needs_human":
        return branch.needs_human == "serve"
    if outcome == "license_required" and policy.honour_announced_non_enforcement:
        return None
    return outcome in PERMITTED


def _wanted(
    determination: Determination, policy: Policy, controlled: bool, done: frozenset[str]
) -> tuple[Kind, str, tuple[str, ...]]:
    """The action before any surface, its reason and the tasks that it speaks of."""
    outcome = determination.outcome
    branch = policy.controlled if controlled else policy.uncontrolled
    side = "controlled" if controlled else "uncontrolled"
    if outcome in PERMITTED:
        waiting = tuple(sorted({task.key for task in determination.tasks if task.due == "before"} - done))
        if waiting:
            return "refuse", "task_before", waiting
        return "serve", "permitted", ()
    if outcome == "needs_facts":
        return branch.needs_facts, f"facts_{side}", ()
    if outcome == "needs_human":
        return branch.needs_human, f"human_{side}", ()
    if (
        outcome == "license_required"
        and policy.honour_announced_non_enforcement
        and _unenforced(determination)
    ):
        return "serve", "not_enforced", ()
    if determination.basis == "stated":
        return branch.closed, "stated", ()
    return branch.closed, "prohibited" if outcome == "prohibited" else "closed", ()


def _unenforced(determination: Determination) -> bool:
    """Whether every requirement that is or may be open is announced as not enforced, and nothing else is."""
    marked = {
        mark.partition(":")[2].strip()
        for mark in determination.marks
        if mark.partition(":")[0].strip() == MARK
    }
    standing = {
        finding.id
        for finding in determination.findings
        if finding.kind in ("requirement", "prohibition")
        and finding.truth != "false"
        and not finding.lifted_by
    }
    return bool(standing) and standing <= marked and not determination.may_still_be
