"""The mutator makes the changes that it says, and the listed survivors are few and explained."""

from tests.mutation.mutate import mutants
from tests.mutation.run import explained

SOURCE = '''
def oldest(found: list[int], least: int = 3) -> bool:
    """Not changed."""
    if found and min(found) < least:
        return "young" == found[0] or not found
    return f"{least}" in {"a", "b"}


def kept(found: dict[int, list[int]], number: int) -> list[int]:
    made = found.get(number)
    if made is None:
        made = found[number] = []
    return made
'''


def test_every_kind_of_change_is_made_once_and_can_be_compiled() -> None:
    made = list(mutants("tests.oldest", SOURCE))
    assert len({mutant.key for mutant in made}) == len(made)
    assert len({mutant.source for mutant in made}) == len(made)
    changes = {f"{mutant.before} -> {mutant.after}" for mutant in made}
    assert {
        "min -> max",
        "min(found) < least -> min(found) <= least",
        "found and min(found) < least -> found",
        "found and min(found) < least -> found or min(found) < least",
        "if found and min(found) < least -> if True",
        "'young' -> 'young?'",
        "not found -> found",
        "3 -> 4",
        "{'a', 'b'} -> {'b'}",
        "if made is None -> if False",
    } <= changes
    assert "if made is None -> if True" not in changes  # it would only be made again
    for mutant in made:
        compile(mutant.source, "<mutant>", "exec")
        assert "Not changed." in mutant.source


def test_the_survivors_are_at_most_twenty_and_each_has_a_reason() -> None:
    listed = explained()
    assert len(listed) <= 20
    assert all(len(why) > 30 for why in listed.values())
