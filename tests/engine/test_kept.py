"""What is worked out of a rulebook is kept on it, is never taken for something else, and goes with it."""

import datetime as dt
import gc
import weakref

from tests.rules.invented import block, shelf

from carnet.engine.compiled import compiled
from carnet.model.determination import Choices
from carnet.rules.check import load
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import slice_at

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


def test_a_rulebook_that_is_let_go_takes_its_slices_along() -> None:
    rulebook = book()
    engine = weakref.ref(compiled(slice_at(rulebook, AT, AT, Choices())))
    assert engine() is not None
    del rulebook
    gc.collect()
    assert engine() is None
