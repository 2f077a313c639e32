"""The worked examples of the groups that the first shelf covers: each is a case beside its provision."""

import json
import os
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from carnet.store.shelves import load_rulebook

SHARED = Path(os.environ.get("CARNET_SHARED", Path(__file__).parents[3] / "shared"))
EXAMPLES = SHARED / "data" / "law" / "worked_examples.jsonl"
EASTERN = ZoneInfo("America/New_York")
NUMBERS = {
    "fp": "03 05 08 09 10",
    "de": "06 09 15",
    "enc": "01 04 07 09 13 14",
    "pub": "02 14",
    "jur": "01 03 05",
    "cls": "05 08 10 12",
    "aia": "03 05 06 10 11 13",
    "cc": "01 02 04 11 13 14 15 16 20 22",
    "cg": "02 05",
    "saas": "02",
}
IDS = [f"{group}-{number}" for group, numbers in NUMBERS.items() for number in numbers.split()]
NOTES = {found[0]: case for case in load_rulebook().cases if (found := re.match(r"[a-z]+\d*-\d+", case.note))}


@pytest.mark.parametrize("name", IDS)
def test_the_example_stands_as_a_case_on_the_path_of_its_provision(name):
    assert name in NOTES
    assert NOTES[name].file.startswith("us/ear/")


def test_these_are_all_the_examples_of_their_groups_each_decided_at_its_own_day():
    if not EXAMPLES.exists():
        pytest.skip("no worked examples: set CARNET_SHARED to the directory that holds data/law")
    examples = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    wanted = {one["id"]: one["as_of"] for one in examples if one["group"] in NUMBERS}
    assert sorted(wanted) == sorted(IDS)
    assert {name: f"{NOTES[name].at.astimezone(EASTERN):%Y-%m-%d}" for name in IDS} == wanted
