"""What docs/how-to/put-it-behind-envoy.md shows is done as it is written, with a real Envoy."""

import shutil
from pathlib import Path

import pytest
from tests.docs.test_examples import run_page
from tests.doors.proxy import EXAMPLE, program

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "put-it-behind-envoy.md"

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("envoy")]


def test_the_page_does_what_it_shows(tmp_path):
    program()  # the one that is known, which the wheel has put beside ours
    shutil.copy(EXAMPLE, tmp_path / "envoy.yaml")
    assert run_page(PAGE, tmp_path, "envoy") > 12
