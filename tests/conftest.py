"""What holds for every test: a skip that tests/skips.toml does not list fails the run."""

import os
import tomllib
from pathlib import Path

import pytest

LISTED = tomllib.loads((Path(__file__).parent / "skips.toml").read_text("utf-8"))["skip"]
REQUIRED = frozenset(part for part in os.environ.get("CARNET_REQUIRE", "").split(",") if part)


def pytest_configure():
    """Refuse to require a part that no listed skip knows: it would require nothing."""
    unknown = REQUIRED - {entry["part"] for entry in LISTED}
    if unknown:
        raise pytest.UsageError(
            f"CARNET_REQUIRE names `{min(unknown)}`, which tests/skips.toml does not list"
        )


def judged(report):
    """The report, failed if it is a skip that is not listed or whose part is required."""
    if report.skipped and not hasattr(report, "wasxfail"):
        entry = next((one for one in LISTED if report.nodeid.startswith(one["test"])), None)
        if entry is None:
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid} was skipped and tests/skips.toml does not say why it may be"
        elif entry["part"] in REQUIRED:
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid} was skipped, but CARNET_REQUIRE asks for `{entry['part']}`"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Judge a test that skips."""
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Judge a module that skips as a whole."""
    return judged((yield))
