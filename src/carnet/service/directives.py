"""The first half of a directive's life: received, drafted, checked, previewed, in that order. What is written
is in `carnet.rules.drafts`, what a preview counts in `carnet.service.previews`; who approves it, and how it
comes into force, is not here.

A draft is a start: whoever edits its file has it checked, and what was checked is what is previewed, by its
digest. A check may be repeated after an edit; what came after it is then to be done again.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.engine.cases import run_case
from carnet.model.determination import Choices
from carnet.model.errors import InputError, Problem, RulesError, StoreError
from carnet.model.plain import hidden, printable, short
from carnet.policy.enforcement import Policy, Surface
from carnet.policy.enforcement import digest as policy_digest
from carnet.rules.blocks import Case
from carnet.rules.check import load
from carnet.rules.drafts import drafted
from carnet.rules.letters import Letter, wrong
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import slice_at
from carnet.service.previews import Preview, Uses, previewed
from carnet.store.directives import Directive, Directives, Step
from carnet.store.shelves import load_rulebook, read_shelf, shipped

State = Literal["received", "drafted", "checked", "previewed"]

AFTER: dict[State, tuple[State, ...]] = {
    "drafted": ("received", "drafted"),
    "checked": ("drafted", "checked", "previewed"),
    "previewed": ("checked", "previewed"),
}
"""After which states a step may be taken."""

_NEXT = {
    "received": "`carnet directive draft` is next",
    "drafted": "`carnet directive check` is next",
    "checked": "edit its file and check it again, or preview it",
    "previewed": "edit its file and check it again",
}


class Failed(Struct, frozen=True, kw_only=True):
    """A case of the draft that did not come out as it says."""

    file: str
    line: int
    note: str
    differs: tuple[str, ...]


class Checked(Struct, frozen=True, kw_only=True):
    """What a check found. `directive` has the new step if nothing failed, and is as it was otherwise;
    `edited` says that the text is not the one that was drafted."""

    directive: Directive
    rulebook: str
    blocks: int
    passed: int
    failed: tuple[Failed, ...]
    edited: bool


class Law(Struct, frozen=True, kw_only=True):
    """The law as it is, and with a draft. `mark` stands before the path of the draft in names of files."""

    old: Rulebook
    new: Rulebook
    mark: str


def receive(directives: Directives, letter: Letter, digest: str, *, by: str, now: dt.datetime) -> Directive:
    """Put a letter down as received; `digest` is the SHA-256 of the text as it came.

    Raises `InputError` if no rule file can be made of the letter or the text is another, `Taken` if it was
    received already.
    """
    problem = wrong(letter)
    if problem is not None:
        raise InputError(problem[1])
    if letter.digest != digest:
        raise InputError(f"the text has the digest `{digest}`, the letter says another: compare the two")
    if letter.receipt.earliest > now:
        raise InputError(f"`{letter.id}` was received at an instant that is still to come: correct it")
    step = _step("received", by, now, digest, record=_digest(msgspec.json.encode(letter, order="sorted")))
    return directives.add(letter, step)


def draft(directives: Directives, id_: str, *, by: str, now: dt.datetime) -> Directive:
    """Draft the rule file; its text is in what comes back. Raises `StoreError` once it was checked."""
    found = _ready(directives, id_, "drafted")
    text = drafted(found.letter)
    return directives.advance(found, _step("drafted", by, now, _digest(text.encode())), text)


def check(
    directives: Directives,
    id_: str,
    text: bytes,
    *,
    shown: str,
    law: Sequence[Path] = (),
    choices: Choices | None = None,
    by: str,
    now: dt.datetime,
) -> Checked:
    """Load a rule file beside the law, resolve it for every instant that it names, and run its cases; `shown`
    is the name of the file. Only a file of which every case passes is `checked`.

    Raises `RulesError` with every problem, `StoreError` for a step out of order.
    """
    found = _ready(directives, id_, "checked")
    held = with_draft(found.letter, text, law, shown)
    mine = [block for block in held.new.blocks if block.file.startswith(held.mark)]
    if not any(block.id.startswith(f"{id_}.") for block in mine):
        raise InputError(f"`{shown}` has no rule of `{id_}`: name the file that was drafted for it")
    for instant in sorted({edge for block in mine for edge in block.span.edges()}):
        slice_at(held.new, instant, max(instant, now), choices or Choices())
    own = [case for case in held.new.cases if case.file.startswith(held.mark)]
    if not own:
        raise InputError(f"`{shown}` has no case: a rule has one that holds and one that does not")
    failed = tuple(_failed(held.new, own, shown))
    directive = found
    if not failed:
        step = _step("checked", by, now, _digest(text), rulebook=held.new.digest, law=held.old.digest)
        directive = directives.advance(found, step, text.decode())
    drafts = [step.digest for step in found.steps if step.state == "drafted"]
    return Checked(
        directive=directive,
        rulebook=held.new.digest,
        blocks=len(mine),
        passed=len(own) - len(failed),
        failed=failed,
        edited=_digest(text) != drafts[-1],
    )


def preview(
    directives: Directives,
    id_: str,
    text: bytes,
    uses: Uses,
    *,
    shown: str,
    law: Sequence[Path] = (),
    policy: Policy,
    at: dt.datetime | None = None,
    known: dt.datetime | None = None,
    surface: Surface = "api",
    examples: int = 5,
    by: str,
    now: dt.datetime,
) -> tuple[Directive, Preview]:
    """What the directive would do to a stream of transactions, at `at` (if not given, the instant from which
    it is certainly in force).

    Raises `StoreError` for a step out of order, or if the file or the law is not what was checked.
    """
    found = _ready(directives, id_, "previewed")
    last = next(step for step in reversed(found.steps) if step.state == "checked")
    if _digest(text) != last.digest:
        raise StoreError(f"`{shown}` was changed since it was checked: check it again")
    held = with_draft(found.letter, text, law, shown)
    if held.new.digest != last.seen["rulebook"]:
        raise StoreError("the law was changed since the check: check it again, with the same `--law`")
    when = found.letter.start.latest if at is None else at
    seen = previewed(
        held.old,
        held.new,
        uses,
        when,
        policy,
        known=max(when, now) if known is None else known,
        surface=surface,
        examples=examples,
    )
    step = _step(
        "previewed",
        by,
        now,
        last.digest,
        rulebook=held.new.digest,
        law=held.old.digest,
        policy=policy_digest(policy),
        preview=_digest(msgspec.json.encode(seen, order="sorted")),
    )
    return directives.advance(found, step, text.decode()), seen


def with_draft(letter: Letter, text: bytes, law: Sequence[Path], shown: str) -> Law:
    """The law as it is, and with the rule file of a letter on a shelf of its own. Raises `RulesError` with
    every problem; those of the draft name the file `shown`."""
    old = load_rulebook(*law)
    shelves = [shipped(), *(read_shelf(directory) for directory in law), {letter.path: text}]
    mark = f"{shown}#"
    names = ["", *(f"{directory.as_posix()}/" for directory in law), mark]
    try:
        return Law(old=old, new=load(*shelves, names=names), mark=mark)
    except RulesError as error:
        raise RulesError(
            [
                Problem(shown if each.file.startswith(mark) else each.file, each.line, each.message)
                for each in error.problems
            ]
        ) from None


def _failed(rulebook: Rulebook, own: Sequence[Case], shown: str) -> list[Failed]:
    """The cases that do not pass, in the order of the file; run in order of time: few slices are kept."""
    differs = {case.line: run_case(rulebook, case) for case in sorted(own, key=lambda case: case.at)}
    return [
        Failed(file=shown, line=case.line, note=case.note, differs=tuple(differs[case.line]))
        for case in own
        if differs[case.line]
    ]


def _ready(directives: Directives, id_: str, wanted: State) -> Directive:
    """A directive of which a step may be taken now. Raises `InputError`, or `StoreError` if it is not the
    turn of that step."""
    found = directives.read(id_)
    if found.state not in AFTER[wanted]:
        turn = _NEXT.get(found.state, "see `carnet directive status`")
        raise StoreError(f"`{id_}` is {found.state} and can't be {wanted} now: {turn}")
    return found


def _step(state: State, by: str, now: dt.datetime, digest: str, **seen: str) -> Step:
    if not by.strip() or hidden(by):
        raise InputError(f"`{short(printable(by))}` is no name of somebody: give one with `--by`")
    return Step(state=state, by=by, at=now, digest=digest, seen=seen)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
