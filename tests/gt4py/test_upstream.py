"""GT4Py's own tests of what Saggar puts in the place of GT4Py's classes, from a checkout of GT4Py: none of them is here.

GT4PY_CHECKOUT names the folder (the one that holds `tests`). Each file runs twice, as its own project runs it: without Saggar, and with
its classes in place, which is checked. What passes without must pass with, but for what DIFFERENT names.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = os.environ.get("GT4PY_CHECKOUT", "")
if not (Path(CHECKOUT) / "tests" / "core_tests").is_dir():
    pytest.skip("GT4PY_CHECKOUT does not name a checkout of GT4Py: its own tests are not run", allow_module_level=True)

# What they ask of: the file cache, the file utilities, cached steps, the compilers' caches.
FILES = (
    "core_tests/unit_tests/test_filecache.py",
    "core_tests/unit_tests/test_file_utils.py",
    "next_tests/unit_tests/otf_tests/test_workflow.py",
    "next_tests/unit_tests/otf_tests/compilation_tests/test_cache.py",
    "next_tests/unit_tests/otf_tests/compilation_tests/test_compiler.py",
    "next_tests/unit_tests/otf_tests/compilation_tests/build_systems_tests",
)
DIFFERENT = {
    "test_cached_step_persistent_recovers_from_corrupt_entry": "it counts files of the name *.pkl; test_filecache.py asks for the same by the cache's own path",
}
PLUGIN = """\
import sys
import gt4py._core.filecache as filecache, gt4py._core.locking as locking

def pytest_report_header():
    ours = sys.modules.get("saggar.gt4py.filecache")
    places = filecache.FileCache is getattr(ours, "FileCache", 0), locking._lock_constructor is getattr(ours, "Lock", 0)
    return f"classes of Saggar: {places}"
"""


def outcomes(file: str, mode: str, folder: Path) -> dict[str, str]:
    """Of each test."""
    folder.mkdir()
    (folder / "inplace.py").write_text(PLUGIN)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SAGGAR_", "GT4PY_", "PYTEST_"))}
    env.update(SAGGAR_MODE=mode, SAGGAR_DIR=str(folder / "store"), SAGGAR_IMAGE_PATH="none", XDG_STATE_HOME=str(folder), TMPDIR=str(folder),
               PYTHONPATH=str(folder), GT4PY_BUILD_CACHE_DIR=str(folder))
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "pytest", "-v", "-p", "inplace", "-p", "no:cacheprovider", "-p", "no:xdist",
                           "--color=no", f"--basetemp={folder / 'temp'}", f"tests/{file}"], env=env, cwd=CHECKOUT, capture_output=True, text=True,
                          timeout=1200)
    said, ours = done.stdout + done.stderr, mode == "use"
    assert "ImportError while loading conftest" in said or f"classes of Saggar: {(ours, ours)}" in said, said
    return dict(re.findall(r"^(tests/\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b", done.stdout, re.M))


@pytest.mark.parametrize("file", FILES)
def test_what_passes_without_passes_with(tmp_path, capsys, file):
    without, with_ = (outcomes(file, mode, tmp_path / mode) for mode in ("off", "use"))
    passed = {name for name, what in without.items() if what == "PASSED"}
    missing = {name: with_.get(name) for name in passed if with_.get(name) != "PASSED"}
    with capsys.disabled():
        print(f"\n{file}: {len(passed)} of {len(without)} pass without Saggar, {len(passed) - len(missing)} of them with it", file=sys.stderr)
    if not passed and not file.startswith("core_tests"):
        pytest.skip(f"{file}: of another version of GT4Py, nothing in it passes without Saggar")
    assert passed and {name.rpartition("::")[2] for name in missing} == {name for name in DIFFERENT if any(name in test for test in passed)}, missing
