"""The fault tests run on a wrong build where `CARNET_WRONG` names one: then they have to fail
(`test_wrong_builds.py`)."""

from tests.faults import wrong


def pytest_configure():
    """Before any test opens a log."""
    wrong.build()
