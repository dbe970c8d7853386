"""PyTensor needs Python 3.13 and its own Numba: these tests run in an environment of their own (`tests/run.py pytensor`)."""
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "numba"))
pytest.importorskip("numba", reason="Numba is not installed")
pytest.importorskip("pytensor", reason="PyTensor is not installed (it needs Python 3.13)")

from support import Project  # noqa: E402


class PyTensorProject(Project):
    """A project whose programs have a PyTensor folder of their own, which must stay without entries of Numba's."""

    def start(self, program, **env):
        folder = self.work / "pytensor"
        folder.mkdir(exist_ok=True)
        env.setdefault("PYTENSOR_FLAGS", f"base_compiledir={folder}")
        return super().start(program, **env)

    def program(self, name):
        return (HERE / "programs" / name).read_text()


@pytest.fixture
def project(tmp_path):
    return PyTensorProject(tmp_path)
