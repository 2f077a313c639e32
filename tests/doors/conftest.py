"""Tests that are coroutines run as those of the gateway do."""

from tests.gateway.conftest import pytest_pyfunc_call  # noqa: F401 -- a hook
