"""GT4Py needs Python 3.11 and a C++ compiler: these tests run in an environment of their own (`tests/run.py gt4py`)."""
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("gt4py", reason="GT4Py is not installed")
if shutil.which("g++") is None:
    pytest.skip("no C++ compiler", allow_module_level=True)

from support import Project  # noqa: E402


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


class Warm:
    """Programs that ran once, each into a store that the tests copy."""

    def __init__(self, factory):
        self.factory, self.done = factory, {}

    def __call__(self, name, **env):
        key = name, tuple(sorted(env.items()))
        if key not in self.done:
            project = Project(self.factory.mktemp("warm"))
            self.done[key] = project, project.good(project.script(name), **env)
        return self.done[key]


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    return Warm(tmp_path_factory)
