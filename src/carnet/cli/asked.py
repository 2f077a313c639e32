"""One transaction put to the engine with the operator's shelves and policy: what `check` and `explain`
share."""

import datetime as dt
from pathlib import Path

from msgspec import Struct

from carnet.cli.options import read_input
from carnet.engine.controlled import is_controlled
from carnet.engine.decide import decide, levels_of
from carnet.engine.explain import explanation
from carnet.model.determination import Determination
from carnet.model.errors import InputError
from carnet.model.near import nearest
from carnet.model.transaction import Transaction, read_transaction
from carnet.model.view import View, view
from carnet.policy.enforcement import Action, Policy, Surface, act_on, digest
from carnet.rules import blocks, tree
from carnet.rules.names import COUNTRIES
from carnet.rules.rulebook import Rulebook
from carnet.store.policies import read_policy
from carnet.store.shelves import load_rulebook


class Asked(Struct, frozen=True, kw_only=True):
    """A transaction with its answer and the action."""

    transaction: Transaction
    rulebook: Rulebook
    policy: Policy
    seen: View
    determination: Determination
    controlled: bool
    action: Action

    def document(self) -> dict[str, object]:
        """The one JSON document of `--json`."""
        return {
            "format": 1,
            "id": self.transaction.id,
            "determination": self.determination,
            "explanation": explanation(self.determination, self.rulebook),
            "controlled": self.controlled,
            "action": self.action,
            "policy": {"name": self.policy.name, "digest": digest(self.policy)},
        }


def ask(
    file: str,
    law: tuple[Path, ...],
    *,
    at: dt.datetime | None,
    known: dt.datetime | None,
    policy: Path | None,
    surface: Surface,
) -> Asked:
    """Read, decide, act. Raises InputError or RulesError for what can't be used."""
    data = read_input(file)
    rulebook = load_rulebook(*law)
    rules = read_policy(policy)
    check_choices(rules, rulebook)
    transaction = read_transaction(data, file=file, countries=countries_of(rulebook))
    return decided(transaction, rulebook, rules, at=at, known=known, surface=surface)


def decided(
    transaction: Transaction,
    rulebook: Rulebook,
    policy: Policy,
    *,
    at: dt.datetime | None,
    known: dt.datetime | None,
    surface: Surface,
) -> Asked:
    """The answer for a transaction that is read, and the action."""
    determination = decide(transaction, rulebook, at=at, known=known, choices=policy.choices).determination
    levels = levels_of(rulebook.terms, policy.choices)
    seen = view(transaction, at=determination.at, known=determination.known, levels=levels)
    controlled = is_controlled(rulebook, seen.values, determination.at, determination.known, policy.choices)
    product = seen.values.get("item.product")
    action = act_on(
        determination,
        policy,
        controlled=controlled,
        surface=surface,
        product=product if isinstance(product, str) else None,
    )
    return Asked(
        transaction=transaction,
        rulebook=rulebook,
        policy=policy,
        seen=seen,
        determination=determination,
        controlled=controlled,
        action=action,
    )


def countries_of(rulebook: Rulebook) -> frozenset[str] | None:
    """The ids of all countries that the rulebook knows; None if it has no list of them."""
    for block in rulebook.of(blocks.List):
        if block.id == COUNTRIES:
            return frozenset(member.id for member in block.members)
    return None


def check_choices(policy: Policy, rulebook: Rulebook) -> None:
    """Raises InputError for a choice of an axis, a reading or a term that the rulebook does not have."""
    axes: dict[str, set[str]] = {}
    for block in rulebook.blocks:
        for node in trees_of(block):
            for part in tree.parts_of(node):
                if isinstance(part, tree.Reading):
                    axes.setdefault(part.axis, set()).update(name for name, _ in part.values)
    for axis, reading in policy.choices.readings.items():
        if axis not in axes:
            raise InputError(
                f"policy `{policy.name}`: `{axis}` is not an axis of the rulebook{nearest(axis, axes)}"
            )
        if reading not in axes[axis]:
            near = nearest(reading, axes[axis])
            raise InputError(f"policy `{policy.name}`: `{reading}` is not a reading of `{axis}`{near}")
    for term in policy.choices.assurance:
        if rulebook.terms.of_path(term) is None and term not in rulebook.terms.specs:
            near = nearest(term, rulebook.terms.specs)
            raise InputError(f"policy `{policy.name}`: `{term}` is not a known fact{near}")


def trees_of(block: blocks.AnyBlock) -> list[tree.Tree]:
    """Every condition of a block."""
    if isinstance(block, blocks.Scope):
        return [block.subject, *(act.when for act in block.acts)]
    when = getattr(block, "when", None)
    return [] if when is None else [when]
