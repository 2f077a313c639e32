"""Which facts the rules of a slice can read for one item and event, and the canonical bytes of their values:
what a grant is keyed by (design, section 1). Who gets a grant is not here."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping

import msgspec
from msgspec import Struct

from carnet.engine.compiled import Compiled, compiled
from carnet.engine.trace import RESOLVED, Walk
from carnet.model.determination import Choices
from carnet.model.facts import MISSING, Values
from carnet.rules import tree
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import slice_at

EVENT = "transaction.event"


class Reads(Struct, frozen=True):
    """What rules can read: facts by path (those of parties as `parties.ROLE`, of whoever it is as
    `party.NAME`), lists by the id of the one that prevails, and the words that values are compared with."""

    paths: frozenset[str]
    lists: frozenset[str]
    words: frozenset[str]


def read_set(
    rulebook: Rulebook, values: Values, at: dt.datetime, known: dt.datetime, choices: Choices
) -> Reads:
    """What the answer may depend on, by what is known of the item and the event and nothing else.

    A question that item and event settle asks nothing more; of every other one, all facts count that it, its
    gates, what may lift it and what bars that may read, those of parties by role. So a fact outside changes
    no answer of this slice, and two uses that agree on all inside have the same one.
    """
    engine = compiled(slice_at(rulebook, at, known, choices))
    slice_, program = engine.slice, engine.program
    item = {path: value for path, value in values.items() if path.startswith("item.") or path == EVENT}
    paths, lists, words = {EVENT}, set[str](), set[str]()
    for node in _open(engine, Walk(item, at, {}, slice_.lists, program.inner, {}, program.depends)):
        paths |= program.paths(node)
        for part in _parts(node, program.inner):
            match part:
                case tree.Parties(roles=roles):
                    paths.update(f"parties.{role}" for role in roles)
                case tree.Resolved():
                    paths.add(RESOLVED)
                case tree.In(members=members) | tree.Quantified(members=members):
                    if isinstance(members, tree.Literals):
                        words |= members.members
                    else:
                        lists.add(slice_.lists[members.id].id)
    return Reads(frozenset(paths), frozenset(lists), frozenset(words))


def _parts(node: tree.Tree, inner: Mapping[str, tree.Tree]) -> Iterator[tree.Tree]:
    """Every part of a grounded condition, those of what it asks of parties included."""
    for part in tree.parts_of(node):
        yield part
        if isinstance(part, tree.Parties) and part.definition in inner:
            yield from _parts(inner[part.definition], inner)


def _open(engine: Compiled, walk: Walk) -> Iterator[tree.Tree]:
    """The conditions that are left: the gates, which name the permission too, and those of open questions."""
    program = engine.program
    nodes = list(program.gates)
    for instance in program.instances:
        if not walk.read(instance.applies).false:
            nodes += instance.trees(program.gates)
    yield from nodes
    if program.presumes(nodes):
        yield from (flag for entry in program.presumed for flag in entry.flags)


def facts_read(values: Values, paths: Collection[str]) -> bytes:
    """The values of these paths as canonical JSON: the same values are always the same bytes. A path that is
    not there and one that is missing are the same."""
    read = {path: values[path] for path in paths if path in values and values[path] != MISSING}
    return msgspec.json.encode(read, order="deterministic")
