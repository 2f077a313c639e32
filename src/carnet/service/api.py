"""What a door sees of a node: who calls, what a use comes to, and what may be said of it. Doors know nothing
else of the service; how a node decides and records is not here."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, get_args

from msgspec import Struct

from carnet.model.determination import Outcome
from carnet.model.errors import InputError, StoreError, Unavailable
from carnet.model.leaf import Source, instant_text
from carnet.rules import blocks
from carnet.rules.terms import Who
from carnet.service.access import Principal, Refusal
from carnet.service.buckets import Buckets
from carnet.service.law import Law
from carnet.service.node import Node
from carnet.service.passes import Passes
from carnet.service.recalling import Recalled
from carnet.service.recording import KINDS
from carnet.service.request import Pending, Request
from carnet.service.underway import Going, Underway
from carnet.store.handed import Kept
from carnet.words.catalogue import ENGLISH

__all__ = [
    "Api",
    "Buckets",
    "InProcess",
    "Kept",
    "Missing",
    "Principal",
    "Refusal",
    "Request",
    "Standing",
    "Verdict",
]


class Standing(Struct, frozen=True, kw_only=True):
    """A rule that stands against a use: its id, what it cites, from when on, and until when if an end is
    known (RFC 3339)."""

    rule: str
    cite: str
    effective: str
    until: str | None


class Missing(Struct, frozen=True, kw_only=True):
    """A fact that would help to settle it, what it is called, who can say it, and the least proof of it that
    is taken; None if a plain word is."""

    fact: str
    text: str
    who: Who
    evidence: Source | None


class Verdict(Struct, frozen=True, kw_only=True):
    """What a use comes to. Serve only for `action == "serve"`, only while its `epoch` is the one of now, and
    before `until` (RFC 3339), if there is one. `record` is the id of the determination;
    `fallback` the product that the policy offers instead; `headline` and `meaning` are for people; of what is
    `missing`, what the user can say comes first, and of that what is cheapest to prove; `needing` are the
    rules that ask for it."""

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
    needing: tuple[Standing, ...]
    missing: tuple[Missing, ...]


class Api(Protocol):
    """What every door works with, in the same process or from afar."""

    @property
    def epoch(self) -> int:
        """The epoch that is enforced now."""

    @property
    def turn(self) -> int:
        """A number that is another one as soon as the epoch is, or grants were ended: what was let in before
        has to be decided about anew."""

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

    async def under_way(self, tenant: str, requests: Sequence[Request]) -> list[Verdict | None]:
        """What uses that are under way come to now: decided from memory, and not recorded, so that `record`
        is empty. None for one that can't be decided."""

    def opened(self, uses: Callable[[], Iterable[tuple[str, Request]]]) -> None:
        """Have `uses` called, in whatever thread it happens, before another law is in force: `under_way` is
        asked about what it gives right after."""

    def stands(self, record: str) -> bool:
        """Whether the grant that this record gave still holds."""

    async def keep(self, tenant: str, id_: str, subject: str, products: Collection[str]) -> None:
        """Keep whose something is that an upstream has under this id, and of which products, durably. Raises
        `Unavailable`."""

    def kept(self, tenant: str, id_: str) -> Kept | None:
        """Whose it is; None if nobody knows. Raises as `authenticated`."""

    def offered(self, product: str) -> str | None:
        """The product that the policy offers instead of one, if it names any."""

    def hindered(self) -> str | None:
        """Why nothing controlled may be served now; None if it may."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called, in whatever thread it happens, after each change of `turn`."""


