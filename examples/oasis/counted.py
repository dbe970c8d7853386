"""Runs a Python program and counts what Numba compiles in it, whatever cache it uses.

    python counted.py COUNT.json PROGRAM [ARGUMENT...]

Counts the end events of Numba's own `numba:compile`: `compiled` for functions that their authors marked for caching, `uncached` for all
others. The same counter for every cache, so that they can be compared.
"""
from __future__ import annotations

import json
import os
import runpy
import sys


def main() -> None:
    out, sys.argv = os.path.abspath(sys.argv[1]), sys.argv[2:]
    from numba.core import event
    from numba.core.caching import NullCache

    counts = {"compiled": 0, "uncached": 0}

    class Counter(event.Listener):
        def on_start(self, _event) -> None:
            pass

        def on_end(self, ended) -> None:
            if ended._exc_details is not None:
                return  # an overload's version that Numba tried and rejected
            cached = not isinstance(getattr(ended.data["dispatcher"], "_cache", None), NullCache)
            counts["compiled" if cached else "uncached"] += 1

    event.register("numba:compile", Counter())
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        with open(out, "w") as stream:
            json.dump(counts, stream)
            stream.write("\n")


if __name__ == "__main__":
    main()
