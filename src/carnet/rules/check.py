"""Loading a rulebook from shelves, and every error that only shows between blocks: undefined names,
cycles, overlaps without priority, one-sided exceptions."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, pairwise

import msgspec

from carnet.model.errors import Problem, RulesError
from carnet.model.time import Span
from carnet.rules import blocks, bundle, tree
from carnet.rules.build import Build
from carnet.rules.keys import KEYS
from carnet.rules.lists import Lists, names_of
from carnet.rules.rulebook import Page, Rulebook, conditions_of
from carnet.rules.source import Provision, Raw, provisions
from carnet.rules.syntax import Names, nearest
from carnet.rules.terms import Terms
from carnet.rules.vocabulary import read_terms

Shelf = Mapping[str, bytes]


def load(*shelves: Shelf) -> Rulebook:
    """The union of the shelves (posix path below the shelf -> bytes) as one rulebook.

    Raises RulesError with every problem found, each with file, line and what to do.
    """
    problems: list[Problem] = []
    terms = read_terms(shelves, problems)
    read = [(provision, shelf) for shelf in shelves for provision in provisions(shelf, problems)]
    names = _names([provision for provision, _ in read], problems)
    made: list[blocks.AnyBlock] = []
    cases: list[blocks.Case] = []
    pages: dict[str, Page] = {}
    domains: dict[str, str] = {}
    for provision, shelf in read:
        pages[provision.page.file] = provision.page
        build = Build(provision, terms, names)
        lists = Lists(build, shelf, problems)
        for raw in provision.blocks:
            if raw.kind == "list":
                made.extend(lists.block(raw, domains))
            elif raw.kind in KEYS:
                for block in build.block(raw, problems):
                    cases.append(block) if isinstance(block, blocks.Case) else made.append(block)
    made = [_with_domain(block, domains, made, problems) for block in made]
    made += _with_flags(made)
    found = tuple(sorted(made, key=lambda block: block.id))
    problems.extend(between(found, terms))
    if problems:
        raise RulesError(problems)
    return Rulebook(
        blocks=found, terms=terms, cases=tuple(cases), pages=pages, digest=bundle.digest(found, terms)
    )


def _names(read: list[Provision], problems: list[Problem]) -> Names:
    """What conditions may call, gathered before any condition is read."""
    definitions: dict[str, str] = {}
    lists: dict[str, str] = {}
    for raw in (raw for provision in read for raw in provision.blocks):
        if raw.kind == "definition":
            definitions[str(raw.data.get("name"))] = str(raw.data.get("of"))
        elif raw.kind == "list":
            lists |= {name: str(raw.data.get("type")) for name in names_of(raw)}
        elif raw.kind not in KEYS:
            problems.append(_at(raw, f"`{raw.kind}` is not a kind of block{nearest(raw.kind, KEYS)}"))
    return Names(definitions, lists)


def _at(block: Raw | blocks.AnyBlock, message: str) -> Problem:
    return Problem(block.file, block.line, message)


def _with_domain(
    block: blocks.AnyBlock, domains: Mapping[str, str], made: list[blocks.AnyBlock], problems: list[Problem]
) -> blocks.AnyBlock:
    if not isinstance(block, blocks.List) or block.id not in domains:
        return block
    wanted = domains[block.id]
    values = {
        row.id
        for other in made
        if isinstance(other, blocks.List) and other.id == wanted
        for row in other.members
    }
    if not values:
        lists = [other.id for other in made if isinstance(other, blocks.List) and other.id != block.id]
        problems.append(_at(block, f"domain `{wanted}` is not a list with members{nearest(wanted, lists)}"))
        return block
    if block.domain is None:
        return msgspec.structs.replace(block, domain=frozenset(values))
    return block


def _with_flags(made: list[blocks.AnyBlock]) -> list[blocks.AnyBlock]:
    """What acts upon a requirement acts upon the red flag that its `binds` raises."""
    ids = {block.id for block in made}
    overlays = [
        block for block in made if isinstance(block, blocks.Overlay) and f"{block.target}#bound" in ids
    ]
    return [
        msgspec.structs.replace(overlay, id=f"{overlay.id}#bound", target=f"{overlay.target}#bound")
        for overlay in overlays
        if overlay.kind != "not_enforced"
    ]


def between(found: tuple[blocks.AnyBlock, ...], terms: Terms) -> Iterator[Problem]:
    """Every problem among typed blocks."""
    ids = {block.id: block for block in found}
    for first, second in pairwise(found):
        if first.id == second.id:
            yield _at(
                second,
                f"`{second.id}` is defined twice (also `{first.file}:{first.line}`): give one another id",
            )
    for block in found:
        match block:
            case blocks.Exception_():
                yield from _lifts(block, ids)
            case blocks.Bar():
                yield from _bar(block, found)
            case blocks.RedFlag():
                yield from _red_flag(block, found, terms)
            case blocks.Overlay():
                yield from _target(block, ids)
            case blocks.List():
                yield from _rows(block, ids)
    yield from _axes(found)
    yield from _acts(found)
    yield from _definitions([block for block in found if isinstance(block, blocks.Definition)])
    yield from _overlays([block for block in found if isinstance(block, blocks.Overlay)])


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share an instant."""
    return (one.end is None or other.start.earliest < one.end.latest) and (
        other.end is None or one.start.earliest < other.end.latest
    )


