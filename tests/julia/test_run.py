"""`run`: restore, run, keep what was compiled; and what `verify` makes of it. A pretended Julia compiles."""
from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path


import pretend
from generate import Package, describe, project

HERE = Path(__file__).resolve().parent
BUILDS = int(os.environ.get("SAGGAR_JULIA_BUILDS", "6"))


class Builds:
    """A project, and builds of it that share nothing but a store."""

    def __init__(self, saggar, folder: Path, names: str = "ABCD", change: dict[str, int] | None = None) -> None:
        self.binary, self.folder, self.store = saggar.binary, folder, folder / "store"
        self.packages: list[Package] = []
        for number, name in enumerate(names):  # each needs all before it
            number = (change or {}).get(name, ord(name))
            self.packages.append(Package(number, self.packages[:], name=f"Toy{name}"))
        folder.mkdir(parents=True, exist_ok=True)
        pretend.save(folder, self.packages)
        project(folder / "app", self.packages)
        describe(folder / "julia.json")

    def depot(self, name: str) -> Path:
        depot = self.folder / name
        for p in self.packages:
            for path, source in p.sources.items():
                (depot / p.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (depot / p.folder / path).write_text(source)
        return depot

    def log(self) -> Counter:
        path = self.folder / "log"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def command(self, depot: Path, *more: object, seconds: float = 0, names: tuple[str, ...] = (), log: Path | None = None) -> list[str]:
        return [str(w) for w in (self.binary, "julia", "run", "--json", "--depot", depot, "--julia-info", self.folder / "julia.json", *more,
                                 "--project", self.folder / "app", "--", sys.executable, "-B", HERE / "pretend.py", self.folder, depot,
                                 log or self.folder / "log", seconds, *names)]

    def environment(self, **more: str) -> dict[str, str]:
        state = {"XDG_STATE_HOME": str(self.folder / "state"), "HOME": str(self.folder), "SAGGAR_DIR": str(self.store)}
        return {**{k: v for k, v in os.environ.items() if not k.startswith("SAGGAR")}, **state, "PATH": "/nonexistent", **more}

    def run(self, depot: Path, *more: object, status: int = 0, env: dict[str, str] | None = None, **kind) -> dict:
        done = subprocess.run(self.command(depot, *more, **kind), capture_output=True, text=True, env=self.environment(**(env or {})), timeout=120)
        assert done.returncode == status, done.stderr
        return json.loads(done.stderr.splitlines()[-1])


def test_what_one_compiles_serves_all(saggar, tmp_path):
    builds = Builds(saggar, tmp_path)
    first = builds.run(builds.depot("one"))
    assert first == {"restored": 0, "used": 0, "compiled": 4, "stored": 4, "not_stored": 0, "status": 0}
    second = builds.run(builds.depot("two"))
    assert second == {"restored": 4, "used": 4, "compiled": 0, "stored": 0, "not_stored": 0, "status": 0}
    again = builds.run(tmp_path / "two")
    assert again == {**second, "restored": 0} and builds.log() == Counter({p.name: 1 for p in builds.packages})
    # Another version of one: it and what needs it are compiled, and nothing else.
    other = Builds(saggar, tmp_path / "other", change={"C": 7})
    other.store = builds.store
    third = other.run(other.depot("three"))
    assert (third["restored"], third["compiled"]) == (2, 2) and set(other.log()) == {"ToyC", "ToyD"}
    assert len(list(builds.store.glob("v1/*/*.0"))) == 6 and not list(builds.store.glob("v1/*/*.1"))  # what it needs is in the key
    # Both projects in one depot, where Julia would overwrite one's files with the other's.
    both = builds.depot("both")
    other.depot("../both")
    for _ in range(2):
        assert builds.run(both)["compiled"] == 0 and other.run(both)["compiled"] == 0
    # The store bakes to an image of all.
    done = subprocess.run([saggar.binary, "bake", "--all", "--json", "-o", tmp_path / "all.saggar", builds.store], capture_output=True, check=True,
                          env=builds.environment())
    assert json.loads(done.stdout)["entries"] == 6


def test_the_command_is_its_own(saggar, tmp_path):
    builds = Builds(saggar, tmp_path, "A")
    depot = builds.depot("one")
    base = builds.command(depot)[:-5]
    base = base[:base.index("--") + 1]

    def run(*command: str, env: dict[str, str] | None = None):
        return subprocess.run([*base, *command], capture_output=True, text=True, env=builds.environment(**(env or {})), input="in", timeout=60)

    done = run("/bin/sh", "-c", "/bin/cat; exit 7")
    assert (done.returncode, done.stdout) == (7, "in")
    assert run("/bin/sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert run("/nonexistent/julia").returncode == 127
    assert run("/bin/sh", "-c", "echo $JULIA_MAX_NUM_PRECOMPILE_FILES").stdout == "100000\n"
    off = run("/bin/sh", "-c", "echo x", env={"SAGGAR_MODE": "off"})
    assert (off.returncode, off.stdout, off.stderr) == (0, "x\n", "")
    assert subprocess.run([saggar.binary, "julia", "run", "--", "true"], capture_output=True, env=builds.environment()).returncode == 2


def verify(saggar, builds, depot: Path, *more: object, images: tuple = (), command: tuple = (), env: dict[str, str] | None = None, status: int) -> dict:
    inner = builds.command(depot)
    inner = [*inner[:inner.index("--") + 1], *command] if command else inner
    given = [str(w) for image in images for w in ("--image", image)]
    done = subprocess.run([saggar.binary, "verify", "--json", *given, *map(str, more), "--", *inner], capture_output=True, text=True,
                          env=builds.environment(**(env or {})), timeout=120)
    assert done.returncode == status, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_verify(saggar, tmp_path):
    builds = Builds(saggar, tmp_path)
    one = builds.depot("one")
    builds.run(one)
    image = tmp_path / "a.saggar"
    saggar("bake", "-o", image, "--depot", one, "--julia-info", tmp_path / "julia.json", tmp_path / "app")
    found = verify(saggar, builds, builds.depot("two"), images=(image,), status=0)
    assert found["hits"] == 4 and found["images"][0]["hits"] == 4
    found = verify(saggar, builds, builds.depot("three"), status=1)
    assert {row["function"] for row in found["cacheable"]} == {f"julia:1.11.7:{p.name}" for p in builds.packages}
    # An image that lacks one package.
    (one / (builds.packages[3].stem + ".ji")).unlink()
    saggar("bake", "-o", image, "--depot", one, "--julia-info", tmp_path / "julia.json", tmp_path / "app", status=1)
    found = verify(saggar, builds, builds.depot("four"), images=(image,), status=1)
    assert [row["function"] for row in found["cacheable"]] == ["julia:1.11.7:ToyD"]
    # Nothing came, but nobody knows whether that package was compiled in memory.
    found = verify(saggar, builds, builds.depot("five"), images=(image,), command=("/bin/true",), status=4)
    assert any("ToyD has no cache file" in line for line in found["no_proof"])


def test_verify_of_code_in_memory(saggar, tmp_path):
    builds = Builds(saggar, tmp_path, "A")
    one = builds.depot("one")
    builds.run(one)
    verify(saggar, builds, one, command=("/bin/true",), status=0)
    found = verify(saggar, builds, one, command=("/bin/sh", "-c", "true", "--compiled-modules=no"), status=4)
    assert any("--compiled-modules=no" in line for line in found["no_proof"])


def start(builds: Builds, number: int, **kind) -> subprocess.Popen:
    return subprocess.Popen(builds.command(builds.depot(f"build{number}"), **kind), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=builds.environment(), start_new_session=True)


def test_many_at_once(saggar, tmp_path):
    """Builds that overlap compile each package once."""
    builds = Builds(saggar, tmp_path)
    running = [start(builds, number, seconds=0.2) for number in range(BUILDS)]
    found = []
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        found.append(json.loads(err.splitlines()[-1]))
    assert builds.log() == Counter({p.name: 1 for p in builds.packages})
    assert sum(f["compiled"] for f in found) == sum(f["stored"] for f in found) == 4
    assert all(f["restored"] + f["compiled"] == 4 for f in found)


def test_some_are_killed(saggar, tmp_path):
    """A quarter of them is killed at some moment: the others finish, and whatever the store holds is whole."""
    builds = Builds(saggar, tmp_path, "ABCDEF")
    chance = random.Random(8)
    running = [start(builds, number, seconds=0.15) for number in range(BUILDS)]
    victims = chance.sample(running, max(1, BUILDS // 4))
    for victim in victims:
        time.sleep(chance.uniform(0.05, 0.6))
        if victim.poll() is None:
            os.killpg(victim.pid, signal.SIGKILL)
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process in victims or process.returncode == 0, err
    log = builds.log()
    assert set(log) == {p.name for p in builds.packages} and sum(log.values()) <= len(log) + 2 * len(victims), log
    assert subprocess.run([saggar.binary, "check", builds.store], capture_output=True, env=builds.environment()).returncode == 0
    last = builds.run(builds.depot("last"))
    assert (last["restored"], last["compiled"]) == (6, 0)


def test_a_bounded_wait(saggar, tmp_path):
    """Somebody claims all and does nothing: after --wait the others go on."""
    builds = Builds(saggar, tmp_path, "A")
    idle = builds.command(builds.depot("idle"))
    holder = subprocess.Popen([*idle[:idle.index("--") + 1], "/bin/sleep", "20"], env=builds.environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(0.5)
        begin = time.monotonic()
        assert builds.run(builds.depot("other"), "--wait", "1s")["compiled"] == 1
        assert 0.9 < time.monotonic() - begin < 10
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()


def test_a_store_that_cannot_be_written(saggar, tmp_path):
    """The command runs all the same."""
    builds = Builds(saggar, tmp_path, "A")
    (tmp_path / "store").write_text("no folder")
    done = subprocess.run(builds.command(builds.depot("one")), capture_output=True, text=True, env=builds.environment(), timeout=60)
    assert done.returncode in (0, 2)
    if done.returncode == 2:
        assert "store" in done.stderr


BREAK = """app=$1; from=$2; to=$3
/bin/mv $app/Manifest.toml $app/kept; echo '[[[' > $app/Manifest.toml
/bin/mkdir -p $to/compiled/v1.11; /bin/cp -r $from/compiled/v1.11/. $to/compiled/v1.11
/bin/sleep 0.5
"""


def test_a_project_that_is_being_written(saggar, tmp_path):
    """Files that came while the manifest was none are kept once it is one again; if it stays none, they count as compiled all the same."""
    builds = Builds(saggar, tmp_path, "AB")
    one = builds.depot("one")
    builds.run(one)
    builds.store = tmp_path / "other"
    for command in (BREAK + "/bin/mv $app/kept $app/Manifest.toml", BREAK + "/bin/mv $app/kept $app/Manifest.toml; /bin/sleep 0.5"):
        two = builds.depot(f"two{len(command)}")
        inner = builds.command(two)
        done = subprocess.run([*inner[:inner.index("--") + 1], "/bin/sh", "-c", command, "sh", tmp_path / "app", one, two],
                              capture_output=True, text=True, env=builds.environment(SAGGAR_DIR=str(two / "store")), timeout=60)
        assert done.returncode == 0 and json.loads(done.stderr)["compiled"] == 2 and json.loads(done.stderr)["stored"] == 2, done.stderr
    three = builds.depot("three")
    found = verify(saggar, builds, three, command=("/bin/sh", "-c", BREAK, "sh", str(tmp_path / "app"), str(one), str(three)), status=1)
    assert found["compiled"]["uncacheable"] == 2 and any("cannot be read any more" in line for line in found["no_proof"]), found


def test_a_depot_that_cannot_be_written(saggar, tmp_path):
    """The command runs all the same, as Julia would; nothing is proved."""
    builds = Builds(saggar, tmp_path, "A")
    one = builds.depot("one")
    builds.run(one)
    two = builds.depot("two")
    (two / "compiled").write_text("no folder")
    inner = builds.command(two)
    done = subprocess.run([*inner[:inner.index("--") + 1], "/bin/sh", "-c", "echo ran"], capture_output=True, text=True, env=builds.environment(), timeout=60)
    assert (done.returncode, done.stdout) == (0, "ran\n") and "nothing is restored" in done.stderr, done.stderr
    verify(saggar, builds, two, command=("/bin/true",), status=4)


def test_the_depot_of_the_command(saggar, tmp_path):
    """It is the one that is restored into, unless somebody said otherwise: then nothing is proved."""
    builds = Builds(saggar, tmp_path, "A")
    one = builds.depot("one")
    builds.run(one)
    show = ("/bin/sh", "-c", "echo $JULIA_DEPOT_PATH")

    def shown(*more: str, **env: str) -> subprocess.CompletedProcess:
        inner = builds.command(one, *more)
        return subprocess.run([*inner[:inner.index("--") + 1], *show], capture_output=True, text=True, env=builds.environment(**env), timeout=60)

    assert shown().stdout == f"{one}:\n"
    assert shown("--depot", str(tmp_path)).stdout == f"{one}:{tmp_path}:\n"
    describe(tmp_path / "julia.json", depot_path=["/srv/depot", "/opt/julia/share/julia"])
    assert shown().stdout == f"{one}:/opt/julia/share/julia\n"
    assert shown(JULIA_DEPOT_PATH=f"{one}/:/x").stdout == f"{one}/:/x\n" and "another depot" not in shown(JULIA_DEPOT_PATH=f"{one}/:/x").stderr
    assert "another depot" not in shown(JULIA_DEPOT_PATH="/srv/depot").stderr  # as the described Julia sees it
    assert "another depot" in shown(JULIA_DEPOT_PATH=f"/x:{one}").stderr
    verify(saggar, builds, one, command=("/bin/true",), status=0)
    found = verify(saggar, builds, one, command=("/bin/true",), env={"JULIA_DEPOT_PATH": "/x"}, status=4)
    assert any("another depot" in line for line in found["no_proof"])


def test_other_files_of_the_same_names(saggar, tmp_path):
    """As long as the ones before, and on the same inodes: compiled, and not used."""
    builds = Builds(saggar, tmp_path, "AB")
    one, two = builds.depot("one"), builds.depot("two")
    builds.run(one)
    builds.run(two, "--store", tmp_path / "other")
    copy = ("/bin/sh", "-c", f"/bin/cp -r {two}/compiled/. {one}/compiled")
    assert [p.stat().st_size for p in sorted(one.rglob("*.ji"))] == [p.stat().st_size for p in sorted(two.rglob("*.ji"))]
    inodes = [p.stat().st_ino for p in sorted(one.rglob("*.ji"))]
    found = verify(saggar, builds, one, command=copy, status=1)
    assert len(found["cacheable"]) == 2 and found["hits"] == 0 and inodes == [p.stat().st_ino for p in sorted(one.rglob("*.ji"))]
    found = verify(saggar, builds, one, command=("/bin/sh", "-c", f"/bin/touch {one}/compiled/*/*/*.ji"), status=0)
    assert found["hits"] == 2


def test_started_by_somebody_who_ignores_children(saggar, tmp_path):
    """The status of the command is known all the same."""
    builds = Builds(saggar, tmp_path, "A")
    inner = builds.command(builds.depot("one"))
    inner = inner[:inner.index("--") + 1]
    for before in (inner, [saggar.binary, "run", "--"], [saggar.binary, "verify", "--", *inner]):
        done = subprocess.run([*before, "/bin/sh", "-c", "exit 7"], capture_output=True, text=True, env=builds.environment(), timeout=60,
                              preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        assert done.returncode == 7 or "exited with status 7" in done.stderr, (before, done.returncode, done.stderr)


def test_another_julia_than_was_described(saggar, tmp_path):
    """It writes beside, for its own version; so does any for a package without a UUID. Both are seen."""
    builds = Builds(saggar, tmp_path, "A")
    one = builds.depot("one")
    builds.run(one)
    for file in ("v1.12/ToyA/abcde_12345.ji", "v1.11/Plain.ji"):
        path = one / "compiled" / file
        command = ("/bin/sh", "-c", f"/bin/mkdir -p {path.parent}; echo code > {path}")
        assert verify(saggar, builds, one, command=command, status=1)["compiled"]["uncacheable"] == 1
        assert verify(saggar, builds, one, command=("/bin/true",), status=0)["hits"] == 0
