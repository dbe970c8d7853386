"""The main job on real code: warm up, bake, ship and prove, with Saggar and with Numba's own cache side by side.

    python3 examples/oasis/demo.py [--work DIR] [--python PYTHON]

Two environments are made below DIR (build/demo): `build` compiles, `production` has the same packages at another path, with other
timestamps, and tells Numba another CPU name. Each cache is filled by two workloads at once in `build`, used again there, then
shipped to `production` and used there. The same counter (counted.py) counts what Numba compiles, whatever the cache. Ends with one
table; the same figures are in DIR/result.json.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CPU_ELSEWHERE = {"NUMBA_CPU_NAME": "haswell"}
PHASES = ("cold", "warm", "shipped")
STARTED = time.monotonic()


def say(text: str) -> None:
    elapsed = int(time.monotonic() - STARTED)
    print(f"[{elapsed // 60}:{elapsed % 60:02d}] {text}", flush=True)


def fail(text: str, log: Path | None = None) -> None:
    if log is not None and log.exists():
        sys.stderr.write("".join(log.read_text(errors="replace").splitlines(keepends=True)[-25:]))
    sys.exit(f"demo: {text}" + (f" (whole log: {log})" if log else ""))


def call(what: str, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
    """Runs a command into a log; on failure shows the log's end and stops."""
    with log.open("ab") as stream:
        if subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=env, stdin=subprocess.DEVNULL).returncode:
            fail(f"{what} failed", log)


