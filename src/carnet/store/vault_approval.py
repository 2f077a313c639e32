"""That two people ordered a key to be destroyed, each with a key of their own. Who may approve, and who
asked, is known to the caller; what is destroyed is in `carnet.store.vault`."""

from collections.abc import Sequence

from carnet.ledger import note
from carnet.ledger.note import Signer, Verifier
from carnet.model.errors import Unverified
from carnet.model.leaf import Approval, Order


def approval(order: Order, signer: Signer) -> Approval:
    """One person's approval. It is made where that person's key is, never on the server."""
    return Approval(signer.key_id.hex(), note.encoded(signer.sign(order.text)))


def pair(one: Approval, other: Approval) -> tuple[Approval, Approval]:
    """Two approvals in the order that a leaf keeps them in."""
    return (one, other) if one <= other else (other, one)


def check_approvals(order: Order, approvals: Sequence[Approval], approvers: Sequence[Verifier]) -> None:
    """Raises `Unverified` unless these are two approvals of this order by two different approvers.

    Two keys of the same name are one person's, and so is one key under two names.
    """
    if len(approvals) != 2:
        raise Unverified(f"`{len(approvals)}` approvals were given: two people have to approve")
    one, other = (_approver(order, each, approvers) for each in approvals)
    if one.name == other.name or one.key_id == other.key_id:
        raise Unverified("the same person approved twice: a second one has to")
    if other.verify(order.text, note.decoded(approvals[0].signature)):
        raise Unverified("both approvals are by one key under two names: a second person has to approve")


def _approver(order: Order, approval: Approval, approvers: Sequence[Verifier]) -> Verifier:
    known = [each for each in approvers if each.key_id.hex() == approval.key]
    if not known:
        raise Unverified(f"`{approval.key}` is not the key of an approver: register it, or sign anew")
    signature = note.decoded(approval.signature)
    for each in known:
        if each.verify(order.text, signature):
            return each
    raise Unverified(
        f"the approval by `{approval.key}` is not of this order: look at the order and sign anew"
    )
