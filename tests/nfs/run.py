"""Saggar on a network file system: a guest with an NFS server and two clients, NFS 3 and 4.2, default mount options.

    sudo python3 tests/nfs/run.py [CHECK...]

Needs root and what `scripts/packages.sh nfs` installs; runs on x86-64. The guest is assembled once below build/nfs (some minutes), the checks
take a few minutes: the processor is emulated, so the seconds are larger than on a real cluster. Ends with a table and build/nfs/result.json.
"""
from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import guest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "nfs"
LIMIT = 1800


def build() -> dict[str, Path]:
    """The library, the command and the worker, as the checkout has them."""
    tree = WORK / "meson"
    if not (tree / "build.ninja").exists():
        guest.call("meson", "setup", "--buildtype=release", "-Dtests=false", tree, ROOT)
    guest.call("ninja", "-j1", "-C", tree)
    library = tree / "libsaggar.so.0"
    worker = WORK / "worker"
    guest.call("cc", "-O1", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-I", ROOT / "include", HERE / "worker.c", "-o", worker,
               tree / "libsaggar.so", "-Wl,--allow-shlib-undefined")
    return {"libsaggar.so.0": library.resolve(), "saggar": tree / "src/cli/saggar", "worker": worker,
            "lab.py": HERE / "lab.py", "inside.py": HERE / "inside.py"}


def main() -> int:
    lacking = guest.missing()
    if lacking:
        print(f"test-nfs: {lacking}", file=sys.stderr)
        return 1
    rows: list[dict[str, str]] = []
    start = time.monotonic()
    error = None
    try:
        files = build()
        guest.make_guest(WORK, lambda text: print(text, flush=True))
        start = time.monotonic()
        for line in guest.run_guest(WORK, files, "python3 inside.py " + " ".join(sys.argv[1:]), LIMIT):
            kind, _, rest = line.partition(" ")
            if kind in ("ROW", "RED"):
                name, version, text = rest.split(" ", 2)
                rows.append({"check": name, "version": version, "text": text, "status": "green" if kind == "ROW" else "RED"})
                print(f"[{time.monotonic() - start:5.0f} s] {rows[-1]['status']:5} {name:14} {version:5} {text}", flush=True)
    except guest.GuestError as problem:
        error = str(problem)
    (WORK / "result.json").write_text(json.dumps(rows, indent=1) + "\n")
    red = [row for row in rows if row["status"] == "RED"]
    print(f"\ntest-nfs: {len(rows) - len(red)} green, {len(red)} red, {time.monotonic() - start:.0f} s in the guest (whole console: {WORK / 'console'})")
    if error and not red:
        print(f"test-nfs: {error}", file=sys.stderr)
    return 1 if red or error else 0


if __name__ == "__main__":
    sys.exit(main())
