"""What docs/how-to/run-on-postgresql.md shows is done as it is written, with a PostgreSQL of its own."""

from pathlib import Path

import pytest
from tests.docs.test_examples import run_page
from tests.postgres.sharing import logged, new_database, shipped, sizes

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-on-postgresql.md"

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("postgres")]


def test_the_page_does_what_it_shows(tmp_path, server):
    url, data = new_database(server), tmp_path / "carnet-data"
    assert run_page(PAGE, tmp_path, "postgresql", CARNET_POSTGRESQL=url) > 8
    assert shipped(data, url)
    assert sum(sizes(data).values()) == 1
    assert logged(data, url).keys() <= sizes(data).keys()
    assert server.password not in (tmp_path / "serve.log").read_text()
