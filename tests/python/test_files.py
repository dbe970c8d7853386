"""Every module of the package is installed: a file that the build does not name is only missed where it is imported."""
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "python"


def test_every_module_is_named_by_the_build():
    named = (PACKAGE / "meson.build").read_text()
    missing = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.glob("saggar/**/*.py*"))
               if path.suffix in (".py", ".pyi") and f"'{path.relative_to(PACKAGE)}'" not in named]
    assert missing == []
