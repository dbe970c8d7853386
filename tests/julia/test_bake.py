"""What bake puts into an image, and what restore makes of it; no Julia is run."""
from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import sha256
from generate import Package, describe, generate, project

AVX2 = [1 << 28, 0, 1 << 5, 0, 0, 0, 0, 0, 0, 0, 0]  # avx and avx2


def bake(saggar, case, image: Path, status=0, *more):
    return saggar.json("bake", "-o", image, *case.arguments()[:-1], *more, case.project, status=status)


def names(found: dict, wanted=True) -> set[str]:
    return {p["name"] for p in found["packages"] if (p["file"] is not None) is wanted}


def empty(case, name: str = "empty") -> Path:
    """A depot with the sources of the case's alone, with other time stamps."""
    depot = case.folder / name
    shutil.copytree(case.depot / "packages", depot / "packages", copy_function=shutil.copyfile)
    return depot


def restore(saggar, case, image: Path, depot: Path, *more, status=0):
    arguments = case.arguments()
    return saggar.json("restore", "--image", image, "--depot", depot, *arguments[2:-1], *more, case.project, status=status)


def check(saggar, case, depot: Path, status=0):
    return saggar.json("check", "--depot", depot, *case.arguments()[2:], status=status)


def cache_files(depot: Path) -> list[Path]:
    return sorted(p for p in (depot / "compiled").rglob("*") if p.is_file())


def test_there_and_back(saggar, case, tmp_path):
    """Files of a real 1.11.7: the same bytes lie in the new depot, but for the one stamp that Julia goes by."""
    made = case("a-fresh/expected.json")
    image = tmp_path / "a.saggar"
    found = bake(saggar, made, image)
    assert names(found) == {"Leaf", "Toy", "Pref", "Mtim", "Trig", "LeafTrigExt"} and names(found, False) == set()
    depot = empty(made)
    restored = restore(saggar, made, image, depot)
    assert restored["written"] == 6 and restored["present"] == 0 and all(p["fresh"] and p["written"] for p in restored["packages"])
    before, after = ({sha256(p) for p in cache_files(d) if "Mtim" not in p.name and p.parent.name != "Mtim"} for d in (made.depot, depot))
    assert before == after
    again = restore(saggar, made, image, depot)
    assert again["written"] == 0 and again["present"] == 6
    assert {p["fresh"] for p in check(saggar, made, depot)["packages"]} == {True}


def test_same_bytes(saggar, case, tmp_path):
    first, second = case("a-fresh/expected.json"), case("a-fresh/expected.json", "quite/another/place")
    for path in second.folder.rglob("*"):
        if path.suffix in (".ji", ".so"):
            os.utime(path, (path.stat().st_mtime + 7, path.stat().st_mtime + 7))
    a = bake(saggar, first, tmp_path / "a.saggar")
    b = bake(saggar, second, tmp_path / "b.saggar")
    assert a["sha256"] == b["sha256"] == sha256(tmp_path / "a.saggar") == sha256(tmp_path / "b.saggar")


def test_nothing_else_goes_in(saggar, case, tmp_path):
    """Four files of one package: the one that the session would load. A stranger beside it stays out."""
    made = case("g-flags/expected.json")
    assert len(list((made.depot / "compiled").rglob("*.ji"))) > 1
    found = bake(saggar, made, tmp_path / "a.saggar")
    assert found["entries"] == len(found["packages"]) == 1
    without = case("j-extension/expected-app2-no-trigger.json", "other")
    assert "LeafTrigExt" not in names(bake(saggar, without, tmp_path / "b.saggar", None))
    both = case("j-extension/expected.json", "both")
    assert "LeafTrigExt" in names(bake(saggar, both, tmp_path / "c.saggar"))


