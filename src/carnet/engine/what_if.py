"""Single facts that would change an answer, found by asking the engine again. What people read of it is in
`carnet.engine.explain`."""

from collections.abc import Iterable, Iterator

from carnet.engine import decide
from carnet.engine.explain import Change
from carnet.model.determination import Determination
from carnet.model.facts import Known, Unknown, Values
from carnet.rules.rulebook import Rulebook
from carnet.rules.terms import Terms

MOST = 60
"""Questions that are put to the engine for one explanation."""


def changes(
    determination: Determination, rulebook: Rulebook, values: Values, stated: Values
) -> tuple[Change, ...]:
    """Every single fact with a known set of values that would give another outcome: what is asked for, and
    what decided the findings. Assured, all else as it is."""
    of, found = determination, []
    for count, (path, value) in enumerate(_options(_paths(of), values, rulebook.terms)):
        if count >= MOST:
            break
        others = {name: known for name, known in stated.items() if name != path}
        answer = decide.answer(rulebook, {**values, path: value}, of.at, of.known, of.choices, others)
        if answer.outcome != of.outcome:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found.append(Change(path, text, answer.outcome))
    return tuple(found)


def _paths(determination: Determination) -> list[str]:
    asked = [ask.fact for ask in determination.asks]
    decided = [
        fact
        for finding in determination.findings
        if finding.kind in ("requirement", "prohibition", "exception") and finding.truth == "true"
        for fact in finding.facts
    ]
    return list(dict.fromkeys([*asked, *decided]))


def _options(paths: Iterable[str], values: Values, terms: Terms) -> Iterator[tuple[str, Known]]:
    for path in paths:
        spec = terms.of_path(path) if "[" not in path else None
        if spec is None:
            continue
        now = values.get(path)
        options: tuple[Known, ...] = (True, False) if spec.type == "bool" else ()
        if spec.type == "enum":
            options = spec.values
        if isinstance(now, Unknown) and now.candidates is not None:
            options = tuple(sorted(now.candidates))
        yield from ((path, option) for option in options if option != now)
