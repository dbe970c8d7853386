"""What the tests of real applications share: checks, virtual environments, runs of a command, and counts from its trail.

Counts never come from time. A miss is a compilation that could have been served: each one is reported once, with its reason.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("SAGGAR_APPS_WORK") or ROOT / "build" / "apps")
RESULTS: list[tuple[str, bool, str]] = []


def check(name: str, good: bool, seen: object) -> None:
    RESULTS.append((name, good, str(seen)))
    print(f"{'ok  ' if good else 'FAIL'} {name}: {seen}", flush=True)


def environment(name: str, *packages: str, python: str = "") -> Path:
    """A virtual environment with the packages and this checkout's Saggar; one that is ready is named by SAGGAR_APPS_ENV_<name>."""
    ready = os.environ.get(f"SAGGAR_APPS_ENV_{name}")
    if ready:
        return Path(ready)
    env = WORK / "env" / name
    inside = env / "bin/python"
    if not inside.exists():
        subprocess.run([interpreter(python), "-m", "venv", env], check=True)
        subprocess.run([inside, "-m", "pip", "install", "-q", *packages], check=True)
    subprocess.run([inside, "-m", "pip", "install", "-q", "--force-reinstall", "--no-deps", ROOT,
                    f"-Cbuild-dir={WORK / 'wheel' / (python or 'default')}"], check=True)
    return env


def interpreter(version: str) -> str:
    """This Python, or one of another version that pyenv or PATH has."""
    found = sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob(f"{version}.*/bin/python")) if version else []
    return str(found[-1]) if found else shutil.which(f"python{version}") or sys.executable


def command_of(env: Path) -> str:
    """The `saggar` command of the environment; SAGGAR_APPS_COMMAND names another."""
    return os.environ.get("SAGGAR_APPS_COMMAND") or str(env / "bin/saggar")


def variables(env: Path, store: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_"))}
    return dict(clean, PATH=f"{env}/bin:{os.environ['PATH']}", SAGGAR_DIR=str(store), XDG_STATE_HOME=str(WORK / "state"), **more)


def run(command: list[object], env: dict[str, str], name: str) -> subprocess.CompletedProcess:
    done = subprocess.run([str(w) for w in command], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=WORK)
    (WORK / f"{name}.log").write_text(done.stdout + done.stderr)
    return done


@dataclass
class Seen:
    """What one run printed and counted."""

    status: int
    output: str
    misses: int = -1
    hits: int = -1
    refused: int = 0  # of the misses, those of functions that cannot be cached
    stored: int = -1
    faults: int = -1
    not_stored: list[str] = field(default_factory=list)  # "reason (detail): functions"
    missed: list[tuple[str, str]] = field(default_factory=list)  # "module.function", "reason (detail)"
    other_types: list[tuple[str, str]] = field(default_factory=list)  # those of them that there was an entry of for other argument types
    keys: list[str] = field(default_factory=list)  # of what was missed, as often as it was


def counted(command: list[object], env: Path, values: dict[str, str], name: str) -> Seen:
    """Runs the command under `saggar run` and reads what its trail says."""
    trail = WORK / "trails" / name
    shutil.rmtree(trail, ignore_errors=True)
    done = run([command_of(env), "run", "--json", "--trail", trail, "--", *command], values, name)
    seen = Seen(done.returncode, done.stdout)
    try:
        said = json.loads(done.stderr.strip().rpartition("\n")[2])
    except ValueError:
        return seen
    seen.misses, seen.hits, seen.stored, seen.faults = said["misses"], said["hits"], said["stored"], said["faults"]
    seen.not_stored = [f"{r['reason']} ({r['detail']}): {', '.join(r['functions'])}" for r in said["reasons"]]
    why = run([command_of(env), "why", "--json", "--trail", trail], values, f"{name}-why")
    try:
        rows = json.loads(why.stdout)
    except ValueError:
        rows = []
    seen.keys = [row["key"] for row in rows if row["event"] == "miss" for _ in range(row["times"])]
    seen.refused = sum(row["times"] for row in rows if row["event"] == "miss" and row["reason"] == "uncacheable")
    for row in rows:
        if row["event"] == "miss":
            seen.missed.append((function_of(row["function"]), f"{row['reason']} ({row['detail']})"))
            differs = (row.get("nearest") or {}).get("differs", [])
            if differs and all(each["path"].startswith("signature.args") for each in differs):
                seen.other_types.append(seen.missed[-1])
    return seen


def function_of(group: str) -> str:
    """The "module.name" of a group, which is "numba:module:name"."""
    return ".".join(group.split(":")[1:3])


def size_of(store: Path) -> int:
    """Bytes of all files of a store."""
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
