"""The committed JSON Schemas are those of the code, and as strict as it."""

import json
from pathlib import Path

import pytest

from carnet.model.schema import schemas

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "schema"


def objects(node):
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_committed_schema_is_current(name):
    assert (FOLDER / f"{name}.json").read_text("utf-8") == schemas()[name], "run `make docs`"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_no_object_takes_a_field_that_is_not_named(name):
    found = list(objects(json.loads(schemas()[name])))
    assert found
    for node in found:
        if "properties" in node:
            assert node["additionalProperties"] is False
        else:
            assert isinstance(node["additionalProperties"], dict), "a map says what its values are"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_reference_in_a_schema_is_defined(name):
    schema = json.loads(schemas()[name])
    text = json.dumps(schema)
    used = {part.partition('"')[0] for part in text.split("#/$defs/")[1:]}
    assert used == set(schema["$defs"])
