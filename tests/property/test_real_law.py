"""The shipped law through both engines, on facts drawn from its own words."""

from collections import Counter
from random import Random

from tests.property.differential import ask
from tests.property.real import RealViews

from carnet.engine import decide, reference
from carnet.rules.check import load
from carnet.store.shelves import shipped


def test_both_engines_answer_alike_under_the_shipped_law() -> None:
    views = RealViews(Random(7), load(shipped()))
    outcomes: Counter[str] = Counter()
    for question in views.questions(120):
        answer = ask(reference.answer, views.book, question)
        outcomes[answer.outcome] += 1
        assert ask(decide.answer, views.book, question) == answer
    assert len(outcomes) >= 4
