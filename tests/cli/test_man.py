"""The man pages say what --help says."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from test_args import COMMANDS, GROUPED

MAN = Path(__file__).resolve().parents[2] / "docs" / "man"


@pytest.mark.parametrize("command", ["", *COMMANDS, "julia", *(name.replace(" ", "-") for name in GROUPED)])
def test_pages_are_current(saggar, command):
    name = f"saggar-{command}" if command else "saggar"
    source = saggar("--man", command or "saggar").out
    assert (MAN / f"{name}.1.scd").read_text() == source, f"write it again: saggar --man {command or 'saggar'} > docs/man/{name}.1.scd"
    if shutil.which("scdoc"):
        page = subprocess.run(["scdoc"], input=source.encode(), capture_output=True)
        assert page.returncode == 0, page.stderr
        assert b".SH" in page.stdout
