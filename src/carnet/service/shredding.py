"""A shred: what is over and was approved by two people is recorded as destroyed, and then destroyed, in the
vault, in every backup of it, and beside the leaves. What is over is in `carnet.service.retention`.

The record comes first. What was cut short is done again by `finished`, which a node asks for at its start if
there is something, and a restore always.
"""

import datetime as dt
import logging
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from carnet.ledger.note import VerifierKey
from carnet.model import leaf as leaves
from carnet.model.errors import InputError, Malformed, StoreError
from carnet.model.leaf import Approval, Determined, Held, HoldReleased, Order, Shredded
from carnet.model.retention import holds
from carnet.service import retention
from carnet.service.clock import Instants
from carnet.service.retention import Due, surveyed
from carnet.service.review import Proposal, Reviewed, Reviews
from carnet.store.backups import Backups
from carnet.store.desk import Desk
from carnet.store.forgotten import forgotten
from carnet.store.keys import Keyring
from carnet.store.origins import terms_of
from carnet.store.sqlite.log import SqliteLog
from carnet.store.sqlite.reading import SqliteReading
from carnet.store.vault import Vault
from carnet.store.vault_approval import pair
from carnet.store.vault_keys import ID_BYTES

KIND = "shred"
NEED = 2
"""How many people have to approve: as many as a `shredded` leaf has approvals."""

DAYS = 30
"""How long a proposal waits."""

RUN = "retention"
"""Who asks where nobody chose: a proposal of all that is over, and of nothing else."""

_AT_ONCE = 256
_LOG = logging.getLogger("carnet.shred")
_ORDER = re.compile(
    r"carnet shred 1\nvault (?P<vault>[0-9a-f]{32})\nsubject (?P<subject>[0-9a-f]{32})\n"
    r"retention (?P<retention>ear|ofac)\nkey (?P<key>[0-9a-f]{16})\n"
)


class Destroyed(Struct, frozen=True, kw_only=True):
    """What a run did: keys that are destroyed, records whose private parts went with them, in how many
    backups it looked too, and orders that were left out, each with why."""

    keys: int
    records: int
    backups: int
    left_out: tuple[str, ...]


def proposed(
    reviews: Reviews,
    vault: Vault,
    dues: Sequence[Due],
    now: dt.datetime,
    *,
    by: str = RUN,
    days: int = DAYS,
) -> Proposal:
    """Ask for the destruction of these, all of which have to be over. Raises `InputError` if none is."""
    over = [due for due in dues if due.standing.state == "over"]
    if not over:
        raise InputError("nothing is over: nothing is to be destroyed")
    tenants = sorted({due.tenant for due in over})
    orders = [Order(vault.id, due.subject, due.retention, due.key) for due in over]
    return reviews.propose(
        tenants[0] if len(tenants) == 1 else "",
        KIND,
        [order.text for order in orders],
        by=by,
        need=NEED,
        until=now + dt.timedelta(days=days),
        now=now,
    )


def orders_of(proposal: Proposal) -> list[Order]:
    """What a proposal would destroy. Raises `Malformed` if it is no proposal of that: who signs it must know
    what it says."""
    found = []
    for text in proposal.texts:
        said = _ORDER.fullmatch(text)
        if proposal.kind != KIND or said is None:
            raise Malformed("the proposal is none of a shred, or says something else too: don't sign it")
        order = Order(
            said["vault"], said["subject"], "ear" if said["retention"] == "ear" else "ofac", said["key"]
        )
        if order.text != text:
            raise Malformed("the proposal is none of a shred, or says something else too: don't sign it")
        found.append(order)
    return found


