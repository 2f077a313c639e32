"""What may be kept of a determination, and its canonical bytes. Where it is kept is not here."""

import datetime as dt
import hashlib
from collections.abc import Iterable

import msgspec

from carnet.model.determination import Choices, Determination, RecordedDetermination

FORMAT = 1


def recorded(determination: Determination) -> RecordedDetermination:
    """A determination without its facts: ids of rules, classes, paths and digests.

    Acts and findings are dropped but for the rules that are open and what lifted the others: a destination
    may be a nationality, and which facts decided a finding may tell a status. So a citizen's, a
    permanent resident's and an asylee's records are the same bytes (8 USC 1324b).
    """
    rules = [
        finding
        for finding in determination.findings
        if finding.kind in ("requirement", "prohibition") and finding.truth == "true"
    ]
    return RecordedDetermination(
        format=FORMAT,
        outcome=determination.outcome,
        basis=determination.basis,
        may_still_be=_sorted(determination.may_still_be),
        readings=_sorted(f"{key}: {outcome}" for key, outcome in determination.by_reading.items()),
        open_rules=_sorted(finding.id for finding in rules if not finding.lifted_by),
        lifted_by=_sorted(name for finding in rules for name in finding.lifted_by),
        asked=_sorted(ask.fact for ask in determination.asks),
        human_causes=_sorted(f"{human.cause}: {human.id}" for human in determination.humans),
        tasks=_sorted(f"{task.due} {task.key}: {task.exception}" for task in determination.tasks),
        marks=_sorted(determination.marks),
        good_until=None if determination.good_until is None else _instant(determination.good_until),
        at=_instant(determination.at),
        known=_instant(determination.known),
        choices=choices_digest(determination.choices),
        rulebook=determination.rulebook,
        engine=determination.engine,
    )


def canonical(record: RecordedDetermination) -> bytes:
    """The record as JSON with sorted keys and no space: the same record is always the same bytes."""
    return msgspec.json.encode(record, order="sorted")


def choices_digest(choices: Choices) -> str:
    """SHA-256 of the choices in canonical JSON, as hex."""
    return hashlib.sha256(msgspec.json.encode(choices, order="sorted")).hexdigest()


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _instant(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
