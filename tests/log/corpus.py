"""Writes the export of each released format that has to be read for ever: `python -m tests.log.corpus` writes
the current one, which is done once for a format and never again."""

import random
import tempfile
from pathlib import Path

from tests.log import laws
from tests.log.conftest import House
from tests.log.test_outside import key_of

from carnet.ledger.export import FORMAT
from carnet.service.export import export_to
from carnet.store.origins import seen

FOLDER = Path(__file__).parent / "corpus"


def main():
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder) / "house", laws.rulebook(1))
        r = random.Random(1)
        with house.open() as node:
            for number in range(5):
                product = r.choice(laws.PRODUCTS)
                house.record(node, product, id=f"subject-{number}", us_status="none", location="KP")
        with seen(house.data) as now:
            export_to(FOLDER / f"export-{FORMAT}.zip", now, 1, 5, private=True)
        (FOLDER / f"export-{FORMAT}.pub").write_text(key_of(house) + "\n")


if __name__ == "__main__":
    main()
