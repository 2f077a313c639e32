"""The differential finds every bug that is planted in the fast engine or the slices."""

import pytest
from tests.mutation.loading import changed, path_of
from tests.property.differential import heard
from tests.property.planted import BUGS, EACH, ENTRY, SEEDS, Bug, caught, corpus

from carnet.engine import decide


def test_at_least_twenty_different_bugs_are_planted() -> None:
    assert len({bug.name for bug in BUGS}) == len({(bug.old, bug.new) for bug in BUGS}) == len(BUGS) >= 20


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    assert caught(bug) is not None


def test_without_a_bug_nothing_is_caught() -> None:
    source = path_of(ENTRY).read_text("utf-8")
    with changed(ENTRY, source, ENTRY) as module:
        assert module is not decide
        for seed in SEEDS:
            book, questions, answers = corpus(seed)
            for question, answer in zip(questions, answers, strict=True):
                assert heard(module.answer, book, question) == answer
    assert len(SEEDS) * EACH == 2000
