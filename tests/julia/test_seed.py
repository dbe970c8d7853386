"""What julia-container-scripts' own tests expect of pkg-precompile.jl, by `saggar julia`; its names stand beside each.

No Julia is run: files of a real 1.11.7 and 1.5.3, generated ones, and a pretended compiler. The second half: what is wrong in that script.
"""
from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from generate import Package, describe, project
from test_bake import bake, cache_files, empty, names, restore
from test_gc import age, HOUR
from test_run import Builds

SUITESPARSE, DISTRIBUTED = "4607b0f0-06f3-5cda-b6b1-a6196a1729e9", "8ba89e20-285c-5b6f-9357-94700520ee1b"


class Stdlib:
    """A standard library outside of the system image: SuiteSparse has no cache file, Distributed came with one."""

    def __init__(self, folder: Path) -> None:
        self.share, self.depot, self.app, self.info = (folder / n for n in ("share/julia", "depot", "app", "julia.json"))
        library = self.share / "stdlib/v1.11"
        self.suite, self.distributed = (Package(n, [], name=name, identity=uuid, root=str(library / name))
                                        for n, name, uuid in ((1, "SuiteSparse", SUITESPARSE), (2, "Distributed", DISTRIBUTED)))
        for package, depot in ((self.suite, self.depot), (self.distributed, self.share)):
            package.write(depot, b"code")
            (library / package.name / "Project.toml").write_text(f'name = "{package.name}"\nuuid = "{package.uuid}"\n')
        project(self.app, [])
        with (self.app / "Manifest.toml").open("a") as stream:
            for package in (self.suite, self.distributed):
                stream.write(f'\n[[deps.{package.name}]]\nuuid = "{package.uuid}"\nversion = "1.11.0"\n')
            stream.write('\n[[deps.SHA]]\nuuid = "ea8e919c-243c-51af-8825-aaa63cd721ce"\nversion = "0.7.0"\n')
        describe(self.info, stdlib=str(library), depot_path=[str(self.depot), str(self.share)])
        self.arguments = ["--depot", self.depot, "--julia-info", self.info, self.app]


@pytest.mark.parametrize("case_name", ["stdlib compiled by user", "stdlib in sysimage", "stdlib with bundled cache"])
def test_1_2_3_stdlib(saggar, tmp_path, case_name):
    made = Stdlib(tmp_path)
    found = saggar.json("bake", "-o", tmp_path / "a.saggar", *made.arguments)
    shutil.rmtree(made.depot / "compiled")
    restored = {p["name"]: p for p in saggar.json("restore", "--image", tmp_path / "a.saggar", *made.arguments)["packages"]}
    if case_name == "stdlib compiled by user":
        assert "SuiteSparse" in names(found) and restored["SuiteSparse"]["file"].startswith(str(made.depot))
    elif case_name == "stdlib in sysimage":
        assert "SHA" not in names(found) and "SHA" not in restored
    else:
        assert "Distributed" not in names(found) and restored["Distributed"]["file"].startswith(str(made.share))
        assert restored["Distributed"]["fresh"] and found["entries"] == 1


def test_4_extension(saggar, case, tmp_path):
    """`extension`"""
    made = case("j-extension/expected.json")
    assert "LeafTrigExt" in names(bake(saggar, made, tmp_path / "a.saggar"))
    depot = empty(made)
    found = {p["name"]: p for p in restore(saggar, made, tmp_path / "a.saggar", depot)["packages"]}
    assert found["LeafTrigExt"]["fresh"] and list((depot / "compiled/v1.11/LeafTrigExt").glob("*.ji"))


def versions(saggar, tmp_path: Path) -> tuple[Builds, Builds]:
    """Two versions of one package, in projects at one path; one store."""
    old, new = Builds(saggar, tmp_path / "old", "A"), Builds(saggar, tmp_path / "new", "A", {"A": 5})
    new.store = old.store
    return old, new


def test_5_two_versions_at_one_path(saggar, tmp_path):
    """`different versions, same project path, serial`"""
    old, new = versions(saggar, tmp_path)
    for builds in (old, new):
        assert builds.run(builds.depot("one"))["compiled"] == 1
    assert len(list(old.store.glob("v1/*/*.0"))) == 2
    for builds in (old, new, old):
        assert builds.run(builds.depot("two"))["compiled"] == 0
    file = {p.name for p in (tmp_path / "old/two/compiled").rglob("*.ji")}
    shutil.rmtree(tmp_path / "old/two/compiled")
    old.run(tmp_path / "old/two")
    assert {p.name for p in (tmp_path / "old/two/compiled").rglob("*.ji")} == file  # names are the same each time


