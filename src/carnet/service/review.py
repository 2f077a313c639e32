"""The one way in which something is approved: a proposal, and enough people who sign it with keys of their
own, none of them the one who asked. What is then done is for whoever proposed it.

What is signed is the head of the proposal, which says all of it, and each of its texts by itself, for those
who have to show one approval alone. Signatures are verified when they are brought and again when the proposal
is acted on, against those who may approve then.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.ledger import note
from carnet.ledger.note import Signer, VerifierKey
from carnet.model.errors import InputError, Malformed, StoreError, Unverified
from carnet.model.leaf import instant_text
from carnet.model.plain import hidden, printable, short
from carnet.model.time import instant
from carnet.store.desk import Desk

State = Literal["open", "approved", "expired", "withdrawn", "begun", "done"]

MOST_DAYS = 90
"""How long a proposal may wait."""

MOST_TEXTS = 10_000
_TITLE = "carnet review 1"


class Proposal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be approved. `texts` are what it says, in the form that its kind has; `asked_by` is the
    principal who asked; `need` people have to approve before `until`."""

    format: Literal[1] = 1
    id: str
    tenant: str
    kind: str
    texts: tuple[str, ...]
    asked_by: str
    need: int
    until: str

    @property
    def digest(self) -> str:
        """SHA-256 over the texts, each with its length before it."""
        whole = hashlib.sha256()
        for text in self.texts:
            data = text.encode()
            whole.update(len(data).to_bytes(8, "big") + data)
        return whole.hexdigest()

    @property
    def head(self) -> str:
        """The text that says all of it, and is signed first."""
        return (
            f"{_TITLE}\nid {self.id}\ntenant {self.tenant}\nkind {self.kind}\nasked-by {self.asked_by}\n"
            f"need {self.need}\nuntil {self.until}\ndigest {self.digest}\n"
        )


