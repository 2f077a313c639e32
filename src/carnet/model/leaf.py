"""The leaves of a log: what is recorded in the open, by kind, and their one way to be written as bytes. The
private part that a leaf commits to, and the tree that it goes into, are elsewhere.

A format is released once and read for ever: no field of it is added, renamed or left out (a test holds it
against docs/reference/records.md and a corpus). Nothing of a leaf has room for a name, a status, a
nationality, a document number or an address.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from carnet.model import recorded
from carnet.model.determination import RecordedDetermination
from carnet.model.errors import InputError, Malformed
from carnet.model.plain import printable, short
from carnet.model.time import in_utc, instant
from carnet.model.written import Level

FORMAT = 1

MOST_BYTES = 65_535
"""Bytes of a leaf: an entry of a bundle of C2SP tlog-tiles has no more."""

MOST_USES = 350
"""Grants that one leaf counts the uses of: with ids of 100 signs it stays below `MOST_BYTES`."""

MOST_REVOKED = 500
"""Grants that one leaf revokes, for the same reason."""

_END = r"(?![\s\S])"
"""The end of a text; `$` would let a last newline through."""

Id = Annotated[str, Meta(pattern=rf"^[!-~]+{_END}", max_length=100)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Tenant = Annotated[str, Meta(max_length=200)]
Word = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9_]*{_END}", max_length=40)]
Digest = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{_END}")]
Pseudonym = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{32}}{_END}")]
SubjectKey = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{16}}{_END}")]
SigningKey = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{8}}{_END}")]
Base64 = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9+/]+={{0,2}}{_END}", max_length=6_000)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

Retention = Literal["ear", "ofac"]
"""What says how long a record is kept: 15 CFR 762.6, or 31 CFR 501.601 as well because a sanctions list was
read (`carnet.model.retention`)."""

Source = Literal["operator", "self_attestation", "employer_attestation", "document_check", "credential"]
Purpose = Literal["use", "inquiry"]
Ending = Literal["epoch", "stopped", "found"]
Role = Literal["log", "witness", "bundle", "subjects", "index", "api"]
Manner = Literal["formal", "informal", "own"]


class Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="head"):
    """What every leaf has: its format, its id, and when it was made by both clocks: `at` in UTC, `boot` in
    nanoseconds of a clock that nobody sets. No leaf is only this."""

    format: Literal[1] = 1
    id: Id
    at: str
    boot: Count

    def __post_init__(self) -> None:
        _check_instant(self.at)


class Reference(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """That evidence of this kind and level was used, and until when the first piece of it holds. Which fact
    it is about is not said: it would tell what the person is."""

    source: Source
    level: Level
    until: str | None


class Given(Struct, frozen=True, forbid_unknown_fields=True):
    """The grant that a decision gave. It ends at `until` at the latest, where that is set."""

    until: str | None


class Determined(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="determination"):
    """A decision and what the door did about it.

    `subject` is a pseudonym. `event` and `form` are None where they were not known. `fallback` is the product
    that was offered instead, `done` are the tasks of the determination that were on record as done, `grant`
    is None where nobody was let at anything: an inquiry never gives one. `build` is the digest of the program
    that decided. `commitment` is HMAC-SHA256 of the private part under the salt in it. `lists` are those that
    the rules can read for this item and event, by id, with their digests, whoever asks.
    """

    tenant: Tenant
    subject: Pseudonym
    epoch: Count
    event: Word | None
    product: Name | None
    form: Word | None
    controlled: bool
    purpose: Purpose
    surface: Word
    done: tuple[Name, ...]
    action: Word
    reason: Word
    fallback: Name | None
    grant: Given | None
    determination: RecordedDetermination
    policy: Digest
    build: Digest
    commitment: Digest
    evidence: tuple[Reference, ...]
    lists: Mapping[Name, Digest]
    retention: Retention

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.determination.format != recorded.FORMAT:
            raise Malformed(
                f"`{self.determination.format}` is not the format of a determination: "
                f"leaves of format {FORMAT} hold `{recorded.FORMAT}`"
            )
        if self.grant is not None:
            _check_instant(self.grant.until)
            if (self.purpose, self.action, self.controlled) != ("use", "serve", True):
                raise Malformed(
                    f"the leaf `{self.id}` has a grant and is no served use of a controlled item: "
                    "whoever wrote it was not Carnet, trust none of it"
                )
        for each in self.evidence:
            _check_instant(each.until)
        _check_sorted("done", [(each,) for each in self.done])
        _check_sorted("evidence", [(each.source, each.level) for each in self.evidence])


class Use(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a grant was used, by the id of its record, and when last."""

    grant: Id
    count: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    last: str


