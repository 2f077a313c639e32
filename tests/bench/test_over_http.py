"""The bench asks a real service what it says it asks, and measures each of it."""

import sys
from pathlib import Path

import pytest

BENCH = str(Path(__file__).parents[2] / "bench")
sys.path.insert(0, BENCH)
import over_http  # noqa: E402  # the bench is a folder of scripts, found by the line above

sys.path.remove(BENCH)


@pytest.mark.real
def test_a_new_subject_is_recorded_a_later_use_is_under_a_grant_and_an_inquiry_under_none(tmp_path):
    with over_http.carnet(tmp_path) as clients:

        def ask(name, number):
            return clients.ask(clients.ways[0], *over_http.determined(name, "run")(number))

        new = [ask("new subject", number) for number in (1, 9)]
        assert [(each["action"], each["given"]) for each in new] == [("serve", "now")] * 2
        assert len({each["id"] for each in new}) == 2
        first, *later = [ask("under a grant", number) for number in (1, 9, 17)]
        assert first["given"] == "now"
        assert later == [first | {"given": "before"}] * 2
        inquiry = ask("inquiry", 1)
        assert (inquiry["action"], inquiry["grant"]) == ("serve", None)


@pytest.mark.real
def test_every_side_is_measured_one_by_one_and_many_at_once(tmp_path):
    p50, p99 = over_http.measured(tmp_path, rounds=1, each=1)
    names = {f"{name}@{count}" for name in (*over_http.OURS, *over_http.BARE) for count in over_http.AT_ONCE}
    assert set(p50) == set(p99) == names
    assert all(0 < p50[name] <= p99[name] for name in names)


@pytest.mark.real
def test_an_answer_that_is_none_ends_the_bench(tmp_path):
    with over_http.bare(tmp_path) as peer, pytest.raises(SystemExit, match="404"):
        peer.ask(peer.ways[0], "/elsewhere", b"{}")
