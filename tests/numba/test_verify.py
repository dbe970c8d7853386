"""`saggar verify` on programs whose processes come and go, with the real adapter."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SAGGAR = os.environ.get("SAGGAR_BIN") or shutil.which("saggar")
pytestmark = [pytest.mark.skipif(SAGGAR is None, reason="needs the saggar command (SAGGAR_BIN)")]

hooked = subprocess.run([sys.executable, "-c", "import sys, numba; sys.exit('saggar_hook' not in sys.modules)"], check=False).returncode == 0
pytestmark.append(pytest.mark.skipif(not hooked, reason="needs an environment with saggar.pth"))


def verify(tmp_path: Path, program: str, *options: str) -> tuple[int, dict]:
    """(exit status, report)"""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_"))}
    done = subprocess.run([SAGGAR, "verify", "--json", *options, "--", sys.executable, str(script)], cwd=tmp_path, text=True, timeout=300,
                          capture_output=True, env={**clean, "SAGGAR_IMAGE_PATH": "none", "XDG_STATE_HOME": str(tmp_path / "state")})
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_ended_while_they_import(tmp_path, method):
    """They used no compiler, whenever they are ended."""
    status, report = verify(tmp_path, f"""
        import multiprocessing, time
        import numba

        def f(x):
            return x

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            for i in range(20):
                pool = context.Pool(2)
                time.sleep(0.02 + i * 0.035)
                pool.terminate()
                pool.join()
        """)
    assert (status, report["no_proof"]) == (0, [])
    if method == "spawn":
        assert any(process["importing"] for process in report["processes"]), "none was ended in time"
