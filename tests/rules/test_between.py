"""What the loader must let pass, and where exactly it stops: the neighbours of test_load_errors.py."""

import pytest
from tests.rules.invented import FRONT, TERMS, block, definition, requirement, shelf

from carnet.model.errors import RulesError
from carnet.rules import blocks
from carnet.rules.check import load

INFORMED = (
    '[party.informed]\ntype = "bool"\ncite = "invented"\npresumption = { value = false, cite = "invented" }\n'
    '[item.marked]\ntype = "bool"\ncite = "invented"\npresumption = { value = false, cite = "invented" }\n'
)
LISTED = '["authorization", "carve_out", "AIA"]'
R = requirement("True", id='"us.inv.a"', lifted_by=LISTED)
PROHIBITED = block("prohibition", id='"us.inv.ab"')
LIST = block("list", id='"us.inv.l"', type='"country"', members='["FR", "DE"]')
LIFTS = "[{ requirement = 'us.inv.a' }]"
AIA = block("exception", id='"us.inv.e"', class_='"license_exception"', path='"AIA"', lifts=LIFTS)
VEU = block("exception", id='"us.inv.v"', class_='"authorization"', path='"VEU"', lifts=LIFTS)


def two(kind: str, first: dict[str, str], second: dict[str, str]) -> str:
    return block(kind, id='"us.inv.o1"', **first) + block(kind, id='"us.inv.o2"', **second)


def overlays(first: dict[str, str], second: dict[str, str]) -> str:
    both = {"kind": '"end"', "target": '"us.inv.a"'}
    return R + requirement("True", id='"us.inv.c"') + two("overlay", both | first, both | second)


def errors(*texts: str, **keys: str) -> list[str]:
    try:
        load(shelf(*texts, **keys))
    except RulesError as error:
        return str(error).splitlines()
    return []


PASSES = {
    "a bar on every class and on paths": R
    + AIA
    + VEU
    + block("bar", id='"us.inv.b1"', blocks='["license_exception"]', except_='["AIA"]').replace(
        "except_", "except"
    )
    + block("bar", id='"us.inv.b2"', blocks='["carve_out", "authorization"]')
    + block("bar", id='"us.inv.b3"', blocks='["VEU", "AIA"]'),
    "an authorization with a path of its own": R + VEU,
    "an authorization older than what it lifts": R
    + block("exception", class_='"authorization"', lifts=LIFTS, from_="2019-01-01"),
    "a carve-out of the same day": R + block("exception", class_='"carve_out"', lifts=LIFTS),
    "overlays on two targets": overlays({}, {"target": '"us.inv.c"'}),
    "overlays of two kinds": overlays({}, {"kind": '"saving_clause"'}),
    "overlays one after the other": overlays({"until": "2021-01-01"}, {"from_": "2021-01-01"}),
    "overlays one before the other": overlays({"from_": "2021-01-01"}, {"until": "2021-01-01"}),
    "a stay of one member of a list": LIST + block("overlay", kind='"stay"', target='"us.inv.l#FR"'),
    "a flag that reads the act and defeats nothing": block("red_flag", when="'act.deemed'"),
    "a flag that defeats one presumption and reads another": block(
        "red_flag", defeats='["party.informed"]', when="\"exporter.knowledge == 'none'\""
    ),
    "lists that prevail one after the other": LIST
    + two(
        "list",
        {"type": '"country"', "members": '["FR"]', "prevails": '"us.inv.l"', "until": "2021-01-01"},
        {"type": '"country"', "members": '["FR"]', "prevails": '"us.inv.l"', "from_": "2021-01-01"},
    ),
    "a row after another of the same member": block(
        "list",
        type='"country"',
        members='[{ id = "FR", until = 2021-01-01 }, { id = "FR", from = 2021-01-01 }]',
    ),
}


@pytest.mark.parametrize("name", PASSES)
def test_what_is_no_contradiction_loads(name: str) -> None:
    assert errors(PASSES[name], terms=TERMS + INFORMED) == []


