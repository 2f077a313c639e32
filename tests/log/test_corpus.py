"""An export of every released format is read, verified and decided again for ever; the page says what is in
one."""

import re
from pathlib import Path

import pytest

from carnet.ledger import export
from carnet.ledger.archive import Archive
from carnet.ledger.checkpoint import verifier_key
from carnet.ledger.export import Export, Keys, Manifest
from carnet.service.outside import checked
from carnet.service.redecide import redecided
from carnet.store.exports import mapped

FOLDER = Path(__file__).parent / "corpus"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "export.md"


@pytest.mark.parametrize("number", range(1, export.FORMAT + 1))
def test_an_export_of_every_format_is_verified_and_comes_out_alike(number):
    key = verifier_key((FOLDER / f"export-{number}.pub").read_text().strip())
    with mapped(FOLDER / f"export-{number}.zip") as data:
        found = Export(Archive(data))
        said = checked(found, [key])
        again = redecided(found)
    assert (said.first, said.stop, said.size, said.opened) == (1, 5, 5, 4)
    assert (again.determinations, again.alike) == (4, 4)


def test_the_page_names_every_member_and_field():
    text = PAGE.read_text("utf-8")
    members = (export.MANIFEST, export.KEYS, export.CHECKPOINT, export.NODES, export.LEAVES, export.PRIVATE)
    for name in (*members, export.LAWS, export.POLICIES, export.BUILDS):
        assert f"| `{name}" in text
    for part, kind in (("export.json", Manifest), ("keys.json", Keys)):
        section = text.split(f"## `{part}`\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(kind.__struct_fields__)
