"""`saggar julia` on a generated depot of 300 packages, beside the start of a real Julia where there is one. Nothing is asserted.

    python3 bench/julia.py SAGGAR [--packages N] [--bytes N] [--julia COMMAND] [--folder DIR]

--julia: what starts one, as "chroot ROOT /usr/bin/julia". The machine code of the packages is filler of --bytes each: what is measured is
the reading of headers, sources and checksums, not of anybody's code.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "julia"))
from generate import generate  # noqa: E402


def size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def timed(command: list[object], rounds: int, before=lambda: None) -> float:
    """The median of its wall times in milliseconds."""
    times = []
    for _ in range(rounds):
        before()
        begin = time.perf_counter()
        subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def measure(saggar: Path, folder: Path, packages: int, filler: int, julia: str | None) -> dict[str, object]:
    generate(folder, packages, filler)
    depot, image, other, info, app = (folder / n for n in ("depot", "app.saggar", "other", "julia.json", "app"))
    given = ["--julia-info", info, app]

    def fresh() -> None:
        shutil.rmtree(other / "compiled", ignore_errors=True)

    base = [saggar, "julia"]
    found: dict[str, object] = {"packages": packages, "bytes_of_code": filler}
    found["check_ms"] = timed([*base, "check", "--depot", depot, *given], 9)
    found["ls_ms"] = timed([*base, "ls", depot], 9)
    found["bake_ms"] = timed([*base, "bake", "-o", image, "--depot", depot, *given], 5)
    shutil.copytree(depot / "packages", other / "packages")
    found["restore_ms"] = timed([*base, "restore", "--image", image, "--depot", other, *given], 5, fresh)
    found["restore_again_ms"] = timed([*base, "restore", "--image", image, "--depot", other, *given], 5)
    found["gc_ms"] = timed([*base, "gc", other], 5)
    found["depot_bytes"], found["image_bytes"] = size(depot / "compiled"), image.stat().st_size
    if julia:
        found["julia_start_ms"] = timed([*julia.split(), "--startup-file=no", "-e", "0"], 5)
    return found


def table(found: dict[str, object]) -> None:
    rows = [("saggar julia check", "check_ms"), ("saggar julia ls", "ls_ms"), ("saggar julia bake", "bake_ms"),
            ("saggar julia restore, into an empty depot", "restore_ms"), ("saggar julia restore, nothing to do", "restore_again_ms"),
            ("saggar julia gc, nothing to do", "gc_ms"), ("julia -e 0 (its start alone)", "julia_start_ms")]
    print(f"\n{found['packages']} generated packages, {found['bytes_of_code']} bytes of machine code each, wall time, median\n")
    print("| what | ms |\n|---|---|")
    for what, key in rows:
        if key in found:
            print(f"| {what} | {found[key]:.0f} |")
    depot, image = found["depot_bytes"], found["image_bytes"]
    print(f"\ncompiled/ of the depot {depot:,} bytes, image {image:,} bytes: {100 * (image - depot) / depot:+.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saggar", type=Path)
    parser.add_argument("--packages", type=int, default=300)
    parser.add_argument("--bytes", type=int, default=200_000)
    parser.add_argument("--julia")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = measure(given.saggar.resolve(), Path(folder), given.packages, given.bytes, given.julia)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        table(found)


if __name__ == "__main__":
    main()
