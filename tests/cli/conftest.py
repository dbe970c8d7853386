"""The command under test, stores and trails made without a compiler, and a home of its own for each test."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_binary() -> str:
    """SAGGAR_BIN, else what is on PATH."""
    found = os.environ.get("SAGGAR_BIN") or shutil.which("saggar")
    if not found:
        pytest.fail("set SAGGAR_BIN to the saggar executable")
    return str(Path(found).resolve())


def find_maker() -> str:
    """SAGGAR_MAKE_STORE, else the one of a build, which is made if there is none."""
    named = os.environ.get("SAGGAR_MAKE_STORE")
    if named:
        return named
    build = ROOT / "build" / "cli"
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(build), str(ROOT)], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", str(build), "tests/cli/make_store"], check=True, capture_output=True)
    return str(build / "tests/cli/make_store")


@dataclass
class Result:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Tool:
    """Runs the command in an environment where nothing of the user's is seen."""

    binary: str
    maker: str
    home: Path
    env: dict[str, str] = field(default_factory=dict)
    scripts: int = 0

    def __call__(self, *arguments: object, status: int | None = 0, env: dict[str, str] | None = None,
                 cwd: Path | None = None, timeout: float = 60, before: tuple[str, ...] = (), user: int | None = None) -> Result:
        done = subprocess.run([*before, self.binary, *map(os.fspath, map(_text, arguments))], capture_output=True, timeout=timeout,
                              env={**self.env, **(env or {})}, cwd=cwd or self.home, user=user)
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        if status is not None:
            assert result.status == status, f"status {result.status}\n{result.out}\n{result.err}"
        return result

    def mounted(self, at: Path, options: str, *arguments: object, **how: Any) -> Result:
        """With a small ("size=64k") file system or a read-only ("ro") view of what lies there mounted at `at`."""
        mount = f"mount -t tmpfs -o {options},mode=755 tmpfs '{at}'" if "size" in options else \
            f"mount --bind '{at}' '{at}' && mount -o remount,bind,ro '{at}'"
        unshare = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
        if subprocess.run([*unshare, "sh", "-c", mount], capture_output=True).returncode != 0:
            pytest.skip("nothing can be mounted here")
        return self(*arguments, before=(*unshare, "sh", "-c", mount + ' && exec "$0" "$@"'), **how)

    def script(self, *lines: str) -> Path:
        """A script for make_store; each line is "verb name=value ..." with tabs between, or a list of fields."""
        self.scripts += 1
        path = self.home / f"script{self.scripts}"
        path.write_bytes(b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines))
        return path

    def make(self, *lines: str, env: dict[str, str] | None = None) -> None:
        """Runs a script outside of the command."""
        subprocess.run([self.maker, str(self.script(*lines))], check=True, env={**self.env, **(env or {})}, timeout=120)

    @property
    def store(self) -> Path:
        return self.home / "cache" / "saggar"

    def files(self, store: Path | None = None) -> list[Path]:
        return sorted(p for p in (store or self.store).glob("v1/*/*") if len(p.name) == 66)


def _text(argument: object) -> Any:
    return argument if isinstance(argument, (str, bytes, os.PathLike)) else str(argument)


def line(verb: str, **fields: object) -> str:
    """One line of a script."""
    return "\t".join([verb, *(f"{name}={value}" for name, value in fields.items())])


USED, CACHEABLE, ACTIVE, NESTED, STARTING = 1, 2, 4, 8, 16


def adapter(active: bool = True, detail: str = "") -> str:
    return line("event", type="adapter", flags=ACTIVE if active else 0, group="test 1.0", nokey=1, detail=detail)


def starting() -> str:
    """The import of the compiler begins."""
    return line("event", type="adapter", flags=STARTING, group="test", nokey=1, detail="starting")


def compiled(flags: int = USED | CACHEABLE, reason: str = "absent", **what: object) -> list[str]:
    """A miss and the compilation after it, as an adapter reports them."""
    key = {k: v for k, v in what.items() if k in ("module", "name", "source", "reads", "sig", "fastmath", "compiler")}
    detail = f"({key.get('sig', 'int64')})"
    lines = []
    if flags & CACHEABLE:
        lines.append(line("event", type="miss", flags=flags, reason=reason, detail=what.get("detail", detail), **key))
    lines.append(line("event", type="compiled", flags=flags, value=1000000, nokey=1, detail=detail, **key))
    return lines


@pytest.fixture(scope="session")
def binaries() -> tuple[str, str]:
    return find_binary(), find_maker()


@pytest.fixture
def saggar(binaries: tuple[str, str], tmp_path: Path) -> Tool:
    home = tmp_path / "home"
    home.mkdir()
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH")}
    env = {**keep, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_STATE_HOME": str(home / "state"),
           "SAGGAR_IMAGE_PATH": "none", "LC_ALL": "C.UTF-8", "TMPDIR": str(home)}
    return Tool(*binaries, home, env)
