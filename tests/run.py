"""Runs every test that decides whether a change may land, and says at the end what ran, what failed and what was skipped and why.

    python3 tests/run.py [STEP...]        steps: see --list; without any, all but the extra ones

Environments and build folders are made below build/test and kept between runs. Each step's output goes to build/test/STEP.log and,
shortened, to the terminal; the whole log of a failed step is shown.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "test"
STEPS: dict[str, "callable"] = {}
EXTRAS: dict[str, "callable"] = {}
TOTALS = {"passed": 0, "failed": 0, "skipped": 0}
SKIPPED: list[str] = []
NEWEST_ONLY = ("test_upstream.py", "test_soak.py", "test_store_faults.py", "test_verify.py", "test_processors.py", "test_install.py",
               "test_threads.py", "catalogue")  # what does not differ with Numba's version
TWO_AT_ONCE = ("-n", "2", "--dist", "worksteal")  # tests that wait for processes of their own


class Failed(Exception):
    pass


def step(function):
    """One that every change must pass."""
    STEPS[function.__name__.replace("_", "-")] = function
    return function


def extra(function):
    """One that runs when it is named."""
    EXTRAS[function.__name__.replace("_", "-")] = function
    return function


class Log:
    """Runs commands into one step's log and counts what the test runners report."""

    def __init__(self, name: str) -> None:
        self.path = WORK / f"{name}.log"
        self.path.write_bytes(b"")

    def run(self, *command: object, env: dict[str, str] | None = None, cwd: Path = ROOT, check: bool = True) -> str:
        words = [str(word) for word in command]
        start = self.path.stat().st_size
        with self.path.open("ab") as stream:
            stream.write(f"$ {' '.join(words)}\n".encode())
            stream.flush()
            done = subprocess.run(words, cwd=cwd, env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL, stdout=stream,
                                  stderr=subprocess.STDOUT)
        with self.path.open("rb") as stream:
            stream.seek(start)
            output = stream.read().decode(errors="replace")
        self.count(output)
        if check and done.returncode:
            raise Failed(f"{' '.join(words)}: exit {done.returncode}")
        return output

    @staticmethod
    def count(output: str) -> None:
        for line in output.splitlines():
            if re.match(r"(=+ )?\d+ (passed|failed|skipped|error).* in [\d.]+s", line):  # pytest
                for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", line):
                    TOTALS["failed" if word == "error" else word] += int(number)
            elif found := re.match(r"(Ok|Expected Fail|Fail|Unexpected Pass|Skipped|Timeout):\s+(\d+)\s*$", line):  # meson
                word = {"Ok": "passed", "Expected Fail": "passed", "Skipped": "skipped"}.get(found[1], "failed")
                TOTALS[word] += int(found[2])
            elif found := re.match(r"SKIPPED \[(\d+)\] (.*)", line):
                SKIPPED.append(f"{found[2]} ({found[1]})")
            elif found := re.match(r"skip(?:ped)?: (.*)", line, re.I):
                SKIPPED.append(found[1])


