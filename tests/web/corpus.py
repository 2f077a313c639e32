"""The transactions of June 2026, and each of them as an access evaluation."""

import msgspec

from carnet.model.authzen import KINDS
from carnet.service.story import read_story
from carnet.store.examples import shipped_examples

CASES = [case for scene in read_story(shipped_examples("june-2026")).scenes for case in scene.cases]


def plain(transaction):
    """A transaction as plain objects."""
    return msgspec.json.decode(msgspec.json.encode(transaction))


def evaluation(transaction, **context):
    """The evaluation that says a transaction: whatever AuthZEN has a place for stands there."""
    said = plain(transaction)
    item, who = said.pop("item"), said.pop("recipient", {})
    said.pop("format", None)
    kind = who.get("kind")
    if "id" in who:
        subject = {"type": who.pop("kind") if kind in KINDS else "user", "id": who.pop("id")}
    else:
        subject = {"type": "anonymous", "id": "-"}
    form = item.get("form")
    resource = {"type": item.pop("form") if isinstance(form, str) else "model", "id": item.pop("product")}
    return {
        "subject": {**subject, "properties": who},
        "action": {"name": said.pop("event")},
        "resource": {**resource, "properties": item},
        "context": {**said, **context},
    }
