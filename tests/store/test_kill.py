#!/usr/bin/env python3
"""Ends a publish at each of its system calls, and lets each of them fail.

After every single fault: nothing but published bytes is served, what was acknowledged is there, what was there before is
still there, one collection removes what was left unfinished, and the next publish works. Needs strace and the right to
trace; ends with 77 (skipped) without them. Also counts the system calls of a lookup.

Usage: test_kill.py PUBLISHER
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
# What each call can plausibly end with; the rest get the last row.
ERRORS = {
    "write": ["ENOSPC", "EIO", "EDQUOT", "EINTR"],
    "fdatasync": ["ENOSPC", "EIO", "EROFS", "EINVAL", "EINTR"],
    "close": ["EIO", "ENOSPC", "EINTR"],
    "openat": ["ENOSPC", "EROFS", "EMFILE", "EACCES", "EINTR", "EIO", "ESTALE"],
    "linkat": ["EPERM", "EXDEV", "EOPNOTSUPP", "EMLINK", "ENOSPC", "EIO", "EROFS", "EACCES", "ENOENT"],
    "renameat2": ["EINVAL", "ENOSYS", "ENOSPC", "EIO"],
    "unlinkat": ["EIO", "EROFS", "EACCES"],
    "mkdirat": ["ENOSPC", "EROFS", "EACCES", "EIO"],
    "mkdir": ["ENOSPC", "EROFS", "EACCES", "EIO"],
    "": ["EIO", "ENOMEM"],
}


class Bench:
    """One publisher program, and the fresh stores that it is let loose on."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.store = folder / "store"
        self.runs = 0
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env = {**os.environ, "ASAN_OPTIONS": f"{options}:detect_leaks=0"}

    def call(self, *args: object, strace: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.program, *map(str, args)]
        if strace is not None:
            command = ["strace", "-f", "-qq", *strace, *command]
        self.runs += 1
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)

    def trace(self, *args: object, extra: list[str] | None = None) -> list[str]:
        """Every call of a run, in order; `extra`: faults that are part of it."""
        log = self.folder / "trace"
        done = self.call(*args, strace=["-o", str(log), *(extra or [])])
        if done.returncode != 0:
            raise RuntimeError(f"{args}: {done.stdout}{done.stderr}")
        found = []
        for line in log.read_text(errors="replace").splitlines():
            match = re.match(r"(?:\d+\s+)?(\w+)\((.*)", line)
            if match:
                found.append(match.group(1) + " " + match.group(2))
        return found

    def reset(self, scenario: str) -> None:
        shutil.rmtree(self.store, ignore_errors=True)
        if scenario == "new":
            return
        self.call("publish", self.store, 1, 0)
        slot = next(self.store.glob("v1/*/*.0"))
        if scenario == "damaged":
            slot.write_bytes(b"")
        elif scenario == "full":
            for number in range(1, 16):  # the others pass for other files
                (slot.parent / f"{slot.name[:-1]}{number:x}").mkdir()

    def litter(self) -> list[Path]:
        return list(self.store.rglob(".tmp-*"))


def between(calls: list[str], begin: str, end: str) -> list[tuple[str, int]]:
    """(name, how many of that name so far) for the calls between two marks."""
    seen: dict[str, int] = {}
    points = []
    inside = False
    for call in calls:
        name = call.split(" ", 1)[0]
        seen[name] = seen.get(name, 0) + 1
        if begin in call:
            inside = True
        elif end in call:
            inside = False
        elif inside:
            points.append((name, seen[name]))
    return points


def check(bench: Bench, what: str, said: str, variant: int, before: set[str]) -> list[str]:
    """What is wrong after a fault."""
    wrong = []
    mend = bench.call("mend", bench.store, 1, variant)
    served = set(mend.stdout.split("\n")[0].split())
    if mend.returncode != 0:
        wrong.append(f"{what}: not mended: {mend.returncode} {mend.stdout}{mend.stderr[-400:]}")
    if said == "published" and str(variant) not in served:
        wrong.append(f"{what}: acknowledged and not there")
    if not before <= served:
        wrong.append(f"{what}: lost {before - served}")
    if bench.litter():
        wrong.append(f"{what}: litter stays: {bench.litter()}")
    return wrong


