"""What is asked for a determination and what is answered: the words between `carnet.service.determine` and
whoever calls it. How it is written over HTTP is in `carnet.web`."""

import datetime as dt
from concurrent.futures import Future
from typing import Literal

import msgspec
from msgspec import Struct, structs

from carnet.model.determination import RecordedDetermination
from carnet.model.leaf import Purpose
from carnet.model.transaction import Transaction
from carnet.policy.enforcement import Kind, Surface
from carnet.store.protocols import Answered, Receipt


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked. A `use` happens now: it is decided at the node's own time and may become a grant. An
    `inquiry` is decided at its own `at`, is recorded, and lets nobody at anything. `done` are `before` tasks
    that are on record as done."""

    transaction: Transaction
    purpose: Purpose = "use"
    surface: Surface = "api"
    done: tuple[str, ...] = ()


class Determined(Struct, frozen=True, kw_only=True):
    """What is answered: the legal answer in the form that may be kept, and what the door does. `grant` is the
    id of the grant; it ends at `until` at the latest, or with the epoch. `given` is `now` if the request gave
    it, `before` if the use met it: then all the rest is the answer of then, and the use is counted."""

    id: str
    determination: RecordedDetermination
    controlled: bool
    action: Kind
    reason: str
    tasks: tuple[str, ...]
    fallback: str | None
    grant: str | None
    until: str | None
    epoch: int
    given: Literal["now", "before"] | None = None


class Met(Struct, frozen=True):
    """What a later use has to meet to get the same answer: the digest of whatever was read, the same epoch,
    and a time before `until`, if it ends by itself. `controlled` says whether that takes a grant."""

    key: str
    controlled: bool
    epoch: int
    until: dt.datetime | None = None


class Pending(Struct, frozen=True):
    """An answer that must not be given before `receipt` is there: until then nothing is durable. `met` is
    None for a use by whoever is not named, who may be somebody else; `undecided` are the keys of questions
    that are open (`engine.Answer`)."""

    determined: Determined
    receipt: "Future[Receipt]"
    met: Met | None = None
    undecided: tuple[str, ...] = ()

    def again(self) -> "Pending":
        """The answer to a later use under the grant that this one gave."""
        return structs.replace(self, determined=structs.replace(self.determined, given="before"))


class Idempotent(Struct, frozen=True):
    """The idempotency key of a request, and a keyed digest of its body."""

    key: str
    request: bytes

    def answered(self, found: Determined) -> Answered:
        """What is kept beside the record, in the same transaction."""
        return Answered(key=self.key, request=self.request, status=200, body=msgspec.json.encode(found))
