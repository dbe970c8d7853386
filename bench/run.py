"""Measures Saggar beside its peers and prints tables; nothing is asserted.

    python3 bench/run.py [--quick] [--env DIR] [PART...]        parts: tiers, claims, numba, julia, mappings (default: all)

Builds the C programs below build/bench and makes an environment there (numba, diskcache, this checkout's Saggar; --env takes one
that is there). Every peer runs in the same run, on the same file system, right beside what it is compared with. All figures, and
those of the goals below, are in build/bench/result.json. Uses strace, LMDB (liblmdb-dev) and diskcache where they are there.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from report import counted, nice_time, rows, say, table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = ROOT / "build" / "bench"
RESULT: dict[str, object] = {}
# part, name, unit, at most
GOALS = (
    ("tiers", "image hit, 1000", "ns", 60), ("tiers", "image hit with 16 kB part", "ns", 2000), ("tiers", "image miss, 1000", "ns", 30),
    ("tiers", "image open, 10", "ns", 15000), ("tiers", "image open, 100000", "ns", 15000), ("calls", "image hit, 1000", "", 0),
    ("calls", "image miss, 1000", "", 0), ("calls", "store miss", "", 1), ("numba", "image above_import_ms", "ms", 59),
    ("numba", "image each_us", "us", 60), ("numba", "store each_us", "us", 70), ("numba", "image calls", "", 1),
    ("numba", "store calls", "", 7), ("numba", "image first_ms", "ms", 10),
)


def build() -> Path:
    folder, log = WORK / "meson", WORK / "build.log"
    WORK.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        setup = ["meson", "setup", folder, ROOT, "--buildtype=release", "-Dbench=true", "-Dtests=false", "-Dman=disabled"]
        setup += ["--reconfigure"] if (folder / "build.ninja").exists() else []
        for command in (setup, ["ninja", "-C", folder, "bench/bench-tiers", "bench/bench-peers", "bench/bench-claims", "src/cli/saggar"]):
            if subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT).returncode:
                sys.exit(f"the build failed; see {log}")
    return folder / "bench"


def environment(given: Path | None, name: str = "env", packages: tuple[str, ...] = ("numba==0.68.1", "diskcache"),
                base: str = sys.executable) -> Path:
    """An interpreter that has the packages and this checkout's Saggar."""
    env = given or WORK / name
    python = env / "bin/python"
    if given is None:
        pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        if not (env / "made").exists():
            say("making a Python environment")
            shutil.rmtree(env, ignore_errors=True)
            subprocess.run([base, "-m", "venv", env], check=True)
            subprocess.run([*pip, *packages], check=True)
            (env / "made").touch()
        subprocess.run([*pip, "--force-reinstall", "--no-deps", ROOT], check=True)
    return python


def compare(title: str, first: str, names: list[str], times: dict[str, float], calls: dict[str, float]) -> None:
    """One table; each line's time as a multiple of the first's."""
    lines = [[name, nice_time(times[name]), f"{calls[name]:g}" if name in calls else "", f"{times[name] / times[first]:.3g}x"]
             for name in [first, *names] if name in times]
    table(title, ["", "time", "system calls", f"beside {first}"], lines)