@pytest.mark.parametrize("name", ["so-flipped", "ji-truncated-by-8", "ji-empty"])
def test_damaged_files_stay_out(saggar, case, tmp_path, recorded, name):
    folders = sorted(p.parent.relative_to(recorded) for p in recorded.glob("e-corrupt/*/expected.json"))
    [folder] = [f for f in folders if f.name == name] or folders[:1]
    made = case(f"{folder}/expected.json")
    found = bake(saggar, made, tmp_path / "a.saggar", 1)
    [left] = [p for p in found["packages"] if p["file"] is None and p["name"] == "Leaf"]
    assert left["reason"]


def test_a_changed_source_is_refused(saggar, case, tmp_path):
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depot = empty(made)
    [stamp] = depot.rglob("stamp.txt")  # tracked by its time stamp alone
    stamp.write_text(stamp.read_text() + "more\n")
    [leaf] = depot.glob("packages/Leaf/*/src/Leaf.jl")
    leaf.write_text(leaf.read_text() + "# more\n")
    found = {p["name"]: p for p in restore(saggar, made, tmp_path / "a.saggar", depot, status=1)["packages"]}
    assert not found["Mtim"]["fresh"] and found["Mtim"]["reason"] == "include_dependency mtime change"
    assert found["Leaf"]["reason"] == "include_dependency fsize change" and found["Pref"]["fresh"]
    # Even with the very stamp that Julia recorded.
    recorded = next(s["mtime"] for s in made.expected["sources"] if s["path"].endswith("stamp.txt"))
    os.utime(stamp, (recorded, recorded))
    second = {p["name"]: p for p in restore(saggar, made, tmp_path / "a.saggar", depot, status=1)["packages"]}
    assert second["Mtim"]["reason"] == "source change"


def test_fixed_time_stamps(saggar, case, tmp_path):
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depots = [empty(made, "one"), empty(made, "two")]
    for depot in depots:
        restore(saggar, made, tmp_path / "a.saggar", depot, "--mtime", 946684800)
        assert {p.stat().st_mtime for p in cache_files(depot)} == {946684800}
        assert next(depot.rglob("stamp.txt")).stat().st_mtime == 946684800
    one, two = ({p.relative_to(d): p.read_bytes() for p in cache_files(d)} for d in depots)
    assert one == two
    saggar("restore", "--image", tmp_path / "a.saggar", "--depot", depots[0], *made.arguments()[2:-1], "--mtime", "soon", made.project, status=2)


def test_relocate(saggar, case, tmp_path):
    """A package that is developed at a path, and lies at another one now."""
    made = case("a-named-root/expected.json")
    image = tmp_path / "a.saggar"
    assert "Demo" in names(bake(saggar, made, image))
    depot = empty(made) if (made.depot / "packages").exists() else made.folder / "empty"
    arguments = ("--image", image, "--depot", depot, "--julia-info", made.answer, "--here")
    found = {p["name"]: p for p in saggar.json("restore", *arguments, made.project, status=1)["packages"]}
    assert found["Demo"]["reason"] == "wrong source"
    found = {p["name"]: p for p in saggar.json("restore", *arguments, "--relocate", made.project)["packages"]}
    assert found["Demo"]["fresh"] and found["Demo"]["written"]
    source = next((made.project / "src").glob("*.jl"))
    source.write_text(source.read_text() + "#")
    assert not saggar.json("check", *arguments[2:], made.project, status=1)["packages"][0]["fresh"]


# ---- Generated depots ----


def small(folder: Path, names: str = "AB", change: int = 0) -> tuple[list[Package], list]:
    """B needs A needs nothing; `change` is another version of all."""
    (folder / "depot").mkdir(parents=True)
    packages: list[Package] = []
    for number, name in enumerate(names):
        packages.append(Package(number + 10 * change, packages[:], name=f"Toy{name}"))
        packages[-1].write(folder / "depot", b"code" * 100 + bytes([change]))
    project(folder / "app", packages)
    describe(folder / "julia.json")
    return packages, ["--depot", folder / "depot", "--julia-info", folder / "julia.json"]


