"""What a node enforces: a rulebook and a policy under one number, and what is worked out from them once for
each item and event. How the next epoch comes about is not here."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property

from msgspec import Struct

from carnet.engine.compiled import compiled
from carnet.engine.controlled import is_controlled
from carnet.engine.decide import Decision, decide, levels_of
from carnet.engine.read_set import EVENT, Reads, facts_read, read_set
from carnet.model.determination import Determination
from carnet.model.facts import Values
from carnet.model.leaf import Retention
from carnet.model.transaction import Transaction
from carnet.model.view import View, view
from carnet.policy.enforcement import Policy
from carnet.policy.enforcement import digest as policy_digest
from carnet.rules import blocks, bundle
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import known_instants, slice_at
from carnet.rules.terms import Terms

SANCTIONS = "sdn"
"""The word by which rules ask whether a party is on OFAC's list."""

_MOST_KEPT = 1_000


class About(Struct, frozen=True):
    """What holds for an item and an event, whoever asks: whether it is a controlled one, what its rules can
    read, the digests of the lists among it, and how long a record of it is kept."""

    controlled: bool
    reads: Reads
    lists: Mapping[str, str]
    retention: Retention


class Law(Struct, frozen=True, dict=True):
    """A rulebook and a policy. `epoch` numbers the pair on this node and only grows."""

    rulebook: Rulebook
    policy: Policy
    epoch: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy."""
        return policy_digest(self.policy)

    @cached_property
    def levels(self) -> Mapping[str, str]:
        """The assurance that each fact needs."""
        return levels_of(self.rulebook.terms, self.policy.choices)

    @cached_property
    def lists(self) -> Mapping[str, str]:
        """SHA-256 of every list, by id."""
        return {one.id: bundle.digest((one,), Terms({})) for one in self.rulebook.of(blocks.List)}

    @cached_property
    def knowns(self) -> list[dt.datetime]:
        """When something in the rulebook becomes known, in order."""
        return known_instants(self.rulebook)

    def until(self, determination: Determination) -> dt.datetime | None:
        """Until when an answer that was given now holds at the longest: as the determination says, and not
        past the next instant at which something becomes known."""
        return _first(determination.good_until, *self._next_known(determination.known))

    def same_until(self, at: dt.datetime, known: dt.datetime) -> dt.datetime | None:
        """Until when the rules of an instant stay the same, whatever the facts are."""
        return _first(slice_at(self.rulebook, at, known, self.policy.choices).end, *self._next_known(known))

    def _next_known(self, known: dt.datetime) -> list[dt.datetime]:
        after = bisect_right(self.knowns, known)
        return self.knowns[after : after + 1]

    def decide(self, transaction: Transaction, at: dt.datetime, known: dt.datetime) -> Decision:
        """The legal answer. Raises as `engine.decide`."""
        return decide(transaction, self.rulebook, at=at, known=known, choices=self.policy.choices)

    def decision(self, seen: View, at: dt.datetime, known: dt.datetime) -> Decision:
        """The legal answer of what the facts come to. Raises `RulesError` if more than six axes are open."""
        choices = self.policy.choices
        return Decision(compiled(slice_at(self.rulebook, at, known, choices)), seen, at, known, choices)

    def view(self, transaction: Transaction, at: dt.datetime, known: dt.datetime) -> View:
        """What the facts come to."""
        return view(transaction, at=at, known=known, levels=self.levels)

    def about(self, values: Values, at: dt.datetime, known: dt.datetime) -> About:
        """What holds for the item and the event among the facts, worked out once for each slice and kept on
        it."""
        choices = self.policy.choices
        slice_ = slice_at(self.rulebook, at, known, choices)
        item = [path for path in values if path.startswith("item.") or path == EVENT]
        kept: dict[bytes, About] = slice_.kept.setdefault(About, {})
        key = facts_read(values, item)
        if key in kept:
            return kept[key]
        reads = read_set(self.rulebook, values, at, known, choices)
        found = About(
            controlled=is_controlled(self.rulebook, values, at, known, choices),
            reads=reads,
            lists={name: self.lists[name] for name in sorted(reads.lists) if name in self.lists},
            retention="ofac" if SANCTIONS in reads.words else "ear",
        )
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        kept[key] = found
        return found


def _first(*instants: dt.datetime | None) -> dt.datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)
