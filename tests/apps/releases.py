"""Two consecutive releases of one package: an image baked on the older serves the newer what did not change, and nothing else.

What did not change is decided here from the sources alone (unchanged.py), without asking Saggar.
"""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import model
from shared import ROOT, WORK, Seen, check, command_of, counted, environment, function_of, run, variables
from single import numbers
from unchanged import Package

SHARE = 0.9


@dataclass
class Pair:
    package: str
    older: tuple[str, ...]
    newer: tuple[str, ...]
    command: tuple[str, ...]  # the script, in the applications' folder or in examples/oasis, and its arguments; (): the toy model
    result: Callable[[str], str]  # what decides whether two outputs are the same, "none" if there is no output


OASIS = ("oasislmf", ("oasislmf==2.5.7", "numba==0.68.1"), ("oasislmf==2.5.8", "numba==0.68.1"))
PAIRS = {
    "librosa": Pair("librosa", ("librosa==0.10.2.post1", "numba==0.68.1"), ("librosa==0.11.0", "numba==0.68.1"),
                    ("librosa_app.py",), numbers),
    "oasislmf": Pair(*OASIS, ("tasks.py", "aalpy", "eltpy", "pltpy", "summarypy"), lambda output: " ".join(re.findall(r"\w+py\b", output)) or "none"),
    "oasislmf-model": Pair(*OASIS, (), model.digest),
}


def versions(env: Path) -> str:
    code = "import numba, numpy; print(numba.__version__, numpy.__version__)"
    return run([env / "bin/python", "-c", code], variables(env, WORK / "none", SAGGAR_MODE="off"), "versions").stdout.strip()


def stored(env: Path, place: Path, package: str) -> list[str]:
    """The functions of the package that a store or an image holds, "module.qualname", one for each entry."""
    if not place.exists():
        return []
    listed = json.loads(run([command_of(env), "ls", "--json", place], variables(env, place), "ls").stdout or "[]")
    entries = listed["entries"] if isinstance(listed, dict) else listed
    names = [function_of(entry["group"]) for entry in entries]
    return [name for name in names if name.startswith(f"{package}.")]


def program(this: Pair, folder: Path) -> list[object]:
    if not this.command:
        return list(model.arguments(folder))
    script = folder / this.command[0]
    return [script if script.exists() else ROOT / "examples/oasis" / this.command[0], *this.command[1:]]


def pair(name: str, folder: Path) -> None:
    """An image baked on the older release, used with an empty store on the newer one."""
    this = PAIRS[name]
    if not this.command and not model.is_there(folder):
        return
    command = program(this, folder)
    old, new = environment(f"{this.package}_older", *this.older), environment(f"{this.package}_newer", *this.newer)
    check(f"{name}: the same Numba and NumPy in both", versions(old) == versions(new) != "", f"{versions(old)}, {versions(new)}")
    stores = {when: WORK / f"{name}-{when}-store" for when in ("older", "newer", "empty")}
    for store in stores.values():
        shutil.rmtree(store, ignore_errors=True)
    image = WORK / f"{name}-older.saggar"
    counted([old / "bin/python", *command], old, variables(old, stores["older"]), f"{name}-older")
    run([command_of(old), "bake", "--all", "-o", image, "--store", stores["older"]], variables(old, stores["older"]), f"{name}-bake")
    itself = counted([old / "bin/python", *command], old, variables(old, stores["empty"], SAGGAR_IMAGE=str(image)), f"{name}-itself")
    check(f"{name}: the older release compiles nothing with its own image", itself.misses == 0 < itself.hits,
          f"{itself.misses} compiled, {itself.hits} hits")
    plain = run([new / "bin/python", *command], variables(new, stores["empty"], SAGGAR_MODE="off",
                NUMBA_CACHE_DIR=str(WORK / f"{name}-newer-numba")), f"{name}-newer-off")
    served = counted([new / "bin/python", *command], new,
                     variables(new, stores["empty"], SAGGAR_IMAGE=str(image)), f"{name}-served")
    judge(this, name, Package(old, this.package), Package(new, this.package),
          stored(old, image, this.package), stored(new, stores["empty"], this.package), served, itself.hits)
    seen = this.result(served.output), this.result(plain.stdout)
    check(f"{name}: nothing stale on the newer release", served.status == 0 and seen[0] == seen[1] != "none", f"{seen[0]} ({seen[1]})")


def judge(this: Pair, name: str, old: Package, new: Package, entries_had: list[str], stored_anew: list[str], served: Seen,
          asked: int) -> None:
    """Compares what was compiled with what the sources say: a function that is in the image and the same in both is to be served.

    A function inside one that was served is not asked for; the older release asks for `asked` with its image, the newer for no fewer. One
    that a changed caller calls with other types than any caller of the older release could not be there.
    """
    compiled, had = set(stored_anew), set(entries_had)
    same = {f for f in had if (digest := old.digest(f)) is not None and digest == new.digest(f)}
    new_types = {function for function, _ in served.other_types}
    missed = {function for function, _ in set(served.missed) - set(served.other_types)}
    lost = same & (missed | compiled - new_types)
    share = 1 - len(lost) / len(same) if same else 0.0
    check(f"{name}: at least {SHARE:.0%} of the unchanged functions served", share >= SHARE and served.hits + served.misses >= asked > 0,
          f"{len(same) - len(lost)} of {len(same)} unchanged, {len(had)} in the image, {served.hits} hits, {served.misses} compiled")
    for function, why in sorted(set(served.missed)):
        print(f"     {'changed or new' if function not in same else 'other types' if (function, why) in served.other_types else 'needless'}: "
              f"{function}: {why}", flush=True)
    other = {f for f in had - same if new.digest(f) is not None} - compiled - {function for function, _ in served.missed}
    print(f"     the source differs and it was not compiled anew: {', '.join(sorted(other)) or 'none'}", flush=True)
    unknown = sorted(f for f in had if old.digest(f) is None)
    print(f"     not found in the older sources: {', '.join(unknown) or 'none'}", flush=True)
