"""JSON Schema of the documents that Carnet reads and writes, as text; `docs/generate.py` makes the files."""

import json
import typing

import msgspec

from carnet.model import transaction, written
from carnet.model.determination import Determination, RecordedDetermination

DOCUMENTS = {
    "transaction": transaction.Transaction,
    "determination": Determination,
    "recorded_determination": RecordedDetermination,
}


def schemas() -> dict[str, str]:
    """The JSON Schema of each document (2020-12), by its name, as text for a file."""
    return {name: schema_of(document) for name, document in DOCUMENTS.items()}


def schema_of(document: type) -> str:
    """The JSON Schema of one type, with short names for the kinds of facts."""
    (root,), parts = msgspec.json.schema_components([document], ref_template="#/$defs/{name}")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": document.__name__,
        **root,
        "$defs": parts,
    }
    text = json.dumps(whole, ensure_ascii=False)
    for long, short in _short_names().items():
        text = text.replace(f'"{long}"', f'"{short}"').replace(f'/{long}"', f'/{short}"')
    renamed = json.loads(text)
    renamed["$defs"] = dict(sorted(renamed["$defs"].items()))
    return json.dumps(renamed, indent=1, ensure_ascii=False) + "\n"


def _short_names() -> dict[str, str]:
    """What msgspec calls the kinds of facts, after their parameters, and the names of these here:
    `Fact_UsStatus`."""
    short = {
        "Fact_bool_": "Fact_bool",
        "Fact_Decimal_": "Fact_Decimal",
        "SetFact_StatusSince_": "SetFact_StatusSince",
    }
    for name, alias in {**vars(written), **vars(transaction)}.items():
        if typing.get_origin(alias) in (typing.Literal, typing.Annotated):
            for kind in (written.Fact, written.SetFact):
                _, parts = msgspec.json.schema_components([kind[alias]])
                short.update(
                    (long, f"{kind.__name__}_{name}")
                    for long in parts
                    if long.startswith(f"{kind.__name__}_")
                )
    return short