class Uses(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="uses"):
    """Uses of one tenant's grants, counted from `since` to `at`; at most `MOST_USES` grants, in order of
    their ids."""

    tenant: Tenant
    since: str
    uses: Annotated[tuple[Use, ...], Meta(min_length=1, max_length=MOST_USES)]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_instant(self.since)
        for use in self.uses:
            _check_instant(use.last)
        _check_sorted("uses", [(use.grant,) for use in self.uses])


class AllEnded(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="all_ended"):
    """All grants that this log gave before are over: a new `epoch`, or the node `stopped`; or it was `found`
    later that it had, and then they ended at some time before. A grant that ends at its own `until` has no
    record of that."""

    why: Ending


class Revoked(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="revoked"):
    """Grants were revoked: the digest of what selected them, and which they are, in order; none if there were
    none. One revocation of more than `MOST_REVOKED` has several leaves."""

    tenant: Tenant
    selector: Digest
    grants: Annotated[tuple[Id, ...], Meta(max_length=MOST_REVOKED)]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sorted("grants", [(each,) for each in self.grants])


class KeysRotated(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="keys_rotated"):
    """A key of the installation took the place of another. `verifier` is the new public key, `statement` a
    note about it that both keys signed; None for keys that sign nothing."""

    role: Role
    old: Id
    new: Id
    verifier: Annotated[str, Meta(max_length=3_000)] | None
    statement: Annotated[str, Meta(max_length=20_000)] | None


