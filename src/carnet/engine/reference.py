"""The specification of a determination, as code: the sections "Questions" and "Outcome" of
docs/explanation/decision.md, in their order. How a condition is read is in `carnet.engine.naive`, how
readings combine in `carnet.engine.over_readings`. Slow on purpose; no other engine uses any of it."""

import datetime as dt
from collections.abc import Iterator

from msgspec import Struct, structs

from carnet.engine.naive import HUMAN, TRUE, Kleene, World, asks_of, every, no, some
from carnet.engine.over_readings import CLOSED, Question, Sole, over_readings
from carnet.model.determination import Answer, Choices, Outcome
from carnet.model.facts import Values
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook

BURDEN = ("carve_out", "authorization", "license_exception")


class Act(Struct, frozen=True):
    """An act of a scope: its number over all scopes, whether the item is subject, whether it happens."""

    number: int
    regime: str
    act: blocks.Act
    subject: Kleene
    happens: Kleene

    @property
    def value(self) -> Kleene:
        return every((self.subject, self.happens))


def answer(
    rulebook: Rulebook,
    values: Values,
    at: dt.datetime,
    known_at: dt.datetime,
    choices: Choices,
    stated: Values | None = None,
) -> Answer:
    """The answer on assured `values`, and on `stated` ones where these alone would close the way."""
    assured = over_readings(outcome_of, World(rulebook, values, at, known_at, choices, choices.readings))
    if not stated or assured.outcome in CLOSED:
        return assured
    also = over_readings(
        outcome_of, World(rulebook, {**values, **stated}, at, known_at, choices, choices.readings)
    )
    return structs.replace(also, basis="stated", asks=assured.asks) if also.outcome in CLOSED else assured


# Questions
def acts_of(world: World) -> list[Act]:
    """Every act that a scope in force may find, numbered over all scopes of the rulebook."""
    pairs = [(scope, act) for scope in world.book.of(blocks.Scope) for act in scope.acts]
    present = {scope.id for scope in world.present(blocks.Scope)}
    found: list[Act] = []
    for number, (scope, act) in enumerate(pairs):
        if scope.id in present:
            stale = world.staleness(scope)
            subject = every((some((world.read(scope.subject), *stale)), world.force(scope.span)))
            happens = some((world.read(act.when), *stale))
            found.append(Act(number, scope.regime, act, subject, happens))
    return found


def placed(
    world: World, acts: list[Act], rule: blocks.Rule | blocks.RedFlag
) -> list[tuple[str, World, Kleene]]:
    """Where a rule is read: the suffix of its key, the world with the act at hand, and the gate."""
    behind_scope = isinstance(rule, blocks.Rule) and rule.gate == "scope"
    if not behind_scope and not reads_act(world, rule):
        return [("", world, TRUE)]
    gated = [(act, act.value if behind_scope else act.happens) for act in acts if act.regime == rule.regime]
    return [(f"@{act.number}", structs.replace(world, act=act.act), gate) for act, gate in gated]


def reads_act(world: World, rule: blocks.Rule | blocks.RedFlag) -> bool:
    """Whether a rule, what may lift it or what bars that, speaks of the act."""
    lifting = [
        e for e in world.present(blocks.Exception_) if any(lift.requirement == rule.id for lift in e.lifts)
    ]
    barring = [bar for bar in world.present(blocks.Bar) if any(bars(bar, e) for e in lifting)]
    return any(tree.speaks_of(block.when, "act") for block in (rule, *lifting, *barring))


def bars(bar: blocks.Bar, exception: blocks.Exception_) -> bool:
    named = {exception.path, exception.class_}
    return bool(bar.blocks & named) and exception.path not in bar.except_


def lifts(rule: blocks.Requirement, reason: str, exception: blocks.Exception_) -> bool:
    """Whether both sides agree that the exception may lift this reason."""
    wanted = exception.path if exception.class_ == "license_exception" else exception.class_
    named = [lift for lift in exception.lifts if lift.requirement == rule.id]
    return wanted in rule.lifted_by and any(lift.reasons is None or reason in lift.reasons for lift in named)


