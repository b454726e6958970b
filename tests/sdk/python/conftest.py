"""One testkit and one Tollgate serve the whole session."""

import json
import os
from pathlib import Path

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


def pytest_sessionfinish(session):
    """Writes how each cell of the conformance grid ended, for `conformance_page.py`."""
    path = os.environ.get("CONFORMANCE_RESULTS")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not path or reporter is None:
        return
    outcomes = {}
    for outcome in ("passed", "failed", "xfailed", "error"):
        for report in reporter.stats.get(outcome, []):
            _, found, cell = report.nodeid.partition("::test_cell[")
            if found:
                outcomes[cell.removesuffix("]")] = outcome
    Path(path).write_text(json.dumps(outcomes, indent=0, sort_keys=True))
