#!/usr/bin/env python3
"""Compares the golden files with SHA256SUMS: check_golden.py MAKE-GOLDEN SHA256SUMS.

Both directions count: a file without a sum and a sum without a file are as wrong as a sum that differs. The files are made
twice, with another clock zone, locale and home, because nothing of the kind may get into them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def made(program: str, environment: dict[str, str]) -> dict[str, str]:
    """Name and SHA-256 of every file that the program makes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, folder], check=True, env={**os.environ, **environment})
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir()}


def main(program: str, sums: str) -> int:
    """0 if everything agrees; else says what does not."""
    wanted = {name: digest for digest, name in (line.split() for line in Path(sums).read_text().splitlines())}
    for environment in ({}, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/nonexistent", "SAGGAR_DIR": "/nonexistent"}):
        found = made(program, environment)
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                print(f"{name}: {found.get(name)}, not {wanted.get(name)}", file=sys.stderr)
        if wanted != found:
            return 1
    return 0


sys.exit(main(*sys.argv[1:]))
