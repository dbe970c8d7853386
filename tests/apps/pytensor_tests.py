"""PyTensor's own tests of its Numba backend, from a checkout of its repository, file by file: cold, then warm.

SAGGAR_PYTENSOR names the checkout (its `tests` and `conftest.py` are enough); SAGGAR_PYTENSOR_FILES, if set, the files to run, relative to
tests/link/numba, with spaces between. Every file has a store of its own. The second run must compile nothing that could be cached, and each
test must end as it does with PyTensor's own cache, which runs beside it, twice too. What was run stays in pytensor-tests.json and is not
run again: the whole takes hours.
"""
from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from shared import WORK, check, counted, environment, run, variables

COUNTER = '''\
"""Counts what Numba compiles in this process, whoever asks."""
import atexit, os
from numba.core import event


class Count(event.Listener):
    seen = 0

    def on_start(self, e):
        Count.seen += 1

    def on_end(self, e):
        pass


event.register("numba:compile", Count())
atexit.register(lambda: open(os.environ["COMPILED"], "a").write(f"{Count.seen}\\n"))
'''
OUTCOME = re.compile(r"^(?:PASSED|FAILED|SKIPPED|XFAIL|XPASS|ERROR) .*?(?= - |$)", re.M)


def outcomes(log: str) -> list[str]:
    """How each test ended, without what it says."""
    return sorted(re.sub(r"(?<=^SKIPPED )\[\d+\] |(?<= at 0x)[0-9a-f]+", "", line) for line in OUTCOME.findall(log))


def compiled(folder: Path) -> int:
    path = folder / "compiled"
    total = sum(map(int, path.read_text().split())) if path.exists() else -1
    path.unlink(missing_ok=True)
    return total


def one(env: Path, source: Path, name: str) -> dict[str, object]:
    """One file of tests, twice with Saggar and twice with PyTensor's own cache."""
    label = "pytensor-" + re.sub(r"\W", "-", name)
    folder = WORK / label
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "counter").mkdir(parents=True)
    (folder / "counter" / "count_compiled.py").write_text(COUNTER)
    command = [env / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "count_compiled", "-o", "addopts=", "-rA",
               "--tb=line", "--rootdir", source, source / "tests/link/numba" / name]
    row: dict[str, object] = {"file": name}
    ends = []
    for who, mode in (("saggar", "use"), ("own", "off")):
        values = variables(env, folder / "store", SAGGAR_MODE=mode, SAGGAR_IMAGE_PATH="none", COMPILED=str(folder / "compiled"),
                           PYTHONPATH=f"{folder / 'counter'}:{source}", PYTENSOR_FLAGS=f"base_compiledir={folder / who}",
                           NUMBA_NUM_THREADS="2", OMP_NUM_THREADS="1")
        for when in ("cold", "warm"):
            if who == "saggar":
                seen = counted(command, env, values, f"{label}-{when}")
                row[f"{when} misses"], row[f"{when} hits"], row[f"{when} faults"] = seen.misses, seen.hits, seen.faults
                row[f"{when} refused"] = seen.refused
                row[f"{when} missed"] = sorted({f"{function}: {why}" for function, why in seen.missed}) if when == "warm" else []
                row["not stored"] = seen.not_stored
                text = seen.output
            else:
                text = run(command, values, f"{label}-{who}-{when}").stdout
            row[f"{who} {when} compiled"] = compiled(folder)
            ends.append(outcomes(text))
    row["tests"] = len(ends[0])
    row["differ"] = sorted({line for other in ends[:3] for line in set(other) ^ set(ends[2])})
    shutil.rmtree(folder, ignore_errors=True)
    return row


def suite(folder: Path) -> None:
    """PyTensor's own tests of its Numba backend, twice with Saggar and twice with PyTensor's cache."""
    source = Path(os.environ.get("SAGGAR_PYTENSOR", "none")).resolve()
    if not (source / "tests/link/numba").is_dir():
        print("skipped: SAGGAR_PYTENSOR names no checkout of PyTensor's repository", flush=True)
        return
    env = environment("pytensor_tests", "pytensor==3.3.7", "numba==0.68.0", "pytest", python="3.13")
    done = WORK / "pytensor-tests.json"
    rows = json.loads(done.read_text()) if done.exists() else []
    files = sorted((path for path in (source / "tests/link/numba").rglob("test_*.py")), key=lambda path: path.stat().st_size)
    wanted = os.environ.get("SAGGAR_PYTENSOR_FILES", "").split() or [str(path.relative_to(source / "tests/link/numba")) for path in files]
    for name in wanted:
        row = next((row for row in rows if row["file"] == name), None)
        if row is None:
            row = one(env, source, name)
            rows.append(row)
            done.write_text(json.dumps(rows, indent=1))
        check(f"PyTensor's {name}, {row['tests']} tests: the second run compiles nothing that could be cached, each ends as without Saggar",
              row["warm misses"] == row["warm refused"] and not row["warm faults"] and not row["differ"] and row["tests"],
              f"cacheable {row['cold misses'] - row['cold refused']} / {row['warm misses'] - row['warm refused']}, "
              f"refused {row['cold refused']} / {row['warm refused']}, all {row['saggar cold compiled']} / {row['saggar warm compiled']}, "
              f"with PyTensor's own cache {row['own cold compiled']} / {row['own warm compiled']}")
        for line in [*row["warm missed"], *row["differ"], *row["not stored"]]:
            print(f"     {line}", flush=True)