def test_6_one_version_at_two_paths(saggar, tmp_path):
    """`same version, different project path`"""
    one = Builds(saggar, tmp_path / "one", "A")
    other = Builds(saggar, tmp_path / "quite/other", "A")
    other.store = one.store
    assert one.run(one.depot("d"))["compiled"] == 1 and other.run(other.depot("d"))["compiled"] == 0
    assert len(list(one.store.glob("v1/*/*.0"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_7_another_user_and_a_read_only_depot(saggar, case, tmp_path):
    """`initialization as non-root, read-only depot`: what is restored is readable for all, and needs no writing."""
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depot = empty(made)
    restore(saggar, made, tmp_path / "a.saggar", depot)
    for path in [depot, *depot.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    assert all(p.stat().st_mode & 0o444 == 0o444 for p in cache_files(depot))
    for folder in [tmp_path, *tmp_path.parents[:-2]]:
        folder.chmod(folder.stat().st_mode | 0o011)
    shutil.copy(saggar.binary, tmp_path / "saggar")
    done = subprocess.run([tmp_path / "saggar", "julia", "check", "--depot", depot, *map(str, made.arguments()[2:])], user=65534, group=65534,
                          extra_groups=[], capture_output=True, text=True, env={"PATH": "/nonexistent", "LD_LIBRARY_PATH": libraries(saggar)})
    if "cannot open shared object" in done.stderr:
        pytest.skip("the library lies where others cannot read it")
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_what_another_user_cannot_read(saggar, case, tmp_path):
    """ls says which folder, which file and which machine code it could not read, and that it could not; gc leaves them alone."""
    made = case("a-fresh/expected.json")
    for folder in [tmp_path, *tmp_path.parents[:-2]]:
        folder.chmod(folder.stat().st_mode | 0o011)
    for path in [made.folder, *made.folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o044 | (0o011 if path.is_dir() else 0))
        os.utime(path, (1e9, 1e9))
    shutil.copy(saggar.binary, tmp_path / "saggar")
    compiled = made.depot / "compiled/v1.11"
    (compiled / "Toy").chmod(0o700)
    next((compiled / "Leaf").glob("*.ji")).chmod(0o600)
    next((compiled / "Pref").glob("*.so")).chmod(0o600)

    def somebody(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run([tmp_path / "saggar", "julia", *map(str, arguments)], user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
                              env={"PATH": "/nonexistent", "LD_LIBRARY_PATH": libraries(saggar)})

    done = somebody("ls", "--sums", made.depot)
    if "cannot open shared object" in done.stderr:
        pytest.skip("the library lies where others cannot read it")
    assert done.returncode == 1
    for word in (f"{compiled}/Toy: Permission denied", ".ji: Permission denied", "its machine code (.so) cannot be read"):
        assert word in done.stderr, done.stderr
    gone = somebody("gc", "--dry-run", made.depot)
    assert "damaged" not in gone.stdout, gone.stdout


def libraries(saggar) -> str:
    return str(Path(saggar.binary).parents[1])


def test_8_relocate_depot(saggar, case, tmp_path):
    """`relocate depot`"""
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depot = empty(made)
    restore(saggar, made, tmp_path / "a.saggar", depot)
    elsewhere = tmp_path / "opt/elsewhere"
    elsewhere.parent.mkdir()
    depot.rename(elsewhere)
    found = saggar.json("check", "--depot", elsewhere, "--julia-info", made.answer, "--here", made.project)
    assert all(p["fresh"] for p in found["packages"])


def test_9_10_named_project(saggar, case, tmp_path):
    """`named project`, `named project without source`"""
    made = case("a-named-root/expected.json")
    assert "Demo" in names(bake(saggar, made, tmp_path / "a.saggar"))
    shutil.rmtree(made.project / "src")
    found = bake(saggar, made, tmp_path / "b.saggar")
    assert "Demo" not in names(found) | names(found, False) and found["entries"] >= 1


def test_11_reinstantiate(saggar, case, tmp_path):
    """`re-instantiate`: the sources are made again, with new time stamps."""
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depot = empty(made)
    restore(saggar, made, tmp_path / "a.saggar", depot)
    before = {p: p.read_bytes() for p in cache_files(depot)}
    shutil.rmtree(depot / "packages")
    shutil.copytree(made.depot / "packages", depot / "packages", copy_function=shutil.copyfile)
    for path in (depot / "packages").rglob("*.*"):
        age(path, -100)
    again = restore(saggar, made, tmp_path / "a.saggar", depot)
    assert {p["name"] for p in again["packages"] if p["written"]} == {"Mtim"}  # the one with a file that Julia goes by the stamp of
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("more", [[], ["--mtime", "1"]])
def test_12_reinstantiate_with_fixed_stamps(saggar, case, tmp_path, more):
    """`re-instantiate + fixed mtimes`: 1.5.3, which goes by the stamps of all sources."""
    made = case("v1.5.3-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    shutil.rmtree(made.depot / "compiled")
    for path in made.folder.rglob("*.jl"):
        age(path, 5 * HOUR)
    found = restore(saggar, made, tmp_path / "a.saggar", made.depot, *more)
    assert found["written"] == 2 and all(p["fresh"] for p in found["packages"])
    assert saggar.json("ls", made.depot, "--sums")["files"][0]["crc_holds"]


def test_13_concurrent(saggar, tmp_path):
    """`concurrent, sharing=shared`: two versions at once, and a package that both need."""
    old = Builds(saggar, tmp_path / "old", "PM")
    new = Builds(saggar, tmp_path / "new", "PM", {"M": 7})
    new.store = old.store
    running = [subprocess.Popen(b.command(b.depot("one"), seconds=0.3, log=tmp_path / "log"), env=b.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
               for b in (old, new)]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert Counter((tmp_path / "log").read_text().split()) == {"ToyP": 1, "ToyM": 2}
    assert len(list(old.store.glob("v1/*/*.0"))) == 3


def test_14_path_tracked(saggar, case, tmp_path):
    """`path-tracked dependency`: it may be shipped, but only ever serves the same source at the same path."""
    made = case("a-named-root/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    for path in list((made.depot / "compiled").rglob("*.ji")):
        path.unlink()
    assert {p["name"]: p["fresh"] for p in restore(saggar, made, tmp_path / "a.saggar", made.depot)["packages"]}["Demo"]
    shutil.rmtree(made.depot / "compiled")
    source = next((made.project / "src").glob("Demo.jl"))
    source.write_text(source.read_text().replace("\n", "\n\n", 1))
    found = {p["name"]: p for p in restore(saggar, made, tmp_path / "a.saggar", made.depot, status=1)["packages"]}
    assert found["Demo"]["reason"] == "include_dependency fsize change"


# ---- What is wrong in the script ----


def test_thirteen_projects(saggar, tmp_path):
    """There, ten files of a package are kept, and the oldest goes."""
    first = Builds(saggar, tmp_path / "0", "A")
    first.run(first.depot("d"))
    for number in range(1, 13):
        other = Builds(saggar, tmp_path / str(number), "A", {"A": 100 + number})
        other.store = first.store
        assert other.run(other.depot("d"))["compiled"] == 1
    assert len(list(first.store.glob("v1/*/*.0"))) == 13
    assert first.run(first.depot("again"))["compiled"] == 0


def test_a_stale_file_in_the_way(saggar, case, tmp_path):
    """There, a file of that name with other content is an ArgumentError."""
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depot = empty(made)
    restore(saggar, made, tmp_path / "a.saggar", depot)
    for path in cache_files(depot):
        path.write_bytes(b"stale")
    assert restore(saggar, made, tmp_path / "a.saggar", depot)["written"] == 6


def test_no_link_is_left(saggar, case, tmp_path):
    """There, an error leaves DEPOT/compiled a link into the mount."""
    made = case("a-fresh/expected.json")
    bake(saggar, made, tmp_path / "a.saggar")
    depot = empty(made)
    (depot / "compiled").write_text("in the way")
    restore_status = subprocess.run([saggar.binary, "julia", "restore", "--image", tmp_path / "a.saggar", "--depot", depot, *map(str, made.arguments()[2:])],
                                    capture_output=True, text=True)
    assert restore_status.returncode == 2 and "compiled" in restore_status.stderr
    assert (depot / "compiled").read_text() == "in the way"


def test_depots_whose_names_begin_alike(saggar, tmp_path):
    """There, files of /srv/depot2 count as files of /srv/depot."""
    builds = Builds(saggar, tmp_path, "AB")
    one, two = builds.depot("depot"), builds.depot("depot2")
    builds.run(two)
    found = saggar.json("bake", "-o", tmp_path / "a.saggar", "--depot", one, "--julia-info", tmp_path / "julia.json", tmp_path / "app", status=1)
    assert found["entries"] == 0


def test_all_is_checked(saggar, tmp_path):
    """There, only what the project names itself: here a package deep below is missing."""
    builds = Builds(saggar, tmp_path, "ABCD")
    builds.run(builds.depot("one"))
    [deep] = (tmp_path / "one/compiled/v1.11/ToyA").glob("*.ji")
    deep.unlink()
    found = saggar.json("bake", "-o", tmp_path / "a.saggar", "--depot", tmp_path / "one", "--julia-info", tmp_path / "julia.json", tmp_path / "app", status=1)
    assert names(found) == set() and {p["reason"] for p in found["packages"]} == {"no cache file", "missing from the cache"}


def test_no_argument(saggar):
    """There, a BoundsError."""
    for command in ("bake", "restore", "gc", "run"):
        saggar(command, status=2)
        assert saggar.err.startswith(f"saggar julia {command}: ")
