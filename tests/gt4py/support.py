"""Runs programs with a store of their own, and counts what they do by means of their own too: compilers by programs of their names on
PATH, translations by the interpreter's events, keys by the store's files. HOLD names a file that says what stops for ever: "translation",
or a compiler whose command holds this text.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SAGGAR = os.environ.get("SAGGAR_BIN") or str(Path(sys.executable).parent / "saggar")
TRANSLATIONS = ("GTFNTranslationStep.generate_stencil_source", "DaCeTranslator.generate_sdfg", "GTBaseBackend.generate")
_SITE = f"""
import os, sys
_log = os.environ.get("TRANSLATION_LOG")
if _log:
    def _start(code, offset):
        if code.co_qualname not in {TRANSLATIONS!r}:
            return sys.monitoring.DISABLE
        with open(_log, "a") as out:
            out.write(code.co_qualname + "\\n")
        hold = os.environ.get("HOLD", "")
        if hold and open(hold).read() == "translation":
            open(hold + ".held", "w").close()
            __import__("time").sleep(600)
    sys.monitoring.use_tool_id(4, "counting")
    sys.monitoring.register_callback(4, sys.monitoring.events.PY_START, _start)
    sys.monitoring.set_events(4, sys.monitoring.events.PY_START)
"""
_WRAPPER = """#!/bin/sh
echo {name} >> "${{COMPILER_LOG:-/dev/null}}"
if [ -n "$HOLD" ]; then
    case "{name} $*" in *"$(cat "$HOLD")"*) : > "$HOLD.held"; exec sleep 600 ;; esac
fi
exec {cache}{program} "$@" # {mark}
"""


class Result:
    """What a program did: exit code, output, Saggar's summary, and the independent counts."""

    def __init__(self, code: int, out: str, err: str, summary: dict, compilers: list[str], translations: int, keys: int) -> None:
        self.code, self.out, self.err, self.summary = code, out, err, summary
        self.compilers, self.translations, self.keys = compilers, translations, keys

    def work(self) -> tuple[int, int, int]:
        """Compiler runs, translations, new keys."""
        return len(self.compilers), self.translations, self.keys

    def compiled(self) -> int:
        return self.summary["compiled"]


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.runs = 0
        self.site = root / "site"
        self.site.mkdir(parents=True, exist_ok=True)
        (self.site / "sitecustomize.py").write_text(_SITE)
        self.tools = self.make_tools("tools")

    def make_tools(self, name: str, mark: str = "") -> Path:
        """A folder with the compilers and CMake, that count; another mark makes another compiler."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        cache = f"{shutil.which('ccache')} " if shutil.which("ccache") else ""
        for program in ("c++", "g++", "gcc", "cc", "cmake", "ninja"):
            real = shutil.which(program)
            if real is not None:
                tool = folder / program
                tool.write_text(_WRAPPER.format(name=program, cache=cache if "c" == program[-1] or "+" in program else "", program=real, mark=mark))
                tool.chmod(0o755)
        return folder

    def script(self, name: str, *edits: tuple[str, str], folder: str = "") -> Path:
        """A program, edited, in a folder of its own."""
        text = (HERE / "programs" / name).read_text()
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.runs += 1
        path = self.root / (folder or f"run{self.runs}") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def copy_of(self, store: Path) -> None:
        shutil.copytree(store, self.store, dirs_exist_ok=True, symlinks=True)

    def environment(self, **env: str | None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "GT4PY_", "GT_", "DACE_", "PYTHON"))}
        kept.update(SAGGAR_DIR=str(self.store), SAGGAR_IMAGE_PATH="none", XDG_STATE_HOME=str(self.root / "state"), PYTHONPATH=str(self.site),
                    XDG_CACHE_HOME=str(self.root / "cache"), GT4PY_BUILD_JOBS_MODE="serial", PATH=f"{self.tools}:{os.environ['PATH']}",
                    CCACHE_DIR=os.environ.get("CCACHE_DIR", str(Path.home() / ".cache" / "ccache")), DACE_BUILD_CACHE_DIR=str(self.root / "dace"))
        kept.pop("XDG_RUNTIME_DIR", None)
        for name, value in env.items():
            kept.pop(name, None) if value is None else kept.update({name: value})
        return kept

    def keys(self) -> int:
        return len(list(self.store.glob("v1/??/*")))

    def start(self, script: Path, before: tuple[str, ...] = (), **env: str | None) -> tuple:
        self.runs += 1
        logs = [self.root / f"{kind}{self.runs}" for kind in ("compilers", "translations")]
        command = [*before, SAGGAR, "run", "--json", "--", sys.executable, "-W", "ignore", str(script)]
        environment = self.environment(**{"COMPILER_LOG": str(logs[0]), "TRANSLATION_LOG": str(logs[1]), **env})
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=script.parent,
                                   start_new_session=True)
        return process, logs, self.keys()

    def finish(self, started: tuple, timeout: float = 300) -> Result:
        process, logs, keys = started
        out, err = process.communicate(timeout=timeout)
        lines = [path.read_text().splitlines() if path.exists() else [] for path in logs]
        text, _, rest = err.rpartition('{"hits"')
        summary = json.loads('{"hits"' + rest) if rest else {}
        return Result(process.returncode, out, text or err, summary, lines[0], len(lines[1]), self.keys() - keys)

    def run(self, script: Path, **env: str | None) -> Result:
        return self.finish(self.start(script, **env))

    def good(self, script: Path, **env: str | None) -> Result:
        """A program that must end well, and the adapter without a fault."""
        result = self.run(script, **env)
        assert result.code == 0, result.err
        assert result.summary["faults"] == 0 and result.summary["uncacheable"] == 0, self.why()
        return result

    def why(self) -> str:
        return subprocess.run([SAGGAR, "why"], env=self.environment(), capture_output=True, text=True).stdout

    def saggar(self, *arguments: object, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run([SAGGAR, *map(str, arguments)], env=self.environment(**env), capture_output=True, text=True)

    def bake(self, *arguments: object) -> Path:
        image = self.root / "program.saggar"
        done = self.saggar("bake", "-o", image, *arguments)
        assert done.returncode == 0, done.stderr
        return image