def tiers(bench: Path, python: Path, work: Path, quick: bool) -> None:
    times: dict[str, float] = {}
    calls: dict[str, float] = {}
    jobs = [("bench-tiers", part) for part in ("image", "open", "store")] + [("bench-peers", part) for part in ("loose", "lmdb")]
    for turn in range(1 if quick else 3):  # alternating; the best counts, because the disk is shared with others
        folder = work / f"turn-{turn}"
        folder.mkdir(mode=0o700)
        for command in [*([bench / program, folder, part] for program, part in jobs), [python, HERE / "peers.py", folder]]:
            for name, value in rows(command).items():
                times[name] = min(value, times.get(name, value))
    if shutil.which("strace"):
        (work / "calls").mkdir(mode=0o700)
        for program, part in jobs:
            calls.update(counted([bench / program, work / "calls", part], work / "trace"))
    if not quick:
        times.update(rows([bench / "bench-tiers", work, "bake"]))
    RESULT["tiers"], RESULT["calls"] = times, calls
    others = ["LMDB", "loose files", "diskcache", "SQLite"]
    touches = ["image hit, first touch, 1000", "image hit with 16 kB part", "store hit", "store hit with 16 kB part"]
    compare("Hit: 1,000 entries of 16 kB", "image hit, 1000",
            [*touches, *(f"{peer} hit" for peer in others), "Saggar from Python: store hit with part"], times, calls)
    compare("Hit: 100,000 entries", "image hit, 100000", ["image hit, first touch, 100000"], times, calls)
    compare("Miss", "image miss, 1000", ["image miss, 100000", "store miss", *(f"{peer} miss" for peer in others)], times, calls)
    compare("Open", "image open, 10", ["image open, 1000", "image open, 100000", "LMDB open and close, 1000", "diskcache open, 1000",
                                       "SQLite open, 1000"], times, calls)
    compare("Publish 16 kB", "store publish", ["store publish: fdatasync, mean", "loose files put", "LMDB put"], times, calls)
    compare("Publish 16 kB, nothing synced (SQLite: at checkpoints; diskcache: not)", "store publish, without fdatasync",
            [f"{peer} put, without fdatasync" for peer in others[:2]] + ["diskcache put", "SQLite put"], times, calls)
    if not quick:
        compare("Bake 10,000 entries of 16 kB", "bake 10,000 entries", ["bake: check and add", "bake: write", "bake: fsync"], times, {})


def claims(bench: Path, python: Path, work: Path, quick: bool) -> None:
    found: dict[str, dict[str, float]] = {}
    lines = []
    for order in ("same", "own"):
        for how in ("without", "with"):
            got = found[f"{how}, {order} order"] = rows([bench / "bench-claims", work, how, order])
            lines.append([f"{order} order, {how} claims", f"{got['compiled']:.0f}", f"{got['compiled'] / got['needed'] - 1:.0%}",
                          f"{got['waits']:.0f}", nice_time(got["waited"]) if got["waits"] else "0", nice_time(got["CPU"]),
                          nice_time(got["wall"])])
    RESULT["claims"] = found
    table("Claims: 8 processes, the same 50 keys, a compile is 10 ms of CPU",
          ["", "compiled", "duplicated", "waits", "waited (sum)", "CPU", "wall"], lines)


