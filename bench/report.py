"""What the parts of bench/run.py share: running programs that print rows, counting their system calls, printing tables.

A row is "name<TAB>value<TAB>unit" on stdout. System calls are counted by strace between two marks, which are access() of a path that is
not there (bench.h, mappings.py).
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def say(text: str = "") -> None:
    print(text, flush=True)


def rows(command: list[object], **extra: str) -> dict[str, float]:
    """The rows that a program prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SAGGAR_")}
    done = subprocess.run([str(word) for word in command], env={**env, **extra}, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 77):
        sys.exit(f"{command[0]}: exit {done.returncode}")
    return {name: float(value) for name, value, _ in (line.split("\t") for line in done.stdout.splitlines())}


def counted(command: list[object], trace: Path, **extra: str) -> dict[str, float]:
    """System calls per turn between the marks of a program (bench.h)."""
    rows(["strace", "-f", "-qq", "-o", trace, *command], BENCH_CALLS="1", **extra)
    found: dict[str, float] = {}
    name, turns, calls = "", 1, 0
    for line in trace.read_text(errors="replace").splitlines():
        mark = re.search(r'access\("/bench-(begins|ends)/(.*)/(\d+)"', line)
        if mark and mark[1] == "begins":
            name, turns, calls = mark[2], int(mark[3]), 0
        elif mark:
            found[name], name = calls / turns, ""
        elif name and re.match(r"\d+ +\w+\(", line):
            calls += 1
    return found


def traced(command: list[object], trace: Path, **extra: str) -> float:
    """All system calls of a program."""
    rows(["strace", "-f", "-qq", "-o", trace, *command], **extra)
    return sum(bool(re.match(r"\d+ +\w+\(", line)) for line in trace.read_text(errors="replace").splitlines())


def nice_time(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns < 999.5 * size else f"{ns / size:.0f} {unit}"
    return f"{ns:.3g} ns"


def table(title: str, head: list[str], lines: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    say(f"\n{title}")
    for line in (head, ["-" * w for w in widths], *lines):
        say("  " + "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))))