def faults(bench: Bench, scenario: str, variant: int, extra: list[str]) -> list[str]:
    """Every point of one way of publishing: killed there, and each error there."""
    bench.reset(scenario)
    before = set(bench.call("look", bench.store, 1).stdout.split())
    if scenario == "full":
        before = set()  # the oldest has to go
    calls = bench.trace("publish", bench.store, 1, variant, extra=extra)
    points = between(calls, "/publish-begins", "/publish-ends")
    points = [point for point in points if point[0] not in MEMORY]
    if len(points) < 8:
        return [f"{scenario}: only {len(points)} calls were traced"]
    wrong = []
    for name, number in points:
        kinds = ["signal=SIGKILL"] + ["error=" + error for error in ERRORS.get(name, ERRORS[""])]
        if name == "write":
            kinds.append("retval=7")
        if scenario == "full":  # long, and most of it is the same look at sixteen slots
            kinds = kinds[:2]
        for kind in kinds:
            if any(name in item for item in extra):
                continue
            bench.reset(scenario)
            what = f"{scenario}: {name} {number}: {kind}"
            inject = ["-o", "/dev/null", *extra, "-e", f"inject={name}:{kind}:when={number}"]
            done = bench.call("publish", bench.store, 1, variant, strace=inject)
            killed = kind == "signal=SIGKILL"
            if not killed and done.returncode != 0:
                wrong.append(f"{what}: the program failed: {done.returncode} {done.stderr[-400:]}")
            if not killed and name != "unlinkat" and bench.litter():
                wrong.append(f"{what}: left {bench.litter()}")
            said = done.stdout.strip() if kind != "retval=7" else ""
            wrong += check(bench, what, said, variant, before)
    print(f"{scenario}{' without links' if extra else ''}: {len(points)} system calls", flush=True)
    return wrong


def images(bench: Bench) -> list[str]:
    """The same for writing an image over an older one: one of the two is there, whole, and no temporary after an error."""
    wrong = []
    path = bench.folder / "images" / "a.saggar"
    path.parent.mkdir()
    bench.call("bake", path, 1, 0)
    points = between(bench.trace("bake", path, 1, 0), "/publish-begins", "/publish-ends")
    points = [point for point in points if point[0] not in MEMORY]
    for name, number in points:
        for kind in ["signal=SIGKILL"] + ["error=" + error for error in ERRORS.get(name, ERRORS[""])]:
            bench.call("bake", path, 1, 0)
            what = f"image: {name} {number}: {kind}"
            done = bench.call("bake", path, 1, 1, strace=["-o", "/dev/null", "-e", f"inject={name}:{kind}:when={number}"])
            left = list(path.parent.glob(".tmp-*"))
            if kind != "signal=SIGKILL" and (done.returncode != 0 or (left and name != "unlinkat")):
                wrong.append(f"{what}: ended with {done.returncode}, left {left} {done.stderr[-400:]}")
            holds = bench.call("image", path, 1)
            if holds.returncode != 0 or holds.stdout.split() not in (["0"], ["1"]):
                wrong.append(f"{what}: the image is damaged: {holds.stdout}{holds.stderr[-400:]}")
            if done.stdout.strip() == "published" and holds.stdout.split() != ["1"]:
                wrong.append(f"{what}: acknowledged and not there")
            for file in left:
                file.unlink()
    print(f"image: {len(points)} system calls", flush=True)
    return wrong


def lookups(bench: Bench) -> list[str]:
    """A miss is one call, a hit five (open, fstat, read, close, and the next slot)."""
    wrong = []
    for scenario, bound in (("new", 1), ("one", 5)):
        bench.reset(scenario)
        calls = bench.trace("lookup", bench.store, 1)
        points = [p[0] for p in between(calls, "/lookup-begins", "/lookup-ends") if p[0] not in MEMORY]
        if len(points) != 2 * bound:
            wrong.append(f"two lookups ({scenario}): {points}")
    return wrong


def main() -> int:
    if shutil.which("strace") is None:
        print("skipped: no strace")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="saggar-kill-") as folder:
        bench = Bench(os.path.abspath(sys.argv[1]), Path(folder))
        probe = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EPERM", "true"],
                               capture_output=True)
        if probe.returncode != 0:
            print("skipped: strace may not trace or inject here")
            return SKIPPED
        wrong = lookups(bench) + images(bench)
        no_links = ["-e", "inject=linkat:error=EPERM"]
        no_renames = [*no_links, "-e", "inject=renameat2:error=EINVAL"]
        for scenario, variant, extra in (("new", 0, []), ("one", 1, []), ("one", 0, []), ("damaged", 0, []),
                                         ("full", 1, []), ("one", 1, no_links), ("one", 1, no_renames)):
            wrong += faults(bench, scenario, variant, extra)
        print(f"{bench.runs} runs, {len(wrong)} wrong")
        for line in wrong[:40]:
            print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
