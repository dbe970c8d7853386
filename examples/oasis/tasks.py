"""Runs some of OasisLMF's nine warm-up workloads in this process, each with the data that the package ships.

    python tasks.py NAME...          names: see --list

`oasislmf warmup` runs all nine in a pool of processes; here each name is a command of its own, so that `saggar warm` can run
them side by side, with a log each.
"""
from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> int:
    # some workloads start evepy, modelpy, gulpy and gulmc, which stand beside this Python
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    from oasislmf.warmup import ALL_SILENT_TASKS

    names = sys.argv[1:]
    if names == ["--list"] or not names:
        print(*ALL_SILENT_TASKS, sep="\n")
        return 0 if names else 2
    unknown = [name for name in names if name not in ALL_SILENT_TASKS]
    if unknown:
        print(f"tasks.py: unknown workload {unknown[0]!r}; --list names them all", file=sys.stderr)
        return 2
    for name in names:
        start = time.perf_counter()
        ALL_SILENT_TASKS[name]()
        print(f"  {name:20s} {time.perf_counter() - start:7.2f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