def python_of(version: str) -> str | None:
    """A Python of this minor version: on PATH, or one that pyenv has."""
    for base in (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",):
        for path in sorted(base.glob(f"{version}.*/bin/python{version}")):
            return str(path)
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
        return found
    return None


class Environment(NamedTuple):
    """A virtual environment: the Python ("" for this one), the packages, the step that needs it first."""

    python: str
    packages: tuple[str, ...]
    step: str


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
NEWEST = ("numba==0.68.1", "oasislmf==2.5.8", "xxhash", "wrapt")
ENVIRONMENTS = {
    "newest": Environment("", NEWEST, "numba-newest"),
    "pinned": Environment("", ("numba==0.61.2", "llvmlite==0.44.0", "numpy==2.2.6", "wrapt"), "numba-pinned"),
    "pytensor": Environment("3.13", ("pytensor==3.3.7", "pymc==6.4.0", "numba==0.68.0", "xxhash"), "pytensor"),
    "gt4py": Environment("3.13", ("gt4py==1.2.3",), "gt4py"),
    **{f"py{version}": Environment(version, ("numpy",), "pythons") for version in ("3.10", "3.11", "3.12", "3.13") if version != HERE},
}
MAKING = {name: threading.Lock() for name in ENVIRONMENTS}


def make_environment(name: str) -> str:
    """Makes an environment, if it is not there; what was said. Raises Failed."""
    said, wanted = "", ENVIRONMENTS[name]
    env = WORK / "env" / name
    python = python_of(wanted.python) if wanted.python else sys.executable
    stamp, content = env / "packages", " ".join((str(python), *wanted.packages))
    with MAKING[name]:
        if python is None or stamp.exists() and stamp.read_text() == content:
            return said
        shutil.rmtree(env, ignore_errors=True)
        for command in ([python, "-m", "venv", env],
                        [env / "bin/python", "-m", "pip", "install", "-q", "pytest", "pytest-xdist", *wanted.packages]):
            done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace")
            said += f"$ {' '.join(map(str, command))}\n{done.stdout}"
            if done.returncode:
                raise Failed(f"{said}exit {done.returncode}")
        stamp.write_text(content)
    return said


def prefetch(steps: list[str]) -> None:
    """Makes the environments of these steps one after the other, while the first steps run: mostly waiting for the network."""
    def run() -> None:
        for name, wanted in ENVIRONMENTS.items():
            if wanted.step in steps:
                try:
                    make_environment(name)
                except (Failed, OSError):
                    pass  # the step tries again, and says it

    threading.Thread(target=run, daemon=True).start()


def environment(log: Log, name: str) -> Path | None:
    """The environment with this checkout's Saggar. None, noted: this machine has no such Python."""
    env, version = WORK / "env" / name, ENVIRONMENTS[name].python
    if version and python_of(version) is None:
        SKIPPED.append(f"{name}: no Python {version} on this machine")
        return None
    with log.path.open("a") as stream:
        stream.write(make_environment(name))
    log.run(env / "bin/python", "-m", "pip", "install", "-q", "--force-reinstall", "--no-deps", ROOT,
            f"--config-settings=build-dir={WORK / f'wheel-{version or HERE}'}")
    return env


def pytest(log: Log, env: Path, *arguments: object, **more: str) -> None:
    log.run(env / "bin/python", "-m", "pytest", "-q", "-rs", "--no-header", "--durations=20", "-p", "no:cacheprovider", *arguments,
            env={"SAGGAR_BIN": str(env / "bin/saggar"), **more})


def c_tests(log: Log, compiler: str, left_out: str, sanitize: bool = True) -> None:
    """`left_out`: suites that run in another step. Each damaged byte and the command's tests run once, under gcc's sanitizers; a process that
    is killed many times, and Julia's commands, without any."""
    build = WORK / (f"c-{compiler}" if sanitize else "c-plain")
    options = ["-Dcpp_args=-O0", *(["-Db_sanitize=address,undefined", "-Db_lundef=false"] if sanitize else [])]
    if not (build / "build.ninja").exists():
        log.run("meson", "setup", build, "-Dwerror=true", "--buildtype=debugoptimized", *options, env={"CC": compiler})
    log.run("ninja", "-C", build)
    once = [word for suite in left_out.split() for word in ("--no-suite", suite)]
    log.run("meson", "test", "-C", build, "--print-errorlogs", "--no-rebuild", "--timeout-multiplier", "3", *once,
            env={"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})


@step
def c_gcc(log: Log) -> None:
    """The library's tests, gcc, ASan and UBSan."""
    c_tests(log, "gcc", "kill julia-cli")


@step
def c_clang(log: Log) -> None:
    """The library's quick tests, clang, ASan and UBSan."""
    c_tests(log, "clang", "kill slow cli julia-cli store cache tree julia")


@extra
def c_clang_all(log: Log) -> None:
    """All of them (two minutes)."""
    c_tests(log, "clang", "kill slow cli julia-cli")


@step
def c_plain(log: Log) -> None:
    """The library's tests without a sanitizer: forks beside busy threads, system calls counted."""
    c_tests(log, "gcc", "cli slow", sanitize=False)


@step
def numba_newest(log: Log) -> None:
    """Binding, format reader and the Numba adapter on Numba 0.68.1, and a real OasisLMF workload."""
    env = environment(log, "newest")
    pytest(log, env, *TWO_AT_ONCE, "tests/python", "tests/format", "-k", "not packaging")
    pytest(log, env, *TWO_AT_ONCE, "tests/numba", "--ignore=tests/numba/catalogue", "--ignore=tests/numba/test_upstream.py")
    pytest(log, env, "tests/oasis")


@extra
def packaging(log: Log) -> None:
    """Wheel, source distribution and editable install, as pip makes them; the extension under ASan (three minutes)."""
    pytest(log, environment(log, "newest"), *TWO_AT_ONCE, "tests/python", "-k", "packaging")


@extra
def numba_upstream(log: Log) -> None:
    """Numba's own tests of its cache, with Saggar (two minutes)."""
    pytest(log, environment(log, "newest"), *TWO_AT_ONCE, "tests/numba/test_upstream.py")


@step
def numba_pinned(log: Log) -> None:
    """The Numba adapter on Numba 0.61.2, which OasisPlatform pins; all that is not left out for its time."""
    left_out = "asks bodies changes classes collisions constants dependencies dispatchers faults growth objectmode order overloaded reads specific"
    pinned(log, *NEWEST_ONLY, *(f"test_{name}.py" for name in left_out.split()))


@extra
def numba_pinned_all(log: Log) -> None:
    """The same with all of the adapter's tests."""
    pinned(log, "catalogue")


def pinned(log: Log, *left_out: str) -> None:
    env = environment(log, "pinned")
    pytest(log, env, *TWO_AT_ONCE, "tests/numba", *(f"--ignore=tests/numba/{name}" for name in left_out))


@step
def pytensor(log: Log) -> None:
    """PyTensor 3.3.7 and PyMC 6.4.0, which need Python 3.13."""
    if env := environment(log, "pytensor"):
        pytest(log, env, *TWO_AT_ONCE, "tests/pytensor", "-k", "not eight_processes and not graph_with")


def gt4py_tests(log: Log, *arguments: str) -> None:
    if env := environment(log, "gt4py"):
        pytest(log, env, "-n", "2", "--dist", "loadgroup", "tests/gt4py", *arguments)


@step
def gt4py(log: Log) -> None:
    """GT4Py 1.2.3 on Python 3.13: gtfn, dace and cartesian; a second start does nothing again, with no compiler either."""
    gt4py_tests(log)


@extra
def gt4py_slow(log: Log) -> None:
    """GT4Py: every edit with every backend, 32 cold processes, killed builders, images from two directories (twenty minutes)."""
    gt4py_tests(log, "--slow", "-m", "slow")


@extra
def pytensor_slow(log: Log) -> None:
    """A PyMC model in eight cold processes at once, and a graph of fifty nodes with LAPACK's functions (ten minutes)."""
    if env := environment(log, "pytensor"):
        pytest(log, env, "tests/pytensor", "-k", "eight_processes or graph_with")


@extra
def catalogue(log: Log) -> None:
    """Every known way that a cache of Numba functions goes wrong, with Saggar (six minutes)."""
    env = environment(log, "newest")
    log.run(env / "bin/python", "-m", "pip", "install", "-q", "ipython")  # for the functions of a notebook
    pytest(log, env, *TWO_AT_ONCE, "tests/numba/catalogue")


@extra
def soak(log: Log) -> None:
    """Random programs and 10,000 edits (hours)."""
    env = environment(log, "newest")
    jobs = str(os.cpu_count() or 1)
    log.run(env / "bin/python", "tests/numba/soak.py", "--steps", "10000", "--jobs", jobs, env={"SAGGAR_BIN": str(env / "bin/saggar")})


@extra
def julia(log: Log) -> None:
    """A real Julia 1.5.3 (Debian 11, in a folder of its own): asked the same as Saggar, 57 times; made to load what Saggar restored; and 16
    builds at once on one store, 4 of them killed (five minutes; root, debootstrap)."""
    build = WORK / "julia"
    if not (build / "build.ninja").exists():
        log.run("meson", "setup", build, "-Dtests=false")
    log.run("ninja", "-C", build)
    saggar = build / "src/cli/saggar"
    log.run(sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/julia/test_run.py", "-k", "at_once or killed",
            env={"SAGGAR_BIN": str(saggar), "SAGGAR_JULIA_BUILDS": "16"})
    log.run(sys.executable, "tests/julia/real.py", saggar, WORK / "debian11")
    log.run(sys.executable, "tests/julia/shipped.py", saggar, WORK / "debian11")


@step
def pythons(log: Log) -> None:
    """The binding and the hook on the other Pythons, 3.10 to 3.13."""
    for name, wanted in ENVIRONMENTS.items():
        if wanted.step == "pythons" and (env := environment(log, name)):
            pytest(log, env, *TWO_AT_ONCE, "tests/python", "-k", "not packaging")


def main() -> int:
    known = {**STEPS, **EXTRAS}
    names = sys.argv[1:] or list(STEPS)
    if names == ["--list"]:
        for name, function in known.items():
            print(f"{name:14s} {function.__doc__}")
        return 0
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"run.py: unknown step {unknown[0]!r}; --list names them all", file=sys.stderr)
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    failed = []
    prefetch(names)
    for name in names:
        start, log = time.monotonic(), Log(name)
        print(f"{name:14s} {known[name].__doc__}", flush=True)
        try:
            known[name](log)
            word = "ok"
        except Failed as error:
            failed.append(name)
            word = f"FAILED: {error}"
            sys.stdout.write(log.path.read_text(errors="replace")[-20000:])
        print(f"{name:14s} {word} ({time.monotonic() - start:.0f} s)", flush=True)
    for reason in sorted(set(SKIPPED)):
        print("skipped:", reason)
    print(f"{TOTALS['passed']} passed, {max(TOTALS['failed'], len(failed))} failed, {TOTALS['skipped']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
