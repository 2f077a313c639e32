"""Facts of one party that can't both be true. What follows from it is up to the caller: an error where a
transaction is read, a conflict for a human where facts are weighed."""

from collections.abc import Mapping
from typing import NamedTuple

from carnet.model.facts import Known, Partial, Statuses, Unknown

_PERSON = (
    "us_status",
    "nationalities",
    "statuses",
    "employer",
    "employment",
    "permanent_regular_employee",
    "hired",
)
_ENTITY = ("incorporated", "organized_in", "branch_of", "headquarters", "parent_headquarters")
_US = "US"


class Contradiction(NamedTuple):
    """Two attributes and why they don't go together, with the values in backticks."""

    left: str
    right: str
    why: str


def contradictions(facts: Mapping[str, Known]) -> list[Contradiction]:
    """The pairs of a party's facts, by attribute, that the definitions of 15 CFR 772.1 do not allow
    together. Unknown facts contradict nothing."""
    known = {name: value for name, value in facts.items() if not isinstance(value, Unknown)}
    found = [*_kind(known), *_status(known)]
    nationalities, statuses = known.get("nationalities"), known.get("statuses")
    if isinstance(nationalities, frozenset) and isinstance(statuses, Statuses):
        for entry in statuses.entries:
            if entry.country not in nationalities | {_US}:
                why = (
                    f"a status of `{entry.country}` is not among the nationalities, which are said to be all"
                )
                found.append(Contradiction("statuses", "nationalities", why))
    return found


def _kind(known: Mapping[str, Known]) -> list[Contradiction]:
    kind = known.get("kind")
    if kind is None:
        return []
    wrong, what = (_ENTITY, "an entity") if kind == "person" else (_PERSON, "a natural person")
    return [
        Contradiction("kind", name, f"`{name}` is a fact of {what}, and the kind is `{kind}`")
        for name in wrong
        if name in known and not _nothing(known[name])
    ]


def _nothing(value: Known) -> bool:
    if isinstance(value, Statuses):
        return not value.entries
    return value in (frozenset(), Partial(frozenset()))


def _status(known: Mapping[str, Known]) -> list[Contradiction]:
    status = known.get("us_status")
    if status is None:
        return []
    found = []
    nationalities = known.get("nationalities")
    members = nationalities.members if isinstance(nationalities, Partial) else nationalities
    if isinstance(members, frozenset):
        if status == "citizen" and isinstance(nationalities, frozenset) and _US not in members:
            why = "the status is `citizen`, and `US` is not among the nationalities, which are said to be all"
            found.append(Contradiction("us_status", "nationalities", why))
        if status == "none" and _US in members:
            why = "the status is `none`, and `US` is among the nationalities"
            found.append(Contradiction("us_status", "nationalities", why))
    statuses = known.get("statuses")
    if isinstance(statuses, Statuses):
        held = any(entry.country == _US for entry in statuses.entries)
        if status == "none" and held:
            why = "the status is `none`, and a status of `US` is given"
            found.append(Contradiction("us_status", "statuses", why))
        if status in ("citizen", "permanent_resident") and statuses.complete and not held:
            why = f"the status is `{status}`, and no status of `US` is among those given, said to be all"
            found.append(Contradiction("us_status", "statuses", why))
    return found