def test_colliding_names(saggar, tmp_path):
    """Two projects at one path with other versions of the same packages: Julia gives their files the same names."""
    depot = tmp_path / "shared"
    for change in (0, 1):
        folder = tmp_path / str(change)
        _, arguments = small(folder, "AB", change)
        saggar("bake", "-o", tmp_path / f"{change}.saggar", *arguments, folder / "app")
        shutil.copytree(folder / "depot/packages", depot / "packages", dirs_exist_ok=True)
    [a, b] = (sorted(p.name for p in (tmp_path / f"{c}/depot/compiled").rglob("*.ji")) for c in (0, 1))
    assert a == b
    for change in (0, 1):
        found = saggar.json("restore", "--image", tmp_path / f"{change}.saggar", "--depot", depot, "--julia-info", tmp_path / "0/julia.json",
                            tmp_path / f"{change}/app")
        assert found["written"] == 2
    for change in (0, 1):
        saggar("check", "--depot", depot, "--julia-info", tmp_path / "0/julia.json", tmp_path / f"{change}/app")
    assert len(list((depot / "compiled").rglob("*.ji"))) == 4


def test_one_build_of_each(saggar, tmp_path):
    """The newest file of A is fresh, but B was compiled against the other one."""
    folder = tmp_path / "x"
    packages, arguments = small(folder)
    a = packages[0]
    lone = Package(0, [], name="ToyA")
    lone.build = (0xFAFBFCFD00000099, 99)
    lone.stem = a.stem.replace("made0", "newer")
    lone.write(folder / "depot", b"other")
    newest = time.time() + 100
    os.utime(folder / "depot" / (lone.stem + ".ji"), (newest, newest))
    found = saggar.json("bake", "-o", tmp_path / "a.saggar", *arguments, folder / "app")
    assert {Path(p["file"]).name for p in found["packages"]} == {Path(p.stem).name + ".ji" for p in packages}
    # In a depot where that newer one lies alone, the restored files are newer, and what B needs is among them.
    depot = tmp_path / "other"
    shutil.copytree(folder / "depot", depot)
    for path in (depot / "compiled").rglob("*made0*"):
        path.unlink()
    past = time.time() - 100
    os.utime(depot / (lone.stem + ".ji"), (past, past))
    found = saggar.json("restore", "--image", tmp_path / "a.saggar", "--depot", depot, *arguments[2:], folder / "app")
    assert found["written"] == 2
    os.utime(depot / (lone.stem + ".ji"), (newest, newest))  # Julia would load that one, and compile B again
    saggar("restore", "--image", tmp_path / "a.saggar", "--depot", depot, *arguments[2:], folder / "app", status=1)
    assert "ToyB was compiled against another build of ToyA" in saggar.err


def targets(folder: Path) -> list:
    """One package, compiled for any processor and for one with AVX2."""
    packages, arguments = small(folder, "A")
    wide = Package(0, [], name="ToyA")
    wide.build, wide.target, wide.stem = (0xFAFBFCFD00000077, 77), ("haswell", 0, AVX2), packages[0].stem.replace("made0", "wide0")
    wide.write(folder / "depot", b"wide code")
    return arguments


def test_variants(saggar, tmp_path):
    folder = tmp_path / "x"
    arguments = targets(folder)
    image = tmp_path / "a.saggar"
    one = saggar.json("bake", "-o", image, *arguments, "--target", "x86-64-v2", folder / "app")
    assert one["entries"] == 1 and "made0" in one["packages"][0]["file"]
    both = saggar.json("bake", "-o", image, *arguments, "--target", "x86-64-v2", "--target", "x86-64-v4", folder / "app")
    assert both["entries"] == 2 and [p["target"] for p in both["packages"]] == ["x86-64-v2", "x86-64-v4"]
    for target, code in (("x86-64-v2", b"code"), ("x86-64-v3", b"wide"), ("x86-64", b"code")):
        depot = tmp_path / target
        shutil.copytree(folder / "depot/packages", depot / "packages")
        saggar("restore", "--image", image, "--depot", depot, "--julia-info", folder / "julia.json", "--target", target, folder / "app")
        [so] = depot.rglob("*.so")
        assert so.read_bytes().startswith(code)


