"""The words of the shipped shelf and the fields of a transaction are the same."""

import tomllib
import typing
from itertools import pairwise
from pathlib import Path

import pytest

import carnet
from carnet.model import transaction as words
from carnet.model.leaves import facts_of

TEXT = (Path(carnet.__file__).parent / "law" / "terms.toml").read_text("utf-8")
TERMS = tomllib.loads(TEXT)
ENTITIES = {
    "transaction": words.Transaction,
    "item": words.Item,
    "party": words.Party,
    "exporter": words.Exporter,
    "end_use": words.EndUse,
}
KIND_OF = {"bool": "value", "enum": "value", "id": "value", "date": "day"}
DECLARED = {
    f"{entity}.{name}": spec
    for entity, table in TERMS.items()
    if isinstance(table, dict)
    for name, spec in table.items()
}


def fields():
    found = {}
    for entity, struct in ENTITIES.items():
        for name, kind in facts_of(struct):
            if entity != "exporter" or name not in words.Party.__struct_fields__:
                found[f"{entity}.{name}"] = (struct, name, kind)
    return found


def test_every_word_is_a_field_and_every_field_a_word():
    assert sorted(fields()) == sorted(DECLARED)


@pytest.mark.parametrize("path", sorted(DECLARED))
def test_a_field_has_the_type_of_its_word(path):
    spec, (_, _, kind) = DECLARED[path], fields()[path]
    wanted = KIND_OF.get(spec["type"], spec["type"])
    if spec["type"] == "set":
        wanted = "countries" if spec["of"] == "country" else "set"
    assert kind == wanted


@pytest.mark.parametrize("path", sorted(path for path, spec in DECLARED.items() if "values" in spec))
def test_a_field_takes_the_values_of_its_word(path):
    struct, name, _ = fields()[path]
    parts = typing.get_args(typing.get_type_hints(struct, include_extras=True)[name])
    short = typing.get_args(parts[0])[0] if DECLARED[path]["type"] == "set" else parts[0]
    assert list(typing.get_args(short)) == DECLARED[path]["values"]


def test_the_units_are_those_of_the_words():
    declared = {path: spec["unit"] for path, spec in DECLARED.items() if spec.get("unit", "1") != "1"}
    assert declared == words.UNITS


def test_the_words_of_knowledge_are_those_of_the_shelf():
    assert {path for path, spec in DECLARED.items() if spec.get("knowledge")} == words.KNOWLEDGE


def test_the_roles_are_those_of_the_shelf():
    assert list(words.Parties.__struct_fields__) == TERMS["roles"]


def test_a_level_stands_where_law_or_letter_makes_the_status_decide():
    levels = {path: spec.get("level", "S0") for path, spec in DECLARED.items()}
    assert {levels[f"party.{name}"] for name in ("us_status", "nationalities", "statuses")} == {"S3"}
    assert {levels[f"party.{name}"] for name in ("employer", "employment", "engaged_by", "hired")} == {"S2"}


def test_every_word_says_above_it_what_it_means():
    lines = TEXT.splitlines()
    bare = [line for above, line in pairwise(lines) if line.startswith("[") and not above.startswith("# ")]
    assert bare == []
