"""Builds the Dockerfile of docs/julia.md for real, with Debian 11's Julia 1.5.3, and looks at what each build compiled and shipped.

    sudo python3 tests/container/julia.py [--keep]

Needs root, buildah, debootstrap and strace; no container engine and no network inside a build. SAGGAR_JULIA_ROOT names a Debian 11 with
its package julia, if there is one already. Every build begins from a new checkout: no file has the time stamp that it had before.

  first     App uses A and B, B uses C: all four are compiled
  other     another App at the same path, with the same UUID, uses C and D: C comes from the mount
  again     the first once more: nothing is compiled
  edited    B was edited: B and App are compiled
  after     C was edited, and a build of that was killed while Julia compiled it, and left what it likes: C, B and App are compiled

Counted are the lines in which Julia itself says that it compiles. In each final image lies one cache file for each package that the project
needs, and nothing else; as user 65534 on a read-only root Julia opens every one of them, compiles nothing, and gives the right answer. Last,
an image with a source that was changed after the build: these checks must see it.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from shared import ROOT, Engine, say, shown_dockerfile

sys.path.insert(0, str(ROOT / "tests" / "julia"))
from real import suite_url  # noqa: E402

WORK = ROOT / "build" / "container-julia"
ENGINE = Engine(WORK)
UUID = {name: f"{number}{number:07d}-2222-4333-8444-555566667777" for number, name in enumerate(("App", "A", "B", "C", "D"), 1)}
NEEDS = {"App": ("A", "B"), "A": (), "B": ("C",), "C": ()}
OTHER = {"App": ("C", "D"), "C": (), "D": ()}
ASK = ("julia", "--startup-file=no", "--project=/srv/app", "-e", "using App; println(\"the answer is \", App.f())")
BASE = """FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 JULIA_DEBUG=loading
"""
# The build that is to be killed holds still while it compiles C.
HOLD = 'isfile("/srv/app/hold") && sleep(600)\n'
FAILED: list[str] = []  # what was looked at, after the name of the build
SEEN: list[str] = []  # in the image that must fail


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        (SEEN if what.startswith("spoiled: ") else FAILED).append(what)
        say(f"{'seen' if what in SEEN else 'FAILED'}: {what}: {found}, not {wanted}")


def make_base() -> None:
    rootfs, root = WORK / "rootfs.tar", Path(os.environ.get("SAGGAR_JULIA_ROOT", WORK / "debian11"))
    if not rootfs.exists():
        if not (root / "usr/bin/julia").exists():
            say("debootstrap: Debian 11 with its Julia")
            shutil.rmtree(root, ignore_errors=True)
            ENGINE.run("debootstrap", "--variant=minbase", "--include=julia", "bullseye", root, suite_url())
        ENGINE.run("tar", "-C", root, "-cf", rootfs.with_suffix(".new"), "--exclude=./proc/*", "--exclude=./srv/*", "--exclude=./usr/share/doc/*",
                   "--exclude=./usr/share/locale/*", "--exclude=./var/cache/*", "--exclude=./var/lib/apt/*", "--exclude=./tmp/*", ".")
        rootfs.with_suffix(".new").rename(rootfs)
    say("a command that runs on any libc: linked statically")
    build = WORK / "static"
    if not (build / "build.ninja").exists():
        ENGINE.run("meson", "setup", "--buildtype=release", "-Dtests=false", "-Dprefer_static=true", "-Dcpp_link_args=-static", build, ROOT)
    ENGINE.run("ninja", "-C", build, "src/cli/saggar")
    say("the base image")
    ENGINE.build("julia", BASE, WORK)


def checkout(needs: dict[str, tuple[str, ...]], edits: dict[str, int], hold: bool = False) -> Path:
    """The context of a build. Every package returns its number, 1 or as edited, and those of what it needs."""
    context = WORK / "context"
    shutil.rmtree(context, ignore_errors=True)
    (context / "depot").mkdir(parents=True)
    shutil.copyfile(ROOT / "examples/julia/describe.jl", context / "describe.jl")
    ENGINE.run("strip", "-o", context / "saggar", WORK / "static/src/cli/saggar")
    manifest = ""
    for name, used in needs.items():
        folder = context / ("app" if name == "App" else f"depot/dev/{name}")
        (folder / "src").mkdir(parents=True)
        table = "".join(f'{other} = "{UUID[other]}"\n' for other in used)
        (folder / "Project.toml").write_text(f'name = "{name}"\nuuid = "{UUID[name]}"\nversion = "0.1.0"\n[deps]\n{table}')
        result = " + ".join([str(edits.get(name, 1)), *(f"{other}.f()" for other in used)])
        using = f"using {', '.join(used)}\n" if used else ""
        (folder / f"src/{name}.jl").write_text(f"module {name}\n{using}{HOLD if name == 'C' else ''}f() = {result}\nend\n")
        if name != "App":
            manifest += f"[[{name}]]\n" + (f"deps = {json.dumps(used)}\n" if used else "")
            manifest += f'path = "/opt/depot/dev/{name}"\nuuid = "{UUID[name]}"\nversion = "0.1.0"\n\n'
    (context / "app/Manifest.toml").write_text(manifest)
    if hold:
        (context / "app/hold").touch()
    return context


def compiled(output: bytes) -> list[str]:
    """What Julia says that it compiles."""
    return sorted(re.findall(r"Debug: Precompiling (\w+) \[", output.decode(errors="replace")))


def build(name: str, needs: dict[str, tuple[str, ...]], edits: dict[str, int], wanted: str) -> None:
    start = time.monotonic()
    done = ENGINE.build(name, shown_dockerfile("docs/julia.md"), checkout(needs, edits))
    found = compiled(done.stdout)
    expect(f"{name}: compiled", found, sorted(wanted.split()))
    look(name, needs, sum(edits.get(n, 1) for n in needs))
    say(f"{name:7s} compiled {len(found)} ({' '.join(found)}), {time.monotonic() - start:.0f} s with the checks")


def look(name: str, needs: dict[str, tuple[str, ...]], answer: int) -> None:
    """The final image holds one cache file for each package and nothing else, and all of them are used."""
    container, mount = ENGINE.mounted(name)
    try:
        files = hold_exactly(name, mount, needs)
        saggar_agrees(name, mount, files)
        julia_uses(name, mount, files, answer)
    finally:
        ENGINE.release(container)


def hold_exactly(name: str, mount: str, needs: dict[str, tuple[str, ...]]) -> set[str]:
    depot = Path(mount, "opt/depot")
    files = {"/" + str(p.relative_to(mount)) for p in (depot / "compiled").rglob("*") if not p.is_dir()}
    expect(f"{name}: packages with a file", sorted(Path(f).parent.name for f in files), sorted(needs))
    expect(f"{name}: what are no cache files", [f for f in files if not re.fullmatch(r"\w{5}_\w+\.ji", Path(f).name)], [])
    expect(f"{name}: in the depot", sorted(p.name for p in depot.iterdir()), ["compiled", "dev"])
    expect(f"{name}: of the build", [p for p in ("usr/local/bin/saggar", "var/cache/saggar", "srv/julia.json") if Path(mount, p).exists()], [])
    return files


def saggar_agrees(name: str, mount: str, files: set[str]) -> None:
    described = ENGINE.enter(name, mount, *ASK[:3], "-e", (ROOT / "examples/julia/describe.jl").read_text()).stdout
    info = WORK / "julia.json"
    info.write_bytes(described[described.index(b"{"):])
    check = subprocess.run([WORK / "static/src/cli/saggar", "julia", "check", "--json", "--depot", Path(mount, "opt/depot"), "--julia-info", info,
                            Path(mount, "srv/app")], capture_output=True, stdin=subprocess.DEVNULL)
    expect(f"{name}: saggar julia check", check.returncode, 0)
    named = {str(p["file"]).removeprefix(mount) for p in json.loads(check.stdout)["packages"]}
    expect(f"{name}: files that check names", named, files)


def julia_uses(name: str, mount: str, files: set[str], answer: int) -> None:
    trace = WORK / "trace"
    done = ENGINE.enter(name, mount, *ASK, trace=trace)
    expect(f"{name}: status of Julia", done.returncode, 0)
    expect(f"{name}: the answer", re.findall(rb"the answer is (\d+)", done.stdout), [str(answer).encode()])
    expect(f"{name}: compiled in the final image", compiled(done.stdout), [])
    opened = {path for path in re.findall(r'"([^"]+\.ji)", [^)]*\) = \d', trace.read_text()) if path.startswith("/opt/depot/compiled")}
    expect(f"{name}: files that Julia opened", opened, files)


def children(pid: int) -> list[int]:
    """A process and all that it started, the youngest last."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def kill_a_build(edits: dict[str, int]) -> None:
    """Killed while Julia compiles C; and the mount gets what killed builds leave, and worse."""
    context, log = checkout(NEEDS, edits, hold=True), WORK / "killed.log"
    words = ENGINE.build_words("killed", shown_dockerfile("docs/julia.md"), context)
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=ENGINE.environment)
    while "C" not in compiled(log.read_bytes()):
        if process.poll() is not None:
            sys.exit(f"container: the build that was to be killed has ended, see {log}")
        time.sleep(0.2)
    time.sleep(2)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    stores = list((WORK / "tmp").rglob("CACHEDIR.TAG"))
    expect("stores in the mount", len(stores), 1)
    store = stores[0].parent
    entries = sorted(p for p in store.glob("v1/*/*") if p.is_file())
    for name in ("jl_AbCdEf", "v1/jl_AbCdEf", "A.ji.pidfile", str(entries[0].parent.relative_to(store) / "jl_AbCdEf")):
        (store / name).touch()
    (store / "v1/jl_GhIjKl").write_bytes(entries[0].read_bytes()[:1000])
    say(f"killed while it compiled C; the mount holds {len(entries)} entries and five files of no use")


