"""Many processes that start cold on one store: the work of one, by the same counts as everywhere; and builders that are killed.

GT4Py's own cache is run beside, in the same test: what it does twice shows that the counts can see it.
"""
from __future__ import annotations

import os
import resource
import signal
import sys
import time

import pytest
from support import Project

NONE = (0, 0, 0)
slow = pytest.mark.slow
BACKENDS: dict[str, tuple[str, dict[str, str | None]]] = {
    "gtfn": ("lap.py", {"BACKEND": "gtfn"}), "dace": ("lap.py", {"BACKEND": "dace"}), "cartesian": ("cart.py", {}),
    "workers": ("lap.py", {"BACKEND": "gtfn", "GT4PY_BUILD_JOBS_MODE": None, "GT4PY_BUILD_JOBS": "2"}),  # GT4Py's default: processes that compile
}


def seconds() -> float:
    """Processor time of all that was waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Crowd:
    """`n` processes at once, each with a copy of the program in a folder of its own."""

    def __init__(self, project: Project, name: str, n: int, **env: str | None) -> None:
        scripts = [project.script(name, folder=f"of{i}") for i in range(n)]
        before, start = seconds(), time.monotonic()
        results = [project.finish(s, timeout=3000) for s in [project.start(script, **env) for script in scripts]]
        self.cpu, self.wall = seconds() - before, time.monotonic() - start
        assert [r.code for r in results] == [0] * n, [r.err for r in results if r.code][0]
        assert len({r.out for r in results}) == 1
        self.out = results[0].out
        self.compilers = sum(len(r.compilers) for r in results)
        self.translations = sum(r.translations for r in results)
        self.compiled = sum(r.summary["compiled"] for r in results)

    def __str__(self) -> str:
        return f"{self.translations} translations, {self.compilers} compiler runs, {self.cpu:.1f} CPU s, {self.wall:.1f} s"


def litter(project: Project) -> list[str]:
    """What a start would stumble over: locks, and what was not finished. A claim is a range of one file, and nobody's when nobody runs."""
    known = {"CACHEDIR.TAG", "claims"}
    return sorted(path.name for path in project.store.rglob("*") if path.is_file() and path.name not in known
                  and "trees" not in path.parts and not path.name.endswith(tuple(f".{slot}" for slot in range(16))))


@slow
@pytest.mark.parametrize("n, backend", [
    pytest.param(8, "cartesian", marks=pytest.mark.xdist_group("cartesian")),
    pytest.param(8, "dace", marks=pytest.mark.xdist_group("dace")),
    pytest.param(4, "workers", marks=pytest.mark.xdist_group("gtfn")),
    pytest.param(32, "gtfn", marks=pytest.mark.xdist_group("gtfn")),
])
def test_cold_processes_do_the_work_of_one(project, warm, capsys, n, backend):
    name, env = BACKENDS[backend]
    cold = warm(name, **env)[1]
    many = Crowd(project, name, n, **env)
    with capsys.disabled():
        print(f"\n{backend}, {n} processes: {many}; one: {cold.translations} translations, {len(cold.compilers)} compiler runs", file=sys.stderr)
    assert many.out == cold.out
    assert many.translations == cold.translations and many.compiled == cold.compiled()
    assert many.compilers <= 1.1 * len(cold.compilers)
    assert not litter(project)
    assert project.good(project.script(name), **env).work() == NONE, project.why()


@slow
@pytest.mark.xdist_group("gtfn")
def test_beside_the_cache_of_gt4py(project, warm, capsys):
    """The work of eight, less what eight warm processes use, as a multiple of the work of one; each by itself, on this machine."""
    own = {"BACKEND": "gtfn", "SAGGAR_MODE": "off", "GT4PY_BUILD_CACHE_LIFETIME": "persistent", "CCACHE_DISABLE": "1"}
    said, times = [], {}
    for who, env in (("GT4Py", own), ("Saggar", {"BACKEND": "gtfn", "CCACHE_DISABLE": "1"})):
        work = {}
        for n in (1, 8):
            root = Project(project.root / f"{who}{n}")
            place = {"GT4PY_BUILD_CACHE_DIR": str(root.root)}
            cold, again = (Crowd(root, "lap.py", n, **env, **place) for _ in range(2))
            work[n] = cold.cpu - again.cpu
            said.append(f"{who}, {n}: {cold}; again: {again}")
            if who == "GT4Py":
                assert not (root.store / "v1").exists()
            else:
                assert cold.translations == 2 and (again.translations, again.compilers) == (0, 0)
            times[who, n] = cold.translations
        said.append(f"{who}: {work[8] / work[1]:.2f} times the work of one")
    with capsys.disabled():
        print("", *said, sep="\n", file=sys.stderr)
    assert times["GT4Py", 8] > times["GT4Py", 1] == times["Saggar", 8]  # or nothing is shown


# -- killed ------------------------------------------------------------------------------------------------------------

def until(condition, limit: float) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@slow
@pytest.mark.parametrize("stage", ["translation", "cmake", "smooth_bindings"])
def test_a_killed_builder_is_followed_at_once(project, capsys, stage):
    """Killed while it translates, asks CMake or compiles: who waits goes on there within a second, and nothing stops a later start."""
    script, hold = project.script("lap.py"), project.root / "hold"
    hold.write_text(stage)
    first = project.start(script, BACKEND="gtfn", HOLD=str(hold))
    until((project.root / "hold.held").exists, 200)
    second = project.start(script, BACKEND="gtfn")
    log = second[1][1 if stage == "translation" else 0]
    time.sleep(8)
    assert second[0].poll() is None and not log.exists(), "it did not wait"
    os.killpg(first[0].pid, signal.SIGKILL)
    killed = time.monotonic()
    until(log.exists, 60)
    after = time.monotonic() - killed
    with capsys.disabled():
        print(f"\nkilled in {stage}: followed after {after:.3f} s", file=sys.stderr)
    assert after < 1
    result = project.finish(second)
    first[0].communicate()
    assert result.code == 0 and "as written" in result.out, result.err
    assert project.good(script, BACKEND="gtfn").work() == NONE, project.why()


@slow
def test_all_killed(project):
    """Every process at once: the next start does what is missing, and is not stopped by what they left."""
    hold = project.root / "hold"
    hold.write_text("smooth_bindings")
    started = [project.start(project.script("lap.py", folder=f"of{i}"), BACKEND="gtfn", HOLD=str(hold)) for i in range(3)]
    until((project.root / "hold.held").exists, 200)
    for process, _, _ in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    result = project.good(project.script("lap.py"), BACKEND="gtfn")
    assert result.translations == 1 and result.compilers and "as written" in result.out
    assert project.good(project.script("lap.py"), BACKEND="gtfn").work() == NONE

