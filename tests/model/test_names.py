"""`import carnet` is light and has its names."""

import subprocess
import sys

import pytest

import carnet


@pytest.mark.parametrize("name", carnet.__all__)
def test_every_public_name_is_there(name):
    found = getattr(carnet, name)
    assert found.__name__ == name
    assert name in dir(carnet)


def test_the_names_and_their_homes_agree():
    assert sorted(carnet.__all__) == sorted(name for names in carnet._HOMES.values() for name in names)
    assert carnet.__all__ == sorted(carnet.__all__)


def test_a_name_that_is_not_there_says_what_is():
    with pytest.raises(AttributeError, match=r"has no `decode`: its names are .*`?decide"):
        carnet.decode  # noqa: B018 -- looking it up is the test


def test_importing_carnet_imports_nothing_else():
    code = (
        "import sys, carnet; print([m for m in sys.modules if m.startswith(('carnet.', 'msgspec', 'click'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
