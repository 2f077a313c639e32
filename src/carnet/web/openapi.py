"""The description of the service, OpenAPI 3.1: made from the table of routes and from the types themselves.
What the committed file of it is compared with is in `docs/generate.py`.
"""

import json
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any

from starlette.responses import Response

from carnet.model.leaf import Leaf
from carnet.model.schema import schema_of
from carnet.store.api_keys import ROLES
from carnet.web import messages, problems
from carnet.web.problems import MEDIA_TYPE, Kind, Problem
from carnet.web.routes import ENDPOINTS, IDEMPOTENCY_KEY, INDEX, NODE, PARAMETERS, Endpoint, Parameter
from carnet.web.serving import JSON, MOST_KEY, Call, Serving

VERSION = "1"

_COMPONENTS = "#/components/schemas/"
_LEAVES = frozenset(kind.__name__ for kind in Leaf.__args__)

Document = dict[str, Any]

_QUERY: dict[str, Document] = {
    "text": {"type": "string"},
    "instant": {"type": "string", "format": "date-time"},
    "number": {"type": "integer", "minimum": 1},
    "switch": {"type": "boolean"},
}
_PLACE = {
    NODE: {
        "description": "The node whose log has the record.",
        "required": True,
        "schema": {"type": "integer"},
    },
    INDEX: {
        "description": "The index of the record in that log.",
        "required": True,
        "schema": {"type": "integer"},
    },
}
_HEADERS = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}},
    "WWW-Authenticate": {
        "description": "How to say who asks.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Allow": {"description": "The methods that there are.", "required": True, "schema": {"type": "string"}},
}
_SAID = {
    problems.NO_KEY.status: "WWW-Authenticate",
    problems.METHOD.status: "Allow",
    problems.IN_PROGRESS.status: "Retry-After",
    problems.TOO_MANY.status: "Retry-After",
    problems.UNAVAILABLE.status: "Retry-After",
}


async def schema(serving: Serving, call: Call) -> Response:
    """`GET /openapi.json`."""
    del serving, call
    return Response(text(), 200, {"Cache-Control": "max-age=300"}, JSON)


@cache
def text() -> str:
    """The description, as text for a file."""
    components: Document = {}
    paths: dict[str, Document] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, components)
    whole = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Carnet",
            "version": VERSION,
            "description": "Who may use which AI model under export-control law. Not legal advice.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"An API key. It has some of the roles {', '.join(ROLES)}.",
                }
            },
        },
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _operation(endpoint: Endpoint, components: Document) -> Document:
    operation: Document = {"operationId": endpoint.name, "summary": endpoint.about}
    if endpoint.role is not None:
        operation["description"] = f"Takes a key with the role `{endpoint.role}`."
    operation["security"] = [] if endpoint.role is None else [{"key": []}]
    parameters = list(_parameters(endpoint))
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {JSON: {"schema": _schema(endpoint.body, components)}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {"200": _answer(endpoint, components)}
    for status in sorted({kind.status for kind in endpoint.problems}):
        kinds = [kind for kind in endpoint.problems if kind.status == status]
        operation["responses"][str(status)] = _problem(status, kinds, components)
    return operation


def _parameters(endpoint: Endpoint) -> Iterator[Document]:
    for step in endpoint.path.split("/"):
        if step.startswith("{"):
            name = step.strip("{}")
            about = PARAMETERS[name]
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": about,
                "schema": {"type": "string"},
            }
    for parameter in endpoint.query:
        yield _query(parameter)
    if endpoint.idempotent:
        yield {
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "description": "The same key gets the same answer, and one record.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": MOST_KEY,
                "pattern": "^[!-~]([ -~]*[!-~])?$",
            },
        }


def _query(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": _QUERY[parameter.kind],
    }


def _answer(endpoint: Endpoint, components: Document) -> Document:
    if isinstance(endpoint.answer, str):
        kind = endpoint.answer.partition(";")[0]
        shape = {"type": "object"} if kind == JSON else {"type": "string"}
        content = {kind: {"schema": shape}}
    else:
        content = {JSON: {"schema": _schema(endpoint.answer, components)}}
    said: Document = {"description": "The answer.", "content": content}
    if endpoint.recorded:
        said["headers"] = _PLACE
    return said


def _problem(status: int, kinds: list[Kind], components: Document) -> Document:
    said = " or ".join(f"{kind.title} (`{kind.type}`)" for kind in kinds)
    document: Document = {
        "description": f"{said}.",
        "content": {MEDIA_TYPE: {"schema": _schema(Problem, components)}},
    }
    if status in _SAID:
        document["headers"] = {_SAID[status]: _HEADERS[_SAID[status]]}
    return document


def _schema(of: type | UnionType, components: Document) -> Document:
    """The schema of a type, what it refers to among the components. The kinds of leaves have names of their
    own there: a determination is also what is answered."""
    if isinstance(of, UnionType):
        return {"anyOf": [_schema(each, components) for each in of.__args__]}
    text = schema_of(of).replace("#/$defs/", _COMPONENTS)
    kept = of in (messages.Kept, messages.Records)
    if kept:
        for name in _LEAVES:
            text = text.replace(f'"{_COMPONENTS}{name}"', f'"{_COMPONENTS}{name}Leaf"')
    whole = json.loads(text)
    for name, part in whole.pop("$defs").items():
        called = f"{name}Leaf" if kept and name in _LEAVES else name
        if components.setdefault(called, part) != part:
            raise TypeError(f"two types are called `{called}`: give one another name")
    return {key: value for key, value in whole.items() if key not in ("$schema", "title")}
