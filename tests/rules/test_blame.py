"""One mistake is one error: nobody is blamed for speaking of a block that is wrong, and what was made of a
wrong block is not told again."""

import pytest
from tests.rules.invented import FRONT, block, requirement, shelf

from carnet.model.errors import RulesError
from carnet.rules.check import load


def errors(*texts: str, **keys: str) -> list[str]:
    try:
        load(shelf(*texts, **keys))
    except RulesError as error:
        return [problem.message for problem in error.problems]
    return []


NO_LIST = block("list", id='"us.inv.l"', type='"contry"', members='["FR"]')
NOTICE = requirement("True", binds='["acme"]')
READINGS = {"reasons": '["NS"]', "axis": '"a"'}
BLAMED = {
    "an exception of what is no kind of block": (
        block("requirment", id='"us.inv.a"')
        + block("exception", class_='"carve_out"', lifts="[{ requirement = 'us.inv.a' }]"),
        "`requirment` is not a kind of block; did you mean `requirement`?",
    ),
    "a list that prevails over one of no type": (
        NO_LIST + block("list", type='"country"', members='["FR"]', prevails='"us.inv.l"'),
        "`contry` is not the type of a list's members; did you mean `country`?",
    ),
    "a rule for a stage of a coverage that is wrong": (
        block("coverage", id='"us.inv.c"', kinds='["exprt"]', stages='[{ name = "second" }]')
        + requirement("True", stage='"second"'),
        "`exprt` is not a kind of act; did you mean `export`?",
    ),
    "a rule for a stage that is like none": (
        requirement("True", stage='"zzz"'),
        "no coverage of `us.inv` has a stage `zzz`: write one of `first`",
    ),
    "a notice that stands twice, with its flag": (
        NOTICE + NOTICE,
        "`us.inv.x` is defined twice (also `us/inv/9.md:7`): give one another id",
    ),
    "a notice whose readings are others, with its flag": (
        block("prohibition", id='"us.inv.a"', axis='"a"', readings="{ wide = 'True', narrow = 'False' }")
        + block("requirement", **READINGS, readings="{ wide = 'True', none = 'False' }", binds='["acme"]'),
        "axis `a` has the readings `narrow`, `wide` in `us.inv.a`: state the same",
    ),
}


@pytest.mark.parametrize("name", BLAMED)
def test_one_mistake_is_one_error(name: str) -> None:
    text, message = BLAMED[name]
    assert errors(text) == [message]


def test_a_list_of_no_type_is_not_proposed_to_who_names_another() -> None:
    found = errors(NO_LIST, requirement("transaction.sent_to in list('us.inv.m')"))
    assert found[0] == "`contry` is not the type of a list's members; did you mean `country`?"
    assert found[1].endswith("names a list that does not exist")


def test_only_what_is_read_once_for_each_act_needs_a_scope_that_finds_acts() -> None:
    flag = block("red_flag", when="'exporter.insider'")
    assert errors(flag, scope="") == []
    assert len(errors(flag.replace("exporter.insider", "act.deemed"), scope="")) == 1
    assert errors(block("bar", blocks='["license_exception"]', when="'act.deemed'"), scope="") == []


def test_only_lists_of_countries_are_held_against_the_countries_that_there_are() -> None:
    world = FRONT + block("list", id='"world.countries"', type='"country"', members='["FR"]')
    held = {"world/countries.md": world.encode()}
    text = block("list", type='"id"', members='["FR", "ZZ"]')
    assert load({**shelf(text), **held})
    with pytest.raises(RulesError, match=r"`ZZ` in `us\.inv\.x` is not a country that there is"):
        load({**shelf(text.replace('"id"', '"country"')), **held})


def test_an_overlay_on_the_flag_of_no_rule_is_an_error() -> None:
    found = errors(block("overlay", kind='"stay"', target='"us.inv.z#bound"'))
    assert found == ["overlay on `us.inv.z#bound`, which does not exist; did you mean `us.inv.x`?"]
