"""Runs small programs in processes of their own, with a store of their own, and reads what the adapter reported."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

_PRELUDE = """\
import json as _json, os as _os, sys as _sys
import saggar.numba as _adapter
_adapter.install()
if _adapter.status()["active"]:
    from saggar import process as _process
    _plain = _process.report
    def _report(event, **details):
        _plain(event, **details)
        line = {"event": event, "pid": _os.getpid(), **{k: v for k, v in details.items() if isinstance(v, (str, int))}}
        with open(_os.environ["EVENTS"], "a") as out:
            out.write(_json.dumps(line) + "\\n")
    _process.report = _report
_sys.path.insert(0, _os.environ["PROJECT"])
"""


class Result:
    """What one program did: output, exit code, events."""

    def __init__(self, code: int, out: str, err: str, events: list[dict]) -> None:
        self.code, self.out, self.err, self.events = code, out, err, events

    def count(self, event: str) -> int:
        return len(self.of(event))

    def of(self, event: str) -> list[dict]:
        return [e for e in self.events if e["event"] == event]

    def names(self, event: str) -> list[str]:
        return sorted(e["group"].rpartition(":")[2] for e in self.of(event))

    def cacheable(self) -> list[str]:
        """The functions marked for caching that were compiled."""
        return sorted(e["group"] for e in self.of("compiled") if e["flags"] & 2)


class Project:
    """A folder with modules, a store, and programs that are run against them."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.store = root / "store"
        self.work = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.runs = 0

    def write(self, name: str, source: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def distribution(self, root: str, name: str, version: str) -> None:
        """What an installer notes beside the package of this name, which is in `root`."""
        self.write(f"{root}/{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        self.write(f"{root}/{name}-{version}.dist-info/RECORD", f"{name}/__init__.py,,\n")

    def start(self, program: str, **env: str) -> tuple[subprocess.Popen, Path]:
        self.runs += 1
        events = self.work / f"events{self.runs}"
        script = self.work / f"run{self.runs}" / "program.py"
        script.parent.mkdir()
        script.write_text(_PRELUDE + textwrap.dedent(program))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_")) or k == "SAGGAR_MODULE"}
        environment.update(SAGGAR_DIR=str(self.store), SAGGAR_IMAGE_PATH="none", XDG_STATE_HOME=str(self.work / "state"),
                           XDG_CACHE_HOME=str(self.work / "cache"), EVENTS=str(events), PROJECT=str(self.root),
                           PYTHONDONTWRITEBYTECODE="1", NUMBA_NUM_THREADS="2")
        environment.update(env)
        process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=environment)
        return process, events

    def finish(self, started: tuple[subprocess.Popen, Path], timeout: float = 300) -> Result:
        process, events = started
        out, err = process.communicate(timeout=timeout)
        lines = events.read_text().splitlines() if events.exists() else []
        return Result(process.returncode, out, err, [json.loads(line) for line in lines])

    def run(self, program: str, **env: str) -> Result:
        return self.finish(self.start(program, **env))

    def good(self, program: str, **env: str) -> Result:
        """Runs a program that must end well."""
        result = self.run(program, **env)
        assert result.code == 0, result.err
        faults = result.of("fault")
        assert not faults, faults
        return result

    def cold_and_warm(self, program: str, **env: str) -> tuple[Result, Result]:
        """Runs it twice: equal output, and nothing cacheable is compiled the second time."""
        cold = self.good(program, **env)
        warm = self.good(program, **env)
        assert warm.out == cold.out
        assert cold.cacheable(), "nothing was compiled in the first run"
        assert warm.cacheable() == [], [e for e in warm.events if e["event"] in ("miss", "not-stored")]
        return cold, warm
