"""Numba's own tests of its cache, with Saggar in the cache's place.

Each test runs in a process of its own with a store of its own, because Numba's tests expect an empty cache. What they
say about the *files* of Numba's cache is left out: their number, names and times. Where Saggar differs otherwise, the
reason stands here.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LISTER = """\
import unittest
import numba.tests.test_caching as tests
def each(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each(item)
        else:
            yield item
print("\\n".join(sorted(t.id().partition("test_caching.")[2] for t in each(unittest.defaultTestLoader.loadTestsFromModule(tests)))))
"""
RUNNER = """\
import sys, unittest
import saggar.numba
saggar.numba.install()
assert saggar.numba.status()["active"], saggar.numba.status()
import numba.tests.test_caching as tests
tests.BaseCacheTest.check_pycache = lambda self, n: None
tests.BaseCacheTest.get_cache_mtimes = lambda self: {}
done = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(sys.argv[1], tests))
sys.exit(0 if done.wasSuccessful() else 1)
"""
DIFFERENT = {
    "TestCache.test_cache_reuse": "a module is imported twice: in object mode, both would read the global variables of one; the second is compiled",
    "TestCache.test_recompile": "a global is rebound between two imports: Numba serves the code with the old value, Saggar the new one",
    "TestCache.test_nbi_reproducible_after_touch": "it reads Numba's index files",
    "TestCacheFileCollision.test_file_location": "it reads the names of Numba's index files",
    "TestCacheFileCollision.test_no_collision": "it counts what Numba prints about its index files",
    "TestCacheWithCpuSetting.test_user_set_cpu_name": "it compares the times of Numba's index files",
    "TestCacheWithCpuSetting.test_user_set_cpu_features": "it compares the times of Numba's index files",
}


def _python(code: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "SAGGAR_"))}
    return subprocess.run([sys.executable, "-c", code, *arguments], env={**env, **extra}, capture_output=True, text=True, timeout=300)


def _names() -> list[str]:
    listed = _python(LISTER, SAGGAR_MODE="off")
    return listed.stdout.split() or ["none"]


@pytest.mark.parametrize("name", _names())
def test_caching(name: str, tmp_path: Path) -> None:
    if name == "none":
        pytest.skip("this Numba comes without its tests")
    done = _python(RUNNER, name, SAGGAR_DIR=str(tmp_path / "store"), XDG_STATE_HOME=str(tmp_path), TMPDIR=str(tmp_path))
    assert "Ran 1 test" in done.stderr, done.stderr
    if name in DIFFERENT:
        assert done.returncode == 1, f"{name} passes now: take it off the list"
        pytest.xfail(DIFFERENT[name])
    assert done.returncode == 0, done.stderr[-3000:]
