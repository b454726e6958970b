"""One testkit and one Tollgate serve the whole session."""

import pytest
from harness import Testkit, Tollgate


@pytest.fixture(scope="session")
def testkit(tmp_path_factory):
    server = Testkit(tmp_path_factory.mktemp("testkit"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tollgate(testkit, tmp_path_factory):
    server = Tollgate(testkit, tmp_path_factory.mktemp("tollgate"))
    yield server
    server.stop()


@pytest.fixture
def anyio_backend():
    return "asyncio"
