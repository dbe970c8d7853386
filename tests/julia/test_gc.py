"""What gc removes from a shared depot, and what it must leave alone; no Julia is run."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from generate import generate
from test_bake import small

HOUR = 3600


def age(path: Path, seconds: float) -> None:
    """Of a .ji: with its machine code."""
    stamp = time.time() - seconds
    os.utime(path, (stamp, stamp), follow_symlinks=False)
    if path.suffix == ".ji" and path.with_suffix(".so").exists():
        age(path.with_suffix(".so"), seconds)


def removed(found: dict) -> dict[str, str]:
    return {Path(r["file"]).name: r["why"] for r in found["removed"]}


def put(folder: Path, name: str, seconds: float, content: bytes = b"") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    age(folder / name, seconds)
    return folder / name


def test_what_a_killed_julia_leaves(saggar, case):
    """The files of a real SIGKILL of Julia 1.11.7; the same ones young."""
    made = case("l-leftovers/expected.json")
    left = [p for p in (made.depot / "compiled").rglob("*") if p.is_file() and (p.name.startswith("jl_") or p.name.endswith(".pidfile"))]
    kept = {p for p in (made.depot / "compiled").rglob("*.ji")}
    assert len(left) >= 2 and kept
    for path in left:
        age(path, 60)
    assert saggar.json("gc", made.depot)["removed"] == []
    for path in left:
        age(path, 2 * HOUR)
    assert set(removed(saggar.json("gc", made.depot, "--dry-run"))) == {p.name for p in left} and all(p.exists() for p in left)
    assert removed(saggar.json("gc", made.depot)) == {p.name: "lock file" if p.name.endswith("pidfile") else "temporary file" for p in left}
    assert not any(p.exists() for p in left) and {p for p in (made.depot / "compiled").rglob("*.ji")} == kept
    saggar("check", *made.arguments(), status=None)


def test_code_without_its_ji(saggar, case):
    made = case("l-orphan-so/expected.json")
    orphans = [p for p in (made.depot / "compiled").rglob("*.so") if not p.with_suffix(".ji").exists()]
    assert orphans
    for path in orphans:
        age(path, HOUR)
    assert saggar.json("gc", made.depot, "--litter-age", "5h")["removed"] == []
    found = removed(saggar.json("gc", made.depot, "--litter-age", "0s"))
    assert found == {p.name: "machine code without its .ji" for p in orphans}


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "no code", "other code"])
def test_damaged(saggar, tmp_path, how):
    packages, arguments = small(tmp_path / "x")
    depot = tmp_path / "x/depot"
    file = depot / (packages[0].stem + ".ji")
    if how == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "flipped":
        file.write_bytes(file.read_bytes()[:-20] + b"\0" + file.read_bytes()[-19:])
    elif how == "no code":
        file.with_suffix(".so").unlink()
    else:
        file.with_suffix(".so").write_bytes(b"z")
    assert saggar.json("gc", depot)["removed"] == []  # young: somebody may be at work
    age(file, 2 * HOUR)
    assert removed(saggar.json("gc", depot)) == {file.name: "damaged"}
    assert not file.exists() and not file.with_suffix(".so").exists() and (depot / (packages[1].stem + ".ji")).exists()


def test_what_nothing_needs(saggar, tmp_path):
    """Two projects share a depot; a third is gone."""
    shared = tmp_path / "shared"
    made = []
    for change in (0, 1, 2):
        packages, _ = small(tmp_path / str(change), "AB", change)
        for p in packages:
            p.stem = p.stem.replace("made0", f"made{change}")
            p.write(shared, b"code" + bytes([change]))
        made.append([p.stem for p in packages])
    other = put(shared / "compiled/v1.10/ToyA", "AAAAA_old00.ji", 9 * HOUR, b"\xfbjli\r\n\x1a\n" + b"\x0c\0\xff\xfe\x08Linux\0")
    for path in shared.rglob("compiled/v1.11/**/*.*"):
        age(path, 2 * HOUR)
    arguments = ["--julia-info", tmp_path / "0/julia.json", "--project", tmp_path / "0/app", "--project", tmp_path / "1/app"]
    young = shared / (made[2][0] + ".ji")
    age(young, 60)  # somebody uses it
    found = saggar.json("gc", shared, *arguments, "--litter-age", "10h")
    assert found["needed"] == 4 and removed(found) == {Path(made[2][1]).name + ".ji": "not needed"}
    assert young.exists() and other.exists()
    assert set(removed(saggar.json("gc", shared, *arguments, "--min-age", "0s", "--litter-age", "10h"))) == {young.name}
    for change in (0, 1):
        saggar("check", "--depot", shared, "--julia-info", tmp_path / "0/julia.json", tmp_path / f"{change}/app")
    assert saggar.json("gc", shared, *arguments, "--max-size", "1", "--litter-age", "10h")["needed"] == 4  # needed files stay, whatever the bound
    assert len(list(shared.rglob("v1.11/**/*.ji"))) == 4 and not other.exists()


def test_a_wrong_description(saggar, tmp_path):
    """Of another Julia nothing is needed: that must not empty the depot."""
    _, arguments = small(tmp_path / "x")
    for path in (tmp_path / "x/depot").rglob("*.ji"):
        age(path, 2 * HOUR)
    info = tmp_path / "x/julia.json"
    info.write_text(info.read_text().replace("1.11.7", "1.11.6"))
    saggar("gc", "--project", tmp_path / "x/app", "--julia-info", info, tmp_path / "x/depot", status=2)
    assert "nothing was removed" in saggar.err and len(list((tmp_path / "x/depot").rglob("*.ji"))) == 2


def test_bounds(saggar, tmp_path):
    generate(tmp_path, 10, 1000)
    files = sorted((tmp_path / "depot").rglob("*.ji"))
    for number, path in enumerate(files):
        age(path, (number + 2) * HOUR)
    found = saggar.json("gc", tmp_path / "depot", "--max-age", "9h")
    assert set(removed(found)) == {p.name for p in files[8:]}
    before = sum(p.stat().st_size for p in (tmp_path / "depot/compiled").rglob("*.*") if p.is_file())
    found = saggar.json("gc", tmp_path / "depot", "--max-size", before // 2)
    gone = removed(found)
    assert gone and set(gone) == {p.name for p in files[8 - len(gone):8]} and set(gone.values()) == {"beyond the bound"}
    left = sum(p.stat().st_size for p in (tmp_path / "depot/compiled").rglob("*.*") if p.is_file())
    assert left <= before // 2 < left + 6000


def test_nothing_there(saggar, tmp_path):
    (tmp_path / "depot").mkdir()
    assert saggar.json("gc", tmp_path / "depot")["files"] == 0
    saggar("gc", tmp_path / "none", status=2)
    saggar("gc", tmp_path / "depot", "--target", "x86-64-v3", status=2)


def test_what_runs_meanwhile(saggar, tmp_path):
    """Restores and collections at once: whatever is restored stays."""
    packages = generate(tmp_path, 25, 2000)
    image = tmp_path / "a.saggar"
    saggar("bake", "-o", image, "--depot", tmp_path / "depot", "--julia-info", tmp_path / "julia.json", tmp_path / "app")
    depot = tmp_path / "shared"
    shutil.copytree(tmp_path / "depot/packages", depot / "packages")
    environment = {**os.environ, "PATH": "/nonexistent"}
    for round in range(4):
        shutil.rmtree(depot / "compiled", ignore_errors=True)
        running = [subprocess.Popen([saggar.binary, "julia", "gc", "--min-age", "60s", "--litter-age", "60s", "--max-size", "1", depot],
                                    stdout=subprocess.DEVNULL, env=environment) for _ in range(4)]
        running += [subprocess.Popen([saggar.binary, "julia", "restore", "--image", image, "--depot", depot, "--julia-info", tmp_path / "julia.json",
                                      tmp_path / "app"], stdout=subprocess.DEVNULL, env=environment) for _ in range(6)]
        running[5 + round % 3].send_signal(signal.SIGKILL)
        codes = [process.wait(60) for process in running]
        assert [c for c in codes if c not in (0, -9)] == []
        saggar("check", "--depot", depot, "--julia-info", tmp_path / "julia.json", tmp_path / "app")
    assert len(list(depot.rglob("*.ji"))) == len(packages)


def test_what_cannot_be_read_stays(saggar, tmp_path):
    """Machine code that lies elsewhere, behind a link which is not followed here, may be whole."""
    generate(tmp_path, 2, 500)
    for path in sorted((tmp_path / "depot/compiled").rglob("*.so")):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    for path in (tmp_path / "depot/compiled").rglob("*.ji"):
        age(path, 9 * HOUR)
    assert saggar.json("gc", tmp_path / "depot")["removed"] == []
    next((tmp_path / "depot/compiled").rglob("*.so")).unlink()
    assert list(removed(saggar.json("gc", tmp_path / "depot")).values()) == ["damaged"]


@pytest.mark.parametrize("how", [("--max-size", "1"), ("--max-age", "2h"), ("--litter-age", "2h")])
def test_new_code_beside_an_old_file(saggar, tmp_path, how):
    """Julia renames the .so first: whoever sees it beside the old .ji must not take it away."""
    generate(tmp_path, 3, 500)
    files = sorted((tmp_path / "depot/compiled").rglob("*.ji"))
    for path in files:
        age(path, 9 * HOUR)
    for path in files[:2]:
        os.utime(path.with_suffix(".so"))
        path.with_suffix(".so").write_bytes(b"another build")
    age(files[2], 9 * HOUR)
    files[2].write_bytes(b"damaged")
    age(files[2], 9 * HOUR)
    assert set(removed(saggar.json("gc", *how, tmp_path / "depot"))) == {files[2].name}
    assert all(p.exists() and p.with_suffix(".so").exists() for p in files[:2])
