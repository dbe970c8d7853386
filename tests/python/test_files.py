"""The package is installed whole: no file of the source tree is missing from what the build installs."""
from pathlib import Path

import saggar

SOURCE = Path(__file__).parents[2] / "python" / "saggar"


def test_every_python_file_is_installed():
    installed = Path(saggar.__file__).parent
    assert {path.relative_to(SOURCE) for path in SOURCE.rglob("*.py*") if path.suffix in (".py", ".pyi")} == \
        {path.relative_to(installed) for path in installed.rglob("*.py*") if path.suffix in (".py", ".pyi")}