def disk(path: Path) -> tuple[int, int]:
    """Number of files below a path, or 1, and their bytes."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return len(files), sum(p.stat().st_size for p in files)


class Demo:
    def __init__(self, work: Path, python: str) -> None:
        self.work, self.python = work, python
        self.build, self.production = work / "build" / "env", work / "production" / "elsewhere" / "env"
        self.logs = work / "logs"
        self.runs = work / "runs"  # the workloads' own files
        self.image = work / "kernels.saggar"
        self.store, self.numba_cache = work / "saggar-store", work / "numba-cache"
        self.result: dict[str, object] = {"saggar": {}, "numba": {}}
        self.sizes: dict[tuple[str, str], tuple[int, int]] = {}
        self.digests: list[str] = []

    # -- environments --------------------------------------------------------------------------------------------

    def make_environments(self) -> None:
        for path in (self.work / "production", self.store, self.numba_cache, self.work / "numba-shipped", self.work / "state"):
            shutil.rmtree(path, ignore_errors=True)
        self.image.unlink(missing_ok=True)
        for path in (self.logs, self.runs):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        log = self.logs / "install.log"
        pip = [str(self.build / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        if not (self.build / "bin/python").exists():
            call("making a virtual environment", [self.python, "-m", "venv", str(self.build)], log)
        say("installing oasislmf and numba from PyPI into the build environment")
        call("pip install oasislmf", pip + ["-r", str(HERE / "requirements.txt")], log)
        say("building and installing Saggar there")
        call("pip install saggar", pip + ["--force-reinstall", "--no-deps", str(ROOT)], log)
        say("copying it to another path, with other timestamps: the production environment")
        self.production.parent.mkdir(parents=True)
        call("copying the environment", ["cp", "-r", str(self.build), str(self.production)], log)
        for env in (self.build, self.production):  # so that no phase below pays for the interpreter's own byte code
            call("first import", [str(env / "bin/python"), "-c", "import oasislmf.warmup, oasislmf.pytools.gulmc.manager, "
                 "oasislmf.pytools.lec.manager, oasislmf.computation.generate.losses, numba"], log,
                 dict(os.environ, SAGGAR_MODE="off"))

    # -- workloads -----------------------------------------------------------------------------------------------

    def workloads(self, env: Path, tag: str) -> list[tuple[str, list[str], Path]]:
        """Name, command and the count's file of the two workloads that run side by side."""
        python, counted = str(env / "bin/python"), str(HERE / "counted.py")
        rows = []
        for name, program in (("losses", ["losses.py", str(self.runs / tag)]),
                              ("reports", ["tasks.py", "summarypy", "eltpy", "aalpy", "lecpy"])):
            count = self.logs / f"{tag}-{name}.json"
            rows.append((name, [python, counted, str(count), str(HERE / program[0]), *program[1:]], count))
        return rows

    def environ(self, cache: str, phase: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_"))}
        env["XDG_STATE_HOME"] = str(self.work / "state")
        if phase == "shipped":
            env.update(CPU_ELSEWHERE)
        if cache == "numba":
            env["SAGGAR_MODE"] = "off"
            env["NUMBA_CACHE_DIR"] = str(self.work / "numba-shipped" if phase == "shipped" else self.numba_cache)
        else:
            # production has the image alone, and an empty store
            env["SAGGAR_DIR"] = str(self.work / "production" / "empty-store" if phase == "shipped" else self.store)
        return env

    def measure(self, cache: str, phase: str) -> None:
        """Runs both workloads at once and books what was compiled and how long it took."""
        tag = f"{cache}-{phase}"
        rows = self.workloads(self.production if phase == "shipped" else self.build, tag)
        env, start = self.environ(cache, phase), time.monotonic()
        if cache == "saggar" and phase == "cold":
            self.warm(rows, env)
        else:
            self.side_by_side(tag, rows, env)
        seconds = time.monotonic() - start
        counts = [json.loads(count.read_text()) for _, _, count in rows]
        compiled = sum(c["compiled"] for c in counts)
        self.result[cache][phase] = {"compiled": compiled, "uncached": sum(c["uncached"] for c in counts),
                                     "seconds": round(seconds, 1)}
        self.digests.append(self.digest(self.logs / (f"{tag}-losses.log")))
        say(f"  {cache} {phase}: {compiled} functions compiled, {seconds:.1f} s")

    def warm(self, rows: list[tuple[str, list[str], Path]], env: dict[str, str]) -> None:
        """The two workloads as `saggar warm` runs them: from a plan, a log each."""
        import shlex
        plan = self.work / "plan"
        plan.write_text("".join(f"{name}: {shlex.join(command)}\n" for name, command, _ in rows))
        logs = self.logs / "warm"
        command = [str(self.build / "bin/saggar"), "warm", "--jobs", "2", "--plan", str(plan), "--log-dir", str(logs)]
        print(f"      $ saggar warm --jobs 2 --plan {plan.relative_to(Path.cwd()) if plan.is_relative_to(Path.cwd()) else plan}",
              flush=True)
        if subprocess.run(command, env=env, stdin=subprocess.DEVNULL, cwd=self.runs).returncode:
            fail("saggar warm failed; the logs are in " + str(logs))
        for name, _, _ in rows:
            shutil.copyfile(logs / f"{name}.log", self.logs / f"saggar-cold-{name}.log")

    def side_by_side(self, tag: str, rows: list[tuple[str, list[str], Path]], env: dict[str, str]) -> None:
        running = []
        for name, command, _ in rows:
            log = self.logs / f"{tag}-{name}.log"
            running.append((name, log, subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log.open("wb"),
                                                        stderr=subprocess.STDOUT, cwd=self.runs)))
        for name, log, process in running:
            if process.wait():
                fail(f"{tag}: workload {name} ended with status {process.returncode}", log)

    @staticmethod
    def digest(log: Path) -> str:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("result ")]
        return lines[-1] if lines else f"no result in {log}"

    # -- the two ways ----------------------------------------------------------------------------------------------

    def run_numba(self) -> None:
        say("Numba's own cache, cold: two workloads at once")
        self.measure("numba", "cold")
        self.sizes["numba", "cold"] = self.sizes["numba", "warm"] = disk(self.numba_cache)
        say("Numba's own cache, warm")
        self.measure("numba", "warm")
        say("Numba's own cache, copied to production")
        call("copying the cache", ["cp", "-r", str(self.numba_cache), str(self.work / "numba-shipped")], self.logs / "install.log")
        self.measure("numba", "shipped")
        self.sizes["numba", "shipped"] = disk(self.work / "numba-shipped")

    def run_saggar(self) -> None:
        say("Saggar, cold: two workloads at once, each function compiled once")
        self.measure("saggar", "cold")
        self.sizes["saggar", "cold"] = self.sizes["saggar", "warm"] = disk(self.store)
        say("Saggar, warm")
        self.measure("saggar", "warm")
        say("Saggar: bake what was used into one file and install it in production")
        saggar, env = str(self.build / "bin/saggar"), self.environ("saggar", "warm")
        print("      $ saggar bake -o kernels.saggar", flush=True)
        if subprocess.run([saggar, "bake", "-o", str(self.image)], env=env).returncode:
            fail("saggar bake failed")
        target = self.production / "share" / "saggar"
        target.mkdir(parents=True)
        shutil.copy(self.image, target)
        shutil.rmtree(self.work / "production" / "empty-store", ignore_errors=True)
        self.measure("saggar", "shipped")
        self.sizes["saggar", "shipped"] = disk(self.image)

    def prove(self) -> int:
        """`saggar verify` on the shipped image: its own count over all processes must agree."""
        say("Saggar: the proof, as one would run it in CI")
        losses = [str(self.production / "bin/python"), str(HERE / "losses.py"), str(self.runs / "proof")]
        print("      $ saggar verify -- python losses.py RUNDIR", flush=True)
        command = [str(self.production / "bin/saggar"), "verify", "--", *losses]
        with (self.logs / "verify.log").open("wb") as stream:
            status = subprocess.run(command, env=self.environ("saggar", "shipped"), stdout=stream, stderr=subprocess.STDOUT,
                                    cwd=self.runs).returncode
        lines = (self.logs / "verify.log").read_text(errors="replace").splitlines()
        print("\n".join("      " + line[:150] for line in lines[-6:]))
        return status

    # -- the end ---------------------------------------------------------------------------------------------------

    def table(self) -> None:
        width = 34
        print(f"\n{'':10s}{'Saggar':^{width}s}  {'Numba cache':^{width}s}")
        head = f"{'compiled':>8s}{'seconds':>9s}{'files':>7s}{'MB':>8s}  "
        print(f"{'':10s}{head}  {head}")
        for phase in PHASES:
            cells = []
            for cache in ("saggar", "numba"):
                row, (files, size) = self.result[cache][phase], self.sizes[cache, phase]
                cells.append(f"{row['compiled']:8d}{row['seconds']:9.1f}{files:7d}{size / 1e6:8.1f}  ")
            print(f"{phase:10s}{cells[0]}  {cells[1]}")
        print("compiled: functions marked for caching that Numba compiled, in both workloads together; shipped: the same packages at\n"
              "another path, with other timestamps and NUMBA_CPU_NAME=haswell")

    def finish(self, verified: int) -> int:
        equal = len(set(self.digests)) == 1
        self.result.update(equal=equal, verify=verified)
        for (cache, phase), (files, size) in self.sizes.items():
            self.result[cache][phase].update(files=files, bytes=size)
        (self.work / "result.json").write_text(json.dumps(self.result, indent=1) + "\n")
        self.table()
        print(f"results of all runs {'are equal' if equal else 'DIFFER: ' + repr(self.digests)}; saggar verify: exit {verified}; "
              f"figures: {self.work / 'result.json'}")
        shown = self.production.relative_to(Path.cwd()) if self.production.is_relative_to(Path.cwd()) else self.production
        image = self.image.relative_to(Path.cwd()) if self.image.is_relative_to(Path.cwd()) else self.image
        print(f"\nNext, try\n  {shown}/bin/saggar ls {image}\n  {shown}/bin/saggar doctor\n"
              f"  {shown}/bin/saggar verify -- {shown}/bin/python {HERE.relative_to(ROOT)}/losses.py build/demo/runs/again")
        good = equal and verified == 0 and self.result["saggar"]["shipped"]["compiled"] == 0
        return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "demo")
    parser.add_argument("--python", default=sys.executable, help="the Python (3.10 to 3.13) that the environments are made from")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    demo = Demo(work, args.python)
    demo.make_environments()
    demo.run_saggar()
    demo.run_numba()
    return demo.finish(demo.prove())


if __name__ == "__main__":
    sys.exit(main())
