"""GT4Py needs Python 3.12 and a C++ compiler: these tests run in an environment of their own (`tests/run.py gt4py`)."""
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("gt4py", reason="GT4Py is not installed")
if shutil.which("g++") is None:
    pytest.skip("no C++ compiler", allow_module_level=True)

from support import Project  # noqa: E402


def pytest_configure(config):
    for line in ("slow: takes minutes; run with --slow", "xdist_group(name): tests of one worker"):
        config.addinivalue_line("markers", line)


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


class Warm:
    """Programs that ran once, each into a store that the tests copy."""

    def __init__(self, factory):
        self.factory, self.done = factory, {}

    def project(self, name="warm"):
        return Project(self.factory.mktemp(name))

    def __call__(self, name, **env):
        key = name, tuple(sorted(env.items()))
        if key not in self.done:
            project = self.project()
            self.done[key] = project, project.good(project.script(name), **env)
        return self.done[key]


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    return Warm(tmp_path_factory)