class InProcess:
    """An `Api` of a node in this process. Decisions run in a few threads, for `deadline` seconds at most."""

    def __init__(self, node: Node, *, deadline: float = 2.0, threads: int = 4) -> None:
        self._node, self._deadline, self._passes = node, deadline, Passes()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="carnet-door")
        self._rules: tuple[Law | None, dict[str, blocks.Rule]] = None, {}
        self._recalled = Recalled(node.meeting, lambda: node.determiner.law, self._passes, node.desk.version)
        self._underway = Underway(node.recorder, node.subjects, node.clock, node.desk.version)
        self._changes = 0
        self._watching: list[Callable[[], None]] = []
        node.grants.watch(self._changed)
        node.prepares(lambda law: self._recalled.prepare(law, node.clock.read().wall))

    @property
    def epoch(self) -> int:
        return self._node.determiner.law.epoch

    @property
    def turn(self) -> int:
        return (self._node.determiner.law.epoch << 32) + self._changes

    def authenticated(self, header: str | None) -> Principal | Refusal:
        return self._node.access.authenticated(header)

    def met(self, tenant: str, request: Request) -> Verdict | None:
        found = self._recalled.use(tenant, request, self._node.clock.read().late)
        return None if found is None else self._told(found)

    async def verdict(self, tenant: str, request: Request) -> Verdict:
        try:
            async with asyncio.timeout(self._deadline):
                deciding = self._pool.submit(self._node.determiner.determine, tenant, request)
                pending = await asyncio.wrap_future(deciding)
                await asyncio.wrap_future(pending.receipt)
        except TimeoutError:
            raise Unavailable("the record was not durable in time: ask again") from None
        self._passes.keep(tenant, request.surface, pending)
        return self._told(pending)

    async def under_way(self, tenant: str, requests: Sequence[Request]) -> list[Verdict | None]:
        return await asyncio.wrap_future(self._pool.submit(self._under_way, tenant, requests))

    def opened(self, uses: Callable[[], Iterable[tuple[str, Request]]]) -> None:
        self._node.prepares(lambda law: self._underway.prepare(law, uses()))

    def stands(self, record: str) -> bool:
        return self._node.grants.stands(record)

    async def keep(self, tenant: str, id_: str, subject: str, products: Collection[str]) -> None:
        now = self._node.clock.read().wall
        keeping = self._pool.submit(self._node.handed.keep, tenant, id_, subject, products, now)
        await asyncio.wrap_future(keeping)

    def kept(self, tenant: str, id_: str) -> Kept | None:
        return self._node.handed.of(tenant, id_)

    def offered(self, product: str) -> str | None:
        return self._node.determiner.law.policy.fallback.get(product)

    def hindered(self) -> str | None:
        if self._node.clock.read().suspect:
            return "the clock is suspect: nothing controlled is served until it is right again"
        if self._node.log.trouble is not None:
            return "nothing can be recorded: look at the log of the node"
        return self._node.forbids()

    def watch(self, changed: Callable[[], None]) -> None:
        self._watching.append(changed)

    def close(self) -> None:
        """Finish what is being decided."""
        self._pool.shutdown()

    def _changed(self) -> None:
        self._changes += 1
        for changed in self._watching:
            changed()

    def _under_way(self, tenant: str, requests: Sequence[Request]) -> list[Verdict | None]:
        law = self._node.determiner.law
        found: list[Verdict | None] = []
        for request in requests:
            try:
                found.append(self._still(self._underway.answer(law, tenant, request)))
            except (InputError, StoreError):
                found.append(None)
        return found

    def _told(self, pending: Pending) -> Verdict:
        found, met = pending.determined, pending.met
        said = found.determination
        return Verdict(
            record=found.id,
            action=found.action,
            reason=found.reason,
            controlled=found.controlled,
            epoch=found.epoch,
            until=found.until if met is None or met.until is None else instant_text(met.until),
            fallback=found.fallback,
            **self._why(said.outcome, said.open_rules, pending.undecided, said.asked),
        )

    def _still(self, going: Going) -> Verdict:
        return Verdict(
            record="",
            action="serve" if going.serves else "cut",
            reason="under_way",
            controlled=going.controlled,
            epoch=going.epoch,
            until=None if going.until is None else instant_text(going.until),
            fallback=None,
            **self._why(going.outcome, going.open_rules, going.undecided, going.asked),
        )

    def _why(
        self, outcome: Outcome, open_rules: Sequence[str], undecided: Sequence[str], asked: Sequence[str]
    ) -> dict[str, Any]:
        """What an answer and its reasons are called."""
        open_ = sorted({_rule(key) for key in undecided}) if outcome == "needs_facts" else ()
        return {
            "outcome": outcome,
            "headline": ENGLISH.say(f"outcome.{outcome}"),
            "meaning": ENGLISH.say(f"meaning.{outcome}"),
            "standing": self._all_standing(open_rules),
            "needing": self._all_standing(open_),
            "missing": tuple(sorted(map(self._missing, asked), key=_cheapest)),
        }

    def _missing(self, path: str) -> Missing:
        law = self._node.determiner.law
        spec = law.rulebook.terms.of_path(path)
        ours = spec is None or path.startswith("exporter.")
        level = None if spec is None else law.levels.get(path, spec.level)
        return Missing(
            fact=path,
            text=ENGLISH.fact(path),
            who="operator" if ours or spec is None else spec.who,
            evidence=None if level is None else KINDS.get(level),
        )

    def _all_standing(self, findings: Sequence[str]) -> tuple[Standing, ...]:
        return tuple(rule for rule in map(self._standing, findings) if rule is not None)

    def _standing(self, finding: str) -> Standing | None:
        """The rule of a finding; None if the rulebook in force has it no more."""
        law = self._node.determiner.law
        if self._rules[0] is not law:
            found = (*law.rulebook.of(blocks.Requirement), *law.rulebook.of(blocks.Prohibition))
            self._rules = law, {rule.id: rule for rule in found}
        rule = self._rules[1].get(_rule(finding))
        if rule is None:
            return None
        end = rule.span.end
        return Standing(
            rule=rule.id,
            cite=rule.cite,
            effective=instant_text(rule.span.start.earliest),
            until=None if end is None else instant_text(end.latest),
        )


def _cheapest(missing: Missing) -> tuple[int, int, str]:
    kinds = (None, *KINDS.values())
    return get_args(Who).index(missing.who), kinds.index(missing.evidence), missing.fact


def _rule(key: str) -> str:
    """The id of the rule in the key of a question or of a finding."""
    return key.partition("#")[0].partition("@")[0]
