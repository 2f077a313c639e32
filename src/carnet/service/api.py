"""What a door sees of a node: who calls, what a use comes to, and what may be said of it. Doors know nothing
else of the service; how a node decides and records is not here."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from msgspec import Struct

from carnet.model.determination import Outcome
from carnet.model.errors import Unavailable
from carnet.model.leaf import instant_text
from carnet.rules import blocks
from carnet.service.access import Principal, Refusal
from carnet.service.law import Law
from carnet.service.node import Node
from carnet.service.passes import Passes
from carnet.service.request import Determined, Request
from carnet.words.catalogue import ENGLISH

__all__ = ["Api", "InProcess", "Missing", "Principal", "Refusal", "Request", "Standing", "Verdict"]


class Standing(Struct, frozen=True, kw_only=True):
    """A rule that stands against a use: its id, what it cites, from when on, and until when if an end is
    known (RFC 3339)."""

    rule: str
    cite: str
    effective: str
    until: str | None


class Missing(Struct, frozen=True, kw_only=True):
    """A fact that would settle it, and what it is called."""

    fact: str
    text: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What a use comes to. Serve only for `action == "serve"`, and a controlled item only while its `epoch`
    is the one of now and before `until` (RFC 3339), if there is one. `record` is the id of the determination;
    `fallback` the product that the policy offers instead; `headline` and `meaning` are for people."""

    record: str
    action: str
    reason: str
    outcome: Outcome
    controlled: bool
    epoch: int
    until: str | None
    fallback: str | None
    headline: str
    meaning: str
    standing: tuple[Standing, ...]
    missing: tuple[Missing, ...]


class Api(Protocol):
    """What every door works with, in the same process or from afar."""

    @property
    def epoch(self) -> int:
        """The epoch that is enforced now."""

    def authenticated(self, header: str | None) -> Principal | Refusal:
        """Who sends this `Authorization` header. Raises `Unavailable` or `StoreError`: let nobody in then."""

    def met(self, tenant: str, request: Request) -> Verdict | None:
        """What is known of a use already, from memory; None if it has to be determined. Raises as
        `verdict`."""

    async def verdict(self, tenant: str, request: Request) -> Verdict:
        """What a use comes to; where that serves a controlled item, once its record is durable.

        Raises `InputError` for what can't be true, `Unavailable` (and other `StoreError`) for an inability:
        nothing controlled may be served then.
        """

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called, in whatever thread it happens, whenever what was granted may be over."""


class InProcess:
    """An `Api` of a node in this process. Decisions run in a few threads, for `deadline` seconds at most."""

    def __init__(self, node: Node, *, deadline: float = 2.0, threads: int = 4) -> None:
        self._node, self._deadline, self._passes = node, deadline, Passes()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="carnet-door")
        self._rules: tuple[Law | None, dict[str, blocks.Rule]] = None, {}

    @property
    def epoch(self) -> int:
        return self._node.determiner.law.epoch

    def authenticated(self, header: str | None) -> Principal | Refusal:
        return self._node.access.authenticated(header)

    def met(self, tenant: str, request: Request) -> Verdict | None:
        found = self._node.determiner.use(tenant, request, self._passes)
        return None if found is None else self._told(found.determined)

    async def verdict(self, tenant: str, request: Request) -> Verdict:
        try:
            async with asyncio.timeout(self._deadline):
                deciding = self._pool.submit(self._node.determiner.determine, tenant, request)
                pending = await asyncio.wrap_future(deciding)
                await asyncio.wrap_future(pending.receipt)
        except TimeoutError:
            raise Unavailable("the record was not durable in time: ask again") from None
        self._passes.keep(tenant, pending)
        return self._told(pending.determined)

    def watch(self, changed: Callable[[], None]) -> None:
        self._node.grants.watch(changed)

    def close(self) -> None:
        """Finish what is being decided."""
        self._pool.shutdown()

    def _told(self, found: Determined) -> Verdict:
        said = found.determination
        return Verdict(
            record=found.id,
            action=found.action,
            reason=found.reason,
            outcome=said.outcome,
            controlled=found.controlled,
            epoch=found.epoch,
            until=found.until,
            fallback=found.fallback,
            headline=ENGLISH.say(f"outcome.{said.outcome}"),
            meaning=ENGLISH.say(f"meaning.{said.outcome}"),
            standing=tuple(rule for rule in map(self._standing, said.open_rules) if rule is not None),
            missing=tuple(Missing(fact=path, text=ENGLISH.fact(path)) for path in said.asked),
        )

    def _standing(self, finding: str) -> Standing | None:
        """The rule of a finding; None if the rulebook in force has it no more."""
        law = self._node.determiner.law
        if self._rules[0] is not law:
            found = (*law.rulebook.of(blocks.Requirement), *law.rulebook.of(blocks.Prohibition))
            self._rules = law, {rule.id: rule for rule in found}
        rule = self._rules[1].get(finding.partition("@")[0])
        if rule is None:
            return None
        end = rule.span.end
        return Standing(
            rule=rule.id,
            cite=rule.cite,
            effective=instant_text(rule.span.start.earliest),
            until=None if end is None else instant_text(end.latest),
        )
