"""Questions and rulebooks changed so that something is known of how the answer may change."""

from random import Random

import msgspec
from tests.property.views import Question, statuses, value
from tests.property.words import EARLY, PARTY_WORDS, PATHS, ROLES, domain

from carnet.engine.over_readings import class_of
from carnet.model.determination import Answer
from carnet.model.facts import Group, Known, Partial, Statuses, Unknown
from carnet.model.time import Days, Span
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook
from carnet.rules.terms import TermSpec

RANK = {"permitted": 0, "open": 1, "license_required": 2, "prohibited": 3}


def rank(answer: Answer) -> int:
    """How much an answer closes the way."""
    return RANK[class_of(answer.outcome)]


def without_flags(book: Rulebook) -> Rulebook:
    """Nothing that rests on somebody not knowing: a flag that is not even unknown counts for nothing."""
    return msgspec.structs.replace(
        book,
        blocks=tuple(
            block
            for block in book.blocks
            if not (isinstance(block, blocks.RedFlag) and (block.defeats or not block.open_when_unknown))
            and not any(
                isinstance(node, tree.IsUnknown) for node in tree.parts_of(getattr(block, "when", tree.TRUE))
            )
        ),
    )


def refined(r: Random, old: Known | None, one: TermSpec) -> Known | None:
    """A value of which more is known, or None if all is known. `old` None is a fact that is missing."""
    match old:
        case None:
            return value(r, one)
        case Unknown(_, candidates) if candidates:
            return r.choice(sorted(candidates))
        case Unknown(cause, _):
            if one.type in ("enum", "id", "country") and r.random() < 0.3:
                return Unknown(cause, frozenset(r.sample(domain(one), 2)))
            return value(r, one)
        case Partial(members):
            more = members | set(r.sample(domain(one), r.randrange(3)))
            return Partial(more) if more != members and r.random() < 0.3 else more
        case Statuses(entries, complete=False):
            kept = {entry.country for entry in entries}
            more = [entry for entry in statuses(r, True).entries if entry.country not in kept]
            return Statuses((*entries, *more), True)
        case Days(first, last) if first < last:
            day = r.randint(first, last)
            return Days(day, last) if r.random() < 0.3 else Days(day, day)
        case _:
            return None


def refine(r: Random, q: Question) -> Question | None:
    """The question with one unknown made more precise; presumed words apart."""
    paths = list(PATHS)
    r.shuffle(paths)
    for path, one in paths:
        if one.presumption is None and r.random() < 0.7:
            new = refined(r, q.values.get(path), one)
            if new is not None:
                return msgspec.structs.replace(q, values={**q.values, path: new})
    for role in ROLES:
        group = q.values.get(f"parties.{role}")
        new_group = refined_group(r, group if isinstance(group, Group) else Group((), False))
        if new_group is not None:
            return msgspec.structs.replace(q, values={**q.values, f"parties.{role}": new_group})
    return None


def refined_group(r: Random, group: Group) -> Group | None:
    for number, member in enumerate(group.members):
        for name, one in PARTY_WORDS:
            new = refined(r, member.get(name), one) if one.presumption is None and r.random() < 0.3 else None
            if new is not None:
                members = (*group.members[:number], {**member, name: new}, *group.members[number + 1 :])
                return Group(members, group.complete)
    if group.complete:
        return None
    return Group((*group.members, *({} for _ in range(r.randrange(3)))), r.random() < 0.7)


def base(name: str) -> dict[str, object]:
    return {
        "id": name,
        "file": "inv.md",
        "line": 1,
        "cite": "Invented Code",
        "regime": "us.inv",
        "span": Span(EARLY),
        "known": EARLY.earliest,
    }


def requirement(
    name: str, when: tree.Tree = tree.TRUE, reasons: tuple[str, ...] = ("NS",)
) -> blocks.Requirement:
    """A requirement with a gate of its own."""
    return blocks.Requirement(
        **base(name),
        gate="own",
        stage=None,
        when=when,
        reasons=reasons,
        lifted_by=frozenset({"authorization", "carve_out"}),
        review=(),
        binds=frozenset(),
    )


def prohibition(name: str, when: tree.Tree = tree.TRUE) -> blocks.Prohibition:
    return blocks.Prohibition(**base(name), gate="own", stage=None, when=when)


def exception(name: str, lift: blocks.Lift, when: tree.Tree = tree.TRUE) -> blocks.Exception_:
    """An authorization."""
    return blocks.Exception_(
        **base(name), class_="authorization", path="VEU", lifts=(lift,), when=when, tasks=()
    )


def with_block(book: Rulebook, *more: blocks.AnyBlock) -> Rulebook:
    """The rulebook with blocks added, or put in place of those with their ids."""
    found = {block.id: block for block in (*book.blocks, *more)}
    return msgspec.structs.replace(book, blocks=tuple(found[name] for name in sorted(found)))
