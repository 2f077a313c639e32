"""An order: that a bundle which the nodes have is enforced from an instant on. It is small, so that it
arrives at once; it can open nothing that approvers did not sign. Who enforces it is elsewhere."""

import datetime as dt
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.ledger import note
from carnet.ledger.note import Signer
from carnet.model.errors import InputError, Malformed
from carnet.model.plain import printable, short
from carnet.store.bundles.errors import OrderRefused
from carnet.store.bundles.form import Bundle, Digest, Epoch
from carnet.store.bundles.node import Taken

_TITLE = "carnet order 1"


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enforce `bundle` (a digest) as `epoch`, from `at` (UTC) on. A `lift` opens something again, so it is
    never for a stop, which one person signed. `signer` is the name of the key that signs it."""

    format: Literal[1] = 1
    origin: str
    kind: Literal["activate", "lift"]
    bundle: Digest
    epoch: Epoch
    at: dt.datetime
    signer: str


class Present(Struct, frozen=True):
    """What a node enforces: its epoch, and the digest of the bundle, None if it has no bundle yet."""

    epoch: int
    bundle: str | None


def ordered(
    taken: Taken,
    present: Present,
    signer: Signer,
    *,
    bundle: str,
    at: dt.datetime,
    kind: Literal["activate", "lift"] = "activate",
) -> bytes:
    """The signed order that makes `bundle` the next epoch, a note. Raises as `read`: so nothing is sent that
    a node like this one refuses. Raises `InputError` for a naive instant."""
    if at.tzinfo is None:
        raise InputError(f"`{at.isoformat()}` has no zone: write the instant with an offset, such as `Z`")
    order = Order(
        origin=taken.origin,
        kind=kind,
        bundle=bundle,
        epoch=present.epoch + 1,
        at=at.astimezone(dt.UTC),
        signer=signer.name,
    )
    data = note.signed(_text(order), [signer]).data
    read(data, taken, present)
    return data


def read(data: bytes, taken: Taken, present: Present) -> Order:
    """What an order says, once an activator of the newest root signed it and it fits.

    Raises `Malformed` for what is no order, `Unverified` if no activator signed it or it was changed, and
    `OrderRefused` for another origin, a bundle that is not listed, an epoch that is over or not the bundle's,
    a stop that lifts, and a bundle that replaces another one than is enforced.
    """
    verified = note.verified(data, taken.activators)
    order = _order(verified.text)
    if order.signer not in {each.name for each in verified.signatures}:
        raise OrderRefused(
            f"the order names `{_shown(order.signer)}` and is signed by another: have it signed again"
        )
    if order.origin != taken.origin:
        raise OrderRefused(f"the order is for `{_shown(order.origin)}`, not `{taken.origin}`: send it there")
    if order.epoch <= present.epoch:
        raise OrderRefused(
            f"the order is for epoch `{order.epoch}`, and `{present.epoch}` is enforced: nothing is to be "
            "done, or it is an old one"
        )
    bundle = _bundle(order, taken)
    if order.epoch != bundle.epoch:
        raise OrderRefused(
            f"the order is for epoch `{order.epoch}`, and its bundle was signed for `{bundle.epoch}`: "
            "prepare the bundle for the epoch that comes next"
        )
    if order.epoch == present.epoch + 1 and bundle.manifest.replaces != present.bundle:
        raise OrderRefused(
            f"the bundle replaces `{bundle.manifest.replaces}`, and `{present.bundle}` is enforced: "
            "something came between, prepare the bundle again on top of it"
        )
    return order


def _bundle(order: Order, taken: Taken) -> Bundle:
    if order.bundle in taken.bundles:
        return taken.bundles[order.bundle]
    if order.bundle not in taken.stops:
        raise OrderRefused(f"the bundle `{order.bundle}` is not known here: take it first, then order it")
    if order.kind == "lift":
        raise OrderRefused(
            f"the bundle `{order.bundle}` is a stop, which lifts nothing: have a lift approved"
        )
    return taken.stops[order.bundle]


def _text(order: Order) -> str:
    return f"{_TITLE}\n{msgspec.json.encode(order, order='sorted').decode()}\n"


def _order(text: str) -> Order:
    """An order from the text of a note, in the one form that it has."""
    title, _, rest = text.partition("\n")
    if title != _TITLE:
        raise Malformed(f"the note is no order: its first line is `{_TITLE}`")
    try:
        order = msgspec.json.decode(rest, type=Order)
        right = order.at.tzinfo is not None and not order.at.utcoffset() and _text(order) == text
    except (ValueError, RecursionError):
        right = False
    if not right:
        raise Malformed("the order can't be read: it was not written by Carnet, make it again")
    return order


def _shown(text: str) -> str:
    return short(printable(text))
