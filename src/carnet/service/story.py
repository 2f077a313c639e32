"""The files of a replay, read: scenes, cases and what the provider really did. Deciding them is in
`carnet.service.replay`."""

import datetime as dt
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from carnet.model.determination import Outcome
from carnet.model.errors import InputError
from carnet.model.reading import decode
from carnet.model.transaction import Transaction, read_transaction
from carnet.model.written import Instant

T = TypeVar("T")


class Expected(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must come out. What is left out may be anything. `open` are requirements, `humans` causes;
    `binding` and `deadline` are when the open requirements began and were to be enforced."""

    outcome: Outcome
    action: str
    asks: tuple[str, ...] | None = None
    basis: str | None = None
    by_reading: dict[str, str] | None = None
    may_still_be: tuple[str, ...] | None = None
    humans: tuple[str, ...] | None = None
    open: tuple[str, ...] | None = None
    binding: Instant | None = None
    deadline: Instant | None = None
    good_until: Instant | None = None


class _Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    who: str
    at: Instant
    rests_on: str
    why: str
    transaction: dict[str, object]
    expect: Expected
    known: Instant | None = None
    choices: dict[str, str] = {}
    told: bool = False


class _Scene(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    title: str
    instant: Instant
    shown: str
    text: str
    common: dict[str, object]
    case: tuple[_Case, ...]


class Provider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the provider did with a product in an interval, everybody alike. `did` is `served`,
    `going dark`, `off`, `annex only` or `in steps`."""

    product: str
    did: str
    note: str
    from_: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = None

    def holds(self, at: dt.datetime) -> bool:
        return (self.from_ is None or self.from_ <= at) and (self.until is None or at < self.until)


class _Frame(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    title: str
    about: str
    scenes: tuple[str, ...]
    models: dict[str, str]
    controls: tuple[Instant, Instant]
    provider: tuple[Provider, ...]


class Case(Struct, frozen=True, kw_only=True):
    """One use, with what must come out. `rests_on` names the ground truth or the section of the sources;
    `told` cases are shown without being asked for."""

    id: str
    who: str
    at: dt.datetime
    known: dt.datetime
    rests_on: str
    why: str
    told: bool
    transaction: Transaction
    product: str
    choices: Mapping[str, str]
    expected: Expected


class Scene(Struct, frozen=True, kw_only=True):
    """A heading with its instant, and the cases below it in order of time."""

    title: str
    instant: dt.datetime
    shown: str
    text: str
    cases: tuple[Case, ...]


class Story(Struct, frozen=True, kw_only=True):
    """A replay as its files tell it. `models` are the names of products; `controls` the instants
    between which the products in question were controlled."""

    title: str
    about: str
    scenes: tuple[Scene, ...]
    models: Mapping[str, str]
    controls: tuple[dt.datetime, dt.datetime]
    provider: tuple[Provider, ...]

    def did(self, product: str, at: dt.datetime) -> Provider | None:
        """What the provider did with a product at an instant, if the sources say."""
        return next((one for one in self.provider if one.product == product and one.holds(at)), None)


def told_until(story: Story, at: dt.datetime | None, known: dt.datetime | None) -> Story:
    """The cases up to an instant, and all of them by what was known at another; None leaves them as they are.

    Raises InputError if no case is left.
    """
    scenes = [
        msgspec.structs.replace(
            scene,
            cases=tuple(
                case if known is None else msgspec.structs.replace(case, known=known)
                for case in scene.cases
                if at is None or case.at <= at
            ),
        )
        for scene in story.scenes
    ]
    left = tuple(scene for scene in scenes if scene.cases)
    if not left:
        raise InputError("no case of the story is so early: leave `--at` out, or give a later instant")
    return msgspec.structs.replace(story, scenes=left)


def read_story(files: Mapping[str, bytes]) -> Story:
    """The story that the files of an example tell; `replay.toml` is its frame.

    Raises InputError, naming file and case, for a file that is missing or wrong, and for an id that
    stands twice.
    """
    frame = _read(files, "replay.toml", _Frame)
    scenes = tuple(_scene(files, name) for name in frame.scenes)
    seen: set[str] = set()
    for case in (case for scene in scenes for case in scene.cases):
        if case.id in seen:
            raise InputError(f"the case `{case.id}` stands twice: give one another id")
        seen.add(case.id)
    return Story(
        title=frame.title,
        about=frame.about,
        scenes=scenes,
        models=frame.models,
        controls=frame.controls,
        provider=frame.provider,
    )


def _read(files: Mapping[str, bytes], name: str, of: type[T]) -> T:
    if name not in files:
        raise InputError(f"`{name}` is missing: a replay has `replay.toml` and the scenes that it names")
    return decode(files[name], of, file=name)


def _scene(files: Mapping[str, bytes], name: str) -> Scene:
    scene = _read(files, name, _Scene)
    cases = tuple(sorted((_case(scene, case, name) for case in scene.case), key=lambda case: case.at))
    return Scene(title=scene.title, instant=scene.instant, shown=scene.shown, text=scene.text, cases=cases)


def _case(scene: _Scene, case: _Case, name: str) -> Case:
    written = _merged(scene.common, {**case.transaction, "id": case.id, "at": case.at})
    transaction = read_transaction(msgspec.json.encode(written), file=f"{name}#{case.id}")
    item = written.get("item")
    product = item.get("product") if isinstance(item, dict) else None
    return Case(
        id=case.id,
        who=case.who,
        at=case.at,
        known=case.known or case.at,
        rests_on=case.rests_on,
        why=case.why,
        told=case.told or case.id.startswith("GT"),
        transaction=transaction,
        product=str(product),
        choices=case.choices,
        expected=case.expect,
    )


def _merged(common: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """What all transactions of a file share, with a case's own facts over it."""
    found = dict(common)
    for key, value in own.items():
        below = found.get(key)
        found[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found
