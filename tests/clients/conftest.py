"""One set of scripted providers and one Tollgate serve the whole session; each test has a desk of its own."""

import pytest
from harness import OFFLINE, Desk, Testkit, Tollgate


@pytest.fixture(scope="session", autouse=True)
def offline():
    """The clients that live in this process have no way out either."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def providers(tmp_path_factory):
    server = Testkit(tmp_path_factory.mktemp("testkit"))
    yield server
    server.stop()


@pytest.fixture
def testkit(providers):
    """Without the records of the tests before: the model behind a route is the same each time."""
    providers.forget()
    return providers


@pytest.fixture(scope="session")
def tollgate(providers, tmp_path_factory):
    server = Tollgate(providers, tmp_path_factory.mktemp("tollgate"))
    yield server
    server.stop()


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)
