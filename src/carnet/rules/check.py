"""Loading a rulebook from shelves, and the errors that only show between blocks: names that do not exist,
one-sided exceptions, overlays on nothing. What clashes is in `carnet.rules.overlaps`, what goes in circles in
`carnet.rules.cycles`."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import get_args

import msgspec

from carnet.model.errors import Problem, RulesError
from carnet.model.near import nearest
from carnet.model.plain import listed
from carnet.rules import blocks, bundle, cycles, overlaps, tree
from carnet.rules.build import Build
from carnet.rules.cases import Cases
from carnet.rules.keys import KEYS, RESERVED
from carnet.rules.lists import Lists, countries_of, names_of, types_of
from carnet.rules.names import Names, is_lost
from carnet.rules.overlaps import Rank, at
from carnet.rules.rulebook import Rulebook, conditions_of
from carnet.rules.source import Provision, Raw, Shelf, provisions
from carnet.rules.terms import Terms
from carnet.rules.vocabulary import read_terms

Read = list[tuple[Provision, Shelf]]


def load(*shelves: Mapping[str, bytes], names: Sequence[str] = ()) -> Rulebook:
    """The union of the shelves (posix path below the shelf -> bytes) as one rulebook. `names` say how each
    shelf is called, in front of the paths of its files: `my-law/`.

    Raises RulesError with every problem found, each with file, line and what to do. What follows from another
    problem is not told: what can't be read comes before what it says, blocks come before cases, and nobody is
    blamed for speaking of a block that is wrong.
    """
    problems: list[Problem] = []
    held = [Shelf(files, names[index] if names else "") for index, files in enumerate(shelves)]
    terms = read_terms(held, problems)
    read = [(found, shelf) for shelf in held for found in provisions(shelf, tuple(KEYS), problems)]
    if problems:
        raise RulesError(problems)
    lost: set[str] = set()
    rank = {found.page.file: held.index(shelf) for found, shelf in read}
    made, cases = _made(read, terms, problems, lost)
    found = tuple(sorted(made, key=lambda block: block.id))
    problems.extend((*between(found, terms, lost, rank), *_stages(found, lost), *cycles.nested(found)))
    if problems:
        raise RulesError(problems)
    checks = Cases(found, terms)
    problems.extend(problem for case, raw in cases for problem in checks.problems(case, raw))
    if problems:
        raise RulesError(problems)
    return Rulebook(
        blocks=found,
        terms=terms,
        cases=tuple(case for case, _ in cases),
        pages={provision.page.file: provision.page for provision, _ in read},
        digest=bundle.digest(found, terms),
    )


def _made(
    read: Read, terms: Terms, problems: list[Problem], lost: set[str]
) -> tuple[list[blocks.AnyBlock], list[tuple[blocks.Case, Raw]]]:
    """The typed blocks and the cases of all provisions: lists first, since conditions may speak of them."""
    names = _names([found for found, _ in read], terms, problems, lost)
    lists: list[blocks.List] = []
    domains: dict[str, str] = {}
    for provision, shelf in read:
        builder = Lists(Build(provision, terms, names), shelf, problems)
        for raw in (raw for raw in provision.blocks if raw.kind == "list"):
            made = builder.block(raw, domains)
            lists.extend(made)
            lost.update(() if made else raw.named())
    found: list[blocks.AnyBlock] = [_with_domain(block, domains, lists, lost, problems) for block in lists]
    cases: list[tuple[blocks.Case, Raw]] = []
    names = msgspec.structs.replace(names, countries=countries_of(lists), lost=frozenset(lost))
    for provision, _ in read:
        build = Build(provision, terms, names)
        for raw in (raw for raw in provision.blocks if raw.kind in KEYS and raw.kind != "list"):
            built = build.block(raw, problems)
            found += [block for block in built if not isinstance(block, blocks.Case)]
            cases += [(block, raw) for block in built if isinstance(block, blocks.Case)]
            if not built:
                lost.update((*raw.named(), f"{raw.kind}:{provision.regime}"))
    return found + _with_flags(found), cases


def _names(read: list[Provision], terms: Terms, problems: list[Problem], lost: set[str]) -> Names:
    """What conditions may call, gathered before any condition is read. What is given in a form that nobody
    can use is lost: its own block says so."""
    definitions: dict[str, str] = {}
    lists: dict[str, str] = {}
    types = types_of(terms)
    for raw in (raw for provision in read for raw in provision.blocks):
        if raw.kind == "definition":
            name, of = raw.data.get("name"), raw.data.get("of")
            definitions.setdefault(str(name), str(of))
            lost.update(raw.named() if of not in get_args(blocks.Entity) or "*" in raw.named() else ())
        elif raw.kind == "list":
            of = raw.data.get("type")
            lists.update((name, str(of)) for name in names_of(raw) if of in types)
        elif raw.kind in RESERVED:
            what = f"`{raw.kind}` is a reserved word: this release has no such block, so leave it out"
            problems.append(Problem(raw.file, raw.line, what))
        elif raw.kind not in KEYS:
            lost.update(raw.named())
            what = f"`{raw.kind}` is not a kind of block{nearest(raw.kind, KEYS)}"
            problems.append(Problem(raw.file, raw.line, what))
    return Names(definitions, lists, lost=frozenset(lost))


def _with_domain(
    block: blocks.List,
    domains: Mapping[str, str],
    made: list[blocks.List],
    lost: Collection[str],
    problems: list[Problem],
) -> blocks.List:
    if block.id not in domains or is_lost(domains[block.id], lost):
        return block
    wanted = domains[block.id]
    values = {row.id for other in made if other.id == wanted for row in other.members}
    if not values:
        lists = [other.id for other in made if other.id != block.id]
        problems.append(at(block, f"domain `{wanted}` is not a list with members{nearest(wanted, lists)}"))
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


def between(
    found: tuple[blocks.AnyBlock, ...],
    terms: Terms,
    lost: Collection[str],
    rank: Rank,
) -> Iterator[Problem]:
    """Every problem among typed blocks. Nothing is said of what speaks of a `lost` one."""
    ids: dict[str, blocks.AnyBlock] = {}
    for block in sorted(found, key=lambda block: rank[block.file]):
        first = ids.setdefault(block.id, block)
        if first is not block and not block.id.endswith("#bound"):
            where = f"`{first.file}:{first.line}`"
            yield at(block, f"`{block.id}` is defined twice (also {where}): give one another id")
    lists = [block for block in found if isinstance(block, blocks.List)]
    for block in found:
        match block:
            case blocks.Exception_():
                yield from _lifts(block, ids, lost)
            case blocks.Bar():
                yield from _bar(block, found, lost)
            case blocks.RedFlag():
                yield from _red_flag(block, terms)
            case blocks.Overlay():
                yield from _target(block, ids, lost)
            case blocks.List():
                yield from overlaps.rows(block, ids, lost)
    yield from _axes(found, rank)
    yield from _acts(found, lost)
    yield from overlaps.rivals(lists, rank)
    yield from overlaps.versions([block for block in found if isinstance(block, blocks.Definition)], rank)
    yield from overlaps.overlays([block for block in found if isinstance(block, blocks.Overlay)], rank)
    yield from cycles.definitions(found)
    yield from cycles.prevailing(lists)
    yield from cycles.flags(found, terms)


def _lifts(
    block: blocks.Exception_, ids: Mapping[str, blocks.AnyBlock], lost: Collection[str]
) -> Iterator[Problem]:
    requirements = [name for name, other in ids.items() if isinstance(other, blocks.Requirement)]
    for lift in block.lifts:
        target = ids.get(lift.requirement)
        if not isinstance(target, blocks.Requirement):
            if isinstance(target, blocks.Prohibition):
                yield at(block, f"`{lift.requirement}` is a prohibition: nothing lifts it")
            elif not is_lost(lift.requirement, lost):
                yield at(
                    block,
                    f"lifts `{lift.requirement}`, which is no requirement"
                    f"{nearest(lift.requirement, requirements)}",
                )
            continue
        for reason in sorted((lift.reasons or frozenset()) - set(target.reasons)):
            yield at(block, f"`{target.id}` has no reason `{reason}`{nearest(reason, target.reasons)}")
        wanted = block.path if block.class_ == "license_exception" else block.class_
        if wanted not in target.lifted_by:
            yield at(block, f"`{target.id}` does not name `{wanted}` in `lifted_by`: both sides must agree")
        if block.class_ == "carve_out" and block.regime != target.regime:
            yield at(
                block,
                f"a carve-out of `{block.regime}` can't lift `{target.id}` of `{target.regime}`:"
                " same regime only",
            )
        if block.class_ == "carve_out" and block.span.start.earliest < target.span.start.earliest:
            yield at(
                block, f"a carve-out begins no earlier than what it lifts: `{target.id}` is from a later day"
            )


def _bar(block: blocks.Bar, found: Iterable[blocks.AnyBlock], lost: Collection[str]) -> Iterator[Problem]:
    exceptions = [other for other in found if isinstance(other, blocks.Exception_)]
    words = {other.path for other in exceptions} | {"license_exception", "carve_out", "authorization"}
    for word in sorted((block.blocks | block.except_) - words):
        if is_lost(word, lost):
            continue
        yield at(block, f"`{word}` is neither a class nor the path of an exception{nearest(word, words)}")
    if not block.blocks:
        yield at(block, "a bar says what it `blocks`: a class like `license_exception`, or a path")


def _red_flag(block: blocks.RedFlag, terms: Terms) -> Iterator[Problem]:
    presumed = {path for path, spec in terms.specs.items() if spec.presumption is not None}
    for path in sorted(block.defeats - presumed):
        yield at(block, f"`{path}` carries no presumption to defeat{nearest(path, presumed)}")
    if block.defeats and tree.speaks_of(block.when, "act"):
        yield at(block, "a flag that defeats a presumption is about the transaction: it can't read `act`")


def _target(
    block: blocks.Overlay, ids: Mapping[str, blocks.AnyBlock], lost: Collection[str]
) -> Iterator[Problem]:
    name, _, member = block.target.partition("#") if block.target not in ids else (block.target, "", "")
    target = ids.get(name)
    if target is None:
        if is_lost(block.target, lost):
            return
        yield at(block, f"overlay on `{block.target}`, which does not exist{nearest(block.target, ids)}")
    elif isinstance(target, blocks.Overlay):
        yield at(
            block,
            "an overlay on an overlay is a reserved word in this release: end the first one with `until`",
        )
    elif isinstance(target, blocks.Definition | blocks.Coverage | blocks.Scope):
        yield at(
            block,
            f"an overlay acts on a rule, an exception, a bar, a flag or a list: end `{name}` with `until`",
        )
    elif isinstance(target, blocks.List):
        members = [row.id for row in target.members]
        if member not in members:
            yield at(
                block,
                f"`{block.target}` names no member of `{name}`: write `{name}#MEMBER`"
                f"{nearest(member, members)}",
            )
        elif block.products or block.kind == "not_enforced":
            yield at(block, f"a `{block.kind}` with products or without effect can't act on a list's member")
    elif member:
        yield at(block, f"`{name}` is not a list: leave out `#{member}`")


def _axes(found: tuple[blocks.AnyBlock, ...], rank: Rank) -> Iterator[Problem]:
    """An axis has the same values wherever it stands: blocks are read jointly on it."""
    first: dict[str, tuple[set[str], blocks.AnyBlock]] = {}
    for block in sorted(found, key=lambda block: rank[block.file]):
        for node in (part for condition in conditions_of(block) for part in tree.parts_of(condition)):
            if isinstance(node, tree.Reading):
                values = {value for value, _ in node.values}
                wanted, where = first.setdefault(node.axis, (values, block))
                if values != wanted:
                    names = ", ".join(f"`{value}`" for value in sorted(wanted))
                    yield at(
                        block, f"axis `{node.axis}` has the readings {names} in `{where.id}`: state the same"
                    )


def _acts(found: tuple[blocks.AnyBlock, ...], lost: Collection[str]) -> Iterator[Problem]:
    """What is read for each act of its regime would never be read in a regime without acts."""
    regimes = {block.regime for block in found if isinstance(block, blocks.Scope)}
    for block in found:
        if f"scope:{block.regime}" in lost:
            continue
        if isinstance(block, blocks.Rule | blocks.RedFlag) and block.regime not in regimes:
            behind = isinstance(block, blocks.Rule) and block.gate == "scope"
            if behind or tree.speaks_of(block.when, "act"):
                yield at(
                    block,
                    f"`{block.id}` waits for an act, and no scope of `{block.regime}` finds any:"
                    ' set `regime` in the front matter, or `gate = "own"`',
                )


def _stages(found: tuple[blocks.AnyBlock, ...], lost: Collection[str]) -> Iterator[Problem]:
    """A rule counts for a stage that the coverage of its regime names, if the regime has any."""
    stages: dict[str, set[str]] = {}
    for block in found:
        if isinstance(block, blocks.Coverage):
            stages.setdefault(block.regime, set()).update(stage.name for stage in block.stages)
    for block in found:
        if isinstance(block, blocks.Rule) and block.stage is not None and block.regime in stages:
            known = stages[block.regime]
            if block.stage not in known and f"coverage:{block.regime}" not in lost:
                near = nearest(block.stage, known) or f": write one of {listed(sorted(known))}"
                yield at(block, f"no coverage of `{block.regime}` has a stage `{block.stage}`{near}")
