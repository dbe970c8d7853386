"""Dictionaries on disk: saggar.Cache beside diskcache and GT4Py's FileCache, each as it comes, in one run.

    python3 bench/mappings.py PYTHON [--folder DIR] [--keys N,N] [--json FILE]      PYTHON: one that has saggar, diskcache and gt4py

For each number of keys that lie there already: opening (constructing it and asking for a key that is not there), hit, miss, put, and eight
processes that put at once. A value is a dictionary with 4 kB of bytes. Times are lower quartiles, because other programs run too, in a
process of its own; the writers' the best of three. System calls are counted by `strace -f` in a second process, between two marks.
Filling, and the puts "without fdatasync", run with a fdatasync() that does nothing: Saggar waits for the disk at every put, the others
do not. GT4Py's class is used with SAGGAR_MODE=off: it is GT4Py's own. Nothing is asserted, but that every answer is right.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

NAMES = {"saggar": "saggar.Cache", "diskcache": "diskcache", "gt4py": "GT4Py's FileCache"}
IMPORTS = {"saggar": "import saggar; saggar.Cache", "diskcache": "import diskcache", "gt4py": "from gt4py._core import filecache"}
LINES = ("import", "open", "hit", "miss", "put", "put, without fdatasync", "put, 8 processes")
WRITERS, ASKED = 8, 400
NO_SYNC = "int fdatasync(int fd) { (void)fd; return 0; }\nint fsync(int fd) { (void)fd; return 0; }\n"


# -- in a process of its own -------------------------------------------------------------------------------------------

def opened(who: str, folder: str) -> Any:
    if who == "saggar":
        import saggar
        return saggar.Cache(folder)
    if who == "diskcache":
        import diskcache
        return diskcache.Cache(folder)
    from gt4py._core import filecache
    assert filecache.FileCache.__module__.startswith("gt4py."), "not GT4Py's own class"
    return filecache.FileCache(folder)


def key(i: int) -> str:
    return hashlib.sha256(b"%d" % i).hexdigest()[:16]  # as GT4Py's are


def value(i: int) -> dict[str, Any]:
    return {"number": i, "source": hashlib.shake_128(b"%d" % i).digest(4096)}


def timed(name: str, numbers: list[int], act: Callable[[int], Any]) -> None:
    counting = bool(os.environ.get("BENCH_CALLS"))
    numbers, took = numbers[:10] if counting else numbers, []
    if counting:
        os.access(f"/bench-begins/{name}/{len(numbers)}", 0)
    for i in numbers:
        start = time.perf_counter_ns()
        act(i)
        took.append(time.perf_counter_ns() - start)
    if counting:
        os.access(f"/bench-ends/{name}/{len(numbers)}", 0)
    print(f"{name}\t{statistics.quantiles(took, n=4)[0]:.6g}\tns", flush=True)


def ask(who: str, folder: str, n: int) -> None:
    """All but the writers; `n` keys are there."""
    there = [i * (n // min(n, ASKED)) for i in range(min(n, ASKED))]
    absent = list(range(10**9, 10**9 + ASKED))
    opened(who, f"{folder}-other")  # what the first one imports
    made = []

    def start(i: int) -> None:
        made.append(opened(who, folder))
        assert key(i) not in made[-1]

    def hit(i: int) -> None:
        assert cache[key(i)]["number"] == i

    def miss(i: int) -> None:
        try:
            cache[key(i)]
        except KeyError:
            return
        raise AssertionError("a key that nobody put")

    timed("open", absent[-20:], start)
    cache = made[-1]
    hit(there[0])
    miss(absent[0])
    timed("hit", there, hit)
    timed("miss", absent, miss)


def put(who: str, folder: str, first: int, n: int, name: str) -> None:
    cache = opened(who, folder)
    cache[key(first + n)] = value(first + n)
    timed(name, list(range(first, first + n)), lambda i: cache.__setitem__(key(i), value(i)))


def fill(who: str, folder: str, first: int, n: int) -> None:
    cache = opened(who, folder)
    for i in range(first, first + n):
        cache[key(i)] = value(i)


def crowd(who: str, folder: str, first: int, n: int) -> None:
    """Eight processes put `n` keys each, from one signal on: the time of all, per put. Then each key must be there."""
    opened(who, f"{folder}-other")
    read, write = os.pipe()
    children = []
    for w in range(WRITERS):
        pid = os.fork()
        if pid == 0:
            os.close(write)
            os.read(read, 1)  # until the parent closes it
            try:
                fill(who, folder, first + w * n, n)
                os._exit(0)
            except BaseException as error:
                print(f"{who}: {type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
        children.append(pid)
    os.close(read)
    if os.environ.get("BENCH_CALLS"):
        os.access(f"/bench-begins/put, 8 processes/{WRITERS * n}", 0)
    start = time.perf_counter_ns()
    os.close(write)
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in children)
    took = time.perf_counter_ns() - start
    if os.environ.get("BENCH_CALLS"):
        os.access(f"/bench-ends/put, 8 processes/{WRITERS * n}", 0)
    cache = opened(who, folder)
    lost = sum(key(i) not in cache for i in range(first, first + WRITERS * n))
    print(f"put, 8 processes\t{took / (WRITERS * n):.6g}\tns\nlost\t{lost}\t\nfailed\t{failed}\t", flush=True)


# -- the run -----------------------------------------------------------------------------------------------------------

def quiet(folder: Path) -> str:
    """A library whose fdatasync() does nothing."""
    source, library = folder / "nosync.c", folder / "nosync.so"
    source.write_text(NO_SYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "-O", "-o", library, source], check=True)
    return str(library)


class Bench:
    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder, self.found = python, folder, {}
        self.no_sync = {"LD_PRELOAD": quiet(folder)}

    def command(self, who: str, *words: object) -> list[object]:
        return [self.python, "-W", "ignore", __file__, "--child", who, *words]

    def importing(self, who: str) -> tuple[float, float]:
        """Processor and system calls of an import, less those of an interpreter that imports nothing."""
        from report import rows, traced
        def took(code: str) -> float:
            text = f"import time\n{code}\nprint('import', time.process_time_ns(), 'ns', sep='\\t')"
            return statistics.median(rows([self.python, "-W", "ignore", "-c", text], **mode(who))["import"] for _ in range(7))
        codes = IMPORTS[who], "pass"
        times, calls = [took(code) for code in codes], []
        if shutil.which("strace"):
            calls = [traced([self.python, "-W", "ignore", "-c", code], self.folder / "trace", **mode(who)) for code in codes]
        return times[0] - times[1], calls[0] - calls[1] if calls else float("nan")

    def one(self, who: str, keys: int) -> dict[str, list[float | None]]:
        """Each line's time and calls."""
        from report import counted, rows
        folder, env = self.folder / f"{who}-{keys}", mode(who)
        rows(self.command(who, "fill", folder, 0, keys), **env, **self.no_sync)
        times = rows(self.command(who, "ask", folder, keys), **env)
        times.update(rows(self.command(who, "put", folder, 2 * 10**6, 200, "put"), **env))
        times.update(rows(self.command(who, "put", folder, 3 * 10**6, 200, "put, without fdatasync"), **env, **self.no_sync))
        crowds = [rows(self.command(who, "crowd", folder, (20 + i) * 10**6, 50), **env) for i in range(3)]
        times.update({name: (min if name.startswith("put") else sum)(crowd[name] for crowd in crowds) for name in crowds[0]})
        calls: dict[str, float] = {}
        if shutil.which("strace"):
            for words in (("ask", folder, keys), ("put", folder, 5 * 10**6, 10, "put"), ("crowd", folder, 6 * 10**6, 50)):
                calls.update(counted(self.command(who, *words), self.folder / "trace", **env))
        shutil.rmtree(folder, ignore_errors=True)
        return {name: [number, calls.get(name)] for name, number in times.items()}

    def all(self, sizes: list[int]) -> dict[str, Any]:
        for keys in sizes:
            for who in NAMES:
                self.found.setdefault(str(keys), {})[who] = self.one(who, keys)
        imports = {who: list(self.importing(who)) for who in NAMES}
        for keys in sizes:
            for who in NAMES:
                self.found[str(keys)][who]["import"] = imports[who]
        return self.found


