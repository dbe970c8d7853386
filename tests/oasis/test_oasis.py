"""Real OasisLMF kernels: warmed up side by side, baked, used under another path, other timestamps and another CPU name.

A few of the nine workloads, so that it stays short; `make demo` and `make test-container` run more of them.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAGGAR = os.environ.get("SAGGAR_BIN", "saggar")
TASKS = ROOT / "examples" / "oasis" / "tasks.py"
COUNTED = ROOT / "examples" / "oasis" / "counted.py"
NAMES = ("plapy", "summarypy", "pltpy")

pytest.importorskip("oasislmf")


def environment(tmp: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_", "PYTHONPATH"))}
    return dict(clean, SAGGAR_DIR=str(tmp / "store"), XDG_STATE_HOME=str(tmp / "state"), **more)


def saggar(env: dict[str, str], *arguments: object, status: int = 0) -> str:
    done = subprocess.run([SAGGAR, *map(str, arguments)], env=env, capture_output=True, text=True, timeout=600,
                          cwd=Path(env["SAGGAR_DIR"]).parent)
    assert done.returncode == status, f"{arguments}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr if arguments[0] in ("verify", "why") else done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the workloads used, compiled by two processes at a time, as one file."""
    tmp = tmp_path_factory.mktemp("warm")
    env = environment(tmp)
    plan = tmp / "plan"
    plan.write_text("".join(f"{name}: {sys.executable} {COUNTED} {tmp}/{name}.json {TASKS} {name}\n" for name in NAMES))
    saggar(env, "warm", "--jobs", 2, "--plan", plan, "--log-dir", tmp / "logs")
    compiled = sum(json.loads((tmp / f"{name}.json").read_text())["compiled"] for name in NAMES)
    entries = json.loads(saggar(env, "ls", "--json", tmp / "store"))
    listed = entries["entries"] if isinstance(entries, dict) else entries
    assert compiled == len(listed) > 30, "each overload is compiled once among all processes, and stored"
    out = tmp / "kernels.saggar"
    saggar(env, "bake", "-o", out)
    saggar(env, "check", out)
    return out


def moved_package(tmp: Path) -> Path:
    """A copy of the oasislmf package at another path, with other timestamps."""
    import oasislmf

    home = tmp / "elsewhere"
    shutil.copytree(Path(oasislmf.__file__).parent, home / "oasislmf", ignore=shutil.ignore_patterns("__pycache__"),
                    copy_function=shutil.copyfile)
    for path in home.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return home


def test_shipped_image_compiles_nothing(image: Path, tmp_path: Path) -> None:
    home = moved_package(tmp_path)
    env = environment(tmp_path, PYTHONPATH=str(home), NUMBA_CPU_NAME="haswell")
    where = subprocess.run([sys.executable, "-c", "import oasislmf; print(oasislmf.__file__)"], env=env, capture_output=True, text=True)
    assert where.stdout.startswith(str(home))
    command = (sys.executable, TASKS, *NAMES)
    said = saggar(env, "verify", "--image", image, "--", *command, status=3)
    assert "never marked for caching" in said and "numba.typed" in said and "0 that can be cached" in said
    saggar(env, "verify", "--allow-uncached", "--image", image, "--", *command)


def test_a_changed_callee_is_named(image: Path, tmp_path: Path) -> None:
    home = moved_package(tmp_path)
    source = home / "oasislmf/pytools/common/event_stream.py"
    head, found, tail = source.read_text().partition("    byte_mv[cursor:cursor + itemsize].view(_dtype)[0] = value")
    assert found, "the callee of this test has changed"
    source.write_text(f"{head}    _edited = 1\n{found}{tail}")
    env = environment(tmp_path, PYTHONPATH=str(home))
    out = saggar(env, "verify", "--image", image, "--", sys.executable, TASKS, *NAMES, status=1)
    assert "something cacheable was compiled" in out or "can be cached" in out
    assert "numba:oasislmf.pytools.summary" in out, "callers of the edited function are named"
    why = saggar(dict(env, SAGGAR_IMAGE=str(image)), "why", "oasislmf.pytools.summary")
    assert "event_stream:mv_write" in why and "(entry) != " in why, why


def test_verify_without_the_adapter_is_no_proof(image: Path, tmp_path: Path) -> None:
    env = environment(tmp_path)
    saggar(env, "verify", "--image", image, "--", sys.executable, "-S", "-c",
           f"import sys; sys.path[:0] = {sys.path!r}; import numba", status=4)
    saggar(env, "verify", "--image", image, "--", "env", "-i", sys.executable, TASKS, "summarypy", status=4)
