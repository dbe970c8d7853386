"""Code for a processor with AVX-512 on an emulated one without: compiled again with the reason, right result."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

QEMU = shutil.which("qemu-x86_64")
AVX512 = {"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": ""}
PROGRAM = """\
import json, sys
import saggar.numba
saggar.numba.install()
import numba, numpy
from saggar import _saggar
from saggar import process
seen, plain = [], process.report
def report(event, **details):
    seen.append((event, details.get("reason", ""), details.get("detail", "")))
    plain(event, **details)
process.report = report

@numba.njit(cache=True)
def total(a):
    s = 0.0
    for i in range(a.size):
        s += a[i] * 1.5
    return s

result = total(numpy.arange(1000, dtype=numpy.float32))
print(json.dumps({"result": float(result), "events": seen, "avx512": "avx512f" in _saggar.host_features().split(",")}))
"""

pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 (Debian: qemu-user) is not installed")


def run(tmp: Path, *, cpu: str | None = None, numba_cache: bool = False) -> subprocess.CompletedProcess:
    program = tmp / "program.py"
    program.write_text(PROGRAM)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_"))}
    if cpu is None or numba_cache:  # else compiled for the emulated processor, as it says of itself
        env.update(AVX512)
    env.update(SAGGAR_DIR=str(tmp / "store"), XDG_STATE_HOME=str(tmp / "state"), PYTHONDONTWRITEBYTECODE="1",
               OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    if numba_cache:
        program.write_text(PROGRAM.replace("saggar.numba.install()", "", 1))
        env.update(SAGGAR_MODE="off", NUMBA_CACHE_DIR=str(tmp / "numba"))
    emulated = [QEMU, "-cpu", cpu] if cpu else []
    return subprocess.run([*emulated, sys.executable, str(program)], env=env, capture_output=True, text=True, timeout=300)


def answer(done: subprocess.CompletedProcess) -> dict:
    import json

    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_avx512_code_is_not_served_where_there_is_none(tmp_path: Path) -> None:
    here = answer(run(tmp_path))
    assert [e[0] for e in here["events"]].count("published") == 1
    if here["avx512"]:
        assert "hit" in [e[0] for e in answer(run(tmp_path))["events"]]
    there = answer(run(tmp_path, cpu="Nehalem"))
    assert there["result"] == here["result"]
    miss = next(e for e in there["events"] if e[0] == "miss")
    assert miss[1] == "features" and "avx512f" in miss[2]
    assert "hit" not in [e[0] for e in there["events"]]


def test_numbas_own_cache_there(tmp_path: Path) -> None:
    """The peer, so that the test above is known to test something."""
    if not answer(run(tmp_path))["avx512"]:
        pytest.skip("this processor has no AVX-512 to fill Numba's cache with")
    assert run(tmp_path, numba_cache=True).returncode == 0
    assert run(tmp_path, numba_cache=True, cpu="Nehalem").returncode == -4, "Illegal instruction"
