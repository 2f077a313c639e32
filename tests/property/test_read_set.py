"""What a grant is keyed by: facts outside the read set change no answer, facts inside change the bytes."""

import itertools
from random import Random

import pytest
from tests.property.books import rulebook
from tests.property.real import RealViews
from tests.property.views import Views

from carnet.engine import decide
from carnet.engine.read_set import facts_read, read_set
from carnet.model.facts import MISSING, Unknown
from carnet.rules.check import load
from carnet.store.shelves import shipped


def compared(question, other, book):
    """How many facts outside the read set were exchanged for those of another question."""
    paths = read_set(book, question.values, question.at, question.known, question.choices).paths
    fixed = {path for path in question.values if path in paths or path.startswith("item.")}
    changed = {path: value for path, value in other.values.items() if path not in paths}
    changed = {path: value for path, value in changed.items() if not path.startswith("item.")}
    values = {path: question.values[path] for path in fixed} | changed
    one = decide.answer(book, question.values, question.at, question.known, question.choices)
    assert decide.answer(book, values, question.at, question.known, question.choices) == one
    return len(changed)


@pytest.mark.parametrize("seed", range(60))
def test_a_fact_outside_the_read_set_changes_no_answer(seed):
    r = Random(seed)
    book = rulebook(r)
    views = Views(r, book)
    questions = list(views.questions(12, 3))
    for question, other in itertools.pairwise(questions):
        compared(question, other, book)


def test_under_the_shipped_law_too_and_something_is_left_out():
    views = RealViews(Random(3), load(shipped()))
    questions = list(views.questions(25, alike=5))
    assert sum(compared(one, other, views.book) for one, other in itertools.pairwise(questions))


@pytest.mark.parametrize("seed", range(10))
def test_each_fact_inside_changes_the_bytes(seed):
    r = Random(seed)
    book = rulebook(r)
    for question in Views(r, book).questions(6, 3):
        paths = read_set(book, question.values, question.at, question.known, question.choices).paths
        before = facts_read(question.values, paths)
        for path in paths & set(question.values):
            other = Unknown("expired") if question.values[path] != Unknown("expired") else Unknown("stale")
            assert facts_read({**question.values, path: other}, paths) != before


def test_the_bytes_do_not_hang_on_order_or_on_what_is_missing():
    paths = {"recipient.us_status", "transaction.licenses"}
    one = {"transaction.licenses": frozenset({"b", "a", "c"}), "recipient.us_status": "none"}
    other = {"recipient.us_status": "none", "transaction.licenses": frozenset({"c", "b", "a"})}
    assert facts_read(one, paths) == facts_read(other, paths)
    assert facts_read({"recipient.us_status": MISSING}, paths) == facts_read({}, paths)
