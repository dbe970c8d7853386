#!/usr/bin/env python3
"""Ends a process that builds, places or finds a tree at each of its system calls.

After each: the next process gets the right tree, and after one sweep nothing but that tree lies in the place. Needs strace and the
right to trace; ends with 77 (skipped) without them.

Usage: test_kill.py BUILDER
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
MEMORY = {"mmap", "munmap", "brk", "madvise", "mprotect", "mremap", "futex", "rt_sigprocmask", "sched_yield"}


class Bench:
    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder, self.store, self.runs = program, folder, folder / "store", 0
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("SAGGAR_", "XDG_"))}
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env = {**keep, "ASAN_OPTIONS": f"{options}:detect_leaks=0", "SAGGAR_IMAGE_PATH": "none", "XDG_STATE_HOME": str(folder / "state")}

    def call(self, what: str, *strace: str) -> subprocess.CompletedProcess[str]:
        self.runs += 1
        command = [*(["strace", "-f", "-qq", *strace] if strace else []), self.program, what, str(self.store)]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)

    def reset(self, scene: str) -> None:
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        if self.store.exists():
            subprocess.run(["chmod", "-R", "u+w", self.store], check=True)
            shutil.rmtree(self.store)
        if scene == "cold":
            return
        assert self.call("get").stdout == "the code\n"
        place = next((self.store / "v1/trees").iterdir())
        if scene == "entry":
            subprocess.run(["chmod", "-R", "u+w", place], check=True)
            shutil.rmtree(place)
        elif scene == "changed":
            path = place / "lib/code.so"
            path.chmod(0o644)
            path.write_text("bad code")
            path.chmod(0o555)

    def points(self) -> list[tuple[str, int]]:
        """(name, how many of that name so far) for the calls of the library."""
        log = self.folder / "trace"
        self.call("get", "-o", str(log))
        seen: dict[str, int] = {}
        found, inside = [], False
        for line in log.read_text(errors="replace").splitlines():
            match = re.match(r"(?:\d+\s+)?(\w+)\(", line)
            if not match:
                continue
            seen[match[1]] = seen.get(match[1], 0) + 1
            if "/tree-begins" in line or "/tree-ends" in line:
                inside = "/tree-begins" in line
            elif inside and match[1] not in MEMORY:
                found.append((match[1], seen[match[1]]))
        return found


def scene(bench: Bench, name: str, least: int) -> list[str]:
    bench.reset(name)
    points = bench.points()
    wrong = [] if len(points) >= least else [f"{name}: only {len(points)} calls were traced"]
    for call, number in points:
        bench.reset(name)
        what = f"{name}: killed at {call} {number}"
        killed = bench.call("get", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        if killed.returncode == 0:
            wrong.append(f"{what}: it lived")
        mend = bench.call("mend")
        if mend.returncode != 0 or mend.stdout != "the code\n1 0\n":
            wrong.append(f"{what}: {mend.returncode} {mend.stdout!r} {mend.stderr[-400:]}")
    print(f"{name}: {len(points)} system calls", flush=True)
    return wrong


def main() -> int:
    if shutil.which("strace") is None:
        print("skipped: no strace")
        return SKIPPED
    probe = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EPERM", "true"], capture_output=True)
    if probe.returncode != 0:
        print("skipped: strace may not trace or inject here")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="saggar-kill-") as folder:
        bench = Bench(os.path.abspath(sys.argv[1]), Path(folder))
        wrong = [line for name, least in (("cold", 60), ("entry", 40), ("placed", 15), ("changed", 40)) for line in scene(bench, name, least)]
        bench.reset("cold")
    print(f"{bench.runs} runs, {len(wrong)} wrong")
    for line in wrong[:40]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