def mode(who: str) -> dict[str, str]:
    return {"SAGGAR_MODE": "use" if who == "saggar" else "off", "SAGGAR_IMAGE_PATH": "none"}


def show(found: dict[str, Any]) -> None:
    from report import nice_time, table
    for keys, by in found.items():
        lines = []
        for name in LINES:
            cells = [by[who].get(name, [None, None]) for who in NAMES]
            line = [name]
            for took, calls in cells:
                line += [nice_time(took) if took is not None else "", f"{calls:.3g}" if calls is not None else ""]
            lines.append(line)
        lines.append(["of 1,200 puts at once: lost", *(text for who in NAMES for text in (f"{by[who]['lost'][0]:.0f}", ""))])
        lines.append(["of 24 writers: failed", *(text for who in NAMES for text in (f"{by[who]['failed'][0]:.0f}", ""))])
        table(f"Dictionaries on disk, {int(keys):,} keys (lower quartiles; import: CPU; system calls by strace -f)",
              ["", *(text for who in NAMES for text in (NAMES[who], "calls"))], lines)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        who, what, folder, *rest = sys.argv[2:]
        {"ask": ask, "put": put, "fill": fill, "crowd": crowd}[what](who, folder, *(int(w) if w.isdigit() else w for w in rest))
        return
    parser = argparse.ArgumentParser(description="saggar.Cache beside diskcache and GT4Py's FileCache; see the top of this file.")
    parser.add_argument("python")
    parser.add_argument("--folder", type=Path, help="where the dictionaries lie meanwhile")
    parser.add_argument("--keys", default="100,100000")
    parser.add_argument("--json", type=Path, help="the figures, to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = Bench(given.python, Path(folder)).all([int(n) for n in given.keys.split(",")])
    show(found)
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
