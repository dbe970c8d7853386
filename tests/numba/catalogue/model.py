"""What a case is.

A case is a small package of Python files, and steps. Each step changes something and then runs an expression in fresh
processes; `needed` names the functions that a perfect cache would have to compile there. Nothing here runs anything.
"""
from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HEADER = "import numpy as np\nfrom numba import njit\n"
ANY = frozenset({"*"})  # whatever is compiled there is right: the first run
CASES: list[Case] = []


class Place:
    """Where one case lives in one column: `root` is on sys.path and holds the package `name`; `cache` is the cache."""

    def __init__(self, work: Path, name: str, column: str, cache: Path) -> None:
        self.work, self.name, self.column, self.cache = work, name, column, cache
        self.root = work / "root"
        self.path = str(self.root)  # what is put on sys.path
        self.package = self.root / name

    def write(self, name: str, source: str) -> None:
        path = self.package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = textwrap.dedent(source)
        path.write_text(HEADER + text if name.endswith(".py") and not name.endswith("__init__.py") else text)

    def files(self) -> list[Path]:
        """The files of the cache, wherever they are."""
        if self.column == "numba":
            found = [p for top in (self.root, self.cache) for p in top.rglob("*") if p.suffix in (".nbi", ".nbc")]
        else:
            own = f"{self.name}.".encode()  # the cache may be shared with other cases
            found = [p for p in (self.cache / "v1").rglob("*") if p.is_file() and own in p.read_bytes()]
        return sorted(found)


Change = Callable[[Place], None]


@dataclass(frozen=True)
class Step:
    call: str
    needed: frozenset[str] = frozenset()
    changes: tuple[Change, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    before: str = ""  # statements that run before Numba is imported
    processes: int = 1  # as many at once
    barrier: bool = False  # they wait for each other between compiling and storing
    dies: bool = False  # the process is meant to be killed: its result does not count
    fails: bool = False  # an error of the cache's here counts as its own
    other_cache: bool = False  # run with a second cache
    script: str = ""  # run this file of the package as the program
    flags: tuple[str, ...] = ()  # of the interpreter
    cwd: str = ""
    judged: bool = True


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    title: str
    issues: str
    files: dict[str, str] = field(hash=False)
    steps: tuple[Step, ...] = ()
    differs: bool = True  # the change is to be seen in the result
    alone: bool = False  # shares no process and no cache with others
    optional: bool = False  # what is needed may, but need not be compiled
    refusal: bool = False  # not storing it, with a counted reason, is right too
    lost: bool = False  # a needless compilation means that an entry was lost
    requires: tuple[str, ...] = ()  # modules without which the case cannot run
    since: tuple[int, int] = (0, 0)  # of Numba


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def case(name: str, kind: str, title: str, issues: str, files: str | dict[str, str], call: str = "lib.f(10)", *changes: Change,
         needed: str = "", then: str = "", env: dict[str, str] | None = None, first: dict[str, str] | None = None,
         again: bool | None = None, before: str = "", differs: bool | None = None, steps: tuple[Step, ...] = (), **more: Any) -> None:
    """
    Adds a case. Without `steps` it is: run `call`; make the changes and run it (or `then`) in the environment `env`, where
    `needed` is compiled; and run that once more, where nothing is.
    """
    files = {"lib.py": files} if isinstance(files, str) else dict(files)
    files.setdefault("__init__.py", "")
    if not steps:
        second = Step(then or call, names(needed), changes, tuple((env or {}).items()), before)
        steps = (Step(call, ANY, env=tuple((first or {}).items()), judged=False), second)
        if again if again is not None else not (env or first or before):
            steps += (replace(second, changes=(), needed=frozenset()),)
    if differs is None:
        differs = bool(changes and needed)
    CASES.append(Case(name, kind, title, issues, files, tuple(steps), differs=differs, **more))


# Changes

def edit(file: str, old: str, new: str) -> Change:
    def change(place: Place) -> None:
        path = place.package / file
        text = path.read_text()
        assert old in text, (old, text)
        path.write_text(text.replace(old, new))
    return change


def write(file: str, source: str) -> Change:
    return lambda place: place.write(file, source)


def remove(file: str) -> Change:
    return lambda place: (place.package / file).unlink()


def prepend(file: str, text: str) -> Change:
    def change(place: Place) -> None:
        path = place.package / file
        path.write_text(text + path.read_text())
    return change


def append(file: str, text: str) -> Change:
    def change(place: Place) -> None:
        path = place.package / file
        path.write_text(path.read_text() + textwrap.dedent(text))
    return change


def touch(place: Place) -> None:
    """Every source file gets another time."""
    for path in place.root.rglob("*.py"):
        os.utime(path, (10**9, 10**9))


def keep_time(change: Change) -> Change:
    """The change leaves the files' times as they were."""
    def changed(place: Place) -> None:
        times = {p: p.stat().st_mtime_ns for p in place.root.rglob("*.py")}
        change(place)
        for path, time in times.items():
            os.utime(path, ns=(time, time))
    return changed


def move(place: Place) -> None:
    """The whole folder moves, caches in it too."""
    target = place.work / "moved" / "deep" / "root"
    target.parent.mkdir(parents=True)
    shutil.move(place.root, target)
    place.root, place.path, place.package = target, str(target), target / place.name


def pack(suffix: str) -> Change:
    """The sources move into an archive, which is on sys.path in their place."""
    def change(place: Place) -> None:
        archive = shutil.make_archive(str(place.work / f"archive{suffix}"), "zip", place.root)
        os.replace(archive, archive[:-4])
        shutil.rmtree(place.root)
        place.path = archive[:-4]
    return change


def read_only(place: Place) -> None:
    """Nothing that exists may be written any more."""
    for top in (place.root, place.cache):
        for path in [top, *top.rglob("*")]:
            if path.exists() and not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)


def cache_files(what: Callable[[Path], object], numba: str = "") -> Change:
    """Something happens to the cache's files; of Numba's, to those with this ending."""
    def change(place: Place) -> None:
        found = [p for p in place.files() if place.column != "numba" or p.name.endswith(numba)]
        for path in found:
            path.chmod(0o644)
            what(path)
        assert found or place.column == "none", "the cache has no files"
    return change


def truncate(part: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * part))


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))

