"""Every kind of store that keeps a log; a test that takes `backend` runs on each."""

import pytest
from tests.store.logs import BACKENDS


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS.keys())
def backend(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def log(backend):
    """An empty log, open."""
    with backend.open() as opened:
        yield opened
