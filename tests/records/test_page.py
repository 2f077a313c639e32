"""The page about the records says what the code does, field by field."""

import re
import typing
from pathlib import Path

import pytest
from tests.records.makers import KINDS, ORDER

from carnet.model import leaf
from carnet.model.determination import RecordedDetermination
from carnet.model.retention import State
from carnet.store import vault, vault_parts

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "records.md").read_text("utf-8")
NESTED = {
    "### The legal answer": (RecordedDetermination, "field"),
    "### The grant": (leaf.Given, "field"),
    "### Evidence": (leaf.Reference, "field"),
    "## `uses`": (leaf.Use, "field of a use"),
    "## `shredded` order": (leaf.Order, "field of an order"),
    "## `shredded` approval": (leaf.Approval, "field of an approval"),
}


def section(head):
    """The text below a heading, up to the next one."""
    assert f"\n{head}\n" in PAGE, head
    return re.split(r"^#+ ", PAGE.partition(f"\n{head}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text, first):
    """The first cells of the table whose head begins with this cell."""
    table = re.search(rf"^\| {re.escape(first)} \|.*\n\|---.*\n((?:\|.*\n?)+)", text, re.MULTILINE)
    assert table is not None, first
    return [re.match(r"\| `?([^`|]+?)`? \|", line)[1] for line in table[1].splitlines()]


def test_the_page_has_every_kind_in_the_order_of_the_code():
    assert re.findall(r"^## `(\w+)`$", PAGE, re.MULTILINE) == list(KINDS)


def test_the_page_has_what_every_leaf_has():
    assert rows(section("## Every leaf"), "field") == ["kind", *leaf.Head.__struct_fields__]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_every_field_of_a_kind(kind):
    own = [name for name in KINDS[kind].__struct_fields__ if name not in leaf.Head.__struct_fields__]
    assert rows(section(f"## `{kind}`"), "field") == own


@pytest.mark.parametrize("where", NESTED)
def test_the_page_has_every_field_within_a_leaf(where):
    struct, first = NESTED[where]
    head = re.sub(r"` .*", "`", where)
    assert rows(section(head), first) == list(struct.__struct_fields__)


@pytest.mark.parametrize("values", [leaf.Source, leaf.Ending, leaf.Role, leaf.Manner, leaf.Retention, State])
def test_the_page_has_every_value(values):
    for value in typing.get_args(values):
        assert f"`{value}`" in PAGE


def test_the_page_shows_the_text_that_is_signed():
    shown = re.search(r"```text\n(carnet shred.*?)```", PAGE, re.DOTALL)[1]
    for name in ("vault", "subject", "retention", "key"):
        shown = shown.replace(name.upper(), getattr(ORDER, name))
    assert shown == ORDER.text


def test_the_page_gives_the_figures_of_the_code():
    assert f"at most {leaf.MOST_BYTES:,} bytes" in PAGE
    assert f"1 to {leaf.MOST_USES} entries" in PAGE
    assert f"a multiple of {vault_parts.STEP} bytes" in PAGE
    assert f"take {vault_parts.ROOM:,} of them" in PAGE
    sizes = rows(section("## The private part"), "bytes of a sealed part")
    assert sizes == ["1", str(vault.ID_BYTES), str(vault.NONCE_BYTES), "the rest"]
    assert rows(section("## How long"), "class") == list(typing.get_args(leaf.Retention))
    assert rows(section("## How long"), "state") == list(typing.get_args(State))
