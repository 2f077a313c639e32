"""The whole service as its description says it is: generated requests, good and bad, get no server error, no
status and no form of answer that is not described."""

import json
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks
from tests.faults.counts import counted
from tests.web.conftest import FABLE, JUNE, inquiry, serving, use

from carnet.web import openapi
from carnet.web.routes import ENDPOINTS

pytestmark = pytest.mark.real

EXAMPLES = 200 if os.environ.get("CARNET_FAULTS") == "nightly" else 40
"""Generated requests for each endpoint, as many good as bad."""

CHECKS = (
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
)


@pytest.fixture(scope="module")
def described():
    return schemathesis.openapi.from_dict(json.loads(openapi.text()))


EVALUATION = {
    "subject": {"type": "person", "id": "zoe", "properties": {"location": "US"}},
    "action": {"name": "remote_access"},
    "resource": {"type": "hosted", "id": FABLE, "properties": {"provider": "anthropic"}},
    "context": {"served_from": "US", "time": JUNE, "purpose": "inquiry"},
}
RIGHT = {
    "determine": inquiry(),
    "determine_batch": {"requests": [inquiry()]},
    "evaluate": EVALUATION,
    "evaluate_all": {**EVALUATION, "evaluations": [{"context": {"purpose": "inquiry", "time": JUNE}}]},
    "add_facts": {"source": "hr", "assurance": "S2", "facts": {"us_status": "citizen"}},
    "revoke": {"subject": "zoe"},
}
"""A body that is answered, for each endpoint that has one."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with something in it, and the parts of paths that lead there."""
    with serving(tmp_path_factory.mktemp("schemathesis") / "data") as service:
        found = service.post("/v1/determinations", inquiry(id="zoe", us_status="citizen")).json()
        service.post("/v1/determinations", use())
        service.post("/v1/subjects/zoe/facts", RIGHT["add_facts"])
        service.there = {"node": "0", "tile": "0/000.p/1", "name": "malformed", "id": found["id"]}
        yield service


def nearer(case, endpoint, service, data):
    """The same request, with one thing generated and the rest right: so not every one is refused at once."""
    there = {**service.there, "id": "zoe"} if "subjects" in endpoint.path else service.there
    case.path_parameters = {name: there[name] for name in case.path_parameters or {}}
    if endpoint.name in RIGHT and isinstance(case.body, dict):
        body = json.loads(json.dumps(RIGHT[endpoint.name]))
        right, wild = body, case.body
        while shared := sorted(
            key for key in right if isinstance(right[key], dict) and isinstance(wild.get(key), dict)
        ):
            if not data.draw(st.booleans()):
                break
            key = data.draw(st.sampled_from(shared))
            right, wild = right[key], wild[key]
        if wild:
            key = data.draw(st.sampled_from(sorted(wild)))
            right[key] = wild[key]
        case.body = body


def asked(described, endpoint, service, headers, mode, examples):
    """Ask what was generated, and check each answer against the description; the statuses that were seen."""
    operation, seen, sent = described[endpoint.path][endpoint.method], set(), []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), near=st.booleans(), data=st.data())
    def each(case, near, data):
        if near:
            nearer(case, endpoint, service, data)
        response = case.call(base_url=service.url, headers=headers, timeout=60)
        case.validate_response(response, checks=CHECKS)
        seen.add(response.status_code)
        sent.append(endpoint.name)

    each()
    counted("generated requests", requests=len(sent), undescribed=0, server_errors=0)
    return seen


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_answer_is_as_described(described, served, endpoint, mode):
    if mode.is_negative and not (endpoint.body or endpoint.query or endpoint.idempotent):
        mode = GenerationMode.POSITIVE  # nothing of it can be wrong: it is asked once more
    headers = served.bearer("decide", "read", "administer")
    seen = asked(described, endpoint, served, headers, mode, EXAMPLES)
    assert seen <= {200, *(kind.status for kind in endpoint.problems)}
    if mode.is_positive:
        assert 200 in seen


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.role], ids=lambda each: each.name)
def test_every_refusal_is_as_described(described, served, endpoint):
    sent = [({}, {401}), ({"Authorization": "Bearer x"}, {401}), (served.bearer("review"), {403})]
    before = served.size()
    for headers, statuses in sent:
        assert asked(described, endpoint, served, headers, GenerationMode.POSITIVE, 3) == statuses
    assert served.size() == before


def test_the_description_has_all_endpoints(described):
    found = {(each.ok().method.upper(), each.ok().path) for each in described.get_all_operations()}
    assert found == {(each.method, each.path) for each in ENDPOINTS}
