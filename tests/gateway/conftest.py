"""Tests that are coroutines run in a loop of their own, the one that the gateway runs in."""

import asyncio
import inspect

import pytest
import uvloop
from tests.gateway.stub import Stub


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is a coroutine, for at most a minute."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asked = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(pyfuncitem.obj(**asked), 60))
    return True


@pytest.fixture(scope="module")
def running_stub():
    with Stub() as stub:
        yield stub


@pytest.fixture
def stub(running_stub):
    """The stub, with nothing in its log."""
    running_stub.forget()
    return running_stub
