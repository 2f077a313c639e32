"""What the fault tests count reaches the nightly report; anything bad or missing in it fails the nightly."""

import pytest
from tests import nightly
from tests.faults import counts

ENOUGH = {fault: {name: least, "lost": 0} for fault, (name, least) in nightly.LEAST.items()}
RESULTS = '<testsuites><testsuite tests="9" failures="{}" errors="{}" skipped="0"/></testsuites>'


@pytest.fixture
def told(tmp_path):
    """What the nightly says of counts and results."""

    def say(found, failures=0, errors=0):
        (tmp_path / "results.xml").write_text(RESULTS.format(failures, errors))
        return nightly.survived(found, tmp_path / "results.xml")

    return say


def test_counts_are_added_to_a_file_and_summed_up_by_fault(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(counts.FILE, str(tmp_path / "counts"))
    counts.counted("a fault", ends=20, lost=0)
    counts.counted("another", damages=3)
    counts.counted("a fault", ends=1000, lost=1)
    assert counts.read(tmp_path / "counts") == {
        "a fault": {"ends": 1020, "lost": 1},
        "another": {"damages": 3},
    }
    assert "a fault: 1,000 ends, 1 lost" in capsys.readouterr().out


def test_enough_of_each_fault_and_nothing_bad_is_survived(told):
    found = told(ENOUGH)
    assert (found["ok"], found["missing"], found["failed"], found["tests"]) == (True, [], 0, 9)
    assert found["kills"] == sum(least for name, least in nightly.LEAST.values() if name == "ends")


@pytest.mark.parametrize("fault", nightly.LEAST)
def test_a_fault_that_was_not_made_or_too_seldom_is_not_survived(told, fault):
    name, least = nightly.LEAST[fault]
    for numbers in ({}, {name: least - 1}):
        found = told(ENOUGH | {fault: numbers})
        assert (found["ok"], found["missing"]) == (False, [fault])


@pytest.mark.parametrize("name", nightly.BAD)
def test_anything_bad_is_not_survived(told, name):
    assert not told(ENOUGH | {"a fault": {name: 1}})["ok"]


def test_a_test_that_fails_or_none_at_all_is_not_survived(told, tmp_path):
    assert not told(ENOUGH, failures=1)["ok"]
    assert not told(ENOUGH, errors=1)["ok"]
    assert not nightly.survived(ENOUGH, tmp_path / "nothing.xml")["ok"]


def test_the_report_says_what_was_counted_and_what_was_not(told):
    (fault, *_) = nightly.LEAST
    part = told({**ENOUGH, fault: {}, "a fault": {"ends": 1000, "not_open": 2}}) | {"seconds": 7}
    head = dict.fromkeys(("date", "commit", "changed", "seed", "processes", "python", "seconds"), 1)
    text = nightly.table({**head, "parts": {"faults": part}})
    assert "| faults | FAILED | 7 | tests 9, failed 0," in text
    assert "- a fault: ends 1,000, not open 2" in text
    assert f"- {fault}: NOT MADE OFTEN ENOUGH" in text


def test_every_file_of_the_faults_is_there():
    for name in nightly.FAULTS:
        assert (nightly.ROOT / name).exists()