def _lifts(block: blocks.Exception_, ids: Mapping[str, blocks.AnyBlock]) -> Iterator[Problem]:
    requirements = [name for name, other in ids.items() if isinstance(other, blocks.Requirement)]
    for lift in block.lifts:
        target = ids.get(lift.requirement)
        if not isinstance(target, blocks.Requirement):
            if isinstance(target, blocks.Prohibition):
                yield _at(block, f"`{lift.requirement}` is a prohibition: nothing lifts it")
            else:
                yield _at(
                    block,
                    f"lifts `{lift.requirement}`, which is no requirement"
                    f"{nearest(lift.requirement, requirements)}",
                )
            continue
        for reason in sorted((lift.reasons or frozenset()) - set(target.reasons)):
            yield _at(block, f"`{target.id}` has no reason `{reason}`{nearest(reason, target.reasons)}")
        wanted = block.path if block.class_ == "license_exception" else block.class_
        if wanted not in target.lifted_by:
            yield _at(block, f"`{target.id}` does not name `{wanted}` in `lifted_by`: both sides must agree")
        if block.class_ == "carve_out" and block.regime != target.regime:
            yield _at(
                block,
                f"a carve-out of `{block.regime}` can't lift `{target.id}` of `{target.regime}`:"
                " same regime only",
            )
        if block.class_ == "carve_out" and block.span.start.earliest < target.span.start.earliest:
            yield _at(
                block, f"a carve-out begins no earlier than what it lifts: `{target.id}` is from a later day"
            )


def _bar(block: blocks.Bar, found: Iterable[blocks.AnyBlock]) -> Iterator[Problem]:
    exceptions = [other for other in found if isinstance(other, blocks.Exception_)]
    words = {other.path for other in exceptions} | {"license_exception", "carve_out", "authorization"}
    for word in sorted((block.blocks | block.except_) - words):
        yield _at(block, f"`{word}` is neither a class nor the path of an exception{nearest(word, words)}")
    if not block.blocks:
        yield _at(block, "a bar says what it `blocks`: a class like `license_exception`, or a path")


def _red_flag(block: blocks.RedFlag, found: tuple[blocks.AnyBlock, ...], terms: Terms) -> Iterator[Problem]:
    presumed = {path for path, spec in terms.specs.items() if spec.presumption is not None}
    for path in sorted(block.defeats - presumed):
        yield _at(block, f"`{path}` carries no presumption to defeat{nearest(path, presumed)}")
    if block.defeats and tree.speaks_of(block.when, "act"):
        yield _at(block, "a flag that defeats a presumption is about the transaction: it can't read `act`")
    for path in sorted(block.defeats & _rests_on(block, found, terms)):
        yield _at(block, f"a cycle: the flag reads `{path}`, whose presumption it defeats")


