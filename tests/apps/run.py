"""Real applications on Saggar: filled by several processes at once, warm, moved; OasisLMF's warm-up; two releases of one package.

    python3 tests/apps/run.py FOLDER [NAME...]

FOLDER holds the applications' scripts: race_librosa.py (usage: race_librosa.py N), oasis/toy.py beside it (usage: toy.py RUNDIR). Without the
folder every application is skipped. NAME: race, oasis, toy, one of single.py's (librosa, numbagg ...), of releases.py's (librosa-releases ...),
pytensor-tests (hours; see pytensor_tests.py); all by default.
"""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import model
import pytensor_tests
import releases
import single
from shared import RESULTS, ROOT, WORK, check, environment, run, variables

EXAMPLES = ROOT / "examples" / "oasis"
TASKS = "fmpy modelpy_gulpy_gulmc lecpy aalpy eltpy pltpy katpy summarypy plapy".split()


def race(folder: Path) -> None:
    """Five processes fill one cache with librosa's guvectorize functions, then a sixth reads it."""
    env = environment("librosa", "librosa==0.11.0", "numba==0.68.1")
    store = WORK / "race-store"
    shutil.rmtree(store, ignore_errors=True)
    with_saggar = run([env / "bin/python", folder / "race_librosa.py", 5], variables(env, store), "race-saggar").stdout
    check("librosa, five at once and one after: six times `26 1`", with_saggar.count("26 1") == 6, with_saggar.split())
    with_numba = run([env / "bin/python", folder / "race_librosa.py", 5], variables(env, store, SAGGAR_MODE="off"), "race-numba").stdout
    print(f"     beside it, Numba's own cache: {' '.join(with_numba.split())}", flush=True)


def verify(env: Path, image: Path, command: list[object], name: str, **more: str) -> tuple[int, dict]:
    store = WORK / f"{name}-empty"
    shutil.rmtree(store, ignore_errors=True)
    done = run([env / "bin/saggar", "verify", "--json", "--image", image, "--", *command], variables(env, store, **more), name)
    start = done.stdout.rfind("\n{\n")
    try:
        return done.returncode, json.loads(done.stdout[start + 1:] if start >= 0 else done.stdout[done.stdout.find("{"):])
    except ValueError:
        return done.returncode, {}


def oasis(folder: Path) -> None:
    """The nine workloads of `oasislmf warmup` side by side; baked; verified in another environment."""
    env = environment("oasis", "oasislmf==2.5.8", "numba==0.68.1")
    store = WORK / "oasis-store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.rmtree(WORK / "state", ignore_errors=True)
    plan = WORK / "plan"
    plan.write_text("".join(f"{n}: {env}/bin/python {EXAMPLES}/tasks.py {n}\n" for n in TASKS))
    start = time.monotonic()
    warm = run([env / "bin/saggar", "warm", "--json", "--jobs", 9, "--plan", plan, "--log-dir", WORK / "warm"],
               variables(env, store), "oasis-warm")
    seconds = time.monotonic() - start
    check("OasisLMF, nine workloads at once: saggar warm", warm.returncode == 0, f"exit {warm.returncode}, {seconds:.0f} s")
    listed = json.loads(run([env / "bin/saggar", "ls", "--json", store], variables(env, store), "oasis-ls").stdout)
    entries = listed["entries"] if isinstance(listed, dict) else listed
    count = sum(job["cacheable"] for job in json.loads(warm.stdout)["workloads"])
    check("OasisLMF: each overload compiled once", count == len(entries) > 300, f"{count} compiled, {len(entries)} stored")
    image = WORK / "oasis.saggar"
    bake = run([env / "bin/saggar", "bake", "-o", image], variables(env, store), "oasis-bake")
    check("OasisLMF: bake", bake.returncode == 0, f"{image.stat().st_size / 1e6:.1f} MB" if image.exists() else bake.stderr)
    moved = WORK / "env" / "moved" / "elsewhere"
    shutil.rmtree(moved, ignore_errors=True)
    moved.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-r", env, moved], check=True)
    status, said = verify(moved, image, [moved / "bin/python", EXAMPLES / "tasks.py", *TASKS], "oasis-verify", NUMBA_CPU_NAME="haswell")
    (WORK / "oasis-verify.json").write_text(json.dumps(said, indent=1))
    check("OasisLMF at another path and CPU name: nothing cacheable compiled (exit 3)", status == 3, f"exit {status}")


def toy(folder: Path) -> None:
    """A whole model run: 17 Numba processes over FIFOs. Recorded once, baked, verified."""
    if not model.is_there(folder):
        return
    env = environment("oasis", "oasislmf==2.5.8", "numba==0.68.1")
    store, image = WORK / "toy-store", WORK / "toy.saggar"
    shutil.rmtree(store, ignore_errors=True)
    command = [env / "bin/python", *model.arguments(folder)]
    plain = run(command, variables(env, store, SAGGAR_MODE="off", NUMBA_CACHE_DIR=str(WORK / "toy-numba")), "toy-numba")
    warm = run([env / "bin/saggar", "warm", "--", *command], variables(env, store), "toy-warm")
    check("toy model: saggar warm", warm.returncode == 0, f"exit {warm.returncode}")
    run([env / "bin/saggar", "bake", "-o", image], variables(env, store), "toy-bake")
    status, _ = verify(env, image, command, "toy-verify")
    seen = [model.digest(text) for text in (plain.stdout, (WORK / "toy-verify.log").read_text())]
    check("toy model, 17 processes: nothing cacheable compiled, equal output", status in (0, 3) and seen[0] == seen[1] != "none",
          f"exit {status}, sha256 {seen}")


def main() -> int:
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path("none")
    if not folder.is_dir():
        print(f"skipped: there is no folder of applications at {folder}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    programs = {"race": race, "oasis": oasis, "toy": toy, **{name: partial(single.application, name) for name in single.APPLICATIONS},
                **{f"{name}-releases": partial(releases.pair, name) for name in releases.PAIRS},
                "pytensor-tests": pytensor_tests.suite}
    for name in sys.argv[2:] or list(programs):
        print(f"{name}: {getattr(programs[name], 'func', programs[name]).__doc__}", flush=True)
        programs[name](folder)
    failed = [name for name, good, _ in RESULTS if not good]
    print(f"{len(RESULTS) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
