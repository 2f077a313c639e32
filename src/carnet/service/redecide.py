"""The long run: every determination of an export is decided again, from the export alone, and compared with
what was recorded. Whether the export is what the log signed is in `carnet.service.outside`.

Where the private part was destroyed, what is left is the leaf: its class facts. Then no answer can be worked
out again, and what is compared is less: that the rules it names were in force, that the lists are those of
the rulebook, that item and event are controlled where it says so, and that the action follows from the answer
by the policy. Such records are counted apart.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from typing import cast, get_args

import msgspec
from msgspec import Struct

from carnet.ledger.export import Export
from carnet.model import leaf as leaves
from carnet.model.determination import Choices, Determination, Finding, RecordedDetermination, TaskDue
from carnet.model.errors import Absent, CarnetError, InputError
from carnet.model.leaf import Determined, Given
from carnet.model.plain import short
from carnet.model.recorded import choices_digest, recorded
from carnet.model.time import instant
from carnet.model.transaction import Transaction
from carnet.policy.enforcement import Surface, act_on
from carnet.rules import blocks
from carnet.service.exported_law import Book
from carnet.service.law import Law
from carnet.service.recording import evidence_used, plain
from carnet.store.laws import this_build
from carnet.store.vault_parts import committed


class Difference(Struct, frozen=True):
    """What comes out otherwise than it was recorded: the record, what of it, and both values. No fact of a
    person is in it, only what leaves hold."""

    index: int
    id: str
    what: str
    recorded: str
    now: str


class Replayed(Struct, frozen=True, kw_only=True):
    """What a replay found. `alike` were decided again from all facts and came out as recorded,
    `on_class_facts` agree as far as a leaf tells. `other` records are no determinations. `builds` are the
    programs that the installation had, and `same_build` says whether the one that replays is among them."""

    determinations: int
    alike: int
    on_class_facts: int
    differing: int
    other: int
    rulebooks: tuple[str, ...]
    builds: tuple[str, ...]
    same_build: bool
    differences: tuple[Difference, ...]


def redecided(found: Export) -> Replayed:
    """Decide every determination of an export again.

    The export has to be checked before. Raises `Absent` if it has no private parts, `Damaged` for a build
    that is not what was kept; a law that is missing or changed is a difference of every record that it
    decided.
    """
    if not found.manifest.private:
        raise Absent("the export has no private parts, so nothing can be decided again: add `--with-private`")
    book = Book(found)
    builds = book.builds()
    alike = on_class_facts = differing = other = 0
    differences: list[Difference] = []
    used = set[str]()
    for (index, data), private in zip(found.leaves(), found.private(), strict=True):
        leaf = leaves.read(data)
        if not isinstance(leaf, Determined):
            other += 1
            continue
        used.add(leaf.determination.rulebook)
        pairs = [pair for pair in _compared(leaf, private, book, builds) if pair[1] != pair[2]]
        if pairs:
            differing += 1
            differences += [Difference(index, leaf.id, *pair) for pair in pairs]
        elif private is None:
            on_class_facts += 1
        else:
            alike += 1
    return Replayed(
        determinations=alike + on_class_facts + differing,
        alike=alike,
        on_class_facts=on_class_facts,
        differing=differing,
        other=other,
        rulebooks=tuple(sorted(used)),
        builds=tuple(sorted(builds)),
        same_build=this_build() in builds.values(),
        differences=tuple(differences),
    )


def _compared(
    leaf: Determined, private: bytes | None, book: Book, builds: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """What is compared: what it is, as it was recorded, and as it comes out."""
    said = leaf.determination
    law = book.law(said.rulebook, leaf.policy)
    if isinstance(law, CarnetError):
        yield "law", said.rulebook, str(law)
        return
    yield "build", leaf.build, leaf.build if leaf.build in builds else "no build that is kept"
    yield "choices", said.choices, choices_digest(law.policy.choices)
    if private is None:
        yield from _on_class_facts(leaf, law)
    else:
        yield from _decided(leaf, private, law)


def _decided(leaf: Determined, private: bytes, law: Law) -> Iterator[tuple[str, str, str]]:
    """From all facts."""
    said = leaf.determination
    transaction = committed(leaf.commitment, private).transaction
    at, known = instant(said.at), instant(said.known)
    try:
        determination = law.decide(transaction, at, known).determination
    except CarnetError:  # what it says may tell a fact
        yield "outcome", said.outcome, "it can't be decided"
        return
    seen = law.view(transaction, at, known)
    about = law.about(seen.values, at, known)
    found = recorded(determination)
    for name in RecordedDetermination.__struct_fields__:
        yield name, _text(getattr(said, name)), _text(getattr(found, name))
    yield "event", _text(leaf.event), _text(plain(transaction.event))
    yield "product", _text(leaf.product), _text(plain(transaction.item.product))
    yield "form", _text(leaf.form), _text(plain(transaction.item.form))
    yield "controlled", _text(leaf.controlled), _text(about.controlled)
    yield "lists", _text(dict(leaf.lists)), _text(dict(about.lists))
    yield "retention", leaf.retention, about.retention
    evidence = leaves.references(evidence_used(transaction.recipient))
    yield "evidence", _text(leaf.evidence), _text(evidence)
    yield from _acted(leaf, determination, law)


def _on_class_facts(leaf: Determined, law: Law) -> Iterator[tuple[str, str, str]]:
    """From what a leaf alone tells.

    With fewer facts of the item than there were, more rules may reach it: so what is found is at least what
    was recorded, and only that is compared. A fact of the leaf may have been below its assurance; what was
    recorded then agrees with what is found while nothing is known of the item.
    """
    said = leaf.determination
    at, known = instant(said.at), instant(said.known)
    rules = {
        block.id
        for block in law.rulebook.of(blocks.Rule)
        if block.span.holds(at) != "no" and block.known <= known
    }
    for name in said.open_rules:
        yield "open_rules", name, name if name in rules else "no rule in force then"
    lifting = {block.id for block in law.rulebook.of(blocks.Exception_)}
    for name in said.lifted_by:
        yield "lifted_by", name, name if name in lifting else "no exception of the rulebook"
    reached = [
        law.about(law.view(transaction, at, known).values, at, known)
        for transaction in (_class_facts(leaf, at), Transaction(at=at))
        if transaction is not None
    ]
    for name, digest in leaf.lists.items():
        held = [about.lists.get(name, "no list that can be read") for about in reached]
        yield "lists", f"{name} {digest}", f"{name} {digest if digest in held else held[0]}"
    if leaf.controlled and not any(about.controlled for about in reached):
        yield "controlled", "true", "false"
    if leaf.retention == "ofac" and all(about.retention == "ear" for about in reached):
        yield "retention", "ofac", "ear"
    if not (law.policy.honour_announced_non_enforcement and said.marks):
        yield from _acted(leaf, _as_recorded(said, at, known), law)


def _class_facts(leaf: Determined, at: dt.datetime) -> Transaction | None:
    """A transaction of which no more is known than a leaf says; None if it says words that are none."""
    item = {"product": leaf.product, "form": leaf.form}
    said = {"at": at, "event": leaf.event, "item": item}
    try:
        return msgspec.convert(said, Transaction)
    except (msgspec.ValidationError, InputError):
        return None


def _granted(leaf: Determined, until: dt.datetime | None) -> Given | None:
    """The grant that a decision gives: only for a use of a controlled item that is served."""
    if (leaf.purpose, leaf.action, leaf.controlled) != ("use", "serve", True):
        return None
    return Given(None if until is None else leaves.instant_text(until))


def _acted(leaf: Determined, determination: Determination, law: Law) -> Iterator[tuple[str, str, str]]:
    """What the door did, with the tasks that were on record as done."""
    if leaf.surface not in get_args(Surface):
        yield "surface", leaf.surface, "no surface that is known"
        return
    came = act_on(
        determination,
        law.policy,
        controlled=leaf.controlled,
        surface=cast(Surface, leaf.surface),
        product=leaf.product,
        done=leaf.done,
    )
    yield "action", f"{leaf.action}, {leaf.reason}", f"{came.kind}, {came.reason}"
    yield "fallback", _text(leaf.fallback), _text(came.fallback)
    yield "grant", _text(leaf.grant), _text(_granted(leaf, law.until(determination)))
    due = {task.key for task in determination.tasks}
    yield "done", _text(leaf.done), _text(tuple(each for each in leaf.done if each in due))


def _as_recorded(said: RecordedDetermination, at: dt.datetime, known: dt.datetime) -> Determination:
    """The answer of a leaf as the policy takes it."""
    tasks = []
    for text in said.tasks:
        task, _, exception = text.partition(": ")
        due, _, key = task.partition(" ")
        tasks.append(TaskDue(exception, due, key, ""))
    return Determination(
        outcome=said.outcome,
        basis=said.basis,
        may_still_be=said.may_still_be,
        by_reading={},
        acts=(),
        findings=tuple(Finding(name, "requirement", "true", "") for name in said.open_rules),
        asks=(),
        humans=(),
        tasks=tuple(tasks),
        review=(),
        marks=said.marks,
        good_until=None if said.good_until is None else instant(said.good_until),
        at=at,
        known=known,
        choices=Choices(),
        rulebook=said.rulebook,
        engine=said.engine,
    )


def _text(value: object) -> str:
    return short(msgspec.json.encode(value, order="sorted").decode(), 200)
