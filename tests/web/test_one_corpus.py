"""One corpus of transactions through the command line, HTTP and AuthZEN gives the same determinations."""

import json

import msgspec
import pytest
from click.testing import CliRunner
from tests.web.conftest import serving
from tests.web.corpus import CASES, evaluation, plain

from carnet.cli.main import main
from carnet.model.determination import Determination
from carnet.model.leaf import instant_text
from carnet.model.recorded import recorded

pytestmark = pytest.mark.xdist_group("corpus")  # the corpus is decided once, not once by each worker


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service whose clock stands, so that all know the same."""
    from tests.web.conftest import Hands

    hands = Hands()
    hands.at = hands.at.replace(year=2026, month=12)
    with serving(tmp_path_factory.mktemp("corpus") / "data", clock=hands.clock()) as service:
        yield service, instant_text(hands.at)


@pytest.fixture(scope="module")
def over_http(served):
    """What HTTP answers to each case, in batches."""
    service, _ = served
    asked = [{"purpose": "inquiry", "transaction": plain(case.transaction)} for case in CASES]
    found = []
    for start in range(0, len(asked), 50):
        document = {"requests": asked[start : start + 50]}
        answer = service.post("/v1/determinations/batch", document, "decide").json()
        found += [each["determined"] for each in answer["results"]]
    return {case.id: each for case, each in zip(CASES, found, strict=True)}


@pytest.fixture(scope="module")
def over_authzen(served):
    """What AuthZEN answers to each case, and what its record says."""
    service, _ = served
    asked = [evaluation(case.transaction, purpose="inquiry") for case in CASES]
    found = []
    for start in range(0, len(asked), 50):
        document = {"evaluations": asked[start : start + 50]}
        found += service.post("/access/v1/evaluations", document, "decide").json()["evaluations"]
    with service.node.log.reading() as reading:
        leaves = [json.loads(reading.of_id("a", each["context"]["record"]).leaf) for each in found]
    return {case.id: each for case, each in zip(CASES, zip(found, leaves, strict=True), strict=True)}


@pytest.fixture(scope="module")
def over_cli(served, tmp_path_factory):
    """What `carnet check --json` prints for each case, by what is known when HTTP is asked."""
    _, known = served
    folder, found = tmp_path_factory.mktemp("checked"), {}
    for case in CASES:
        file = folder / "transaction.json"
        file.write_bytes(msgspec.json.encode(case.transaction))
        done = CliRunner().invoke(main, ["check", str(file), "--known", known, "--json"])
        found[case.id] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_three_ways_give_one_determination(case, over_cli, over_http, over_authzen):
    printed, answered, (evaluated, leaf) = over_cli[case.id], over_http[case.id], over_authzen[case.id]
    whole = msgspec.convert(printed["determination"], Determination)
    kept = msgspec.json.decode(msgspec.json.encode(recorded(whole)))
    assert answered["determination"] == kept
    assert leaf["determination"] == kept
    assert answered["controlled"] == leaf["controlled"] == printed["controlled"]
    action = printed["action"]
    assert (answered["action"], answered["reason"]) == (action["kind"], action["reason"])
    context = evaluated["context"]
    assert (context["action"], context["reason"]) == (action["kind"], action["reason"])
    assert context["outcome"] == kept["outcome"]
    assert context.get("asks", []) == kept["asked"]
    assert evaluated["decision"] is False, "an inquiry lets nobody at anything"


def test_the_corpus_is_not_one_answer_only(over_http):
    outcomes = {each["determination"]["outcome"] for each in over_http.values()}
    actions = {each["action"] for each in over_http.values()}
    assert len(outcomes) >= 4
    assert {"serve", "ask", "refuse"} <= actions