def test_a_name_that_julia_does_not_know(saggar, tmp_path):
    """Julia records no features for it and would load the code anywhere; the table knows what it needs."""
    folder = tmp_path / "x"
    packages, arguments = small(folder, "A")
    packages[0].target = ("x86-64-v4", 0x20, [0] * 11)
    packages[0].write(folder / "depot", b"code")
    image = tmp_path / "a.saggar"
    saggar("bake", "-o", image, *arguments, "--target", "x86-64-v4", folder / "app")
    depot = tmp_path / "other"
    shutil.copytree(folder / "depot/packages", depot / "packages")
    restoring = ("restore", "--image", image, "--depot", depot, "--julia-info", folder / "julia.json", folder / "app", "--target")
    assert saggar.json(*restoring, "x86-64-v3", status=1)["packages"][0]["reason"] == "target mismatch"
    assert list(depot.rglob("*.ji")) == []
    saggar(*restoring, "x86-64-v4")
    packages[0].target = ("nobody-knows", 0x20, [0] * 11)  # taken as Julia declared it
    packages[0].write(folder / "depot", b"code")
    saggar("bake", "-o", image, *arguments, folder / "app")


@pytest.fixture
def many(saggar, tmp_path):
    packages = generate(tmp_path, 40, 3000)
    image = tmp_path / "many.saggar"
    saggar("bake", "-o", image, "--depot", tmp_path / "depot", "--julia-info", tmp_path / "julia.json", tmp_path / "app")
    depot = tmp_path / "empty"
    shutil.copytree(tmp_path / "depot/packages", depot / "packages")
    return packages, depot, ["restore", "--json", "--image", image, "--depot", depot, "--julia-info", tmp_path / "julia.json", tmp_path / "app"]