def lifting(world: World, exception: blocks.Exception_) -> Kleene:
    """The exception is available and no bar blocks it."""
    stale = world.staleness(exception)
    barred = [bar for bar in world.present(blocks.Bar) if bars(bar, exception)]
    blocked = [some((world.effective(bar, bar.when), *world.staleness(bar))) for bar in barred]
    return every((world.effective(exception, exception.when), *stale, no(some(blocked))))


def questions(world: World, acts: list[Act]) -> Iterator[Question]:
    read: dict[tuple[str, str], Kleene] = {}
    for rule in world.present(blocks.Rule):
        for suffix, there, gate in placed(world, acts, rule):
            applies = every((gate, some((there.effective(rule, rule.when), *there.staleness(rule)))))
            if isinstance(rule, blocks.Prohibition):
                yield Question(f"{rule.id}{suffix}", "prohibition", applies)
            else:
                assert isinstance(rule, blocks.Requirement)
                for reason in rule.reasons:
                    able = [e for e in there.present(blocks.Exception_) if lifts(rule, reason, e)]
                    lifted = []
                    for e in able:
                        value = read.get((e.id, suffix))
                        if value is None:
                            value = read[e.id, suffix] = lifting(there, e)
                        lifted.append((e.class_, value))
                    is_open = every((applies, no(some(value for _, value in lifted))))
                    surely = min((BURDEN.index(name) for name, value in lifted if value.true), default=None)
                    mildest = BURDEN[surely] if surely is not None and not applies.false else None
                    yield Question(f"{rule.id}#{reason}{suffix}", "open", is_open, mildest)
    for act in acts:
        if not covered(world, act):
            yield Question(f"gap@{act.number}", "gap", every((act.value, HUMAN)))
    for flag in world.present(blocks.RedFlag):
        for suffix, there, gate in placed(world, acts, flag) if not flag.defeats else ():
            value = every((gate, there.effective(flag, flag.when)))
            if value.true:
                yield Question(f"flag:{flag.id}{suffix}", "flag", HUMAN._replace(asks=value.asks))
            elif flag.open_when_unknown:
                yield Question(f"flag:{flag.id}{suffix}", "flag", value)


def covered(world: World, act: Act) -> bool:
    """Whether every stage of the act has a rule or a cited reason why no rule reaches it."""
    found = [
        block
        for block in world.visible(blocks.Coverage)
        if block.regime == act.regime and act.act.kind in block.kinds and block.span.holds(world.at) == "yes"
    ]
    ruled = {rule.stage for rule in world.present(blocks.Rule) if rule.regime == act.regime}
    return bool(found) and all(
        stage.no_rule or stage.name in ruled for block in found for stage in block.stages
    )


# Outcome, under one reading of every axis
def outcome_of(world: World) -> Sole:
    acts = acts_of(world)
    asked = tuple(questions(world, acts))
    unsettled = [question for question in asked if not question.value.false]
    forbidden = [
        question for question in asked if question.kind == "prohibition" and not question.value.false
    ]
    required = [question for question in asked if question.kind == "open" and not question.value.false]
    still: set[str] = set()
    if any(question.value.true for question in forbidden):
        return Sole("prohibited", frozenset(), frozenset(), asked)
    still |= {"prohibited"} if forbidden else set()
    if any(question.value.true for question in required):
        return Sole("license_required", asks_of(q.value for q in forbidden), frozenset(still), asked)
    if unsettled:
        still |= {"license_required"} if required else set()
        curable = all(question.value.may_false for question in unsettled)
        still |= {"permitted"} if curable else set()
        outcome: Outcome = "needs_facts" if curable else "needs_human"
        return Sole(outcome, asks_of(q.value for q in unsettled), frozenset(still), asked)
    return Sole(
        permitted(world, acts, {question.lifted for question in asked}), frozenset(), frozenset(), asked
    )


def permitted(world: World, acts: list[Act], lifted: set[str | None]) -> Outcome:
    """Which permission it is, when nothing is open."""
    if "license_exception" in lifted:
        return "license_exception"
    if "authorization" in lifted:
        return "authorized"
    if "carve_out" in lifted or any(not act.value.false for act in acts):
        return "no_license_required"
    if not acts:
        own = any(
            rule.gate == "own" and rule.span.holds(world.at) != "no" for rule in world.visible(blocks.Rule)
        )
        return "no_license_required" if own else "needs_human"
    return "not_subject" if all(act.subject.false for act in acts) else "not_an_event"
