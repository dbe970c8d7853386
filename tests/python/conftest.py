"""Markers and what several files use."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: builds packages; deselect with -m 'not slow'")


@pytest.fixture(scope="session")
def vectors() -> list[tuple[str, str, bytes, str]]:
    """(name, Python expression, bytes, verdict) of the shared vectors."""
    rows = []
    for line in (ROOT / "tests/vectors/values.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, expression, encoded, verdict = line.split("\t")
            rows.append((name, expression, bytes.fromhex(encoded), verdict))
    return rows


@pytest.fixture
def run(tmp_path: Path):
    """Runs Python code in a process of its own and gives back what it printed."""

    def run(code: str, *arguments: str, env: dict[str, str] | None = None, python: str = sys.executable) -> str:
        done = subprocess.run([python, *arguments, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