def start(saggar, arguments) -> subprocess.Popen:
    return subprocess.Popen([saggar.binary, "julia", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PATH": "/nonexistent"})


def test_once_among_many(saggar, many):
    """Twelve at once: each file is written by one of them."""
    import json

    packages, depot, arguments = many
    running = [start(saggar, arguments) for _ in range(12)]
    found = []
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        found.append(json.loads(out))
    assert sum(f["written"] for f in found) == len(packages)
    assert all(f["written"] + f["present"] == len(packages) for f in found)
    assert {p.suffix for p in cache_files(depot)} == {".ji", ".so"} and len(cache_files(depot)) == 2 * len(packages)


def test_killed(saggar, many):
    """Whatever a killed restore leaves: no .ji is ever without its machine code, and the next restore completes it."""
    packages, depot, arguments = many
    chance = random.Random(6)
    seen = set()
    for _ in range(25):
        shutil.rmtree(depot / "compiled", ignore_errors=True)
        process = start(saggar, arguments)
        enough = chance.randrange(2 * len(packages))
        while process.poll() is None and sum(1 for _ in (depot / "compiled").rglob("*.*")) < enough:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        files = cache_files(depot) if (depot / "compiled").exists() else []
        seen.add(len(files))
        for path in files:
            if path.suffix == ".ji":
                assert path.with_suffix(".so").exists()
    assert len(seen) > 2  # it was killed in the middle too
    saggar(*arguments)
    for path in cache_files(depot):
        assert path.suffix in (".ji", ".so") or path.name.startswith(".saggar-")
    assert len([p for p in cache_files(depot) if p.suffix == ".ji"]) == len(packages)
    for path in cache_files(depot)[::7]:  # and damaged ones
        path.write_bytes(b"x")
    saggar(*arguments)


def traced(saggar, arguments, *strace: str) -> subprocess.CompletedProcess:
    return subprocess.run(["strace", "-f", "-qq", *strace, saggar.binary, "julia", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ASAN_OPTIONS": "detect_leaks=0"})


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_killed_at_each_call(saggar, tmp_path):
    """Killed at each system call that changes a depot: what lies there is whole, and the next restore completes it."""
    folder, image, depot = tmp_path / "x", tmp_path / "a.saggar", tmp_path / "other"
    _, arguments = small(folder)
    saggar("bake", "-o", image, *arguments, folder / "app")
    shutil.copytree(folder / "depot/packages", depot / "packages")
    restoring = ["restore", "--image", image, "--depot", depot, *arguments[2:], folder / "app"]
    log = tmp_path / "trace"
    calls = "mkdir,mkdirat,write,pwrite64,fchmod,fdatasync,rename,renameat,renameat2,unlinkat,utimensat,flock"
    done = traced(saggar, restoring, "-o", str(log), "-e", f"trace={calls}")
    if done.returncode != 0 and not log.exists():
        pytest.skip("may not trace here")
    seen: dict[str, int] = {}
    for line in log.read_text(errors="replace").splitlines():
        name = line.split("(")[0].split()[-1]
        if name.isidentifier():
            seen[name] = seen.get(name, 0) + 1
    states = set()
    for name, count in seen.items():
        for number in range(1, count + 1):
            shutil.rmtree(depot / "compiled", ignore_errors=True)
            traced(saggar, restoring, "-o", "/dev/null", "-e", f"inject={name}:signal=KILL:when={number}")
            if (depot / "compiled").exists():
                found = saggar.json("ls", depot, "--sums")  # 1 if a file is damaged
                states.add((len(found["files"]), len(found["leftovers"])))
            saggar(*restoring)
            saggar("check", "--depot", depot, *arguments[2:], folder / "app")
    assert sum(seen.values()) > 15 and {n for n, _ in states} == {0, 1, 2} and any(left for _, left in states)


def test_damaged_images(saggar, tmp_path):
    """One flipped byte costs at most what it is in; what is restored is whole."""
    folder, image, depot = tmp_path / "x", tmp_path / "a.saggar", tmp_path / "other"
    _, arguments = small(folder)
    saggar("bake", "-o", image, *arguments, folder / "app")
    shutil.copytree(folder / "depot/packages", depot / "packages")
    good, chance = image.read_bytes(), random.Random(5)
    wanted = {sha256(p) for p in (folder / "depot/compiled").rglob("*.*") if p.is_file()}
    statuses = set()
    for _ in range(60):
        at = chance.randrange(len(good))
        image.chmod(0o644)
        image.write_bytes(good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1:])
        shutil.rmtree(depot / "compiled", ignore_errors=True)
        saggar("restore", "--image", image, "--depot", depot, *arguments[2:], folder / "app", status=None)
        statuses.add(saggar.status)
        assert saggar.status in (0, 1, 2), saggar.err
        if (depot / "compiled").exists():
            assert {sha256(p) for p in cache_files(depot)} <= wanted
    assert {0, 1} <= statuses


def test_refusals(saggar, case, tmp_path):
    made = case("a-fresh/expected.json")
    image = tmp_path / "a.saggar"
    bake(saggar, made, image)
    arguments = made.arguments()
    saggar("restore", "--image", tmp_path / "none.saggar", *arguments, status=2)
    assert "none.saggar" in saggar.err
    image.chmod(0o666)
    saggar("restore", "--image", image, *arguments, status=2)
    saggar("bake", "-o", tmp_path, *arguments, status=2)
    saggar("bake", made.project, status=2)
    assert "--julia-info" in saggar.err
    shutil.rmtree(made.depot / "compiled")
    saggar("bake", "-o", tmp_path / "b.saggar", *arguments, status=1)
    assert not (tmp_path / "b.saggar").exists()


def test_a_package_without_a_source(saggar, case, tmp_path):
    """Its cache files lie there, and nobody asks for them."""
    made = case("a-fresh/expected.json")
    shutil.rmtree(made.depot / "packages/Toy")
    found = bake(saggar, made, tmp_path / "a.saggar", status=1)
    assert names(found, False) == {"Toy"} and next(p for p in found["packages"] if p["name"] == "Toy")["reason"].startswith("Cannot locate source")
    assert " not asked " in saggar("why", *made.arguments(), "Toy")
