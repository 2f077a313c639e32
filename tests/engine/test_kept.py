"""What is worked out of a rulebook is kept on it, is never taken for something else, and goes with it."""

import datetime as dt
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

from tests.rules.invented import block, shelf

from carnet.engine.compiled import compiled
from carnet.model.determination import Choices
from carnet.rules.check import load
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import MOST_KEPT, Slice, slice_at

AT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def book() -> Rulebook:
    """A rulebook with one axis and a change of the law in a day."""
    readings = "{ wide = 'True', narrow = 'False' }"
    rule = block("requirement", id='"us.inv.x"', reasons='["NS"]', axis='"reach"', readings=readings)
    ended = block(
        "requirement", id='"us.inv.y"', reasons='["NS"]', when='"False"', until="2026-06-02T00:00:00Z"
    )
    return load(shelf(rule, ended))


def test_the_same_slice_is_the_same_object_and_is_compiled_once() -> None:
    rulebook = book()
    first = slice_at(rulebook, AT, AT, Choices())
    assert slice_at(rulebook, AT + DAY / 2, AT + DAY / 3, Choices(readings={})) is first
    assert compiled(slice_at(rulebook, AT, AT, Choices())) is compiled(first)


def test_another_instant_or_choice_is_another_slice() -> None:
    rulebook = book()
    readings: dict[str, str] = {}
    choices = Choices(readings=readings)
    first = slice_at(rulebook, AT, AT, choices)
    assert slice_at(rulebook, AT + DAY, AT + DAY, choices) is not first
    assert slice_at(rulebook, AT, AT, choices) is first
    assert slice_at(rulebook, AT, AT, Choices(stale_after_days=1)) is not first
    readings["reach"] = "wide"
    wide = slice_at(rulebook, AT, AT, choices)
    assert (first.axes, wide.axes) == ({"reach": ("narrow", "wide")}, {})


def asked(rulebook: Rulebook, count: int) -> list[weakref.ref[Slice]]:
    """As many slices, one after the other, each compiled; held by nobody."""
    made = []
    for days in range(1, count + 1):
        slice_ = slice_at(rulebook, AT, AT, Choices(stale_after_days=days))
        compiled(slice_)
        made.append(weakref.ref(slice_))
    del slice_
    gc.collect()
    return made


def test_no_more_slices_are_kept_than_have_their_place_and_those_asked_for_last_are() -> None:
    rulebook = book()
    made = asked(rulebook, MOST_KEPT)
    first = slice_at(rulebook, AT, AT, Choices(stale_after_days=1))
    assert first is made[0]()
    del first
    made += [
        weakref.ref(slice_at(rulebook, AT, AT, Choices(stale_after_days=days))) for days in (900, 901, 902)
    ]
    gc.collect()
    left = [number for number, slice_ in enumerate(made) if slice_() is not None]
    assert left == [0, *range(4, MOST_KEPT + 3)]


def test_what_was_forgotten_is_made_again_and_answers_as_before() -> None:
    rulebook = book()
    before = compiled(slice_at(rulebook, AT, AT, Choices())).answer({}, AT)
    gone = asked(rulebook, MOST_KEPT + 1)[0]
    assert gone() is None
    assert compiled(slice_at(rulebook, AT, AT, Choices())).answer({}, AT) == before


def test_a_slice_that_somebody_holds_is_not_forgotten() -> None:
    rulebook = book()
    held = slice_at(rulebook, AT, AT, Choices())
    engine = compiled(held)
    asked(rulebook, 2 * MOST_KEPT)
    assert slice_at(rulebook, AT, AT, Choices()) is held
    assert compiled(slice_at(rulebook, AT, AT, Choices())) is engine


def test_many_threads_that_ask_for_one_slice_get_the_same() -> None:
    rulebook = book()
    with ThreadPoolExecutor(8) as pool:
        for days in range(1, 60):
            choices = Choices(stale_after_days=days)
            got = list(pool.map(lambda _, choices=choices: slice_at(rulebook, AT, AT, choices), range(16)))
            assert len(set(map(id, got))) == 1


def test_a_rulebook_that_is_let_go_takes_its_slices_along() -> None:
    rulebook = book()
    engine = weakref.ref(compiled(slice_at(rulebook, AT, AT, Choices())))
    assert engine() is not None
    del rulebook
    gc.collect()
    assert engine() is None
