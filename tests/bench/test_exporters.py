"""The bench's exporters write every node they claim to, and the other engines read it as we do."""

import datetime as dt
import functools
import importlib.util
import sys
from pathlib import Path

import pytest

from carnet.engine.reference import answer
from carnet.model.determination import PERMITTED, Choices
from carnet.model.time import days
from carnet.rules import tree
from carnet.rules.check import load

BENCH = str(Path(__file__).parents[2] / "bench")
sys.path.insert(0, BENCH)
import export  # noqa: E402  # the bench is a folder of scripts, found by the line above
import invented  # noqa: E402  # as above
import peers  # noqa: E402  # as above

sys.path.remove(BENCH)

AT = invented.AT
MODULES = {"casbin": "casbin", "cedarpy": "cedarpy", "common-expression-language": "cel"}
MODULES |= {"gordon-to-regorus": "regorus", "zen-engine": "zen"}
MEMBER, OTHER = "AK", "ZZ"
CASES = {
    "Const": ("True", {}),
    "Const false": ("item.published or False", {"item.published": (True, False)}),
    "Holds": ("item.published", {"item.published": (True, False)}),
    "Equals": ("item.form == 'weights'", {"item.form": ("weights", "hosted")}),
    "Same": (
        "recipient.location == recipient.parent",
        {"recipient.location": ("AK", "BK"), "recipient.parent": ("AK", "AK")},
    ),
    "Compare": ("item.operations >= 1e26", {"item.operations": (10**8, 10**8 - 1)}),
    "Compare of days": (
        "recipient.hired < date('2025-03-01')",
        {"recipient.hired": (days("2025-02-28"), days("2025-03-01"))},
    ),
    "In": ("recipient.location in {'AK', 'BK'}", {"recipient.location": (MEMBER, OTHER)}),
    "In a list": ("recipient.location in list('us.bench.allies')", {"recipient.location": (MEMBER, OTHER)}),
    "In a big list": (
        "recipient.id in list('us.bench.denied')",
        {"recipient.id": ("d000001", "x000001")},
    ),
    "Quantified any": (
        "any_of(recipient.nationalities, {'AK'})",
        {"recipient.nationalities": (frozenset({MEMBER, OTHER}), frozenset({OTHER}))},
    ),
    "Quantified all": (
        "all_of(recipient.nationalities, {'AK'}, if_empty=False)",
        {"recipient.nationalities": (frozenset({MEMBER}), frozenset({MEMBER, OTHER}))},
    ),
    "Quantified all of nothing": (
        "all_of(recipient.nationalities, list('us.bench.allies'), if_empty=True)",
        {"recipient.nationalities": (frozenset(), frozenset({OTHER}))},
    ),
    "Elapsed": (
        "elapsed(recipient.hired, years=1)",
        {"recipient.hired": (days("2025-10-31"), days("2025-11-01"))},
    ),
    "Call": ("foreign(recipient)", {"recipient.us_status": ("none", "citizen")}),
    "Not": (
        "not (item.published and item.form == 'weights')",
        {"item.published": (True, True), "item.form": ("hosted", "weights")},
    ),
    "And": (
        "item.published and item.form == 'weights'",
        {"item.published": (True, True), "item.form": ("weights", "hosted")},
    ),
    "Or": (
        "item.published or item.form == 'weights'",
        {"item.published": (False, False), "item.form": ("weights", "hosted")},
    ),
}
CLAIMED = {name.split()[0] for name in CASES}
HEAD = '+++\nformat = 1\ntitle = "Invented"\nsource = "Invented"\ndated = 2026-01-01\n+++\n'


@functools.cache
def rulebook_of(when):
    """A rulebook with the bench's words, lists and definitions, and one prohibition."""
    texts = invented.texts(1)
    rule = invented.block("prohibition", "one", gate="own", stage="all", when=when)
    return load({**texts, "us/bench/one.md": (HEAD + rule).encode()})


def test_the_claimed_nodes_are_all_but_those_named_as_having_no_counterpart():
    every = {node.__name__ for node in tree.Tree.__args__}
    assert every - CLAIMED == {"Open", "IsUnknown", "Resolved", "Parties", "Reading"}


@pytest.mark.parametrize("language", [export.Cel, export.Zen, export.Cedar, export.Casbin, export.Rego])
def test_a_node_without_counterpart_is_refused_by_name(language):
    plan = export.Plan((), {}, {}, AT)
    with pytest.raises(export.NotExportable, match="`IsUnknown` has no form"):
        language(plan).text(tree.IsUnknown(tree.Holds(tree.Term("item", "published"))))
    with pytest.raises(export.NotExportable, match="`MostRecent` has no form"):
        language(plan).text(tree.Equals(tree.MostRecent(tree.Term("recipient", "statuses")), "AK"))


def test_the_last_day_since_which_a_year_has_passed_is_exact():
    at = dt.datetime(2026, 11, 1, 3, tzinfo=dt.UTC)  # still 31 October in New York
    assert export.latest_day(at, 1) == dt.date(2025, 10, 31).toordinal()


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("name", CASES)
def test_the_peer_reads_the_node_as_we_do(peer, name):
    if importlib.util.find_spec(MODULES[peer.package]) is None:
        pytest.skip(f"{peer.package} is not installed")
    when, facts = CASES[name]
    rulebook = rulebook_of(when)
    engine = peer(export.plan(rulebook, AT))
    seen = set()
    for row in range(2):
        values = {**invented.ordinary(), **{path: both[row] for path, both in facts.items()}}
        ours = answer(rulebook, values, AT, AT, Choices())
        outcome = peers.PERMITTED if ours.outcome in PERMITTED else ours.outcome
        got = engine.read(engine.decide(engine.ready(values)))
        assert got[0] == outcome
        seen.add("us.bench.one" in ours.certain)
    assert seen == ({True, False} if facts else {True})
