"""Builds the README's Dockerfile for real and proves the final image; beside it the usual recipe with Numba's own cache.

    sudo python3 tests/container/run.py [--keep]

Needs root, buildah and debootstrap; no container engine and no network inside a build. The base is a minimal Debian with Python, OasisLMF and
Saggar, installed from wheels that are downloaded outside. Ends with a table and build/container/result.json. --keep leaves the images
in build/container/storage; otherwise only a failed run does.

  Saggar          the three lines of the README: one stage warms and bakes, the final stage gets one COPY
  Numba cache     OasisPlatform's recipe: fixed CPU strings, zeroed timestamps, a serial warm-up in two passes, three ENV lines repeated

In both final images the nine workloads of OasisLMF run as user 65534 on a read-only root; compiled functions are counted by the same counter.
Numba passes over a cache folder that it cannot write to (it then compiles everything into ~/.cache): it gets a writable copy at the same place.
"""
from __future__ import annotations

import json
import re
import shutil
import sys
import time

from shared import ROOT, Engine, say, shown_dockerfile

WORK = ROOT / "build" / "container"
PYTHON = "/usr/bin/python3"  # Debian's: the wheels must fit the base image
APP = "/opt/app"
TASKS = "fmpy modelpy_gulpy_gulmc lecpy aalpy eltpy pltpy katpy summarypy plapy".split()

BASE = f"""FROM scratch
ADD rootfs.tar /
RUN --mount=type=bind,source=wheels,target=/wheels python3 -m venv {APP} && {APP}/bin/pip install --quiet --no-index \\
    --find-links=/wheels oasislmf saggar
COPY examples /examples
ENV PATH={APP}/bin:/usr/bin:/bin HOME=/tmp
"""

# The recipe of OasisPlatform's Dockerfile.model_worker, on the same base: a stage that fixes timestamps, one that warms up twice in
# series with fixed CPU strings, one that takes the cache over, and the three variables again at run time.
NUMBA = f"""FROM localhost/base AS fixed
RUN find {APP} -exec touch -h -d @0 {{}} +
FROM fixed AS jit-warmup
ENV NUMBA_CPU_NAME=x86-64-v3
ENV NUMBA_CPU_FEATURES=
ENV NUMBA_CACHE_DIR=/opt/numba_jit_cache
ENV SAGGAR_MODE=off
RUN python3 /examples/tasks.py {' '.join(TASKS)}
RUN python3 /examples/tasks.py {' '.join(TASKS)}
FROM fixed AS final
COPY --from=jit-warmup /opt/numba_jit_cache /opt/numba_jit_cache
ENV NUMBA_CPU_NAME=x86-64-v3
ENV NUMBA_CPU_FEATURES=
ENV NUMBA_CACHE_DIR=/opt/numba_jit_cache
ENV SAGGAR_MODE=off
"""


ENGINE = Engine(WORK)
run, inside = ENGINE.run, ENGINE.inside


def make_base() -> None:
    rootfs = WORK / "rootfs.tar"
    if not rootfs.exists():
        say("debootstrap: a minimal Debian with Python")
        tree = WORK / "rootfs"
        shutil.rmtree(tree, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=python3,python3-venv", "bookworm", tree)
        run("tar", "-C", tree, "-cf", rootfs, ".")
        shutil.rmtree(tree)
    say("wheels: oasislmf with its dependencies, and this checkout's saggar")
    wheels = WORK / "wheels"
    if not (WORK / "pip/bin/pip").exists():
        run(PYTHON, "-m", "venv", WORK / "pip")
        run(WORK / "pip/bin/pip", "install", "-q", "-U", "pip", "wheel")
    if not list(wheels.glob("oasislmf*")):
        run(WORK / "pip/bin/pip", "wheel", "-q", "-w", wheels, "-r", ROOT / "examples/oasis/requirements.txt", "setuptools")
    for old in wheels.glob("saggar*"):
        old.unlink()
    run(WORK / "pip/bin/pip", "wheel", "-q", "--no-deps", "-w", wheels, ROOT)
    shutil.rmtree(WORK / "examples", ignore_errors=True)
    shutil.copytree(ROOT / "examples/oasis", WORK / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    say("the base image")
    ENGINE.build("base", BASE, WORK)


def build(name: str, text: str) -> dict[str, object]:
    """Builds a Dockerfile on the base and tells what it took."""
    start = time.monotonic()
    ENGINE.build(name, text, WORK)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {"stages": sum(line.startswith("FROM") for line in lines), "lines": len(lines), "seconds": round(time.monotonic() - start, 1)}


def size_of(image: str, path: str) -> int:
    done = inside(image, "sh", "-c", f"du -sb {path} 2>/dev/null | cut -f1")
    found = re.findall(rb"\d+", done.stdout)
    return int(found[-1]) if found else 0


def count(image: str, writable: str = "") -> dict[str, int]:
    """Runs the nine workloads with the example's counter."""
    done = inside(image, "sh", "-c", "python3 /examples/counted.py count.json /examples/tasks.py " + " ".join(TASKS)
                  + " >out 2>&1 || { tail -20 out; exit 1; }; cat count.json", writable=writable)
    found = re.search(rb"\{\"compiled\".*\}", done.stdout)
    if done.returncode or not found:  # a program that stopped early has compiled little: no figure
        sys.exit(f"container: no count from image {image}: {done.stdout.decode(errors='replace')[-2000:]}")
    return json.loads(found[0])


def main() -> int:
    ENGINE.start()
    make_base()
    dockerfile = shown_dockerfile("README.md")
    result: dict[str, dict] = {}
    say("Saggar: the README's Dockerfile")
    result["saggar"] = build("saggar", dockerfile)
    say("Saggar: saggar verify in the final image, user 65534, read-only root, no variable set")
    verify = inside("saggar", "saggar", "verify", "--json", "--allow-uncached", "--", "python3", "/examples/tasks.py", *TASKS)
    (WORK / "verify.json").write_bytes(verify.stdout[max(verify.stdout.find(b"\n{\n"), 0):])  # after what the workloads printed
    result["saggar"].update(count("saggar"), verify=verify.returncode, bytes=size_of("saggar", "/usr/local/share/saggar"))
    say("Numba's own cache: OasisPlatform's recipe")
    result["numba"] = build("numba", NUMBA)
    result["numba"].update(count("numba", writable="/opt/numba_jit_cache"), bytes=size_of("numba", "/opt/numba_jit_cache"))
    (WORK / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{'':12s}{'stages':>8s}{'lines':>8s}{'seconds':>9s}{'MB':>8s}{'compiled':>10s}{'uncached':>10s}{'verify':>8s}")
    for name, row in result.items():
        print(f"{name:12s}{row['stages']:8d}{row['lines']:8d}{row['seconds']:9.1f}{row['bytes'] / 1e6:8.1f}{row['compiled']:10d}"
              f"{row['uncached']:10d}{row.get('verify', '-'):>8}")
    good = result["saggar"]["compiled"] == 0 and result["saggar"]["verify"] == 0
    return ENGINE.end(int(good), int(not good))


if __name__ == "__main__":
    sys.exit(main())
