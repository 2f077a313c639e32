"""A service that is asked about many instants keeps a few compiled slices of the law, and that of now."""

import datetime as dt
import gc
import json
import time

import pytest
from tests.web.conftest import PLENTY, inquiry, listening, transaction

from carnet.engine.compiled import Compiled
from carnet.engine.decide import decide
from carnet.model.recorded import recorded
from carnet.model.transaction import read_transaction
from carnet.rules import slices
from carnet.rules.slices import Found, slice_at
from carnet.service.node import Node
from carnet.store.policies import default_policy
from carnet.store.shelves import loaded, shipped

DATES = [f"2026-{day}T12:00:00Z" for day in ("06-13", "06-26", "07-01", "07-12")]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(slices, "MOST_KEPT", 1)


def compiled_in(rulebook):
    """The slices that are there with an engine."""
    gc.collect()
    return [slice_ for slice_ in rulebook.kept[Found].living.values() if Compiled in slice_.kept]


def test_inquiries_about_many_dates_leave_few_engines_and_that_of_now(few, tmp_path):
    rulebook, other, policy = loaded((shipped(),)), loaded((shipped(),)), default_policy()
    with (
        Node(tmp_path / "data", rulebook, policy) as node,
        listening(node, PLENTY.__class__(rate=1e6, burst=10**6, deadline=20.0, flush_seconds=0.1)) as service,
    ):
        now = dt.datetime.now(dt.UTC)
        engine = slice_at(rulebook, now, now, policy.choices).kept[Compiled]
        time.sleep(0.5)  # the service has come to hold what is enforced now
        for at in DATES:
            said = inquiry() | {"transaction": transaction(at=at)}
            answered = service.post("/v1/determinations", said, "decide").json()["determination"]
            known = dt.datetime.fromisoformat(answered["known"])
            fresh = decide(
                read_transaction(json.dumps(said["transaction"]).encode()),
                other,
                known=known,
                choices=policy.choices,
            )
            assert answered["outcome"] == recorded(fresh.determination).outcome
            assert answered["asked"] == list(recorded(fresh.determination).asked)
        assert len(compiled_in(rulebook)) <= 1 + 1
        assert slice_at(rulebook, now, now, policy.choices).kept.get(Compiled) is engine