def _target(block: blocks.Overlay, ids: Mapping[str, blocks.AnyBlock]) -> Iterator[Problem]:
    name, _, member = block.target.partition("#") if block.target not in ids else (block.target, "", "")
    target = ids.get(name)
    if target is None:
        yield _at(block, f"overlay on `{block.target}`, which does not exist{nearest(block.target, ids)}")
    elif isinstance(target, blocks.Overlay):
        yield _at(
            block,
            "an overlay on an overlay is a reserved word in this release: end the first one with `until`",
        )
    elif isinstance(target, blocks.Definition | blocks.Coverage | blocks.Scope):
        yield _at(
            block,
            f"an overlay acts on a rule, an exception, a bar, a flag or a list: end `{name}` with `until`",
        )
    elif isinstance(target, blocks.List):
        members = [row.id for row in target.members]
        if member not in members:
            yield _at(
                block,
                f"`{block.target}` names no member of `{name}`: write `{name}#MEMBER`"
                f"{nearest(member, members)}",
            )
        elif block.products or block.kind == "not_enforced":
            yield _at(block, f"a `{block.kind}` with products or without effect can't act on a list's member")
    elif member:
        yield _at(block, f"`{name}` is not a list: leave out `#{member}`")


def _rows(block: blocks.List, ids: Mapping[str, blocks.AnyBlock]) -> Iterator[Problem]:
    by_id: dict[str, list[blocks.Member]] = {}
    for row in block.members:
        by_id.setdefault(row.id, []).append(row)
        if block.domain is not None and row.id not in block.domain:
            yield _at(
                block, f"`{row.id}` is outside the domain of `{block.id}`{nearest(row.id, block.domain)}"
            )
    for name, rows in by_id.items():
        if any(overlap(one.span, other.span) for one, other in combinations(rows, 2)):
            yield _at(
                block, f"`{name}` stands in `{block.id}` twice at once: end one row where the other begins"
            )
    seen = {block.id}
    other: blocks.AnyBlock | None = block
    while isinstance(other, blocks.List) and other.prevails is not None:
        if other.prevails in seen:
            yield _at(block, f"a cycle: `{block.id}` prevails over itself through `{other.id}`")
            return
        seen.add(other.prevails)
        below, other = other.prevails, ids.get(other.prevails)
        if not isinstance(other, blocks.List):
            yield _at(block, f"prevails over `{below}`, which is no list{nearest(below, ids)}")
    rivals = [
        rival.id
        for rival in ids.values()
        if isinstance(rival, blocks.List)
        and rival.id < block.id
        and rival.prevails == block.prevails is not None
        and overlap(rival.content, block.content)
    ]
    for rival_id in rivals:
        yield _at(
            block,
            f"`{rival_id}` and `{block.id}` both prevail over `{block.prevails}` with no priority: keep one",
        )


def _axes(found: tuple[blocks.AnyBlock, ...]) -> Iterator[Problem]:
    """An axis has the same values wherever it stands: blocks are read jointly on it."""
    first: dict[str, tuple[set[str], blocks.AnyBlock]] = {}
    for block in found:
        for node in (part for condition in conditions_of(block) for part in tree.parts_of(condition)):
            if isinstance(node, tree.Reading):
                values = {value for value, _ in node.values}
                wanted, where = first.setdefault(node.axis, (values, block))
                if values != wanted:
                    names = ", ".join(f"`{value}`" for value in sorted(wanted))
                    yield _at(
                        block, f"axis `{node.axis}` has the readings {names} in `{where.id}`: state the same"
                    )


