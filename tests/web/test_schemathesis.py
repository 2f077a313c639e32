"""The whole service as its description says it is: generated requests, good and bad, get no server error, no
status and no form of answer that is not described."""

import json
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks
from tests.web.conftest import inquiry, serving, use

from carnet.web import openapi
from carnet.web.routes import ENDPOINTS

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

EXAMPLES = 300 if os.environ.get("CARNET_FAULTS") == "nightly" else 40
"""Generated requests for each endpoint."""

CHECKS = (
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
)

SCHEMA = schemathesis.openapi.from_dict(json.loads(openapi.text()))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with something in it, and a key for everything."""
    with serving(tmp_path_factory.mktemp("schemathesis") / "data") as service:
        service.post("/v1/determinations", inquiry(id="zoe", us_status="citizen"))
        service.post("/v1/determinations", use())
        yield service


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case, served):
    headers = served.bearer("decide", "read", "administer")
    response = case.call(base_url=served.url, headers=headers, timeout=60)
    case.validate_response(response, checks=CHECKS)


@SCHEMA.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_refusal_is_as_described(case, served):
    """The same without a key, and with one for something else."""
    for headers in ({}, {"Authorization": "Bearer x"}, served.bearer("review")):
        response = case.call(base_url=served.url, headers=headers, timeout=60)
        case.validate_response(response, checks=CHECKS)
        if served.url and any(each.role for each in ENDPOINTS if each.path == case.path):
            assert response.status_code in (401, 403)


def test_all_endpoints_are_among_the_generated():
    found = {(each.ok().method.upper(), each.ok().path) for each in SCHEMA.get_all_operations()}
    assert found == {(each.method, each.path) for each in ENDPOINTS}