STOPS = {
    "a definition that ends in a window": (
        definition("d", "True", until="{ earliest = 2021-01-01, latest = 2021-01-02 }"),
        ["a definition needs exact instants"],
    ),
    "an exception of what is no requirement, near a prohibition": (
        PROHIBITED + block("exception", class_='"carve_out"', lifts="[{ requirement = 'us.inv.abc' }]"),
        ["lifts `us.inv.abc`, which is no requirement"],
    ),
    "a supersession for all products beside one for some": (
        overlays({"kind": '"supersession"', "products": '["p"]'}, {"kind": '"supersession"'}),
        ["conflicting overlays on `us.inv.a`"],
    ),
    "a supersession for some products beside one for all": (
        overlays({"kind": '"supersession"'}, {"kind": '"supersession"', "products": '["p"]'}),
        ["conflicting overlays on `us.inv.a`"],
    ),
    "a supersession of a member for some products": (
        LIST + block("overlay", kind='"supersession"', target='"us.inv.l#FR"', products='["p"]'),
        ["a `supersession` with products or without effect can't act on a list's member"],
    ),
    "lists that prevail in a circle that begins elsewhere": (
        two(
            "list",
            {"type": '"country"', "members": '["FR"]', "prevails": '"us.inv.o2"'},
            {"type": '"country"', "members": '["FR"]', "prevails": '"us.inv.o1"'},
        )
        + block("list", id='"us.inv.k"', type='"country"', members='["FR"]', prevails='"us.inv.o1"'),
        [
            "a cycle: `us.inv.o1` prevails over itself through `us.inv.o2`",
            "`us.inv.o2` and `us.inv.k` both prevail over `us.inv.o1` with no priority",
        ],
    ),
    "a domain that is no list": (
        R + block("list", type='"country"', members='["FR"]', domain='"us.inv.a"'),
        ["domain `us.inv.a` is not a list with members"],
    ),
    "a list and a rule of one name": (
        LIST + block("list", type='"country"', members='["FR"]', domain='"us.inv.l"') + requirement("True"),
        ["`us.inv.x` is defined twice"],
    ),
    "a flag that calls a definition which does not load": (
        definition("d", "p.us_statos == 'none'")
        + block("red_flag", defeats='["exporter.knowledge"]', when="'d(recipient)'"),
        ["is not a known fact"],
    ),
    "definitions that call each other, called by a flag": (
        definition("one", "two(p)")
        + definition("two", "one(p)")
        + block("red_flag", defeats='["exporter.knowledge"]', when="'one(recipient)'"),
        ["a cycle: `one` calls itself through `two`: cut it"],
    ),
    "a flag that reads what it defeats for every party": (
        block("red_flag", defeats='["party.informed"]', when="'recipient.informed'"),
        ["a cycle: the flag reads `party.informed`, whose presumption it defeats"],
    ),
    "a flag that reads what it defeats of the parties in a role": (
        definition("told", "p.informed")
        + block("red_flag", defeats='["party.informed"]', when="\"any_party({'end_user'}, told)\""),
        ["a cycle: the flag reads `party.informed`, whose presumption it defeats"],
    ),
    "a flag that reads what it defeats of the item, through two definitions": (
        definition("marked", "two(p)", of='"item"')
        + definition("two", "p.marked", of='"item"')
        + block("red_flag", defeats='["item.marked"]', when="'marked(item)'"),
        ["a cycle: the flag reads `item.marked`, whose presumption it defeats"],
    ),
    "overlays of which the first ends after the second begins": (
        overlays({"until": "2022-01-01"}, {"from_": "2021-01-01"}),
        ["conflicting overlays on `us.inv.a`"],
    ),
    "overlays of which the second ends after the first begins": (
        overlays({"from_": "2021-01-01"}, {"until": "2022-01-01"}),
        ["conflicting overlays on `us.inv.a`"],
    ),
    "flags that read what the other defeats": (
        block(
            "red_flag",
            id='"us.inv.f1"',
            defeats='["party.informed"]',
            when="\"exporter.knowledge == 'none'\"",
        )
        + block("red_flag", id='"us.inv.f2"', defeats='["exporter.knowledge"]', when="'recipient.informed'"),
        ["a cycle: the flag reads `party.informed` through `us.inv.f2`, whose presumption it defeats"],
    ),
    "flags that read in a circle of three what another defeats": (
        block(
            "red_flag",
            id='"us.inv.f1"',
            defeats='["party.informed"]',
            when="\"exporter.knowledge == 'none'\"",
        )
        + block("red_flag", id='"us.inv.f2"', defeats='["exporter.knowledge"]', when="'item.marked'")
        + block("red_flag", id='"us.inv.f3"', defeats='["item.marked"]', when="'recipient.informed'"),
        ["a cycle: the flag reads `party.informed` through `us.inv.f2`, `us.inv.f3`"],
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_contradiction_is_named_and_nothing_else(name: str) -> None:
    text, messages = STOPS[name]
    found = errors(text, terms=TERMS + INFORMED)
    assert len(found) == len(messages), found
    for message in messages:
        assert any(message in line for line in found), found


def test_a_carve_out_of_another_regime_is_refused() -> None:
    other = FRONT.replace('title = "An invented provision"', 'title = "x"\nregime = "us.other"')
    carved = block("exception", id='"us.other.e"', class_='"carve_out"', lifts=LIFTS)
    licensed = block("exception", id='"us.other.e"', class_='"license_exception"', path='"AIA"', lifts=LIFTS)
    with pytest.raises(RulesError, match="same regime only"):
        load({**shelf(R), "us/other/1.md": (other + carved).encode()})
    assert load({**shelf(R), "us/other/1.md": (other + licensed).encode()})


def test_a_table_keeps_its_own_domain_beside_a_named_one() -> None:
    table = {"us/inv/t.csv": b"id,A\nFR,X\nDE,\nIT,-\n"}
    world = block("list", id='"us.inv.world"', type='"country"', members='["FR", "DE", "IT"]')
    text = block("list", type='"country"', csv='"t.csv"', columns='["A"]', domain='"us.inv.world"')
    found = {one.id: one.domain for one in load({**shelf(world, text), **table}).of(blocks.List)}
    assert found["us.inv.x.A"] == {"FR", "DE"}


def test_what_acts_on_a_rule_acts_on_the_flag_that_its_binds_raises() -> None:
    bound = requirement("True", id='"us.inv.a"', binds='["acme"]')
    loose = requirement("True", id='"us.inv.c"')
    stays = block("overlay", id='"us.inv.o1"', kind='"stay"', target='"us.inv.a"')
    marks = block("overlay", id='"us.inv.o2"', kind='"not_enforced"', target='"us.inv.a"')
    other = block("overlay", id='"us.inv.o3"', kind='"stay"', target='"us.inv.c"')
    found = load(shelf(bound, loose, stays, marks, other)).of(blocks.Overlay)
    assert [(one.id, one.target) for one in found] == [
        ("us.inv.o1", "us.inv.a"),
        ("us.inv.o1#bound", "us.inv.a#bound"),
        ("us.inv.o2", "us.inv.a"),
        ("us.inv.o3", "us.inv.c"),
    ]
