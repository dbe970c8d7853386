"""What a cached Numba function costs in a new process: Numba's own cache, Saggar's store, Saggar's image.

    python bench/numba_load.py FOLDER [PAIRS]        with the Python of an environment that has Numba and Saggar

A module of 120 cached functions is generated. Each cache is filled once (the cold compile); then new processes import the module and
call every function once. The runs of the caches alternate, and each round has one process that only imports Numba: what is above it
is the cost of the functions. CPU time, not wall time: of the whole process by wait4, of its phases by the process clock. System
calls are counted in one more run under strace. Prints one JSON object; nothing is judged but that all processes computed the same and
that nothing was compiled where everything was cached.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

COUNT = 120
KINDS = (
    "    total = 0.0\n    for i in range(a.shape[0]):\n        total += a[i] * x + {n}\n    return total\n",
    "    out = np.empty_like(a)\n    for i in range(a.shape[0]):\n        out[i] = math.sqrt(a[i] * {n} + x)\n    return out.sum()\n",
    "    low, high = x, {n}.0\n    while high - low > 1e-9:\n        middle = (low + high) / 2\n        if middle * middle > a[0] + {n}:\n"
    "            high = middle\n        else:\n            low = middle\n    return low\n",
)
PHASES = ("decorate", "first", "rest")


def generate(folder: Path) -> None:
    lines = ["import math\n", "import numpy as np\n", "from numba import njit\n"]
    for n in range(COUNT):
        lines.append(f"\n\n@njit(cache=True)\ndef f{n}(a, x):\n" + KINDS[n % len(KINDS)].format(n=n + 2))
    folder.mkdir()
    (folder / "functions.py").write_text("".join(lines))


def child(what: str) -> None:
    """One process: `base` imports only; `call` calls everything once. Marks the phases for strace."""
    import numba  # noqa: F401
    import numpy as np
    if what == "base":
        return
    a, times, total = np.ones(10), [time.process_time()], 0.0

    def phase(name: str) -> None:
        times.append(time.process_time())
        os.access(f"/bench-ends/{name}/1", os.F_OK)

    os.access("/bench-begins/decorate/1", os.F_OK)
    import functions
    phase("decorate")
    total += functions.f0(a, 1.0)
    phase("first")
    for n in range(1, COUNT):
        total += getattr(functions, f"f{n}")(a, 1.0)
    phase("rest")
    hits = sum(sum(getattr(functions, f"f{n}").stats.cache_hits.values()) for n in range(COUNT))
    print(json.dumps({"phases": [y - x for x, y in zip(times, times[1:])], "total": total, "hits": hits}))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        generate(folder / "module")
        self.image = folder / "functions.saggar"
        self.totals: set[float] = set()

    def environ(self, cache: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_"))}
        env.update(PYTHONPATH=str(self.folder / "module"), XDG_STATE_HOME=str(self.folder / "state"), SAGGAR_IMAGE_PATH="none")
        if cache in ("base", "numba"):
            env.update(SAGGAR_MODE="off", NUMBA_CACHE_DIR=str(self.folder / "numba"))
        elif cache == "store":
            env["SAGGAR_DIR"] = str(self.folder / "store")
        else:
            env.update(SAGGAR_DIR=str(self.folder / "empty"), SAGGAR_IMAGE=str(self.image))
        return env

    def run(self, cache: str, hits: int | None = COUNT, trace: Path | None = None) -> dict[str, object]:
        """One process: its CPU seconds, and what it said of itself."""
        command = [sys.executable, __file__, "--child", "base" if cache == "base" else "call"]
        if trace is not None:
            command = ["strace", "-f", "-qq", "-o", str(trace), *command]
        process = subprocess.Popen(command, env=self.environ(cache), stdout=subprocess.PIPE, cwd=self.folder)
        output = process.stdout.read()
        _, status, use = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{cache}: exit {process.returncode}")
        result = {"cpu": use.ru_utime + use.ru_stime, "rss": use.ru_maxrss / 1024}
        if cache != "base":
            said = json.loads(output)
            self.totals.add(said["total"])
            result.update(dict(zip(PHASES, said["phases"])))
            if hits is not None and said["hits"] != hits:
                raise SystemExit(f"{cache}: {said['hits']} of {hits} functions came from the cache")
        return result

    def calls(self, cache: str) -> dict[str, float]:
        """System calls of each phase, by strace; of the last one per function."""
        trace, counts, phase = self.folder / "trace", {}, ""
        self.run(cache, trace=trace)
        for line in trace.read_text(errors="replace").splitlines():
            if "/bench-" in line:
                edge, name = re.search(r"/bench-(begins|ends)/(\w+)", line).groups()
                phase = "decorate" if edge == "begins" else dict(zip(PHASES, PHASES[1:])).get(name, "")
            elif phase and re.match(r"\d+ +\w+\(", line):
                counts[phase] = counts.get(phase, 0) + 1
        return {"first": counts["first"], "each": counts["rest"] / (COUNT - 1)}


def summary(rows: list[dict[str, float]], base: list[dict[str, float]]) -> dict[str, float]:
    def middle(key: str) -> float:
        return statistics.median(row[key] for row in rows)
    return {"above_import_ms": 1e3 * statistics.median(r["cpu"] - b["cpu"] for r, b in zip(rows, base)),
            "decorate_us": 1e6 * middle("decorate") / COUNT, "first_ms": 1e3 * middle("first"),
            "each_us": 1e6 * middle("rest") / (COUNT - 1), "rss_mb": middle("rss")}


def main(folder: Path, pairs: int) -> None:
    bench = Bench(folder)
    bench.run("base")  # byte code, page cache
    cold = {cache: bench.run(cache, hits=0) for cache in ("numba", "store")}
    saggar = Path(sys.executable).with_name("saggar")
    subprocess.run([saggar, "bake", "--all", "-o", bench.image, bench.folder / "store"], check=True, stdout=subprocess.DEVNULL)
    rows: dict[str, list[dict[str, float]]] = {cache: [] for cache in ("base", "numba", "store", "image")}
    for cache in ("numba", "store", "image"):
        bench.run(cache)
    for turn in range(pairs):
        order = list(rows) if turn % 2 == 0 else list(rows)[::-1]
        for cache in order:
            rows[cache].append(bench.run(cache))
    result: dict[str, object] = {"functions": COUNT, "pairs": pairs,
                                 "import_ms": 1e3 * statistics.median(r["cpu"] for r in rows["base"])}
    for cache in ("numba", "store", "image"):
        result[cache] = summary(rows[cache], rows["base"])
        if shutil.which("strace"):
            result[cache]["calls"] = bench.calls(cache)
    for cache in cold:
        result[cache]["cold_ms"] = 1e3 * (cold[cache]["decorate"] + cold[cache]["first"] + cold[cache]["rest"]) / COUNT
    result["equal"] = len(bench.totals) == 1
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(sys.argv[2])
    else:
        main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 9)