class Held(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hold"):
    """Nothing of this subject, or of the whole tenant for None, may be destroyed (15 CFR 762.6(b)).

    `request` is the digest of what was asked, `manner` how: formally or informally by an agency, or `own`
    for what the operator holds back by itself, such as what a voluntary disclosure is about.
    """

    tenant: Tenant
    subject: Pseudonym | None
    manner: Manner
    request: Digest


class HoldReleased(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hold_released"):
    """A hold is over: its id, and the digest of the agency's written authorization (15 CFR 762.6(b))."""

    tenant: Tenant
    hold: Id
    authorization: Digest


class Order(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """Which key is to be destroyed: the vault, the subject, the retention class, the key's own id. A key that
    the same subject gets later has another id, so an approval can't be used twice."""

    vault: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{32}}{_END}")]
    subject: Pseudonym
    retention: Retention
    key: SubjectKey

    @property
    def text(self) -> str:
        """What is signed by whoever approves."""
        return (
            "carnet shred 1\n"
            f"vault {self.vault}\nsubject {self.subject}\nretention {self.retention}\nkey {self.key}\n"
        )


class Approval(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A signature over `Order.text`, in base64, and the id of the key that made it. No name is kept: whose
    key it is, is in the list of approvers."""

    key: SigningKey
    signature: Base64


class Shredded(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="shredded"):
    """A subject's key was ordered to be destroyed, by two people. It is recorded first and done then; a start
    does again what was recorded."""

    tenant: Tenant
    order: Order
    approvals: tuple[Approval, Approval]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sorted("approvals", [(each.key,) for each in self.approvals])


class Continued(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="continued"):
    """The first record of a log that goes on from another: the old origin, its size and its root."""

    origin: Name
    size: Count
    root: Digest


class Noticed(Head, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="noticed"):
    """Something about the node itself, such as `clock_suspect`; figures only, by name."""

    what: Word
    figures: Mapping[Word, Whole]


Leaf = (
    Determined
    | Uses
    | AllEnded
    | Revoked
    | KeysRotated
    | Held
    | HoldReleased
    | Shredded
    | Continued
    | Noticed
)


class _Format(Struct):
    """As much of a leaf as says how the rest is read."""

    format: int


_FORMAT = msgspec.json.Decoder(_Format)
_DECODERS: Mapping[int, msgspec.json.Decoder[Leaf]] = {1: msgspec.json.Decoder(Leaf)}


def canonical(leaf: Leaf) -> bytes:
    """The leaf as JSON with sorted keys and no space: what goes into the tree.

    Raises `Malformed` for a leaf that `read` would not take, such as one made in Python with a wrong value or
    one over `MOST_BYTES`: nothing is recorded that can't be read again.
    """
    try:
        data = msgspec.json.encode(leaf, order="sorted")
    except (TypeError, ValueError) as error:
        raise Malformed(f"`{type(leaf).__name__}` can't be written as a leaf: {error}") from None
    if read(data) != leaf:
        raise Malformed(f"`{type(leaf).__name__}` reads as another leaf than it is: give it plain values")
    return data


def read(data: bytes) -> Leaf:
    """The leaf that bytes say.

    Raises `Malformed` for a format that is not known here, an unknown kind or field, a wrong value, and for
    whatever is not its own canonical form: so one leaf never has two hashes.
    """
    if len(data) > MOST_BYTES:
        raise Malformed(
            f"a leaf of `{len(data)}` bytes is over {MOST_BYTES}: keep the rest elsewhere, by digest"
        )
    try:
        number = _FORMAT.decode(data).format
        if number not in _DECODERS:
            known = ", ".join(f"`{one}`" for one in _DECODERS)
            raise Malformed(
                f"`{short(str(number), 20)}` is a format of leaves that is not known here, only {known}: "
                "read it with the Carnet that wrote it or a newer one"
            )
        leaf = _DECODERS[number].decode(data)
    except ValueError as error:  # of msgspec, or of a text that is not UTF-8
        raise Malformed(f"the leaf can't be read: {short(printable(_uncapped(error)), 200)}") from None
    except RecursionError:
        raise Malformed("the leaf is nested too deep: no leaf needs that") from None
    if msgspec.json.encode(leaf, order="sorted") != data:
        raise Malformed(
            f"the leaf `{leaf.id}` is not in its canonical form, sorted JSON without space: "
            "whoever wrote it was not Carnet, trust none of it"
        )
    return leaf


def instant_text(value: dt.datetime) -> str:
    """An aware instant as leaves write it: UTC with a `Z`, microseconds only where there are some."""
    return in_utc(value).isoformat().replace("+00:00", "Z")


def references(used: Iterable[Reference]) -> tuple[Reference, ...]:
    """Evidence as a leaf keeps it: one reference for each source and level, with the earliest end of them,
    so that their number does not tell which facts there were."""
    found: dict[tuple[Source, Level], Reference] = {}
    for each in used:
        known = found.get((each.source, each.level))
        if known is None or _ends(each) < _ends(known):
            found[each.source, each.level] = each
    return tuple(found[key] for key in sorted(found))


def _ends(reference: Reference) -> dt.datetime:
    if reference.until is None:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
    return instant(reference.until)


def _check_instant(text: str | None) -> None:
    if text is None:
        return
    try:
        right = instant_text(instant(text))
    except InputError:
        right = ""
    if right != text:
        shown = short(printable(text), 40)
        raise Malformed(f"`{shown}` is not an instant of a leaf: write it like `2026-06-12T21:21:00Z`")


def _check_sorted(name: str, keys: Sequence[tuple[str, ...]]) -> None:
    if any(left >= right for left, right in pairwise(keys)):
        raise Malformed(f"`{name}` is not in order, each once: sort it")


def _uncapped(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
