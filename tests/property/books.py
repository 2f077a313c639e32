"""Generated rulebooks: small, legal by the loader's own checks, with every kind of block."""

import datetime as dt
from random import Random
from typing import TypedDict

from msgspec import Struct
from tests.property.trees import Trees
from tests.property.words import (
    BASE,
    CLASSES,
    DAY,
    EARLY,
    IDS,
    KINDS,
    PARAMETERS,
    STEPS,
    TERMS,
    WORDS,
    domain,
    instant,
    some,
    span,
    window,
)

from carnet.model.time import Span
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

REASONS = ("NS", "RS", "CC")
PATHS_OF_EXCEPTIONS = ("AIA", "GOV")
OVERLAYS = ("stay", "saving_clause", "compliance_date", "supersession", "end", "not_enforced")
LISTED = ("country", "id", "party.level", "party.tags")


class Base(TypedDict):
    """The fields that every block has."""

    id: str
    file: str
    line: int
    cite: str
    regime: str
    span: Span
    known: dt.datetime
    verified: dt.datetime | None


class Size(Struct, frozen=True):
    """How much there may be of what. `plain` leaves out what answers cannot complete: presumptions,
    flags, lists whose content is not known, windows."""

    hot: int = 7
    depth: int = 2
    rules: int = 4
    exceptions: int = 4
    plain: bool = False
    axes: int = 2
    lawful: bool = True
    """False: some of what the loader refuses, and engines answer all the same: an exception for what does not
    name it, axes read differently, rules that wait for an act that no scope finds."""