def _acts(found: tuple[blocks.AnyBlock, ...]) -> Iterator[Problem]:
    """What is read for each act of its regime would never be read in a regime without acts."""
    regimes = {block.regime for block in found if isinstance(block, blocks.Scope)}
    for block in found:
        if isinstance(block, blocks.Rule | blocks.RedFlag) and block.regime not in regimes:
            behind = isinstance(block, blocks.Rule) and block.gate == "scope"
            if behind or tree.speaks_of(block.when, "act"):
                yield _at(
                    block,
                    f"`{block.id}` waits for an act, and no scope of `{block.regime}` finds any:"
                    ' set `regime` in the front matter, or `gate = "own"`',
                )


def _definitions(found: list[blocks.Definition]) -> Iterator[Problem]:
    by_name: dict[str, list[blocks.Definition]] = {}
    for block in found:
        by_name.setdefault(block.name, []).append(block)
        if any(
            edge.earliest != edge.latest for edge in (block.span.start, block.span.end) if edge is not None
        ):
            yield _at(
                block,
                f"definition `{block.name}` begins or ends in a window: a definition needs exact instants",
            )
    for name, versions in by_name.items():
        for one, other in combinations(versions, 2):
            if one.entity != other.entity:
                yield _at(
                    other,
                    f"`{name}` is about a `{one.entity}` at `{one.file}:{one.line}`: keep one kind of entity",
                )
            elif overlap(one.span, other.span):
                yield _at(
                    other,
                    f"conflicting definitions of `{name}` (also `{one.file}:{one.line}`):"
                    " end one where the other begins",
                )
    calls = {
        name: set().union(*(_calls(block.when) for block in versions)) for name, versions in by_name.items()
    }
    reached = {name: _closure(name, calls) for name in calls}
    for name, versions in by_name.items():
        if name in reached[name]:
            yield _at(
                versions[0], f"a cycle: `{name}` calls itself through `{', '.join(sorted(reached[name]))}`"
            )


def _closure(name: str, calls: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(calls[name])
    while todo:
        called = todo.pop()
        if called not in found:
            found.add(called)
            todo.extend(calls.get(called, ()))
    return found


def _overlays(found: list[blocks.Overlay]) -> Iterator[Problem]:
    for one, other in combinations(found, 2):
        if one.target != other.target or one.kind != other.kind or one.kind == "stay":
            continue
        apart = one.products and other.products and not one.products & other.products
        if overlap(one.span, other.span) and not apart:
            yield _at(
                other,
                f"conflicting overlays on `{one.target}` with no priority (also `{one.id}`):"
                " end one where the other begins",
            )


def _calls(node: tree.Tree) -> set[str]:
    return {part.definition for part in tree.parts_of(node) if isinstance(part, tree.Call | tree.Parties)}


def _rests_on(block: blocks.RedFlag, found: tuple[blocks.AnyBlock, ...], terms: Terms) -> set[str]:
    """Declared paths of the words that a flag reads, by itself or through the flags that defeat these."""
    flags = [other for other in found if isinstance(other, blocks.RedFlag)]
    definitions = [other for other in found if isinstance(other, blocks.Definition)]
    reached: set[str] = set()
    todo = [block]
    while todo:
        new = _words(todo.pop().when, terms, definitions, {}) - reached
        reached |= new
        todo.extend(flag for flag in flags if flag.defeats & new)
    return reached


def _words(
    node: tree.Tree, terms: Terms, definitions: list[blocks.Definition], bound: Mapping[str, str]
) -> set[str]:
    """Declared paths of the words that a condition reads, definitions included; `bound` are parameters."""
    specs = (terms.find(bound.get(term.entity, term.entity), term.name) for term in tree.terms_of(node))
    found = {spec.path for spec in specs if spec is not None}
    for part in tree.parts_of(node):
        if isinstance(part, tree.Call | tree.Parties):
            entity = bound.get(part.entity, part.entity) if isinstance(part, tree.Call) else "party"
            others = [other for other in definitions if other.name != part.definition]
            for called in (other for other in definitions if other.name == part.definition):
                found |= _words(called.when, terms, others, {called.parameter: entity})
    return found
