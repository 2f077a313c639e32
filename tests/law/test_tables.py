"""The tables of the shipped shelf against the extracts of the official texts, row by row, and against
themselves. The extracts are no part of the project: without them the comparison is skipped."""

import csv
import datetime as dt
import io
import json
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from carnet.rules import blocks
from carnet.rules.lists import column_id
from carnet.store.shelves import load_rulebook, shipped

SHARED = Path(os.environ.get("CARNET_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "law"
EASTERN = ZoneInfo("America/New_York")
TEXT_OF_CHART = dt.datetime(2026, 7, 23, 12, tzinfo=EASTERN)
TEXT_OF_GROUPS = dt.datetime(2026, 9, 1, 12, tzinfo=EASTERN)


def table(name):
    """The rows of a table of the shipped shelf."""
    return list(csv.DictReader(io.StringIO(shipped()[name].decode("utf-8"))))


def extract(name):
    """An extract's text, or a skip."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no extract `{name}`: set CARNET_SHARED to the directory that holds data/law")
    return path.read_text("utf-8")


def lists():
    """The shipped lists by id."""
    return {block.id: block for block in load_rulebook().of(blocks.List)}


def members(name, at):
    """The members of a shipped list at an instant, known then."""
    return {row.id for row in lists()[name].members if row.known <= at and row.span.holds(at) == "yes"}


def country_of(*columns):
    """The country for each spelling in these columns of the table of countries."""
    found = {}
    for row in table("world/countries.csv"):
        for column in columns:
            if row[column]:
                assert row[column] not in found, f"{row[column]} is spelt so for two countries"
                found[row[column]] = row["id"]
    return found


def test_every_cell_of_the_country_chart_is_as_in_the_text():
    rows = list(csv.DictReader(io.StringIO(extract("commerce_country_chart_2026-07-23.csv"))))
    country = country_of("chart")
    columns = [column for column in rows[0] if column not in ("country", "footnotes", "note")]
    own = {row["id"]: row for row in table("us/ear/738/supp-1.csv")}
    assert len(rows) == len(own) == 200
    assert len(columns) == 16
    for row in rows:
        mine = own[country[row["country"]]]
        cells = ["-"] * 16 if row["note"] else [row[column] for column in columns]
        assert [mine[column] for column in columns] == cells, row["country"]
        assert mine["footnotes"] == row["footnotes"], row["country"]
    for column in columns:
        marked = {country[row["country"]] for row in rows if row[column] == "X"}
        marked |= {new for new, old in {"KY": "GB", "HK": "CN"}.items() if old in marked}
        assert members(column_id("us.ear.738.supp-1", column), TEXT_OF_CHART) == marked, column


def test_every_country_group_is_as_in_the_text():
    groups = json.loads(extract("country_groups_2026-09-01.json"))["groups"]
    country = country_of("groups", "groups_d5")
    for group, names in groups.items():
        marked = {country[name] for name in names}
        marked |= {"HK"} if "CN" in marked else set()
        assert members(column_id("us.ear.740.supp-1", group), TEXT_OF_GROUPS) == marked, group
    spoken_of = {country[name] for names in groups.values() for name in names}
    assert spoken_of <= lists()["us.ear.740.supp-1.B"].domain


def test_the_authorization_countries_are_as_in_the_text():
    names = json.loads(extract("ai_authorization_countries_supp5_part740.json"))["paragraph_a"]
    country = country_of("ai_authorization")
    assert members("us.ear.740.supp-5", TEXT_OF_GROUPS) == {country[name] for name in names}
    assert set(country) == set(names)


def test_there_are_all_countries_and_territories_and_each_once():
    rows = table("world/countries.csv")
    ids = [row["id"] for row in rows]
    assert ids == sorted(set(ids))
    assert len(ids) == 250
    assert len({row["name"] for row in rows}) == 250
    country_of("chart")
    country_of("groups")


def test_every_member_and_every_domain_is_made_of_countries():
    known = members("world.countries", TEXT_OF_GROUPS)
    for name, block in lists().items():
        if block.type == "country":
            assert {row.id for row in block.members} <= known, name
            assert (block.domain or set()) <= known, name


def test_no_country_is_in_an_embargoed_group_and_an_allied_one():
    for allied in ("A_1", "A_5"):
        for embargoed in ("D_1", "D_5", "E_1", "E_2"):
            both = members(f"us.ear.740.supp-1.{allied}", TEXT_OF_GROUPS) & members(
                f"us.ear.740.supp-1.{embargoed}", TEXT_OF_GROUPS
            )
            assert not both, (allied, embargoed)