def shredded(
    log: SqliteLog,
    vault: Vault,
    reviews: Reviews,
    approvers: Sequence[VerifierKey],
    backups: Sequence[Path],
    id_: str,
    now: Instants,
) -> Destroyed:
    """Destroy what a proposal names and enough people have approved.

    `approvers` are all that there ever were, `backups` every copy of the vault. What is not over by now,
    since a hold came or a grant was used, is left out. Raises `Unverified` without the approvals,
    `InputError` if the proposal is of another vault, `Unavailable`: ask again, what was begun is done then.
    """
    orders = orders_of(reviews.reviewed(id_, now.wall).proposal)
    if any(order.vault != vault.id for order in orders):
        raise InputError("the proposal is of another vault: name the data directory that it was made in")
    found = reviews.begin(id_, now.wall)
    with log.reading() as reading:
        dues = {due.key: due for due in surveyed(reading, vault, now.wall)}
        on_record = {leaf.order.key for _, leaf in retention.every(reading) if isinstance(leaf, Shredded)}
    living = {entry.key for entry in vault.entries() if not entry.shredded}
    left_out = []
    for number, order in enumerate(orders, start=1):
        if order.key in on_record or order.key not in living:
            continue  # of a run that was cut short
        due = dues.get(order.key)
        if due is None or due.standing.state != "over":
            state = "under no record" if due is None else due.standing.state
            left_out.append(f"the key `{order.key}` is {state}: it stays")
            continue
        one, other = (Approval(each.key, each.signatures[number]) for each in found.approvals[:NEED])
        leaf = Shredded(
            id=f"s_{secrets.token_hex(16)}",
            at=leaves.instant_text(now.wall),
            boot=now.boot,
            tenant=due.tenant,
            order=order,
            approvals=pair(one, other),
        )
        retention.recorded(log, leaf, due.tenant)
    keys, records = finished(log, vault, approvers, backups)
    reviews.finish(id_)
    return Destroyed(keys=keys, records=records, backups=len(backups), left_out=tuple(left_out))


def finished(
    log: SqliteLog, vault: Vault, approvers: Sequence[VerifierKey], backups: Sequence[Path]
) -> tuple[int, int]:
    """Destroy what was recorded as destroyed and is there still; how many keys, and of how many records the
    private part or the terms. Also after an old copy was put back. Raises as `Vault.shred_again` and
    `SqliteLog.forget`."""
    ordered: list[Shredded] = []
    about: list[Held | HoldReleased] = []
    of: dict[tuple[str, str], list[int]] = {}
    with log.reading() as reading:
        for number, leaf in retention.every(reading):
            if isinstance(leaf, Shredded):
                ordered.append(leaf)
            elif isinstance(leaf, Held | HoldReleased):
                about.append(leaf)
            elif isinstance(leaf, Determined):
                of.setdefault((leaf.subject, leaf.retention), []).append(number)
    keys = vault.shred_again(ordered, approvers, holds=holds(about), backups=backups)
    gone: dict[tuple[str, str], set[str]] = {}
    for entry in vault.entries():
        if entry.shredded:
            gone.setdefault((entry.subject, entry.retention), set()).add(entry.key)
    with log.reading() as reading:
        numbers = [
            number
            for whose, ids in gone.items()
            for number in of.get(whose, ())
            if _has_traces(reading, number, ids)
        ]
    return keys, log.forget(numbers) if numbers else 0


class Copies(Protocol):
    """Where copies of records are: `carnet.store.postgres.copies.QueryStore` is one."""

    def forget(self, origin: str, numbers: Sequence[int]) -> int:
        """Remove what hangs on these records of a log, also of those that arrive later; how many had
        something."""


def forget_copies(log: SqliteLog, copies: Copies) -> int:
    """Forget in the copies whatever the log itself has forgotten; of how many records something was there.
    Done again it changes nothing.

    Of what was copied under a name that the log has no more, only those records are meant that it still has:
    others had these numbers if it was put back since. Raises as `Copies.forget`.
    """
    done, after = 0, -1
    while True:
        with log.reading() as reading:
            numbers, names, size = forgotten(reading, after, _AT_ONCE), reading.origins(), reading.size
        if not numbers:
            return done
        ends = [*(since for since, _ in names[1:]), size]
        for (_, origin), end in zip(names, ends, strict=True):
            meant = [number for number in numbers if number < end]
            if meant:
                done += copies.forget(origin, meant)
        after = numbers[-1]


def resumed(log: SqliteLog, vault: Vault, desk: Desk, keyring: Keyring, now: dt.datetime) -> None:
    """Go on with a shred that was cut short, if there is one. A backup that can't be found does not keep a
    node from starting: then it is told, and `carnet records finish` tells it again."""
    if unfinished(Reviews(desk, keyring.approvers), now):
        try:
            finished(log, vault, keyring.verifiers("approver"), Backups(desk).of(vault.id))
        except StoreError as error:
            _LOG.warning("a shred was cut short and can't go on, run `carnet records finish`: %s", error)


def unfinished(reviews: Reviews, now: dt.datetime) -> list[Reviewed]:
    """The shreds that were begun and not finished."""
    return [each for each in reviews.listed(now, KIND) if each.state == "begun"]


def _has_traces(reading: SqliteReading, number: int, gone: set[str]) -> bool:
    """Whether something of a record is left that went with one of these keys."""
    record = reading.record(number)
    if record is None:
        return False
    if record.sealed is None:
        return bool(terms_of(reading, number))
    return record.sealed[1 : 1 + ID_BYTES].hex() in gone
