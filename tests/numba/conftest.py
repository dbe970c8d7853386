import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("numba")

from support import Project  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; run with --slow")


def pytest_addoption(parser):
    try:
        parser.addoption("--slow", action="store_true", help="run the tests that take minutes")
    except ValueError:
        pass


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs --slow"))


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)
