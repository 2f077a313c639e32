"""The description of the service is made from its table, is committed, and says what the code does."""

import importlib.util
import json
from pathlib import Path

import pytest

from carnet.model.schema import schemas
from carnet.web import app as application
from carnet.web import openapi, problems
from carnet.web.routes import ENDPOINTS

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "reference" / "openapi.json"
DOCUMENT = json.loads(openapi.text())


def generator():
    """`docs/generate.py`, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_description_is_current():
    assert COMMITTED.read_text("utf-8") == openapi.text(), "run `make docs`"


def test_a_stale_description_is_noticed(tmp_path, monkeypatch, capsys):
    generate = generator()
    monkeypatch.setattr(generate, "REFERENCE", tmp_path / "docs" / "reference")
    assert generate.run(["service"]) == 0
    assert generate.run(["service", "--check"]) == 0
    file = tmp_path / "docs" / "reference" / "openapi.json"
    file.write_text(file.read_text("utf-8").replace("/healthz", "/health"), "utf-8")
    assert generate.run(["service", "--check"]) == 1
    assert "openapi.json" in capsys.readouterr().err


def test_its_transaction_is_the_committed_schema_of_the_model():
    model = json.loads(schemas()["transaction"])
    components = DOCUMENT["components"]["schemas"]

    def renamed(node):
        return json.loads(json.dumps(node).replace("#/$defs/", "#/components/schemas/"))

    parts = {name: renamed(part) for name, part in model["$defs"].items()}
    assert parts["Transaction"] == components["Transaction"]
    assert {name: components[name] for name in parts} == parts


def test_every_endpoint_has_one_handler_and_every_handler_an_endpoint():
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert sorted(names) == sorted(application.HANDLERS)
    assert len(set(names)) == len(names)
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)


def test_every_endpoint_is_described_with_its_statuses_and_its_role():
    for endpoint in ENDPOINTS:
        operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["operationId"] == endpoint.name
        statuses = {"200", *(str(kind.status) for kind in endpoint.problems)}
        assert set(operation["responses"]) == statuses
        assert operation["security"] == ([{"key": []}] if endpoint.role else [])
        for status in statuses - {"200"}:
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


def test_every_type_of_problem_can_happen_somewhere():
    assert {kind for endpoint in ENDPOINTS for kind in endpoint.problems} == set(problems.KINDS) - set()


def test_who_asks_is_asked_wherever_something_of_a_tenant_is_told_or_changed():
    free = {endpoint.name for endpoint in ENDPOINTS if endpoint.role is None}
    assert free == {"authzen_configuration", "healthz", "readyz", "metrics", "schema", "problem_page"}


def test_every_reference_leads_somewhere():
    text = json.dumps(DOCUMENT)
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used == set(DOCUMENT["components"]["schemas"])


def test_the_service_gives_its_description_to_whoever_asks(service):
    import httpx

    answer = httpx.get(f"{service.url}/openapi.json")
    assert answer.json() == DOCUMENT
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", problems.KINDS, ids=lambda kind: kind.name)
def test_every_type_of_problem_is_on_the_page(kind):
    text = (ROOT / "docs" / "reference" / "problems.md").read_text("utf-8")
    assert f"## {kind.name}\n\n`{kind.type}`, status {kind.status}." in text