class Approval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's approval: the id of the proposal, that of the key, and the signatures over its head and
    its texts, in base64."""

    format: Literal[1] = 1
    review: str
    key: str
    signatures: tuple[str, ...]


class Reviewed(Struct, frozen=True, kw_only=True):
    """How a proposal stands. `approvals` are those that hold now."""

    proposal: Proposal
    state: State
    approvals: tuple[Approval, ...]


def approve(proposal: Proposal, signer: Signer) -> Approval:
    """A person's approval. It is made where that person's key is, never on a server."""
    texts = (proposal.head, *proposal.texts)
    return Approval(
        review=proposal.id,
        key=signer.key_id.hex(),
        signatures=tuple(note.encoded(signer.sign(text)) for text in texts),
    )


def principal_of(key: VerifierKey) -> str:
    """How a person with a key of their own is called as one who asks."""
    return f"{key.name}+{key.key_id.hex()}"


class Reviews:
    """The proposals of one installation. `approvers` gives the public halves of those who may approve now."""

    def __init__(self, desk: Desk, approvers: Callable[[], Sequence[VerifierKey]]) -> None:
        self._desk, self._approvers = desk, approvers

    def propose(
        self,
        tenant: str,
        kind: str,
        texts: Sequence[str],
        *,
        by: str,
        need: int,
        until: dt.datetime,
        now: dt.datetime,
    ) -> Proposal:
        """Ask for approval. `by` is the principal who asks, authenticated by the caller.

        Raises `InputError` for what can't be proposed, `Unavailable` if it can't be made durable.
        """
        if not 1 <= len(texts) <= MOST_TEXTS:
            raise InputError(f"`{len(texts)}` texts are no proposal: give 1 to {MOST_TEXTS}")
        if need < 1:
            raise InputError(f"`{need}` people can't approve: one or more have to")
        if not now < until <= now + dt.timedelta(days=MOST_DAYS):
            raise InputError(f"a proposal waits until an instant ahead, and at most `{MOST_DAYS}` days")
        for line in (tenant, kind, by):
            if hidden(line):
                raise InputError(f"`{short(printable(line))}` {hidden(line)}")
        proposal = Proposal(
            id=f"p_{secrets.token_hex(16)}",
            tenant=tenant,
            kind=kind,
            texts=tuple(texts),
            asked_by=by,
            need=need,
            until=instant_text(until),
        )
        row = (
            proposal.id,
            tenant,
            kind,
            msgspec.json.encode(proposal.texts).decode(),
            by,
            need,
            int(now.timestamp()),
            int(until.timestamp()),
            "open",
        )
        with self._desk.writing():
            self._desk.write("INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return self._read(proposal.id)[0]

    def bring(self, approval: Approval, now: dt.datetime, *, by: str = "") -> Reviewed:
        """Add an approval. `by` is the principal who brings it, if one was authenticated beside the
        signature.

        Raises `InputError` for a proposal that is not there, `StoreError` for one that is no longer open,
        `Unverified` if it is not an approver's signature over this proposal, or is that of who asked, or of
        somebody who approved already.
        """
        with self._desk.writing():
            proposal, state, held = self._standing(approval.review, now)
            if state not in ("open", "approved"):
                raise StoreError(f"`{proposal.id}` is {state}: propose it again")
            key = self._verified(proposal, approval)
            if by and by == proposal.asked_by:
                raise Unverified("who asked can't approve: somebody else has to")
            for other, brought_by in held:
                if _same_person(key, self._verified(proposal, other)) or (by and by == brought_by):
                    raise Unverified("the same person approves only once: somebody else has to")
            row = (
                proposal.id,
                approval.key,
                by,
                msgspec.json.encode(approval.signatures).decode(),
                int(now.timestamp()),
            )
            self._desk.write("INSERT INTO approvals VALUES (?, ?, ?, ?, ?)", row)
        return self.reviewed(approval.review, now)

    def reviewed(self, id_: str, now: dt.datetime) -> Reviewed:
        """How a proposal stands. Raises `InputError` if there is none."""
        proposal, state, held = self._standing(id_, now)
        return Reviewed(proposal=proposal, state=state, approvals=tuple(approval for approval, _ in held))

    def listed(self, now: dt.datetime, kind: str | None = None) -> list[Reviewed]:
        """All proposals, or those of a kind, the oldest first."""
        rows = self._desk.rows("SELECT id, kind FROM reviews ORDER BY asked, id")
        return [self.reviewed(row[0], now) for row in rows if kind in (None, row[1])]

    def begin(self, id_: str, now: dt.datetime) -> Reviewed:
        """Act on a proposal, once: from now on it is `begun`, and `finish` ends it. What was begun may be
        begun again, after a crash.

        Raises `Unverified` unless enough people who may approve now have approved it in time.
        """
        with self._desk.writing():
            found = self.reviewed(id_, now)
            enough = len(found.approvals) >= found.proposal.need
            if not enough or found.state not in ("approved", "begun"):
                have = f"{len(found.approvals)} of {found.proposal.need} approvals"
                raise Unverified(f"`{id_}` is {found.state}, with {have}: nothing is done without them")
            self._desk.write("UPDATE reviews SET state = 'begun' WHERE id = ?", (id_,))
        return found

    def finish(self, id_: str) -> None:
        """What was approved is done, and is not done again."""
        with self._desk.writing():
            self._desk.write("UPDATE reviews SET state = 'done' WHERE id = ? AND state = 'begun'", (id_,))

    def withdraw(self, id_: str, now: dt.datetime) -> Reviewed:
        """Take a proposal back that nothing was done about. Raises `StoreError` if something was."""
        with self._desk.writing():
            proposal, state, _ = self._standing(id_, now)
            if state in ("begun", "done"):
                raise StoreError(f"`{proposal.id}` is {state}: it can't be taken back")
            self._desk.write("UPDATE reviews SET state = 'withdrawn' WHERE id = ?", (id_,))
        return self.reviewed(id_, now)

    def _standing(self, id_: str, now: dt.datetime) -> tuple[Proposal, State, list[tuple[Approval, str]]]:
        """A proposal, its state now, and the approvals that hold now with who brought them."""
        proposal, state = self._read(id_)
        rows = self._desk.rows(
            "SELECT key, signatures, brought_by FROM approvals WHERE review = ? ORDER BY at, key", (id_,)
        )
        held: list[tuple[Approval, str]] = []
        people: list[VerifierKey] = []
        for key, signatures, brought_by in rows:
            approval = Approval(
                review=id_, key=key, signatures=msgspec.json.decode(signatures, type=tuple[str, ...])
            )
            try:
                person = self._verified(proposal, approval)
            except Unverified:
                continue  # of somebody who may approve no more, or changed by hand
            if not any(_same_person(person, other) for other in people):
                people.append(person)
                held.append((approval, brought_by))
        if state == "open":
            if instant(proposal.until) <= now:
                state = "expired"
            elif len(held) >= proposal.need:
                state = "approved"
        return proposal, state, held

    def _read(self, id_: str) -> tuple[Proposal, State]:
        rows = self._desk.rows(
            "SELECT id, tenant, kind, texts, asked_by, need, until, state FROM reviews WHERE id = ?", (id_,)
        )
        if not rows:
            raise InputError(f"`{short(printable(id_))}` is no proposal: see `carnet records proposals`")
        ((own, tenant, kind, texts, by, need, until, state),) = rows
        proposal = Proposal(
            id=own,
            tenant=tenant,
            kind=kind,
            texts=msgspec.json.decode(texts, type=tuple[str, ...]),
            asked_by=by,
            need=need,
            until=instant_text(dt.datetime.fromtimestamp(until, dt.UTC)),
        )
        return proposal, state

    def _verified(self, proposal: Proposal, approval: Approval) -> VerifierKey:
        """The approver whose signatures these are. Raises `Unverified`."""
        texts = (proposal.head, *proposal.texts)
        if len(approval.signatures) != len(texts):
            raise Unverified(f"the approval has not `{len(texts)}` signatures: sign the proposal again")
        try:
            signatures = [note.decoded(each) for each in approval.signatures]
        except Malformed:
            raise Unverified(
                "the approval has a signature that is no base64: sign the proposal again"
            ) from None
        for key in self._approvers():
            if key.key_id.hex() != approval.key:
                continue
            if not all(key.verify(*each) for each in zip(texts, signatures, strict=True)):
                raise Unverified("the approval is not of this proposal: look at the proposal and sign again")
            if principal_of(key) == proposal.asked_by or key.name == proposal.asked_by.rpartition("+")[0]:
                raise Unverified("who asked can't approve: somebody else has to")
            return key
        raise Unverified(f"`{short(printable(approval.key))}` is not the key of somebody who may approve now")


def _same_person(one: VerifierKey, other: VerifierKey) -> bool:
    """Two keys of one name are one person's, and so is one key under two names."""
    return one.name == other.name or one.public == other.public
