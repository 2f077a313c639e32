"""The blocks of a rulebook, as data: what `carnet.rules.source` makes of the rule files and what
the engines read. No logic."""

import datetime as dt
from typing import Literal

from msgspec import Struct

from carnet.model.time import Span, Window
from carnet.rules.tree import Tree, Value

ExceptionClass = Literal["license_exception", "carve_out", "authorization"]
ActKind = Literal["export", "reexport", "transfer_in_country", "release", "remote_access"]
Entity = Literal["party", "item", "transaction", "end_use"]
OverlayKind = Literal["stay", "saving_clause", "compliance_date", "supersession", "end", "not_enforced"]


class Block(Struct, frozen=True, kw_only=True):
    """What every block has. `regime` comes from the file's path (`us.ear`) unless stated; `known` is
    the instant since when the block is known (its publication or receipt); `verified` is when the
    official text was last looked at, None if never stated."""

    id: str
    file: str
    line: int
    cite: str
    regime: str
    span: Span
    known: dt.datetime
    verified: dt.datetime | None = None


class Act(Struct, frozen=True):
    """One kind of act that a scope may find in a transaction."""

    kind: ActKind
    deemed: bool
    when: Tree
    destination: Value | None


class Scope(Block, frozen=True, kw_only=True):
    subject: Tree
    acts: tuple[Act, ...]


class Stage(Struct, frozen=True):
    """One thing that has to be looked at. `no_rule` is the cited reason why no rule reaches the act."""

    name: str
    no_rule: str | None


class Coverage(Block, frozen=True, kw_only=True):
    kinds: frozenset[str]
    stages: tuple[Stage, ...]


class Definition(Block, frozen=True, kw_only=True):
    name: str
    parameter: str
    entity: str
    when: Tree


class Review(Struct, frozen=True):
    """A policy under which a license application is reviewed, and when it is that one."""

    policy: str
    when: Tree


class Rule(Block, frozen=True, kw_only=True):
    """A requirement or prohibition. `gate` is "scope" (behind its regime's scope) or "own"."""

    gate: Literal["scope", "own"]
    stage: str | None
    when: Tree


class Requirement(Rule, frozen=True, kw_only=True):
    """`lifted_by` names classes, and license exceptions by their path. A notice `binds` who was told; it came
    orally, in writing, or both, one after the other."""

    reasons: tuple[str, ...]
    lifted_by: frozenset[str]
    review: tuple[Review, ...]
    binds: frozenset[str]
    confidentiality: str | None = None
    deadline: Window | None = None
    oral: Window | None = None
    written: Window | None = None


class Prohibition(Rule, frozen=True, kw_only=True):
    pass


class Lift(Struct, frozen=True):
    """`requirement` is an id; no `reasons` means all of them."""

    requirement: str
    reasons: frozenset[str] | None


class Task(Struct, frozen=True):
    """Something to do `before`, `with` or `after` the act, for the exception to hold."""

    due: Literal["before", "with", "after"]
    key: str
    cite: str


class Exception_(Block, frozen=True, kw_only=True):  # noqa: N801 -- `Exception` is Python's own
    """An exception, carve-out or authorization. `path` is what bars and `lifted_by` name ("AIA")."""

    class_: ExceptionClass
    path: str
    lifts: tuple[Lift, ...]
    when: Tree
    tasks: tuple[Task, ...]


class Bar(Block, frozen=True, kw_only=True):
    """Blocks exceptions by class or path, `except_` the paths named."""

    blocks: frozenset[str]
    except_: frozenset[str]
    when: Tree


class RedFlag(Block, frozen=True, kw_only=True):
    """True and unresolved, it defeats the presumptions on `defeats`; with none named, it keeps the
    determination open by itself. `open_when_unknown` is set for the flag that a `binds` raises."""

    defeats: frozenset[str]
    when: Tree
    open_when_unknown: bool = False


class Overlay(Block, frozen=True, kw_only=True):
    """A later act upon a block, or upon a member of a list (`LIST#MEMBER`). `products` narrow a
    supersession; `not_enforced` never changes the outcome."""

    kind: OverlayKind
    target: str
    products: frozenset[str]


class Member(Struct, frozen=True):
    """One row of a list, with the interval in which it stands there and since when that is known."""

    id: str
    span: Span
    known: dt.datetime


class List(Block, frozen=True, kw_only=True):
    """A dated list. `domain` are the values it speaks about (None: any); `content` is the interval for
    which its members are known; `prevails` names a list over which this one prevails wherever its own
    content is known."""

    type: str
    members: tuple[Member, ...]
    domain: frozenset[str] | None
    content: Span
    prevails: str | None


class Case(Struct, frozen=True):
    """Given facts and what must come out."""

    file: str
    line: int
    note: str
    at: dt.datetime
    known: dt.datetime
    given: dict[str, object]
    choices: dict[str, str]
    expect: dict[str, object]


AnyBlock = (
    Scope | Coverage | Definition | Requirement | Prohibition | Exception_ | Bar | RedFlag | Overlay | List
)
