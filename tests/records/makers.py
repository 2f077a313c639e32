"""One leaf of every kind, as plain as it can be, and the two people who approve."""

import datetime as dt
import hashlib
import typing

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carnet.ledger.note import Ed25519Signer
from carnet.model import leaf
from carnet.model.determination import Choices, RecordedDetermination
from carnet.model.leaf import Approval, Order, Reference
from carnet.model.recorded import choices_digest
from carnet.store.vault_approval import approval, pair

AT = "2026-06-13T14:00:00Z"
NOW = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)
SUBJECT = "5b1d3f0c" * 4
ORDER = Order("0f" * 16, SUBJECT, "ear", "00112233445566ff")
FIRST = Ed25519Signer("first.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SECOND = Ed25519Signer("second.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
APPROVERS = (FIRST.verifier, SECOND.verifier)
KINDS = {typing.cast(str, kind.__struct_config__.tag): kind for kind in typing.get_args(leaf.Leaf)}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def both(order):
    """The approvals of two people."""
    return pair(approval(order, FIRST), approval(order, SECOND))


def record(**given):
    return RecordedDetermination(
        **{
            "format": 1,
            "outcome": "no_license_required",
            "basis": "assured",
            "may_still_be": (),
            "readings": ("us.remote_inference=sends: no_license_required",),
            "open_rules": (),
            "lifted_by": (),
            "asked": (),
            "human_causes": (),
            "tasks": (),
            "marks": (),
            "good_until": "2026-07-13T14:00:00Z",
            "at": AT,
            "known": AT,
            "choices": choices_digest(Choices()),
            "rulebook": digest("rulebook"),
            "engine": "0.1.0",
            **given,
        }
    )


def head(**given):
    return {"id": "rec-1", "at": AT, "boot": 12_345_678_901, **given}


def determined(**given):
    return leaf.Determined(
        **{
            **head(),
            "tenant": "acme",
            "subject": SUBJECT,
            "epoch": 7,
            "event": "remote_access",
            "product": "anthropic/claude-mythos-5",
            "form": "hosted",
            "controlled": True,
            "purpose": "use",
            "surface": "api",
            "done": (),
            "action": "serve",
            "reason": "permitted",
            "fallback": None,
            "grant": leaf.Given("2026-07-13T14:00:00Z"),
            "determination": record(),
            "policy": digest("policy"),
            "build": digest("build"),
            "commitment": digest("commitment"),
            "evidence": (Reference("document_check", "S3", "2027-06-01T00:00:00Z"),),
            "lists": {"us.directive.2026-06-12.models": digest("models")},
            "retention": "ear",
            **given,
        }
    )


def uses(*counted, **given):
    counted = counted or (leaf.Use("rec-1", 3, "2026-06-13T14:05:00Z"),)
    return leaf.Uses(
        **{
            **head(id="rec-2", at="2026-06-13T14:10:00Z"),
            "tenant": "acme",
            "since": AT,
            "uses": counted,
            **given,
        }
    )


def all_ended(**given):
    return leaf.AllEnded(**{**head(id="rec-3"), "why": "epoch", **given})


def revoked(*grants, **given):
    return leaf.Revoked(
        **{**head(id="rec-4"), "tenant": "acme", "selector": digest("selector"), "grants": grants, **given}
    )


def hold(**given):
    return leaf.Held(
        **{
            **head(id="rec-6"),
            "tenant": "acme",
            "subject": SUBJECT,
            "manner": "informal",
            "request": digest("request"),
            **given,
        }
    )


def released(**given):
    return leaf.HoldReleased(
        **{
            **head(id="rec-7"),
            "tenant": "acme",
            "hold": "rec-6",
            "authorization": digest("authorization"),
            **given,
        }
    )


def shredded(order=ORDER, approvals=None, **given):
    return leaf.Shredded(
        **{
            **head(id="rec-8"),
            "tenant": "acme",
            "order": order,
            "approvals": approvals or both(order),
            **given,
        }
    )


def one_of_each():
    """A leaf of every kind, by kind."""
    return {
        "determination": determined(),
        "uses": uses(),
        "all_ended": all_ended(),
        "revoked": revoked("rec-0", "rec-1"),
        "keys_rotated": leaf.KeysRotated(
            **head(id="rec-5"),
            role="log",
            old=FIRST.key_id.hex(),
            new=SECOND.key_id.hex(),
            verifier=str(SECOND.verifier),
            statement=None,
        ),
        "hold": hold(),
        "hold_released": released(),
        "shredded": shredded(),
        "continued": leaf.Continued(
            **head(id="rec-9"), origin="log.example/main", size=1024, root=digest("root")
        ),
        "noticed": leaf.Noticed(
            **head(id="rec-10"), what="clock_suspect", figures={"skew_milliseconds": -86_400_000}
        ),
    }


def forged(order):
    """Two approvals, one of them of another order."""
    other = Order(order.vault, order.subject, order.retention, "f" * 16)
    return pair(approval(order, FIRST), approval(other, SECOND))


def unknown_approval(order):
    stranger = Ed25519Signer("stranger.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    made = approval(order, stranger)
    return Approval(made.key, made.signature)
