"""The page about the transaction says what the code does."""

import json
import re
import typing
from pathlib import Path

from carnet.model.transaction import Party, read_transaction
from carnet.model.written import Evidence, Level, StatedCause

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "transaction.md").read_text("utf-8")


def test_the_example_reads():
    (example,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)
    assert read_transaction(example.encode()).recipient.us_status == "none"


def test_every_way_to_write_a_fact_reads():
    written = re.findall(r"^\| `(\"[^`…]+)` \|", PAGE, re.M)
    assert len(written) == 6
    for each in written:
        recipient = json.loads(f"{{{each}}}")
        data = json.dumps({"at": "2026-06-13T00:00:00Z", "recipient": recipient}).encode()
        assert read_transaction(data).recipient != Party()


def test_every_key_of_the_evidence_is_on_the_page():
    for name in Evidence.__struct_fields__:
        assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name
    for word in (*typing.get_args(Level), *typing.get_args(StatedCause)):
        assert f"`{word}`" in PAGE or f'"{word}"' in PAGE, word