def counters_can_fail() -> None:
    """The same questions about an image with a file too many and a source that was changed after the build."""
    ENGINE.build("spoiled", "FROM localhost/after\nRUN echo '# edited' >> /opt/depot/dev/C/src/C.jl && "
                 "cp /opt/depot/compiled/v1.5/A/*.ji /opt/depot/compiled/v1.5/A/jl_AbCdEf\n", WORK / "context")
    look("spoiled", NEEDS, 9)
    for what in ("packages with a file", "what are no cache files", "saggar julia check", "files that check names", "compiled in the final image",
                 "files that Julia opened", "the answer"):
        expect(f"spoilt: {what}", f"spoiled: {what}" in SEEN, True)


def main() -> int:
    ENGINE.start()
    make_base()
    build("first", NEEDS, {}, "App A B C")
    build("other", OTHER, {"App": 5, "D": 10}, "App D")
    build("again", NEEDS, {}, "")
    build("edited", NEEDS, {"B": 20}, "App B")
    kill_a_build({"B": 20, "C": 300})
    build("after", NEEDS, {"B": 20, "C": 300}, "App B C")
    counters_can_fail()
    failed = len({what.split(":")[0] for what in FAILED})
    return ENGINE.end(6 - failed, failed)


if __name__ == "__main__":
    sys.exit(main())
