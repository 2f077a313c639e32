"""What a node enforces, over HTTP: its rulebook and policy by digest, and which provisions are in force at
an instant. Conditions and words of the law are not given out; what is confidential is named, and not cited.
"""

import datetime as dt
import hashlib

import msgspec
from starlette.responses import Response

from carnet.engine.findings import ENGINE
from carnet.model.errors import RulesError
from carnet.rules import blocks
from carnet.rules.slices import SUSPENDING, slice_at
from carnet.service.law import Law
from carnet.store.shelves import law_version, shipped
from carnet.web import messages
from carnet.web.problems import UNUSABLE, Stop
from carnet.web.serving import Call, Serving, answer, instant_in

KINDS: dict[type[blocks.Block], str] = {
    blocks.Scope: "scope",
    blocks.Coverage: "coverage",
    blocks.Definition: "definition",
    blocks.Requirement: "requirement",
    blocks.Prohibition: "prohibition",
    blocks.Exception_: "exception",
    blocks.Bar: "bar",
    blocks.RedFlag: "red_flag",
    blocks.Overlay: "overlay",
    blocks.List: "list",
}


async def rulebook(serving: Serving, call: Call) -> Response:
    """`GET /v1/rulebook`."""
    del call
    return answer(await serving.work(_rulebook, serving.node.determiner.law))


async def rulebook_slice(serving: Serving, call: Call) -> Response:
    """`GET /v1/rulebook/slice`."""
    now = serving.node.clock.read().wall
    at, known = instant_in(call.query, "at") or now, instant_in(call.query, "known") or now
    return answer(await serving.work(_slice, serving.node.determiner.law, at, known))


def _rulebook(law: Law) -> messages.RulebookSaid:
    provisions = tuple(_provision(block) for block in law.rulebook.blocks)
    return messages.RulebookSaid(
        digest=law.rulebook.digest,
        law=law_version(),
        engine=ENGINE,
        epoch=law.epoch,
        policy=messages.Enforced(name=law.policy.name, digest=law.digest),
        provisions=provisions,
    )


def _slice(law: Law, at: dt.datetime, known: dt.datetime) -> messages.SliceSaid:
    """Raises `Stop` where more readings are open than a slice may have."""
    try:
        slice_ = slice_at(law.rulebook, at, known, law.policy.choices)
    except RulesError:
        raise Stop(UNUSABLE, "too many readings are open then: choose some in the policy") from None
    stays: dict[str, list[str]] = {}
    for overlay in law.rulebook.of(blocks.Overlay):
        if overlay.known <= known and overlay.kind in SUSPENDING and overlay.span.holds(at) != "no":
            stays.setdefault(overlay.target, []).append(overlay.id)
    provisions = tuple(
        messages.InForce(
            id=block.id,
            kind=KINDS[type(block)],
            force=force,
            stayed_by=tuple(sorted(stays.get(block.id, ()))),
        )
        for block in law.rulebook.blocks
        if block.known <= known and (force := block.span.holds(at)) != "no"
    )
    lists = tuple(
        messages.ListSaid(name=name, id=found.id, members=len(found.members), known=found.known)
        for name, found in sorted(slice_.lists.items())
    )
    return messages.SliceSaid(
        rulebook=law.rulebook.digest,
        at=at,
        known=known,
        from_=slice_.start,
        until=slice_.end,
        digest=hashlib.sha256(msgspec.json.encode((provisions, lists), order="sorted")).hexdigest(),
        provisions=provisions,
        lists=lists,
        readings=tuple(sorted(f"{axis}: {value}" for axis, each in slice_.axes.items() for value in each)),
    )


def _provision(block: blocks.Block) -> messages.Provision:
    """What is confidential and on a shelf of the operator's own is not cited; the shipped shelf is public."""
    kept_back = (
        isinstance(block, blocks.Requirement)
        and block.confidentiality is not None
        and block.file not in shipped()
    )
    return messages.Provision(id=block.id, kind=KINDS[type(block)], cite=None if kept_back else block.cite)