class Books:
    """One rulebook."""

    def __init__(self, r: Random, size: Size) -> None:
        self.r, self.size = r, size
        self.trees = Trees(r, size.hot, size.depth)
        self.always = 0.9 if size.plain else r.choice((0.5, 0.7, 0.9))
        self.exact = 1.0 if size.plain else 0.7
        self.quiet = r.random() < 0.3
        self.made: list[blocks.AnyBlock] = []
        self.trees.lawful = size.lawful
        if size.plain:
            self.trees.wide, self.trees.trivial = 0.0, False
            self.trees.forbidden = frozenset({"exporter.knowledge", "party.informed"})

    def base(self, name: str, regime: str = "us.inv", exact: bool = False) -> Base:
        r = self.r
        when = span(r, self.always, 1.0 if exact else self.exact)
        known = when.start.earliest if r.random() < 0.8 else instant(r)
        verified = None if r.random() < 0.4 else BASE - DAY * r.choice((40, 25, 20, 10))
        return {
            "id": name,
            "file": "inv.md",
            "line": 1,
            "cite": "Invented Code",
            "regime": regime,
            "span": when,
            "known": known if known == EARLY.earliest or r.random() < 0.7 else EARLY.earliest,
            "verified": verified,
        }

    def regime(self) -> str:
        return "us.inv" if self.r.random() < 0.8 else "us.other"

    def lists(self) -> None:
        r = self.r
        for number in range(r.choice((1, 2, 2, 3))):
            kind = r.choice(LISTED[:2] + LISTED)
            self.list_of(f"inv.l{number}", kind, None)
            if r.random() < 0.3:
                self.list_of(f"inv.m{number}", kind, f"inv.l{number}")

    def list_of(self, name: str, kind: str, prevails: str | None) -> None:
        r, base = self.r, self.base(name)
        values = (
            domain(next(one for _, one in PARAMETERS["party"] if one.path == kind))
            if "." in kind
            else (domain(WORDS["transaction"][1][1]) if kind == "country" else IDS)
        )
        limits = None if r.random() < 0.7 or self.size.plain else some(r, values, 2)
        members: list[blocks.Member] = []
        for value in r.sample(sorted(limits or values), r.randint(1, len(limits or values) - 1)):
            row = span(r, 0.6, self.exact)
            known = row.start.earliest if r.random() < 0.85 else instant(r)
            members.append(blocks.Member(value, row, known))
            if row.end is not None and row.end.earliest == row.end.latest and r.random() < 0.5:
                members.append(blocks.Member(value, Span(row.end), known))
        content = Span(EARLY) if self.size.plain or r.random() < 0.6 else span(r, 0.2, self.exact)
        if prevails is not None and not self.size.plain:
            content = span(r, 0.2, self.exact)
        if self.size.plain:
            base["known"] = EARLY.earliest
        self.made.append(
            blocks.List(
                **base, type=kind, members=tuple(members), domain=limits, content=content, prevails=prevails
            )
        )
        self.trees.lists.setdefault(kind, []).append(name)

    def definitions(self) -> None:
        r = self.r
        for number in range(r.choice((1, 2, 2, 3))):
            kind = r.choice(("party", "party", "party", "item", "transaction", "end_use"))
            if number == 0:
                kind = "party"
            name, base = f"d{number}", self.base(f"inv.d{number}", exact=True)
            if r.random() < 0.7 or self.size.plain:
                base["span"] = Span(EARLY)
                base["known"] = EARLY.earliest
            when = self.trees.condition(of=kind)
            self.made.append(blocks.Definition(**base, name=name, parameter="x", entity=kind, when=when))
            if base["span"].end is not None and r.random() < 0.6:
                later: Base = {**base, "id": f"inv.d{number}.later", "span": Span(base["span"].end)}
                when = self.trees.condition(of=kind)
                self.made.append(blocks.Definition(**later, name=name, parameter="x", entity=kind, when=when))
            self.trees.definitions.append((name, kind))

    def scopes(self) -> None:
        r = self.r
        for number in range(r.choice((0, 1, 1, 1, 1, 1, 2))):
            regime = "us.inv" if number == 0 else self.regime()
            base = self.base(f"inv.s{number}", regime)
            subject = tree.TRUE if r.random() < 0.65 else self.trees.condition(reading=0.3)
            acts = tuple(self.act() for _ in range(r.choice((1, 1, 2))))
            self.made.append(blocks.Scope(**base, subject=subject, acts=acts))
            covered = frozenset(act.kind for act in acts)
            if self.size.plain:
                covered = frozenset(KINDS)
            elif r.random() < 0.3:
                covered = some(r, KINDS)
            if self.size.plain or r.random() < 0.93:
                stages = tuple(
                    blocks.Stage(name, "Invented Code 2(b)" if self.size.plain or r.random() < 0.65 else None)
                    for name in ("first", "second")[: r.choice((1, 1, 2))]
                )
                elsewhere = not self.size.plain and r.random() < 0.08
                cover = self.base(f"inv.c{number}", "us.else" if elsewhere else regime)
                if self.size.plain or r.random() < 0.8:
                    cover["span"], cover["known"] = Span(EARLY), EARLY.earliest
                self.made.append(blocks.Coverage(**cover, kinds=covered, stages=stages))

    def act(self) -> blocks.Act:
        r = self.r
        where: tree.Value | None = None
        if r.random() < 0.8 or self.size.plain:
            places = [
                term
                for e in ("transaction", "recipient", "end_use")
                for term, s in WORDS[e]
                if s.type == "country"
            ]
            where = (
                r.choice(places) if r.random() < 0.7 else tree.MostRecent(tree.Term("recipient", "statuses"))
            )
        when = tree.TRUE if r.random() < 0.4 else self.trees.condition(reading=0.2)
        return blocks.Act(r.choice(KINDS), r.random() < 0.3, when, where)

    def rules(self) -> None:
        r = self.r
        fewest = 0 if r.random() < 0.06 else 1
        for number in range(r.randint(fewest, self.size.rules)):
            base = self.base(f"inv.r{number}", self.regime())
            acts = self.acts_in(base["regime"])
            gate = r.choice(("scope", "scope", "own")) if acts else "own"
            stage = r.choice((None, "first", "first", "second"))
            when = self.trees.condition(act=acts and r.random() < 0.4, reading=0.15)
            if self.quiet:
                when = tree.And((when, self.trees.truth(depth=1)))
            if r.random() < 0.2:
                self.made.append(blocks.Prohibition(**base, gate=gate, stage=stage, when=when))
                continue
            reasons = tuple(r.sample(REASONS, r.choice((1, 1, 2, 3))))
            lifted_by = frozenset(("authorization", "carve_out", *some(r, (*PATHS_OF_EXCEPTIONS, "XXX"))))
            review = (blocks.Review("presumption of denial", self.trees.truth(depth=1)),)
            self.made.append(
                blocks.Requirement(
                    **base,
                    gate=gate,
                    stage=stage,
                    when=when,
                    reasons=reasons,
                    lifted_by=lifted_by if r.random() < 0.9 else frozenset({"authorization"}),
                    review=review if r.random() < 0.2 else (),
                    binds=frozenset(),
                )
            )

    def acts_in(self, regime: str) -> bool:
        """Whether a rule may wait for an act; where the loader looks, only if a scope finds some."""
        scopes = (block for block in self.made if isinstance(block, blocks.Scope))
        return not self.size.lawful or any(scope.regime == regime for scope in scopes)

    def exceptions(self) -> None:
        r = self.r
        required = [block for block in self.made if isinstance(block, blocks.Requirement)]
        for number in range(r.randint(1, self.size.exceptions)) if required else ():
            target = r.choice(required)
            ways = [
                (CLASSES[0] if name in PATHS_OF_EXCEPTIONS else name, name)
                for name in sorted(target.lifted_by)
                if name in (*PATHS_OF_EXCEPTIONS, *CLASSES)
            ]
            if not ways:
                continue
            class_, path = ways[0] if r.random() < 0.2 else r.choice(ways)
            if not self.size.lawful:
                class_, path = r.choice(
                    [(CLASSES[0], "GOV"), (CLASSES[1], CLASSES[1]), (CLASSES[2], CLASSES[2])]
                )
            also = [other for other in required if path in other.lifted_by and other.regime == target.regime]
            if class_ == "authorization" and r.random() < 0.4:
                path = r.choice(("VEU", "GOV"))
            lifted = {target.id: target, **{other.id: other for other in also if r.random() < 0.5}}
            base = self.base(f"inv.e{number}", target.regime)
            if class_ == "carve_out":
                latest = max(other.span.start.earliest for other in lifted.values())
                base["span"] = Span(window(r)) if r.random() < 0.2 else Span(EARLY)
                if base["span"].start.earliest < latest:
                    base["span"] = Span(
                        next(o.span.start for o in lifted.values() if o.span.start.earliest == latest)
                    )
            lifts = tuple(
                blocks.Lift(name, None if r.random() < 0.6 else frozenset(r.sample(other.reasons, 1)))
                for name, other in sorted(lifted.items())
            )
            when = tree.TRUE if r.random() < 0.4 else self.trees.condition(act=r.random() < 0.3)
            tasks = (blocks.Task("before", "certificate", "Invented Code"),) if r.random() < 0.3 else ()
            self.made.append(
                blocks.Exception_(
                    **base,
                    class_=class_,
                    path=path,
                    lifts=lifts,
                    when=when,
                    tasks=() if class_ == "carve_out" else tasks,
                )
            )

    def bars(self) -> None:
        r = self.r
        paths = sorted({block.path for block in self.made if isinstance(block, blocks.Exception_)})
        for number in range(r.choice((0, 0, 1, 1, 2)) if paths else 0):
            names = frozenset(r.sample((*paths, *CLASSES), r.choice((1, 1, 2))))
            spared = frozenset({r.choice(paths)}) if r.random() < 0.25 else frozenset()
            when = self.trees.condition(act=r.random() < 0.25)
            base = self.base(f"inv.b{number}")
            self.made.append(blocks.Bar(**base, blocks=names, except_=spared, when=when))

    def flags(self) -> None:
        r = self.r
        presumed = (frozenset({"exporter.knowledge"}), frozenset({"party.informed"}))
        for number in range(0 if self.size.plain else r.choice((0, 0, 1, 1, 2))):
            name = f"inv.f{number}"
            roll = r.random()
            defeats = frozenset[str]() if roll < 0.55 else presumed[0] if roll < 0.75 else presumed[1]
            if roll >= 0.95:
                defeats = presumed[0] | presumed[1]
            barred = {"exporter.knowledge", "party.informed"} if defeats - presumed[0] else defeats
            before = self.trees.definitions
            if defeats:
                self.trees.forbidden = frozenset(barred)
                self.trees.definitions = [d for d in before if not self.speaks(d[0], barred)]
            regime = self.regime()
            when = self.trees.condition(act=not defeats and self.acts_in(regime) and r.random() < 0.25)
            if r.random() < 0.5:
                unknown = self.trees.is_unknown()
                when = r.choice((unknown, tree.Or((when, unknown)), tree.And((when, unknown))))
            self.trees.forbidden, self.trees.definitions = frozenset(), before
            bound = not defeats and r.random() < 0.2
            base = self.base(f"{name}#bound" if bound else name, regime)
            when = tree.And((tree.Not(tree.Resolved(base["id"])), when))
            self.made.append(blocks.RedFlag(**base, defeats=defeats, when=when, open_when_unknown=bound))

    def speaks(self, name: str, paths: set[str] | frozenset[str]) -> bool:
        """Whether a definition reads one of the presumed words, itself or by what it calls."""
        words = {path.partition(".")[2] for path in paths}
        for block in self.made:
            if isinstance(block, blocks.Definition) and block.name == name:
                if any(term.name in words for term in tree.terms_of(block.when)):
                    return True
                called = {
                    part.definition
                    for part in tree.parts_of(block.when)
                    if isinstance(part, tree.Call | tree.Parties)
                }
                if any(self.speaks(other, paths) for other in called):
                    return True
        return False

    def overlays(self) -> None:
        r = self.r
        targets: list[blocks.AnyBlock] = [
            block
            for block in self.made
            if isinstance(block, blocks.Rule | blocks.Exception_ | blocks.Bar | blocks.RedFlag | blocks.List)
        ]
        taken: set[tuple[str, str]] = set()
        for number in range(r.choice((0, 1, 2, 3, 4)) if targets else 0):
            target, kind = r.choice(targets), r.choice(OVERLAYS)
            name = target.id
            if isinstance(target, blocks.List):
                name = f"{target.id}#{r.choice(target.members).id}"
                kind = "stay" if kind == "not_enforced" else kind
            if kind != "stay" and (name, kind) in taken:
                continue
            taken.add((name, kind))
            products = kind == "supersession" and not isinstance(target, blocks.List) and r.random() < 0.6
            base = self.base(f"inv.o{number}")
            self.made.append(
                blocks.Overlay(
                    **base, kind=kind, target=name, products=some(r, IDS) if products else frozenset()
                )
            )

    def whole(self) -> Rulebook:
        r = self.r
        for axis in ("alpha", "beta", "gamma")[
            : r.choice((0, 0, 1, 1, 2, 2, 2, 3)[: 2 + 2 * self.size.axes])
        ]:
            self.trees.axes[axis] = ("broad", "narrow") if r.random() < 0.8 else ("broad", "narrow", "other")
        self.lists()
        self.definitions()
        self.scopes()
        self.rules()
        self.exceptions()
        self.bars()
        self.flags()
        self.overlays()
        return Rulebook(blocks=tuple(sorted(self.made, key=lambda block: block.id)), terms=TERMS)


USUAL = Size()


def rulebook(r: Random, size: Size = USUAL) -> Rulebook:
    """A generated rulebook, its blocks in order of id as the loader gives them."""
    return Books(r, size).whole()


assert STEPS
