"""Applications that mark their functions for caching: cold, warm, moved, and eight at once on an empty store.

Nothing cacheable may be compiled by a warm or a moved run, nothing twice by the eight, the numbers are those of a run without
Saggar, and five warm runs leave the store as large as it was.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from shared import WORK, Seen, check, counted, environment, run, size_of, variables


@dataclass
class Application:
    script: str
    packages: tuple[str, ...]
    settings: dict[str, str]
    python: str = ""  # a version, where the newest packages need it
    places: int = 17  # digits that agree; PyTensor's sums are reassociated, so that they differ in the last ones


APPLICATIONS = {
    "librosa": Application("librosa_app.py", ("librosa==0.11.0", "numba==0.68.1"), {}),
    "numbagg": Application("numbagg_app.py", ("numbagg", "numba==0.68.1"), {"NUMBAGG_CACHE": "1"}),
    "pynndescent": Application("pynndescent_app.py", ("pynndescent", "numba==0.68.1"), {}),
    "ranx": Application("ranx_app.py", ("ranx", "numba==0.68.1"), {}),
    "vectorbt": Application("vectorbt_app.py", ("vectorbt",), {}),
    "pytensor": Application("pytensor_radon.py", ("pytensor==3.3.7", "numba==0.68.0"), {"APPDIR": str(WORK / "pytensor")}, "3.13", 9),
    "numba_stats": Application("numba_stats_app.py", ("numba-stats", "numba==0.68.1"), {}),
}
WARM_RUNS, AT_ONCE = 5, 8
NUMBERS = re.compile(r"checksum ([-\d. naife+]+?) import|\"check\": ([-\d.e+]+)")


def numbers(output: str, places: int = 17) -> str:
    found = NUMBERS.search(output)
    if found is None:
        return "none"
    return found[1] or f"{float(found[2]):.{places}g}"


def moved(env: Path, script: Path, name: str) -> tuple[Path, Path]:
    """The environment and the program at another path, every file with a new time."""
    folder = WORK / "moved" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["cp", "-r", env, folder / "environment"], check=True)
    shutil.rmtree(folder / "environment" / "numba_cache", ignore_errors=True)
    copy = folder / "elsewhere" / script.name
    copy.parent.mkdir()
    shutil.copyfile(script, copy)
    for path in folder.rglob("*"):
        if path.suffix != ".pyc" and path.is_file() and not path.is_symlink():
            os.utime(path)
    return folder / "environment", copy


def at_once(name: str, env: Path, command: list[object], settings: dict[str, str]) -> list[Seen]:
    """The same command in eight processes that share one empty store."""
    store = WORK / f"{name}-eight"
    shutil.rmtree(store, ignore_errors=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda i: counted(command, env, variables(env, store, PYTHONHASHSEED=str(i), **settings),
                                               f"{name}-eight-{i}"), range(AT_ONCE)))


def clean(name: str, when: str, seen: Seen, expected: str) -> None:
    places = APPLICATIONS[name].places
    check(f"{name}, {when}: nothing cacheable compiled, same numbers",
          seen.status == 0 and seen.misses == 0 and seen.faults == 0 and seen.hits > 0 and numbers(seen.output, places) == expected,
          f"{seen.misses} compiled, {seen.hits} served, {seen.faults} faults, {numbers(seen.output, places)}")
    for function, why in sorted(set(seen.missed)):
        print(f"     needless: {function}: {why}", flush=True)


def application(name: str, folder: Path) -> None:
    """One application: cold, warm, moved, eight at once."""
    app = APPLICATIONS[name]
    script, env = folder / app.script, environment(name, *app.packages, python=app.python)
    store = WORK / f"{name}-store"
    shutil.rmtree(store, ignore_errors=True)
    command = [env / "bin/python", script]
    plain = run(command, variables(env, store, SAGGAR_MODE="off", NUMBA_CACHE_DIR=str(WORK / f"{name}-numba"), **app.settings),
                f"{name}-off")
    expected = numbers(plain.stdout, app.places)
    cold = counted(command, env, variables(env, store, PYTHONHASHSEED="1", **app.settings), f"{name}-cold")
    check(f"{name}, cold: same numbers as without Saggar, no faults",
          cold.status == 0 and cold.faults == 0 and numbers(cold.output, app.places) == expected != "none",
          f"{cold.misses} compiled, {cold.stored} stored, {cold.faults} faults, {numbers(cold.output, app.places)} ({expected})")
    for row in cold.not_stored:
        print(f"     not stored: {row}", flush=True)
    check(f"{name}: every function that is marked for caching is stored", not cold.not_stored and cold.stored > 0,
          f"{len(cold.not_stored)} reasons")
    before = 0
    for number in range(WARM_RUNS):
        warm = counted(command, env, variables(env, store, PYTHONHASHSEED=str(number + 2), **app.settings), f"{name}-warm-{number}")
        before = before or size_of(store)
        if number == 0 or warm.misses:
            clean(name, f"warm run {number + 1}", warm, expected)
    check(f"{name}: the store does not grow over {WARM_RUNS} warm runs", size_of(store) == before > 0,
          f"{before} and {size_of(store)} bytes")
    other, copy = moved(env, script, name)
    clean(name, "moved", counted([other / "bin/python", copy], other, variables(other, store, PYTHONHASHSEED="99", **app.settings),
                                 f"{name}-moved"), expected)
    eight = at_once(name, env, command, app.settings)
    compiled, keys = sum(seen.misses for seen in eight), [key for seen in eight for key in seen.keys]
    # There may be more than one process meets: which caller lends a function its options depends on who came first.
    check(f"{name}, {AT_ONCE} at once: nothing compiled twice, same numbers",
          compiled == len(keys) == len(set(keys)) >= cold.misses
          and all(seen.status == 0 and numbers(seen.output, app.places) == expected for seen in eight),
          f"{compiled} compiled, {len(set(keys))} different ({cold.misses} by one), "
          f"{[numbers(seen.output, app.places) for seen in eight].count(expected)} right")