def numba(bench: Path, python: Path, work: Path, quick: bool) -> None:
    done = subprocess.run([python, HERE / "numba_load.py", work / "numba", "3" if quick else "9"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("numba_load.py failed")
    RESULT["numba"] = got = json.loads(done.stdout)
    lines = []
    for label, key, unit in (("whole process above import numba", "above_import_ms", "ms"), ("decorate, each", "decorate_us", "us"),
                             ("first hit", "first_ms", "ms"), ("further hits, each", "each_us", "us"),
                             ("cold compile, each", "cold_ms", "ms"), ("memory", "rss_mb", "MB")):
        values = [got[cache].get(key) for cache in ("numba", "store", "image")]
        lines.append([label, *(f"{v:.4g} {unit}" if v else "" for v in values), *(f"{values[0] / v:.3g}x" if v else "" for v in values[1:])])
    if "calls" in got["numba"]:
        values = [got[cache]["calls"]["each"] for cache in ("numba", "store", "image")]
        lines.append(["system calls, each further hit", *(f"{v:.3g}" for v in values), *(f"{values[0] / v:.3g}x" if v else "" for v in values[1:])])
        for cache in ("store", "image"):
            got[f"{cache} calls"] = got[cache]["calls"]["each"]
    for cache in ("store", "image"):
        got.update({f"{cache} {key}": value for key, value in got[cache].items() if isinstance(value, float)})
    table(f"Numba: {got['functions']} cached functions, CPU time, medians of {got['pairs']} alternating runs "
          f"(equal results: {'yes' if got['equal'] else 'NO'})", ["", "Numba's own", "store", "image", "store: less by", "image: less by"], lines)


def julia(bench: Path, python: Path, work: Path, quick: bool) -> None:
    """Needs no Julia; one that is on PATH is started beside."""
    command = [sys.executable, HERE / "julia.py", bench.parent / "src/cli/saggar", "--json", "--folder", work, "--packages", 60 if quick else 300]
    command += ["--julia", "julia"] if shutil.which("julia") else []
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = RESULT["julia"] = json.loads(done.stdout)
    times = [[f"saggar julia {key[:-3].replace('_', ' ')}", f"{value:.0f} ms"] for key, value in found.items() if key.endswith("_ms") and key != "julia_start_ms"]
    times += [["julia, its start alone", f"{found['julia_start_ms']:.0f} ms"]] if "julia_start_ms" in found else []
    times += [["cache files in the depot", f"{found['depot_bytes']:,} bytes"], ["image", f"{found['image_bytes']:,} bytes"]]
    table(f"Julia: {found['packages']} generated packages", ["what", ""], times)


def mappings(bench: Path, python: Path, work: Path, quick: bool) -> None:
    """In an environment with GT4Py, which needs Python 3.12."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    there = [*sorted(map(str, pyenv.glob("3.13.*/bin/python3.13"))), *map(shutil.which, ("python3.13", "python3.12"))]
    base = next((path for path in there if path and subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0), None)
    if base is None:
        say("\nDictionaries on disk: skipped, GT4Py needs Python 3.12")
        return
    python = environment(None, "env-gt4py", ("gt4py==1.2.3", "diskcache"), base)
    sizes = "100" if quick else "100,100000"
    subprocess.run([sys.executable, HERE / "mappings.py", python, "--folder", work, "--keys", sizes, "--json", work / "mappings.json"], check=True)
    RESULT["mappings"] = json.loads((work / "mappings.json").read_text())


def goals() -> None:
    lines = []
    for part, name, unit, most in GOALS:
        value = RESULT.get(part, {}).get(name)
        if value is not None:
            lines.append([("system calls: " if part == "calls" else "") + name, f"{most} {unit}", f"{value:.4g} {unit}",
                          "met" if value <= most else "not met"])
    RESULT["goals"] = [dict(zip(("name", "goal", "measured", "verdict"), line)) for line in lines]
    table("Goals", ["", "at most", "measured", ""], lines)


def machine() -> dict[str, object]:
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text)
    return {"cpu": model[1] if model else platform.machine(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0]}


def main() -> None:
    parts = {"tiers": tiers, "claims": claims, "numba": numba, "julia": julia, "mappings": mappings}
    parser = argparse.ArgumentParser(description="Measures Saggar beside its peers; see the top of this file.")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--env", type=Path, help="an environment that has numba and saggar")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], metavar="PART", help=", ".join(parts))
    given = parser.parse_args()
    wanted = given.parts or list(parts)
    bench = build()
    python = environment(given.env) if {"tiers", "numba"} & set(wanted) else Path(sys.executable)
    work = WORK / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    RESULT["machine"] = machine()
    say("{cpu}, {cpus} CPUs, Linux {kernel}, load {load:.2f}".format(**RESULT["machine"]))
    start = time.monotonic()
    for name in wanted:
        parts[name](bench, python, work, given.quick)
    goals()
    RESULT["seconds"] = round(time.monotonic() - start, 1)
    (WORK / "result.json").write_text(json.dumps(RESULT, indent=1) + "\n")
    shutil.rmtree(work, ignore_errors=True)
    say(f"\n{WORK / 'result.json'}")


if __name__ == "__main__":
    main()
