"""What rests on what: definitions that call each other, lists that prevail over each other, flags that read
what they defeat; and how large a condition is once its definitions are written out."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from carnet.model.errors import Problem
from carnet.model.plain import listed
from carnet.rules import blocks, tree
from carnet.rules.overlaps import at
from carnet.rules.rulebook import conditions_of
from carnet.rules.terms import Terms

MOST_PARTS, DEEPEST = 5_000, 60
"""Parts of a condition with its definitions written out, and how deep they may be nested: within what every
engine can evaluate."""


def calls_of(node: tree.Tree) -> set[str]:
    """The definitions that a condition calls by itself."""
    return {part.definition for part in tree.parts_of(node) if isinstance(part, tree.Call | tree.Parties)}


def circles(edges: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """Every circle of names, once, in order of name."""
    reached = {name: _closure(name, edges) for name in edges}
    for name in sorted(edges):
        circle = sorted(other for other in reached[name] if name in reached.get(other, ()))
        if circle[:1] == [name]:
            yield circle


def _closure(name: str, edges: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(edges[name])
    while todo:
        called = todo.pop()
        if called not in found:
            found.add(called)
            todo.extend(edges.get(called, ()))
    return found


def definitions(found: Iterable[blocks.AnyBlock]) -> Iterator[Problem]:
    """Definitions that call themselves, and conditions that grow too large."""
    all_ = list(found)
    named, calls = _calls(all_)
    for circle in circles(calls):
        through = listed(circle[1:] or circle)
        yield at(named[circle[0]][0], f"a cycle: `{circle[0]}` calls itself through {through}: cut it")
    yield from _large(all_, named, calls)


def _calls(
    found: Iterable[blocks.AnyBlock],
) -> tuple[dict[str, list[blocks.Definition]], dict[str, set[str]]]:
    """The versions of every definition, and the definitions that these call, by name."""
    named: dict[str, list[blocks.Definition]] = {}
    for block in found:
        if isinstance(block, blocks.Definition):
            named.setdefault(block.name, []).append(block)
    calls = {
        name: set().union(*(calls_of(block.when) for block in same)) & named.keys()
        for name, same in named.items()
    }
    return named, calls


def nested(found: Collection[blocks.AnyBlock]) -> Iterator[Problem]:
    """A definition that is put to every party can't ask about parties itself."""
    named, calls = _calls(found)
    asks = {
        name
        for name, same in named.items()
        for block in same
        if any(isinstance(part, tree.Parties) for part in tree.parts_of(block.when))
    }
    for block in found:
        for part in (part for node in conditions_of(block) for part in tree.parts_of(node)):
            if isinstance(part, tree.Parties) and part.definition in calls:
                through = {part.definition, *_closure(part.definition, calls)} & asks
                if through:
                    name = f"`{part.quantifier}_party` over `{part.definition}`"
                    yield at(
                        block, f"{name} asks about parties again, in {listed(sorted(through))}: ask apart"
                    )
                    break


def _large(
    found: list[blocks.AnyBlock],
    named: Mapping[str, list[blocks.Definition]],
    calls: Mapping[str, Collection[str]],
) -> Iterator[Problem]:
    """Conditions that are too large once written out; not those that only call one that is."""
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError:
        return
    sizes: dict[str, tuple[int, int]] = {}
    for name in order:
        each = [_size(block.when, sizes) for block in named[name]]
        sizes[name] = (max(parts for parts, _ in each), max(deep for _, deep in each))
    too_large = {name for name, size in sizes.items() if size[0] > MOST_PARTS or size[1] > DEEPEST}
    for block in found:
        for node in conditions_of(block):
            parts, deep = _size(node, sizes)
            if (parts > MOST_PARTS or deep > DEEPEST) and not calls_of(node) & too_large:
                what = f"{parts} parts, over {MOST_PARTS}" if parts > MOST_PARTS else f"over {DEEPEST} levels"
                yield at(
                    block, f"`{block.id}` with its definitions written out has {what}: call fewer of them"
                )
                break


def _size(node: tree.Tree, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """How many parts a condition has, and how deep they are nested, with its definitions written out."""
    match node:
        case tree.Not(part) | tree.IsUnknown(part):
            below = [_size(part, sizes)]
        case tree.And(parts) | tree.Or(parts):
            below = [_size(part, sizes) for part in parts]
        case tree.Reading(_, values):
            below = [_size(part, sizes) for _, part in values]
        case tree.Call(name, _) | tree.Parties(definition=name):
            below = [sizes[name]] if name in sizes else []
        case _:
            below = []
    return 1 + sum(parts for parts, _ in below), 1 + max((deep for _, deep in below), default=0)


def prevailing(found: Iterable[blocks.List]) -> Iterator[Problem]:
    """Lists that prevail over themselves."""
    named = {block.id: block for block in found}
    edges = {name: named.keys() & {block.prevails} for name, block in named.items()}
    for circle in circles(edges):
        through = listed(circle[1:] or circle)
        yield at(named[circle[0]], f"a cycle: `{circle[0]}` prevails over itself through {through}: cut it")


def flags(found: Collection[blocks.AnyBlock], terms: Terms) -> Iterator[Problem]:
    """Flags that read the word whose presumption they defeat, by themselves or through other flags."""
    named, _ = _calls(found)
    by_id = {block.id: block for block in found if isinstance(block, blocks.RedFlag)}
    reads = {name: _words(flag.when, terms, named) for name, flag in by_id.items()}
    edges = {name: {other for other, flag in by_id.items() if flag.defeats & reads[name]} for name in by_id}
    for circle in circles(edges):
        flag, through = by_id[circle[0]], listed(circle[1:])
        read = sorted(flag.defeats & set().union(*(reads[name] for name in circle)))
        how = f" through {through}" if through else ""
        yield at(
            flag,
            f"a cycle: the flag reads `{read[0]}`{how}, whose presumption it defeats: let it read another",
        )


def _words(node: tree.Tree, terms: Terms, named: Mapping[str, list[blocks.Definition]]) -> set[str]:
    """Declared paths of the words that a condition reads, definitions included."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo: list[tuple[tree.Tree, Mapping[str, str]]] = [(node, {})]
    while todo:
        part, bound = todo.pop()
        specs = (terms.find(bound.get(term.entity, term.entity), term.name) for term in tree.terms_of(part))
        found.update(spec.path for spec in specs if spec is not None)
        for call in tree.parts_of(part):
            if isinstance(call, tree.Call | tree.Parties):
                entity = bound.get(call.entity, call.entity) if isinstance(call, tree.Call) else "party"
                if (call.definition, entity) not in seen:
                    seen.add((call.definition, entity))
                    todo += [(one.when, {one.parameter: entity}) for one in named.get(call.definition, ())]
    return found
