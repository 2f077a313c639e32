"""What rests on itself, and how large a condition may be with its definitions written out: to the part."""

import pytest
from tests.rules.invented import block, definition, requirement, shelf

from carnet.model.errors import RulesError
from carnet.rules.check import load


def errors(*texts: str) -> list[str]:
    try:
        load(shelf(*texts))
    except RulesError as error:
        return [problem.message for problem in error.problems]
    return []


def countries(name: str, over: str) -> str:
    return block("list", id=f'"{name}"', type='"country"', members='["FR"]', prevails=f'"{over}"')


PLAIN = definition("plain", "p.us_status == 'none'")
NEAR = definition("near", "exporter.insider and any_party({'end_user'}, plain)") + PLAIN
CIRCLES = {
    "a definition that calls itself": (
        definition("one", "not one(p)"),
        "a cycle: `one` calls itself through `one`: cut it",
    ),
    "a circle that calls what is in none": (
        definition("one", "two(p) or plain(p)") + definition("two", "one(p)") + PLAIN,
        "a cycle: `one` calls itself through `two`: cut it",
    ),
    "a list that prevails over itself": (
        countries("us.inv.l", over="us.inv.l"),
        "a cycle: `us.inv.l` prevails over itself through `us.inv.l`: cut it",
    ),
    "parties that are asked about, by one definition on the way": (
        NEAR + definition("far", "near(p)") + requirement("any_party({'purchaser'}, far)"),
        "`any_party` over `far` asks about parties again, in `near`: ask apart",
    ),
    "parties that are asked about in two ways": (
        NEAR
        + requirement(
            "any_party({'purchaser'}, near) or all_party({'purchaser'}, near, if_empty=True)",
        ),
        "`any_party` over `near` asks about parties again, in `near`: ask apart",
    ),
    "parties of a definition that can't be read": (
        definition("wrong", "p.us_statos == 'none'") + requirement("any_party({'purchaser'}, wrong)"),
        "`p.us_statos` is not a known fact; did you mean `p.us_status`?",
    ),
}


@pytest.mark.parametrize("name", CIRCLES)
def test_what_goes_in_a_circle_is_told_once_and_in_full(name: str) -> None:
    text, message = CIRCLES[name]
    assert errors(text) == [message]


def any_of(*counted: tuple[str, int]) -> str:
    """A condition that holds if one of these does, each so many times over."""
    return " or ".join(" or ".join([part] * times) for part, times in counted)


LEAF, HUNDRED = "exporter.insider", "hundred({})"
"""A condition of one part, and one of a hundred, the call counted."""
WIDE = definition("hundred", any_of((LEAF, 98)))


def parts(count: int, who: str = "recipient") -> str:
    """A condition of that many parts with its definitions written out."""
    return any_of((HUNDRED.format(who), 49), (LEAF, count - 4901))


def ladder(levels: int) -> str:
    """Definitions of which the first, `l1`, has that many levels: 2 n + 1."""
    steps = levels // 2
    rungs = [definition(f"l{number}", f"not l{number + 1}(p)") for number in range(1, steps + 1)]
    return "".join(rungs) + definition(f"l{steps + 1}", "p.us_status == 'none'")


def versions(name: str, first: str, second: str) -> str:
    """A definition that changes."""
    return definition(name, first, until="2021-01-01") + definition(
        name, second, id=f'"us.inv.d.{name}2"', from_="2021-01-01"
    )


SIZES = {
    "as many parts as there may be": (WIDE + requirement(parts(5000)), None),
    "one part more": (WIDE + requirement(parts(5001)), "`us.inv.x` with … has 5001 parts, over 5000"),
    "one call of what has as many parts as there may be": (
        WIDE + definition("most", parts(5000, "p")) + requirement("most(recipient)"),
        "`us.inv.x` with … has 5001 parts, over 5000",
    ),
    "as many levels as there may be": (ladder(57) + requirement(f"not (l1(recipient) or {LEAF})"), None),
    "one level more": (ladder(59) + requirement("not l1(recipient)"), "`us.inv.x` with … has over 60 levels"),
    "as many parts as there may be, and one level more": (
        WIDE
        + ladder(59)
        + requirement(any_of(("l1(recipient)", 1), (HUNDRED.format("recipient"), 48), (LEAF, 139))),
        "`us.inv.x` with … has over 60 levels",
    ),
    "levels of which each has a short part too": (
        ladder(59) + requirement(f"{LEAF} or l1(recipient)"),
        "`us.inv.x` with … has over 60 levels",
    ),
    "a definition of which one version has many parts": (
        WIDE + versions("wide", parts(4999, "p"), LEAF) + requirement(f"wide(recipient) or {LEAF}"),
        "`us.inv.x` with … has 5002 parts, over 5000",
    ),
    "a definition of which one version has many levels": (
        ladder(57) + versions("tall", "not l1(p)", LEAF) + requirement("not tall(recipient)"),
        "`us.inv.x` with … has over 60 levels",
    ),
    "a scope of which the subject and an act are too large": (
        WIDE
        + block("scope", subject=repr(parts(5001)), acts=f"[{{ kind = 'export', when = '{parts(5002)}' }}]"),
        "`us.inv.x` with … has 5001 parts, over 5000",
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_condition_may_have_5000_parts_and_60_levels_and_no_more(name: str) -> None:
    text, message = SIZES[name]
    whole = message and f"{message.replace('…', 'its definitions written out')}: call fewer of them"
    assert errors(text) == ([whole] if whole else [])
