"""How the answers under single readings make one answer. No conditions, no facts."""

from collections.abc import Mapping, Sequence

from carnet.model.determination import PERMITTED, Outcome

CLOSED = ("prohibited", "license_required")
PREFERENCE: tuple[Outcome, ...] = (
    "license_exception",
    "authorized",
    "no_license_required",
    "not_an_event",
    "not_subject",
)


def class_of(outcome: Outcome) -> str:
    """`permitted`, `prohibited`, `license_required` or `open`."""
    if outcome in PERMITTED:
        return "permitted"
    return outcome if outcome in CLOSED else "open"


def joined_outcomes(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for all readings."""
    found = set(outcomes)
    if len(found) == 1:
        return outcomes[0]
    if not found - set(CLOSED):
        return "license_required"
    if not found - PERMITTED:
        return min(found, key=PREFERENCE.index)
    return "needs_facts" if not found - PERMITTED - {"needs_facts"} else "needs_human"


def by_reading(combinations: Sequence[Mapping[str, str]], outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    """The outcomes by the axes on which they depend; empty if they depend on none."""
    if len(set(outcomes)) == 1:
        return {}
    table = {tuple(sorted(c.items())): outcome for c, outcome in zip(combinations, outcomes, strict=True)}
    kept = []
    for axis in sorted({axis for combination in combinations for axis in combination}):
        groups: dict[tuple[tuple[str, str], ...], set[Outcome]] = {}
        for combination, outcome in table.items():
            groups.setdefault(tuple(pair for pair in combination if pair[0] != axis), set()).add(outcome)
        if any(len(group) > 1 for group in groups.values()):
            kept.append(axis)
    return {
        ",".join(f"{axis}={value}" for axis, value in combination if axis in kept): outcome
        for combination, outcome in table.items()
    }
